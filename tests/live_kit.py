"""A venue on loopback: a WebSocket server and an HTTP server that say what a test wants, and live feeds of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from engine.clock import SteadyClock
from engine.feeds.backpack.feed import Backpack
from engine.feeds.binance.feed import BinanceUsdm
from engine.feeds.live import LiveFeed, Timing, Venue

FAST = Timing(silence={}, backoff_base=0.01, backoff_cap=0.05, first_diff=0.05, http=5.0)

Handler = Callable[[ServerConnection], Awaitable[None]]
Reply = tuple[int, bytes] | tuple[int, bytes, str]
"""Status and body, and a line of the head where the test wants one."""


class Exchange:
    """A WebSocket server and an HTTP server on loopback; handlers and replies are set by the test."""

    def __init__(self) -> None:
        self.sockets: dict[str, Handler] = {}
        """Path prefix -> what the server does with a connection."""
        self.replies: dict[str, Callable[[], Reply]] = {}
        """HTTP path -> reply."""
        self.connections: list[str] = []
        self.requests: list[str] = []
        self.stream_url = self.rest_url = ""

    async def handle(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        path = socket.request.path
        self.connections.append(path)
        for prefix, handler in self.sockets.items():
            if path.startswith(prefix):
                try:
                    await handler(socket)
                except ConnectionClosed:
                    pass

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ")[1]
            self.requests.append(target)
            status, body, *more = self.replies.get(target.partition("?")[0], lambda: (404, b"Not Found"))()
            head = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *more]
            writer.write("\r\n".join([*head, "", ""]).encode() + body)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Exchange]:
        async with (
            serve(self.handle, "127.0.0.1", 0) as ws,
            await asyncio.start_server(self.answer, "127.0.0.1", 0) as http,
        ):
            self.stream_url = f"ws://127.0.0.1:{ws.sockets[0].getsockname()[1]}"
            self.rest_url = f"http://127.0.0.1:{http.sockets[0].getsockname()[1]}"
            yield self

    def binance(self, timing: Timing = FAST) -> LiveFeed:
        return live(BinanceUsdm(["BTCUSDT"], self.stream_url, self.rest_url, timing))

    def backpack(self, *symbols: str, timing: Timing = FAST) -> LiveFeed:
        return live(Backpack(symbols, self.stream_url, self.rest_url, timing))


def live(venue: Venue) -> LiveFeed:
    return LiveFeed(venue, SteadyClock(), random.Random(1))
