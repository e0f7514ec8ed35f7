"""Candles hold what passed: first, highest, lowest and last, across the ends of their time."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from engine.model.market import Side, Trade, quote
from engine.views.candles import TIMEFRAMES, CandleBook

BTC = "sim.perp:BTCUSDT"
MS, SECOND = 1_000_000, 1_000_000_000
DAY = 86_400 * SECOND
PRICES = st.integers(1, 50)


def passed(book: CandleBook, time_ns: int, price: int) -> None:
    book.quote(quote(BTC, time_ns, str(price), "1", str(price + 2), "1"))


def test_a_market_that_moves_and_falls_quiet_is_shown_where_it_is() -> None:
    book = CandleBook()
    passed(book, 0, 99)
    for number, price in enumerate((119, 79, 109)):
        passed(book, (10 + number) * MS, price)
    (candle,) = book.of(BTC, 60)
    assert (candle.open, candle.high, candle.low, candle.close) == (100, 120, 80, 110)


@given(
    moves=st.lists(st.tuples(st.integers(0, 400), PRICES, st.booleans()), min_size=1, max_size=60),
    looks=st.sets(st.integers(0, 60)),
)
def test_candles_are_those_of_every_price_that_passed(moves: list[tuple[int, int, bool]], looks: set[int]) -> None:
    book, now, seen = CandleBook(), DAY - 3 * SECOND, list[tuple[int, int]]()
    for number, (wait, price, traded) in enumerate(moves):
        now += wait * MS
        seen.append((now, price + 1))
        if traded:
            book.trade(Trade(BTC, now, now, "1", Decimal(price + 1), Decimal(1), Side.BUY))
        else:
            passed(book, now, price)
        if number in looks:
            book.of(BTC, 1)
    for seconds in TIMEFRAMES:
        step = seconds * SECOND
        starts = sorted({time // step * step for time, _ in seen})
        found = book.of(BTC, seconds)
        assert [candle.time_ns for candle in found] == starts
        for c in found:
            prices = [price for time, price in seen if time // step * step == c.time_ns]
            assert (c.open, c.high, c.low, c.close) == (prices[0], max(prices), min(prices), prices[-1])
