"""Paces the simulated market by a clock."""

from __future__ import annotations

import asyncio

from engine.clock import Clock
from engine.feeds.base import FeedStats, Sink
from engine.feeds.simulated.market import SimulatedMarket
from engine.model.instrument import Instrument
from engine.model.market import FeedStatus, StreamState

_LONGEST_NAP_S = 0.05
_SLEPT_NS = 250_000_000
"""Later than this, and the machine was asleep or stalled: so was the market. Catching up would stall it again."""


class SimulatedFeed:
    """The Feed of a SimulatedMarket."""

    identity = "simulated"
    clock_offset_ns = 0

    def __init__(self, market: SimulatedMarket, clock: Clock) -> None:
        self.clock = clock
        self._market = market
        self._stats = FeedStats()
        self._going = asyncio.Event()
        self._going.set()

    async def instruments(self) -> list[Instrument]:
        """What it lists."""
        return self._market.instruments

    async def relisted(self) -> list[Instrument]:
        """The same: the simulated exchange changes nothing."""
        return self._market.instruments

    async def run(self, sink: Sink) -> None:
        """Deliver events as they fall due, until cancelled."""
        self._tell(sink, StreamState.LIVE)
        while True:
            if not self._going.is_set():
                self._tell(sink, StreamState.DOWN, "paused")
                await self._going.wait()
                self._market.hold_until(self.clock.now_ns())
                self._tell(sink, StreamState.LIVE)
            now_ns = self.clock.now_ns()
            if now_ns - self._market.next_ns > _SLEPT_NS:
                self._market.hold_until(now_ns)
            for item in self._market.step(now_ns):
                self._stats.received += 1
                sink(item)
            wait_s = (self._market.next_ns - self.clock.now_ns()) / 1e9
            await asyncio.sleep(max(0.0, min(wait_s, _LONGEST_NAP_S)))

    def pause(self) -> None:
        """Stop the market's time; entries are blocked meanwhile."""
        self._going.clear()

    def resume(self) -> None:
        """Let the market's time go on from now, at the prices it stopped at."""
        self._going.set()

    def stats(self) -> dict[str, int]:
        """Counter values by name."""
        return self._stats.as_dict()

    def _tell(self, sink: Sink, state: StreamState, detail: str = "") -> None:
        for instrument in self._market.instruments:
            for stream in ("quote", "depth", "trade", "mark"):
                sink(FeedStatus(instrument.id, self.clock.now_ns(), stream, state, detail))
