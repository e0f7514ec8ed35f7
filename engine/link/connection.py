"""One connection's conversation: greeting, then its messages in order, each answered when its outcome is known."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from engine.link.hub import Hub, Kind, Session
from engine.link.messages import (
    PROTOCOL,
    AskPreview,
    EngineMessage,
    FeedControl,
    HandChanged,
    Hello,
    Painted,
    PreviewReply,
    Query,
    QueryReply,
    Refused,
    SetArmed,
    StopEngine,
    Submit,
    Subscribe,
    TakeHand,
    decode_for_engine,
)
from engine.link.viewer import Viewer
from engine.link.wire import FrameTooLong, read_frame
from engine.model.command import AnyCommand
from engine.views import Preview

log = logging.getLogger(__name__)

MAX_TOPICS = 64
MAX_IN_FLIGHT = 256
"""Intents of one connection that are not durable yet, and questions without an answer; its next message waits while there are so many."""
_GREETING_S = 5.0


class Connection:
    """Speaks with one screen or command until it goes; its intents in flight are carried out all the same."""

    def __init__(self, hub: Hub, reader: asyncio.StreamReader, viewer: Viewer, send_views: Callable[[], None]) -> None:
        """`send_views` is called when other topics are wanted: a person waits for them."""
        self._hub = hub
        self._send_views = send_views
        self._reader = reader
        self._viewer = viewer
        self.in_flight: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Returns when the other side is gone or was refused, and what it asked for is durable."""
        try:
            hello = await self._greeting()
            if hello is not None:
                await self._converse(hello)
        except (FrameTooLong, msgspec.DecodeError) as error:
            self.refuse("BAD_FRAME", f"not a message of Hoox's protocol {PROTOCOL}: {error}")
        except OSError as error:
            log.info("a screen's connection broke: %s", error)
        finally:
            if self.in_flight:
                await asyncio.wait(self.in_flight)

    def refuse(self, code: str, message: str) -> None:
        """Say why the connection ends."""
        log.warning("connection refused: %s", message)
        self._viewer.send(Refused(code, message))

    async def _greeting(self) -> Hello | None:
        try:
            body = await asyncio.wait_for(read_frame(self._reader), _GREETING_S)
        except TimeoutError:
            return None
        if body is None:
            return None
        hello = decode_for_engine(body)
        if not isinstance(hello, Hello):
            self.refuse("NO_HELLO", "the first message must be Hello")
        elif hello.protocol != PROTOCOL:
            self.refuse(
                "PROTOCOL",
                f"the engine speaks protocol {PROTOCOL}, this screen {hello.protocol}: they are different versions of Hoox; "
                "stop the engine and start it with this version",
            )
        elif hello.kind not in tuple(Kind):
            self.refuse("KIND", f"kind is {hello.kind!r}; it must be screen or command")
        else:
            return hello
        return None

    async def _converse(self, hello: Hello) -> None:
        session, welcome = self._hub.join(Kind(hello.kind), hello.name, self._viewer.send)
        try:
            self._viewer.send(welcome)
            self._viewer.send(HandChanged(self._hub.holder))
            self._viewer.want(())
            while (body := await read_frame(self._reader)) is not None:
                self._handle(session, decode_for_engine(body))
                if len(self.in_flight) >= MAX_IN_FLIGHT:
                    await asyncio.wait(self.in_flight, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.leave(session)

    def _handle(self, session: Session, message: EngineMessage) -> None:
        match message:
            case Submit():
                self._begin(self._submit(session, message))
            case Subscribe(topics=topics):
                self._viewer.want(topics[:MAX_TOPICS])
                self._send_views()
            case AskPreview(id=number, command=command):
                self._viewer.send(PreviewReply(number, self._preview(session, command)))
            case Query(id=number, name=name):
                self._begin(self._answer(number, name))
            case TakeHand():
                self._hub.take_hand(session)
            case SetArmed(on=on):
                self._hub.set_armed(session, on)
            case FeedControl(action=action, value=value):
                self._hub.control_feed(session, action, value)
            case Painted(order=order, time_ns=time_ns):
                self._hub.port.painted(order, time_ns)
            case StopEngine(reason=reason):
                self._hub.stop_engine(session, reason)
            case Hello():
                raise msgspec.ValidationError("Hello a second time")

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.in_flight.add(task)
        task.add_done_callback(self.in_flight.discard)

    def _preview(self, session: Session, command: AnyCommand) -> Preview:
        try:
            return self._hub.preview(session, command)
        except Exception as error:  # asked again and again, it would fail again and again
            log.exception("preview of %s failed in the engine", command)
            return Preview(type(command).__name__, (), (f"the engine cannot tell: {error!r}",))

    async def _submit(self, session: Session, message: Submit) -> None:
        try:
            self._viewer.send(await self._hub.submit(session, message.command, message.key_ns))
        except Exception:  # the outcome is not known: cut the line, so that the screen asks again with the same id
            log.exception("intent %s failed in the engine", message.command.request_id)
            self._viewer.drop()

    async def _answer(self, number: int, name: str) -> None:
        data, error = await self._hub.query(name)
        try:
            self._viewer.send(QueryReply(number, data, error))
        except FrameTooLong as too_long:
            self._viewer.send(QueryReply(number, error=f"the answer to {name!r} is too long for the link: {too_long}"))
