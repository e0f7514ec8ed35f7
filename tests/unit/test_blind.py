"""A market whose streams break: what is told of it, and what its book is worth then."""

from __future__ import annotations

import pytest

from engine.model.market import StreamState
from tests.kit import BUY, Bench, D, alarms

CONNECTING, RESYNC, SILENT, DOWN = StreamState.CONNECTING, StreamState.RESYNC, StreamState.SILENT, StreamState.DOWN


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.market("60000")
    return made


def test_a_stream_that_dies_while_the_book_is_fetched_is_told(bench: Bench) -> None:
    bench.open(BUY, "0.1", stop_loss="59100", leverage=5)
    bench.feed("depth", RESYNC)
    assert alarms(bench.feed("mark", SILENT)) == ["EXITS_BLIND"]
    assert not alarms(bench.feed("quote", DOWN)), "said once"


def test_a_start_without_a_line_says_that_exits_see_nothing(bench: Bench) -> None:
    bench.open(BUY, "0.1", stop_loss="59100", leverage=5)
    bench.restart()
    assert not alarms(bench.feed("quote", CONNECTING))
    assert alarms(bench.feed("quote", DOWN)) == ["EXITS_BLIND"]


@pytest.mark.parametrize("state", [CONNECTING, RESYNC, SILENT, DOWN])
def test_nothing_fills_in_the_book_of_before_a_loss(bench: Bench, state: StreamState) -> None:
    """A quote may come before the first diff of the new line; behind it nothing is known yet."""
    bench.depth((("60000.0", "50"),), (("60000.1", "50"),))
    bench.feed("depth", state)
    bench.quote("66000.0", "66000.1", bid_size="0.01")
    book = bench.desk.kernel.market(bench.instruments[0].id).book
    assert not book.has_depth
    assert [price for price, _ in book.available(BUY, D(60_000))][:2] == [D("66000.0"), D("65999.9")]


def test_the_book_stays_when_its_recording_ends(bench: Bench) -> None:
    bench.depth((("60000.0", "50"),), (("60000.1", "50"),))
    bench.feed("feed", StreamState.ENDED)
    assert bench.desk.kernel.market(bench.instruments[0].id).book.has_depth
