"""Keeps crossed, impossible and absurd prices from the core. Pure: judged by value and the input's own time."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from engine.feeds.sequence import Levels
from engine.model.instrument import InstrumentId
from engine.model.market import Mark, Quote, Trade


class Verdict(StrEnum):
    """What the gate says of a price."""

    GOOD = "good"
    CROSSED = "crossed"
    ABSURD = "absurd"


class _Track(Struct):
    low: float
    high: float
    suspect: float = 0.0
    since_ns: int = 0
    seen: int = 0
    """So many prices in a row stood at the suspect level."""


_INFINITY = float("inf")
_GOOD, _CROSSED, _ABSURD = Verdict.GOOD, Verdict.CROSSED, Verdict.ABSURD


def sane_levels(levels: Levels) -> bool:
    """Every price is positive and finite, every size finite and not negative."""
    try:
        for price, size in levels:
            if not (0 < float(price) < _INFINITY and 0 <= float(size) < _INFINITY):
                return False
    except ValueError:
        return False
    return True


class PriceGate:
    """Judges prices against the last good one of the same instrument and kind; the first against the price that is `known`.

    A jump of more than `max_jump` (fraction) is absurd, until `confirmed_by` prices in a row, with no good one between, have
    stood at the new level over at least `persist_ns`: then the market really moved. Time alone proves nothing: on a slow
    stream two wrong prices lie seconds apart, too.
    """

    def __init__(
        self,
        max_jump: float = 0.2,
        persist_ns: int = 2_000_000_000,
        confirmed_by: int = 4,
        known: Mapping[InstrumentId, float] | None = None,
    ) -> None:
        """`known`: what an instrument was worth when last heard of. Without it the first price of all is taken as it comes."""
        self._up = 1 + max_jump
        self._down = 1 - max_jump
        self._persist_ns = persist_ns
        self._confirmed_by = confirmed_by
        self._known = dict(known or {})
        self._quotes: dict[InstrumentId, _Track] = {}
        self._trades: dict[InstrumentId, _Track] = {}
        self._marks: dict[InstrumentId, _Track] = {}
        self._indexes: dict[InstrumentId, _Track] = {}

    def quote(self, quote: Quote) -> Verdict:
        """Judge a quote: both prices and sizes positive and finite, bid below ask, no absurd jump of either side."""
        bid, ask = quote.bid, quote.ask
        # Written so that NaN fails every comparison.
        if not (0 < bid < ask < _INFINITY):
            return _CROSSED if 0 < ask <= bid < _INFINITY else _ABSURD
        try:
            if not (0 < float(quote.bid_size_text) < _INFINITY and 0 < float(quote.ask_size_text) < _INFINITY):
                return _ABSURD
        except ValueError:
            return _ABSURD
        return self._judge(self._quotes, quote.instrument, bid, ask, quote.time_ns)

    def trade(self, trade: Trade) -> Verdict:
        """Judge a trade's price and size."""
        price = _number(trade.price)
        if not (0 < price < _INFINITY and 0 < _number(trade.size) < _INFINITY):
            return _ABSURD
        return self._judge(self._trades, trade.instrument, price, price, trade.time_ns)

    def mark(self, mark: Mark) -> Verdict:
        """Judge a mark price: an absurd one would liquidate."""
        return self._single(self._marks, mark, mark.price)

    def index(self, mark: Mark) -> Verdict:
        """Judge the index price beside a mark, if any: an absurd one would fire what watches it."""
        return _GOOD if mark.index is None else self._single(self._indexes, mark, mark.index)

    def book(self, instrument: InstrumentId, bid: float, ask: float) -> Verdict:
        """Judge a book's best prices, 0 or infinite for an empty side: no absurd step from the last good quote."""
        quote = self._quotes.get(instrument)
        if quote is None:
            return _GOOD
        up, down = self._up, self._down
        if bid and not quote.low * down <= bid <= quote.low * up:
            return _ABSURD
        if ask < _INFINITY and not quote.high * down <= ask <= quote.high * up:
            return _ABSURD
        return _GOOD

    def _single(self, tracks: dict[InstrumentId, _Track], mark: Mark, number: Decimal) -> Verdict:
        price = _number(number)
        if not 0 < price < _INFINITY:
            return _ABSURD
        return self._judge(tracks, mark.instrument, price, price, mark.time_ns)

    def _judge(
        self, tracks: dict[InstrumentId, _Track], key: InstrumentId, low: float, high: float, now_ns: int
    ) -> Verdict:
        track = tracks.get(key)
        if track is None:
            known = self._known.get(key)
            track = tracks[key] = _Track(known or low, known or high)
        last_low, last_high = track.low, track.high
        if low == last_low and high == last_high and not track.suspect:
            return _GOOD
        up, down = self._up, self._down
        if last_low * down <= low <= last_low * up and last_high * down <= high <= last_high * up:
            track.low, track.high, track.suspect = low, high, 0.0
            return _GOOD
        middle = (low + high) / 2
        if not track.suspect * down <= middle <= track.suspect * up:
            track.suspect, track.since_ns, track.seen = middle, now_ns, 0
        track.seen += 1
        if track.seen < self._confirmed_by or now_ns - track.since_ns < self._persist_ns:
            return _ABSURD
        track.low, track.high, track.suspect = low, high, 0.0
        return _GOOD


def _number(number: Decimal) -> float:
    """Its float; 0, which no price or size is, where it is not finite: a signalling NaN has none."""
    return float(number) if number.is_finite() else 0.0
