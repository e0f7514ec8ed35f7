"""Signals as their events tell them, and what rows 3 and 10 say of them: one receipt, one verdict, and only the orders that were allowed."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

from engine.core.state import State
from engine.model import event as ev
from engine.model.event import Event
from engine.model.market import Side
from engine.model.order import OrderTerms, OrderType
from engine.model.signal import (
    Opposite,
    Policy,
    QuantityUnit,
    Signal,
    SignalAction,
    SourceMode,
    Verdict,
    WaitsFor,
)

if TYPE_CHECKING:
    from tests.simulation.books import Books

ZERO = Decimal(0)
HOUR_NS = 3_600_000_000_000
OWNER = "source:"
LONG, SHORT, CLOSE = SignalAction.LONG, SignalAction.SHORT, SignalAction.CLOSE
ENTERS = {LONG: Side.BUY, SHORT: Side.SELL}
CLOSES = {CLOSE: (1, -1), SignalAction.CLOSE_LONG: (1,), SignalAction.CLOSE_SHORT: (-1,)}
"""The signs of the positions that it closes."""
NEVER_LEFT = ("UNREACHABLE", "RATE_LIMITED")


class Told:
    """A signal as its events tell it."""

    __slots__ = (
        "approved",
        "begun",
        "declined",
        "entered",
        "entries",
        "filled",
        "pair",
        "policy",
        "seq",
        "signal",
        "verdict",
    )

    def __init__(self, signal: Signal, policy: Policy, pair: tuple[str, str], seq: int) -> None:
        self.signal = signal
        self.policy = policy
        self.pair = pair
        """(account, instrument)."""
        self.seq = seq
        self.begun = seq if policy.mode is SourceMode.TRADE and not signal.test else 0
        """When it was let go; 0 before that."""
        self.verdict: Verdict | None = None
        self.approved = self.declined = False
        self.entries: dict[str, bool] = {}
        """Orders that enter -> it may have reached the market."""
        self.filled = self.entered = ZERO


class Signals:
    """Every signal of a seed; a part of the books."""

    def __init__(self) -> None:
        self.by_id: dict[str, Told] = {}
        self.by_key: dict[tuple[str, str], Told] = {}
        self.live: dict[str, Told] = {}
        """Those without a verdict."""
        self.left: dict[str, list[int]] = {}
        """Source -> when the entries of its signals left, one time a signal."""
        self.expired = False
        """One expired in this outcome."""

    def of(self, event: Event) -> Told | None:
        """The signal that an event's request stands for; None of anything but a source's order."""
        return self.by_id.get(event.request_id.partition("/")[0]) if event.owner.startswith(OWNER) else None

    def take(self, event: Event) -> None:
        """Book one event."""
        body = event.body
        if isinstance(body, ev.SignalReceived):
            told = Told(body.signal, body.policy, (event.account, event.instrument), event.seq)
            self.by_id[body.signal.id] = self.by_key[body.signal.source, body.signal.key] = told
            self.live[body.signal.id] = told
        elif isinstance(body, ev.SignalApproved):
            self.by_id[body.signal].approved = True
            self.by_id[body.signal].begun = event.seq
        elif isinstance(body, ev.SignalDeclined):
            self.by_id[body.signal].declined = True
        elif isinstance(body, ev.SignalEnded):
            self.by_id[body.signal].verdict = body.status
            self.expired = self.expired or body.status is Verdict.EXPIRED
            self.live.pop(body.signal, None)
        elif (asking := self.of(event)) is not None:
            self._order(asking, event)

    def _order(self, told: Told, event: Event) -> None:
        body = event.body
        if isinstance(body, ev.OrderCreated) and not body.terms.parent and not body.terms.reduce_only:
            told.entries[body.terms.id] = True
        elif isinstance(body, ev.OrderRejected) and body.order in told.entries:
            told.entries[body.order] = body.code not in NEVER_LEFT
        elif isinstance(body, ev.OrderSent) and list(told.entries) == [body.order]:
            self.left.setdefault(told.signal.source, []).append(event.time_ns)
        elif isinstance(body, ev.OrderFilled):
            told.filled += body.size
            told.entered += body.size if body.order in told.entries else ZERO


# --- Before an event is booked ------------------------------------------------------------------------


def row_03_received_once(books: Books, event: Event) -> str | None:
    """A key, and an id, is one signal for ever; a signal has one verdict."""
    body, signals = event.body, books.signals
    if isinstance(body, ev.SignalReceived):
        slot = (body.signal.source, body.signal.key)
        if slot in signals.by_key or body.signal.id in signals.by_id:
            return f"signal {body.signal.id} of {slot} was received again"
    if isinstance(body, ev.SignalEnded) and body.signal not in signals.live:
        return f"signal {body.signal} ended {body.status} without being open: it has its verdict, or never came"
    return None


def row_03_one_entry(books: Books, event: Event) -> str | None:
    """A signal enters once: again only where what it sent provably never left."""
    body, told = event.body, books.signals.of(event)
    if told is None or not isinstance(body, ev.OrderCreated) or body.terms.parent or body.terms.reduce_only:
        return None
    before = [order for order, left in told.entries.items() if left]
    return f"{body.terms.id} is a second entry of signal {told.signal.id}, after {before}" if before else None


def row_10_allowed(books: Books, event: Event) -> str | None:
    """Only an open signal of a source that trades, or that a person approved, becomes orders, and those of its table."""
    body = event.body
    if not isinstance(body, ev.OrderCreated) or not event.owner.startswith(OWNER) or body.terms.parent:
        return None
    told, order = books.signals.of(event), body.terms.id
    if told is None:
        return f"{order} stands for signal {event.request_id}, which never came"
    signal, policy = told.signal, told.policy
    who = f"{order} of {signal.action} {signal.id}"
    if told.verdict is not None:
        return f"{who} came after its verdict, {told.verdict}"
    mode = policy.mode
    if signal.test or mode not in (SourceMode.TRADE, SourceMode.APPROVE):
        return f"{who} came of a test, or of mode {mode}"
    if mode is SourceMode.APPROVE and not told.approved:
        return f"{who} was approved by nobody"
    if policy.actions and signal.action not in policy.actions:
        return f"{who} is beyond its source's actions"
    return _exit(books, told, body.terms) if body.terms.reduce_only else _entry(books, told, event, body.terms)


def _entry(books: Books, told: Told, event: Event, terms: OrderTerms) -> str | None:
    signal, policy = told.signal, told.policy
    if ENTERS.get(signal.action) is not terms.side:
        return f"{terms.id} would {terms.side} for {signal.action}"
    if signal.unit is QuantityUnit.BASE and terms.size != signal.quantity:
        return f"{terms.id} is for {terms.size}, signal {signal.id} for {signal.quantity}"
    times = books.signals.left.get(signal.source, [])
    recent = [at for at in times if at > event.time_ns - HOUR_NS]
    if policy.orders_per_hour is not None and not told.entries and len(recent) >= policy.orders_per_hour:
        return f"{terms.id} is entry {len(recent) + 1} of {signal.source} within an hour"
    return None


def _exit(books: Books, told: Told, terms: OrderTerms) -> str | None:
    """A close is as large as what is open and not being closed, whatever size the signal names."""
    signal, pair = told.signal, (terms.account, terms.instrument)
    held = books.held.get(pair, ZERO)
    if signal.action in ENTERS:
        wanted = told.policy.opposite is Opposite.REVERSE and held * ENTERS[signal.action].sign < 0
    else:
        wanted = any(held * sign > 0 for sign in CLOSES[signal.action])
    if not wanted:
        return f"{terms.id} closes {held} for {signal.action} of a source that says {told.policy.opposite}"
    closing = [
        line
        for line in books.orders.values()
        if line.live and line.sent and line.reduce_only and (line.terms.account, line.terms.instrument) == pair
    ]
    leaving = sum((line.size - line.filled for line in closing), ZERO)
    if not abs(held) - leaving <= terms.size <= abs(held):
        return f"{terms.id} closes {terms.size} of {held} for {signal.action}, {leaving} is being closed"
    return None


def row_10_own_leverage(books: Books, event: Event) -> str | None:
    """A source changes the leverage of nothing that is open, nor of what another has working."""
    if not isinstance(event.body, ev.LeverageChanged) or not event.owner.startswith(OWNER):
        return None
    pair = (event.account, event.instrument)
    works = [
        line.terms.id
        for line in books.orders.values()
        if line.live and (line.terms.account, line.terms.instrument) == pair
        if not line.reduce_only and line.terms.owner != event.owner
    ]
    if books.held.get(pair) or works:
        return f"{event.owner} sets {event.body.leverage}x while {books.held.get(pair)} is open and {works} work"
    return None


def row_10_true_verdict(books: Books, event: Event) -> str | None:
    """A verdict is what happened."""
    body = event.body
    told = books.signals.live.get(body.signal) if isinstance(body, ev.SignalEnded) else None
    if told is None or not isinstance(body, ev.SignalEnded):
        return None
    signal, who = told.signal, f"{told.signal.action} {body.signal} of {told.signal.source} ended {body.status}"
    if body.status is Verdict.EXECUTED and not told.filled:
        return f"{who} without a fill"
    if body.status is not Verdict.EXECUTED and told.entered:
        return f"{who} after its entry filled {told.entered}"
    if body.status is Verdict.DECLINED and not told.declined:
        return f"{who} by nobody"
    if body.status is Verdict.LOGGED and not (signal.test or told.policy.mode is SourceMode.LOG):
        return f"{who} in mode {told.policy.mode}"
    if body.code == "CLOSING":
        return None if _closed_by_another(books, told) else f"{who}, CLOSING, and nobody closes that"
    held = books.held.get((event.account, event.instrument), ZERO)
    done = body.status in (Verdict.EXECUTED, Verdict.IGNORED)
    if done and any(held * sign > 0 for sign in CLOSES.get(signal.action, ())):
        return f"{who} with {held} open"
    return None


def _closed_by_another(books: Books, told: Told) -> bool:
    """An earlier open signal closes all that this one would, and where it is another source's, there are no orders to cancel."""
    signal, signs = told.signal, set(CLOSES[told.signal.action])
    own = any(
        line.live
        and not line.reduce_only
        and line.terms.owner == OWNER + signal.source
        and line.terms.side.sign in signs
        for line in books.orders.values()
        if (line.terms.account, line.terms.instrument) == told.pair
    )
    return any(
        0 < other.begun < told.begun
        and other.pair == told.pair
        and signs <= set(CLOSES.get(other.signal.action, ()))
        and (other.signal.source == signal.source or not own)
        for other in books.signals.live.values()
    )


BEFORE: tuple[tuple[int, Callable[[Books, Event], str | None]], ...] = (
    (3, row_03_received_once),
    (3, row_03_one_entry),
    (10, row_10_allowed),
    (10, row_10_own_leverage),
    (10, row_10_true_verdict),
)


# --- The state after an outcome, and the end ------------------------------------------------------------


def row_10_signals_as_booked(books: Books, state: State, venue: bool) -> str | None:
    """The open signals are those without a verdict, and who expired is said aloud."""
    signals = books.signals
    if signals.live.keys() != state.signals.keys():
        return f"open signals by events {list(signals.live)}, in the state {list(state.signals)}"
    if signals.expired and "SIGNAL_EXPIRED" not in books.accused:
        return "a signal expired without an alarm"
    return None


def works_on(books: Books, state: State) -> list[str]:
    """Signals that neither have their verdict, nor wait for a person, nor rest in the book as a LIMIT."""
    left = []
    for name, told in books.signals.live.items():
        record = state.signals.get(name)
        order = state.orders.get(record.entry) if record is not None else None
        resting = order is not None and order.terms.type is OrderType.LIMIT and order.status in ("ACCEPTED", "PARTIAL")
        waits = record.waits if record is not None else None
        if waits is not WaitsFor.APPROVAL and not resting:
            left.append(f"{told.signal.action} {name} of {told.signal.source}, which waits for {waits}")
    return left
