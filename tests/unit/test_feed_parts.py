"""The small parts of a feed: backoff, watchdog, price gate, funding."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from engine.feeds.assembler import Assembler
from engine.feeds.base import Backoff, FeedStats
from engine.feeds.funding import FundingWatch, Settlement
from engine.feeds.numbers import plain
from engine.feeds.sanity import PriceGate, Verdict
from engine.feeds.sequence import BackpackRule, Levels, RawDiff, Snapshot
from engine.feeds.watchdog import Watchdog
from engine.model.market import Depth, Funding, Mark, MarketInput, Quote, Side, StreamState, Trade, quote
from tests.feed_support import states

BTC = "binance.perp:BTCUSDT"
SECOND = 1_000_000_000


class TestBackoff:
    def test_delays_double_up_to_the_cap_with_jitter_below(self) -> None:
        backoff = Backoff(random.Random(1), base_s=1, cap_s=30)
        for full in (1, 2, 4, 8, 16, 30, 30, 30):
            assert full / 2 <= backoff.next() <= full

    def test_two_clients_do_not_retry_in_step(self) -> None:
        one, two = Backoff(random.Random(1)), Backoff(random.Random(2))
        assert [one.next() for _ in range(5)] != [two.next() for _ in range(5)]

    def test_only_a_connection_that_lasted_starts_over(self) -> None:
        backoff = Backoff(random.Random(1), base_s=1, cap_s=64, stable_s=30)
        for _ in range(4):
            backoff.next()
        assert not backoff.lasted(29)
        assert backoff.next() >= 8
        assert backoff.lasted(30)
        assert backoff.next() <= 1

    def test_it_never_overflows(self) -> None:
        backoff = Backoff(random.Random(1), cap_s=30)
        assert all(backoff.next() <= 30 for _ in range(5_000))


class TestWatchdog:
    def test_a_dead_stream_beside_a_live_one_is_found(self) -> None:
        dog = Watchdog([(BTC, "quote"), (BTC, "mark")], {"quote": 10, "mark": 3}, now_ns=0)
        dog.heard((BTC, "quote"), 4 * SECOND)
        assert dog.silent(4 * SECOND) == [(BTC, "mark")]

    def test_a_stream_that_never_spoke_is_found(self) -> None:
        dog = Watchdog([(BTC, "quote")], {"quote": 10}, now_ns=0)
        assert dog.silent(10 * SECOND) == []
        assert dog.silent(10 * SECOND + 1) == [(BTC, "quote")]

    def test_streams_without_a_limit_may_be_quiet_for_ever(self) -> None:
        dog = Watchdog([(BTC, "trade")], {"quote": 10}, now_ns=0)
        dog.heard((BTC, "trade"), 5)
        assert dog.period_s is None
        assert dog.silent(10**15) == []


class TestPriceGate:
    def at(self, bid: str, ask: str, time_ns: int = 0, size: str = "1") -> Quote:
        return quote(BTC, time_ns, bid, size, ask, "1")

    @pytest.mark.parametrize(
        ("bid", "ask", "size", "verdict"),
        [
            ("100", "101", "1", Verdict.GOOD),
            ("101", "100", "1", Verdict.CROSSED),
            ("100", "100", "1", Verdict.CROSSED),
            ("0", "100", "1", Verdict.ABSURD),
            ("-1", "100", "1", Verdict.ABSURD),
            ("nan", "100", "1", Verdict.ABSURD),
            ("100", "nan", "1", Verdict.ABSURD),
            ("100", "inf", "1", Verdict.ABSURD),
            ("100", "101", "0", Verdict.ABSURD),
            ("100", "101", "nan", Verdict.ABSURD),
            ("100", "101", "junk", Verdict.ABSURD),
        ],
    )
    def test_impossible_quotes_do_not_pass(self, bid: str, ask: str, size: str, verdict: Verdict) -> None:
        assert PriceGate().quote(self.at(bid, ask, size=size)) is verdict

    @pytest.mark.parametrize(("bid", "ask"), [("50", "51"), ("100", "130"), ("70", "101"), ("150", "151")])
    def test_an_absurd_jump_of_either_side_is_dropped(self, bid: str, ask: str) -> None:
        gate = PriceGate(max_jump=0.2)
        gate.quote(self.at("100", "101"))
        assert gate.quote(self.at(bid, ask)) is Verdict.ABSURD
        assert gate.quote(self.at("101", "102")) is Verdict.GOOD

    def test_a_jump_that_persists_is_the_market(self) -> None:
        gate = PriceGate(max_jump=0.2, persist_ns=2 * SECOND)
        gate.quote(self.at("100", "101"))
        assert gate.quote(self.at("50", "51", 1 * SECOND)) is Verdict.ABSURD
        assert gate.quote(self.at("51", "52", 2 * SECOND)) is Verdict.ABSURD
        assert gate.quote(self.at("52", "53", 3 * SECOND)) is Verdict.ABSURD
        assert gate.quote(self.at("52", "53", 4 * SECOND)) is Verdict.GOOD
        assert gate.quote(self.at("51", "53", 5 * SECOND)) is Verdict.GOOD

    def test_a_crash_gets_through_in_two_seconds_of_a_fast_stream(self) -> None:
        gate = PriceGate()
        gate.quote(self.at("100", "101"))
        tenth = SECOND // 10
        said = [gate.quote(self.at("75", "76", n * tenth)) for n in range(1, 40)]
        assert said.index(Verdict.GOOD) == 20
        assert set(said[20:]) == {Verdict.GOOD}

    def test_a_crash_gets_through_with_the_fourth_price_of_a_slow_stream(self) -> None:
        gate = PriceGate()
        gate.mark(Mark(BTC, 0, 0, Decimal(100)))
        said = [gate.mark(Mark(BTC, n * 3 * SECOND, 0, Decimal(75 - n))) for n in range(1, 6)]
        assert said == [Verdict.ABSURD] * 3 + [Verdict.GOOD] * 2

    @pytest.mark.parametrize("apart_s", [0, 2, 60])
    def test_a_tenfold_price_that_is_repeated_twice_is_no_market(self, apart_s: int) -> None:
        gate = PriceGate()
        gate.quote(self.at("100", "101"))
        for n in range(3):
            assert gate.quote(self.at("1000", "1001", n * apart_s * SECOND)) is Verdict.ABSURD
        assert gate.quote(self.at("101", "102", 200 * SECOND)) is Verdict.GOOD

    def test_wrong_prices_between_good_ones_never_add_up(self) -> None:
        gate = PriceGate()
        for second in range(0, 100, 5):
            assert gate.quote(self.at("100", "101", second * SECOND)) is Verdict.GOOD
            for n in range(1, 4):
                assert gate.quote(self.at("1000", "1001", (second + n) * SECOND)) is Verdict.ABSURD

    def test_single_absurd_quotes_far_apart_do_not_add_up(self) -> None:
        gate = PriceGate(max_jump=0.2, persist_ns=2 * SECOND)
        for second in range(0, 40, 4):
            assert gate.quote(self.at("100", "101", second * SECOND)) is Verdict.GOOD
            assert gate.quote(self.at("50", "51", (second + 1) * SECOND)) is Verdict.ABSURD

    def test_an_absurd_mark_does_not_liquidate(self) -> None:
        gate = PriceGate(max_jump=0.2)
        assert gate.mark(Mark(BTC, 0, 0, Decimal(100))) is Verdict.GOOD
        assert gate.mark(Mark(BTC, 0, 0, Decimal(10))) is Verdict.ABSURD
        assert gate.mark(Mark(BTC, 0, 0, Decimal("NaN"))) is Verdict.ABSURD

    def test_the_first_price_after_a_start_is_judged_by_the_last_one_known(self) -> None:
        gate = PriceGate(max_jump=0.2, persist_ns=2 * SECOND, known={BTC: 100.0})
        assert gate.quote(self.at("1000", "1001")) is Verdict.ABSURD
        assert gate.mark(Mark(BTC, 0, 0, Decimal(1000))) is Verdict.ABSURD
        assert gate.quote(self.at("99", "101")) is Verdict.GOOD
        assert gate.mark(Mark(BTC, 0, 0, Decimal(101))) is Verdict.GOOD

    def test_a_market_that_moved_far_while_nobody_looked_is_believed_when_it_stays_there(self) -> None:
        gate = PriceGate(max_jump=0.2, persist_ns=2 * SECOND, known={BTC: 100.0})
        said = [gate.quote(self.at("150", "151", n * SECOND)) for n in range(1, 6)]
        assert said == [Verdict.ABSURD] * 3 + [Verdict.GOOD] * 2

    def test_a_trade_without_price_or_size_is_dropped(self) -> None:
        gate = PriceGate()
        assert gate.trade(Trade(BTC, 0, 0, "1", Decimal(0), Decimal(1), Side.BUY)) is Verdict.ABSURD
        assert gate.trade(Trade(BTC, 0, 0, "1", Decimal(1), Decimal(0), Side.BUY)) is Verdict.ABSURD
        assert gate.trade(Trade(BTC, 0, 0, "1", Decimal(1), Decimal(1), Side.BUY)) is Verdict.GOOD


class TestAssembler:
    """A book around 60000 from the first snapshot on, quoted at 60000 / 60000.1."""

    @pytest.fixture(autouse=True)
    def _feed(self) -> None:
        self.inputs: list[MarketInput] = []
        self.stats = FeedStats()
        self.assembler = Assembler(self.inputs.append, self.stats, BackpackRule(), PriceGate())

    def quote(self, bid: str, ask: str, time_ns: int = 1) -> None:
        self.assembler.accept(quote(BTC, time_ns, bid, "1", ask, "1"))

    def snapshot(self, bids: Levels, asks: Levels, last_id: int = 10) -> bool:
        return self.assembler.snapshot(Snapshot(BTC, 1, 1, last_id, bids, asks))

    def opened(self) -> None:
        self.quote("60000", "60000.1")
        assert self.snapshot((("60000", "5"), ("59999", "5")), (("60000.1", "5"), ("60001", "5")))

    def diff(self, number: int, bids: Levels = (), asks: Levels = ()) -> None:
        self.assembler.accept(RawDiff(BTC, 2, 2, number, number, 0, bids, asks))

    def depths(self) -> list[int]:
        return [i.last_id for i in self.inputs if isinstance(i, Depth)]

    @pytest.mark.parametrize(
        ("bids", "asks", "counter"),
        [
            ((), (("20000", "5"),), "dropped_crossed"),
            ((("99999", "5"),), (), "dropped_crossed"),
            ((("60000.05", "1"), ("60000.1", "1")), (), "dropped_crossed"),
            ((("60000", "0"), ("59999", "0")), (("20000", "5"),), "dropped_absurd"),
            ((), (("60000.1", "0"), ("60001", "0"), ("80000", "1")), "dropped_absurd"),
        ],
    )
    def test_an_impossible_depth_never_reaches_the_core(self, bids: Levels, asks: Levels, counter: str) -> None:
        self.opened()
        self.diff(11, bids, asks)
        assert self.depths() == [10]
        assert getattr(self.stats, counter) == 1
        assert states(self.inputs, "depth") == [StreamState.LIVE, StreamState.RESYNC]
        assert self.assembler.needs_snapshot(BTC)

    def test_a_new_snapshot_ends_it(self) -> None:
        self.opened()
        self.diff(11, asks=(("20000", "5"),))
        self.diff(12, asks=(("20000", "0"),))
        assert self.snapshot((("60000", "5"),), (("60000.1", "5"),), last_id=11)
        assert self.depths() == [10, 11, 12]
        assert states(self.inputs, "depth")[-1] is StreamState.LIVE

    def test_an_impossible_snapshot_is_fetched_again(self) -> None:
        self.quote("60000", "60000.1")
        assert not self.snapshot((("60000", "5"),), (("20000", "5"),))
        assert not self.snapshot((("19999", "5"),), (("20000", "5"),))
        assert (self.stats.dropped_crossed, self.stats.dropped_absurd, self.depths()) == (1, 1, [])
        assert self.snapshot((("60000", "5"),), (("60000.1", "5"),))

    def test_deep_levels_may_be_as_far_away_as_they_like(self) -> None:
        self.opened()
        self.diff(11, (("1", "5"),), (("999999", "5"),))
        assert self.depths() == [10, 11]

    def test_a_market_that_really_moved_is_followed(self) -> None:
        self.opened()
        for second in range(5, 9):
            self.quote("40000", "40000.1", second * SECOND)
        gone = (("60000", "0"), ("59999", "0"))
        self.diff(11, (*gone, ("40000", "1")), (("40000.1", "1"),))
        assert self.depths() == [10, 11]

    def test_a_quote_from_before_the_line_was_lost_says_nothing_of_the_book_after(self) -> None:
        self.opened()
        self.assembler.lost([(BTC, "quote"), (BTC, "depth")], StreamState.DOWN, 3, "cut")
        assert self.snapshot((("40000", "5"),), (("40000.1", "5"),), last_id=50)

    def test_a_one_sided_book_is_possible(self) -> None:
        self.opened()
        self.diff(11, (("60000", "0"), ("59999", "0")), ())
        assert self.depths() == [10, 11]


class TestFundingWatch:
    def mark(self, time_ns: int, price: int, rate: str, due: int | None) -> Mark:
        return Mark(BTC, time_ns, 0, Decimal(price), None, Decimal(rate), due)

    def test_funding_is_settled_once_with_the_last_rate_and_mark_before_its_time(self) -> None:
        watch = FundingWatch()
        assert watch.settled(self.mark(98, 60_000, "0.0001", 100)) == []
        assert watch.settled(self.mark(99, 60_010, "0.0002", 100)) == []
        settled = watch.settled(self.mark(101, 60_500, "0.0003", 200))
        assert settled == [Funding(BTC, 101, 100, Decimal("0.0002"), Decimal(60_010))]
        assert watch.settled(self.mark(102, 60_500, "0.0003", 200)) == []

    def test_an_interval_that_becomes_longer_settles_nothing_before_its_new_end(self) -> None:
        watch, hour = FundingWatch(), 3_600 * SECOND
        assert watch.settled(self.mark(10 * hour, 60_000, "0.0001", 12 * hour)) == []
        assert watch.settled(self.mark(11 * hour, 60_000, "0.0002", 16 * hour)) == []
        (settled,) = watch.settled(self.mark(16 * hour, 60_000, "0.0003", 24 * hour))
        assert (settled.due_ns, settled.rate) == (16 * hour, Decimal("0.0002"))

    def test_a_mark_without_its_rate_leaves_the_last_one_known(self) -> None:
        watch = FundingWatch()
        watch.settled(self.mark(98, 60_000, "0.0001", 100))
        watch.settled(Mark(BTC, 99, 0, Decimal(60_010), None, None, 100))
        (settled,) = watch.settled(self.mark(101, 60_500, "0.0003", 200))
        assert settled == Funding(BTC, 101, 100, Decimal("0.0001"), Decimal(60_010))

    def test_marks_without_funding_settle_nothing(self) -> None:
        watch = FundingWatch()
        assert watch.settled(Mark(BTC, 1, 0, Decimal(1))) == []
        assert watch.settled(self.mark(2, 1, "0.1", 100)) == []
        assert watch.settled(Mark(BTC, 3, 0, Decimal(1))) == []

    def row(self, due_ns: int, rate: str = "0.0004", mark: int = 61_000) -> Settlement:
        return Settlement(due_ns, Decimal(rate), Decimal(mark))

    def test_F6_history_gives_what_was_missed_oldest_first_and_once(self) -> None:  # noqa: N802
        watch = FundingWatch(since_ns=50)
        missed = watch.caught_up(BTC, [self.row(200), self.row(100), self.row(50)], 210)
        assert missed == [Funding(BTC, 210, due, Decimal("0.0004"), Decimal(61_000)) for due in (100, 200)]
        assert watch.caught_up(BTC, [self.row(100), self.row(200)], 220) == []
        assert watch.given_ns(BTC) == 200

    def test_history_of_the_future_is_not_believed(self) -> None:
        assert FundingWatch().caught_up(BTC, [self.row(101)], 100) == []

    def test_after_a_loss_of_the_line_only_the_history_is_believed(self) -> None:
        watch = FundingWatch()
        watch.settled(self.mark(99, 60_000, "0.0001", 100))
        watch.lost(BTC)
        assert watch.settled(self.mark(301, 60_500, "0.0003", 400)) == []
        dues = [f.due_ns for f in watch.caught_up(BTC, [self.row(n) for n in (100, 200, 300)], 302)]
        assert dues == [100, 200, 300]

    def test_what_the_stream_shows_meanwhile_comes_after_the_history(self) -> None:
        watch = FundingWatch()
        watch.wait(BTC)
        watch.settled(self.mark(199, 60_000, "0.0001", 200))
        assert watch.settled(self.mark(201, 60_500, "0.0003", 300)) == []
        assert [f.due_ns for f in watch.caught_up(BTC, [self.row(100)], 205)] == [100, 200]
        assert [f.due_ns for f in watch.settled(self.mark(301, 60_500, "0.0003", 400))] == [300]

    def test_the_history_of_a_settlement_wins_over_what_the_stream_showed(self) -> None:
        watch = FundingWatch()
        watch.wait(BTC)
        watch.settled(self.mark(199, 60_000, "0.0001", 200))
        watch.settled(self.mark(201, 60_500, "0.0003", 300))
        assert watch.caught_up(BTC, [self.row(200)], 205) == [
            Funding(BTC, 205, 200, Decimal("0.0004"), Decimal(61_000))
        ]

    def test_funding_comes_before_the_mark_that_shows_it(self) -> None:
        inputs: list[MarketInput] = []
        assembler = Assembler(inputs.append, FeedStats(), BackpackRule(), PriceGate())
        assembler.accept(self.mark(99, 60_000, "0.0001", 100))
        assembler.accept(self.mark(101, 60_000, "0.0001", 200))
        assert [type(i) for i in inputs if isinstance(i, Mark | Funding)] == [Mark, Funding, Mark]

    @pytest.mark.parametrize("rate", ["NaN", "sNaN", "Infinity", "-Infinity", "0.06", "-5"])
    def test_an_absurd_rate_is_left_out_of_a_mark(self, rate: str) -> None:
        inputs: list[MarketInput] = []
        stats = FeedStats()
        assembler = Assembler(inputs.append, stats, BackpackRule(), PriceGate())
        assembler.accept(self.mark(99, 60_000, rate, 100))
        assembler.accept(self.mark(101, 60_000, "0.0001", 200))
        marks = [i for i in inputs if isinstance(i, Mark)]
        assert [m.funding_rate for m in marks] == [None, Decimal("0.0001")]
        assert not [i for i in inputs if isinstance(i, Funding)]
        assert stats.dropped_absurd == 1


def test_decimals_lose_trailing_zeros_and_exponents() -> None:
    assert [str(plain(text)) for text in ("0.10", "1E+1", "100.00", "0.00001000", "1")] == [
        "0.1",
        "10",
        "100",
        "0.00001",
        "1",
    ]


def test_stats_are_a_dict_of_counters() -> None:
    assert FeedStats(received=2).as_dict()["received"] == 2
