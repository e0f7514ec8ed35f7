"""Fetches the snapshot a book waits for, again and again if need be, never faster than a venue bears."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from engine.clock import Clock, mono_ns
from engine.feeds.assembler import Assembler
from engine.feeds.base import Backoff, explain
from engine.feeds.restful import REST_ERRORS, told_to_wait
from engine.feeds.sequence import Snapshot
from engine.model.instrument import InstrumentId
from engine.model.market import StreamState, quote


class BookKeeper:
    """One book of one line. `fetch` reads a snapshot over REST; raises one of REST_ERRORS."""

    def __init__(
        self,
        instrument: InstrumentId,
        assembler: Assembler,
        fetch: Callable[[], Awaitable[Snapshot]],
        clock: Clock,
        backoff: Backoff,
        first_diff_s: float,
    ) -> None:
        self._instrument = instrument
        self._assembler = assembler
        self._fetch = fetch
        self._clock = clock
        self._backoff = backoff
        self._first_diff_s = first_diff_s
        self._needed = asyncio.Event()
        self._buffered = asyncio.Event()
        self._connection = 0

    def connected(self) -> None:
        """The line is up: the book needs its first snapshot."""
        self._needed.set()

    def waits(self) -> None:
        """A diff is buffered, for want of a snapshot."""
        self._buffered.set()
        self._needed.set()

    def lost(self) -> None:
        """The line is down; a snapshot on its way is worthless."""
        self._connection += 1
        self._needed.clear()
        self._buffered.clear()

    async def run(self) -> None:
        """Fetch whenever a snapshot is needed, until cancelled."""
        synced_ns: int | None = None
        while True:
            await self._needed.wait()
            if synced_ns is not None:
                # A book that broke again soon after its snapshot must not flood the venue with requests.
                lasted_s = (mono_ns() - synced_ns) / 1e9
                synced_ns = None
                if not self._backoff.lasted(lasted_s):
                    await asyncio.sleep(self._backoff.next())
            retry_s = await self._sync()
            if retry_s is None:
                synced_ns = mono_ns()
            else:
                await asyncio.sleep(max(retry_s, self._backoff.next()))

    async def _sync(self) -> float | None:
        """One try; None when the book is in sequence, else the seconds to wait at least before the next."""
        connection = self._connection
        await self._first_diff()
        if connection != self._connection:
            return 0.0
        try:
            snapshot = await self._fetch()
        except REST_ERRORS as error:
            detail = f"snapshot: {explain(error)}"
            key = (self._instrument, "depth")
            self._assembler.state(key, StreamState.RESYNC, self._clock.now_ns(), detail)
            return told_to_wait(error)
        if connection != self._connection or not self._assembler.snapshot(snapshot):
            return 0.0
        self._needed.clear()
        self._buffered.clear()
        self._seed_quote(snapshot)
        return None

    async def _first_diff(self) -> None:
        try:
            async with asyncio.timeout(self._first_diff_s):
                await self._buffered.wait()
        except TimeoutError:
            pass

    def _seed_quote(self, snapshot: Snapshot) -> None:
        # Backpack sends no quote on subscribe, and a quiet market none for long (venues/backpack.md 3.2).
        if self._assembler.has_quote(self._instrument) or not (snapshot.bids and snapshot.asks):
            return
        bid = max(snapshot.bids, key=lambda level: float(level[0]))
        ask = min(snapshot.asks, key=lambda level: float(level[0]))
        self._assembler.accept(
            quote(self._instrument, snapshot.time_ns, *bid, *ask, snapshot.venue_ns, snapshot.last_id)
        )
