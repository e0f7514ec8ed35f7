"""InProcessLink: an EngineLink without a socket, for --in-process and tests. Same hub, same rules, no bytes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from engine.clock import mono_ns
from engine.link.base import LinkLost, LinkState
from engine.link.broadcast import FAILED_NS, MAX_HZ, RECORDED
from engine.link.hub import Hub, Kind, Session
from engine.link.messages import Ack, HandChanged, Welcome
from engine.model.command import AnyCommand
from engine.views import Preview, View

log = logging.getLogger(__name__)


class InProcessLink:
    """See EngineLink. Shares the engine's loop: a screen that blocks it blocks the engine. `begin` gives the engine's hub."""

    def __init__(self, begin: Callable[[], Awaitable[Hub]], name: str = "here") -> None:
        self.state = LinkState.CONNECTING
        self.detail = ""
        self.welcome: Welcome | None = None
        self.views: dict[str, View] = {}
        self.holder = ""
        self.last_frame_ns = 0
        self._begin = begin
        self._name = name
        self._hub: Hub
        self._topics: tuple[str, ...] = ()
        self._due: dict[str, int] = {}
        self._seq = 0
        self._session: Session | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Attach; raises what `begin` raises."""
        self._hub = await self._begin()
        self._session, self.welcome = self._hub.join(Kind.SCREEN, self._name, self._told)
        self.holder = self._hub.holder
        self.state = LinkState.CONNECTED
        self._task = asyncio.create_task(self._follow(), name="in-process-link")

    async def close(self) -> None:
        """Leave; the engine goes on."""
        self.state = LinkState.CLOSED
        if self._session is not None and self._task is not None:
            self._hub.leave(self._session)
            self._session = None
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def subscribe(self, topics: tuple[str, ...]) -> None:
        """Want these topics from now on; `status` always comes."""
        self._topics = topics
        self._due.clear()
        self.views = {topic: view for topic, view in self.views.items() if topic in topics or topic == "status"}

    async def submit(self, command: AnyCommand, key_ns: int = 0) -> Ack:
        """Send an intent, wait until its outcome is durable."""
        return await asyncio.shield(self._hub.submit(self._attached(), command, key_ns))

    async def preview(self, command: AnyCommand) -> Preview:
        """Ask what a command would do."""
        return self._hub.preview(self._attached(), command)

    async def query(self, name: str) -> Any:
        """A named read; raises RuntimeError with the engine's error."""
        self._attached()
        data, error = await self._hub.query(name)
        if error:
            raise RuntimeError(error)
        return data

    def take_hand(self) -> None:
        """Take the trading hand."""
        if self._session is not None:
            self._hub.take_hand(self._session)

    def set_armed(self, on: bool) -> None:
        """Arm or disarm keyboard entries."""
        if self._session is not None:
            self._hub.set_armed(self._session, on)

    def control_feed(self, action: str, value: float = 0.0) -> None:
        """Pause, resume or speed up a recording or the simulated market."""
        if self._session is not None:
            self._hub.control_feed(self._session, action, value)

    def painted(self, order: str, time_ns: int) -> None:
        """Tell when an order's result was drawn."""
        if self._session is not None:
            self._hub.port.painted(order, time_ns)

    def stop_engine(self, reason: str) -> None:
        """Stop the engine cleanly."""
        if self._session is not None:
            self._hub.stop_engine(self._session, reason)

    def _attached(self) -> Session:
        if self._session is None:
            raise LinkLost(self.detail or "the link is closed")
        return self._session

    def _told(self, message: HandChanged) -> None:
        self.holder = message.holder

    async def _follow(self) -> None:
        while True:
            now = mono_ns()
            seq = self._hub.port.durable_seq()
            for topic in ("status", *self._topics):
                if topic in RECORDED and seq != self._seq:
                    self._due[topic] = 0
                if self._due.get(topic, 0) <= now:
                    self._look(topic, now)
            self._seq = seq
            self.last_frame_ns = now
            await asyncio.sleep(1 / MAX_HZ)

    def _look(self, topic: str, now: int) -> None:
        try:
            view = self._hub.port.view(topic)
        except Exception:  # a view that cannot be built must not end the heartbeat of the others
            log.exception("%s could not be built", topic)
            self._due[topic] = now + FAILED_NS
            return
        if view is not None:
            self.views[topic] = view
            self._due[topic] = now + round(1e9 / self._hub.port.rate(topic))
