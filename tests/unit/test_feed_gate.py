"""What a feed never lets through to the core, whatever a venue sends."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.feeds.assembler import Assembler
from engine.feeds.base import FeedStats
from engine.feeds.sanity import PriceGate
from engine.feeds.sequence import BackpackRule
from engine.model.market import Mark, MarketInput, Side, Trade

BTC = "backpack.perp:BTC_USDC_PERP"
SECOND = 1_000_000_000


class Gate:
    """An assembler and what it lets through."""

    def __init__(self) -> None:
        self.inputs: list[MarketInput] = []
        self.stats = FeedStats()
        self.assembler = Assembler(self.inputs.append, self.stats, BackpackRule(), PriceGate())

    def mark(self, index: str, time_ns: int = 0, price: str = "60000") -> None:
        self.assembler.accept(Mark(BTC, time_ns, 0, Decimal(price), Decimal(index)))

    def indexes(self) -> list[str | None]:
        return [None if i.index is None else str(i.index) for i in self.inputs if isinstance(i, Mark)]


@pytest.mark.parametrize("index", ["NaN", "sNaN", "Infinity", "0", "-60000", "600000", "6000", "1e400"])
def test_an_absurd_index_is_left_out_of_a_mark(index: str) -> None:
    gate = Gate()
    gate.mark("60000")
    gate.mark(index, 1)
    gate.mark("60001", 2)
    assert gate.indexes() == ["60000", None, "60001"]
    assert gate.stats.dropped_absurd == 1


def test_an_index_that_really_moved_is_believed_when_it_stays_there() -> None:
    gate = Gate()
    gate.mark("60000")
    for second in range(1, 6):
        gate.mark("40000", second * SECOND)
    assert gate.indexes() == ["60000", None, None, None, "40000", "40000"]


def test_numbers_that_have_no_float_are_absurd() -> None:
    gate = Gate()
    gate.assembler.accept(Mark(BTC, 1, 0, Decimal("sNaN")))
    gate.assembler.accept(Trade(BTC, 1, 0, "1", Decimal("sNaN"), Decimal(1), Side.BUY))
    gate.assembler.accept(Trade(BTC, 1, 0, "1", Decimal(1), Decimal("sNaN"), Side.BUY))
    assert gate.inputs == []
    assert gate.stats.dropped_absurd == 3
