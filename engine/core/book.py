"""The order book of one instrument: volatile market state, rebuilt from the feed (semantics 6)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from math import nan

from msgspec import Struct

from engine.model.instrument import Instrument
from engine.model.market import Depth, Quote, Side
from engine.model.money import ZERO

CURVE_STEPS = 100
"""Without depth, more than this many times the displayed size is not believed to be there."""

Level = tuple[str, str]
"""(price, size) as the venue wrote them."""


class Used(Struct, gc=False):
    """Liquidity we took at a price, and the size displayed when we did."""

    size: Decimal
    displayed: Decimal | None


class _Levels:
    """One side of the depth. Floats order and find the levels: exact, for texts on one tick grid; the texts keep the money."""

    __slots__ = ("by_price", "prices", "used")

    def __init__(self) -> None:
        self.prices: list[float] = []
        """Ascending on both sides."""
        self.by_price: dict[float, Level] = {}
        self.used: dict[float, Used] = {}

    def replace(self, levels: tuple[Level, ...]) -> None:
        self.by_price = {float(level[0]): level for level in levels if float(level[1])}
        self.prices = sorted(self.by_price)

    def update(self, levels: tuple[Level, ...]) -> None:
        prices, by_price = self.prices, self.by_price
        for level in levels:
            price = float(level[0])
            if float(level[1]):
                if price not in by_price:
                    insort(prices, price)
                by_price[price] = level
            elif by_price.pop(price, None) is not None:
                del prices[bisect_left(prices, price)]


class Book:
    """Depth with the fresher top of the quotes laid over it.

    `side` names the side of the book everywhere: BUY the bids, SELL the asks. `best_bid` and `best_ask` are floats for
    threshold compares, nan where a side is empty or unknown: every compare with nan is false.
    """

    __slots__ = (
        "_asks",
        "_bids",
        "_slippage",
        "_slippage_ticks",
        "best_ask",
        "best_bid",
        "depth_id",
        "depth_ns",
        "has_depth",
        "overlaid",
        "quote",
    )

    def __init__(self, instrument: Instrument, slippage_ticks: int = 1) -> None:
        """`slippage_ticks`: without depth, how much worse the price gets per multiple of the displayed size."""
        self._slippage_ticks = slippage_ticks
        self.relist(instrument)
        self.clear()

    def relist(self, instrument: Instrument) -> None:
        """Go by the changed tick of the same instrument."""
        self._slippage = instrument.tick * self._slippage_ticks

    def clear(self) -> None:
        """Forget everything: after a gap nothing here is known."""
        self._bids = _Levels()
        self._asks = _Levels()
        self.best_bid = self.best_ask = nan
        self.quote: Quote | None = None
        self.has_depth = False
        self.overlaid = False
        """The quote is fresher than the depth."""
        self.depth_id = 0
        self.depth_ns = 0

    def apply_depth(self, depth: Depth) -> None:
        """Apply a snapshot, or a diff that follows the last one."""
        if depth.snapshot:
            self._bids.replace(depth.bids)
            self._asks.replace(depth.asks)
        else:
            self._bids.update(depth.bids)
            self._asks.update(depth.asks)
        self.has_depth = True
        self.depth_id = depth.last_id
        self.depth_ns = depth.time_ns
        if self.quote is None or not self._fresher(self.quote):
            self.overlaid = False
            bids, asks = self._bids.prices, self._asks.prices
            self.best_bid = bids[-1] if bids else nan
            self.best_ask = asks[0] if asks else nan
        if self._bids.used or self._asks.used:
            self._release()

    def apply_quote(self, quote: Quote) -> None:
        """Take a quote as the top, unless the depth already knows better."""
        if self.has_depth and not self._fresher(quote):
            return
        self.quote = quote
        self.overlaid = True
        self.best_bid = quote.bid or nan
        self.best_ask = quote.ask or nan
        if self._bids.used or self._asks.used:
            self._release()

    def _fresher(self, quote: Quote) -> bool:
        # Where quotes carry no number of the depth's sequence, the one that came last is taken as newer.
        return quote.update_id > self.depth_id if quote.update_id else quote.time_ns > self.depth_ns

    def _release(self) -> None:
        """Offer again what was used at levels whose displayed size changed since."""
        for side in Side:
            used = self._side(side).used
            updated = [price for price, taken in used.items() if self.displayed(side, price) != taken.displayed]
            if updated and not self.has_depth:
                # The slippage curve hangs on the top.
                used.clear()
            for price in updated:
                used.pop(price, None)

    # --- What is displayed ------------------------------------------------------------------------

    def _side(self, side: Side) -> _Levels:
        return self._bids if side is Side.BUY else self._asks

    def _top(self, side: Side) -> Level | None:
        quote = self.quote
        if quote is None or not self.overlaid:
            return None
        return (quote.bid_text, quote.bid_size_text) if side is Side.BUY else (quote.ask_text, quote.ask_size_text)

    def _walk(self, side: Side) -> Iterator[tuple[float, Level]]:
        """Displayed levels, best first."""
        levels = self._side(side)
        prices = levels.prices
        top = self._top(side)
        first, last = 0, len(prices)
        if top is not None:
            best = float(top[0])
            if not best:
                return
            yield best, top
            first, last = (first, bisect_left(prices, best)) if side is Side.BUY else (bisect_right(prices, best), last)
        order = range(last - 1, first - 1, -1) if side is Side.BUY else range(first, last)
        for index in order:
            price = prices[index]
            yield price, levels.by_price[price]

    def level_texts(self, side: Side, count: int) -> list[Level]:
        """The best `count` levels as the venue wrote them, best first."""
        return [level for _, level in islice(self._walk(side), count)]

    def levels(self, side: Side, count: int) -> list[tuple[Decimal, Decimal]]:
        """The best `count` (price, size) levels, best first."""
        return [(Decimal(price), Decimal(size)) for price, size in self.level_texts(side, count)]

    def count(self, side: Side) -> int:
        """Levels the depth holds."""
        return len(self._side(side).prices)

    def displayed(self, side: Side, price: float) -> Decimal | None:
        """Size displayed at a price; 0 where there is none, None where the book does not reach."""
        levels = self._side(side)
        sign = side.sign
        top = self._top(side)
        if top is not None:
            best = float(top[0])
            if price == best:
                return Decimal(top[1])
            if not best or sign * price > sign * best:
                return ZERO
        level = levels.by_price.get(price)
        if level is not None:
            return Decimal(level[1])
        prices = levels.prices
        if not prices:
            return None
        deepest = prices[0] if side is Side.BUY else prices[-1]
        return ZERO if sign * price > sign * deepest else None

    # --- What can still be taken ------------------------------------------------------------------

    def offered(self, side: Side, limit: Decimal | None) -> Iterator[tuple[Decimal, Decimal]]:
        """(price, size) displayed and not used by us, best first, no worse than `limit` to who takes it."""
        used = self._side(side).used
        worst = None if limit is None else side.sign * float(limit)
        for price, (price_text, size_text) in self._walk(side):
            if worst is not None and side.sign * price < worst:
                return
            left = Decimal(size_text)
            taken = used.get(price)
            if taken is not None:
                left -= taken.size
            if left > 0:
                yield Decimal(price_text), left

    def available(self, side: Side, limit: Decimal | None) -> Iterator[tuple[Decimal, Decimal]]:
        """What is offered; without depth also the slippage curve behind the top: one displayed size per step."""
        yield from self.offered(side, limit)
        top = self._top(side)
        if self.has_depth or top is None:
            return
        used = self._side(side).used
        price, displayed = Decimal(top[0]), Decimal(top[1])
        for _ in range(CURVE_STEPS):
            price -= side.sign * self._slippage
            if price <= 0 or (limit is not None and side.sign * price < side.sign * limit):
                return
            taken = used.get(float(price))
            left = displayed - taken.size if taken is not None else displayed
            if left > 0:
                yield price, left

    def consume(self, side: Side, price: Decimal, size: Decimal) -> None:
        """Mark liquidity as used by us: it is not offered again until its level updates (M7)."""
        used = self._side(side).used
        key = float(price)
        taken = used.get(key)
        if taken is not None:
            taken.size += size
            return
        used[key] = Used(size, self.displayed(side, key))
