"""Walking back from a row to where it began: which events belong to its chain, and which of them is the first cause."""

from __future__ import annotations

import re

from msgspec import Struct

from engine.ledger.errors import LedgerBroken
from engine.ledger.why.reader import EventReader, Row
from engine.ledger.why.words import ENDINGS
from engine.model import event as ev
from engine.model.command import AmendOrder, ApproveSignal, AttestOrder, CancelOrder, DeclineSignal
from engine.model.event import Event
from engine.model.order import Role

_DECIDED = ("RiskApproved", "RiskRejected", "LeverageChanged", "FlattenBegun")
"""What an intent led to before it made an order."""
_SIGNAL = (ev.SignalReceived, ev.SignalWaits, ev.SignalApproved, ev.SignalDeclined, ev.SignalEnded)
"""How a signal came and ended: told of whatever came from it."""
_ORDER = re.compile(r"\bO\d+\b")
_MADE_SHOWN = 20
"""Orders of one request whose fate is told."""


class Found(Struct, frozen=True):
    """The chain of one thing, by seq. `root` is its first cause, `asked` the seqs that were asked about."""

    kind: str
    id: str
    events: tuple[Event, ...]
    root: Event
    asked: frozenset[int]
    orders: dict[str, Row]
    """Rows of the orders that the events name."""
    row: Row | None = None
    """The row asked about, where it is one of orders, trades or positions."""
    also: tuple[str, ...] = ()
    """What else the name may mean."""
    damaged: dict[int, str] = {}
    """Its events that are not what was written, and how that shows."""
    until: int | None = None
    """Told as it was after this event; None for now."""


class Gatherer:
    """Collects the events of one chain; each method returns the first cause of what it was given."""

    def __init__(self, reader: EventReader) -> None:
        self._reader = reader
        self._events: dict[int, Event] = {}
        self._roots: dict[str, Event] = {}
        """Order -> its first cause; also what was looked at already."""
        self._signals: dict[str, int] = {}
        """Signal -> the event up to which its orders were told."""

    def found(self, kind: str, name: str, root: Event, asked: frozenset[int], row: Row | None = None) -> Found:
        """What was collected."""
        events = tuple(self._events[seq] for seq in sorted(self._events))
        orders: dict[str, Row] = {}
        for event in events:
            order = order_of(event)
            if order and order not in orders and (known := self._reader.row("orders", order)) is not None:
                orders[order] = known
        bad = self._reader.damaged
        damaged = {event.seq: bad[event.seq] for event in events if event.seq in bad}
        return Found(kind, name, events, root, asked, orders, row, damaged=damaged, until=self._reader.until)

    def order(self, row: Row, until: int | None = None) -> Event:
        """An order from its first cause to its end, or to event `until`."""
        if row["id"] in self._roots:
            return self._roots[row["id"]]
        created = oldest = self._reader.created(row)
        self._made(row, created, until)
        # A loop: a stop that its venue goes on refusing has stood again hundreds of times.
        while (earlier := self._earlier_self(oldest)) is not None:
            stood, made = earlier
            self._made(stood, made, oldest.seq)
            oldest = made
        if oldest is not created:
            self._cause_of(oldest, created.seq)
        root = self._roots[row["id"]] = self._cause_of(created, until)
        return root

    def position(self, row: Row) -> Event:
        """A position from what opened it to what closed it."""
        changes = self._changes(row)
        root = self._opening(row, None)
        if row["closed_ns"]:
            last = next(event for event in reversed(changes) if isinstance(event.body, ev.OrderFilled))
            self._named(last, until=last.seq)
        return root

    def signal(self, received: Event, until: int | None = None) -> Event:
        """A signal from its receipt to its verdict, with what was done for it; its orders to event `until`."""
        signal, last = received.request_id, self._reader.last if until is None else until
        if self._signals.get(signal, 0) < last:
            self._signals[signal] = last
            for event in self._reader.of_signal(received):
                if event.seq <= last or isinstance(event.body, _SIGNAL):
                    self._add_with_cause(event)
        return received

    def request(self, intent: Event) -> Event:
        """A request, what was decided at once, and what became of the orders it made or named."""
        led_to = self._reader.led_to(intent)
        self._add(intent, *led_to)
        self._add_cause(intent)
        made = [event.body.terms.id for event in led_to if isinstance(event.body, ev.OrderCreated)]
        command = intent.body.command if isinstance(intent.body, ev.IntentCreated) else None
        if (
            isinstance(command, ApproveSignal | DeclineSignal)
            and (of := self._reader.signal(command.signal)) is not None
        ):
            self.signal(of)
        for order in made[:_MADE_SHOWN]:
            if (row := self._reader.row("orders", order)) is not None:
                self._own(row, self._reader.created(row), None)
        if isinstance(command, CancelOrder | AmendOrder | AttestOrder):
            row = self._reader.row("orders", command.order)
            if row is not None and (created := self._reader.created(row)).seq < intent.seq:
                self._add(created)
                self._own(row, created, None, since=intent.seq)
        return intent

    def event(self, event: Event) -> Event:
        """An event by itself: the chain of the order, request or position it belongs to."""
        self._add(event)
        body = event.body
        if isinstance(body, ev.Liquidated):
            self._add(*self._reader.led_to(event))
            self._life_of(body.position, event.seq)
            return event
        if order_of(event) and (root := self._named(event)) is not None:
            return root
        if (received := self._reader.signal(event.request_id)) is not None:
            return self.signal(received)
        intent = self._reader.intent(event.request_id) if event.request_id else None
        if isinstance(body, ev.FundingPaid):
            self._position_of(body.position.id, event.seq)
            self._due(event, body.due_ns)
        elif intent is not None:
            return self.request(intent)
        elif (cause := self._reader.cause_of(event)) is not None:
            return self.event(cause)
        return event

    # --- Causes -------------------------------------------------------------------------------------

    def _cause_of(self, created: Event, until: int | None) -> Event:
        assert isinstance(created.body, ev.OrderCreated)
        terms = created.body.terms
        cause = self._reader.cause_of(created)
        before = self._before(created)
        if before is not None and isinstance(before.body, ev.AlarmRaised) and not created.request_id:
            self._add(before)  # it announced a stranger's order
        received = self._reader.signal(created.request_id)
        if received is not None:
            self.signal(received, until)
        parent = self._reader.row("orders", terms.parent) if terms.parent else None
        if parent is not None:
            return self.order(parent, until=created.seq)
        intent = self._reader.intent(created.request_id) if created.request_id else None
        if intent is not None:
            self._add(intent, *self._reader.between(intent.seq, created.seq, intent.seq, _DECIDED))
            self._add_cause(intent)
        asked = received or intent
        if asked is not None:
            if terms.position and terms.role is not Role.ENTRY:
                self._position_of(terms.position, created.seq)
            return asked
        if cause is None:
            return created
        if isinstance(cause.body, ev.Liquidated):
            self._life_of(cause.body.position, cause.seq)
            return cause
        return self.event(cause)

    def _before(self, created: Event) -> Event | None:
        """What was recorded just before an order was made, if it is of the same account and instrument."""
        earlier = self._reader.event(created.seq - 1)
        if earlier is None or (earlier.account, earlier.instrument) != (created.account, created.instrument):
            return None
        return earlier

    def _earlier_self(self, created: Event) -> tuple[Row, Event] | None:
        """Of a protection that stands again for a rest, the order it was before, and how that was made."""
        ended = self._before(created)
        if ended is None or ended.type not in ENDINGS or ended.request_id != created.request_id:
            return None
        row = self._reader.row("orders", order_of(ended))
        if row is None or not row["reduce_only"] or row["id"] in self._roots:
            return None
        return row, self._reader.created(row)

    def _opening(self, position: Row, until: int | None) -> Event:
        fill = self._reader.opening_fill(position)
        if fill is None:
            raise LedgerBroken("positions", f"{position['id']} has a row, but no fill opened it; hoox ledger rebuild")
        self._add(fill)
        return self._named(fill, until=fill.seq if until is None else min(fill.seq, until)) or fill

    def _position_of(self, position: str, until: int) -> None:
        """How the position came about that this is about."""
        row = self._reader.row("positions", position)
        if row is not None:
            self._opening(row, until)

    def _life_of(self, position: str, until: int) -> None:
        """All that made a position what it was at event `until`."""
        row = self._reader.row("positions", position)
        if row is not None:
            self._changes(row, until)
            self._opening(row, until)

    def _due(self, paid: Event, due_ns: int) -> None:
        first = self._reader.first_at(due_ns)
        for event in self._reader.between(first - 1, paid.seq, 0, ("FundingDue",)):
            if event.instrument == paid.instrument:
                self._add(event)
                return

    # --- Orders -------------------------------------------------------------------------------------

    def _named(self, event: Event, until: int | None = None) -> Event | None:
        row = self._reader.row("orders", order_of(event))
        return None if row is None else self.order(row, until)

    def _made(self, row: Row, created: Event, until: int | None) -> None:
        """An order, what led to it at once, and its own events."""
        self._roots[row["id"]] = created
        self._add_with_cause(created)
        self._own(row, created, until)

    def _own(self, row: Row, created: Event, until: int | None, since: int = 0) -> None:
        """An order's own events, and what somebody asked or the market did to it in between."""
        for event in self._reader.of_order(row, created):
            if event.seq < since or (until is not None and event.seq > until):
                continue
            self._add_with_cause(event)

    def _changes(self, position: Row, until: int | None = None) -> list[Event]:
        """What changed a position; fills are told by the rows of their orders, the rest with who asked for it."""
        changes = [event for event in self._reader.of_position(position) if until is None or event.seq < until]
        self._add(*changes)
        for event in changes:
            if not isinstance(event.body, ev.OrderFilled):
                self._add_cause(event)
        return changes

    def _add_with_cause(self, event: Event) -> None:
        self._add(event)
        # Levels that one price met stand in a row, but none of them fired another.
        if not isinstance(event.body, ev.TriggerFired):
            self._add_cause(event)

    def _add_cause(self, event: Event) -> None:
        """What led to an event at once; of an intent and of a liquidation, also what led to that."""
        cause = None if event.causation in self._events else self._reader.cause_of(event)
        if cause is None:
            return
        self._add(cause)
        if isinstance(cause.body, ev.IntentCreated | ev.Liquidated):
            self._add_cause(cause)
        if isinstance(cause.body, ev.IntentCreated) and isinstance(cause.body.command, AttestOrder):
            # An attestation is recorded under its own request.
            self._add(*self._reader.between(cause.seq, event.seq, cause.seq, ("OrderAttested",)))

    def _add(self, *events: Event) -> None:
        self._events.update((event.seq, event) for event in events)


def order_of(event: Event) -> str:
    """The order an event is about, empty for none."""
    body = event.body
    if isinstance(body, ev.OrderCreated):
        return body.terms.id
    if isinstance(body, ev.AlarmRaised):
        named = _ORDER.search(body.message) if event.instrument else None
        return named.group() if named else ""
    return getattr(body, "order", "")
