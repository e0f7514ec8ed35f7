"""A price met armed levels: liquidations, stops, trails and targets, in the order of semantics 4."""

from __future__ import annotations

from decimal import Decimal

from engine.core.arming import arm_order, arm_position, fires_upward, trail_level
from engine.core.brackets import cap_reduce_only, stand_again
from engine.core.closing import taken_at_once
from engine.core.kernel import Kernel, share
from engine.core.lifecycle import alternatives, send, withdraw
from engine.core.liquidation import liquidate
from engine.core.market import Market, watched_by
from engine.core.risk import may_enter, outcomes_known, within_daily_loss
from engine.core.rounding import Refusal, round_limit
from engine.core.triggers import Kind, Watched
from engine.model import event as ev
from engine.model.account import Execution
from engine.model.market import Side
from engine.model.order import Order, OrderStatus

LIQUIDATE, TRAIL_MOVE = Kind.LIQUIDATE, Kind.TRAIL_MOVE
HELD = OrderStatus.HELD


def fire(kernel: Kernel, market: Market, watched: Watched, price: Decimal) -> None:
    """Act on everything a price of this kind crosses. One event, one decision per group of alternatives."""
    crossed = market.triggers.levels[watched].take(float(price))
    for kind, _, owner in crossed:
        if kind is LIQUIDATE:
            _liquidate(kernel, owner, price)
            continue
        order = kernel.state.orders.get(owner)
        if order is None or order.status is not HELD:
            continue
        if kind is TRAIL_MOVE:
            _tighten(kernel, market, order, price)
        else:
            _trigger(kernel, market, order, watched, price)
    market.set_band()


def _liquidate(kernel: Kernel, position_id: str, price: Decimal) -> None:
    position = kernel.state.positions.get(position_id)
    if position is None or position.liquidation is None:
        return
    if price <= position.liquidation if position.size > 0 else price >= position.liquidation:
        liquidate(kernel, position, price)
    else:
        arm_position(kernel, position)


def _trigger(kernel: Kernel, market: Market, order: Order, watched: Watched, price: Decimal) -> None:
    level = order.trigger
    if level is None:
        return
    if not (price >= level if fires_upward(order) else price <= level):
        arm_order(kernel, order)
        return
    terms = order.terms
    market.triggers.disarm(terms.id)
    blocked = None if terms.reduce_only else _may_enter(kernel, market, terms.account)
    if blocked is not None:
        withdraw(kernel, order, f"triggered, but {blocked.message}")
        return
    journal = kernel.journal
    body = ev.TriggerFired(terms.id, price, watched, market.top(kernel.clock))
    journal.cause = journal.emit_order(order, body)
    for other in alternatives(kernel, order):
        if _met(market, other, price, watched):
            withdraw(kernel, other, f"{terms.id} fired on the same price")
    rest = _fit(kernel, market, order)
    send(kernel, order)
    if rest >= market.instrument.step:
        stand_again(kernel, order, rest, apart=True)


def _fit(kernel: Kernel, market: Market, order: Order) -> Decimal:
    """Bring what fires to what its venue takes, whose filters may be others than when it was placed; returns what it leaves."""
    terms, price = order.terms, order.price
    size = taken_at_once(kernel, terms.account, terms.instrument, order.size)
    if price is not None and kernel.state.accounts[terms.account].execution is Execution.VENUE:
        price = round_limit(market.instrument, terms.side, price) or price
    rest = order.size - size
    if rest or price != order.price:
        aside = share(order.reserve, size, order.size)
        kernel.journal.emit_order(order, ev.OrderAmended(terms.id, price, None, size, aside))
    return rest


def _may_enter(kernel: Kernel, market: Market, account: str) -> Refusal | None:
    instrument = market.instrument
    return (
        may_enter(kernel, market)
        or outcomes_known(kernel, account, instrument.id, [])
        or within_daily_loss(kernel, account, instrument, [])
    )


def _met(market: Market, order: Order, price: Decimal, watched: Watched) -> bool:
    """Whether the same price would have fired this alternative too."""
    terms = order.terms
    if order.status is not HELD or order.trigger is None or watched_by(terms.source, terms.side) is not watched:
        return False
    return price >= order.trigger if fires_upward(order) else price <= order.trigger


def _tighten(kernel: Kernel, market: Market, order: Order, price: Decimal) -> None:
    """Activate a trailing stop or move it towards the market; it never loosens."""
    terms = order.terms
    if order.trigger is None and terms.trigger is not None:
        met = price >= terms.trigger if terms.activate_above else price <= terms.trigger
        if not met:
            arm_order(kernel, order)
            return
    level = trail_level(market, order, price)
    tightens = order.trigger is None or (level > order.trigger if terms.side is Side.SELL else level < order.trigger)
    activates = order.trigger is None
    if tightens:
        kernel.journal.emit_order(order, ev.TriggerMoved(terms.id, level, price))
    if activates and terms.reduce_only:
        # From now on it protects, and shares the position with the other stops.
        cap_reduce_only(kernel, terms.account, terms.instrument)
    if not order.ended:
        arm_order(kernel, order)
