"""Margin and liquidation of linear contracts (semantics 2).

One equation for all venues: equity(P) = margin + Q*P - C; liquidated when equity(P) <= maintenance(P) + |Q|*P*f.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from engine.core.positions import apply_fill, split_fill
from engine.model.account import Position
from engine.model.instrument import Instrument, MaintenanceBasis, MarginModel, Tier
from engine.model.market import Side
from engine.model.money import ZERO, round_cost, round_fee


def tier_of(instrument: Instrument, notional: Decimal) -> Tier:
    """The maintenance tier of a notional: floors exclusive, caps inclusive; beyond the last cap, the last tier."""
    for tier in instrument.tiers:
        if tier.cap is None or notional <= tier.cap:
            return tier
    return instrument.tiers[-1]


def maintenance(instrument: Instrument, notional: Decimal) -> Decimal:
    """Maintenance margin of a notional, settle asset."""
    tier = tier_of(instrument, notional)
    return notional * tier.mmr - tier.cum


def required(instrument: Instrument, position: Position, price: Decimal) -> Decimal | None:
    """Equity at which a position is liquidated at a price, by the venue's margin model; None where nothing liquidates it."""
    profile = instrument.profile
    if instrument.is_spot:
        return None
    if profile.margin_model is MarginModel.FRACTION:
        return profile.fraction * abs(position.cost) / position.leverage
    if not instrument.tiers:
        return None
    notional = abs(position.size) * price
    basis = abs(position.cost) if profile.mm_basis is MaintenanceBasis.ENTRY else notional
    return maintenance(instrument, basis) + notional * profile.fee_reserve


def max_leverage(instrument: Instrument, notional: Decimal) -> int:
    """Highest leverage the venue allows at a notional; spot has none."""
    if instrument.is_spot:
        return 1
    most = instrument.max_leverage
    tiered = tier_of(instrument, notional).max_leverage if instrument.tiers else 0
    return tiered if 0 < tiered < most else most


def reserve(instrument: Instrument, size: Decimal, price: Decimal, leverage: int) -> Decimal:
    """Money a working entry sets aside: its initial margin and taker fee. For a market order the worst visible price."""
    value = size * price
    return round_cost(value / leverage) + round_fee(value * instrument.taker_fee)


def liquidation_price(instrument: Instrument, position: Position) -> Decimal | None:
    """Mark at which an isolated position is liquidated, by the venue's margin model; None where there is none (L1-L13)."""
    if not position.size or instrument.is_spot:
        return None
    profile = instrument.profile
    if profile.margin_model is MarginModel.FRACTION:
        kept = profile.fraction * abs(position.cost) / position.leverage
        return _positive((position.cost - position.margin + kept) / position.size)
    if not instrument.tiers:
        return None
    if profile.mm_basis is MaintenanceBasis.ENTRY:
        kept = maintenance(instrument, abs(position.cost))
        growth = position.size - abs(position.size) * profile.fee_reserve
        return _positive((position.cost - position.margin + kept) / growth)
    return _solve(instrument, position.size, position.cost, position.margin)


def cross_liquidation_price(
    instrument: Instrument, position: Position, wallet: Decimal, other_maintenance: Decimal, other_unrealised: Decimal
) -> Decimal | None:
    """Liquidation price in cross mode: the wallet backs the position, less what all OTHER positions need and lose.

    For case C1; the desk itself is isolated only.
    """
    if not position.size or not instrument.tiers:
        return None
    return _solve(instrument, position.size, position.cost, wallet - other_maintenance + other_unrealised)


def bankruptcy_price(position: Position) -> Decimal | None:
    """Price at which the margin is lost whole; 0 where no price is low enough, None when flat."""
    if not position.size:
        return None
    return max((position.cost - position.margin) / position.size, ZERO)


def with_liquidation(instrument: Instrument, position: Position) -> Position:
    """The position with its liquidation price set; due after every fill, margin change, funding and tier update."""
    return msgspec.structs.replace(position, liquidation=liquidation_price(instrument, position))


def after_fill(
    instrument: Instrument,
    account: str,
    held: Position | None,
    side: Side,
    size: Decimal,
    price: Decimal,
    leverage: int,
) -> Position:
    """The position as a fill would leave it, with its liquidation price; `leverage` is that of a new lot."""
    position = held
    for part in split_fill(held, side, size, ZERO):
        if position is None or not position.size:
            position = Position("", account, instrument.id, leverage=leverage)
        position, _ = apply_fill(position, part.size * side.sign, price)
    assert position is not None
    return with_liquidation(instrument, position)


def _positive(price: Decimal) -> Decimal | None:
    return price if price > 0 else None


def _solve(instrument: Instrument, size: Decimal, cost: Decimal, margin: Decimal) -> Decimal | None:
    """The tier is that of the notional AT the liquidation price; the entry's is only the likeliest."""
    free_cost = cost - margin
    quantity = abs(size)
    fee = instrument.profile.fee_reserve
    tier = tier_of(instrument, abs(cost))
    price = (free_cost - tier.cum) / (size - quantity * (tier.mmr + fee))
    notional = quantity * price
    if tier.floor < notional and (tier.cap is None or notional <= tier.cap):
        return price
    # Maintenance is the highest of the tiers' lines (rates only rise), so the first line met liquidates. Unlike
    # looking for a range that holds the answer, this has no gap where rounding meets a boundary.
    prices = [(free_cost - tier.cum) / (size - quantity * (tier.mmr + fee)) for tier in instrument.tiers]
    return _positive(max(prices) if size > 0 else min(prices))
