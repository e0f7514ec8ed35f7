"""The only reader of clocks. Everything else takes a time, or a Clock, as an argument."""

import time
from typing import Protocol


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


class WallClock:
    """The system's clock."""

    __slots__ = ()

    def now_ns(self) -> int:
        """The current time."""
        return wall_ns()


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
