"""The simulated market: the same from the same seed, and like a market to look at."""

from __future__ import annotations

import asyncio
import random
import statistics
from decimal import Decimal
from itertools import pairwise

import pytest

from engine.clock import SteadyClock
from engine.feeds.base import FeedError
from engine.feeds.simulated.feed import SimulatedFeed
from engine.feeds.simulated.market import SimulatedMarket
from engine.feeds.simulated.price import FairPrice
from engine.model.market import Depth, Funding, Mark, MarketInput, Quote, Side, Trade
from tests.feed_support import PlainBook

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
START = 1_767_225_600 * SECOND  # a funding time
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
BTC = "sim.perp:BTCUSDT"


def market(seed: int = 7, start_ns: int = START, **settings: float) -> SimulatedMarket:
    return SimulatedMarket(seed, SYMBOLS, start_ns, **settings)


@pytest.fixture(scope="module")
def hour() -> list[MarketInput]:
    return market(rate=5).step(START + 3600 * SECOND)


def of(inputs: list[MarketInput], kind: type, instrument: str = BTC) -> list[MarketInput]:
    return [item for item in inputs if type(item) is kind and item.instrument == instrument]


def walk(seed: int, hours: int, step_s: int) -> list[float]:
    """The fair price of a calm-market 65 % a year; moods pass as in the market, prices move once a step."""
    fair = FairPrice(random.Random(seed), 61_800.0, 0.65)
    prices = []
    for _ in range(hours * 3600 // step_s):
        for _ in range(10):
            fair.beat()
        prices.append(fair.advance(step_s))
    return prices


class TestDeterminism:
    def test_the_same_seed_gives_the_same_market(self) -> None:
        times = [START + n * 30_000_000 for n in range(100)]
        one, two = market(), market()
        assert [one.step(t) for t in times] == [two.step(t) for t in times]

    def test_another_seed_gives_another_market(self) -> None:
        assert market(1).step(START + SECOND) != market(2).step(START + SECOND)

    def test_how_time_is_cut_does_not_change_what_happens(self) -> None:
        def content(inputs: list[MarketInput]) -> list[tuple[object, ...]]:
            return [(type(i), i.instrument, i.venue_ns, str(i)[-60:]) for i in inputs if isinstance(i, Quote | Depth)][
                6:
            ]

        fine, coarse = market(), market()
        cut = [i for n in range(1, 301) for i in fine.step(START + n * SECOND // 100)]
        whole = coarse.step(START + 3 * SECOND)
        assert len(whole) > 100
        assert content(cut) == content(whole)

    def test_inputs_are_stamped_with_the_step_that_delivered_them(self) -> None:
        m = market()
        assert {i.time_ns for i in m.step(START + 5 * SECOND)} == {START + 5 * SECOND}


class TestBook:
    def test_every_book_has_20_sorted_levels_a_side_and_a_spread(self) -> None:
        m = market(rate=200)
        books = {i.id: PlainBook() for i in m.instruments}
        ticks = {i.id: i for i in m.instruments}
        for n in range(200):
            for item in m.step(START + n * 100_000_000):
                if isinstance(item, Depth):
                    book = books[item.instrument]
                    book.apply(item)
                    assert len(book.bids) == len(book.asks) == 20
                    assert max(book.bids) < min(book.asks)
                    assert all(price % ticks[item.instrument].tick == 0 for price in (*book.bids, *book.asks))
                    assert all(Decimal(s) % ticks[item.instrument].step == 0 for s in book.bids.values())

    def test_a_quote_is_the_top_of_the_book_of_its_update(self) -> None:
        m = market(rate=50)
        books = {i.id: PlainBook() for i in m.instruments}
        quotes: dict[str, Quote] = {}
        compared = 0
        for n in range(1, 300):
            for item in m.step(START + n * 100_000_000):
                if isinstance(item, Quote):
                    quotes[item.instrument] = item
                elif isinstance(item, Depth):
                    books[item.instrument].apply(item)
                    top = quotes.get(item.instrument)
                    if top is not None and top.update_id == item.last_id:
                        compared += 1
                        assert books[item.instrument].best == (top.bid_price, top.bid_size, top.ask_price, top.ask_size)
        assert compared > 300

    def test_a_quote_is_valid_and_its_floats_are_its_texts(self, hour: list[MarketInput]) -> None:
        for q in hour:
            if isinstance(q, Quote):
                assert 0 < q.bid < q.ask
                assert (q.bid, q.ask) == (float(q.bid_text), float(q.ask_text))
                assert q.bid_size > 0 < q.ask_size

    def test_trades_take_what_was_displayed(self) -> None:
        m = market(rate=5000)
        quotes: dict[str, Quote] = {}
        first: set[str] = set()
        trades = 0
        for item in m.step(START + SECOND):
            if isinstance(item, Quote):
                quotes[item.instrument] = item
                first.discard(item.instrument)
            elif isinstance(item, Trade) and item.instrument in quotes and item.instrument not in first:
                first.add(item.instrument)  # deeper levels of a sweep are not in the quote
                top, trades = quotes[item.instrument], trades + 1
                buy = item.aggressor is Side.BUY
                assert item.price == (top.ask_price if buy else top.bid_price)
                assert 0 < item.size <= (top.ask_size if buy else top.bid_size)
        assert trades > 500


class TestLooksLikeAMarket:
    def test_volatility_clusters(self, hour: list[MarketInput]) -> None:
        lagged = []
        for symbol in SYMBOLS:
            marks = of(hour, Mark, f"sim.perp:{symbol}")
            prices = [float(m.price) for m in marks if isinstance(m, Mark)][::10]
            moves = [abs(b / a - 1) for a, b in pairwise(prices)]
            lagged.append(statistics.correlation(moves[:-1], moves[1:]))
        assert statistics.mean(lagged) > 0.05

    def test_spreads_breathe_and_sizes_vary(self, hour: list[MarketInput]) -> None:
        quotes = [q for q in of(hour, Quote) if isinstance(q, Quote)]
        spreads = [q.ask_price - q.bid_price for q in quotes]
        assert min(spreads) == Decimal("0.1")
        assert max(spreads) > 3 * statistics.median(spreads) > 0
        sizes = [float(q.bid_size) for q in quotes]
        assert statistics.pstdev(sizes) > statistics.mean(sizes) / 2

    def test_aggressors_come_in_runs(self, hour: list[MarketInput]) -> None:
        sides = [t.aggressor for t in of(hour, Trade) if isinstance(t, Trade)]
        same = sum(a is b for a, b in pairwise(sides))
        assert same / len(sides) > 0.65
        assert 0.2 < sides.count(Side.BUY) / len(sides) < 0.8

    def test_an_hour_moves_enough_for_100x_to_be_dangerous_and_not_more(self) -> None:
        ranges = []
        for seed in range(9):
            prices = walk(seed, hours=1, step_s=1)
            ranges.append((max(prices) - min(prices)) / prices[0])
        assert statistics.median(ranges) > 0.005
        assert max(ranges) < 0.15

    def test_prices_stay_plausible_for_days(self) -> None:
        for seed in range(2):
            prices = walk(seed, hours=24 * 5, step_s=30)
            assert 0.6 * prices[0] < min(prices) < max(prices) < 1.6 * prices[0]

    @pytest.mark.parametrize("rate", [1, 60, 5000])
    def test_the_rate_is_kept(self, rate: int) -> None:
        seconds = max(2, 300 // rate)
        quotes = [i for i in market(rate=rate).step(START + seconds * SECOND) if isinstance(i, Quote)]
        assert len(quotes) / seconds == pytest.approx(rate, rel=0.25)


class TestMarksAndFunding:
    def test_marks_come_every_second_with_index_and_rate(self, hour: list[MarketInput]) -> None:
        marks = [m for m in of(hour, Mark) if isinstance(m, Mark)]
        assert 3600 <= len(marks) <= 3602
        for mark in marks:
            assert mark.index is not None
            assert abs(mark.index / mark.price - 1) < Decimal("0.005")
            assert mark.funding_rate is not None
            assert abs(mark.funding_rate) <= Decimal("0.003")
            assert mark.next_funding_ns == START + 8 * 3600 * SECOND

    def test_funding_is_settled_every_8_hours_of_market_time(self) -> None:
        start = START + 8 * 3600 * SECOND - 2 * SECOND
        out = market(start_ns=start).step(start + 4 * SECOND)
        funding = [i for i in out if isinstance(i, Funding)]
        assert {f.instrument for f in funding} == {f"sim.perp:{s}" for s in SYMBOLS}
        for f in funding:
            assert f.due_ns == START + 8 * 3600 * SECOND
            after = out[out.index(f) + 1]
            assert isinstance(after, Mark)
            assert after.next_funding_ns == f.due_ns + 8 * 3600 * SECOND

    def test_F6_funding_missed_while_the_engine_was_down_comes_first_and_in_order(self) -> None:  # noqa: N802
        seven, five_pm = START - HOUR, START + 9 * HOUR
        opening = SimulatedMarket(7, ["BTCUSDT"], five_pm, funded_since_ns=seven).step(five_pm)
        assert [type(i) for i in opening[-3:]] == [Depth, Quote, Mark]
        funding = [i for i in opening[:-3] if isinstance(i, Funding)]
        assert [f.due_ns for f in funding] == [START - 8 * HOUR, START, START + 8 * HOUR]
        assert {f.time_ns for f in funding} == {five_pm}
        mark = opening[-1]
        assert isinstance(mark, Mark)
        assert {(f.mark, f.rate) for f in funding} == {(mark.price, mark.funding_rate)}
        assert mark.next_funding_ns == START + 16 * HOUR

    def test_a_settlement_that_the_ledger_may_just_have_missed_is_given_again(self) -> None:
        start = START + 2 * SECOND
        opening = SimulatedMarket(7, ["BTCUSDT"], start, funded_since_ns=START + SECOND).step(start)
        assert [i.due_ns for i in opening if isinstance(i, Funding)] == [START]

    def test_a_new_ledger_has_missed_nothing(self) -> None:
        assert not [i for i in market().step(START) if isinstance(i, Funding)]


class TestFeed:
    async def test_a_system_clock_that_is_set_back_does_not_stop_the_market(self) -> None:
        wall, mono = [START], [0]
        clock = SteadyClock(0, lambda: wall[0], lambda: mono[0])
        feed = SimulatedFeed(SimulatedMarket(7, ["BTCUSDT"], clock.now_ns(), rate=100), clock)
        seen: list[MarketInput] = []
        changed = asyncio.Event()

        def sink(item: MarketInput) -> None:
            seen.append(item)
            changed.set()

        async def a_second_passes() -> None:
            upto = clock.now_ns() + SECOND
            while clock.now_ns() < upto:
                wall[0] += SECOND // 5
                mono[0] += SECOND // 5
                changed.clear()
                await asyncio.wait_for(changed.wait(), 5)

        task = asyncio.create_task(feed.run(sink))
        await a_second_passes()
        wall[0] -= 3600 * SECOND
        await a_second_passes()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        quotes = [i.time_ns for i in seen if isinstance(i, Quote)]
        assert quotes == sorted(quotes)
        assert quotes[-1] >= START + 2 * SECOND - SECOND // 5


def test_it_opens_with_snapshot_quote_and_mark_of_every_symbol() -> None:
    opening = market().step(START)
    assert [type(i) for i in opening[:9]] == [Depth, Quote, Mark] * 3
    assert all(i.snapshot for i in opening if isinstance(i, Depth))


def test_it_resumes_from_given_prices() -> None:
    m = SimulatedMarket(1, SYMBOLS, START, {"BTCUSDT": Decimal("45000.0")})
    quotes = {i.instrument: i for i in m.step(START) if isinstance(i, Quote)}
    assert quotes[BTC].bid == pytest.approx(45_000, rel=1e-4)
    assert quotes["sim.perp:ETHUSDT"].bid == pytest.approx(3_120, rel=1e-3)


@pytest.mark.parametrize("price", ["0", "-5", "50"])
def test_a_price_without_room_for_a_book_is_refused(price: str) -> None:
    with pytest.raises(FeedError, match=r"prices: BTCUSDT cannot start at"):
        SimulatedMarket(1, SYMBOLS, START, {"BTCUSDT": Decimal(price)})


def test_a_symbol_named_twice_is_listed_once() -> None:
    assert len(SimulatedMarket(1, ("BTCUSDT", "btcusdt"), START).instruments) == 1


def test_held_time_moves_nothing() -> None:
    m = market()
    before = [i for i in m.step(START + SECOND) if isinstance(i, Quote) and i.instrument == BTC][-1]
    later = START + 3600 * SECOND
    m.hold_until(later)
    after = next(i for i in m.step(later + SECOND) if isinstance(i, Quote) and i.instrument == BTC)
    assert after.bid == pytest.approx(before.bid, rel=1e-3)


def test_volatility_can_be_turned_up() -> None:
    def span(volatility: float) -> float:
        prices = [float(m.price) for m in of(market(rate=2, volatility=volatility).step(START + 1800 * SECOND), Mark)]
        return max(prices) - min(prices)

    assert span(5) > 2 * span(1)


def test_instruments_have_real_filters_and_tiers() -> None:
    leverage = {i.symbol: i.max_leverage for i in market().instruments}
    assert leverage == {"BTCUSDT": 125, "ETHUSDT": 100, "SOLUSDT": 75}


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"rate": 0}, "rate: 0"), ({"rate": 5001}, "1 to 5000"), ({"volatility": 0}, "volatility: 0")],
)
def test_settings_out_of_range_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(FeedError, match=message):
        market(**settings)


def test_an_unlisted_symbol_is_refused_with_the_list() -> None:
    with pytest.raises(FeedError, match=r"DOGEUSDT.*BTCUSDT, ETHUSDT, SOLUSDT"):
        SimulatedMarket(1, ("DOGEUSDT",), START)
