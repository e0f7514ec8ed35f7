"""Sizes from money: by margin and leverage, or by what a stop may cost (semantics 7). Rounded down to the step.

For cases Z1 and Z2; the ticket asks for a size.
"""

from __future__ import annotations

from decimal import Decimal

from engine.core.rounding import round_size
from engine.model.instrument import Instrument


def margin_size(instrument: Instrument, margin: Decimal, leverage: int, price: Decimal) -> Decimal:
    """Size that `margin` (settle asset) opens at a leverage and price; 0 where it does not buy one step (Z1)."""
    if price <= 0:
        raise ValueError(f"price: {price} gives no size; wait for a price above 0")
    return round_size(instrument, margin * leverage / price)


def risk_size(instrument: Instrument, risk: Decimal, entry: Decimal, stop: Decimal, fee: Decimal) -> Decimal:
    """Size that loses `risk` (settle asset) when stopped out, fees of both ways (a rate) included (Z2)."""
    loss = abs(entry - stop) + fee * (entry + stop)
    if loss <= 0:
        raise ValueError(f"stop: {stop} risks nothing from an entry at {entry}; move the stop away from the entry")
    return round_size(instrument, risk / loss)
