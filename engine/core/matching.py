"""The paper matching engine: our orders against the displayed book and the public trades (semantics 6).

Takers walk what is displayed; makers wait in an estimated queue. Nothing fills that was not displayed or traded.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from math import inf

from msgspec import Struct

from engine.core.book import Book
from engine.core.queue import ahead_after_change
from engine.model.instrument import Instrument
from engine.model.market import Depth, Side, Trade
from engine.model.money import ZERO, floor_to
from engine.model.order import Order, TimeInForce


class Outcome(StrEnum):
    """What became of an order that reached the book."""

    RESTS = "rests"
    DONE = "done"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Take(Struct, frozen=True):
    """A fill against displayed liquidity."""

    price: Decimal
    size: Decimal


class MakerFill(Struct, frozen=True):
    """A fill of a resting order, at its own price."""

    order_id: str
    price: Decimal
    size: Decimal


class Arrival(Struct, frozen=True):
    """What happened on arrival; `left` is the size that rests or was given up, `reason` says why it ended unfilled."""

    fills: list[Take]
    outcome: Outcome
    left: Decimal = ZERO
    reason: str = ""


class Resting(Struct):
    """An order in the queue of its level. `ahead`: size before it that is not ours; None until the level is seen."""

    id: str
    side: Side
    price: Decimal
    left: Decimal
    post_only: bool
    ahead: Decimal | None


class _Level:
    """Our orders at one price, first come first, and what we last knew of the level around them."""

    __slots__ = ("displayed", "orders", "traded")

    def __init__(self, displayed: Decimal | None) -> None:
        self.orders: dict[str, Resting] = {}
        self.displayed = displayed
        self.traded = ZERO
        """Traded at the price since `displayed` was seen."""


class _Resting:
    """Our resting orders of one side, by price."""

    __slots__ = ("levels", "prices", "side")

    def __init__(self, side: Side) -> None:
        self.side = side
        self.levels: dict[float, _Level] = {}
        self.prices: list[float] = []
        """Best last, as keys: the price of a buy, minus the price of a sell."""

    @property
    def best(self) -> float:
        """Our best price; the infinity nobody reaches when nothing rests."""
        sign = self.side.sign
        return sign * self.prices[-1] if self.prices else -sign * inf

    def add(self, order: Resting, displayed: Decimal | None) -> None:
        price = float(order.price)
        level = self.levels.get(price)
        if level is None:
            level = self.levels[price] = _Level(displayed)
            insort(self.prices, self.side.sign * price)
        level.orders[order.id] = order

    def remove(self, order: Resting) -> None:
        price = float(order.price)
        level = self.levels[price]
        del level.orders[order.id]
        if not level.orders:
            del self.levels[price]
            del self.prices[bisect_left(self.prices, self.side.sign * price)]


class Matcher:
    """Paper matching on one instrument's book. The caller keeps the book fresh, then says what came: a trade, a depth, a quote.

    `highest_buy` and `lowest_sell` are our best resting prices, -inf and inf where nothing rests. While every trade
    price and both tops stay strictly between them, none of the `on_` methods has anything to do. These yield fills one at a
    time, so that what the caller does about one (cancel, shrink) holds before the next: take them all.
    """

    __slots__ = ("_asks", "_bids", "_instrument", "_orders", "book", "highest_buy", "lowest_sell")

    def __init__(self, instrument: Instrument, book: Book) -> None:
        self._instrument = instrument
        self.book = book
        self._orders: dict[str, Resting] = {}
        self._bids = _Resting(Side.BUY)
        self._asks = _Resting(Side.SELL)
        self.highest_buy = -inf
        self.lowest_sell = inf

    def relist(self, instrument: Instrument) -> None:
        """Go by the changed filters of the same instrument."""
        self._instrument = instrument
        self.book.relist(instrument)

    # --- Our orders -------------------------------------------------------------------------------

    def arrive(
        self,
        order_id: str,
        side: Side,
        size: Decimal,
        limit: Decimal | None,
        tif: TimeInForce = TimeInForce.GTC,
        post_only: bool = False,
    ) -> Arrival:
        """The order reaches the book: it takes what crosses, then rests or ends. `limit` None is a market order (M1-M7)."""
        takes = limit is None or self._crosses(side, limit)
        if takes and post_only:
            return Arrival([], Outcome.CANCELLED, size, "post-only: it would take")
        fills, left = self._within_reach(side, size, limit) if takes else ([], size)
        if left and tif is TimeInForce.FOK:
            return Arrival([], Outcome.EXPIRED, size, "fill-or-kill: the whole size was not there")
        for fill in fills:
            self.book.consume(side.opposite, fill.price, fill.size)
        if not left:
            return Arrival(fills, Outcome.DONE)
        if limit is None:
            return Arrival(fills, Outcome.CANCELLED, left, "market: the book is exhausted")
        if tif is TimeInForce.IOC:
            return Arrival(fills, Outcome.CANCELLED, left, "immediate-or-cancel: the rest did not cross")
        self._rest(order_id, side, limit, left, post_only)
        return Arrival(fills, Outcome.RESTS, left)

    def cancel(self, order_id: str) -> bool:
        """Take a resting order out; False where it does not rest (any more)."""
        order = self._orders.get(order_id)
        if order is None:
            return False
        self._remove(order)
        return True

    def amend(self, order_id: str, price: Decimal | None, left: Decimal | None) -> Arrival:
        """Change price or size still to fill; None keeps. Less size keeps the place, anything else goes to the back.

        Raises KeyError where the order does not rest (any more).
        """
        order = self._orders[order_id]
        wanted = order.left if left is None else left
        if wanted <= 0:
            self._remove(order)
            return Arrival([], Outcome.CANCELLED, ZERO, "amended to what was already filled")
        if (price is None or price == order.price) and wanted <= order.left:
            order.left = wanted
            return Arrival([], Outcome.RESTS, wanted)
        self._remove(order)
        return self.arrive(
            order_id, order.side, wanted, order.price if price is None else price, post_only=order.post_only
        )

    def restore(self, order: Order) -> None:
        """Put back an order that rested before a restart: at the back of the queue. Raises ValueError without a price."""
        if order.price is None:
            raise ValueError(f"price: order {order.id} has none and cannot rest; cancel it")
        self._rest(order.id, order.terms.side, order.price, order.remaining, order.terms.post_only)

    def resting(self, order_id: str) -> Resting | None:
        """A resting order with its estimated place; read only."""
        return self._orders.get(order_id)

    def order_ids(self) -> list[str]:
        """Ids of the orders that rest here."""
        return list(self._orders)

    def reset_queue(self) -> None:
        """After a gap our places are unknown: everybody goes to the back, in our own order."""
        for mine in (self._bids, self._asks):
            for price, level in mine.levels.items():
                level.displayed = self.book.displayed(mine.side, price)
                level.traded = ZERO
                for order in level.orders.values():
                    order.ahead = level.displayed

    # --- The market -------------------------------------------------------------------------------

    def on_trade(self, trade: Trade) -> Iterator[MakerFill]:
        """A public trade: fills what it went through, then what the queue at its price lets it reach (Q1)."""
        price = float(trade.price)
        if self.highest_buy < price < self.lowest_sell:
            return
        side = trade.aggressor.opposite
        mine = self._mine(side)
        key = side.sign * price
        left = trade.size
        while left and mine.prices and mine.prices[-1] > key:
            order = self._first(mine)
            order.ahead = ZERO
            fill = self._fill(order, min(left, order.left))
            left -= fill.size
            yield fill
        level = mine.levels.get(price)
        if level is None:
            return
        if level.displayed is None:
            self._observe(side, price, level)
        level.traded += trade.size
        for order in list(level.orders.values()):
            if order.ahead is None:
                return
            if level.orders.get(order.id) is not order:
                continue
            reached = left - order.ahead
            if reached <= 0:
                order.ahead -= left
                continue
            order.ahead = ZERO
            # A queue estimate is not on the step; a fill is.
            size = min(order.left, floor_to(reached, self._instrument.step))
            if size:
                fill = self._fill(order, size)
                left -= fill.size
                yield fill

    def on_depth(self, depth: Depth) -> Iterator[MakerFill]:
        """The book took this depth: sizes at our levels changed, the top may have crossed us (Q2, Q3)."""
        for mine, changed in ((self._bids, depth.bids), (self._asks, depth.asks)):
            if not mine.levels:
                continue
            if depth.snapshot:
                for price, level in mine.levels.items():
                    self._observe(mine.side, price, level)
                continue
            for text, _ in changed:
                price = float(text)
                seen = mine.levels.get(price)
                if seen is not None:
                    self._observe(mine.side, price, seen)
        return self.on_cross()

    def on_quote(self) -> Iterator[MakerFill]:
        """The book took a quote: sizes at the top changed, it may have crossed us."""
        for mine, top in ((self._bids, self.book.best_bid), (self._asks, self.book.best_ask)):
            level = mine.levels.get(top)
            if level is not None:
                self._observe(mine.side, top, level)
        return self.on_cross()

    def on_cross(self) -> Iterator[MakerFill]:
        """Fill what the opposite side locked or crossed: at our price, up to what it displays, which is then used."""
        for mine in (self._bids, self._asks):
            while mine.prices and self._reached(mine):
                order = self._first(mine)
                offer = next(self.book.offered(mine.side.opposite, order.price), None)
                if offer is None:
                    break
                size = min(order.left, offer[1])
                self.book.consume(mine.side.opposite, offer[0], size)
                yield self._fill(order, size)

    # --- Inside -----------------------------------------------------------------------------------

    def _mine(self, side: Side) -> _Resting:
        return self._bids if side is Side.BUY else self._asks

    def _crosses(self, side: Side, limit: Decimal) -> bool:
        return self.book.best_ask <= float(limit) if side is Side.BUY else self.book.best_bid >= float(limit)

    def _within_reach(self, side: Side, size: Decimal, limit: Decimal | None) -> tuple[list[Take], Decimal]:
        """What a taker would get now, and what would be left."""
        takes: list[Take] = []
        left = size
        for price, offered in self.book.available(side.opposite, limit):
            take = min(offered, left)
            takes.append(Take(price, take))
            left -= take
            if not left:
                break
        return takes, left

    def _reached(self, mine: _Resting) -> bool:
        return self.book.best_ask <= mine.best if mine.side is Side.BUY else self.book.best_bid >= mine.best

    def _first(self, mine: _Resting) -> Resting:
        return next(iter(mine.levels[mine.best].orders.values()))

    def _rest(self, order_id: str, side: Side, price: Decimal, left: Decimal, post_only: bool) -> None:
        if order_id in self._orders:
            raise ValueError(f"order {order_id} rests already; amend it or use a new id")
        mine = self._mine(side)
        key = float(price)
        level = mine.levels.get(key)
        if level is not None:
            self._observe(side, key, level)
        displayed = self.book.displayed(side, key)
        order = self._orders[order_id] = Resting(order_id, side, price, left, post_only, displayed)
        mine.add(order, displayed)
        self._note_best()

    def _remove(self, order: Resting) -> None:
        del self._orders[order.id]
        self._mine(order.side).remove(order)
        self._note_best()

    def _note_best(self) -> None:
        self.highest_buy = self._bids.best
        self.lowest_sell = self._asks.best

    def _fill(self, order: Resting, size: Decimal) -> MakerFill:
        order.left -= size
        if not order.left:
            self._remove(order)
        return MakerFill(order.id, order.price, size)

    def _observe(self, side: Side, price: float, level: _Level) -> None:
        """Move our orders up by what left the level before them, beyond what traded."""
        before, traded = level.displayed, level.traded
        now = level.displayed = self.book.displayed(side, price)
        level.traded = ZERO
        if now is None or (before is not None and now >= before):
            return
        for order in level.orders.values():
            if before is None or order.ahead is None:
                order.ahead = now if order.ahead is None else min(order.ahead, now)
            else:
                order.ahead = ahead_after_change(self._instrument.profile, order.ahead, before, now, traded)
