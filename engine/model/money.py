"""Decimals and their rounding: the only place that decides which way a number rounds (semantics 0)."""

from __future__ import annotations

import decimal
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, InvalidOperation

# Every thread that touches money computes with the 34 digits the semantics were computed with.
decimal.DefaultContext.prec = 34
decimal.setcontext(decimal.Context(prec=34))

ZERO = Decimal(0)
ONE = Decimal(1)
COST_PLACES = Decimal("1E-8")


class BadNumber(ValueError):
    """A text that is not a finite decimal; names the field, the value and the remedy."""

    def __init__(self, field: str, value: object) -> None:
        super().__init__(f"{field}: {value!r} is not a number; write it like 0.25 or 61000.5")
        self.field = field


def to_decimal(field: str, text: object) -> Decimal:
    """Parse a finite decimal from user or wire text; raises BadNumber."""
    try:
        number = Decimal(str(text).strip())
    except InvalidOperation:
        raise BadNumber(field, text) from None
    if not number.is_finite():
        raise BadNumber(field, text)
    return number


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """Largest multiple of step not above value, written to the step's places."""
    if value.same_quantum(step) and not value % step:
        return value
    return (value / step).to_integral_value(ROUND_FLOOR) * step


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """Smallest multiple of step not below value, written to the step's places."""
    if value.same_quantum(step) and not value % step:
        return value
    return (value / step).to_integral_value(ROUND_CEILING) * step


def round_cost(value: Decimal) -> Decimal:
    """A share of open cost, half-even to 8 places (semantics 1.2)."""
    return value.quantize(COST_PLACES, ROUND_HALF_EVEN)


def round_fee(value: Decimal, precision: Decimal = COST_PLACES) -> Decimal:
    """A fee, half-up to the fee asset's precision (semantics 6)."""
    return value.quantize(precision, ROUND_HALF_UP)
