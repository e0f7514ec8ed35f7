"""Rounding at the edge, and the size filters checked after it (semantics 0)."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from engine.model.instrument import Instrument
from engine.model.market import Side
from engine.model.money import ZERO, ceil_to, floor_to

BUY = Side.BUY


class Refusal(Struct, frozen=True):
    """Why something cannot be done: a code for programs; a message that names field, value and remedy."""

    code: str
    message: str


def round_size(instrument: Instrument, size: Decimal) -> Decimal:
    """Down to the step: never more than asked (R1)."""
    return floor_to(size, instrument.step)


def round_limit(instrument: Instrument, side: Side, price: Decimal) -> Decimal:
    """A buy down, a sell up: never a worse price than asked (R2)."""
    return floor_to(price, instrument.tick) if side is BUY else ceil_to(price, instrument.tick)


def round_stop(instrument: Instrument, side: Side, trigger: Decimal) -> Decimal:
    """Trigger of a protective stop; `side` is the order's own. Sell up, buy down: never more risk than asked (R3)."""
    return floor_to(trigger, instrument.tick) if side is Side.BUY else ceil_to(trigger, instrument.tick)


def round_stop_entry(instrument: Instrument, side: Side, trigger: Decimal) -> Decimal:
    """Trigger of a stop that enters: away from the market, so a buy up, a sell down."""
    return ceil_to(trigger, instrument.tick) if side is Side.BUY else floor_to(trigger, instrument.tick)


def round_take_profit(instrument: Instrument, side: Side, trigger: Decimal) -> Decimal:
    """Trigger of a take profit; `side` is the order's own. Towards the market, so a sell down, a buy up."""
    return ceil_to(trigger, instrument.tick) if side is Side.BUY else floor_to(trigger, instrument.tick)


def check_size(
    instrument: Instrument, size: Decimal, price: Decimal | None, reduce_only: bool, whole_position: bool
) -> Refusal | None:
    """The venue's size filters on the rounded size (R4, R5); None when it passes. An unknown price skips the notional.

    A reduce-only close of the whole position passes the minimum size, and the minimum notional where the venue
    exempts it. Codes: BELOW_STEP, BELOW_MIN_SIZE, ABOVE_MAX_SIZE, BELOW_MIN_NOTIONAL.
    """
    rounded = round_size(instrument, size) if size % instrument.step else size
    whole_close = reduce_only and whole_position
    if rounded <= ZERO:
        return Refusal("BELOW_STEP", f"size: {size:f} is below the step {instrument.step}; ask for at least one step")
    if rounded < instrument.min_size and not whole_close:
        least = instrument.min_size
        return Refusal("BELOW_MIN_SIZE", f"size: {rounded} is below the minimum {least}; ask for {least} or more")
    if instrument.max_size is not None and rounded > instrument.max_size:
        most = instrument.max_size
        return Refusal("ABOVE_MAX_SIZE", f"size: {rounded} is above the maximum {most}; split it into smaller orders")
    if price is None or (whole_close and instrument.profile.reduce_only_exempt_from_min_notional):
        return None
    notional = rounded * price
    if notional < instrument.min_notional:
        least = ceil_to(instrument.min_notional / price, instrument.step)
        return Refusal(
            "BELOW_MIN_NOTIONAL",
            f"size: {rounded} at {price} is worth {notional.normalize():f}, below the minimum notional "
            f"{instrument.min_notional}; ask for {least} or more",
        )
    return None
