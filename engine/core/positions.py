"""Position maths: average price, realised PnL, flips, fees in the base asset, inverse contracts (semantics 1).

No venue of the desk is inverse or takes its fee in the base asset: what serves those is there for cases P5, P6 and P7.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from msgspec import Struct

from engine.model.account import Position
from engine.model.instrument import Instrument
from engine.model.market import Side
from engine.model.money import ONE, ZERO, ceil_to, floor_to, round_cost


class Part(Struct, frozen=True):
    """The closing or the opening part of a fill; `size` is unsigned."""

    size: Decimal
    fee: Decimal
    closing: bool


def split_fill(position: Position | None, side: Side, size: Decimal, fee: Decimal) -> list[Part]:
    """One part, or two where the fill flips the position; the fee splits pro rata by size, to the last digit (P2, P4)."""
    held = position.size if position is not None else ZERO
    if not held or (held > 0) is (side is Side.BUY):
        return [Part(size, fee, False)]
    open_size = abs(held)
    if size <= open_size:
        return [Part(size, fee, True)]
    closing_fee = round_cost(fee * open_size / size)
    return [Part(open_size, closing_fee, True), Part(size - open_size, fee - closing_fee, False)]


def apply_fill(
    position: Position,
    signed_size: Decimal,
    price: Decimal,
    fee: Decimal = ZERO,
    time_ns: int = 0,
    reason: str = "",
) -> tuple[Position, Decimal]:
    """The lot after a fill, and the price PnL it realised (gross of fees). Fills that flip must be split first.

    Adding takes initial margin at the position's leverage, reducing releases it pro rata. `time_ns` becomes opened_ns
    of a new lot or closed_ns of a finished one, `reason` the exit reason of the latter. The liquidation price is
    left unknown: it is the caller's to set (margin.liquidation_price). Raises ValueError on a fill that would flip.
    """
    held = position.size
    size = held + signed_size
    if not held or (held > 0) is (signed_size > 0):
        value = signed_size * price
        return Position(
            position.id,
            position.account,
            position.instrument,
            position.leg,
            size,
            position.cost + value,
            position.realised,
            position.fees + fee,
            position.funding,
            position.insurance,
            position.margin + round_cost(abs(value) / position.leverage),
            position.leverage,
            None,
            position.opened_ns if held else time_ns,
            position.entered + abs(signed_size),
            position.entered_value + abs(value),
            position.exited,
            position.exited_value,
            long=signed_size > 0,
        ), ZERO
    if size and (size > 0) is not (held > 0):
        raise ValueError(f"fill: {signed_size} would flip position {position.id} of {held}; split it first")
    value = -signed_size * price
    if size:
        cost = round_cost(position.cost * -signed_size / held)
        margin = round_cost(position.margin * -signed_size / held)
    else:
        # What is left of a lot closed in parts goes out whole.
        cost = position.cost
        margin = position.margin
    realised = value - cost
    return Position(
        position.id,
        position.account,
        position.instrument,
        position.leg,
        size,
        position.cost - cost,
        position.realised + realised,
        position.fees + fee,
        position.funding,
        position.insurance,
        position.margin - margin,
        position.leverage,
        None,
        position.opened_ns,
        position.entered,
        position.entered_value,
        position.exited + abs(signed_size),
        position.exited_value + abs(value),
        0 if size else time_ns,
        "" if size else reason,
        position.long,
    ), realised


def clip_reduce_only(position: Position | None, side: Side, size: Decimal) -> Decimal:
    """What a reduce-only order of `size` may do at most; 0 where it would not reduce anything (B4)."""
    if position is None or not position.size or (position.size > 0) is (side is Side.BUY):
        return ZERO
    return min(size, abs(position.size))


def break_even(sign: int, entry: Decimal, entry_fee: Decimal, exit_fee: Decimal) -> Decimal:
    """Exit price at which price PnL pays the fees of both ways; fees are rates (P8)."""
    return entry * (ONE + sign * entry_fee) / (ONE - sign * exit_fee)


def even_stop(instrument: Instrument, position: Position) -> Decimal | None:
    """The tick at which a stop at market loses nothing, taker fees of both ways counted (P8); None without an entry."""
    if position.entry is None:
        return None
    fee = instrument.taker_fee
    even = break_even(position.sign, position.entry, fee, fee)
    return (ceil_to if position.size > ZERO else floor_to)(even, instrument.tick)


def inverse_pnl(sign: int, size: Decimal, entry: Decimal, price: Decimal) -> Decimal:
    """PnL in coin of a coin-settled contract; `size` in quote units (P5)."""
    return sign * size * (ONE / entry - ONE / price)


def harmonic_entry(lots: Iterable[tuple[Decimal, Decimal]]) -> Decimal | None:
    """Average entry of (size in quote units, price) lots of an inverse contract (P6); None without size."""
    quote = coin = ZERO
    for size, price in lots:
        quote += size
        coin += size / price
    return quote / coin if coin else None


def spot_holding(holding: Decimal, side: Side, size: Decimal, base_fee: Decimal) -> Decimal:
    """Holding after a spot fill whose fee is taken in the base asset (P7)."""
    return holding + side.sign * size - base_fee


def is_dust(instrument: Instrument, holding: Decimal) -> bool:
    """Not flat, but less than one step: too small to trade away (P7)."""
    return ZERO < abs(holding) < instrument.step
