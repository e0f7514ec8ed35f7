"""Keeper: the desk and its ledger, kept in step. State may run ahead of the disk; what others see and hear may not."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from engine.clock import Clock, mono_ns
from engine.core.desk import Desk
from engine.core.inputs import Halt, Input, Intent, Note, SignalIn, Tick
from engine.core.state import State
from engine.ledger.errors import LedgerError, LedgerFull
from engine.ledger.reserve import RESERVE_BYTES
from engine.ledger.store import Ledger
from engine.ledger.writer import Writer, WriterBehind, WriterStopped
from engine.model.event import AlarmRaised, Event
from engine.model.market import MarketInput
from engine.runtime.listeners import Listener, Listeners
from engine.views import Mode

log = logging.getLogger(__name__)

MOST_FAULTS = 3
"""Ticks the rules may fail on; with one more the engine only looks on, since the next would fail them too."""
FULL = "the disk is full: make room; closes and stops go on in the reserve"
NO_RESERVE = (
    f"less than {2 * RESERVE_BYTES >> 20} MB are free beside the ledger: make room; closes and stops go on meanwhile"
)
_SHORTEST_NAP_S = 0.0005
"""A recording's clock may stand still short of a timer."""


class NotDurable(RuntimeError):
    """The events were not written and never will be: what they said did not happen."""


class EventWriter(Protocol):
    """What a keeper needs of engine.ledger.writer.Writer; a simulation commits on its own time instead."""

    snapshot_failure: Exception | None
    held_up: str

    @property
    def durable_seq(self) -> int:
        """See Writer."""
        ...

    def submit(self, events: Sequence[Event]) -> None:
        """See Writer."""
        ...

    def submit_snapshot(self, seq: int, data: bytes) -> None:
        """See Writer."""
        ...

    def resume(self) -> None:
        """See Writer."""
        ...

    def drain(self) -> bool:
        """See Writer."""
        ...

    def hurry(self) -> None:
        """See Writer."""
        ...

    def close(self) -> None:
        """See Writer."""
        ...


MakeWriter = Callable[[Ledger, Callable[[int, int], None], Callable[[Exception], None]], EventWriter]
"""From the ledger, `on_durable` and `on_failed` as Writer takes them."""


class Keeper:
    """Feeds inputs to the desk and its events to the ledger. All methods run on the loop's thread."""

    def __init__(
        self,
        ledger: Ledger | None,
        desk: Desk,
        clock: Clock,
        listener: Listener,
        make_writer: MakeWriter = Writer,
    ) -> None:
        """Without a ledger it only looks on."""
        self.desk = desk
        self.mode = Mode.OK
        self.mode_reason = ""
        self.full = False
        """Writing failed for want of room."""
        self.durable_seq = desk.state.seq
        self._ledger = ledger
        self._clock = clock
        self.listeners = Listeners(listener)
        self._loop = asyncio.get_running_loop()
        self._decides = True
        self._for_good = False
        self._faults = 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._waiters = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due: int | None = None
        self._writer = make_writer(ledger, self._committed, self._refused) if ledger is not None else None

    def now_ns(self) -> int:
        """The desk's time."""
        return self._clock.now_ns()

    def market(self, item: MarketInput) -> None:
        """The sink of the feed."""
        if not self._decides:
            self.desk.observe(item)
            return
        try:
            events = self.desk.handle(item)
        except Exception as error:  # noqa: BLE001  half a decision must not be kept, whatever it failed on
            self._fault(item, error)
            return
        if events:
            self._record(events)
        if self.desk.next_due() != self._timer_due:
            self._set_timer()

    def decide(self, given: Input) -> Sequence[Event]:
        """Handle an intent, a tick or a note; its events are queued for the disk. Raises NotDurable when nothing is written."""
        if not self._decides:
            raise NotDurable(self.mode_reason)
        try:
            events = self.desk.handle(given)
        except Exception as error:
            self._fault(given, error)
            raise NotDurable(f"the engine failed on it: {error!r}") from error
        if events and not self._record(events):
            raise NotDurable("the ledger does not take it")
        if self.desk.next_due() != self._timer_due:
            self._set_timer()
        return events

    def take(self, given: Input) -> bool:
        """Decide, for who can say it again: false when nothing was written."""
        try:
            self.decide(given)
        except NotDurable as error:
            log.warning("%s was not taken: %s", type(given).__name__, error)
            return False
        return True

    def halted(self) -> str:
        """Why no entry may leave at this moment; empty when it may."""
        return self.desk.kernel.halted if self._decides else self.mode_reason

    @property
    def settled(self) -> bool:
        """Nothing waits for the disk."""
        return self.durable_seq >= self.desk.state.seq

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
        if self._writer is not None and self.mode is Mode.OK:
            if self._writer.snapshot_failure is not None:
                log.warning("the last snapshot was not kept: %s", self._writer.snapshot_failure)
            try:
                self._writer.submit_snapshot(self.desk.state.seq, data)
            except WriterStopped as error:
                log.warning("no snapshot: %s", error)

    def waits_for(self, pending: int) -> str:
        """Why so many events are not on the disk yet."""
        held_up = self._writer.held_up if self._writer is not None else ""
        return f"{pending} events wait: {held_up}" if held_up else f"{pending} events wait for a slow disk"

    def hurry(self) -> None:
        """The engine is about to stop: whoever waits is answered, also where another program holds the ledger."""
        if self._writer is not None:
            self._writer.hurry()

    def close(self) -> None:
        """Write what is queued and decide nothing more; the ledger stays open."""
        self.look_only("the engine stopped")
        if self._writer is not None:
            self._writer.close()
            self._release(self._writer.durable_seq, mono_ns())
        self._give_up(self.mode_reason)

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        """Do something on the loop after a while."""
        self._loop.call_later(seconds, work)

    # --- Modes --------------------------------------------------------------------------------------

    def look_only(self, reason: str) -> None:
        """Decide nothing any more: what the ledger holds, or what the rules do, cannot be trusted."""
        self._enter(Mode.READ_ONLY, reason)
        self._for_good = True

    def exits_only(self) -> None:
        """There is no room for a reserve: refuse entries, keep what is left of the disk for exits."""
        self.full = True
        self._enter(Mode.EXITS_ONLY, NO_RESERVE)
        self.decide(Halt(self.now_ns(), NO_RESERVE))

    def try_again(self) -> None:
        """The disk has room again: take entries from now on."""
        if self._for_good:
            return
        stood_still = not self._decides
        self.full = False
        self._enter(Mode.OK, "")
        if stood_still:
            self._rebuild()
        else:
            self.take(Halt(self.now_ns(), ""))

    def _enter(self, mode: Mode, reason: str) -> None:
        if self._for_good:
            return
        self.mode, self.mode_reason = mode, reason
        self._decides = mode is not Mode.READ_ONLY
        self._set_timer()

    # --- Writing ------------------------------------------------------------------------------------

    def _record(self, events: list[Event]) -> bool:
        """Queue events for the disk; false when they are dropped with the state they were folded into."""
        assert self._writer is not None
        try:
            self._writer.submit(events)
        except WriterStopped as error:
            # A commit failed, and _fail is on its way to this thread.
            log.warning("events %d to %d are not written: %s", events[0].seq, events[-1].seq, error)
            return False
        except WriterBehind as error:
            self._undo(error)
            return False
        self.listeners.tell(events)
        return True

    def _committed(self, seq: int, committed_ns: int) -> None:
        self._loop.call_soon_threadsafe(self._release, seq, committed_ns)

    def _refused(self, error: Exception) -> None:
        self._loop.call_soon_threadsafe(self._fail, error)

    def _release(self, seq: int, committed_ns: int) -> None:
        self.durable_seq = max(seq, self.durable_seq)
        while self._waiting and self._waiting[0][0] <= seq:
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(None)
        self.listeners.committed(seq, committed_ns)

    def _give_up(self, reason: str) -> None:
        waiting, self._waiting = self._waiting, []
        for _, _, future in waiting:
            if not future.done():
                future.set_exception(NotDurable(reason))

    # --- Going back to what is durable --------------------------------------------------------------

    def _fail(self, error: Exception) -> None:
        """A commit failed: forget what was not written, then do what is still safe."""
        assert self._ledger is not None
        log.error("the ledger was not written: %s", error)
        self._release(self._ledger.seq, mono_ns())
        self.full = isinstance(error, LedgerFull)
        if self.full and self._ledger.reserve_held:
            self._ledger.free_reserve()
            self._enter(Mode.EXITS_ONLY, FULL)
        elif self.full:
            self._enter(Mode.READ_ONLY, f"the disk is full and the reserve used up: make room ({error})")
        else:
            self.look_only(f"the ledger cannot be written: {error}")
        self._rebuild()

    def _fault(self, given: Input, error: Exception) -> None:
        """The rules failed. An intent or a signal is refused and that is all; what comes by itself comes again."""
        if not isinstance(given, Intent | SignalIn):
            self._faults += 1
            if self._faults > MOST_FAULTS:
                self.look_only(f"READ ONLY, the engine failed {self._faults} times, last: {error!r}; its log says more")
        self._undo(error)

    def _undo(self, error: Exception) -> None:
        """An input was half decided, or its events found no room in the queue: it did not happen."""
        assert self._writer is not None
        log.error("an input was dropped", exc_info=error)
        if not self._writer.drain():
            return  # _fail is on its way and goes back further
        self._release(self._writer.durable_seq, mono_ns())
        self._rebuild()
        if self._decides:
            self.take(Note(self.now_ns(), AlarmRaised("FAULT", f"an input was dropped: {error!r}")))

    def _rebuild(self) -> None:
        """Recorded state anew from the ledger, on the markets as they stand. Nothing may be queued."""
        assert self._ledger is not None
        assert self._writer is not None
        self._give_up(self.mode_reason or "the engine failed on it")
        try:
            state = self._ledger.load().state
        except LedgerError as error:
            self.look_only(f"READ ONLY, the ledger cannot be read: {error}")
            state = State()
        self.desk = self.desk.on(state)
        self.durable_seq = state.seq
        self.listeners.dropped(state.seq)
        self._writer.resume()
        if not self._decides:
            return
        try:
            self.desk.resume()
        except Exception as error:
            log.exception("the recorded state cannot be resumed")
            self.look_only(f"READ ONLY, the recorded state cannot be resumed: {error!r}")
            return
        # Where this goes wrong in turn, it was gone back again and said.
        self.take(Halt(self.now_ns(), self.mode_reason))

    # --- Time ---------------------------------------------------------------------------------------

    def _set_timer(self) -> None:
        """Wake for the desk's next timer even if the market is silent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._timer_due = self.desk.next_due()
        if due is not None and self._decides:
            delay = max(_SHORTEST_NAP_S, (due - self.now_ns()) / 1e9)
            self._timer = self._loop.call_later(min(delay, 1.0), self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._timer_due = None
        try:
            self.decide(Tick(self.now_ns()))
        except NotDurable as error:
            log.warning("%s", error)
        if self._timer is None:
            self._set_timer()
