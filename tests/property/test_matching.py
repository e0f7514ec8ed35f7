"""The paper matching engine for any market: invariant 14, and a touch that never fills (semantics 6)."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from engine.core.book import Book
from engine.core.matching import MakerFill, Matcher
from engine.model.instrument import Instrument, QueueModel, VenueProfile
from engine.model.market import Depth, Side, Trade, quote
from engine.model.money import ZERO
from engine.model.order import TimeInForce

D = Decimal
BTC = Instrument(
    "test.perp:BTCUSDT", "test", "perp", "BTCUSDT", "BTC", "USDT",
    D("0.5"), D("0.001"), D("0.001"), D(5), D("0.0002"), D("0.0005"), (), 100,
)  # fmt: skip

sides = st.sampled_from(Side)
sizes = st.integers(1, 5_000).map(lambda n: D(n).scaleb(-3))
prices = st.integers(190, 210).map(lambda n: D(n) / 2)
maybe_sizes = st.integers(0, 3_000).map(lambda n: str(D(n).scaleb(-3)))
arrivals = st.tuples(
    st.just("order"),
    sides,
    sizes,
    st.none() | prices,
    st.sampled_from([TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK]),
)
depths = st.tuples(st.just("depth"), sides, prices, maybe_sizes)
trades = st.tuples(st.just("trade"), sides, prices, sizes)
events = st.lists(arrivals | depths | trades, max_size=60)
models = st.sampled_from(QueueModel)


class Market:
    """A book and a matcher, with our own count of what was there to be had."""

    def __init__(self, model: QueueModel) -> None:
        instrument = msgspec.structs.replace(BTC, profile=VenueProfile(queue_model=model))
        self.book = Book(instrument)
        self.matcher = Matcher(instrument, self.book)
        self.displayed = dict.fromkeys(Side, ZERO)
        self.taken = dict.fromkeys(Side, ZERO)
        self.asked: dict[str, Decimal] = {}
        self.filled: dict[str, Decimal] = {}
        self.sides: dict[str, Side] = {}
        self.updates = 0

    def note(self, fills: list[MakerFill]) -> Decimal:
        for fill in fills:
            assert fill.size > 0
            assert fill.size % BTC.step == 0
            self.filled[fill.order_id] += fill.size
        return sum((fill.size for fill in fills), ZERO)

    def depth(self, side: Side, price: Decimal, size: str) -> None:
        self.updates += 1
        if self.book.displayed(side, float(price)) != D(size):
            self.displayed[side] += D(size)
        level = ((str(price), size),)
        bids, asks = (level, ()) if side is Side.BUY else ((), level)
        update = Depth(BTC.id, self.updates, 0, self.updates, False, bids, asks)
        self.book.apply_depth(update)
        for fill in self.matcher.on_depth(update):
            self.taken[self.sides[fill.order_id].opposite] += self.note([fill])

    def trade(self, aggressor: Side, price: Decimal, size: Decimal) -> None:
        fills = list(self.matcher.on_trade(Trade(BTC.id, 0, 0, "t", price, size, aggressor)))
        assert self.note(fills) <= size
        assert all(self.sides[fill.order_id] is aggressor.opposite for fill in fills)

    def order(self, side: Side, size: Decimal, limit: Decimal | None, tif: TimeInForce) -> None:
        order_id = f"o{len(self.asked)}"
        self.asked[order_id], self.filled[order_id], self.sides[order_id] = size, ZERO, side
        arrival = self.matcher.arrive(order_id, side, size, limit, tif)
        for take in arrival.fills:
            there = self.book.displayed(side.opposite, float(take.price))
            assert there is not None
            assert take.size <= there
            assert limit is None or side.sign * take.price <= side.sign * limit
            self.filled[order_id] += take.size
            self.taken[side.opposite] += take.size
        assert self.filled[order_id] + arrival.left == size


@given(events, models)
def test_fills_never_exceed_what_was_displayed_or_traded(sequence: list[tuple[str, ...]], model: QueueModel) -> None:
    market = Market(model)
    for kind, *arguments in sequence:
        getattr(market, kind)(*arguments)
        for side in Side:
            assert market.taken[side] <= market.displayed[side]
        for order_id, filled in market.filled.items():
            assert filled <= market.asked[order_id]
            resting = market.matcher.resting(order_id)
            if resting is not None:
                assert resting.left == market.asked[order_id] - filled
                assert resting.ahead is None or resting.ahead >= 0


below = st.integers(190, 199).map(lambda n: str(D(n) / 2))
above = st.integers(201, 210).map(lambda n: str(D(n) / 2))
some = st.integers(1, 3_000).map(lambda n: str(D(n).scaleb(-3)))


@given(
    st.lists(st.tuples(below, sizes), min_size=1, max_size=5),
    st.lists(st.tuples(below, some, above, some), min_size=1, max_size=30),
    models,
)
def test_a_touch_alone_never_fills(
    buys: list[tuple[str, Decimal]], quotes: list[tuple[str, str, str, str]], model: QueueModel
) -> None:
    market = Market(model)
    for number, (price, size) in enumerate(buys):
        market.matcher.arrive(f"b{number}", Side.BUY, size, D(price))
    for number, (bid, bid_size, ask, ask_size) in enumerate(quotes, 1):
        market.book.apply_quote(quote(BTC.id, number, bid, bid_size, ask, ask_size, update_id=number))
        assert list(market.matcher.on_quote()) == []
