"""The only reader of clocks. Everything else takes a time, or a Clock, as an argument."""

import time
from collections.abc import Callable
from typing import Protocol

JUMP_NS = 1_000_000_000
"""A wall clock this far ahead was set, or the machine slept; less is left alone."""


def wall_ns() -> int:
    """Nanoseconds since the Unix epoch, UTC. May step when the system clock is set."""
    return time.time_ns()


def mono_ns() -> int:
    """Nanoseconds of a clock that never goes back; only differences mean something."""
    return time.perf_counter_ns()


class Clock(Protocol):
    """What tells the time, in UTC nanoseconds."""

    def now_ns(self) -> int:
        """The current time."""
        ...


class SteadyClock:
    """UTC that never goes back and never stands still, whatever happens to the system's clock; starts at `floor_ns` at least.

    It advances with the monotonic clock. Where the wall clock is more than JUMP_NS ahead it is followed: the machine slept,
    or the time was set. Where it is behind it is not: what is recorded already must lie in the past.
    """

    __slots__ = ("_mono", "_offset_ns", "_wall")

    def __init__(self, floor_ns: int = 0, wall: Callable[[], int] = wall_ns, mono: Callable[[], int] = mono_ns) -> None:
        self._wall = wall
        self._mono = mono
        self._offset_ns = max(wall(), floor_ns) - mono()

    def now_ns(self) -> int:
        """The current time."""
        # The wall is read first: a pause between the two readings must not look like a jump.
        wall = self._wall()
        now = self._mono() + self._offset_ns
        ahead = wall - now
        if ahead > JUMP_NS:
            self._offset_ns += ahead
            return wall
        return now

    @property
    def step_ns(self) -> int:
        """Steady minus wall, ns: large where the wall clock was set back, or is behind what was recorded."""
        return self.now_ns() - self._wall()


class ManualClock:
    """A clock that moves only when told to: for tests, simulation and replay."""

    __slots__ = ("_now",)

    def __init__(self, now: int = 0) -> None:
        self._now = now

    def now_ns(self) -> int:
        """The current time."""
        return self._now

    def advance(self, ns: int) -> int:
        """Move `ns` nanoseconds forward and return the new time."""
        if ns < 0:
            raise ValueError(f"a clock does not go back: {ns} ns")
        self._now += ns
        return self._now

    def advance_to(self, now: int) -> int:
        """Move forward to `now` and return it."""
        return self.advance(now - self._now)
