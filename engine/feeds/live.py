"""A live public feed: sockets that reconnect, books that resync, a clock offset that is measured. Venues plug in."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from decimal import Decimal
from typing import Protocol

import httpx
from msgspec import Struct
from msgspec.structs import replace

from engine.clock import Clock
from engine.feeds.assembler import Assembler, Item
from engine.feeds.base import Backoff, FeedError, FeedStats, Sink, explain
from engine.feeds.books import BookKeeper
from engine.feeds.funding import REACH_BACK_NS, FundingWatch, Settlement
from engine.feeds.history import FundingHistory
from engine.feeds.line import Line, LineReader
from engine.feeds.restful import REST_ERRORS, told_to_wait
from engine.feeds.sanity import PriceGate
from engine.feeds.sequence import Rule, Snapshot
from engine.model.instrument import Instrument, InstrumentId

_OFFSET_EVERY_S = 600.0


class Timing(Struct, frozen=True):
    """How patient a live feed is, seconds; tests use small values."""

    silence: Mapping[str, float]
    """Stream (quote, depth, trade, mark) -> longest silence; streams not named may be quiet for ever."""
    backoff_base: float = 1.0
    backoff_cap: float = 30.0
    first_diff: float = 1.0
    """How long a snapshot waits for the first diff to be buffered; a quiet book may have none."""
    http: float = 10.0
    relist: float = 60.0
    """How long after connecting the funding history is read once more: venues list a settlement late."""


class Venue(Protocol):
    """What a venue brings to a live feed."""

    name: str
    rest_url: str
    rule: Rule
    timing: Timing

    def lines(self) -> tuple[Line, ...]:
        """The sockets to hold."""
        ...

    def decode_frame(self, raw: bytes, now_ns: int) -> Item | None:
        """A frame's content; raises msgspec.DecodeError, ValueError, FeedRefused."""
        ...

    async def instruments(self, http: httpx.AsyncClient) -> list[Instrument]:
        """Every instrument the venue trades."""
        ...

    async def snapshot(self, http: httpx.AsyncClient, instrument: InstrumentId, clock: Clock) -> Snapshot:
        """A book from REST, stamped when it arrived."""
        ...

    async def settlements(self, http: httpx.AsyncClient, instrument: InstrumentId, since_ns: int) -> list[Settlement]:
        """Funding settled after `since_ns`, with the mark of each time, in any order."""
        ...

    async def server_time_ns(self, http: httpx.AsyncClient) -> int:
        """The venue's clock."""
        ...

    def wanted(self) -> tuple[InstrumentId, ...]:
        """Instruments this feed was asked for."""
        ...


class LiveFeed:
    """The Feed of one venue's public streams. Funding missed since `since_ns` is delivered; 0 says that nothing was."""

    def __init__(
        self,
        venue: Venue,
        clock: Clock,
        rng: random.Random,
        since_ns: int = 0,
        prices: Mapping[str, Decimal] | None = None,
    ) -> None:
        """`prices` by symbol, as last known: an absurd first price after a start is dropped like any other."""
        self.identity = venue.name
        self.clock = clock
        self.clock_offset_ns = 0
        self._venue = venue
        self._rng = rng
        known = {name: (prices or {}).get(name.partition(":")[2]) for name in venue.wanted()}
        self._gate = PriceGate(known={name: float(price) for name, price in known.items() if price is not None})
        self._funding = FundingWatch(since_ns - REACH_BACK_NS if since_ns else clock.now_ns())
        self._stats = FeedStats()
        self._listed: list[Instrument] = []

    async def instruments(self) -> list[Instrument]:
        """What was asked for, with the venue's rules; raises FeedError."""
        venue, found = self._venue, await self._traded()
        missing = [i.partition(":")[2] for i in venue.wanted() if i not in found]
        if missing:
            raise FeedError(
                f"symbols: {venue.name} does not trade {', '.join(missing)}; name symbols as the venue does"
            )
        self._listed = [found[i] for i in venue.wanted()]
        return self._listed

    async def relisted(self) -> list[Instrument]:
        """See Feed."""
        found, known = await self._traded(), {i.id: i for i in self._listed}
        halted = {name: replace(instrument, halted=True) for name, instrument in known.items()}
        self._listed = [one for name in self._venue.wanted() if (one := found.get(name) or halted.get(name))]
        return self._listed

    async def _traded(self) -> dict[InstrumentId, Instrument]:
        venue = self._venue
        try:
            async with self._http() as http:
                return {i.id: i for i in await venue.instruments(http)}
        except REST_ERRORS as error:
            raise FeedError(
                f"feed {venue.name}: cannot read instruments from {venue.rest_url}: {explain(error)}; "
                "check the network, or use --feed simulated"
            ) from error

    async def run(self, sink: Sink) -> None:
        """Hold every line until cancelled."""
        timing = self._venue.timing
        assembler = Assembler(sink, self._stats, self._venue.rule, self._gate, self._funding)
        async with self._http() as http, asyncio.TaskGroup() as group:
            group.create_task(self._measure_offset(http))
            for line in self._venue.lines():
                books = {i: self._book(i, assembler, http) for i, stream in line.streams if stream == "depth"}
                histories = [self._history(i, sink, http) for i, stream in line.streams if stream == "mark"]
                for book in books.values():
                    group.create_task(book.run())
                for history in histories:
                    group.create_task(history.run())
                reader = LineReader(
                    line,
                    self._venue.decode_frame,
                    assembler,
                    books,
                    histories,
                    self._stats,
                    self.clock,
                    timing.silence,
                    self._backoff(),
                )
                group.create_task(reader.run())

    def pause(self) -> None:
        """A live market cannot be held."""

    def resume(self) -> None:
        """A live market was never held."""

    def stats(self) -> dict[str, int]:
        """Counter values by name."""
        return self._stats.as_dict()

    def _book(self, instrument: InstrumentId, assembler: Assembler, http: httpx.AsyncClient) -> BookKeeper:
        async def fetch() -> Snapshot:
            return await self._venue.snapshot(http, instrument, self.clock)

        timing = self._venue.timing
        return BookKeeper(instrument, assembler, fetch, self.clock, self._backoff(), timing.first_diff)

    def _history(self, instrument: InstrumentId, sink: Sink, http: httpx.AsyncClient) -> FundingHistory:
        async def fetch(since_ns: int) -> list[Settlement]:
            return await self._venue.settlements(http, instrument, since_ns)

        relist_s = self._venue.timing.relist
        return FundingHistory(instrument, self._funding, sink, self._stats, fetch, self.clock, self._backoff, relist_s)

    def _http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self._venue.rest_url, timeout=self._venue.timing.http)

    def _backoff(self) -> Backoff:
        return Backoff(self._rng, self._venue.timing.backoff_base, self._venue.timing.backoff_cap)

    async def _measure_offset(self, http: httpx.AsyncClient) -> None:
        backoff = self._backoff()
        while True:
            before = self.clock.now_ns()
            try:
                server = await self._venue.server_time_ns(http)
            except REST_ERRORS as error:
                await asyncio.sleep(max(told_to_wait(error), backoff.next()))
                continue
            self.clock_offset_ns = (before + self.clock.now_ns()) // 2 - server
            await asyncio.sleep(_OFFSET_EVERY_S)
