"""The one way recorded state changes: fold(state, event). Pure bookkeeping; every decision was made before the event.

Longer than most files: one table of small handlers, an event each, so that all that changes state is read in one place.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from msgspec import structs

from engine.core import inbox
from engine.core.state import (
    ATTESTED,
    KEEP_CLOSED,
    KEEP_ENDED,
    KEEP_EQUITY,
    KEEP_REQUESTS,
    Difference,
    Evidence,
    Flattening,
    State,
    bound,
    money_key,
    pair_key,
)
from engine.model import event as ev
from engine.model.account import Account, Position
from engine.model.market import Side
from engine.model.money import ZERO, round_cost
from engine.model.order import TRANSITIONS, IllegalTransition, Order, OrderStatus, OrderTerms

KEEP_ALARMS = 200
_CREATED, _UNKNOWN, _BUY = OrderStatus.CREATED, OrderStatus.UNKNOWN, Side.BUY
_FINAL = frozenset({OrderStatus.FILLED, OrderStatus.REJECTED, OrderStatus.DENIED})
"""A fill the venue reports all the same is booked; the status stays."""
DAY_NS = 86_400_000_000_000


def fold(state: State, event: ev.Event) -> None:
    """Apply one event in place; raises on a gap in seq or a forbidden order transition."""
    seq, body = event.seq, event.body
    if seq != state.seq + 1:
        raise ValueError(f"event {seq} does not follow {state.seq}")
    handler = _HANDLERS.get(type(body))
    if handler is not None:
        handler(state, event, body)
    state.seq = seq
    state.time_ns = event.time_ns


def move(order: Order, status: OrderStatus) -> None:
    """Change an order's status by the table; raises IllegalTransition."""
    if status not in TRANSITIONS[order.status]:
        raise IllegalTransition(f"order {order.terms.id}: {order.status} -> {status} is not allowed")
    order.status = status


def _add(amounts: dict[str, Decimal], asset: str, amount: Decimal) -> None:
    amounts[asset] = amounts.get(asset, ZERO) + amount


def _settle_asset(state: State, instrument: str) -> str:
    return state.instruments[instrument].settle_asset


def _set_reserve(state: State, order: Order, reserve: Decimal) -> None:
    if reserve != order.reserve:
        account = state.accounts[order.terms.account]
        _add(account.reserves, _settle_asset(state, order.terms.instrument), reserve - order.reserve)
        order.reserve = reserve


def _work(state: State, terms: OrderTerms, more: Decimal) -> None:
    """An entry adds to what works for a position, or no longer does."""
    if more and not terms.reduce_only:
        account = state.accounts[terms.account]
        _add(account.buying if terms.side is _BUY else account.selling, terms.instrument, more)


def _set_position(state: State, position: Position) -> None:
    before = state.positions.get(position.id)
    account = state.accounts[position.account]
    held = before.margin if before is not None else ZERO
    if position.margin != held:
        _add(account.margins, _settle_asset(state, position.instrument), position.margin - held)
    if position.size:
        state.positions[position.id] = position
        return
    state.positions.pop(position.id, None)
    state.closed[position.id] = position
    bound(state.closed, KEEP_CLOSED)


def _move(state: State, order: Order, status: OrderStatus) -> None:
    if order.status is _UNKNOWN:
        state.unknown.pop(order.terms.id, None)
    move(order, status)


def _end(state: State, order: Order) -> None:
    _set_reserve(state, order, ZERO)
    if state.orders.pop(order.terms.id, None) is not None:
        _work(state, order.terms, -order.at_worst)
        order.amending, order.unamended = None, ZERO
        state.ended[order.terms.id] = order
        bound(state.ended, KEEP_ENDED)


def _live(state: State, order_id: str) -> Order:
    order = state.orders.get(order_id) or state.ended.get(order_id)
    if order is None:
        raise KeyError(f"order {order_id} is not in the state")
    return order


def _moves(status: OrderStatus) -> Callable[[State, ev.Event, Any], None]:
    def handler(state: State, event: ev.Event, body: Any) -> None:
        order = state.orders.get(body.order) or _live(state, body.order)
        _move(state, order, status)
        order.updated_ns = event.time_ns

    return handler


def _ends(status: OrderStatus) -> Callable[[State, ev.Event, Any], None]:
    def handler(state: State, event: ev.Event, body: Any) -> None:
        order = _live(state, body.order)
        _move(state, order, status)
        order.updated_ns = event.time_ns
        order.reason = body.reason or order.reason
        order.code = getattr(body, "code", "")
        _end(state, order)

    return handler


def _started(state: State, event: ev.Event, body: ev.EngineStarted) -> None:
    state.epoch = event.epoch
    state.env = body.env
    state.feed = body.feed
    state.seed = body.seed


def _instrument(state: State, event: ev.Event, body: ev.InstrumentChanged) -> None:
    state.instruments[body.instrument.id] = body.instrument


def _account(state: State, event: ev.Event, body: ev.AccountOpened) -> None:
    account = Account(event.account, event.venue, body.oms, body.execution, opened_ns=event.time_ns)
    state.accounts[event.account] = account


def _funds(state: State, event: ev.Event, body: ev.FundsMoved) -> None:
    account = state.accounts[event.account]
    _add(account.balances, body.asset, body.amount)
    _add(account.deposited, body.asset, body.amount)
    key = money_key(event.account, body.asset)
    if key in state.day_equity:
        state.day_equity[key] += body.amount
    else:
        state.day[key] = event.time_ns // DAY_NS
        state.day_equity[key] = account.balances[body.asset]


def _config(state: State, event: ev.Event, body: ev.ConfigChanged) -> None:
    state.limits = body.limits


def _kill(state: State, event: ev.Event, body: ev.KillChanged) -> None:
    state.kill = body.on
    state.kill_reason = body.reason


def _flatten_begun(state: State, event: ev.Event, body: ev.FlattenBegun) -> None:
    state.flattening[event.account] = Flattening(event.time_ns, event.owner, event.request_id)


def _flatten_ended(state: State, event: ev.Event, body: ev.FlattenEnded) -> None:
    del state.flattening[event.account]


def _leverage(state: State, event: ev.Event, body: ev.LeverageChanged) -> None:
    state.accounts[event.account].leverage[event.instrument] = body.leverage
    if body.position is not None:
        _set_position(state, body.position)


def _margin(state: State, event: ev.Event, body: ev.MarginChanged) -> None:
    _set_position(state, body.position)


def _intent(state: State, event: ev.Event, body: ev.IntentCreated) -> None:
    state.requests[event.request_id] = event.seq
    if len(state.requests) > KEEP_REQUESTS:
        bound(state.requests, KEEP_REQUESTS)


def _created(state: State, event: ev.Event, body: ev.OrderCreated) -> None:
    terms = body.terms
    trigger = None if terms.type.trails else terms.trigger
    order = Order(terms, _CREATED, terms.size, terms.price, trigger, updated_ns=event.time_ns)
    state.orders[terms.id] = order
    _work(state, terms, terms.size)
    state.orders_made += 1
    if state.signals:
        inbox.order_created(state, terms)
    if body.reserve:
        _set_reserve(state, order, body.reserve)


def _sent(state: State, event: ev.Event, body: ev.OrderSent) -> None:
    order = state.orders.get(body.order) or _live(state, body.order)
    _move(state, order, OrderStatus.SENT)
    order.updated_ns = event.time_ns
    if state.signals:
        inbox.order_sent(state, event.time_ns, order.terms)


def _accepted(state: State, event: ev.Event, body: ev.OrderAccepted) -> None:
    order = _live(state, body.order)
    _move(state, order, OrderStatus.PARTIAL if order.filled else OrderStatus.ACCEPTED)
    order.venue_order_id = body.venue_order_id
    order.updated_ns = event.time_ns


def _triggered(state: State, event: ev.Event, body: ev.OrderTriggered) -> None:
    order = _live(state, body.order)
    _move(state, order, OrderStatus.TRIGGERED)
    order.venue_order_id = body.venue_order_id or order.venue_order_id
    order.updated_ns = event.time_ns


def _trigger_moved(state: State, event: ev.Event, body: ev.TriggerMoved) -> None:
    order = _live(state, body.order)
    order.trigger = body.trigger
    order.extremum = body.extremum


def _trigger_fired(state: State, event: ev.Event, body: ev.TriggerFired) -> None:
    order = state.orders.get(body.order) or _live(state, body.order)
    order.fired = True
    order.updated_ns = event.time_ns


def _filled(state: State, event: ev.Event, body: ev.OrderFilled) -> None:
    order = _live(state, body.order)
    left_before, worst_before = order.remaining, order.at_worst
    order.filled += body.size
    if order.terms.id in state.orders:
        _work(state, order.terms, -min(body.size, worst_before))
    else:
        # More may be heard of it yet: it is the last to be let go of.
        state.ended[order.terms.id] = state.ended.pop(order.terms.id)
    order.value += body.price * body.size
    order.fees += body.fee
    order.fills += 1
    if state.signals:
        inbox.order_filled(state, order.terms, body.size)
    earlier = order.applied.get(body.fill_id)
    order.applied[body.fill_id] = (body.price, body.size if earlier is None else earlier[1] + body.size)
    order.updated_ns = event.time_ns
    account = state.accounts[event.account]
    asset = _settle_asset(state, event.instrument)
    _add(account.balances, asset, body.realised - body.fee + body.insurance)
    if not body.closing and body.position.id not in state.positions:
        state.positions_made += 1
    _set_position(state, body.position)
    if order.status in _FINAL:
        return
    if order.filled >= order.size:
        _move(state, order, OrderStatus.FILLED)
        _end(state, order)
    else:
        if order.status is not _UNKNOWN or state.unknown[order.terms.id].ended is None:
            _move(state, order, OrderStatus.PARTIAL)
        if order.unamended:
            order.unamended = round_cost(order.unamended * order.remaining / left_before)
        if order.reserve:
            _set_reserve(state, order, round_cost(order.reserve * order.at_worst / worst_before))


def _resized(state: State, event: ev.Event, body: ev.OrderResized) -> None:
    order = _live(state, body.order)
    _work(state, order.terms, body.size - order.size)
    order.size = body.size
    order.updated_ns = event.time_ns
    _set_reserve(state, order, body.reserve)


def _amended(state: State, event: ev.Event, body: ev.OrderAmended) -> None:
    order = _live(state, body.order)
    if body.price is not None:
        order.price = body.price
    if body.trigger is not None:
        order.trigger = body.trigger
    worst = order.at_worst
    if body.size is not None:
        order.size = body.size
    if body.price is not None or body.size is not None:
        order.amending, order.unamended = None, ZERO
    elif order.unamended and order.reserve:
        # Another leverage changes what the order needs with an amend and without it alike.
        order.unamended = round_cost(order.unamended * body.reserve / order.reserve)
    _work(state, order.terms, order.at_worst - worst)
    order.updated_ns = event.time_ns
    _set_reserve(state, order, body.reserve)


def _amend_requested(state: State, event: ev.Event, body: ev.AmendRequested) -> None:
    """Nobody knows yet whether it comes about: what is set aside is enough for both."""
    order = _live(state, body.order)
    worst = order.at_worst
    order.amending, order.unamended = (body.price, body.size), order.reserve
    _work(state, order.terms, order.at_worst - worst)
    _set_reserve(state, order, max(order.reserve, body.reserve))


def _amend_rejected(state: State, event: ev.Event, body: ev.AmendRejected) -> None:
    order = _live(state, body.order)
    worst, kept = order.at_worst, order.unamended
    order.amending, order.unamended = None, ZERO
    _work(state, order.terms, order.at_worst - worst)
    _set_reserve(state, order, kept)


def _cancel_requested(state: State, event: ev.Event, body: ev.CancelRequested) -> None:
    _live(state, body.order).cancel_requested = True


def _cancel_rejected(state: State, event: ev.Event, body: ev.CancelRejected) -> None:
    _live(state, body.order).cancel_requested = False


def _unknown(state: State, event: ev.Event, body: ev.OrderUnknown) -> None:
    order = _live(state, body.order)
    known = state.unknown.get(body.order)
    if known is None:
        _move(state, order, _UNKNOWN)
        known = Evidence(event.time_ns, body.evidence)
        order.updated_ns = event.time_ns
    else:
        known = structs.replace(known, last_ns=event.time_ns, last=body.evidence)
    if body.ended is not None or body.filled:
        known = structs.replace(known, ended=body.ended or known.ended, filled=max(known.filled, body.filled))
    state.unknown[body.order] = known


def _asked(state: State, event: ev.Event, body: ev.OrderAsked) -> None:
    known = state.unknown[body.order]
    asked = known.asked + 1
    state.unknown[body.order] = structs.replace(known, asked=asked, last_ns=event.time_ns, last=body.answer)


def _covered(state: State, event: ev.Event, body: ev.FillCovered) -> None:
    order = _live(state, body.order)
    price, left = order.applied[ATTESTED]
    order.applied[ATTESTED] = (price, left - body.size)
    order.applied[body.fill_id] = (body.price, body.size)
    order.updated_ns = event.time_ns


def _differs(state: State, event: ev.Event, body: ev.PositionDiffers) -> None:
    state.differs[pair_key(event.account, event.instrument)] = Difference(event.time_ns, body.ours, body.theirs)


def _agreed(state: State, event: ev.Event, body: ev.PositionAgreed) -> None:
    state.differs.pop(pair_key(event.account, event.instrument), None)


def _funding_due(state: State, event: ev.Event, body: ev.FundingDue) -> None:
    state.funding_due[event.instrument] = (body.due_ns, body.sizes)


def _funding(state: State, event: ev.Event, body: ev.FundingPaid) -> None:
    state.funded[pair_key(event.account, event.instrument)] = body.due_ns
    _add(state.accounts[event.account].balances, _settle_asset(state, event.instrument), body.amount)
    _set_position(state, body.position)


def _equity(state: State, event: ev.Event, body: ev.EquitySampled) -> None:
    key = money_key(event.account, body.asset)
    equity = body.wallet + body.unrealised
    day = event.time_ns // DAY_NS
    if state.day.get(key) != day:
        state.day[key] = day
        state.day_equity[key] = equity
    line = state.equity.setdefault(key, [])
    line.append((event.time_ns, str(equity)))
    del line[:-KEEP_EQUITY]


def _marks(state: State, event: ev.Event, body: ev.MarksNoted) -> None:
    state.marks.update(body.marks)


def _alarm(state: State, event: ev.Event, body: ev.AlarmRaised) -> None:
    state.alarms.append((event.time_ns, body.code, body.message))
    del state.alarms[:-KEEP_ALARMS]


_HANDLERS: dict[type, Callable[[State, ev.Event, Any], None]] = {
    ev.EngineStarted: _started,
    ev.InstrumentChanged: _instrument,
    ev.AccountOpened: _account,
    ev.FundsMoved: _funds,
    ev.ConfigChanged: _config,
    ev.KillChanged: _kill,
    ev.FlattenBegun: _flatten_begun,
    ev.FlattenEnded: _flatten_ended,
    ev.LeverageChanged: _leverage,
    ev.MarginChanged: _margin,
    ev.IntentCreated: _intent,
    ev.OrderCreated: _created,
    ev.OrderDenied: _ends(OrderStatus.DENIED),
    ev.OrderHeld: _moves(OrderStatus.HELD),
    ev.OrderSent: _sent,
    ev.OrderAccepted: _accepted,
    ev.OrderTriggered: _triggered,
    ev.OrderRejected: _ends(OrderStatus.REJECTED),
    ev.TriggerMoved: _trigger_moved,
    ev.TriggerFired: _trigger_fired,
    ev.OrderFilled: _filled,
    ev.OrderResized: _resized,
    ev.OrderAmended: _amended,
    ev.AmendRequested: _amend_requested,
    ev.AmendRejected: _amend_rejected,
    ev.CancelRequested: _cancel_requested,
    ev.CancelRejected: _cancel_rejected,
    ev.OrderCancelled: _ends(OrderStatus.CANCELLED),
    ev.OrderExpired: _ends(OrderStatus.EXPIRED),
    ev.OrderUnknown: _unknown,
    ev.OrderAsked: _asked,
    ev.FillCovered: _covered,
    ev.PositionDiffers: _differs,
    ev.PositionAgreed: _agreed,
    ev.FundingDue: _funding_due,
    ev.FundingPaid: _funding,
    ev.EquitySampled: _equity,
    ev.MarksNoted: _marks,
    ev.SignalReceived: inbox.received,
    ev.SignalWaits: inbox.waits,
    ev.SignalApproved: inbox.approved,
    ev.SignalEnded: inbox.ended,
    ev.AlarmRaised: _alarm,
}
