"""Keeper: the desk and its ledger, kept in step. State may run ahead of the disk; what others see and hear may not."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable, Sequence

from engine.clock import Clock
from engine.core.desk import Desk, Halt, Input, Tick
from engine.ledger.errors import LedgerFull
from engine.ledger.store import Ledger
from engine.ledger.writer import Writer, WriterStopped
from engine.model.event import Event
from engine.model.market import MarketInput
from engine.views import Mode

log = logging.getLogger(__name__)


class NotDurable(RuntimeError):
    """The events were not written and never will be: what they said did not happen."""


class Keeper:
    """Feeds inputs to the desk and its events to the ledger. All methods run on the loop's thread."""

    def __init__(
        self,
        ledger: Ledger | None,
        desk: Desk,
        clock: Clock,
        on_events: Callable[[Sequence[Event]], None],
        on_durable: Callable[[int, int], None],
    ) -> None:
        """`on_events(events)` sees every event once it is folded, `on_durable(seq, mono_ns)` every commit.

        Without a ledger it only looks on.
        """
        self.desk = desk
        self.mode = Mode.OK if ledger is not None else Mode.READ_ONLY
        self.mode_reason = ""
        self.full = False
        """Writing failed for want of room."""
        self._ledger = ledger
        self._clock = clock
        self._on_events = on_events
        self._on_durable = on_durable
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._waiters = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due: int | None = None
        self.durable_seq = desk.state.seq
        self._writer = Writer(ledger, self._committed, self._refused) if ledger is not None else None

    def now_ns(self) -> int:
        """The desk's time."""
        return self._clock.now_ns()

    def market(self, item: MarketInput) -> None:
        """The sink of the feed."""
        if self.mode is Mode.READ_ONLY:
            self.desk.observe(item)
            return
        events = self.desk.handle(item)
        if events:
            self._record(events)
        if self.desk.next_due() != self._timer_due:
            self._set_timer()

    def decide(self, given: Input) -> Sequence[Event]:
        """Handle an intent, a tick or a note; its events are queued for the disk. Raises NotDurable when nothing is written."""
        if self.mode is Mode.READ_ONLY:
            raise NotDurable(self.mode_reason)
        events = self.desk.handle(given)
        if events:
            self._record(events)
        if self.desk.next_due() != self._timer_due:
            self._set_timer()
        return events

    async def durable(self, seq: int) -> None:
        """Wait until everything up to `seq` is on the disk; raises NotDurable when it never will be."""
        if self.durable_seq >= seq:
            return
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiters += 1
        heapq.heappush(self._waiting, (seq, self._waiters, future))
        await future

    def snapshot(self, data: bytes) -> None:
        """Keep the encoded state of this moment for the next start."""
        if self._writer is not None and self.mode is not Mode.READ_ONLY:
            try:
                self._writer.submit_snapshot(self.desk.state.seq, data)
            except WriterStopped as error:
                log.warning("no snapshot: %s", error)

    def close(self) -> None:
        """Write what is queued; the ledger stays open."""
        if self._timer is not None:
            self._timer.cancel()
        if self._writer is not None:
            self._writer.close()

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        """Do something on the loop after a while."""
        self._loop.call_later(seconds, work)

    def look_only(self, reason: str) -> None:
        """Decide nothing any more: what the ledger holds cannot be trusted."""
        self.mode, self.mode_reason = Mode.READ_ONLY, reason

    def try_again(self) -> None:
        """The disk has room again: take entries from now on."""
        self.mode, self.mode_reason, self.full = Mode.OK, "", False
        self._rebuild()
        self.desk.handle(Halt(self.now_ns(), ""))

    # --- Writing ------------------------------------------------------------------------------------

    def _record(self, events: list[Event]) -> None:
        assert self._writer is not None
        try:
            self._writer.submit(events)
        except WriterStopped as error:
            # The failure was not handed over yet; the events are dropped with the state they were folded into.
            log.warning("events %d to %d are not written: %s", events[0].seq, events[-1].seq, error)
            return
        self._on_events(events)

    def _committed(self, seq: int, committed_ns: int) -> None:
        self._loop.call_soon_threadsafe(self._release, seq, committed_ns)

    def _refused(self, error: Exception) -> None:
        self._loop.call_soon_threadsafe(self._fail, error)

    def _release(self, seq: int, committed_ns: int) -> None:
        self.durable_seq = seq
        self._on_durable(seq, committed_ns)
        while self._waiting and self._waiting[0][0] <= seq:
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(None)

    def _fail(self, error: Exception) -> None:
        """A commit failed: forget what was not written, then do what is still safe."""
        log.error("the ledger was not written: %s", error)
        waiting, self._waiting = self._waiting, []
        for _, _, future in waiting:
            if not future.done():
                future.set_exception(NotDurable(str(error)))
        assert self._ledger is not None
        self.full = isinstance(error, LedgerFull)
        if self.full and self._ledger.reserve_held:
            self._ledger.free_reserve()
            self.mode = Mode.EXITS_ONLY
            self.mode_reason = "the disk is full: make room; closes and stops go on in the reserve"
        else:
            self.mode = Mode.READ_ONLY
            self.mode_reason = f"the ledger cannot be written: {error}"
        self._rebuild()
        if self.mode is Mode.EXITS_ONLY:
            self.desk.handle(Halt(self.now_ns(), self.mode_reason))

    def _rebuild(self) -> None:
        """Recorded state anew from the ledger, on the markets as they stand."""
        assert self._ledger is not None
        assert self._writer is not None
        state = self._ledger.load().state
        self.desk = self.desk.on(state)
        self.durable_seq = self._ledger.seq
        if self.mode is not Mode.READ_ONLY:
            self.desk.resume()
        self._writer.resume()
        self._set_timer()

    # --- Time ---------------------------------------------------------------------------------------

    def _set_timer(self) -> None:
        """Wake for the desk's next timer even if the market is silent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._timer_due = self.desk.next_due()
        if due is not None and self.mode is not Mode.READ_ONLY:
            delay = max(0.0, (due - self.now_ns()) / 1e9)
            self._timer = self._loop.call_later(min(delay, 1.0), self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._timer_due = None
        self.decide(Tick(self.now_ns()))
        if self._timer is None:
            self._set_timer()
