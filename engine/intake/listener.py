"""The HTTP listener on the engine's loop: uvicorn, with bounds on connections and on how slowly a request may begin.

Imported only where a listener is on.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

import uvicorn
from starlette.applications import Starlette
from uvicorn.server import ServerState

from engine.intake.connection import Connection, Door, Handshake
from engine.intake.endpoints import Endpoints
from engine.intake.listening import ListenerConfig, bound, check, shown_address
from engine.intake.pipeline import Pipeline

log = logging.getLogger(__name__)

IDLE_S = 15
"""How long a connection is kept for the next request."""
FAREWELL_S = 0.5
"""How long who does not read may hold up a stop."""
STOP_S = 4
"""How long requests in flight may go on after a stop; a commit takes 2.5 s at most."""


class Listener:
    """Serves one pipeline at one address, on the running loop. Takes no signal handlers and logs no request."""

    def __init__(self, config: ListenerConfig, pipeline: Pipeline) -> None:
        """Raises ListenerError."""
        check(config)
        self._config = config
        self._endpoints = Endpoints(pipeline, config)
        self._state = ServerState()
        self._handshakes: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """`127.0.0.1:8787`; empty while it does not listen."""
        return shown_address(*self._server.sockets[0].getsockname()[:2]) if self._server else ""

    @property
    def connections(self) -> tuple[Connection, ...]:
        """Those that are open."""
        return tuple(other for other in self._state.connections if isinstance(other, Connection))

    async def start(self) -> None:
        """Listen; raises ListenerError."""
        settings = _settings(self._config, self._endpoints.app())
        listening = bound(self._config)
        door, tls = Door(), settings.ssl

        def connection() -> Connection:
            return Connection(settings, self._state, door)

        self._server = await asyncio.get_running_loop().create_server(
            connection if tls is None else lambda: Handshake(tls, door, self._handshakes, connection),
            sock=listening,
            backlog=256,
        )
        log.info("signals are taken at %s", self.address)

    async def stop(self) -> None:
        """Accept nobody more, let requests in flight be answered, close. Call it while the engine still commits."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for handshake in tuple(self._handshakes):
            handshake.cancel()
        for connection in self.connections:
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(tuple(self._state.tasks), timeout=STOP_S)
        late = tuple(self._state.tasks)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        for connection in self.connections:
            connection.transport.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await server.wait_closed()
        for connection in self.connections:
            connection.transport.abort()


def _settings(config: ListenerConfig, app: Starlette) -> uvicorn.Config:
    settings = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        # It logs failures with all they hold; endpoints logs them without.
        log_level=logging.CRITICAL,
        access_log=False,
        # Who called is decided by engine.intake.addresses.
        proxy_headers=False,
        timeout_keep_alive=IDLE_S,
        ssl_certfile=config.tls_cert,
        ssl_keyfile=config.tls_key,
    )
    settings.load()
    return settings
