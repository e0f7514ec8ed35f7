"""Candles made from trades and quotes as they pass; volatile, floats, for pictures only."""

from __future__ import annotations

from collections import deque

from msgspec import Struct

from engine.model.market import Quote, Trade
from engine.views.structs import Candle

TIMEFRAMES = (1, 5, 15, 60, 300, 900, 3600)
"""Seconds."""
KEEP = 500
SECOND_NS = 1_000_000_000


class Candles:
    """Candles of one instrument in one timeframe."""

    __slots__ = ("_close", "_closed", "_high", "_low", "_open", "_start", "_step", "_volume")

    def __init__(self, seconds: int) -> None:
        self._step = seconds * SECOND_NS
        self._closed: deque[Candle] = deque(maxlen=KEEP)
        self._start = -1
        self._open = self._high = self._low = self._close = self._volume = 0.0

    def add(self, time_ns: int, price: float, size: float = 0.0) -> None:
        """Take a price; `size` > 0 where it traded."""
        start = time_ns - time_ns % self._step
        if start != self._start:
            if self._start >= 0:
                self._closed.append(self._forming())
            self._start = start
            self._open = self._high = self._low = price
            self._volume = 0.0
        self._high = max(self._high, price)
        self._low = min(self._low, price)
        self._close = price
        self._volume += size

    def all(self) -> tuple[Candle, ...]:
        """Oldest first, the forming one last."""
        return (*self._closed, self._forming()) if self._start >= 0 else ()

    def _forming(self) -> Candle:
        return Candle(self._start, self._open, self._high, self._low, self._close, self._volume)


class _Moment(Struct):
    """What quotes showed within one moment, after the first of them."""

    cell: int
    time_ns: int
    low: float
    high: float
    last: float
    more: bool = False


class CandleBook:
    """Candles of every instrument in every timeframe. Of the quotes of one moment, `every_ns`, the first counts at once, the
    highest, the lowest and the last together: a picture needs no more.
    """

    def __init__(self, every_ns: int = 100_000_000) -> None:
        self._series: dict[str, dict[int, Candles]] = {}
        self._every = every_ns
        self._quoted: dict[str, _Moment] = {}

    def quote(self, quote: Quote) -> None:
        """Take the mid of a quote."""
        price, cell = (quote.bid + quote.ask) / 2, quote.time_ns // self._every
        moment = self._quoted.get(quote.instrument)
        if moment is None or moment.cell != cell:
            self._flush(quote.instrument)
            self._quoted[quote.instrument] = _Moment(cell, quote.time_ns, price, price, price)
            self._add(quote.instrument, quote.time_ns, price, 0.0)
            return
        moment.last, moment.more = price, True
        if price > moment.high:
            moment.high = price
        elif price < moment.low:
            moment.low = price

    def trade(self, trade: Trade) -> None:
        """Take a trade with its volume."""
        self._flush(trade.instrument)
        self._add(trade.instrument, trade.time_ns, float(trade.price), float(trade.size))

    def _flush(self, instrument: str) -> None:
        moment = self._quoted.get(instrument)
        if moment is not None and moment.more:
            for price in (moment.low, moment.high, moment.last):
                self._add(instrument, moment.time_ns, price, 0.0)
            moment.low = moment.high = moment.last
            moment.more = False

    def _add(self, instrument: str, time_ns: int, price: float, size: float) -> None:
        series = self._series.get(instrument)
        if series is None:
            series = self._series[instrument] = {seconds: Candles(seconds) for seconds in TIMEFRAMES}
        for candles in series.values():
            candles.add(time_ns, price, size)

    def of(self, instrument: str, seconds: int) -> tuple[Candle, ...]:
        """Candles of one timeframe, oldest first; empty where nothing passed."""
        self._flush(instrument)
        series = self._series.get(instrument, {}).get(seconds)
        return series.all() if series is not None else ()
