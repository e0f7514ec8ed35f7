"""Reads the funding history whenever a line of marks came up, so that no settlement is missed (semantics 3, F6)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count

from engine.clock import Clock
from engine.feeds.base import Backoff, FeedStats, Sink
from engine.feeds.funding import FundingWatch, Settlement, sane_mark, sane_rate
from engine.feeds.restful import REST_ERRORS, told_to_wait
from engine.model.instrument import InstrumentId

Fetch = Callable[[int], Awaitable[list[Settlement]]]
"""Settlements due after a time, ns, in any order; raises one of REST_ERRORS."""
_PATIENCE = 10
"""Failed tries after which settlements seen in the stream wait for the history no longer."""

_LONGEST_S = 600.0
"""Nor do they wait for a history that may not be asked for as long as this."""


class FundingHistory:
    """One instrument of one line. Reads on connecting, and once more after `relist_s`: venues list a settlement late."""

    def __init__(
        self,
        instrument: InstrumentId,
        watch: FundingWatch,
        sink: Sink,
        stats: FeedStats,
        fetch: Fetch,
        clock: Clock,
        backoff: Callable[[], Backoff],
        relist_s: float,
    ) -> None:
        self._instrument = instrument
        self._watch = watch
        self._sink = sink
        self._stats = stats
        self._fetch = fetch
        self._clock = clock
        self._backoff = backoff
        self._relist_s = relist_s
        self._connected = asyncio.Event()

    def connected(self) -> None:
        """The line is up: settlements may have been missed."""
        self._watch.wait(self._instrument)
        self._connected.set()

    async def run(self) -> None:
        """Read whenever the line came up, until cancelled."""
        while True:
            await self._connected.wait()
            self._connected.clear()
            await self._read()
            try:
                async with asyncio.timeout(self._relist_s):
                    await self._connected.wait()
            except TimeoutError:
                await self._read()

    async def _read(self) -> None:
        backoff = self._backoff()
        for tries in count(1):
            try:
                rows = await self._fetch(self._watch.given_ns(self._instrument))
                break
            except REST_ERRORS as error:
                self._stats.funding_failures += 1
                wait_s = max(told_to_wait(error), backoff.next())
            if tries == _PATIENCE or wait_s > _LONGEST_S:
                self._give([])
            await asyncio.sleep(wait_s)
        sane = [row for row in rows if sane_rate(row.rate) and sane_mark(row.mark)]
        self._stats.dropped_absurd += len(rows) - len(sane)
        self._give(sane)

    def _give(self, rows: list[Settlement]) -> None:
        for funding in self._watch.caught_up(self._instrument, rows, self._clock.now_ns()):
            self._sink(funding)
