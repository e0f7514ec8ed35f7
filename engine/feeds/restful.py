"""The half of a live feed's venue that is asked over HTTP; what differs from venue to venue is a module of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import httpx
import msgspec

from engine.clock import Clock
from engine.feeds.base import UNREADABLE
from engine.feeds.funding import Settlement
from engine.feeds.sequence import Snapshot
from engine.model.instrument import Instrument, InstrumentId

REST_ERRORS = (httpx.HTTPError, *UNREADABLE)
"""What asking a venue raises."""


class Rest(Protocol):
    """A venue's `rest` module; a symbol is spelled as the venue does. What fails raises one of REST_ERRORS."""

    async def get_instruments(self, http: httpx.AsyncClient) -> list[Instrument]:
        """Every instrument the venue trades."""
        ...

    async def get_depth(self, http: httpx.AsyncClient, symbol: str) -> bytes:
        """A book of 1,000 levels a side, undecoded: it is stamped with the time it arrived."""
        ...

    def parse_depth(self, body: bytes, instrument: InstrumentId, now_ns: int) -> Snapshot:
        """Such a book, decoded."""
        ...

    async def get_settlements(self, http: httpx.AsyncClient, symbol: str, since_ns: int) -> list[Settlement]:
        """Funding settled after `since_ns`, with the mark of each time."""
        ...

    async def get_time_ns(self, http: httpx.AsyncClient) -> int:
        """The venue's clock."""
        ...


class RestVenue:
    """Answers a LiveFeed by instrument from a venue that is asked by symbol."""

    def __init__(self, rest: Rest, rest_url: str, symbols: Mapping[InstrumentId, str]) -> None:
        self.rest_url = rest_url
        self._rest = rest
        self._symbols = symbols

    def wanted(self) -> tuple[InstrumentId, ...]:
        """Instruments asked for."""
        return tuple(self._symbols)

    async def instruments(self, http: httpx.AsyncClient) -> list[Instrument]:
        """Every instrument the venue trades."""
        return await self._rest.get_instruments(http)

    async def snapshot(self, http: httpx.AsyncClient, instrument: InstrumentId, clock: Clock) -> Snapshot:
        """A book, stamped when it arrived."""
        body = await self._rest.get_depth(http, self._symbols[instrument])
        return self._rest.parse_depth(body, instrument, clock.now_ns())

    async def settlements(self, http: httpx.AsyncClient, instrument: InstrumentId, since_ns: int) -> list[Settlement]:
        """Funding settled after `since_ns`."""
        return await self._rest.get_settlements(http, self._symbols[instrument], since_ns)

    async def server_time_ns(self, http: httpx.AsyncClient) -> int:
        """The venue's clock."""
        return await self._rest.get_time_ns(http)


def readable(rows: Iterable[msgspec.Raw], read: Callable[[msgspec.Raw], Instrument | None]) -> list[Instrument]:
    """What can be read of a venue's list; what trades there in a shape unknown to us must not hide the rest."""
    found = []
    for row in rows:
        try:
            instrument = read(row)
            if instrument is not None and instrument.tick > 0 and instrument.step > 0:
                found.append(instrument)
        except UNREADABLE:
            continue
    return found


def told_to_wait(error: Exception) -> float:
    """Seconds of a Retry-After header, which a ban grows with when it is not kept; 0 where there is none."""
    if not isinstance(error, httpx.HTTPStatusError):
        return 0.0
    try:
        seconds = float(error.response.headers.get("Retry-After", "0"))
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) else 0.0
