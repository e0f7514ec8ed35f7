"""The engine's disk: the real ledger on a real file, committed on virtual time, with full disks and deaths in between."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.ledger.errors import LedgerFull
from engine.ledger.store import Ledger
from engine.ledger.writer import Writer, WriterBehind
from engine.model.event import Event

SUFFIXES = ("", "-wal", ".head", ".reserve")
"""What a killed process leaves: its lock dies with it, shared memory is rebuilt."""
RESERVE_BYTES = 4096
POINTS = ("before", "torn", "without HEAD", "untold")
"""Where in a commit an engine may die."""

Image = dict[str, bytes]


class Killed(BaseException):
    """The process is gone; `image` is what its disk holds."""

    def __init__(self, image: Image) -> None:
        super().__init__("killed")
        self.image = image


def image_of(path: Path) -> Image:
    """The ledger's files as they lie there."""
    files = {suffix: path.with_name(path.name + suffix) for suffix in SUFFIXES}
    return {suffix: file.read_bytes() for suffix, file in files.items() if file.exists()}


def put_back(image: Image, path: Path) -> None:
    """The files of a dead engine, for the next one."""
    for suffix, data in image.items():
        path.with_name(path.name + suffix).write_bytes(data)


class Disk:
    """How the disk behaves; outlives the engines that use it."""

    def __init__(self, draw: random.Random, befell: Callable[[str], None] = lambda fault: None) -> None:
        """`befell` hears of every fault in the moment it takes effect."""
        self._draw = draw
        self.befell = befell
        self.slow_s = 0.0
        """A commit takes up to this long."""
        self.full = False
        self.room = 0
        """Commits that still fit into a freed reserve."""
        self.behind = False
        self.doom = ""
        """Where in the next commit the engine dies."""
        self.dies: dict[int, str] = {}
        """Number of a commit -> where in it the engine dies."""
        self.begun = 0
        self.refused = 0
        self.commits = 0

    def delay_s(self) -> float:
        """How long the next commit takes."""
        if self.slow_s:
            self.befell("slow disk")
        return self._draw.uniform(0.0001, 0.004) + self._draw.random() ** 4 * self.slow_s

    def fate(self) -> str:
        """Where in the commit that begins now the engine dies; empty where it does not."""
        self.begun += 1
        point, self.doom = self.doom, ""
        point = self.dies.get(self.begun, point)
        if point:
            self.befell(f"kill in a commit: {point}")
        return point

    def cut(self, before: int, after: int) -> int:
        """Where a torn write ends."""
        return self._draw.randint(before, max(before, after - 1))


class SimLedger(Ledger):
    """The ledger on that disk."""

    disk: Disk

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with super()._transaction():
            yield
            disk = self.disk
            if disk.full and (self.reserve_held or not disk.room):
                disk.refused += 1
                disk.befell("full disk")
                raise LedgerFull(f"{self.path.name}: the disk is full; free some room")
            disk.room -= disk.full

    def append(self, events: Sequence[Event]) -> None:
        """As the ledger's, with a death at the point that was chosen."""
        point = self.disk.fate()
        before = image_of(self.path) if point else {}
        if point == "before":
            raise Killed(before)
        super().append(events)
        self.disk.commits += 1
        if not point:
            return
        after = image_of(self.path)
        if point != "untold":
            after[".head"] = before[".head"]
        if point == "torn":
            after["-wal"] = after["-wal"][: self.disk.cut(len(before["-wal"]), len(after["-wal"]))]
        raise Killed(after)


class SimWriter(Writer):
    """The writer's own queue, groups and failures; only its thread is replaced by the loop's time."""

    def __init__(
        self,
        ledger: SimLedger,
        on_durable: Callable[[int, int], None],
        on_failed: Callable[[Exception], None],
        on_killed: Callable[[Image], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._disk = ledger.disk
        self._on_killed = on_killed
        self._handle: asyncio.TimerHandle | None = None
        self._at_work: Any = None
        """What the running commit writes; what comes meanwhile waits for the next."""
        self.dead = False
        super().__init__(ledger, on_durable, on_failed, now=lambda: int(self._loop.time() * 1e9))

    def _run(self) -> None:
        """No thread: the loop pumps."""

    def submit(self, events: Sequence[Event]) -> None:
        """As the writer's; the commit comes after the disk's delay."""
        if self._disk.behind and events and not self.dead:
            self._disk.behind = False
            self._disk.befell("writer behind")
            raise WriterBehind("simulated: the disk does not keep up")
        super().submit(events)
        self._wake()

    def submit_snapshot(self, seq: int, data: bytes) -> None:
        """As the writer's."""
        super().submit_snapshot(seq, data)
        self._wake()

    def drain(self) -> bool:
        """Everything now: who calls this waits for the disk."""
        while (self._at_work is not None or self._queue) and not self.dead:
            self._work()
        return not self.dead and super().drain()

    def close(self) -> None:
        """Write what is queued."""
        self.drain()
        self.die()
        super().close()

    def die(self) -> None:
        """The process is gone."""
        self.dead = True
        self._queue.clear()
        if self._handle is not None:
            self._handle.cancel()

    def _wake(self) -> None:
        if self._handle is None and self._queue and not self.dead:
            self._at_work = self._take()
            self._handle = self._loop.call_later(self._disk.delay_s(), self._ring)

    def _ring(self) -> None:
        self._handle = None
        self._work()
        self._wake()

    def _work(self) -> None:
        if self._at_work is None and not self._queue:
            return
        work, self._at_work = self._at_work or self._take(), None
        if not work:
            return
        try:
            if isinstance(work, list):
                self._commit(work)
            else:
                self._keep(work)
        except Killed as killed:
            self.die()
            self._on_killed(killed.image)
