"""A desk that may only look sees the market that a desk which decides sees."""

from __future__ import annotations

from decimal import Decimal

from engine.core.desk import Desk
from engine.core.state import State
from engine.model.market import Depth, FeedStatus, Mark, MarketInput, Side, StreamState, Trade, quote
from engine.views.market import book_view
from tests.kit import Bench

D = Decimal


def inputs(bench: Bench) -> list[MarketInput]:
    name, now = bench.instruments[0].id, bench.now + 1
    bids, asks = (("60000", "5"), ("59990", "7")), (("60000.1", "5"), ("60010", "9"))
    return [
        FeedStatus(name, now, "depth", StreamState.LIVE),
        quote(name, now, "60000", "5", "60000.1", "5"),
        Depth(name, now, now, 0, True, bids, asks),
        Trade(name, now, now, "t", D(60_000), D(1), Side.BUY),
        Mark(name, now, now, D(60_000), D(60_001), D("0.0001"), now + 10**12),
        FeedStatus(name, now, "depth", StreamState.RESYNC),
    ]


def test_the_book_a_gap_emptied_is_empty_for_both() -> None:
    bench = Bench()
    looking = Desk(State())
    looking.show(bench.instruments)
    name = bench.instruments[0].id
    for given in inputs(bench):
        bench.handle(given)
        looking.observe(given)
        assert book_view(looking, name, bench.now + 1) == book_view(bench.desk, name, bench.now + 1)
    seen = book_view(looking, name, bench.now + 1)
    assert seen is not None
    assert [row.price for row in (*seen.asks, *seen.bids)] == ["60000.1", "60000.0"]
