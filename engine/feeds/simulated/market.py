"""The whole simulated market as a pure generator: what happens up to a time follows from the seed alone."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from decimal import Decimal

from engine.feeds.base import FeedError
from engine.feeds.simulated.listing import Listing, instrument_of, listing_of
from engine.feeds.simulated.price import BEAT_S
from engine.feeds.simulated.symbol import SimulatedSymbol
from engine.model.instrument import Instrument
from engine.model.market import MarketInput

MAX_RATE = 5_000
_SECOND = 1_000_000_000
_LEAST_TICKS = 1_000
"""A price of fewer ticks leaves no room for a book."""
_BEAT_NS = int(BEAT_S * _SECOND)
"""Depth is sent as on a venue's 100 ms stream; every tenth beat carries the marks."""


class SimulatedMarket:
    """Symbols with a common schedule of `rate` quotes a second, all together.

    Events happen at times drawn from the seed, so cutting the same span into other steps gives the same events; only
    their `time_ns`, the time of the step that delivered them, differs. `volatility` multiplies every symbol's own.
    It opens with the funding missed since `funded_since_ns`; 0 where nothing was.
    """

    def __init__(
        self,
        seed: int,
        symbols: Sequence[str],
        start_ns: int,
        start_prices: Mapping[str, Decimal] | None = None,
        *,
        rate: float = 60.0,
        volatility: float = 1.0,
        funded_since_ns: int = 0,
    ) -> None:
        if not 0 < rate <= MAX_RATE:
            raise FeedError(f"rate: {rate} quotes a second is out of range; choose from 1 to {MAX_RATE}")
        if not 0 < volatility <= 50:
            raise FeedError(f"volatility: {volatility} is out of range; 1 is normal, 50 the most")
        listings = [listing_of(symbol) for symbol in dict.fromkeys(map(str.upper, symbols))]
        if not listings:
            raise FeedError("symbols: none given; name at least one")
        prices = start_prices or {}
        self.instruments: list[Instrument] = [instrument_of(listing) for listing in listings]
        self._symbols = [
            SimulatedSymbol(
                random.Random(f"{seed}|{listing.symbol}"),
                listing,
                _start_price(listing, prices),
                volatility,
                start_ns,
                funded_since_ns,
            )
            for listing in listings
        ]
        self._rng = random.Random(f"{seed}|schedule")
        self._shares = _cumulative([listing.weight for listing in listings])
        self._rate = rate / _SECOND
        self._opened = False
        self._beats = 0
        self._next_beat_ns = start_ns + _BEAT_NS
        self._next_event_ns = start_ns + int(self._rng.expovariate(self._rate))

    @property
    def next_ns(self) -> int:
        """When something happens next."""
        return min(self._next_event_ns, self._next_beat_ns)

    def step(self, now_ns: int) -> list[MarketInput]:
        """Everything that happens up to and including `now_ns`, in order, stamped as received then."""
        out: list[MarketInput] = []
        if not self._opened:
            self._opened = True
            for symbol in self._symbols:
                out += symbol.opening(now_ns)
        while (due := self.next_ns) <= now_ns:
            if due == self._next_beat_ns:
                self._beat(due, now_ns, out)
            else:
                out += self._pick().event(due, now_ns)
                self._next_event_ns = due + 1 + int(self._rng.expovariate(self._rate))
        return out

    def hold_until(self, now_ns: int) -> None:
        """Let time pass in which nothing happens: the market was paused, or the machine slept."""
        held = now_ns - self.next_ns
        if held <= 0:
            return
        self._next_event_ns += held
        self._next_beat_ns += held
        for symbol in self._symbols:
            symbol.hold_until(now_ns)

    def _beat(self, due: int, now_ns: int, out: list[MarketInput]) -> None:
        self._beats += 1
        self._next_beat_ns = due + _BEAT_NS
        for symbol in self._symbols:
            changes = symbol.beat(due, now_ns)
            if changes is not None:
                out.append(changes)
            if self._beats % 10 == 0:
                out += symbol.second(due, now_ns)

    def _pick(self) -> SimulatedSymbol:
        drawn = self._rng.random()
        for share, symbol in zip(self._shares, self._symbols, strict=True):
            if drawn < share:
                return symbol
        return self._symbols[-1]


def _start_price(listing: Listing, prices: Mapping[str, Decimal]) -> Decimal:
    price = prices.get(listing.symbol, Decimal(listing.price))
    least = Decimal(_LEAST_TICKS) / listing.tick_parts
    if not price >= least:
        raise FeedError(f"prices: {listing.symbol} cannot start at {price}; give at least {least}")
    return price


def _cumulative(weights: list[float]) -> list[float]:
    total = sum(weights)
    shares: list[float] = []
    for weight in weights:
        shares.append((shares[-1] if shares else 0.0) + weight / total)
    return shares
