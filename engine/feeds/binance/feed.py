"""Binance USD-M public streams (venues/binance.md 1.1): quotes and depth on /public, trades and marks on /market."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from decimal import Decimal

from engine.clock import Clock
from engine.feeds.binance import rest
from engine.feeds.binance.frames import FrameDecoder
from engine.feeds.line import Line
from engine.feeds.live import LiveFeed, Timing
from engine.feeds.restful import RestVenue
from engine.feeds.sequence import Rule, UsdmRule
from engine.model.instrument import instrument_id

STREAM_URL = "wss://fstream.binance.com"
REST_URL = "https://fapi.binance.com"
TIMING = Timing(silence={"quote": 15.0, "depth": 15.0, "mark": 10.0})
"""Trades are not watched: a quiet symbol may have none. A dead /market line shows by its marks, sent every second."""


class BinanceUsdm(RestVenue):
    """The USD-M venue of a LiveFeed."""

    name = "binance"

    def __init__(
        self,
        symbols: Sequence[str],
        stream_url: str = STREAM_URL,
        rest_url: str = REST_URL,
        timing: Timing = TIMING,
    ) -> None:
        self.rule: Rule = UsdmRule()
        self.timing = timing
        self._stream_url = stream_url.rstrip("/")
        self._ids = {symbol.lower(): instrument_id("binance", "perp", symbol.upper()) for symbol in symbols}
        super().__init__(rest, rest_url, {instrument: symbol.upper() for symbol, instrument in self._ids.items()})
        self.decode_frame = FrameDecoder(self._ids).decode_frame

    def lines(self) -> tuple[Line, ...]:
        """One socket a category: a connection serves one only."""
        return (
            self._line("public", {"quote": "bookTicker", "depth": "depth@100ms"}),
            self._line("market", {"trade": "aggTrade", "mark": "markPrice@1s"}),
        )

    def _line(self, category: str, streams: dict[str, str]) -> Line:
        names = "/".join(f"{symbol}@{name}" for symbol in self._ids for name in streams.values())
        keys = tuple((instrument, stream) for instrument in self._ids.values() for stream in streams)
        return Line(f"{self._stream_url}/{category}/stream?streams={names}", keys)


def binance_feed(
    symbols: Sequence[str],
    clock: Clock,
    rng: random.Random,
    timing: Timing = TIMING,
    since_ns: int = 0,
    prices: Mapping[str, Decimal] | None = None,
) -> LiveFeed:
    """The public USD-M feed."""
    return LiveFeed(BinanceUsdm(symbols, timing=timing), clock, rng, since_ns=since_ns, prices=prices)
