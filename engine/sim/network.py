"""A fake network between one client and one server: requests, push streams, and everything that befalls them."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from engine.sim.faults import Fault, Faults


class Response(Struct, frozen=True):
    """An HTTP answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Reply(Struct, frozen=True):
    """What a server answers, and for how long it holds that back, seconds."""

    response: Response
    hold_s: float = 0.0


class Server(Protocol):
    """What is at the other end."""

    def handle(self, method: str, path: str, body: bytes) -> Reply:
        """Carry out a request, at once."""
        ...


class ConnectFailed(Exception):
    """No connection was made, so nothing left."""


class TimedOut(Exception):
    """No answer within the time; what was sent may have arrived."""


class ConnectionLost(Exception):
    """The connection broke; what was sent may have arrived."""


LATE_S = 3.5
"""A late request arrives at most so long after it left; venues refuse older ones by its time stamp."""
HEARTBEAT_S = 5.0
"""A stream that works says something at least so often: an empty message."""
_CONNECT = (Fault.CONNECT_REFUSED, Fault.DNS_FAILURE, Fault.HANG_BEFORE_SEND)
_REQUEST = (
    Fault.REQUEST_LOST,
    Fault.RESET_BEFORE_DELIVERY,
    Fault.LATE_DELIVERY,
    Fault.SLOW_REQUEST,
    Fault.HANG_AFTER_SEND,
    Fault.ACCEPTED_NO_ANSWER,
    Fault.ANSWER_AFTER_TIMEOUT,
    Fault.TRUNCATED_JSON,
    Fault.GARBAGE_ANSWER,
    Fault.HTTP_5XX_BEFORE,
    Fault.HTTP_5XX_AFTER,
    Fault.HTTP_403_PAGE,
    Fault.HTTP_429,
    Fault.HTTP_429_NO_WAIT,
    Fault.HTTP_418,
)
_STREAM = (
    Fault.STREAM_DROP,
    Fault.STREAM_SILENT,
    Fault.STREAM_LOSS,
    Fault.STREAM_GARBAGE,
    Fault.STREAM_REORDER,
    Fault.STREAM_DELAY,
    Fault.STREAM_DUPLICATE,
)
_HTML = {"content-type": "text/html"}
_PAGE = b"<html><body>please stand by</body></html>"
_LATENCY_S = 0.02
_TCP_GAP_S = 1e-6


class Stream:
    """The client's end of a push stream."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.silent = False
        self.closed = False
        self.last_at = 0.0
        """When its newest message arrives: those that follow come after it."""
        self._loop = loop
        self._messages: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None

    async def receive(self, timeout_s: float) -> bytes:
        """The next message; empty ones are heartbeats. Raises TimedOut when it says nothing, ConnectionLost when it ends."""
        if not self._messages and not self.closed:
            self._waiter = self._loop.create_future()
            timer = self._loop.call_later(timeout_s, self._wake)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        if self._messages:
            return self._messages.popleft()
        raise ConnectionLost("the stream ended") if self.closed else TimedOut(f"nothing heard for {timeout_s:g} s")

    def feed(self, data: bytes) -> None:
        """A message arrives."""
        if not self.closed:
            self._messages.append(data)
            self._wake()

    def close(self) -> None:
        """Nothing more arrives; what did may still be read."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Network:
    """One client's way to one server. A request that left arrives even if the client is gone meanwhile."""

    def __init__(self, server: Server, faults: Faults, dice: random.Random, latency_s: float = _LATENCY_S) -> None:
        """On the running loop; `latency_s` is the mean one way."""
        self.requests = 0
        self._server = server
        self._faults = faults
        self._random = dice
        self._mean_s = latency_s
        self._loop = asyncio.get_running_loop()
        self._streams: list[Stream] = []
        self._down_until = 0.0
        self._banned_until = 0.0
        self._beating = False

    async def request(self, method: str, path: str, body: bytes, timeout_s: float) -> Response:
        """Ask the server. Raises ConnectFailed (nothing left), or TimedOut or ConnectionLost (it may have arrived)."""
        self.requests += 1
        await self._connected(path, timeout_s)
        fault = self._faults.one_of(_REQUEST, path)
        loop = self._loop
        answer: asyncio.Future[Response] = loop.create_future()
        way_s = self._latency()
        if fault is Fault.LATE_DELIVERY:
            way_s = self._faults.between(fault, min(timeout_s, LATE_S), LATE_S)
        elif fault is Fault.SLOW_REQUEST:
            way_s += self._faults.between(fault, 0.1, 1.5)
        if fault is not Fault.REQUEST_LOST:
            loop.call_later(way_s, self._arrive, method, path, body, fault, answer, timeout_s)
        timer = loop.call_later(timeout_s, _fail, answer, TimedOut(f"{method} {path}: no answer in {timeout_s:g} s"))
        try:
            return await answer
        finally:
            timer.cancel()

    async def connect(self, timeout_s: float) -> Stream:
        """Open a stream. Raises ConnectFailed."""
        await self._connected("stream", timeout_s)
        await asyncio.sleep(self._latency())
        if self._is_down():
            raise ConnectFailed("stream: connection refused")
        stream = Stream(self._loop)
        self._streams.append(stream)
        if not self._beating:
            self._beating = True
            self._loop.call_later(HEARTBEAT_S, self._beat)
        return stream

    def push(self, data: bytes) -> None:
        """The server sends a message to every open stream."""
        for stream in tuple(self._streams):
            self._carry(stream, data)

    def outage(self, seconds: float) -> None:
        """Nothing connects for so long, and what is connected breaks."""
        self._down_until = max(self._down_until, self._loop.time() + seconds)
        self.drop_streams()

    def drop_streams(self) -> None:
        """Every stream ends; what was under way on it is lost."""
        for stream in self._streams:
            stream.close()
        self._streams.clear()

    # --- Requests -----------------------------------------------------------------------------------

    async def _connected(self, path: str, timeout_s: float) -> None:
        faults = self._faults
        if faults.hits(Fault.OUTAGE, path):
            self.outage(faults.between(Fault.OUTAGE, 10, 240))
        if self._is_down():
            fault: Fault | None = _CONNECT[self._random.randrange(len(_CONNECT))]
        else:
            fault = faults.one_of(_CONNECT, path)
        if fault is None:
            return
        if fault is Fault.HANG_BEFORE_SEND:
            await asyncio.sleep(timeout_s)
            raise ConnectFailed(f"{path}: no connection in {timeout_s:g} s")
        await asyncio.sleep(self._latency())
        raise ConnectFailed(f"{path}: " + ("no such host" if fault is Fault.DNS_FAILURE else "connection refused"))

    def _arrive(
        self,
        method: str,
        path: str,
        body: bytes,
        fault: Fault | None,
        answer: asyncio.Future[Response],
        timeout_s: float,
    ) -> None:
        """The request reached the server."""
        if self._is_down() or fault is Fault.RESET_BEFORE_DELIVERY:
            _fail(answer, ConnectionLost(f"{method} {path}: connection reset"))
            return
        refusal = self._turned_away(fault)
        if refusal is not None:
            self._send_back(refusal, answer, self._latency())
            return
        reply = self._server.handle(method, path, body)
        if fault is Fault.HANG_AFTER_SEND:
            return
        if fault is Fault.ACCEPTED_NO_ANSWER:
            self._loop.call_later(self._latency(), _fail, answer, ConnectionLost(f"{method} {path}: connection reset"))
            return
        way_s = self._latency() + reply.hold_s
        if fault is Fault.ANSWER_AFTER_TIMEOUT:
            way_s += timeout_s
        self._send_back(self._damaged(reply.response, fault), answer, way_s)

    def _turned_away(self, fault: Fault | None) -> Response | None:
        """What answers before the server has looked at it."""
        faults, now = self._faults, self._loop.time()
        if now < self._banned_until and not faults.stopped:
            return Response(418, {"retry-after": str(int(self._banned_until - now) + 1)}, b"")
        if fault is Fault.HTTP_418:
            seconds = int(faults.between(fault, 2, 30))
            self._banned_until = now + seconds
            return Response(418, {"retry-after": str(seconds)}, b'{"code":"BANNED","message":"banned"}')
        if fault is Fault.HTTP_429:
            return Response(429, {"retry-after": str(int(faults.between(fault, 1, 6)))}, b"")
        if fault is Fault.HTTP_429_NO_WAIT:
            return Response(429, {}, b'{"code":"TOO_MANY","message":"too many requests"}')
        if fault is Fault.HTTP_5XX_BEFORE:
            return Response(int(faults.between(fault, 500, 505)), _HTML, _PAGE)
        if fault is Fault.HTTP_403_PAGE:
            return Response(403, _HTML, _PAGE)
        if fault is Fault.GARBAGE_ANSWER and faults.between(fault, 0, 1) < 0.5:
            return Response(200, _HTML, _PAGE)
        return None

    def _damaged(self, response: Response, fault: Fault | None) -> Response:
        if fault is Fault.TRUNCATED_JSON:
            cut = int(self._faults.between(fault, 0, len(response.body)))
            return Response(response.status, response.headers, response.body[:cut])
        if fault is Fault.HTTP_5XX_AFTER:
            return Response(
                int(self._faults.between(fault, 500, 505)), {}, b'{"code":"INTERNAL","message":"try again"}'
            )
        if fault is Fault.GARBAGE_ANSWER:
            return Response(200, _HTML, _PAGE)
        return response

    def _send_back(self, response: Response, answer: asyncio.Future[Response], way_s: float) -> None:
        self._loop.call_later(way_s, _settle, answer, response)

    # --- Streams ------------------------------------------------------------------------------------

    def _carry(self, stream: Stream, data: bytes) -> None:
        if stream.closed:
            self._streams.remove(stream)
            return
        if stream.silent:
            return
        faults, loop = self._faults, self._loop
        fault = faults.one_of(_STREAM)
        way_s = self._latency()
        if fault is Fault.STREAM_DROP:
            self._streams.remove(stream)
            stream.close()
            return
        if fault is Fault.STREAM_SILENT:
            stream.silent = True
            return
        if fault is Fault.STREAM_LOSS:
            return
        if fault is Fault.STREAM_REORDER:
            loop.call_later(way_s + faults.between(fault, 0.05, 1.5), stream.feed, data)
            return
        if fault is Fault.STREAM_GARBAGE:
            data = data[: len(data) // 2]
        elif fault is Fault.STREAM_DELAY:
            way_s += faults.between(fault, 0.5, 4.0)
        at = stream.last_at = max(stream.last_at + _TCP_GAP_S, loop.time() + way_s)
        loop.call_at(at, stream.feed, data)
        if fault is Fault.STREAM_DUPLICATE:
            loop.call_at(at + faults.between(fault, 0.0, 2.0), stream.feed, data)

    def _beat(self) -> None:
        self.push(b"")
        self._beating = bool(self._streams)
        if self._beating:
            self._loop.call_later(HEARTBEAT_S, self._beat)

    def _is_down(self) -> bool:
        return self._loop.time() < self._down_until and not self._faults.stopped

    def _latency(self) -> float:
        # Half of the mean is the way itself, the rest is a queue.
        return self._mean_s * (0.5 + self._random.expovariate(2.0))


def _settle(answer: asyncio.Future[Response], response: Response) -> None:
    if not answer.done():
        answer.set_result(response)


def _fail(answer: asyncio.Future[Response], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
