"""Sees every event of every life of the engine, and holds each against the rows the moment it is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from engine.core.desk import Desk
from engine.core.fold import fold
from engine.core.state import State, encode_state
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.event import Event, decode_body, encode_body
from tests.simulation.books import Books, Shown
from tests.simulation.invariants import Broken, Scene, judge_alarms, judge_event, judge_state

ALARMS = frozenset(
    {
        "EXITS_BLIND",
        "FLATTEN_WAITS",
        "STALE_FILL",
        "FAULT",
        "SIGNAL_EXPIRED",
        "SIGNAL_NOT_CLOSED",
        "SIGNAL_HALF_DONE",
        "KEY_REUSED",
    }
)
"""What paper trading raises about what really happens; a FAULT is looked at more closely."""
VENUE_ALARMS = ALARMS | {
    "FOREIGN_ORDER", "LIQUIDATED_AT_VENUE", "POSITION_DIFFERS", "POSITION_ADJUSTED", "LEVERAGE_CHANGED", "AMENDED_ELSEWHERE",
    "ENDED_HERE", "LATE_FILL", "OVERFILL", "REDUCE_ONLY_OPENED", "RECONCILE", "SYMBOL_HALTED", "ATTESTED_DIFFERS",
    "EXIT_WAITS", "PROTECTION_REFUSED",
}  # fmt: skip
"""What trading at a venue raises beside. Not among them: a rule of the carrier that failed, fills that differ, reports of what never left."""
TOLD = (
    ev.OrderFilled, ev.OrderRejected, ev.OrderCancelled, ev.OrderExpired, ev.OrderUnknown, ev.TriggerFired, ev.Liquidated, ev.AlarmRaised,
    ev.PositionDiffers, ev.PositionAgreed, ev.IntentRefused, ev.RiskRejected, ev.OrderSent, ev.KillChanged, ev.OrderAccepted, ev.CancelRequested, ev.OrderAttested, ev.CancelRejected, ev.AmendRejected,
    ev.SignalReceived, ev.SignalWaits, ev.SignalApproved, ev.SignalDeclined, ev.SignalEnded,
)  # fmt: skip
"""What a trace shows."""


class Witness:
    """A listener of the keeper of whichever life is running."""

    def __init__(self, venue: bool, note: Callable[[str], None]) -> None:
        self.venue = venue
        self.allowed = VENUE_ALARMS if venue else ALARMS
        self.note = note
        self.events: list[Event] = []
        """All that was decided and not dropped."""
        self.durable = 0
        """The last event that anybody was told is on the disk."""
        self.books = Books()
        self.shown = Shown()
        self.attested: set[str] = set()
        self.happened: Counter[str] = Counter()
        self.broken: Broken | None = None
        self.on_broken: Callable[[], None] = lambda: None
        self.contradicts: Callable[[str, str], str] = lambda client_id, ended: ""
        """What the exchange says against the end of an order."""
        self.desk: Callable[[], Desk]

    # --- Listener -----------------------------------------------------------------------------------

    def tell(self, events: Sequence[Event]) -> None:
        """Judge an outcome."""
        try:
            self._judge(events)
        except Broken as broken:
            self._break(broken)

    def committed(self, seq: int, committed_ns: int) -> None:
        """From now on this may not be lost."""
        self.durable = max(self.durable, seq)

    def dropped(self, seq: int) -> None:
        """Whatever came later did not happen; what was told as durable must not be among it."""
        if seq < self.durable:
            self._break(Broken(10, f"durable up to {self.durable} was told, the ledger ends at {seq}"))
        del self.events[seq:]
        self.shown.forget()
        self.books = Books()
        for event in self.events:
            self.books.take(event)

    # --- Judging --------------------------------------------------------------------------------------

    def _judge(self, events: Sequence[Event]) -> None:
        if self.broken is not None:
            return
        books = self.books
        books.touched.clear()
        books.accused.clear()
        books.opened = ""
        books.signals.expired = False
        scene = Scene(books, self.shown, self.venue)
        for event in events:
            self.events.append(event)
            self.happened[event.type] += 1
            if isinstance(event.body, TOLD):
                self.note(told(event))
            judge_event(scene, event)
            self._hold_against(event)
            body = event.body
            if isinstance(body, ev.AlarmRaised) and body.code == "FAULT" and "simulated" not in body.message:
                raise Broken(0, body.message)
        judge_alarms(books.accused, self.allowed)
        judge_state(books, self.desk().state, self.venue)

    def _hold_against(self, event: Event) -> None:
        """10: no outcome is guessed. What a person attests may be wrong, and is said to be a person's word."""
        if isinstance(event.body, ev.OrderAttested):
            self.attested.add(event.body.order)
        if not isinstance(event.body, ev.OrderRejected | ev.OrderCancelled | ev.OrderExpired):
            return
        line = self.books.orders[event.body.order]
        if line.sent and line.terms.id not in self.attested:
            text = self.contradicts(line.terms.client_id, event.type)
            if text:
                raise Broken(10, text)

    def _break(self, broken: Broken) -> None:
        if self.broken is None:
            self.broken = broken
            self.on_broken()

    def check(self, row: int, holds: bool, text: str) -> None:
        """A row that is judged outside of an outcome."""
        if not holds:
            self._break(Broken(row, text))


def told(event: Event) -> str:
    """One line for a trace."""
    body = event.body
    fields = {
        name: getattr(body, name)
        for name in (
            "order",
            "signal",
            "status",
            "code",
            "reason",
            "message",
            "evidence",
            "price",
            "size",
            "ours",
            "theirs",
        )
        if hasattr(body, name)
    }
    words = " ".join(f"{value}" for value in fields.values() if value not in ("", None))
    return f"{event.seq} {event.type} {words}"[:150]


def replayed(events: Sequence[Event], state: State | None = None) -> bytes:
    """The state that stored events fold to, from nothing or from a snapshot."""
    state = state or State()
    for event in events:
        stored = decode_body(encode_body(event.body))
        fold(state, msgspec.structs.replace(event, body=stored))
    return encode_state(state)


def shown(command: cmd.AnyCommand) -> str:
    """A command in one line."""
    fields = {
        name: value
        for name, value in ((n, getattr(command, n)) for n in command.__struct_fields__)
        if value not in (None, "", False) and name not in ("owner", "request_id", "instrument")
    }
    return f"{command.request_id} {type(command).__name__} " + " ".join(f"{n}={v}" for n, v in fields.items())
