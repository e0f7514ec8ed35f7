"""Funding payments and rates (semantics 3). Rates are fractions, 0.0001 = 0.01 %.

Venues stream the predicted rate and its interval; the rates below payment are the cases F3 and F4 to check them by.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from engine.model.account import Position
from engine.model.money import ONE, ZERO, round_cost

CLAMP = Decimal("0.0005")
HOURS_A_DAY = 24
DAYS_A_YEAR = 365


def payment(size: Decimal, mark: Decimal, rate: Decimal) -> Decimal:
    """Cash a signed size receives, negative when it pays: on notional, whatever the leverage (F1, F2)."""
    return round_cost(-size * mark * rate)


def apply_funding(position: Position, amount: Decimal, free: Decimal) -> Position:
    """The position after a payment. Its margin pays only what `free` money cannot, and never below 0 (L11).

    The liquidation price is left as it was: the caller sets it anew.
    """
    short = max(-amount - max(free, ZERO), ZERO)
    return msgspec.structs.replace(
        position, funding=position.funding + amount, margin=position.margin - min(short, position.margin)
    )


def predicted_rate(premium: Decimal, interest: Decimal, clamp: Decimal = CLAMP) -> Decimal:
    """The usual formula, before the venue's caps: premium + clamp(interest - premium) (F3)."""
    return premium + max(-clamp, min(clamp, interest - premium))


def hourly(rate: Decimal, interval_hours: int) -> Decimal:
    """The rate of one hour of an interval (F4)."""
    return rate / interval_hours


def simple_apr(rate: Decimal, interval_hours: int) -> Decimal:
    """A year of the rate, without compounding (F4)."""
    return rate * HOURS_A_DAY * DAYS_A_YEAR / interval_hours


def compounded_apr(rate: Decimal, interval_hours: int) -> Decimal:
    """A year of the rate, compounded at every payment (F4)."""
    return (ONE + rate) ** (Decimal(HOURS_A_DAY * DAYS_A_YEAR) / interval_hours) - ONE
