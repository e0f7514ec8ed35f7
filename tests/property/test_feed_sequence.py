"""Whatever is lost, doubled or turned around on the way, a book is right or says that it waits; it is never wrong."""

from __future__ import annotations

import gzip
from decimal import Decimal
from functools import cache
from itertools import islice

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.feeds.assembler import Assembler
from engine.feeds.base import FeedRefused, FeedStats
from engine.feeds.binance.frames import FrameDecoder
from engine.feeds.binance.rest import parse_depth
from engine.feeds.sanity import PriceGate
from engine.feeds.sequence import (
    BUFFER,
    BackpackRule,
    BookSequence,
    Levels,
    RawDiff,
    Rule,
    Snapshot,
    SpotRule,
    UsdmRule,
)
from engine.feeds.tops import BookTop
from engine.model.market import Depth, MarketInput, Quote, Trade
from tests.feed_support import SPOT, USDM, PlainBook, needs_recordings

RULES = {"usdm": UsdmRule(), "spot": SpotRule(), "backpack": BackpackRule()}
ID = "x.perp:BTC"

Truth = dict[int, dict[str, str]]


class Exchange:
    """A venue that changes one level with every update id and sends diffs by its own numbering."""

    def __init__(self, name: str, changes: list[tuple[int, int]], cuts: list[int]) -> None:
        self.truth: Truth = {0: {}}
        self.diffs: list[RawDiff] = []
        book: dict[str, str] = {}
        sizes = iter(cuts)
        first, pending = 1, {}
        left = next(sizes, 1)
        previous = 0
        for number, (price, size) in enumerate(changes, start=1):
            # USD-M ids jump between the updates of one symbol; the others count up.
            update = number * 3 if name == "usdm" else number
            book = dict(book)
            if size:
                book[str(price)] = str(size)
            else:
                book.pop(str(price), None)
            self.truth[update] = book
            pending[str(price)] = str(size)
            left -= 1
            if left <= 0:
                levels = tuple(pending.items())
                u_first = first if name != "usdm" else first * 3 - 1
                self.diffs.append(
                    RawDiff(ID, update, 0, u_first, update, previous if name == "usdm" else 0, levels, ())
                )
                previous, first, pending, left = update, number + 1, {}, next(sizes, 1)

    def snapshot(self, after: int) -> Snapshot:
        """The book as of the newest update not above `after`."""
        last = max(update for update in self.truth if update <= after)
        return Snapshot(ID, 0, 0, last, tuple(self.truth[last].items()), ())


def apply(book: dict[str, str], depth: Depth) -> dict[str, str]:
    book = {} if depth.snapshot else dict(book)
    for price, size in depth.bids:
        if size == "0":
            book.pop(price, None)
        else:
            book[price] = size
    return book


@pytest.mark.parametrize("name", RULES)
@settings(max_examples=200)
@given(data=st.data())
def test_a_book_is_right_or_waits(name: str, data: st.DataObject) -> None:
    changes = data.draw(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3)), min_size=4, max_size=40))
    exchange = Exchange(name, changes, data.draw(st.lists(st.sampled_from((1, 1, 1, 2, 4)), min_size=40, max_size=40)))
    sent = list(enumerate(exchange.diffs))
    for kind, at in data.draw(st.lists(st.tuples(st.sampled_from("ddrs"), st.integers(0, 60)), max_size=4)):
        if not sent:
            break
        index = at % len(sent)
        if kind == "d":  # lost
            del sent[index]
        elif kind == "r":  # doubled
            sent.insert(index, sent[index])
        else:  # turned around
            sent[index], sent[index - 1] = sent[index - 1], sent[index]
    sequence = BookSequence(RULES[name])
    book: dict[str, str] = {}
    for _, diff in sent:
        out = sequence.diff(diff)
        if sequence.waiting and data.draw(st.booleans()):
            out += sequence.snapshot(exchange.snapshot(max(0, diff.last + data.draw(st.integers(-6, 6)))))
        for depth in out:
            book = apply(book, depth)
            assert book == exchange.truth[depth.last_id]


@pytest.mark.parametrize("name", RULES)
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3)), min_size=6, max_size=40), st.integers(0, 100))
def test_an_unbroken_stream_needs_one_snapshot(name: str, changes: list[tuple[int, int]], late: int) -> None:
    exchange = Exchange(name, changes, [2] * 40)
    fetched_at = late % len(exchange.diffs)
    sequence = BookSequence(RULES[name])
    applied: list[Depth] = []
    for index, diff in enumerate(exchange.diffs):
        applied += sequence.diff(diff)
        if index == fetched_at:
            applied += sequence.snapshot(exchange.snapshot(diff.last))
    assert not sequence.waiting
    assert applied[0].snapshot
    assert applied[-1].last_id == exchange.diffs[-1].last


def diff(rule: str, first: int, last: int, previous: int = 0) -> RawDiff:
    return RawDiff(ID, 0, 0, first, last, previous if rule == "usdm" else 0, (), ())


@pytest.mark.parametrize("name", RULES)
def test_a_skipped_number_asks_for_a_snapshot(name: str) -> None:
    sequence = BookSequence(RULES[name])
    assert sequence.diff(diff(name, 1, 2)) == []
    assert [d.last_id for d in sequence.snapshot(Snapshot(ID, 0, 0, 1, (), ()))] == [1, 2]
    assert [d.last_id for d in sequence.diff(diff(name, 3, 4, 2))] == [4]
    assert sequence.diff(diff(name, 6, 8, 5)) == []
    assert sequence.waiting
    assert [d.last_id for d in sequence.snapshot(Snapshot(ID, 0, 0, 7, (), ()))] == [7, 8]


@pytest.mark.parametrize("name", RULES)
def test_a_snapshot_older_than_the_buffer_is_refused(name: str) -> None:
    sequence = BookSequence(RULES[name])
    sequence.diff(diff(name, 100, 110, 99))
    assert sequence.snapshot(Snapshot(ID, 0, 0, 98, (), ())) == []
    assert sequence.waiting
    assert len(sequence.snapshot(Snapshot(ID, 0, 0, 99, (), ()))) == 2


@pytest.mark.parametrize("name", RULES)
def test_a_gap_inside_the_buffer_makes_what_came_before_worthless(name: str) -> None:
    sequence = BookSequence(RULES[name])
    for first, last, previous in ((5, 12, 4), (13, 20, 12), (25, 30, 24)):
        sequence.diff(diff(name, first, last, previous))
    assert sequence.snapshot(Snapshot(ID, 0, 0, 10, (), ())) == []
    assert sequence.waiting
    assert [d.last_id for d in sequence.snapshot(Snapshot(ID, 0, 0, 26, (), ()))] == [26, 30]


def test_usdm_tests_continuity_on_pu_only() -> None:
    sequence = BookSequence(UsdmRule())
    sequence.diff(diff("usdm", 10, 20, 5))
    sequence.snapshot(Snapshot(ID, 0, 0, 15, (), ()))
    assert sequence.diff(diff("usdm", 27, 30, 20))  # U is not previous u + 1, and need not be
    assert not sequence.waiting
    assert sequence.diff(diff("usdm", 31, 40, 29)) == []
    assert sequence.waiting


def test_a_lost_connection_forgets_the_book() -> None:
    sequence = BookSequence(SpotRule())
    sequence.diff(diff("spot", 1, 2))
    sequence.snapshot(Snapshot(ID, 0, 0, 1, (), ()))
    sequence.reset()
    assert sequence.waiting
    assert sequence.diff(diff("spot", 3, 4)) == []


def test_the_buffer_is_bounded() -> None:
    sequence = BookSequence(BackpackRule())
    for number in range(1, BUFFER + 11):
        sequence.diff(diff("backpack", number, number))
    assert sequence.snapshot(Snapshot(ID, 0, 0, 5, (), ())) == []  # the start of the buffer is gone
    assert len(sequence.snapshot(Snapshot(ID, 0, 0, BUFFER, (), ()))) == 11


@needs_recordings
@pytest.mark.parametrize(
    ("path", "rule", "checkpoints"),
    [
        (
            USDM,
            UsdmRule(),
            {
                400: (5123109550566, "61809.5", "5.514", "61809.6", "1.458", 1624, 1410),
                800: (5123111110555, "61815.6", "2.751", "61815.7", "2.457", 2100, 1938),
                1200: (5123113450595, "61806.7", "6.485", "61806.8", "0.067", 2316, 2152),
            },
        ),
        (SPOT, SpotRule(), {400: (50093256976, "61837.88", "5.06086", "61837.89", "0.01888", 1137, 1143)}),
    ],
    ids=["usdm", "spot"],
)
def test_recorded_books_equal_their_checkpoints(
    path: object, rule: Rule, checkpoints: dict[int, tuple[object, ...]]
) -> None:

    decoder = FrameDecoder({"btcusdt": "BTC"})
    sequence = BookSequence(rule)
    book = PlainBook()
    seen = {}
    with gzip.open(path, "rb") as lines:  # type: ignore[call-overload]
        for line in lines:
            payload = line.split(b" ", 1)[1]
            if payload.startswith(b'{"lastUpdateId"'):
                depths = sequence.snapshot(parse_depth(payload, "BTC", 0))
            elif b"@depth" in payload[:40]:
                item = decoder.decode_frame(payload, 0)
                assert isinstance(item, RawDiff)
                depths = sequence.diff(item)
            else:
                continue
            for depth in depths:
                book.apply(depth)
                if not depth.snapshot and book.diffs in checkpoints:
                    seen[book.diffs] = (book.last_id, *book.best, len(book.bids), len(book.asks))
            if len(seen) == len(checkpoints):
                break
    wanted = {n: (c[0], *(Decimal(str(x)) for x in c[1:5]), *c[5:]) for n, c in checkpoints.items()}
    assert seen == wanted
    assert not sequence.waiting


_LEVELS = st.lists(st.tuples(st.integers(1, 12).map(str), st.sampled_from(["0", "0.00", "1", "2.5"])), max_size=6).map(
    tuple
)


@given(st.lists(st.tuples(st.booleans(), _LEVELS, _LEVELS), max_size=30))
def test_the_top_of_a_book_is_what_looking_at_every_level_gives(changes: list[tuple[bool, Levels, Levels]]) -> None:
    top, plain = BookTop(), PlainBook()
    for snapshot, bids, asks in changes:
        depth = Depth("BTC", 0, 0, 0, snapshot, bids, asks)
        top.apply(depth)
        plain.apply(depth)
        assert top.bid == max(plain.bids, default=0)
        assert top.ask == min(plain.asks, default=float("inf"))


@needs_recordings
@given(data=st.data())
def test_damaged_frames_never_bring_a_feed_down_nor_reach_the_core(data: st.DataObject) -> None:
    frame = data.draw(st.sampled_from(_frames()))
    at = data.draw(st.integers(0, len(frame) - 1))
    damage = data.draw(st.one_of(st.binary(max_size=3), st.sampled_from([b"nan", b"-", b"null", b"1e999", b'"', b"_"])))
    raw = frame[:at] + damage + frame[at + data.draw(st.integers(0, 4)) :]
    seen: list[MarketInput] = []
    stats = FeedStats()
    assembler = Assembler(seen.append, stats, UsdmRule(), PriceGate())
    decode = FrameDecoder({"btcusdt": "BTC"}).decode_frame
    assembler.snapshot(Snapshot("BTC", 0, 0, 5123107831937, (), ()))
    try:
        item = decode(raw, 1)
    except (msgspec.MsgspecError, ValueError, ArithmeticError, FeedRefused):
        return
    if item is not None:
        assembler.accept(item)
    for given_on in seen:
        if isinstance(given_on, Quote):
            assert 0 < given_on.bid_price < given_on.ask_price
            assert given_on.bid_size > 0 < given_on.ask_size
        elif isinstance(given_on, Trade):
            assert given_on.price > 0 < given_on.size
        elif isinstance(given_on, Depth):
            assert all(Decimal(price) > 0 <= Decimal(size) for price, size in (*given_on.bids, *given_on.asks))


@cache
def _frames() -> list[bytes]:
    with gzip.open(USDM, "rb") as lines:
        payloads = [line.split(b" ", 1)[1].strip() for line in islice(lines, 80)]
    return [p for p in payloads if not p.startswith(b'{"lastUpdateId"') and len(p) < 3000]
