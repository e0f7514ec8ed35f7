"""An asyncio loop on virtual time: sleeping jumps the clock, nothing ever blocks, and a run repeats exactly."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context
from itertools import count
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Args = TypeVarTuple("Args")

START_NS = 1_767_225_600_000_000_000
"""What a virtual clock shows at first: 2026-01-01 UTC."""
LIMIT_S = 86_400.0
MOST_AT_ONCE = 20_000
"""Turns of the loop in which no time passes; more of them, and something spins."""
_NS = 1_000_000_000
_WIND_UP_NS = 3600 * _NS


class Deadlock(RuntimeError):
    """Nothing is left to do, and somebody still waits."""


class Livelock(RuntimeError):
    """The loop turns and turns, and no time passes."""


class Overrun(RuntimeError):
    """Virtual time passed its limit."""


class _Task(asyncio.Task[Any]):
    """Hashed by when it was made: asyncio keeps tasks in sets, and the order of a set must not hang on addresses."""

    def __init__(self, serial: int, coro: Coroutine[Any, Any, Any], **options: Any) -> None:
        self.serial = serial
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self.serial


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs callbacks in order of virtual time, on one thread and without sockets.

    An exception that asyncio would only log (a callback's, a task's that nobody awaited) is kept in `failure` and stops it.
    """

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        super().__init__()
        self.elapsed_ns = 0
        """Virtual time since the loop was made."""
        self.failure: BaseException | None = None
        self._limit_ns = int(limit_s * _NS)
        self._turns = 0
        self._ending = False
        self._serials = count(1)
        self._selector = self  # what the base class asks how long it may wait
        self._clock_resolution = 1e-9
        self.set_debug(False)
        self.set_task_factory(self._make_task)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self.elapsed_ns / _NS

    def jump(self, ns: int) -> None:
        """Let time pass in which nothing runs, as while a machine is suspended: all that fell due meanwhile is late."""
        if ns < 0:
            raise ValueError(f"a loop's time does not go back: {ns} ns; step a clock instead")
        self.elapsed_ns += ns

    def select(self, timeout: float | None) -> list[Any]:
        """Pass the time instead of waiting for sockets, of which there are none."""
        if timeout is None:
            waiting = sorted(t.get_name() for t in asyncio.all_tasks(self))
            raise Deadlock(f"nothing is left to do at {self.time():.3f} s, and these wait: {', '.join(waiting) or '-'}")
        if timeout > 0:
            self._turns = 0
            self.elapsed_ns += max(1, round(timeout * _NS))
            if self.elapsed_ns > self._limit_ns:
                raise Overrun(
                    f"not done after {self._limit_ns / _NS:g} virtual seconds; raise limit_s if it should take longer"
                )
        else:
            self._turns += 1
            if self._turns > MOST_AT_ONCE:
                raise Livelock(f"{self._turns} turns at {self.time():.3f} s: something never sleeps")
        return []

    def wind_up(self) -> None:
        """Cancel all tasks, oldest first, and see them end."""
        self._ending = True
        self._turns = 0
        self._limit_ns = self.elapsed_ns + _WIND_UP_NS
        left = [task for task in asyncio.all_tasks(self) if isinstance(task, _Task)]
        left.sort(key=lambda task: task.serial)
        for task in left:
            task.cancel()
        if left:
            self.run_until_complete(asyncio.wait(left))
        self.run_until_complete(self.shutdown_asyncgens())

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep the first failure and stop: nothing goes wrong unseen."""
        if self.failure is None:
            self.failure = context.get("exception") or RuntimeError(context.get("message", "unknown failure"))
        if not self._ending:
            self.stop()

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Args]], object], *args: *Args, context: Context | None = None
    ) -> asyncio.Handle:
        """As call_soon: there is one thread."""
        if self.is_running() and getattr(self, "_thread_id", None) != threading.get_ident():
            raise RuntimeError(
                "a virtual loop is called from another thread, so its run would not repeat; do it inline"
            )
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Args]], T], *args: *Args
    ) -> asyncio.Future[T]:
        """Refused: threads do not repeat."""
        raise RuntimeError(f"{func!r} asks for a thread, so the run would not repeat; do it inline")

    def _make_task(self, _: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> _Task:
        return _Task(next(self._serials), coro, loop=self, **options)

    def _process_events(self, event_list: list[Any]) -> None:
        """There are no sockets."""

    def _write_to_self(self) -> None:
        """Nobody needs waking."""


class VirtualClock:
    """A wall clock on a loop's time, in UTC ns. Several may differ: each is stepped alone."""

    def __init__(self, loop: VirtualLoop | None = None, start_ns: int = START_NS) -> None:
        """On the running loop unless another is named."""
        found = loop or asyncio.get_running_loop()
        if not isinstance(found, VirtualLoop):
            raise TypeError(
                f"loop: a virtual clock needs a VirtualLoop, not {type(found).__name__}; use engine.sim.loop.run"
            )
        self._loop = found
        self._offset_ns = start_ns

    def now_ns(self) -> int:
        """What the wall clock shows."""
        return self._loop.elapsed_ns + self._offset_ns

    def mono_ns(self) -> int:
        """Time that no step touches; only differences mean something."""
        return self._loop.elapsed_ns

    def step(self, ns: int) -> None:
        """Somebody sets the clock: forward, or back with a negative number."""
        self._offset_ns += ns


def run(main: Coroutine[Any, Any, T], limit_s: float = LIMIT_S) -> T:
    """Run a coroutine to its end on a new virtual loop, then cancel what it left behind, oldest first.

    Raises what `main` raises, the loop's own failure first; Deadlock, Livelock and Overrun where it would never end.
    """
    loop = VirtualLoop(limit_s)
    try:
        try:
            result = loop.run_until_complete(main)
        finally:
            loop.wind_up()
        if loop.failure is not None:
            raise loop.failure
        return result
    except BaseException as error:
        if loop.failure is not None and loop.failure is not error:
            raise loop.failure from error
        raise
    finally:
        loop.close()
