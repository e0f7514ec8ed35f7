"""LinkServer: the engine's Unix socket. Screens get views as fast as they read them; the engine waits for none."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from engine.clock import mono_ns
from engine.link.address import listen, peer_uid
from engine.link.broadcast import MAX_HZ, Broadcast
from engine.link.connection import Connection
from engine.link.hub import Hub
from engine.link.messages import Stopping
from engine.link.viewer import Bounds, Viewer

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 64
EARLY_S = 0.015
"""How long after a commit screens are told of it: an order's fill on paper is told with the order."""
MANY_BEATS = 4
"""After so many busy beats in a row there is a stream of commits, which the beat alone follows."""
_FAREWELL_S = 0.5
_LOOK_NS = 500_000_000


class LinkServer:
    """Serves one hub at one socket path. `uid` is the user whose connections are taken, this process's by default."""

    def __init__(self, path: Path, hub: Hub, *, bounds: Bounds | None = None, uid: int | None = None) -> None:
        self.path = path
        self._hub = hub
        self._bounds = bounds or Bounds()
        self._uid = os.geteuid() if uid is None else uid
        self._broadcast = Broadcast(hub.port)
        self._viewers: dict[Viewer, Connection] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._pump: asyncio.Task[None] | None = None
        self._inode = 0
        self._look_ns = 0
        self._early: asyncio.TimerHandle | None = None
        self._busy = 0
        """Beats in a row before each of which something was recorded."""

    async def start(self) -> None:
        """Listen; raises UnsafeSocket or OSError."""
        await self._listen()
        self._pump = asyncio.create_task(self._run(), name="link-pump")

    async def stop(self, reason: str) -> None:
        """Accept nobody more, answer the intents in flight, say `reason`, close. Screens that do not read are cut.

        Call it while the engine can still make intents durable.
        """
        if self._server is None or self._pump is None:
            return
        self._server.close()
        self._server = None
        self.path.unlink(missing_ok=True)
        self._pump.cancel()
        if self._early is not None:
            self._early.cancel()
        in_flight = [task for connection in self._viewers.values() for task in connection.in_flight]
        await asyncio.gather(self._pump, *in_flight, return_exceptions=True)
        for viewer in self._viewers:
            viewer.send(Stopping(reason))
            viewer.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_FAREWELL_S)
        for viewer in self._viewers:
            viewer.drop()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hurry(self) -> None:
        """Something became durable: who looks on is told before the next beat, unless it is one of many."""
        if self._early is None and self._busy < MANY_BEATS and self._viewers:
            self._early = asyncio.get_running_loop().call_later(EARLY_S, self._beat_early)

    def _beat_early(self) -> None:
        self._early = None
        self._send_views()

    async def _listen(self) -> None:
        self._server = await asyncio.start_unix_server(self._accept, sock=listen(self.path))
        self._inode = _inode(self.path)

    async def _look_after_socket(self, now: int) -> None:
        """Listen anew when the socket's file is gone: a system empties its runtime folder at logout, while engines go on."""
        if now < self._look_ns or self._server is None:
            return
        self._look_ns = now + _LOOK_NS
        if _inode(self.path) != self._inode:
            old = self._server
            try:
                await self._listen()
            except OSError:
                return
            old.close()
            log.warning("the socket's file was gone; listening again at %s", self.path)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        viewer = Viewer(writer, self._bounds, mono_ns())
        connection = Connection(self._hub, reader, viewer, self._send_views)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._viewers[viewer] = connection
        try:
            uid = peer_uid(writer.get_extra_info("socket"))
            if uid != self._uid:
                connection.refuse("FOREIGN_USER", f"this engine belongs to user {self._uid}, you are {uid}")
            elif len(self._viewers) > MAX_CONNECTIONS:
                connection.refuse("FULL", f"{MAX_CONNECTIONS} screens are attached already; close one")
            else:
                await connection.run()
            await viewer.gone()
        finally:
            viewer.drop()
            del self._viewers[viewer]
            self._tasks.discard(task)

    async def _run(self) -> None:
        while True:
            self._send_views()
            await self._look_after_socket(mono_ns())
            await asyncio.sleep(1 / MAX_HZ)

    def _send_views(self) -> None:
        if not self._viewers:
            return
        now = mono_ns()
        try:
            topics = (topic for viewer in self._viewers for topic in viewer.topics)
            self._busy = self._busy + 1 if self._broadcast.refresh(topics, now) else 0
            for viewer in tuple(self._viewers):
                viewer.push(self._broadcast.latest, now)
        except Exception:  # a view that cannot be built must not end the heartbeat of all screens
            log.exception("views could not be sent")


def _inode(path: Path) -> int:
    """0 where there is no file."""
    try:
        return path.lstat().st_ino
    except OSError:
        return 0
