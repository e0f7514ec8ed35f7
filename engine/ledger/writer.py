"""The one thread that writes: whatever arrives while a commit runs goes into the next one."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from engine.clock import mono_ns
from engine.ledger.errors import LedgerError, LedgerLocked
from engine.ledger.log import lengthen
from engine.ledger.store import Ledger
from engine.model.event import Event

log = logging.getLogger(__name__)

MAX_PENDING = 500_000
"""Events waiting for the disk; more are refused."""
GATHER_S = 0.001
"""How long a commit waits for company when some came during the one before: a crowd costs fewer commits, one alone no time."""
MAX_GROUP = 10_000
"""Events after which a commit takes no more submissions, so that the first of a flood is not held up by the last."""


class WriterStopped(LedgerError):
    """Nothing is taken: a commit failed and resume() was not called, or the writer was closed."""


class WriterBehind(LedgerError):
    """The disk does not keep up; nothing of this call was queued. Stop making events until `pending` falls."""


class _Snapshot(NamedTuple):
    seq: int
    data: bytes


class Writer:
    """Group commit on a thread of its own; owns the ledger until closed, or until a failure and before resume().

    `on_durable(seq, committed_ns)` tells that everything up to `seq` is on the disk; `on_failed(error)` that nothing since
    `durable_seq` is, and that what was queued is dropped: rebuild the state from `ledger.load()`, then resume(). Both
    are called from the writer's thread and must only hand over.
    """

    def __init__(
        self,
        ledger: Ledger,
        on_durable: Callable[[int, int], None],
        on_failed: Callable[[Exception], None],
        now: Callable[[], int] = mono_ns,
    ) -> None:
        """Start the thread; `now` stamps the commits."""
        self._ledger = ledger
        self._on_durable = on_durable
        self._on_failed = on_failed
        self._now = now
        self._queue: deque[list[Event] | _Snapshot] = deque()
        """Submissions whole: the events of one decision are written together or not at all."""
        self._pending = 0
        self._busy = False
        self._next = ledger.seq + 1
        self._durable = ledger.seq
        self._failure: Exception | None = None
        self._closing = False
        self._patient = True
        self.held_up = ""
        """Why nothing can be written at the moment, though nothing failed; empty when it can."""
        self._changed = threading.Condition()
        self.snapshot_failure: Exception | None = None
        """Why the last snapshot could not be kept; the events are not concerned."""
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    @property
    def durable_seq(self) -> int:
        """Everything up to here is on the disk."""
        return self._durable

    @property
    def pending(self) -> int:
        """Events that wait for the disk."""
        return self._pending

    def submit(self, events: Sequence[Event]) -> None:
        """Queue events for the next commit, all of them in the same one.

        Raises WriterStopped, WriterBehind, or ValueError on a gap in seq.
        """
        if not events:
            return
        with self._changed:
            self._refuse_when_stopped()
            if self._pending + len(events) > MAX_PENDING:
                raise WriterBehind(f"{self._pending} events wait for the disk; {MAX_PENDING} at most")
            if events[0].seq != self._next:
                raise ValueError(f"event {events[0].seq} does not follow {self._next - 1}")
            self._queue.append(list(events))
            self._pending += len(events)
            self._next = events[-1].seq + 1
            self._changed.notify_all()

    def submit_snapshot(self, seq: int, data: bytes) -> None:
        """Keep an encoded state once the events before it, up to `seq`, are durable."""
        with self._changed:
            self._refuse_when_stopped()
            if seq != self._next - 1:
                raise ValueError(
                    f"a snapshot after event {seq} must be queued right behind it, not after {self._next - 1}"
                )
            self._queue.append(_Snapshot(seq, data))
            self._changed.notify_all()

    def resume(self) -> None:
        """Take events again after a failure; the next one follows what the ledger holds."""
        with self._changed:
            self._failure = None
            self.held_up = ""
            self._next = self._ledger.seq + 1
            self._durable = self._ledger.seq

    def drain(self) -> bool:
        """Block until what is queued is written; false when a commit failed and the queue was dropped.

        A file that another program holds is a failure meanwhile: whoever calls this stands still.
        """
        patient, self._patient = self._patient, False
        with self._changed:
            self._changed.wait_for(lambda: not self._busy and not self._queue)
            self._patient = patient
            return self._failure is None

    def hurry(self) -> None:
        """From now on a file that another program holds is a failure: who stops does not wait for that one's end."""
        self._patient = False

    def close(self) -> None:
        """Write what is queued and end the thread; the ledger stays open."""
        self.hurry()
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def _refuse_when_stopped(self) -> None:
        if self._failure is not None:
            raise WriterStopped(f"nothing is written since: {self._failure}") from self._failure
        if self._closing:
            raise WriterStopped("the writer is closed")

    def _run(self) -> None:
        long = False
        while True:
            with self._changed:
                while not self._queue and not self._closing:
                    self._changed.wait()
                if not self._queue:
                    return
                work = self._take()
                self._busy = True
            if isinstance(work, _Snapshot):
                self._keep(work)
            else:
                self._commit(work)
                if not long and not self._queue:
                    long = True
                    lengthen(self._ledger.path)
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                crowded = bool(self._queue)
            if crowded:
                time.sleep(GATHER_S)

    def _take(self) -> list[Event] | _Snapshot:
        queue = self._queue
        group: list[Event] = []
        while queue and len(group) < MAX_GROUP:
            item = queue[0]
            if isinstance(item, _Snapshot):
                if group:
                    break
                queue.popleft()
                return item
            group.extend(item)
            queue.popleft()
        return group

    def _commit(self, events: list[Event]) -> None:
        try:
            self._append(events)
        except Exception as error:  # noqa: BLE001  whatever it was, nothing may be written after it
            with self._changed:
                self._failure = error
                self._queue.clear()
                self._pending = 0
            self._on_failed(error)
            return
        with self._changed:
            self._pending -= len(events)
            self._durable = events[-1].seq
        self._on_durable(events[-1].seq, self._now())

    def _append(self, events: list[Event]) -> None:
        """Append, for as long as another program holds the file: what waits is neither lost nor told."""
        while True:
            try:
                self._ledger.append(events)
            except LedgerLocked as locked:
                if not self._patient:
                    raise
                self.held_up = str(locked)
                log.warning("%s; %d events wait", locked, self._pending)
            else:
                self.held_up = ""
                return

    def _keep(self, snapshot: _Snapshot) -> None:
        try:
            self._ledger.write_snapshot(snapshot.seq, snapshot.data)
        except Exception as error:  # noqa: BLE001  a start without it replays a longer tail
            self.snapshot_failure = error
        else:
            self.snapshot_failure = None
