"""What every feed offers, what it counts, and how it waits before it tries again."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

import msgspec
from msgspec import Struct

from engine.clock import Clock
from engine.model.instrument import Instrument
from engine.model.market import MarketInput

Sink = Callable[[MarketInput], None]
"""Takes one input, synchronously, on the event loop."""

UNREADABLE = (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError)
"""What decoding raises where a text is not what it should be."""


class FeedError(RuntimeError):
    """A feed cannot start; says what was asked, what is wrong and what to do."""


class FeedRefused(Exception):
    """The venue answered a subscription with an error."""


def explain(error: BaseException) -> str:
    """The first line of an error's own words; its name where it has none, as timeouts do."""
    return str(error).partition("\n")[0] or type(error).__name__


class FeedStats(Struct):
    """Counters of one feed since it was made."""

    received: int = 0
    """Frames, lines or inputs that arrived."""
    broken: int = 0
    """Could not be decoded, and were skipped."""
    dropped_crossed: int = 0
    dropped_absurd: int = 0
    dropped_late: int = 0
    """Quotes that a newer one had overtaken."""
    gaps: int = 0
    """Times a book's sequence broke."""
    resyncs: int = 0
    """Times a book was built from a snapshot."""
    reconnects: int = 0
    funding_failures: int = 0
    """Times the funding history could not be read."""

    def as_dict(self) -> dict[str, int]:
        """Counter values by name."""
        return {name: getattr(self, name) for name in self.__struct_fields__}


class Feed(Protocol):
    """A source of market inputs."""

    identity: str
    """`simulated`, `binance`, `backpack`, `recording:<file>:<hash>`: stamped in the ledger."""
    clock_offset_ns: int
    """Measured local minus venue time; subtract it from `time_ns - venue_ns` to get an age."""

    @property
    def clock(self) -> Clock:
        """The clock its inputs are stamped with; a recording brings its own."""
        ...

    async def instruments(self) -> list[Instrument]:
        """What it carries; raises FeedError."""
        ...

    async def relisted(self) -> list[Instrument]:
        """What it carries as its venue has it now, halted where that trades it no more; raises FeedError."""
        ...

    async def run(self, sink: Sink) -> None:
        """Push inputs until cancelled, or until a recording ends."""
        ...

    def pause(self) -> None:
        """Hold a market that can be held; a live one cannot, and goes on."""
        ...

    def resume(self) -> None:
        """Go on after a pause."""
        ...

    def stats(self) -> dict[str, int]:
        """Counter values by name."""
        ...


class Backoff:
    """Exponential delays with jitter and a cap, seconds. Starts over once a connection has lasted `stable_s`."""

    def __init__(self, rng: random.Random, base_s: float = 1.0, cap_s: float = 30.0, stable_s: float = 30.0) -> None:
        self._rng = rng
        self._base = base_s
        self._cap = cap_s
        self._stable = stable_s
        self._tries = 0

    def next(self) -> float:
        """The next delay: half to all of min(cap, base * 2^tries)."""
        full = min(self._cap, self._base * 2.0 ** min(self._tries, 30))
        self._tries += 1
        return full * (0.5 + 0.5 * self._rng.random())

    def lasted(self, seconds: float) -> bool:
        """Tell it how long what was waited for then lived; true when that was long enough to start over."""
        stable = seconds >= self._stable
        if stable:
            self._tries = 0
        return stable
