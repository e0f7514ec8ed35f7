"""Backpack public streams: one socket for spot and perpetuals, no acknowledgements (venues/backpack.md 3)."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from engine.clock import Clock
from engine.feeds.backpack import rest
from engine.feeds.backpack.frames import FrameDecoder
from engine.feeds.line import Line
from engine.feeds.live import LiveFeed, Timing
from engine.feeds.restful import RestVenue
from engine.feeds.sequence import BackpackRule, Rule

STREAM_URL = "wss://ws.backpack.exchange"
REST_URL = "https://api.backpack.exchange"
TIMING = Timing(silence={"quote": 60.0, "depth": 60.0, "mark": 30.0})
"""Longer than Binance's: a spot market may be quiet."""

_STREAMS = {"quote": "bookTicker", "depth": "depth", "trade": "trade", "mark": "markPrice"}


class Backpack(RestVenue):
    """The Backpack venue of a LiveFeed."""

    name = "backpack"

    def __init__(
        self,
        symbols: Sequence[str],
        stream_url: str = STREAM_URL,
        rest_url: str = REST_URL,
        timing: Timing = TIMING,
    ) -> None:
        self.rule: Rule = BackpackRule()
        self.timing = timing
        self._stream_url = stream_url
        self._ids = {symbol: rest.instrument_of(symbol) for symbol in map(str.upper, symbols)}
        super().__init__(rest, rest_url, {instrument: symbol for symbol, instrument in self._ids.items()})
        self.decode_frame = FrameDecoder(self._ids).decode_frame

    def lines(self) -> tuple[Line, ...]:
        """One socket for everything; spot has no mark price."""
        wanted = [
            (symbol, stream)
            for symbol in self._ids
            for stream in _STREAMS
            if stream != "mark" or rest.product_of(symbol) == "perp"
        ]
        names = [f"{_STREAMS[stream]}.{symbol}" for symbol, stream in wanted]
        request = msgspec.json.encode({"method": "SUBSCRIBE", "params": names}).decode()
        keys = tuple((self._ids[symbol], stream) for symbol, stream in wanted)
        return (Line(self._stream_url, keys, (request,)),)


def backpack_feed(
    symbols: Sequence[str],
    clock: Clock,
    rng: random.Random,
    timing: Timing = TIMING,
    since_ns: int = 0,
    prices: Mapping[str, Decimal] | None = None,
) -> LiveFeed:
    """The public feed."""
    return LiveFeed(Backpack(symbols, timing=timing), clock, rng, since_ns=since_ns, prices=prices)
