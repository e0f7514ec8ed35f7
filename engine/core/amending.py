"""Amending a working order: what it would become is planned first, and passes the rules a new one passes."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from engine.core.arming import arm_order
from engine.core.brackets import cap_reduce_only
from engine.core.kernel import Kernel, share
from engine.core.lifecycle import at_venue
from engine.core.margin import reserve
from engine.core.paper import amend_resting
from engine.core.plan import check_trigger, round_trigger
from engine.core.positions import clip_reduce_only
from engine.core.risk import check_entry, may_enter, not_flattening, outcomes_known
from engine.core.rounding import Refusal, check_size, round_limit, round_size
from engine.core.unknown import live_order, unknown
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.instrument import Instrument
from engine.model.market import Side
from engine.model.money import ZERO
from engine.model.order import Order, OrderStatus, OrderType


class Amendment(NamedTuple):
    """What an order would become: rounded levels and size (None: unchanged), and the margin set aside for it, settle asset."""

    order: Order
    price: Decimal | None
    trigger: Decimal | None
    size: Decimal | None
    aside: Decimal


def amend(kernel: Kernel, account: str, command: cmd.AmendOrder) -> Refusal | None:
    """Change a working order."""
    planned = plan_amend(kernel, account, command)
    if isinstance(planned, Refusal):
        return planned
    order, price, trigger, size, aside = planned
    terms = order.terms
    if at_venue(kernel, order):
        kernel.journal.emit_order(order, ev.AmendRequested(terms.id, price, size, aside))
        return None
    kernel.journal.emit_order(order, ev.OrderAmended(terms.id, price, trigger, size, aside))
    if order.status is OrderStatus.HELD:
        arm_order(kernel, order)
    else:
        amend_resting(kernel, order)
    if terms.reduce_only:
        cap_reduce_only(kernel, account, terms.instrument)
    return None


def plan_amend(kernel: Kernel, account: str, command: cmd.AmendOrder) -> Amendment | Refusal:
    """What an amend would do at this moment; changes nothing."""
    order = live_order(kernel, account, command.order)
    if order is None:
        return unknown("order", command.order, kernel.state.orders)
    refusal = _shape(order, command)
    if refusal is not None:
        return refusal
    terms = order.terms
    instrument = kernel.instrument(terms.instrument)
    price = round_limit(instrument, terms.side, command.price) if command.price is not None else None
    size = round_size(instrument, command.size) if command.size is not None else None
    trigger = None
    if command.trigger is not None:
        reduces = terms.reduce_only
        trigger = round_trigger(instrument, terms.side, terms.type, command.trigger, reduce_only=reduces)
    refusal = _levels(kernel, account, instrument, order, price, trigger)
    if refusal is None and size is not None:
        refusal = _size(kernel, account, instrument, order, size, price or order.price or trigger or order.trigger)
    if refusal is not None:
        return refusal
    only_less = price is None and trigger is None
    left = (size or order.size) - order.filled
    valued = _valued(kernel, order, price, trigger)
    aside = share(order.reserve, left, order.remaining)
    if not only_less and not terms.reduce_only and valued is not None:
        aside = reserve(instrument, left, valued, kernel.leverage(account, instrument.id))
    if not terms.reduce_only and not (only_less and size is not None and size < order.size):
        limit = price or order.price if terms.type is OrderType.LIMIT else None
        refusal = _entry(kernel, account, instrument, order, left, limit, valued, aside)
        if refusal is not None:
            return refusal
    return Amendment(order, price, trigger, size, aside)


def _shape(order: Order, command: cmd.AmendOrder) -> Refusal | None:
    terms = order.terms
    if command.price is None and command.trigger is None and command.size is None:
        return Refusal("NOTHING", f"amend: nothing of order {terms.id} is changed; give a price, trigger or size")
    if order.status is OrderStatus.SENT:
        return Refusal("IN_FLIGHT", f"order {terms.id} is on its way to the venue; amend it once it is there")
    if order.status is OrderStatus.UNKNOWN or order.cancel_requested:
        return Refusal("IN_FLIGHT", f"order {terms.id} is being cancelled or looked for; wait for the venue's answer")
    if order.amending is not None:
        return Refusal("IN_FLIGHT", f"order {terms.id} is being amended; wait for the venue's answer")
    if command.trigger is not None and (order.status is not OrderStatus.HELD or terms.type.trails):
        return Refusal("TRIGGER", f"trigger: order {terms.id} has none to change; cancel it and place another")
    if command.price is not None and not terms.type.has_price:
        return Refusal("PRICE", f"price: a {terms.type} order has none to change; amend its trigger or size")
    return None


def _levels(
    kernel: Kernel, account: str, instrument: Instrument, order: Order, price: Decimal | None, trigger: Decimal | None
) -> Refusal | None:
    terms = order.terms
    for field, value in (("price", price), ("trigger", trigger)):
        if value is not None and value <= 0:
            return Refusal("PRICE", f"{field}: below one tick of {instrument.tick}; type a price of at least that")
    if trigger is None:
        return None
    closes = kernel.state.position_of(account, instrument.id, terms.leg) if terms.reduce_only else None
    return check_trigger(kernel, instrument, terms.side, terms.type, terms.source, trigger, closes)


def _size(
    kernel: Kernel, account: str, instrument: Instrument, order: Order, size: Decimal, price: Decimal | None
) -> Refusal | None:
    terms = order.terms
    if size <= order.filled:
        return Refusal("SIZE", f"size: {order.filled} of {terms.id} is filled already; ask for more or cancel")
    whole = False
    if terms.reduce_only:
        position = kernel.state.position_of(account, instrument.id, terms.leg)
        left = size - order.filled
        most = clip_reduce_only(position, terms.side, left)
        if left > most:
            return Refusal("REDUCE_ONLY", f"size: {left} is larger than the position of {most}; ask for at most that")
        whole = position is not None and left == abs(position.size)
    return check_size(instrument, size, price, terms.reduce_only, whole)


def _valued(kernel: Kernel, order: Order, price: Decimal | None, trigger: Decimal | None) -> Decimal | None:
    """What the amended entry is valued at: a selling limit fills above its price where what it meets stands there."""
    terms = order.terms
    price, trigger = price or order.price, trigger or order.trigger
    if price is None or terms.side is Side.BUY or terms.post_only:
        return price or trigger
    held = order.status is OrderStatus.HELD
    meets = trigger if held else kernel.market(terms.instrument).taker_price(Side.SELL)
    return price if meets is None else max(price, meets)


def _entry(
    kernel: Kernel,
    account: str,
    instrument: Instrument,
    order: Order,
    left: Decimal,
    limit: Decimal | None,
    price: Decimal | None,
    aside: Decimal,
) -> Refusal | None:
    market = kernel.market(instrument.id)
    refusal = (
        not_flattening(kernel, account)
        or may_enter(kernel, market)
        or outcomes_known(kernel, account, instrument.id, [])
    )
    if refusal is not None or price is None:
        return refusal
    terms = order.terms
    more = max(aside - order.reserve, ZERO)
    known = kernel.state.accounts[account]
    free = max(known.free(instrument.settle_asset), ZERO)
    others = known.working(instrument.id, terms.side) - order.remaining
    leverage = kernel.leverage(account, instrument.id)
    best = market.taker_price(terms.side)
    return check_entry(
        kernel, account, instrument, terms.side, limit, left, others, price, best, leverage, more, free, []
    )
