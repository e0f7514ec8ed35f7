"""Which price levels an order or a position arms, and which way they fire (semantics 2 and 4)."""

from __future__ import annotations

import math
from decimal import Decimal

from engine.core.kernel import Kernel
from engine.core.market import Market, watched_by
from engine.core.triggers import INF, Kind, Watched
from engine.model.account import Execution, Position
from engine.model.instrument import Instrument, MarkSource
from engine.model.market import Side
from engine.model.money import ONE, ceil_to, floor_to
from engine.model.order import Order, OrderType, Role

BPS = Decimal(10_000)
BUY, PAPER = Side.BUY, Execution.PAPER
_TAKES_PROFIT = frozenset({OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT})


def fires_upward(order: Order) -> bool:
    """Whether a held order fires at or above its level: a buy stop and a sell take profit do."""
    return (order.terms.side is BUY) is not (order.terms.type in _TAKES_PROFIT)


def kind_of(order: Order) -> Kind:
    """Priority of a held order among those that fire on one price."""
    if order.terms.type.trails:
        return Kind.TRAIL_FIRE
    if not order.terms.reduce_only:
        return Kind.ENTRY
    return Kind.TAKE_PROFIT if order.terms.type in _TAKES_PROFIT else Kind.STOP_LOSS


def arm_order(kernel: Kernel, order: Order) -> None:
    """Arm a held order's level; a trailing stop also arms the price at which it tightens, or its activation."""
    terms = order.terms
    market = kernel.market(terms.instrument)
    watched = watched_by(terms.source, terms.side)
    triggers = market.triggers
    triggers.disarm(terms.id)
    if not terms.type.trails:
        if order.trigger is not None:
            triggers.arm(watched, float(order.trigger), fires_upward(order), kind_of(order), terms.id)
    elif order.trigger is not None:
        triggers.arm(watched, float(order.trigger), fires_upward(order), Kind.TRAIL_FIRE, terms.id)
        triggers.arm(watched, _tightens_at(market, order), not fires_upward(order), Kind.TRAIL_MOVE, terms.id)
    elif terms.trigger is None:
        triggers.arm(watched, -INF, True, Kind.TRAIL_MOVE, terms.id)
    else:
        triggers.arm(watched, float(terms.trigger), terms.activate_above, Kind.TRAIL_MOVE, terms.id)
    market.set_band()


def trail_level(market: Market, order: Order, extremum: Decimal) -> Decimal:
    """Where a trailing stop stands for an extremum, rounded towards it."""
    terms = order.terms
    return trailed(market.instrument, terms.side, extremum, terms.trail_bps, terms.trail_offset)


def trailed(
    instrument: Instrument, side: Side, extremum: Decimal, bps: Decimal | None, offset: Decimal | None = None
) -> Decimal:
    """The level a distance behind an extremum, rounded towards it; `side` is the order's own."""
    distance = offset if offset is not None else extremum * (bps or 0) / BPS
    if side is Side.SELL:
        return ceil_to(extremum - distance, instrument.tick)
    return floor_to(extremum + distance, instrument.tick)


def _tightens_at(market: Market, order: Order) -> float:
    """First price at which the trailing level would move by a tick."""
    terms = order.terms
    assert order.trigger is not None
    if terms.trail_offset is not None:
        sign = 1 if terms.side is Side.SELL else -1
        extremum = order.trigger + sign * terms.trail_offset
    elif terms.side is Side.SELL:
        extremum = order.trigger / (ONE - (terms.trail_bps or 0) / BPS)
    else:
        extremum = order.trigger / (ONE + (terms.trail_bps or 0) / BPS)
    return math.nextafter(float(extremum), INF if terms.side is Side.SELL else -INF)


def arm_position(kernel: Kernel, position: Position) -> None:
    """Arm a position's liquidation on its mark; a flat one or one without a price arms nothing.

    At a venue only the venue liquidates.
    """
    market = kernel.market(position.instrument)
    market.triggers.disarm(position.id)
    liquidates = kernel.state.accounts[position.account].execution is PAPER
    if liquidates and position.size and position.liquidation is not None:
        long = position.size > 0
        watched = Watched.MARK
        if market.instrument.profile.mark_source is MarkSource.EXIT_SIDE:
            watched = Watched.BID if long else Watched.ASK
        market.triggers.arm(watched, float(position.liquidation), not long, Kind.LIQUIDATE, position.id)
    market.set_band()


def role_of_exit(order_type: OrderType) -> Role:
    """What a held reduce-only order is called when it closes a position."""
    if order_type.trails:
        return Role.TRAILING
    return Role.TAKE_PROFIT if order_type in _TAKES_PROFIT else Role.STOP_LOSS
