"""One connection as the engine sees it: what it wants, what it was sent, whether it keeps up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from msgspec import Struct

from engine.link.messages import ScreenMessage, encode
from engine.link.wire import frame

_FAREWELL_S = 0.5


class Bounds(Struct, frozen=True):
    """How far a viewer may fall behind: above `soft` bytes unsent it gets no views, then it is dropped."""

    soft: int = 64 << 10
    hard: int = 4 << 20
    behind_ns: int = 10_000_000_000
    keepalive_ns: int = 200_000_000
    """After so long without a frame the status is sent again: the engine's heartbeat."""


class Viewer:
    """Writes frames without ever waiting. Times are mono ns."""

    def __init__(self, writer: asyncio.StreamWriter, bounds: Bounds, now: int) -> None:
        self.topics: tuple[str, ...] = ()
        self._writer = writer
        self._bounds = bounds
        self._sent: dict[str, bytes] = {}
        self._written_ns = now
        self._kept_up_ns = now

    def send(self, message: ScreenMessage) -> None:
        """Queue a message; drops the viewer when it has too much unread. Raises FrameTooLong."""
        self._write(frame(encode(message)))

    def want(self, topics: tuple[str, ...]) -> None:
        """The whole set of topics from now on; `status` always comes. Until the first call nothing does: Welcome is first."""
        self.topics = tuple(dict.fromkeys(("status", *topics)))
        self._sent = {topic: body for topic, body in self._sent.items() if topic in self.topics}

    def push(self, latest: Mapping[str, bytes], now: int) -> None:
        """Send what is new of its topics, `latest` being ready frames by topic; nothing while it is behind."""
        if not self.topics:
            return
        unsent = self._writer.transport.get_write_buffer_size()
        if unsent > self._bounds.soft:
            if now - self._kept_up_ns > self._bounds.behind_ns:
                self.drop()
            return
        self._kept_up_ns = now
        new = {
            topic: latest[topic]
            for topic in self.topics
            if topic in latest and latest[topic] is not self._sent.get(topic)
        }
        if not new and now - self._written_ns >= self._bounds.keepalive_ns and "status" in latest:
            new = {"status": latest["status"]}
        if new:
            self._sent |= new
            self._written_ns = now
            self._write(b"".join(new.values()))

    def drop(self) -> None:
        """Cut the connection; what was unsent is lost."""
        self._writer.transport.abort()

    def close(self) -> None:
        """Close once what is unsent has gone out."""
        self._writer.close()

    async def gone(self) -> None:
        """Close, and cut the connection when the rest is not read in time."""
        self._writer.close()
        try:
            await asyncio.wait_for(self._writer.wait_closed(), _FAREWELL_S)
        except TimeoutError:
            self.drop()
        except OSError:
            return

    def _write(self, data: bytes) -> None:
        if self._writer.transport.is_closing():
            return
        self._writer.write(data)
        if self._writer.transport.get_write_buffer_size() > self._bounds.hard:
            self.drop()
