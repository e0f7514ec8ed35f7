"""One simulated symbol: a fair price, a book around it, traders who hit it, a mark, an index and funding."""

from __future__ import annotations

import math
import random
from decimal import Decimal

from engine.feeds.simulated.ladder import Ladder
from engine.feeds.simulated.listing import Listing
from engine.feeds.simulated.price import FairPrice, Mood
from engine.model.instrument import instrument_id
from engine.model.market import Depth, Funding, Mark, MarketInput, Quote, Side, Trade

FUNDING_NS = 8 * 3600 * 1_000_000_000
_INTEREST = 0.0001
_MARK_S = 3.0
"""The mark follows the middle of the book this slowly."""
_STICKY = 0.85
"""Chance that the next aggressor takes the same side as the last."""
_TRADE_SHARE = 0.25
"""Share of book events that are trades, in a calm market."""
_SWEEP = 6
"""Levels one aggressor may walk."""


class SimulatedSymbol:
    """Pure: moved by `event` (the book changes) and `second` (mark and index), times in ns of market time."""

    def __init__(
        self,
        rng: random.Random,
        listing: Listing,
        price: Decimal,
        volatility: float,
        start_ns: int,
        funded_since_ns: int,
    ) -> None:
        self.instrument = instrument_id("sim", "perp", listing.symbol)
        self._rng = rng
        self._listing = listing
        self._tick_parts = listing.tick_parts
        self._step_parts = listing.step_parts
        self._price_format = f"%.{len(str(listing.tick_parts)) - 1}f"
        self._size_format = f"%.{len(str(listing.step_parts)) - 1}f"
        self._fair = FairPrice(rng, float(price), listing.volatility * volatility)
        self._spread = Mood(rng, 20.0, 0.5)
        self._premium = Mood(rng, 4 * 3600.0, 0.0006)
        self._buying = rng.random() < 0.5
        self._time_ns = start_ns
        self._updates = 0
        self._trades = 0
        bid, ask = self._targets()
        self._bids = Ladder(rng, -1, bid, listing.level_size * listing.step_parts)
        self._asks = Ladder(rng, +1, ask, listing.level_size * listing.step_parts)
        self._mark = (bid + ask) / (2 * self._tick_parts)
        # The last settlement up to then may not have been booked any more; the desk takes each one once.
        self._next_funding_ns = funded_since_ns // FUNDING_NS * FUNDING_NS
        if not funded_since_ns:
            self._next_funding_ns = (start_ns // FUNDING_NS + 1) * FUNDING_NS

    def opening(self, now_ns: int) -> list[MarketInput]:
        """Funding that was missed, then the whole book, the quote and the mark: what a newcomer needs."""
        self._updates += 1
        missed = self._settled(self._time_ns, now_ns)
        return [*missed, self._depth(now_ns, snapshot=True), self._quote(now_ns), self._mark_input(now_ns)]

    def event(self, venue_ns: int, now_ns: int) -> list[MarketInput]:
        """One change of the book at `venue_ns`, received at `now_ns`: perhaps trades, then always a quote."""
        self._updates += 1
        self._move_time(venue_ns)
        out: list[MarketInput] = []
        if self._rng.random() < _TRADE_SHARE * (0.5 + 0.5 * self._fair.activity):
            self._trade(venue_ns, now_ns, out)
        bid, ask = self._targets()
        self._bids.move_to(bid)
        self._asks.move_to(ask)
        side = self._bids if self._rng.random() < 0.5 else self._asks
        side.resize(0)
        side.resize(1 + int(self._rng.random() * (len(side.ticks) - 1)))
        out.append(self._quote(now_ns, venue_ns))
        return out

    def beat(self, venue_ns: int, now_ns: int) -> Depth | None:
        """BEAT_S passed: moods change; returns what changed in the book since the last beat, if anything did."""
        self._fair.beat()
        self._spread.beat()
        self._premium.beat()
        if not self._bids.changed and not self._asks.changed:
            return None
        return self._depth(now_ns, venue_ns=venue_ns)

    def second(self, venue_ns: int, now_ns: int) -> list[MarketInput]:
        """Another second passed: funding that came due, then the mark."""
        middle = (self._bids.best + self._asks.best) / (2 * self._tick_parts)
        self._mark += (middle - self._mark) / _MARK_S
        return [*self._settled(venue_ns, now_ns), self._mark_input(now_ns, venue_ns)]

    def hold_until(self, now_ns: int) -> None:
        """Time passed in which nothing happened."""
        self._time_ns = max(self._time_ns, now_ns)

    def _settled(self, venue_ns: int, now_ns: int) -> list[MarketInput]:
        """Every settlement up to `venue_ns`, oldest first, at the rate and mark of now: no others are known (F6)."""
        out: list[MarketInput] = []
        while venue_ns >= self._next_funding_ns:
            mark = self._mark_input(now_ns)
            out.append(Funding(self.instrument, now_ns, self._next_funding_ns, self._rate(), mark.price))
            self._next_funding_ns += FUNDING_NS
        return out

    def _move_time(self, venue_ns: int) -> None:
        dt_s = (venue_ns - self._time_ns) / 1e9
        if dt_s > 0:
            self._time_ns = venue_ns
            self._fair.advance(dt_s)

    def _targets(self) -> tuple[int, int]:
        # Makers widen when the market is excited, and never quote tighter than one tick.
        fair = self._fair.value * self._tick_parts
        half = fair * self._listing.spread_bps * 0.5e-4 * self._fair.activity * math.exp(self._spread.value)
        bid = math.floor(fair - half)
        return bid, max(bid + 1, math.ceil(fair + half))

    def _trade(self, venue_ns: int, now_ns: int, out: list[MarketInput]) -> None:
        rng = self._rng
        if rng.random() > _STICKY:
            # Takers lean to the side the price is moving to.
            middle = (self._bids.best + self._asks.best) / 2
            lean = (self._fair.value * self._tick_parts - middle) / (self._asks.best - self._bids.best)
            self._buying = rng.random() < 0.5 + max(-0.4, min(0.4, lean))
        book = self._asks if self._buying else self._bids
        side = Side.BUY if self._buying else Side.SELL
        size = 1 + int(self._listing.trade_size * self._step_parts * rng.lognormvariate(0.0, 1.4))
        for tick, steps in book.take(size, book.ticks[_SWEEP - 1]):
            self._trades += 1
            price, quantity = Decimal(self._price_text(tick)), Decimal(self._size_text(steps))
            out.append(Trade(self.instrument, now_ns, venue_ns, str(self._trades), price, quantity, side))

    def _quote(self, now_ns: int, venue_ns: int = 0) -> Quote:
        bids, asks, parts = self._bids, self._asks, self._tick_parts
        bid, ask = bids.ticks[0], asks.ticks[0]
        return Quote(
            self.instrument,
            now_ns,
            venue_ns or now_ns,
            self._updates,
            bid / parts,
            ask / parts,
            self._price_text(bid),
            self._size_text(bids.sizes[0]),
            self._price_text(ask),
            self._size_text(asks.sizes[0]),
        )

    def _depth(self, now_ns: int, *, venue_ns: int = 0, snapshot: bool = False) -> Depth:
        levels = []
        for side in (self._bids, self._asks):
            shown = zip(side.ticks, side.sizes, strict=True) if snapshot else side.changed.items()
            levels.append(tuple((self._price_text(t), self._size_text(s) if s else "0") for t, s in shown))
            side.changed.clear()
        return Depth(self.instrument, now_ns, venue_ns or now_ns, self._updates, snapshot, levels[0], levels[1])

    def _mark_input(self, now_ns: int, venue_ns: int = 0) -> Mark:
        mark = Decimal(self._price_format % self._mark)
        index = Decimal(self._price_format % (self._mark * (1 - self._premium.value)))
        return Mark(self.instrument, now_ns, venue_ns or now_ns, mark, index, self._rate(), self._next_funding_ns)

    def _rate(self) -> Decimal:
        # Interest pulls the premium by at most 0.05 %, as on the large venues.
        premium = self._premium.value
        pull = max(-0.0005, min(0.0005, _INTEREST - premium))
        return Decimal(f"{max(-0.003, min(0.003, premium + pull)):.8f}")

    def _price_text(self, tick: int) -> str:
        return self._price_format % (tick / self._tick_parts)

    def _size_text(self, steps: int) -> str:
        return self._size_format % (steps / self._step_parts)
