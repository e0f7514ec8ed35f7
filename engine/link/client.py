"""SocketLink: an EngineLink over the engine's Unix socket. Reconnects; asks again for what was not answered."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from engine.clock import mono_ns
from engine.link.address import UnsafeSocket, check_socket, peer_uid
from engine.link.base import LinkLost, LinkState
from engine.link.hub import Kind
from engine.link.messages import (
    PROTOCOL,
    Ack,
    AskPreview,
    FeedControl,
    HandChanged,
    Hello,
    Painted,
    PreviewReply,
    Push,
    Query,
    QueryReply,
    Refused,
    ScreenMessage,
    SetArmed,
    StopEngine,
    Stopping,
    Submit,
    Subscribe,
    TakeHand,
    ToEngine,
    Welcome,
    decode_for_screen,
    encode,
)
from engine.link.wire import FrameTooLong, frame, read_frame
from engine.model.command import AnyCommand
from engine.views import Preview, View

Answer = TypeVar("Answer")

FIRST_RETRY_S = 0.05
LAST_RETRY_S = 1.0
_GREETING_S = 5.0


class SocketLink:
    """See EngineLink. `answer_s` is how long an intent, preview or query may go unanswered before LinkLost.

    `holder` is the screen with the hand; `stopped` the reason an engine gave when it went down cleanly, empty otherwise.
    """

    def __init__(self, path: Path, name: str, *, kind: Kind = Kind.SCREEN, answer_s: float = 10.0) -> None:
        self.state = LinkState.CONNECTING
        self.detail = ""
        self.welcome: Welcome | None = None
        self.views: dict[str, View] = {}
        self.holder = ""
        self.stopped = ""
        self.explain: Callable[[], str] = str
        """Whoever starts engines says here why there is none; empty where it does not know either."""
        self.last_frame_ns = 0
        self._path = path
        self._hello = frame(encode(Hello(PROTOCOL, name, kind)))
        self._answer_s = answer_s
        self._topics: tuple[str, ...] = ()
        self._ids = itertools.count(1)
        self._submits: dict[str, tuple[Submit, asyncio.Future[Ack]]] = {}
        self._asked: dict[int, tuple[AskPreview | Query, asyncio.Future[Any]]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()

    async def start(self) -> None:
        """Returns when the first try to connect succeeded or failed (see `state`); goes on trying until closed."""
        self._task = asyncio.create_task(self._stay_connected(), name="link")
        await self._tried.wait()

    async def close(self) -> None:
        """Leave; the engine goes on. What is unanswered raises LinkLost."""
        self.state = LinkState.CLOSED
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._tried.set()
        for _, answer in (*self._submits.values(), *self._asked.values()):
            if not answer.done():
                answer.set_exception(LinkLost("the link was closed"))

    def subscribe(self, topics: tuple[str, ...]) -> None:
        """Want these topics from now on; kept across reconnects; `status` always comes."""
        self._topics = topics
        self.views = {topic: view for topic, view in self.views.items() if topic in topics or topic == "status"}
        self._send(Subscribe(topics))

    async def submit(self, command: AnyCommand, key_ns: int = 0) -> Ack:
        """Send an intent, again after a reconnect with the same request id; raises LinkLost."""
        known = self._submits.get(command.request_id)
        if known is not None:
            return await asyncio.shield(known[1])
        message = Submit(command, key_ns)
        answer: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()
        self._submits[command.request_id] = (message, answer)
        self._send(message)
        try:
            return await self._in_time(answer, f"intent {command.request_id}")
        finally:
            del self._submits[command.request_id]

    async def preview(self, command: AnyCommand) -> Preview:
        """Ask what a command would do; raises LinkLost."""
        reply: PreviewReply = await self._ask(AskPreview(next(self._ids), command), "preview")
        return reply.preview

    async def query(self, name: str) -> Any:
        """A named read; raises LinkLost, or RuntimeError with the engine's error."""
        reply: QueryReply = await self._ask(Query(next(self._ids), name), f"query {name}")
        if reply.error:
            raise RuntimeError(reply.error)
        return reply.data

    def take_hand(self) -> None:
        """Take the trading hand."""
        self._send(TakeHand())

    def set_armed(self, on: bool) -> None:
        """Arm or disarm keyboard entries."""
        self._send(SetArmed(on))

    def control_feed(self, action: str, value: float = 0.0) -> None:
        """Pause, resume or speed up a recording or the simulated market."""
        self._send(FeedControl(action, value))

    def painted(self, order: str, time_ns: int) -> None:
        """Tell when an order's result was drawn."""
        self._send(Painted(order, time_ns))

    def stop_engine(self, reason: str) -> None:
        """Stop the engine cleanly."""
        self._send(StopEngine(reason))

    def _send(self, message: ToEngine) -> None:
        if self._writer is not None and not self._writer.transport.is_closing():
            self._writer.write(frame(encode(message)))

    async def _ask(self, message: AskPreview | Query, what: str) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked[message.id] = (message, answer)
        self._send(message)
        try:
            return await self._in_time(answer, what)
        finally:
            del self._asked[message.id]

    async def _in_time(self, answer: asyncio.Future[Answer], what: str) -> Answer:
        try:
            return await asyncio.wait_for(answer, self._answer_s)
        except TimeoutError:
            raise LinkLost(
                f"no answer to {what} within {self._answer_s:g} s: {self.detail or 'the engine is silent'}"
            ) from None

    async def _stay_connected(self) -> None:
        delay = FIRST_RETRY_S
        while True:
            try:
                reader = await self._connect()
                delay = FIRST_RETRY_S
                await self._read(reader)
            except (OSError, FrameTooLong, msgspec.DecodeError) as error:
                self.state = LinkState.LOST
                self.detail = f"the engine stopped: {self.stopped}" if self.stopped else self._reason(error)
            finally:
                self._hang_up()
            self._tried.set()
            await asyncio.sleep(delay)
            delay = min(delay * 2, LAST_RETRY_S)

    async def _connect(self) -> asyncio.StreamReader:
        check_socket(self._path)
        reader, self._writer = await asyncio.open_unix_connection(self._path)
        uid = peer_uid(self._writer.get_extra_info("socket"))
        if uid < 0:
            # asyncio takes a queue that is full for a connection.
            raise ConnectionError("the engine listens, but takes nobody in: it stands still")
        if uid != os.geteuid():
            raise UnsafeSocket(f"{self._path} is served by user {uid}, not by you")
        self._writer.write(self._hello)
        body = await asyncio.wait_for(read_frame(reader), _GREETING_S)
        welcome = None if body is None else decode_for_screen(body)
        if isinstance(welcome, Refused):
            raise ConnectionError(welcome.message)
        if not isinstance(welcome, Welcome):
            raise ConnectionError("the engine closed the connection before it answered")
        self.welcome = welcome
        self.state = LinkState.CONNECTED
        self.detail = self.stopped = ""
        self.last_frame_ns = mono_ns()
        if self._topics:
            self._send(Subscribe(self._topics))
        for message, _ in (*self._submits.values(), *self._asked.values()):
            self._send(message)
        self._tried.set()
        return reader

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while (body := await read_frame(reader)) is not None:
            self.last_frame_ns = mono_ns()
            self._take(decode_for_screen(body))
        raise ConnectionError("the engine closed the connection")

    def _take(self, message: ScreenMessage) -> None:
        match message:
            case Push(topic=topic, view=view):
                self.views[topic] = view
            case Ack(request_id=request_id):
                if request_id in self._submits:
                    _settle(self._submits[request_id][1], message)
            case PreviewReply(id=number) | QueryReply(id=number):
                if number in self._asked:
                    _settle(self._asked[number][1], message)
            case HandChanged(holder=holder):
                self.holder = holder
            case Refused(message=text):
                raise ConnectionError(text)
            case Stopping(reason=reason):
                self.stopped = reason or "asked to"
                raise ConnectionError(self.stopped)
            case Welcome():
                raise ConnectionError("the engine greeted twice")

    def _reason(self, error: Exception) -> str:
        if isinstance(error, FileNotFoundError | ConnectionRefusedError):
            return self.explain() or f"no engine answers at {self._path}"
        if isinstance(error, TimeoutError):
            return "the engine accepted the connection but said nothing"
        return str(error)

    def _hang_up(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _settle(answer: asyncio.Future[Answer], value: Answer) -> None:
    if not answer.done():
        answer.set_result(value)
