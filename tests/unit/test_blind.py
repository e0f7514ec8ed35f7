"""A market whose streams break: what is told of it."""

from __future__ import annotations

import pytest

from engine.model.market import StreamState
from tests.kit import BUY, Bench, alarms

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
