"""The simulated market: the exchange gets the true price, the engine what survives the real gate and sequencing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise

import msgspec
import pytest
from msgspec import Struct

from engine.model.market import Depth, FeedStatus, Mark, MarketInput, Quote, StreamState, Trade
from engine.sim.faults import USUAL, Fault, Faults
from engine.sim.line import SILENCE_S, MarketLine
from engine.sim.loop import VirtualClock, run
from engine.sim.market import SimMarket
from tests.sim_kit import BTC, ETH, dec

SECOND = 1_000_000_000
WRONG_PRICES = [Fault.MARKET_CROSSED, Fault.PRICE_NAN, Fault.PRICE_NEGATIVE, Fault.PRICE_TENFOLD]


class Heard(Struct):
    """What came of a while at the market."""

    inputs: list[MarketInput]
    tops: list[tuple[str, Decimal, Decimal]]
    stats: dict[str, int]
    counts: dict[Fault, int]

    def of(self, kind: type[MarketInput]) -> list[MarketInput]:
        """Inputs of one kind."""
        return [item for item in self.inputs if type(item) is kind]

    def states(self, stream: str) -> list[StreamState]:
        """What BTC's stream went through."""
        return [
            i.state for i in self.inputs if isinstance(i, FeedStatus) and (i.instrument, i.stream) == (BTC.id, stream)
        ]


def listen(
    rates: Mapping[Fault, float] | None = None, seed: int = 1, seconds: float = 60.0, calm_s: float = 0
) -> Heard:
    """Listen for a while; without faults in the last `calm_s` of it."""

    async def main() -> Heard:
        faults, clock = Faults(seed, rates or {}), VirtualClock()
        inputs: list[MarketInput] = []
        tops: list[tuple[str, Decimal, Decimal]] = []
        prices = [(BTC, dec("61800.0")), (ETH, dec("3120.00"))]
        market = SimMarket(seed, prices, faults, clock, lambda *top: tops.append(top))
        line = MarketLine(market, inputs.append, clock, faults)
        market.start()
        await asyncio.sleep(seconds - calm_s)
        faults.stop()
        await asyncio.sleep(calm_s)
        return Heard(inputs, tops, line.stats.as_dict(), dict(faults.counts))

    return run(main())


def book_of(heard: Heard) -> tuple[dict[str, str], dict[str, str]]:
    """BTC's book as its depth inputs build it."""
    bids: dict[str, str] = {}
    asks: dict[str, str] = {}
    for depth in heard.of(Depth):
        assert isinstance(depth, Depth)
        if depth.instrument != BTC.id:
            continue
        if depth.snapshot:
            bids.clear()
            asks.clear()
        for side, levels in ((bids, depth.bids), (asks, depth.asks)):
            for price, size in levels:
                side[price] = size
                if float(size) == 0:
                    del side[price]
    return bids, asks


class TestCalm:
    def test_all_streams_come_up_and_stay(self) -> None:
        heard = listen()
        for stream in ("quote", "mark"):
            assert heard.states(stream) == [StreamState.CONNECTING, StreamState.LIVE]
        assert heard.states("trade") == [StreamState.CONNECTING, StreamState.LIVE]
        assert heard.states("depth")[-1] is StreamState.LIVE
        assert heard.stats["broken"] == heard.stats["gaps"] == heard.stats["dropped_absurd"] == 0
        assert {type(item) for item in heard.inputs} == {Quote, Depth, Mark, Trade, FeedStatus}

    def test_the_engine_hears_the_prices_the_exchange_trades_at_a_moment_later(self) -> None:
        heard = listen()
        quoted = [
            (q.instrument.partition(":")[2], q.bid_price, q.ask_price) for q in heard.of(Quote) if isinstance(q, Quote)
        ]
        assert quoted == heard.tops[2 : 2 + len(quoted)]
        assert len(quoted) > 80

    def test_the_book_it_sends_is_never_crossed_and_as_deep_as_told(self) -> None:
        bids, asks = book_of(listen())
        assert len(bids) == len(asks) == 4
        assert max(map(Decimal, bids)) < min(map(Decimal, asks))

    def test_every_price_is_on_the_tick_and_every_size_on_the_step(self) -> None:
        for item in listen().of(Quote):
            assert isinstance(item, Quote)
            rules = BTC if item.instrument == BTC.id else ETH
            assert 0 < item.bid_price < item.ask_price
            assert not item.bid_price % rules.tick
            assert not item.ask_price % rules.tick
            assert not item.bid_size % rules.step


class TestFaults:
    @pytest.mark.parametrize("fault", WRONG_PRICES)
    def test_no_wrong_price_passes(self, fault: Fault) -> None:
        heard = listen({fault: 0.2})
        assert heard.counts[fault] > 10
        assert heard.stats["dropped_absurd"] + heard.stats["dropped_crossed"] + heard.stats["broken"] > 10
        true = {(symbol, price) for symbol, *prices in heard.tops for price in prices}
        for item in heard.inputs:
            symbol = item.instrument.partition(":")[2]
            if isinstance(item, Quote):
                assert {(symbol, item.bid_price), (symbol, item.ask_price)} <= true
            elif isinstance(item, Trade):
                assert (symbol, item.price) in true
            elif isinstance(item, Mark):
                near = dec("61800") if symbol == "BTCUSDT" else dec("3120")
                assert abs(item.price / near - 1) < dec("0.1")
        bids, asks = book_of(heard)
        assert max(map(float, bids)) < min(map(float, asks))

    @pytest.mark.parametrize("fault", [Fault.MARKET_GAP, Fault.MARKET_REORDER, Fault.MARKET_TRUNCATED])
    def test_a_broken_sequence_is_a_resync_and_then_live_again(self, fault: Fault) -> None:
        heard = listen({fault: 0.1}, seconds=90, calm_s=30)
        assert heard.counts[fault] > 0
        assert heard.stats["gaps"] > 0
        states = heard.states("depth")
        assert states.count(StreamState.RESYNC) > 1
        assert states[-1] is StreamState.LIVE
        bids, asks = book_of(heard)
        assert len(bids) == len(asks) == 4

    def test_silence_is_found_and_the_connection_made_anew(self) -> None:
        heard = listen({Fault.MARKET_SILENT: 0.2}, seconds=200, calm_s=40)
        states = heard.states("quote")
        assert StreamState.SILENT in states
        assert states[-1] is StreamState.LIVE
        silent = next(
            i
            for i in heard.inputs
            if isinstance(i, FeedStatus) and (i.state, i.stream) == (StreamState.SILENT, "quote")
        )
        last = max(
            i.time_ns for i in heard.of(Quote) if i.time_ns < silent.time_ns and i.instrument == silent.instrument
        )
        assert silent.time_ns - last >= SILENCE_S["quote"] * SECOND

    def test_a_dropped_connection_is_down_and_comes_back(self) -> None:
        heard = listen({Fault.MARKET_DROP: 0.1}, seconds=90, calm_s=30)
        for stream in ("quote", "depth", "trade", "mark"):
            states = heard.states(stream)
            assert StreamState.DOWN in states
            assert states[-1] is StreamState.LIVE

    def test_the_price_may_truly_jump_and_then_passes(self) -> None:
        heard = listen({Fault.MARKET_JUMP: 0.05})
        prices = [q.bid for q in heard.of(Quote) if isinstance(q, Quote) and q.instrument == BTC.id]
        moves = [abs(b / a - 1) for a, b in pairwise(prices)]
        assert max(moves) > 0.02
        assert heard.stats["dropped_absurd"] == 0

    def test_every_fault_of_the_market_is_reached(self) -> None:
        kinds = {kind for kind in Fault if kind.startswith(("market", "price"))}
        heard = listen(dict.fromkeys(kinds, 0.05), seconds=300)
        assert set(heard.counts) == kinds


class TestLine:
    def test_a_closed_line_hears_nothing_and_a_new_one_starts_over(self) -> None:
        async def main() -> tuple[int, int, list[MarketInput]]:
            faults, clock = Faults(1, {}), VirtualClock()
            market = SimMarket(1, [(BTC, dec("61800.0"))], faults, clock, lambda *top: None)
            first: list[MarketInput] = []
            second: list[MarketInput] = []
            line = MarketLine(market, first.append, clock, faults)
            market.start()
            await asyncio.sleep(20)
            line.close()
            heard = len(first)
            await asyncio.sleep(20)
            MarketLine(market, second.append, clock, faults)
            await asyncio.sleep(20)
            return heard, len(first), second

        before, after, second = run(main())
        assert before == after > 0
        assert [i.state for i in second if isinstance(i, FeedStatus) and i.stream == "depth"][-1] is StreamState.LIVE
        assert next(i for i in second if isinstance(i, Depth)).snapshot

    def test_a_market_that_stopped_moves_no_more(self) -> None:
        async def main() -> tuple[int, int]:
            tops: list[object] = []
            market = SimMarket(1, [(BTC, dec("61800.0"))], Faults(1, {}), VirtualClock(), lambda *top: tops.append(top))
            market.start()
            await asyncio.sleep(10)
            market.stop()
            seen = len(tops)
            await asyncio.sleep(10)
            return seen, len(tops)

        before, after = run(main())
        assert before == after > 1


def test_the_same_seed_gives_the_same_bytes() -> None:
    def told(seed: int) -> bytes:
        heard = listen(USUAL, seed)
        return msgspec.msgpack.encode((heard.inputs, heard.tops, heard.stats, heard.counts))

    assert told(1) == told(1)
    assert told(1) != told(2)
