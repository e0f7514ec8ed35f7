"""Timing: hears what the desk does and when it is on the disk, and measures orders by hand and signals stage by stage."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress

from engine.clock import mono_ns
from engine.core.inbox import SOURCE, signal_of
from engine.core.inputs import Note
from engine.model import event as ev
from engine.model.event import Event
from engine.runtime.keeper import Keeper, NotDurable
from engine.views import Mode
from engine.views.latency import PROBE, SIGNAL, STAGES, TOTAL, Key, LatencyBook

UNSEEN_S = 3.0
"""An order whose result no screen has drawn by then is counted without that stage."""


class Timing:
    """Keeps a LatencyBook. What is finished is written down as LatencyMeasured, never what only probed the way."""

    def __init__(self, keeper: Keeper) -> None:
        self.book = LatencyBook()
        self._keeper = keeper
        self._marks: dict[str, dict[str, int]] = {}
        """Stages that requests have passed within the input that is being handled, and before it."""
        self._probes = 0
        self._awaiting: deque[tuple[int, str, str]] = deque()
        """(seq, name, stage): passed when `seq` is on the disk."""

    # --- What others measured -----------------------------------------------------------------------

    def asked(self, request_id: str, key_ns: int, received_ns: int) -> None:
        """A person's intent came; `key_ns` is 0 where it is not known."""
        self._marks[request_id] = {"key": key_ns, "intent": received_ns} if key_ns else {"intent": received_ns}

    def handed_over(self, signal: str) -> None:
        """The intake is through with a signal."""
        self._marks[signal] = {"dedup": mono_ns()}

    def probed(self, source: str, took: Mapping[str, int]) -> None:
        """A request that trades nothing measured the way; stage -> ns."""
        self._probes += 1
        self.book.count(f"probe-{self._probes}", Key(PROBE, "", source), {**took, TOTAL: sum(took.values())})

    def passed(self, stage: str, request_id: str) -> None:
        """A request, or a signal with its later tries, passed a stage of the desk."""
        name = signal_of(request_id)
        if self.book.knows(name):
            self.book.mark(name, stage, mono_ns())
        else:
            self._marks.setdefault(name, {}).setdefault(stage, mono_ns())

    def painted(self, order: str, time_ns: int) -> None:
        """A screen drew an order's result."""
        if self.book.knows(order):
            self.book.mark(order, "screen", time_ns)
            self._finish(order)

    # --- Listener -----------------------------------------------------------------------------------

    def tell(self, events: Sequence[Event]) -> None:
        """See Listener."""
        now = mono_ns()
        for event in events:
            match event.body:
                case ev.SignalReceived():
                    self._received(event, event.body, now)
                case ev.SignalApproved(signal=signal):
                    self.book.resume(signal, now)
                    self._awaiting.append((event.seq, signal, "commit"))
                case ev.OrderCreated(terms=terms) if event.request_id in self._marks:
                    self.book.begin(terms.id, self._marks[event.request_id], venue=event.venue, source=event.owner)
                case ev.OrderAccepted() | ev.OrderRejected() if event.owner.startswith(SOURCE):
                    self._answered(signal_of(event.request_id), now)
                case ev.OrderFilled():
                    self._filled(event, event.body, now)
                case ev.SignalEnded(signal=signal) if self.book.knows(signal):
                    self._awaiting.append((event.seq, signal, "end"))
        self._marks.clear()

    def committed(self, seq: int, committed_ns: int) -> None:
        """See Listener."""
        while self._awaiting and self._awaiting[0][0] <= seq:
            _, name, stage = self._awaiting.popleft()
            if stage == "end":
                self._finish_soon(name)
                continue
            self.book.mark(name, stage, committed_ns)
            if stage == "durable":
                self._keeper.later(UNSEEN_S, lambda name=name: self._finish(name))  # type: ignore[misc]
            elif self.book.passed(name, "venue"):
                self._finish_soon(name)

    def dropped(self, seq: int) -> None:
        """See Listener."""
        self._awaiting.clear()
        self._marks.clear()

    # --- Signals and orders -------------------------------------------------------------------------

    def _received(self, event: Event, body: ev.SignalReceived, now: int) -> None:
        """The intake says what its stages took: they ended when it handed the signal over."""
        signal = body.signal
        marks = self._marks.pop(signal.id, {})
        at = marks.get("dedup") or min(marks.values(), default=now)
        for stage in reversed(STAGES[SIGNAL]):
            if stage in body.stages:
                marks[stage] = at
                at -= body.stages[stage]
        marks["began"] = at
        self.book.begin(signal.id, marks, SIGNAL, event.venue, signal.source)
        self._awaiting.append((event.seq, signal.id, "commit"))

    def _filled(self, event: Event, body: ev.OrderFilled, now: int) -> None:
        if self.book.knows(body.order):
            self.book.mark(body.order, "fill", now)
            self._awaiting.append((event.seq, body.order, "durable"))
        elif event.owner.startswith(SOURCE):
            self._answered(signal_of(event.request_id), now)

    def _answered(self, signal: str, now: int) -> None:
        """The venue's first word on an order of a signal: what comes later is the market's time, not ours."""
        self.book.mark(signal, "venue", now)
        if self.book.passed(signal, "commit"):
            self._finish_soon(signal)

    def _finish_soon(self, name: str) -> None:
        # Not from within what the desk is telling: this tells it something, too.
        self._keeper.later(0, lambda: self._finish(name))

    def _finish(self, name: str) -> None:
        durations = self.book.finish(name)
        if durations and self._keeper.mode is Mode.OK:
            with suppress(NotDurable):
                self._keeper.decide(Note(self._keeper.now_ns(), ev.LatencyMeasured(name, durations)))
