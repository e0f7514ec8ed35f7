"""The paper matching engine, semantics 6.

Longer than most files: the semantics' matching table, row by row.
"""
# ruff: noqa: N802 - tests are named for the numbered cases

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from math import inf

import msgspec
import pytest

from engine.core.book import Book
from engine.core.matching import Arrival, MakerFill, Matcher, Outcome
from engine.model.instrument import Instrument, QueueModel, VenueProfile
from engine.model.market import Depth, Side, Trade, quote
from engine.model.order import Order, OrderTerms, OrderType, TimeInForce

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
GTC, IOC, FOK = TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK
BTC = Instrument(
    "test.perp:BTCUSDT", "test", "perp", "BTCUSDT", "BTC", "USDT",
    D("0.5"), D("0.001"), D("0.001"), D(5), D("0.0002"), D("0.0005"), (), 100,
)  # fmt: skip
ASKS = (("60000.0", "0.40"), ("60000.5", "0.75"), ("60001.0", "1.20"), ("60004.0", "3.00"))
BIDS = (("59999.5", "0.55"), ("59999.0", "0.90"), ("59997.0", "2.00"))
Levels = tuple[tuple[str, str], ...]


class Desk:
    """A matcher on the book of the cases, fed as the desk feeds it."""

    def __init__(self, profile: VenueProfile | None = None, bids: Levels = BIDS, asks: Levels = ASKS) -> None:
        instrument = BTC if profile is None else msgspec.structs.replace(BTC, profile=profile)
        self.book = Book(instrument)
        self.matcher = Matcher(instrument, self.book)
        self.updates = 0
        self.depth(bids, asks, snapshot=True)

    def depth(self, bids: Levels = (), asks: Levels = (), snapshot: bool = False) -> list[MakerFill]:
        self.updates += 1
        depth = Depth(BTC.id, self.updates, 0, self.updates, snapshot, bids, asks)
        self.book.apply_depth(depth)
        return list(self.matcher.on_depth(depth))

    def quote(self, bid: str, bid_size: str, ask: str, ask_size: str) -> list[MakerFill]:
        self.updates += 1
        self.book.apply_quote(quote(BTC.id, self.updates, bid, bid_size, ask, ask_size, update_id=self.updates))
        return list(self.matcher.on_quote())

    def trade(self, price: str, size: str, aggressor: Side) -> list[MakerFill]:
        return list(self.matcher.on_trade(Trade(BTC.id, 0, 0, "t", D(price), D(size), aggressor)))

    def market(self, side: Side, size: str) -> Arrival:
        return self.matcher.arrive("m", side, D(size), None)

    def limit(
        self,
        side: Side,
        size: str,
        price: str,
        tif: TimeInForce = GTC,
        post_only: bool = False,
        order_id: str = "o",
    ) -> Arrival:
        return self.matcher.arrive(order_id, side, D(size), D(price), tif, post_only)

    def ahead(self, order_id: str = "o") -> Decimal | None:
        order = self.matcher.resting(order_id)
        assert order is not None
        return order.ahead


@pytest.fixture
def desk() -> Desk:
    return Desk()


def size(arrival: Arrival) -> Decimal:
    return sum((fill.size for fill in arrival.fills), D(0))


def average(arrival: Arrival) -> Decimal:
    return sum((fill.size * fill.price for fill in arrival.fills), D(0)) / size(arrival)


def test_M1_a_market_buy_walks_the_asks(desk: Desk) -> None:
    arrival = desk.market(BUY, "1.0")
    assert [(fill.price, fill.size) for fill in arrival.fills] == [
        (D("60000.0"), D("0.40")),
        (D("60000.5"), D("0.60")),
    ]
    assert (arrival.outcome, arrival.left) == (Outcome.DONE, 0)
    assert average(arrival) == D("60000.3")
    assert (average(arrival) / 60000 - 1) * 10000 == D("0.05")
    assert round((average(arrival) / D("59999.75") - 1) * 10000, 6) == D("0.091667")
    assert average(arrival) * D("0.0005") == D("30.00015")


def test_M2_a_larger_market_buy(desk: Desk) -> None:
    assert average(desk.market(BUY, "2.0")) == D("60000.6125")


def test_M3_an_exhausted_book_cancels_the_rest_of_a_market_order(desk: Desk) -> None:
    arrival = desk.market(BUY, "6.0")
    assert size(arrival) == D("5.35")
    assert round(average(arrival), 6) == D("60002.537383")
    assert (arrival.outcome, arrival.left) == (Outcome.CANCELLED, D("0.65"))
    assert "exhausted" in arrival.reason


@pytest.mark.parametrize(
    ("tif", "filled", "outcome", "left"),
    [
        (IOC, "1.15", Outcome.CANCELLED, "0.35"),
        (GTC, "1.15", Outcome.RESTS, "0.35"),
        (FOK, "0", Outcome.EXPIRED, "1.5"),
    ],
)
def test_M4_time_in_force_decides_about_the_rest(
    desk: Desk, tif: TimeInForce, filled: str, outcome: Outcome, left: str
) -> None:
    arrival = desk.limit(BUY, "1.5", "60000.5", tif)
    assert (size(arrival), arrival.outcome, arrival.left) == (D(filled), outcome, D(left))
    resting = desk.matcher.resting("o")
    assert (resting.left if resting else None) == (D(left) if tif is GTC else None)


def test_M4_a_killed_order_used_no_liquidity(desk: Desk) -> None:
    desk.limit(BUY, "1.5", "60000.5", FOK)
    assert size(desk.limit(BUY, "1.15", "60000.5", FOK)) == D("1.15")


def test_M5_fill_or_kill_that_fits_fills(desk: Desk) -> None:
    arrival = desk.limit(BUY, "1.15", "60000.5", FOK)
    assert size(arrival) == D("1.15")
    assert round(average(arrival), 9) == D("60000.326086957")
    assert arrival.outcome is Outcome.DONE


def test_M6_post_only_never_takes(desk: Desk) -> None:
    taking = desk.limit(BUY, "1", "60000.0", post_only=True, order_id="a")
    assert (taking.outcome, taking.fills) == (Outcome.CANCELLED, [])
    assert desk.limit(BUY, "1", "59999.5", post_only=True).outcome is Outcome.RESTS
    assert desk.ahead() == D("0.55")


def test_M7_used_liquidity_stays_used(desk: Desk) -> None:
    desk.market(BUY, "1.0")
    again = desk.market(BUY, "1.0")
    assert [(fill.price, fill.size) for fill in again.fills] == [
        (D("60000.5"), D("0.15")),
        (D("60001.0"), D("0.85")),
    ]


def test_market_sells_walk_the_bids(desk: Desk) -> None:
    arrival = desk.market(SELL, "1.0")
    assert [(fill.price, fill.size) for fill in arrival.fills] == [
        (D("59999.5"), D("0.55")),
        (D("59999.0"), D("0.45")),
    ]


# --- The queue ------------------------------------------------------------------------------------


def queued(model: QueueModel, power: int) -> Desk:
    """A buy of 50 with 60 ahead at a level that then shows 100."""
    desk = Desk(VenueProfile(queue_model=model, queue_power=power), bids=(("100.0", "60"), ("99.0", "1")), asks=())
    desk.limit(BUY, "50", "100.0")
    desk.depth(bids=(("100.0", "100"),))
    assert desk.ahead() == 60
    return desk


def test_Q1_trades_at_the_price_eat_the_queue_before_us() -> None:
    desk = Desk(bids=(("100.0", "100"),), asks=())
    desk.limit(BUY, "50", "100.0")
    assert desk.trade("100.0", "80", SELL) == []
    assert desk.ahead() == 20
    assert desk.trade("100.0", "30", SELL) == [MakerFill("o", D("100.0"), D(10))]
    resting = desk.matcher.resting("o")
    assert resting is not None
    assert resting.left == 40
    assert desk.trade("100.0", "5", SELL) == [MakerFill("o", D("100.0"), D(5))]


@pytest.mark.parametrize(
    ("model", "power", "expected"),
    [
        (QueueModel.CONSERVATIVE, 3, "60"),
        (QueueModel.PROB, 1, "54.0"),
        (QueueModel.PROB, 2, "53.076923"),
        (QueueModel.PROB, 3, "52.285714"),
        (QueueModel.LOG, 3, "54.746115"),
    ],
)
def test_Q2_cancels_at_the_level_move_us_by_the_model(model: QueueModel, power: int, expected: str) -> None:
    desk = queued(model, power)
    desk.depth(bids=(("100.0", "90"),))
    ahead = desk.ahead()
    assert ahead is not None
    assert round(ahead, 6) == D(expected)


def test_Q3_traded_size_is_not_counted_again_as_cancelled() -> None:
    desk = queued(QueueModel.PROB, 3)
    desk.trade("100.0", "15", SELL)
    desk.depth(bids=(("100.0", "80"),))
    ahead = desk.ahead()
    assert ahead is not None
    assert round(ahead, 6) == D("43.230583")


def test_a_trade_explains_only_the_next_change_of_the_level() -> None:
    desk = queued(QueueModel.PROB, 1)
    desk.trade("100.0", "15", SELL)
    desk.depth(bids=(("100.0", "85"),))
    assert desk.ahead() == 45
    desk.depth(bids=(("100.0", "75"),))
    ahead = desk.ahead()
    assert ahead is not None
    assert round(ahead, 6) == D("39.705882")


def test_what_left_before_we_joined_does_not_move_us() -> None:
    desk = queued(QueueModel.PROB, 1)
    desk.book.apply_quote(quote(BTC.id, 9, "100.0", "80", "101.0", "1"))
    desk.limit(BUY, "1", "100.0", order_id="late")
    assert desk.ahead() == 48
    desk.quote("100.0", "80", "101.0", "1")
    assert desk.ahead("late") == 80


def test_no_more_is_ahead_than_the_level_shows() -> None:
    desk = queued(QueueModel.CONSERVATIVE, 3)
    desk.depth(bids=(("100.0", "25"),))
    assert desk.ahead() == 25
    desk.depth(bids=(("100.0", "0"),))
    assert desk.ahead() == 0


def test_fills_stay_on_the_step_when_the_queue_estimate_is_not() -> None:
    desk = queued(QueueModel.PROB, 2)
    desk.depth(bids=(("100.0", "90"),))
    assert desk.trade("100.0", "54", SELL) == [MakerFill("o", D("100.0"), D("0.923"))]


def test_one_trade_is_shared_by_our_orders_in_time_order() -> None:
    desk = Desk(bids=(("100.0", "10"),), asks=())
    desk.limit(BUY, "5", "100.0", order_id="first")
    desk.limit(BUY, "5", "100.0", order_id="second")
    assert desk.trade("100.0", "17", SELL) == [
        MakerFill("first", D("100.0"), D(5)),
        MakerFill("second", D("100.0"), D(2)),
    ]


def test_a_trade_through_fills_up_to_its_size(desk: Desk) -> None:
    desk.limit(BUY, "1", "59999.0", order_id="far")
    desk.limit(BUY, "1", "59999.5", order_id="near")
    assert desk.trade("59998.5", "1.4", SELL) == [
        MakerFill("near", D("59999.5"), D(1)),
        MakerFill("far", D("59999.0"), D("0.4")),
    ]


@pytest.mark.parametrize("price", ["59999.5", "59990.0"])
def test_an_order_cancelled_on_a_fill_takes_no_part_in_the_rest_of_the_trade(desk: Desk, price: str) -> None:
    desk.limit(BUY, "1", "59999.5", order_id="first")
    desk.limit(BUY, "1", "59999.5", order_id="second")
    desk.limit(BUY, "1", "59999.5", order_id="third")
    fills = []
    for fill in desk.matcher.on_trade(Trade(BTC.id, 0, 0, "t", D(price), D(9), SELL)):
        fills.append((fill.order_id, fill.size))
        desk.matcher.cancel("second")
        if fill.order_id == "first":
            desk.matcher.amend("third", None, D("0.5"))
    assert fills == [("first", 1), ("third", D("0.5"))]


def test_a_trade_by_our_own_side_does_not_fill_us(desk: Desk) -> None:
    desk.limit(BUY, "1", "59999.5")
    assert desk.trade("59999.0", "5", BUY) == []


def test_a_touch_alone_never_fills(desk: Desk) -> None:
    desk.limit(BUY, "1", "59999.0")
    assert desk.depth(bids=(("59999.5", "0"),)) == []
    assert desk.quote("59999.0", "0.9", "60000.0", "0.4") == []
    assert desk.trade("59999.0", "0.9", SELL) == []


def test_the_opposite_best_that_reaches_us_fills_at_our_price_up_to_its_size(desk: Desk) -> None:
    desk.limit(BUY, "1", "59999.5")
    assert desk.quote("59998.5", "1", "59999.0", "0.3") == [MakerFill("o", D("59999.5"), D("0.3"))]
    assert desk.quote("59998.5", "2", "59999.0", "0.3") == []
    assert desk.quote("59998.5", "2", "59999.5", "0.9") == [MakerFill("o", D("59999.5"), D("0.7"))]


def test_a_resting_sell_mirrors_a_resting_buy(desk: Desk) -> None:
    desk.limit(SELL, "1", "60000.0")
    assert desk.ahead() == D("0.40")
    assert desk.trade("60000.0", "0.5", BUY) == [MakerFill("o", D("60000.0"), D("0.10"))]
    assert desk.trade("60000.5", "0.2", BUY) == [MakerFill("o", D("60000.0"), D("0.2"))]
    assert desk.quote("60000.5", "5", "60001.0", "1") == [MakerFill("o", D("60000.0"), D("0.70"))]


def test_whoever_makes_the_level_is_first() -> None:
    wide = Desk(bids=(("100.0", "1"),), asks=(("103.0", "1"),))
    wide.limit(BUY, "1", "101.0")
    assert wide.ahead() == 0


def test_a_level_the_book_does_not_reach_puts_us_behind_what_it_first_shows() -> None:
    desk = Desk(bids=(("100.0", "1"),), asks=(("101.0", "1"),))
    desk.limit(BUY, "1", "95.0")
    assert desk.ahead() is None
    desk.depth(bids=(("95.0", "7"),))
    assert desk.ahead() == 7


def test_quotes_alone_show_the_queue_when_our_price_becomes_the_best() -> None:
    desk = Desk()
    desk.book.clear()
    desk.quote("100.0", "2", "100.5", "2")
    desk.limit(BUY, "1", "99.5")
    assert desk.ahead() is None
    desk.book.apply_quote(quote(BTC.id, 9, "99.5", "4", "100.0", "2"))
    assert desk.trade("99.5", "3", SELL) == []
    assert desk.ahead() == 1


# --- Changes, gaps and restarts -------------------------------------------------------------------


def test_less_size_keeps_the_place(desk: Desk) -> None:
    desk.limit(BUY, "1", "59999.5")
    desk.trade("59999.5", "0.30", SELL)
    assert desk.matcher.amend("o", D("59999.5"), D(1)) == Arrival([], Outcome.RESTS, D(1))
    assert desk.ahead() == D("0.25")
    assert desk.matcher.amend("o", None, D("0.5")) == Arrival([], Outcome.RESTS, D("0.5"))
    assert desk.ahead() == D("0.25")


@pytest.mark.parametrize(("price", "left", "ahead"), [(None, D(2), "0.55"), (D("59999.0"), None, "0.90")])
def test_a_new_price_or_more_size_goes_to_the_back(
    desk: Desk, price: Decimal | None, left: Decimal | None, ahead: str
) -> None:
    desk.limit(BUY, "1", "59999.5")
    desk.trade("59999.5", "0.30", SELL)
    assert desk.matcher.amend("o", price, left).outcome is Outcome.RESTS
    assert desk.ahead() == D(ahead)


def test_an_amended_price_that_crosses_takes(desk: Desk) -> None:
    desk.limit(BUY, "1", "59999.5")
    arrival = desk.matcher.amend("o", D("60000.0"), None)
    assert (size(arrival), arrival.outcome, arrival.left) == (D("0.40"), Outcome.RESTS, D("0.60"))


def test_a_post_only_order_amended_to_cross_is_cancelled(desk: Desk) -> None:
    desk.limit(BUY, "1", "59999.5", post_only=True)
    assert desk.matcher.amend("o", D("60000.0"), None).outcome is Outcome.CANCELLED
    assert desk.matcher.resting("o") is None


def test_an_order_amended_to_nothing_ends(desk: Desk) -> None:
    desk.limit(BUY, "1", "59999.5")
    assert desk.matcher.amend("o", None, D(0)).outcome is Outcome.CANCELLED
    assert desk.matcher.highest_buy == -inf


def test_a_cancelled_order_does_not_fill(desk: Desk) -> None:
    desk.limit(BUY, "1", "59999.5")
    assert desk.matcher.cancel("o")
    assert not desk.matcher.cancel("o")
    assert desk.trade("59990.0", "9", SELL) == []


def test_the_band_follows_what_rests(desk: Desk) -> None:
    matcher = desk.matcher
    assert (matcher.highest_buy, matcher.lowest_sell) == (-inf, inf)
    desk.limit(BUY, "1", "59999.0", order_id="b1")
    desk.limit(BUY, "1", "59999.5", order_id="b2")
    desk.limit(SELL, "1", "60001.0", order_id="s1")
    assert (matcher.highest_buy, matcher.lowest_sell) == (59999.5, 60001.0)
    desk.trade("59999.0", "1", SELL)
    assert matcher.highest_buy == 59999.0


def test_an_id_that_rests_cannot_arrive_again(desk: Desk) -> None:
    desk.limit(BUY, "1", "59999.5")
    with pytest.raises(ValueError, match="order o rests already"):
        desk.limit(BUY, "1", "59999.0")


def back_after_a_gap(desk: Desk) -> None:
    desk.matcher.reset_queue()


def back_after_a_restart(desk: Desk) -> None:
    desk.matcher = Matcher(BTC, desk.book)
    terms = OrderTerms("o", "c", "a", BTC.id, BUY, OrderType.LIMIT, D(1), price=D("59999.5"))
    desk.matcher.restore(Order(terms, size=D(1), price=D("59999.5"), filled=D("0.25")))


@pytest.mark.parametrize("back", [back_after_a_gap, back_after_a_restart])
def test_a_gap_or_a_restart_puts_us_at_the_back(desk: Desk, back: Callable[[Desk], None]) -> None:
    desk.limit(BUY, "1", "59999.5")
    desk.trade("59999.5", "0.5", SELL)
    assert desk.ahead() == D("0.05")
    back(desk)
    assert desk.ahead() == D("0.55")


def test_a_restored_order_waits_for_the_first_book() -> None:
    book = Book(BTC)
    desk = Desk()
    desk.book, desk.matcher = book, Matcher(BTC, book)
    terms = OrderTerms("o", "c", "a", BTC.id, BUY, OrderType.LIMIT, D(1), price=D("59999.5"))
    desk.matcher.restore(Order(terms, size=D(1), price=D("59999.5"), filled=D("0.25")))
    resting = desk.matcher.resting("o")
    assert resting is not None
    assert (resting.left, resting.ahead) == (D("0.75"), None)
    desk.depth(BIDS, ASKS, snapshot=True)
    assert desk.ahead() == D("0.55")


def test_an_order_without_a_price_cannot_be_restored(desk: Desk) -> None:
    terms = OrderTerms("o", "c", "a", BTC.id, BUY, OrderType.MARKET, D(1))
    with pytest.raises(ValueError, match="has none and cannot rest"):
        desk.matcher.restore(Order(terms, size=D(1)))
