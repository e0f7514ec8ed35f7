"""Live feeds against real loopback servers that play recorded frames, cut the line, skip a number, or go silent.

Longer than most files: one feed against every fault of a line.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from websockets.asyncio.server import ServerConnection

from engine.clock import SteadyClock, wall_ns
from engine.feeds.backpack.feed import Backpack
from engine.feeds.base import FeedError
from engine.feeds.binance.feed import BinanceUsdm
from engine.feeds.live import LiveFeed, Timing
from engine.model.market import Depth, FeedStatus, Funding, Mark, MarketInput, Quote, StreamState, Trade
from tests.feed_support import USDM, PlainBook, compact, needs_payloads, needs_recordings, payload, states
from tests.live_kit import FAST, Exchange, Handler, Reply, live

BTC = "binance.perp:BTCUSDT"
HOUR = 3_600 * 10**9
WATCHED = Timing(
    silence={"quote": 0.2, "depth": 0.2, "mark": 0.2}, backoff_base=0.01, backoff_cap=0.05, first_diff=0.05
)


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    async with Exchange().open() as it:
        yield it


class Watcher:
    """A sink that can be waited on."""

    def __init__(self, feed: LiveFeed) -> None:
        self.inputs: list[MarketInput] = []
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(feed.run(self._sink))

    def _sink(self, item: MarketInput) -> None:
        self.inputs.append(item)
        self._changed.set()

    async def until(self, met: Callable[[list[MarketInput]], Any]) -> None:
        async with asyncio.timeout(10):
            while not met(self.inputs):
                if self._task.done():
                    self._task.result()
                self._changed.clear()
                await self._changed.wait()

    async def __aenter__(self) -> Watcher:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def told(stream: str, state: StreamState, times: int = 1) -> Callable[[list[MarketInput]], bool]:
    return lambda inputs: states(inputs, stream).count(state) >= times


def count(kind: type, times: int = 1) -> Callable[[list[MarketInput]], bool]:
    return lambda inputs: sum(type(i) is kind for i in inputs) >= times


async def silence(socket: ServerConnection) -> None:
    await socket.wait_closed()


def ticker(bid: str = "100.0", ask: str = "100.1", u: int = 1) -> bytes:
    data = {"e": "bookTicker", "u": u, "s": "BTCUSDT", "b": bid, "B": "1", "a": ask, "A": "1", "T": 1, "E": 1}
    return compact({"stream": "btcusdt@bookTicker", "data": data})


def update(first: int, last: int, previous: int, bid: str = "100.0") -> bytes:
    data = {"e": "depthUpdate", "E": 1, "T": 1, "s": "BTCUSDT", "U": first, "u": last, "pu": previous}
    return compact({"stream": "btcusdt@depth@100ms", "data": data | {"b": [[bid, "2"]], "a": []}})


def mark(next_ms: int = 100, rate: str = "0.0001", at_ms: int = 1) -> bytes:
    data = {"e": "markPriceUpdate", "E": at_ms, "s": "BTCUSDT", "p": "100", "i": "100", "r": rate, "T": next_ms}
    return compact({"stream": "btcusdt@markPrice@1s", "data": data})


def hours(ahead: int) -> int:
    """Full hours from now, ms."""
    return (wall_ns() // HOUR + ahead) * HOUR // 10**6


def book(last_id: int) -> Reply:
    return 200, compact({"lastUpdateId": last_id, "E": 1, "T": 1, "bids": [["99.9", "1"]], "asks": [["100.1", "1"]]})


def sends(*frames: bytes) -> Handler:
    async def handler(socket: ServerConnection) -> None:
        for frame in frames:
            await socket.send(frame.decode())
        await socket.wait_closed()

    return handler


@needs_recordings
class TestRecordedFrames:
    async def test_the_recorded_feed_over_the_wire_builds_the_recorded_book(self, exchange: Exchange) -> None:
        with gzip.open(USDM, "rb") as lines:
            frames = [
                line.split(b" ", 1)[1].strip().replace(b"@depth@0ms", b"@depth@100ms")
                for _, line in zip(range(8000), lines, strict=False)
            ]
        (snapshot,) = [frame for frame in frames if frame.startswith(b'{"lastUpdateId"')]
        exchange.sockets["/public/stream"] = sends(*(f for f in frames if b"@trade" not in f[:40] and f != snapshot))
        exchange.replies["/fapi/v1/depth"] = lambda: (200, snapshot)
        exchange.sockets["/market/stream"] = silence
        plain, checked = PlainBook(), []
        async with Watcher(exchange.binance()) as watcher:
            await watcher.until(count(Depth, 450))
            for item in watcher.inputs:
                if isinstance(item, Depth):
                    plain.apply(item)
                    if plain.diffs == 400:
                        checked.append((plain.last_id, *map(str, plain.best), len(plain.bids), len(plain.asks)))
        assert checked == [(5123109550566, "61809.50", "5.514", "61809.60", "1.458", 1624, 1410)]
        assert "symbol=BTCUSDT&limit=1000" in next(r for r in exchange.requests if "depth" in r)


class TestLines:
    async def test_quotes_and_depth_come_by_public_trades_and_marks_by_market(self, exchange: Exchange) -> None:
        exchange.sockets["/public/stream"] = sends(ticker(), update(5, 12, 4))
        trade = {"e": "aggTrade", "E": 1, "a": 5, "s": "BTCUSDT", "p": "100", "q": "1", "T": 1, "m": False}
        exchange.sockets["/market/stream"] = sends(mark(), compact({"stream": "btcusdt@aggTrade", "data": trade}))
        exchange.replies["/fapi/v1/depth"] = lambda: book(10)
        async with Watcher(exchange.binance()) as watcher:
            for kind in (Quote, Trade, Mark):
                await watcher.until(count(kind))
            await watcher.until(count(Depth, 2))
        assert sorted(exchange.connections) == [
            "/market/stream?streams=btcusdt@aggTrade/btcusdt@markPrice@1s",
            "/public/stream?streams=btcusdt@bookTicker/btcusdt@depth@100ms",
        ]
        depths = [i for i in watcher.inputs if isinstance(i, Depth)]
        assert [(d.snapshot, d.last_id) for d in depths] == [(True, 10), (False, 12)]

    async def test_a_cut_line_comes_back_and_the_book_starts_over(self, exchange: Exchange) -> None:
        async def cut_once(socket: ServerConnection) -> None:
            await socket.send(ticker().decode())
            await socket.send(update(5, 12, 4).decode())
            if sum(path.startswith("/public") for path in exchange.connections) == 1:
                await asked.wait()
                socket.transport.abort()
            await socket.wait_closed()

        asked = asyncio.Event()
        exchange.sockets = {"/public": cut_once, "/market": silence}
        exchange.replies["/fapi/v1/depth"] = lambda: book(10)
        feed = exchange.binance()
        async with Watcher(feed) as watcher:
            await watcher.until(told("depth", StreamState.LIVE))
            asked.set()
            await watcher.until(told("quote", StreamState.DOWN))
            await watcher.until(told("depth", StreamState.LIVE, 2))
            await watcher.until(told("quote", StreamState.LIVE, 2))
        assert [d.snapshot for d in watcher.inputs if isinstance(d, Depth)] == [True, False, True, False]
        assert feed.stats()["reconnects"] == 1
        assert feed.stats()["resyncs"] == 2

    async def test_nobody_answers_and_it_keeps_trying(self, exchange: Exchange) -> None:
        venue = BinanceUsdm(["BTCUSDT"], "ws://127.0.0.1:1", exchange.rest_url, FAST)
        feed = live(venue)
        async with Watcher(feed) as watcher:
            await watcher.until(told("quote", StreamState.DOWN))
            await watcher.until(told("mark", StreamState.DOWN))
            async with asyncio.timeout(10):
                while feed.stats()["reconnects"] < 6:  # noqa: ASYNC110 - a counter has no event
                    await asyncio.sleep(0)
        assert states(watcher.inputs, "quote") == [StreamState.CONNECTING, StreamState.DOWN]

    async def test_a_dead_stream_on_a_live_socket_is_found_and_reconnected(self, exchange: Exchange) -> None:
        async def marks_only_die(socket: ServerConnection) -> None:
            first = sum(path.startswith("/market") for path in exchange.connections) == 1
            trade = {"e": "aggTrade", "E": 1, "a": 5, "s": "BTCUSDT", "p": "100", "q": "1", "T": 1, "m": False}
            while True:
                await socket.send(compact({"stream": "btcusdt@aggTrade", "data": trade}).decode())
                if not first:
                    await socket.send(mark().decode())
                await asyncio.sleep(0.01)

        exchange.sockets = {"/public": silence, "/market": marks_only_die}
        timing = Timing(silence={"mark": 0.2}, backoff_base=0.01, backoff_cap=0.05)
        async with Watcher(exchange.binance(timing)) as watcher:
            await watcher.until(told("mark", StreamState.LIVE))
        assert states(watcher.inputs, "mark") == [StreamState.CONNECTING, StreamState.SILENT, StreamState.LIVE]
        silent = next(i for i in watcher.inputs if isinstance(i, FeedStatus) and i.state is StreamState.SILENT)
        assert (silent.instrument, silent.stream) == (BTC, "mark")

    async def test_a_line_that_goes_silent_is_found(self, exchange: Exchange) -> None:
        exchange.sockets = {"/public": sends(ticker()), "/market": silence}
        async with Watcher(exchange.binance(WATCHED)) as watcher:
            await watcher.until(told("quote", StreamState.LIVE, 2))
            await watcher.until(told("mark", StreamState.SILENT))
        assert told("depth", StreamState.SILENT)(watcher.inputs)

    async def test_bad_frames_are_counted_and_passed_over(self, exchange: Exchange) -> None:
        good = ticker("100.0", "100.1")
        bad = [b"{", ticker("x", "y"), ticker("101", "100"), ticker("0", "1"), ticker("nan", "5"), ticker("300", "301")]
        exchange.sockets = {"/public": sends(good, *bad, ticker("100.2", "100.3")), "/market": silence}
        feed = exchange.binance()
        async with Watcher(feed) as watcher:
            await watcher.until(count(Quote, 2))
        assert [i.bid_text for i in watcher.inputs if isinstance(i, Quote)] == ["100.0", "100.2"]
        stats = feed.stats()
        assert (stats["broken"], stats["dropped_crossed"], stats["dropped_absurd"]) == (2, 1, 3)

    async def test_a_fault_of_the_sink_is_not_swallowed(self, exchange: Exchange) -> None:
        exchange.sockets = {"/public": sends(ticker()), "/market": silence}

        def sink(item: MarketInput) -> None:
            if isinstance(item, Quote):
                raise ValueError("a fault in the core")

        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.timeout(10):
                await exchange.binance().run(sink)
        assert caught.group_contains(ValueError, match="a fault in the core")

    async def test_funding_is_settled_when_its_time_has_passed(self, exchange: Exchange) -> None:
        exchange.sockets = {"/public": silence, "/market": sends(mark(hours(1)), mark(hours(2), "0.0005", hours(1)))}
        exchange.replies["/fapi/v1/fundingRate"] = lambda: (200, b"[]")
        async with Watcher(exchange.binance()) as watcher:
            await watcher.until(count(Funding))
        (settled,) = [i for i in watcher.inputs if isinstance(i, Funding)]
        assert (settled.due_ns, str(settled.rate)) == (hours(1) * 10**6, "0.0001")


class TestResync:
    async def test_a_skipped_number_fetches_a_new_snapshot(self, exchange: Exchange) -> None:
        snapshots = iter([book(10), book(32)])
        exchange.replies["/fapi/v1/depth"] = lambda: next(snapshots)
        synced = asyncio.Event()

        async def skip(socket: ServerConnection) -> None:
            await socket.send(update(5, 12, 4).decode())
            await synced.wait()
            for frame in (update(13, 20, 12), update(25, 30, 24), update(31, 35, 30)):
                await socket.send(frame.decode())
            await socket.wait_closed()

        exchange.sockets = {"/public": skip, "/market": silence}
        feed = exchange.binance()
        async with Watcher(feed) as watcher:
            await watcher.until(told("depth", StreamState.LIVE))
            synced.set()
            await watcher.until(told("depth", StreamState.LIVE, 2))
            await watcher.until(count(Depth, 5))
        depths = [i for i in watcher.inputs if isinstance(i, Depth)]
        ids = [(d.snapshot, d.last_id) for d in depths]
        assert ids == [(True, 10), (False, 12), (False, 20), (True, 32), (False, 35)]
        assert StreamState.RESYNC in states(watcher.inputs, "depth")
        assert feed.stats()["gaps"] == 1

    async def test_an_impossible_ask_fetches_a_new_snapshot_and_is_never_seen(self, exchange: Exchange) -> None:
        snapshots = iter([book(10), book(32)])
        exchange.replies["/fapi/v1/depth"] = lambda: next(snapshots)
        synced = asyncio.Event()

        async def absurd(socket: ServerConnection) -> None:
            await socket.send(ticker().decode())
            await socket.send(update(5, 12, 4).decode())
            await synced.wait()
            bad = update(13, 20, 12).replace(b'"a":[]', b'"a":[["20","5"]]')
            for frame in (bad, update(31, 35, 30)):
                await socket.send(frame.decode())
            await socket.wait_closed()

        exchange.sockets = {"/public": absurd, "/market": silence}
        feed = exchange.binance()
        async with Watcher(feed) as watcher:
            await watcher.until(told("depth", StreamState.LIVE))
            synced.set()
            await watcher.until(told("depth", StreamState.LIVE, 2))
            await watcher.until(count(Depth, 4))
        assert [i.last_id for i in watcher.inputs if isinstance(i, Depth)] == [10, 12, 32, 35]
        assert feed.stats()["dropped_crossed"] == 1

    async def test_a_snapshot_older_than_the_stream_is_fetched_again(self, exchange: Exchange) -> None:
        snapshots = iter([book(3), (500, b"busy"), (200, b"<html>"), book(11)])
        exchange.replies["/fapi/v1/depth"] = lambda: next(snapshots)
        exchange.sockets = {"/public": sends(update(5, 12, 4)), "/market": silence}
        async with Watcher(exchange.binance()) as watcher:
            await watcher.until(told("depth", StreamState.LIVE))
        assert [d.last_id for d in watcher.inputs if isinstance(d, Depth)] == [11, 12]
        assert len([r for r in exchange.requests if "depth" in r]) == 4

    async def test_the_clock_offset_is_measured(self, exchange: Exchange) -> None:
        ahead_ms = 90_000
        exchange.sockets = {"/public": silence, "/market": silence}
        exchange.replies["/fapi/v1/time"] = lambda: (
            200,
            b'{"serverTime":%d}' % (wall_ns() // 10**6 + ahead_ms),
        )
        feed = exchange.binance()
        async with Watcher(feed), asyncio.timeout(10):
            while not feed.clock_offset_ns:  # noqa: ASYNC110 - a figure has no event
                await asyncio.sleep(0)
        assert abs(feed.clock_offset_ns + ahead_ms * 10**6) < 5 * 10**9


class TestMissedFunding:
    """Settlements that fell due while no line was up."""

    def row(self, ago: int, rate: str = "0.0001", mark: str = "61000.5", jitter_ms: int = 3) -> dict[str, Any]:
        return {"symbol": "BTCUSDT", "fundingTime": hours(-ago) + jitter_ms, "fundingRate": rate, "markPrice": mark}

    def settled(self, watcher: Watcher) -> list[tuple[int, str, str]]:
        found = [i for i in watcher.inputs if isinstance(i, Funding)]
        return [(f.due_ns // 10**6 - hours(0), str(f.rate), str(f.mark)) for f in found]

    def feed(self, exchange: Exchange, since_ns: int) -> LiveFeed:
        timing = Timing(silence={}, backoff_base=0.01, backoff_cap=0.05, relist=0.05)
        venue = BinanceUsdm(["BTCUSDT"], exchange.stream_url, exchange.rest_url, timing)
        return LiveFeed(venue, SteadyClock(), random.Random(1), since_ns=since_ns)

    async def test_F6_a_start_delivers_what_the_ledger_misses_in_order(self, exchange: Exchange) -> None:  # noqa: N802
        rows = [self.row(16), self.row(8, "-0.0002", "60000"), self.row(0, jitter_ms=-2)]
        exchange.sockets = {"/public": silence, "/market": sends(mark(hours(8)))}
        exchange.replies["/fapi/v1/fundingRate"] = lambda: (200, compact(rows))
        since = (hours(-17)) * 10**6
        async with Watcher(self.feed(exchange, since)) as watcher:
            await watcher.until(count(Funding, 3))
        hour_ms = HOUR // 10**6
        assert self.settled(watcher) == [
            (-16 * hour_ms, "0.0001", "61000.5"),
            (-8 * hour_ms, "-0.0002", "60000"),
            (0, "0.0001", "61000.5"),
        ]
        asked = next(r for r in exchange.requests if "fundingRate" in r)
        assert f"startTime={hours(-17 - 24)}" in asked  # a day more: the ledger may miss one before its end

    async def test_a_line_that_comes_back_brings_what_was_missed_meanwhile(self, exchange: Exchange) -> None:
        rows: list[dict[str, Any]] = []

        async def cut_once(socket: ServerConnection) -> None:
            await socket.send(mark(hours(1)).decode())
            if sum(path.startswith("/market") for path in exchange.connections) == 1:
                await asked.wait()
                rows.extend([self.row(1), self.row(0)])
                socket.transport.abort()
            await socket.wait_closed()

        asked = asyncio.Event()
        exchange.sockets = {"/public": silence, "/market": cut_once}
        exchange.replies["/fapi/v1/fundingRate"] = lambda: (200, compact(rows))
        async with Watcher(self.feed(exchange, hours(-2) * 10**6)) as watcher:
            await watcher.until(count(Mark))
            asked.set()
            await watcher.until(count(Funding, 2))
        assert [due for due, _, _ in self.settled(watcher)] == [-HOUR // 10**6, 0]

    async def test_a_history_that_fails_or_lists_late_is_read_again(self, exchange: Exchange) -> None:
        replies = iter([(500, b"busy"), (200, b"<html>"), (200, compact([self.row(8)]))])
        late = (200, compact([self.row(8), self.row(0)]))
        exchange.sockets = {"/public": silence, "/market": silence}
        exchange.replies["/fapi/v1/fundingRate"] = lambda: next(replies, late)
        feed = self.feed(exchange, hours(-9) * 10**6)
        async with Watcher(feed) as watcher:
            await watcher.until(count(Funding, 2))
        assert [due for due, _, _ in self.settled(watcher)] == [-8 * HOUR // 10**6, 0]
        assert feed.stats()["funding_failures"] == 2

    async def test_settlements_in_the_stream_do_not_wait_for_a_dead_history_for_ever(self, exchange: Exchange) -> None:
        exchange.sockets = {"/public": silence, "/market": sends(mark(hours(0)), mark(hours(8), at_ms=hours(0)))}
        exchange.replies["/fapi/v1/fundingRate"] = lambda: (403, b"no")
        feed = self.feed(exchange, hours(-1) * 10**6)
        async with Watcher(feed) as watcher:
            await watcher.until(count(Funding))
        assert self.settled(watcher) == [(0, "0.0001", "100")]
        assert feed.stats()["funding_failures"] >= 10

    async def test_absurd_rows_are_dropped(self, exchange: Exchange) -> None:
        rows = [self.row(4, "NaN"), self.row(3, "0.5"), self.row(2, mark="-1"), self.row(1, mark="NaN"), self.row(0)]
        exchange.sockets = {"/public": silence, "/market": silence}
        exchange.replies["/fapi/v1/fundingRate"] = lambda: (200, compact(rows))
        feed = self.feed(exchange, hours(-9) * 10**6)
        async with Watcher(feed) as watcher:
            await watcher.until(count(Funding))
        assert [due for due, _, _ in self.settled(watcher)] == [0]
        assert feed.stats()["dropped_absurd"] >= 4

    async def test_a_row_without_a_mark_takes_that_of_its_minute_else_that_of_now(self, exchange: Exchange) -> None:
        kline = [hours(-8), "59000.5", "1", "1", "1", "0", hours(-8) + 59_999, "0", 60, "0", "0", "0"]
        exchange.sockets = {"/public": silence, "/market": silence}
        exchange.replies["/fapi/v1/fundingRate"] = lambda: (200, compact([self.row(8, mark=""), self.row(0, mark="")]))
        exchange.replies["/fapi/v1/markPriceKlines"] = lambda: (200, compact([kline]))
        exchange.replies["/fapi/v1/premiumIndex"] = lambda: (200, b'{"symbol":"BTCUSDT","markPrice":"62000.5"}')
        async with Watcher(self.feed(exchange, hours(-9) * 10**6)) as watcher:
            await watcher.until(count(Funding, 2))
        assert [price for _, _, price in self.settled(watcher)] == ["59000.5", "62000.5"]

    async def test_a_new_ledger_has_missed_nothing(self, exchange: Exchange) -> None:
        exchange.sockets = {"/public": silence, "/market": sends(mark(hours(1)), mark(hours(2), at_ms=hours(1)))}
        exchange.replies["/fapi/v1/fundingRate"] = lambda: (200, compact([self.row(8), self.row(0)]))
        async with Watcher(self.feed(exchange, 0)) as watcher:
            await watcher.until(count(Funding))
        assert [due for due, _, _ in self.settled(watcher)] == [HOUR // 10**6]

    async def test_backpack_leaves_out_the_running_interval(self, exchange: Exchange) -> None:
        def iso(ago: int) -> str:
            return datetime.fromtimestamp(hours(-ago) / 1000, UTC).replace(tzinfo=None).isoformat()

        rows = [
            {"symbol": "BTC_USDC_PERP", "fundingRate": f"0.000{ago + 2}", "intervalEndTimestamp": iso(ago)}
            for ago in (-1, 0, 1)
        ]
        klines = [{"start": iso(1).replace("T", " "), "end": iso(0), "open": "60100", "close": "1"}]
        exchange.sockets["/"] = silence
        exchange.replies["/api/v1/fundingRates"] = lambda: (200, compact(rows))
        exchange.replies["/api/v1/klines"] = lambda: (200, compact(klines))
        exchange.replies["/api/v1/markPrices"] = lambda: (200, compact([{"symbol": "X", "markPrice": "60200"}]))
        venue = Backpack(["BTC_USDC_PERP"], exchange.stream_url, exchange.rest_url, FAST)
        feed = LiveFeed(venue, SteadyClock(), random.Random(1), since_ns=hours(-2) * 10**6)
        async with Watcher(feed) as watcher:
            await watcher.until(count(Funding, 2))
        assert self.settled(watcher) == [(-HOUR // 10**6, "0.0003", "60100"), (0, "0.0002", "60200")]
        assert "priceType=Mark" in next(r for r in exchange.requests if "klines" in r)


@needs_payloads
class TestInstruments:
    async def test_binance_instruments_come_from_the_venue(self, exchange: Exchange) -> None:
        body = compact(payload("binance", "nautilus_futures_market_exchange_info"))
        exchange.replies["/fapi/v1/exchangeInfo"] = lambda: (200, body)
        assert [i.id for i in await exchange.binance().instruments()] == [BTC]

    async def test_what_the_venue_changes_is_listed_anew_and_what_it_trades_no_more_is_halted(
        self, exchange: Exchange
    ) -> None:
        listed: list[dict[str, Any]] = payload("binance", "nautilus_futures_market_exchange_info")["symbols"]
        exchange.replies["/fapi/v1/exchangeInfo"] = lambda: (200, compact({"symbols": listed}))
        feed = exchange.binance()
        (before,) = await feed.instruments()
        assert await feed.relisted() == [before]
        (btc,) = [symbol for symbol in listed if symbol["symbol"] == "BTCUSDT"]
        (ticks,) = [rule for rule in btc["filters"] if rule["filterType"] == "PRICE_FILTER"]
        ticks["tickSize"] = "0.50"
        (coarser,) = await feed.relisted()
        assert coarser == replace(before, tick=Decimal("0.50"))
        btc["status"] = "SETTLING"
        assert await feed.relisted() == [replace(coarser, halted=True)]
        btc["status"] = "TRADING"
        assert await feed.relisted() == [coarser]

    async def test_an_unknown_symbol_is_named(self, exchange: Exchange) -> None:
        body = compact(payload("backpack", "ccxt_rest_parse_market"))
        exchange.replies["/api/v1/markets"] = lambda: (200, body)
        feed = exchange.backpack("SOL_USDC", "BTCUSDT")
        with pytest.raises(FeedError, match="backpack does not trade BTCUSDT"):
            await feed.instruments()

    async def test_an_unreachable_venue_is_explained(self, exchange: Exchange) -> None:
        exchange.replies["/fapi/v1/exchangeInfo"] = lambda: (403, b"no")
        with pytest.raises(FeedError, match=r"cannot read instruments.*403.*--feed simulated"):
            await exchange.binance().instruments()


def bpx(name: str, data: dict[str, Any]) -> str:
    return compact({"data": {"e": name, "E": 1, "s": "BTC_USDC"} | data, "stream": f"{name}.BTC_USDC"}).decode()


class TestBackpack:
    @pytest.fixture(autouse=True)
    def _rest(self, exchange: Exchange) -> None:
        rest = {
            "asks": [["101", "1"], ["102", "1"]],
            "bids": [["99", "1"], ["100", "2"]],
            "lastUpdateId": "10",
            "timestamp": 5,
        }
        exchange.replies["/api/v1/depth"] = lambda: (200, compact(rest))

    async def test_one_socket_subscribes_to_spot_and_perpetual(self, exchange: Exchange) -> None:
        requests: list[Any] = []

        async def server(socket: ServerConnection) -> None:
            requests.append(json.loads(await socket.recv()))
            await socket.send(bpx("depth", {"U": 11, "u": 12, "b": [["100.0", "0"]], "a": []}))
            await socket.wait_closed()

        exchange.sockets["/"] = server
        async with Watcher(exchange.backpack("BTC_USDC", "BTC_USDC_PERP")) as watcher:
            await watcher.until(count(Depth, 2))
        assert len(exchange.connections) == 1
        assert requests[0]["method"] == "SUBSCRIBE"
        assert requests[0]["params"] == [
            "bookTicker.BTC_USDC", "depth.BTC_USDC", "trade.BTC_USDC",
            "bookTicker.BTC_USDC_PERP", "depth.BTC_USDC_PERP", "trade.BTC_USDC_PERP", "markPrice.BTC_USDC_PERP",
        ]  # fmt: skip

    async def test_a_quiet_market_has_a_quote_from_its_snapshot(self, exchange: Exchange) -> None:
        exchange.sockets["/"] = silence
        async with Watcher(exchange.backpack("BTC_USDC")) as watcher:
            await watcher.until(count(Quote))
        (quote,) = [i for i in watcher.inputs if isinstance(i, Quote)]
        assert (quote.instrument, quote.bid_text, quote.bid_size_text) == ("backpack.spot:BTC_USDC", "100", "2")
        assert (quote.ask_text, quote.update_id) == ("101", 10)

    async def test_an_error_reply_shows_and_the_line_is_tried_again(self, exchange: Exchange) -> None:
        async def refuse(socket: ServerConnection) -> None:
            await socket.send('{"id":null,"error":{"code":4006,"message":"Invalid stream"}}')
            await socket.wait_closed()

        exchange.sockets["/"] = refuse
        feed = exchange.backpack("BTC_USDC", timing=WATCHED)
        async with Watcher(feed) as watcher:
            await watcher.until(told("quote", StreamState.DOWN))
        down = next(i for i in watcher.inputs if isinstance(i, FeedStatus) and i.state is StreamState.DOWN)
        assert down.detail == "4006: Invalid stream"
