"""What a feed never lets through to the core, whatever a venue sends."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

import engine.feeds.backpack.frames as backpack
import engine.feeds.binance.frames as binance
from engine.feeds.assembler import Assembler
from engine.feeds.base import FeedStats
from engine.feeds.sanity import PriceGate
from engine.feeds.sequence import BackpackRule, Snapshot
from engine.model.market import Mark, MarketInput, Quote, Side, StreamState, Trade, quote
from tests.feed_support import compact

USDM = binance.FrameDecoder({"btcusdt": "binance.perp:BTCUSDT"})
BACKPACK = backpack.FrameDecoder({"BTC_USDC_PERP": "backpack.perp:BTC_USDC_PERP"})
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


class TestQuotesOutOfSequence:
    def quotes(self, *given: tuple[int, int, str]) -> list[str]:
        """(update id, venue time, bid) in the order of their arrival; the bids that came through."""
        self.gate = Gate()
        for number, (update_id, venue_ns, bid) in enumerate(given):
            self.gate.assembler.accept(quote(BTC, number, bid, "1", "100", "1", venue_ns, update_id))
        return [i.bid_text for i in self.gate.inputs if isinstance(i, Quote)]

    def test_one_that_an_earlier_one_has_overtaken_is_dropped(self) -> None:
        assert self.quotes((10, 5, "99"), (12, 7, "98"), (11, 6, "90"), (12, 7, "98"), (13, 8, "97")) == [
            "99", "98", "98", "97",
        ]  # fmt: skip
        assert self.gate.stats.dropped_late == 1

    def test_a_quote_that_was_on_its_way_when_the_snapshot_was_made_is_dropped(self) -> None:
        gate = Gate()
        gate.assembler.snapshot(Snapshot(BTC, 1, 500, 20, (("99", "1"),), (("100", "1"),)))
        gate.assembler.accept(quote(BTC, 1, "99", "1", "100", "1", 500, 20))  # seeded from it
        gate.assembler.accept(quote(BTC, 2, "95", "1", "100", "1", 400, 19))
        assert [i.bid_text for i in gate.inputs if isinstance(i, Quote)] == ["99"]

    def test_a_venue_that_numbers_anew_or_sets_its_clock_back_is_heard(self) -> None:
        assert self.quotes((1000, 5, "99"), (1, 6, "98"), (2, 7, "97")) == ["99", "98", "97"]
        assert self.quotes((10, 5000, "99"), (11, 4, "98"), (12, 5, "97")) == ["99", "98", "97"]

    def test_a_venue_that_does_both_is_heard_from_the_next_line_on(self) -> None:
        assert self.quotes((1000, 5000, "99"), (1, 4, "98")) == ["99"]
        self.gate.assembler.lost([(BTC, "quote")], StreamState.SILENT, 9, "no message")
        self.gate.assembler.accept(quote(BTC, 10, "97", "1", "100", "1", 5, 2))
        assert [i.bid_text for i in self.gate.inputs if isinstance(i, Quote)] == ["99", "97"]

    def test_quotes_without_numbers_come_as_they_come(self) -> None:
        assert self.quotes((0, 5, "99"), (0, 4, "98")) == ["99", "98"]


_PRICE = {"p": "100", "q": "1", "m": True, "u": 2, "U": 1, "b": "99", "B": "1", "a": "100", "A": "1"}
_LEVELS = {"b": [["99", "1"]], "a": [["100", "1"]]}


@pytest.mark.parametrize(
    ("decoder", "stream", "symbol"),
    [
        *((USDM, f"btcusdt@{name}", "BTCUSDT") for name in ("bookTicker", "depth@100ms", "aggTrade", "markPrice@1s")),
        *(
            (BACKPACK, f"{name}.BTC_USDC_PERP", "BTC_USDC_PERP")
            for name in ("bookTicker", "depth", "trade", "markPrice")
        ),
    ],
)
def test_what_another_symbol_is_worth_is_not_believed(
    decoder: binance.FrameDecoder | backpack.FrameDecoder, stream: str, symbol: str
) -> None:
    data: dict[str, Any] = {**_PRICE, **(_LEVELS if "depth" in stream else {})}
    if "rade" in stream:
        data["a"] = 7
    for own in ({"s": symbol}, {}):
        assert decoder.decode_frame(compact({"stream": stream, "data": data | own}), 1) is not None
    with pytest.raises(ValueError, match="another"):
        decoder.decode_frame(compact({"stream": stream, "data": data | {"s": "ETHUSDT"}}), 1)
