"""What is recorded of signals: the fold's part of them (DESIGN 7)."""

from __future__ import annotations

from decimal import Decimal

from engine.core.state import (
    KEEP_KEYS,
    KEEP_SIGNAL_ORDERS,
    KEEP_SIGNALS,
    SignalRecord,
    State,
    bound,
    signal_key,
)
from engine.model import event as ev
from engine.model.market import Top
from engine.model.order import OrderTerms
from engine.model.signal import SignalAction

SHOWN_ORDERS = 20
SOURCE = "source:"
"""How the owner of what signals do begins."""


def owner_of(source: str) -> str:
    """Who owns what a source's signals do."""
    return SOURCE + source


def signal_of(request_id: str) -> str:
    """The signal that a request was made for: later tries of one signal have ids of their own, `<signal>/2` ..."""
    return request_id.partition("/")[0]


def received(state: State, event: ev.Event, body: ev.SignalReceived) -> None:
    """Its key is taken, and it is live until it ended."""
    signal = body.signal
    state.signal_keys[signal_key(signal.source, signal.key)] = (signal.id, signal.body_hash)
    bound(state.signal_keys, KEEP_KEYS)
    state.signals[signal.id] = SignalRecord(
        signal,
        body.policy,
        event.account,
        event.instrument,
        event.seq,
        event.time_ns,
        event.time_ns,
        _price(signal.action, body.top),
    )


def waits(state: State, event: ev.Event, body: ev.SignalWaits) -> None:
    """It waits."""
    record = state.signals[body.signal]
    record.waits, record.until_ns, record.attempt = body.reason, body.until_ns, body.attempt


def approved(state: State, event: ev.Event, body: ev.SignalApproved) -> None:
    """From here on it is as fresh as one that just came, and behind all that came before."""
    record = state.signals.pop(body.signal)
    state.signals[body.signal] = record
    record.approved = True
    record.waits, record.until_ns = None, 0
    record.since_ns = event.time_ns
    record.price = _price(record.signal.action, body.top)


def ended(state: State, event: ev.Event, body: ev.SignalEnded) -> None:
    """Its verdict."""
    record = state.signals.pop(body.signal)
    record.waits, record.until_ns = None, 0
    record.verdict, record.code, record.message = body.status, body.code, body.message
    record.ended_ns = event.time_ns
    state.signals_ended[body.signal] = record
    bound(state.signals_ended, KEEP_SIGNALS)


def order_created(state: State, terms: OrderTerms) -> None:
    """An order that a signal became; its bracket is the order's own."""
    record = _record(state, terms)
    if record is None:
        return
    record.orders = (*record.orders, terms.id)[-SHOWN_ORDERS:]
    record.waits, record.until_ns = None, 0
    if terms.position:
        record.exit = terms.id
    else:
        record.entry = terms.id


def order_sent(state: State, time_ns: int, terms: OrderTerms) -> None:
    """A signal whose entry may have left counts once against its source's orders an hour, however often it is tried."""
    record = _record(state, terms)
    if record is None or record.counted or terms.id != record.entry:
        return
    record.counted = True
    times = state.signal_orders.setdefault(record.signal.source, [])
    times.append(time_ns)
    if len(times) > KEEP_SIGNAL_ORDERS + KEEP_SIGNAL_ORDERS // 8:
        del times[:-KEEP_SIGNAL_ORDERS]


def order_filled(state: State, terms: OrderTerms, size: Decimal) -> None:
    """What a signal's orders closed and opened."""
    record = _record(state, terms)
    if record is None:
        return
    if terms.position:
        record.closed += size
    else:
        record.opened += size


def _record(state: State, terms: OrderTerms) -> SignalRecord | None:
    record = state.signals.get(signal_of(terms.request_id))
    if record is None or terms.parent or terms.owner != owner_of(record.signal.source):
        return None
    return record


def _price(action: SignalAction, top: Top | None) -> Decimal | None:
    """What an entry would have met."""
    if top is None or top.bid is None or top.ask is None or action not in (SignalAction.LONG, SignalAction.SHORT):
        return None
    return Decimal(top.ask if action is SignalAction.LONG else top.bid)
