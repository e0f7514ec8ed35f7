"""The order book: depth, the quote laid over it, and what we used of it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from math import isnan
from pathlib import Path
from typing import Any

import pytest

from engine.core.book import Book
from engine.model.instrument import Instrument
from engine.model.market import Depth, Quote, Side, quote

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
BTC = Instrument(
    "test.perp:BTCUSDT", "test", "perp", "BTCUSDT", "BTC", "USDT",
    D("0.5"), D("0.001"), D("0.001"), D(5), D("0.0002"), D("0.0005"), (), 100,
)  # fmt: skip
RECORDINGS = Path(__file__).parents[2].parent / "shared" / "data"
BIDS = (("100.0", "1"), ("99.5", "2"), ("99.0", "3"))
ASKS = (("100.5", "1"), ("101.0", "2"), ("101.5", "3"))


def depth(
    bids: tuple[tuple[str, str], ...] = (),
    asks: tuple[tuple[str, str], ...] = (),
    last_id: int = 10,
    snapshot: bool = False,
) -> Depth:
    return Depth(BTC.id, last_id, 0, last_id, snapshot, bids, asks)


def top(bid: str, bid_size: str, ask: str, ask_size: str, update_id: int = 11) -> Quote:
    return quote(BTC.id, 0, bid, bid_size, ask, ask_size, update_id=update_id)


@pytest.fixture
def book() -> Book:
    book = Book(BTC)
    book.apply_depth(depth(BIDS, ASKS, snapshot=True))
    return book


def left(book: Book, side: Side) -> list[tuple[Decimal, Decimal]]:
    return list(book.offered(side, None))


def test_an_empty_book_knows_nothing() -> None:
    book = Book(BTC)
    assert isnan(book.best_bid)
    assert isnan(book.best_ask)
    assert book.levels(BUY, 5) == []
    assert book.displayed(BUY, 100.0) is None
    assert list(book.available(SELL, None)) == []


def test_levels_come_best_first_with_the_venues_own_texts(book: Book) -> None:
    assert (book.best_bid, book.best_ask) == (100.0, 100.5)
    assert book.level_texts(BUY, 2) == [("100.0", "1"), ("99.5", "2")]
    assert book.levels(SELL, 2) == [(D("100.5"), D(1)), (D("101.0"), D(2))]
    assert (book.count(BUY), book.count(SELL)) == (3, 3)


def test_a_diff_changes_adds_and_deletes_levels(book: Book) -> None:
    book.apply_depth(depth((("100.0", "0.000"), ("99.5", "5"), ("98.0", "1")), (("100.5", "0"), ("77", "0")), 11))
    assert book.level_texts(BUY, 9) == [("99.5", "5"), ("99.0", "3"), ("98.0", "1")]
    assert (book.best_bid, book.best_ask) == (99.5, 101.0)


def test_a_snapshot_replaces_the_book(book: Book) -> None:
    book.apply_depth(depth((("90", "1"),), (), 12, snapshot=True))
    assert book.level_texts(BUY, 9) == [("90", "1")]
    assert book.count(SELL) == 0
    assert isnan(book.best_ask)


def test_a_fresher_quote_lies_over_the_top(book: Book) -> None:
    book.apply_quote(top("99.5", "7", "100.0", "4"))
    assert (book.best_bid, book.best_ask) == (99.5, 100.0)
    assert book.level_texts(BUY, 2) == [("99.5", "7"), ("99.0", "3")]
    assert book.level_texts(SELL, 2) == [("100.0", "4"), ("100.5", "1")]
    assert book.displayed(BUY, 100.0) == 0
    assert book.displayed(BUY, 99.5) == 7


def test_a_quote_hides_the_levels_it_left_behind(book: Book) -> None:
    book.apply_quote(top("100.5", "7", "101.0", "4"))
    assert book.level_texts(BUY, 2) == [("100.5", "7"), ("100.0", "1")]
    assert book.level_texts(SELL, 2) == [("101.0", "4"), ("101.5", "3")]


def test_a_quote_without_asks_leaves_none(book: Book) -> None:
    book.apply_quote(top("100.0", "7", "0", "0"))
    assert isnan(book.best_ask)
    assert book.level_texts(SELL, 2) == []
    assert book.displayed(SELL, 101.0) == 0


def test_an_older_quote_changes_nothing(book: Book) -> None:
    book.apply_quote(top("90", "7", "91", "4", update_id=9))
    assert (book.best_bid, book.best_ask) == (100.0, 100.5)


def test_depth_that_catches_up_lifts_the_quote_off(book: Book) -> None:
    book.apply_quote(top("99.5", "7", "100.0", "4", update_id=12))
    book.apply_depth(depth((("99.0", "9"),), (), 11))
    assert book.best_bid == 99.5
    book.apply_depth(depth((("100.0", "0"),), (("100.0", "4"),), 12))
    assert book.level_texts(BUY, 2) == [("99.5", "2"), ("99.0", "9")]
    assert book.best_ask == 100.0


def test_quotes_alone_make_a_book_of_one_level() -> None:
    book = Book(BTC)
    book.apply_quote(top("100.0", "2", "100.5", "3", update_id=0))
    assert book.levels(BUY, 5) == [(D("100.0"), D(2))]
    assert book.displayed(BUY, 100.5) == 0
    assert book.displayed(BUY, 99.5) is None


def test_without_depth_the_price_slips_a_tick_per_displayed_size() -> None:
    book = Book(BTC)
    book.apply_quote(top("100.0", "2", "100.5", "3", update_id=0))
    curve = book.available(SELL, D("101.5"))
    assert list(curve) == [(D("100.5"), 3), (D("101.0"), 3), (D("101.5"), 3)]
    assert len(list(book.available(SELL, None))) == 101
    book.consume(SELL, D("100.5"), D(3))
    book.consume(SELL, D("101.0"), D(1))
    assert next(book.available(SELL, None)) == (D("101.0"), 2)
    book.apply_quote(top("100.0", "9", "100.5", "3", update_id=0))
    assert next(book.available(SELL, None)) == (D("101.0"), 2)
    book.apply_quote(top("100.0", "9", "100.5", "4", update_id=0))
    assert next(book.available(SELL, None)) == (D("100.5"), 4)
    assert list(book.available(SELL, D("101.0"))) == [(D("100.5"), D(4)), (D("101.0"), D(4))]


def test_the_curve_of_bids_ends_above_zero() -> None:
    book = Book(BTC)
    book.apply_quote(top("1.0", "2", "1.5", "3", update_id=0))
    assert [price for price, _ in book.available(BUY, None)] == [D("1.0"), D("0.5")]


def test_used_liquidity_comes_back_only_when_its_level_updates(book: Book) -> None:
    book.consume(SELL, D("100.5"), D("0.4"))
    book.consume(SELL, D("100.5"), D("0.6"))
    book.consume(SELL, D("101.0"), D("0.5"))
    assert left(book, SELL)[0] == (D("101.0"), D("1.5"))
    book.apply_depth(depth((), (("101.0", "2.5"),), 11))
    assert left(book, SELL)[0] == (D("101.0"), D("2.5"))
    book.apply_quote(top("100.0", "1", "100.5", "1", update_id=12))
    assert left(book, SELL)[0] == (D("101.0"), D("2.5"))
    book.apply_quote(top("100.0", "1", "100.5", "2", update_id=13))
    assert left(book, SELL)[0] == (D("100.5"), D(2))


def test_a_level_that_went_and_came_back_is_offered_again(book: Book) -> None:
    book.consume(SELL, D("100.5"), D(1))
    book.apply_quote(top("100.5", "1", "101.0", "2", update_id=11))
    book.apply_quote(top("100.0", "1", "100.5", "1", update_id=12))
    assert left(book, SELL)[0] == (D("100.5"), 1)


def test_a_snapshot_that_repeats_a_level_does_not_offer_it_again(book: Book) -> None:
    book.consume(SELL, D("100.5"), D(1))
    book.apply_depth(depth(BIDS, ASKS, 11, snapshot=True))
    assert left(book, SELL)[0] == (D("101.0"), 2)


def test_nothing_is_offered_beyond_the_limit(book: Book) -> None:
    assert list(book.offered(SELL, D("101.0"))) == [(D("100.5"), 1), (D("101.0"), 2)]
    assert list(book.offered(BUY, D("99.5"))) == [(D("100.0"), 1), (D("99.5"), 2)]


def test_a_cleared_book_is_empty(book: Book) -> None:
    book.apply_quote(top("100.0", "1", "100.5", "1"))
    book.clear()
    assert isnan(book.best_bid)
    assert book.levels(SELL, 5) == []


# --- Against recordings ---------------------------------------------------------------------------


def messages(name: str) -> Iterator[dict[str, Any]]:
    path = RECORDINGS / name
    if not path.exists():
        pytest.skip(f"recorded data {name} is not beside the project")
    with gzip.open(path, "rt") as lines:
        for line in lines:
            yield json.loads(line.split(" ", 1)[1])


def pairs(levels: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((price, size) for price, size in levels)


def diffs_in_sequence(name: str, snapshot_id: int) -> Iterator[Depth]:
    """The snapshot, then each diff from the first that ends after it."""
    kept: list[Depth] = []
    started = False
    for message in messages(name):
        if "lastUpdateId" in message:
            yield depth(pairs(message["bids"]), pairs(message["asks"]), message["lastUpdateId"], snapshot=True)
            started = True
            yield from (diff for diff in kept if diff.last_id >= snapshot_id)
        elif "@depth" in message["stream"]:
            data = message["data"]
            diff = depth(pairs(data["b"]), pairs(data["a"]), data["u"])
            if not started:
                kept.append(diff)
            elif diff.last_id >= snapshot_id:
                yield diff


@pytest.mark.parametrize(
    ("name", "snapshot_id", "checkpoints"),
    [
        (
            "binance_usdm_btcusdt_20240808_raw.ndjson.gz",
            5123107852948,
            {
                400: (5123109550566, ("61809.5", "5.514"), ("61809.6", "1.458"), 1624, 1410),
                800: (5123111110555, ("61815.6", "2.751"), ("61815.7", "2.457"), 2100, 1938),
                1200: (5123113450595, ("61806.7", "6.485"), ("61806.8", "0.067"), 2316, 2152),
            },
        ),
        (
            "binance_spot_btcusdt_20240808_raw.ndjson.gz",
            50093239218,
            {400: (50093256976, ("61837.88", "5.06086"), ("61837.89", "0.01888"), 1137, 1143)},
        ),
    ],
    ids=["usdm", "spot"],
)
def test_a_recorded_book_agrees_with_its_checkpoints(
    name: str, snapshot_id: int, checkpoints: dict[int, tuple[Any, ...]]
) -> None:
    book = Book(BTC)
    for applied, update in enumerate(diffs_in_sequence(name, snapshot_id)):
        book.apply_depth(update)
        if applied in checkpoints:
            bid, ask = book.levels(BUY, 1)[0], book.levels(SELL, 1)[0]
            last_id, best_bid, best_ask, bids, asks = checkpoints[applied]
            assert book.depth_id == last_id
            assert bid == tuple(map(D, best_bid))
            assert ask == tuple(map(D, best_ask))
            assert (book.best_bid, book.best_ask) == (float(best_bid[0]), float(best_ask[0]))
            assert (book.count(BUY), book.count(SELL)) == (bids, asks)
        if applied == max(checkpoints):
            return
    raise AssertionError("the recording ended before its last checkpoint")
