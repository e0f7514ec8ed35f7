"""Lines that carry several streams, of which some fail: real loopback servers, real time in tenths of a second."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.server import ServerConnection

from engine.feeds.binance.feed import BinanceUsdm
from engine.feeds.live import Timing
from engine.feeds.watchdog import StreamKey, Watchdog
from engine.model.market import FeedStatus, MarketInput, Quote, StreamState
from tests.feed_support import compact
from tests.live_kit import Exchange, live

BTC, ETH = "binance.perp:BTCUSDT", "binance.perp:ETHUSDT"
WATCHED = Timing(silence={"quote": 0.2}, backoff_base=0.01, backoff_cap=0.05, first_diff=0.05)


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    async with Exchange().open() as it:
        yield it


def ticker(symbol: str, u: int, bid: str = "100.0", ask: str = "100.1") -> str:
    data = {"e": "bookTicker", "u": u, "s": symbol, "b": bid, "B": "1", "a": ask, "A": "1", "T": u, "E": u}
    return compact({"stream": f"{symbol.lower()}@bookTicker", "data": data}).decode()


async def watch(exchange: Exchange, seconds: float, timing: Timing = WATCHED) -> list[MarketInput]:
    """What a feed of two symbols tells in this time."""
    venue = BinanceUsdm(["BTCUSDT", "ETHUSDT"], exchange.stream_url, exchange.rest_url, timing)
    inputs: list[MarketInput] = []
    task = asyncio.create_task(live(venue).run(inputs.append))
    await asyncio.wait([task], timeout=seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return inputs


def told(inputs: list[MarketInput], instrument: str, stream: str = "quote") -> list[StreamState]:
    return [i.state for i in inputs if isinstance(i, FeedStatus) and (i.instrument, i.stream) == (instrument, stream)]


class TestOneSilentStreamOfSeveral:
    """A symbol that its venue halted or delisted stays silent, whatever is done."""

    async def test_it_is_told_and_does_not_cut_the_others_off_again_and_again(self, exchange: Exchange) -> None:
        async def btc_only(socket: ServerConnection) -> None:
            for u in range(1, 10_000):
                await socket.send(ticker("BTCUSDT", u))
                await asyncio.sleep(0.01)

        exchange.sockets = {"/public": btc_only, "/market": lambda socket: socket.wait_closed()}
        inputs = await watch(exchange, 2.0)
        assert sum(path.startswith("/public") for path in exchange.connections) == 2, "one more try, no more"
        assert told(inputs, ETH)[-1] is StreamState.SILENT
        assert told(inputs, BTC) == [StreamState.CONNECTING, StreamState.LIVE, StreamState.DOWN, StreamState.LIVE]

    async def test_it_is_live_again_as_soon_as_it_speaks(self, exchange: Exchange) -> None:
        async def eth_wakes(socket: ServerConnection) -> None:
            again = sum(path.startswith("/public") for path in exchange.connections) > 1
            for u in range(1, 10_000):
                await socket.send(ticker("BTCUSDT", u))
                if again and u > 60:
                    await socket.send(ticker("ETHUSDT", u))
                await asyncio.sleep(0.01)

        exchange.sockets = {"/public": eth_wakes, "/market": lambda socket: socket.wait_closed()}
        inputs = await watch(exchange, 2.0)
        assert told(inputs, ETH) == [
            StreamState.CONNECTING, StreamState.SILENT, StreamState.LIVE,
        ]  # fmt: skip
        assert sum(path.startswith("/public") for path in exchange.connections) == 2

    async def test_one_that_spoke_and_stopped_is_reconnected(self, exchange: Exchange) -> None:
        async def eth_stops(socket: ServerConnection) -> None:
            first = sum(path.startswith("/public") for path in exchange.connections) == 1
            for u in range(1, 10_000):
                await socket.send(ticker("BTCUSDT", u))
                if not first or u < 5:
                    await socket.send(ticker("ETHUSDT", u))
                await asyncio.sleep(0.01)

        exchange.sockets = {"/public": eth_stops, "/market": lambda socket: socket.wait_closed()}
        inputs = await watch(exchange, 1.0)
        states = told(inputs, ETH)
        assert states == [StreamState.CONNECTING, StreamState.LIVE, StreamState.SILENT, StreamState.LIVE]

    async def test_a_stream_of_impossible_prices_is_silent(self, exchange: Exchange) -> None:
        async def crossed(socket: ServerConnection) -> None:
            for u in range(1, 10_000):
                await socket.send(ticker("BTCUSDT", u))
                good = u < 5
                await socket.send(ticker("ETHUSDT", u) if good else ticker("ETHUSDT", u, "101", "100"))
                await asyncio.sleep(0.01)

        exchange.sockets = {"/public": crossed, "/market": lambda socket: socket.wait_closed()}
        inputs = await watch(exchange, 0.6)
        assert StreamState.SILENT in told(inputs, ETH)
        assert all(i.bid_text == "100.0" for i in inputs if isinstance(i, Quote))


class TestFrames:
    async def test_one_nested_beyond_reason_is_skipped(self, exchange: Exchange) -> None:
        async def nested(socket: ServerConnection) -> None:
            await socket.send(ticker("BTCUSDT", 1))
            await socket.send(ticker("BTCUSDT", 2).replace('"E":2', '"x":' + "[" * 5_000 + "]" * 5_000))
            await socket.send(ticker("BTCUSDT", 3))
            await socket.wait_closed()

        exchange.sockets = {"/public": nested, "/market": lambda socket: socket.wait_closed()}
        inputs = await watch(exchange, 0.15)
        assert [i.update_id for i in inputs if isinstance(i, Quote)] == [1, 3]

    async def test_binary_and_fragmented_ones_are_read_and_pings_answered(self, exchange: Exchange) -> None:
        async def odd(socket: ServerConnection) -> None:
            first, second = ticker("BTCUSDT", 1), ticker("BTCUSDT", 2)
            await (await socket.ping(b"are you there"))
            await socket.send(first.encode())
            await socket.send([second[:20], second[20:50], "", second[50:]])
            await socket.wait_closed()

        exchange.sockets = {"/public": odd, "/market": lambda socket: socket.wait_closed()}
        inputs = await watch(exchange, 0.15)
        assert [i.update_id for i in inputs if isinstance(i, Quote)] == [1, 2]

    @pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1012, 4001])
    async def test_a_server_that_closes_is_told_and_found_again(self, exchange: Exchange, code: int) -> None:
        async def closes(socket: ServerConnection) -> None:
            await socket.send(ticker("BTCUSDT", 1))
            await socket.close(code, "enough")

        exchange.sockets = {"/public": closes, "/market": lambda socket: socket.wait_closed()}
        inputs = await watch(exchange, 0.3)
        assert told(inputs, BTC)[:4] == [
            StreamState.CONNECTING, StreamState.LIVE, StreamState.DOWN, StreamState.LIVE,
        ]  # fmt: skip

    async def test_one_too_large_to_be_meant_ends_the_line(self, exchange: Exchange) -> None:
        async def huge(socket: ServerConnection) -> None:
            await socket.send("x" * 9_000_000)

        exchange.sockets = {"/public": huge, "/market": lambda socket: socket.wait_closed()}
        inputs = await watch(exchange, 0.5)
        assert StreamState.DOWN in told(inputs, BTC)


async def test_a_feed_that_is_stopped_in_the_moment_a_stream_is_found_silent_stops(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(watchdog: Watchdog, now_ns: int) -> list[StreamKey]:
        found = seen(watchdog, now_ns)
        if found:
            asyncio.get_running_loop().call_soon(task.cancel)
        return found

    seen = Watchdog.silent
    monkeypatch.setattr(Watchdog, "silent", silent)
    exchange.sockets = {"/public": lambda socket: socket.wait_closed(), "/market": lambda socket: socket.wait_closed()}
    task = asyncio.create_task(exchange.binance(WATCHED).run(lambda item: None))
    done, _ = await asyncio.wait([task], timeout=3)
    monkeypatch.undo()
    task.cancel()
    await asyncio.wait([task], timeout=3)
    assert done


@pytest.mark.parametrize("status", [429, 418])
async def test_a_venue_that_names_a_time_to_wait_is_left_alone_until_then(exchange: Exchange, status: int) -> None:
    exchange.sockets = {"/public": lambda socket: socket.wait_closed(), "/market": lambda socket: socket.wait_closed()}
    paths = ("/fapi/v1/depth", "/fapi/v1/fundingRate", "/fapi/v1/time")
    exchange.replies = dict.fromkeys(paths, lambda: (status, b"{}", "Retry-After: 60"))
    await watch(exchange, 0.8, Timing(silence={}, backoff_base=0.01, backoff_cap=0.05, first_diff=0.01))
    asked = Counter(target.partition("?")[0] for target in exchange.requests)
    assert asked == {"/fapi/v1/depth": 2, "/fapi/v1/fundingRate": 2, "/fapi/v1/time": 1}
