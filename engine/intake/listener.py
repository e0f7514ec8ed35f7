"""The HTTP listener on the engine's loop: uvicorn, with bounds on connections and on how slowly a request may begin.

Imported only where a listener is on.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress
from http import HTTPStatus

import h11
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from engine.intake.addresses import parsed
from engine.intake.answers import Refused, refusal
from engine.intake.endpoints import LARGEST_HEADERS, Endpoints
from engine.intake.listening import ListenerConfig, ListenerError, check, shown_address
from engine.intake.pipeline import Pipeline

log = logging.getLogger(__name__)

HEAD_S = 5.0
"""Longest a request's headers may take to arrive."""
IDLE_S = 15
"""How long a connection is kept for the next request."""
MOST_CONNECTIONS = 512
MOST_PER_PEER = 384
"""Below the usual 1,024 open files of a process: the ledger must always find one."""
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
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """`127.0.0.1:8787`; empty while it does not listen."""
        return shown_address(*self._server.sockets[0].getsockname()[:2]) if self._server else ""

    @property
    def connections(self) -> tuple[_Connection, ...]:
        """Those that are open."""
        return tuple(other for other in self._state.connections if isinstance(other, _Connection))

    async def start(self) -> None:
        """Listen; raises ListenerError."""
        settings = _settings(self._config, self._endpoints.app())
        listening = _bound(self._config)
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(settings, self._state, {}),
            sock=listening,
            ssl=settings.ssl,
            ssl_handshake_timeout=HEAD_S if settings.ssl else None,
            backlog=256,
        )
        log.info("signals are taken at %s", self.address)

    async def stop(self) -> None:
        """Accept nobody more, let requests in flight be answered, close. Call it while the engine still commits."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for connection in self.connections:
            with suppress(h11.LocalProtocolError):
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


class _Connection(H11Protocol):
    """Of too many connections the newest is turned away; one whose request does not begin in time is closed."""

    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        others = [other.client for other in self.connections if isinstance(other, _Connection) and other.client]
        here = sum(host == self.client[0] for host, _ in others) if self.client else 0
        if len(self.connections) > MOST_CONNECTIONS or here > MOST_PER_PEER:
            transport.write(_FULL)
            transport.close()
        else:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        if not self._between_requests():
            self._head_came()
        elif self.conn.trailing_data[0] or self.conn.their_state is h11.SEND_BODY:
            # A refused body that still comes is read on and dropped for as long: cut off, its sender could lose the answer.
            self._expect_head()

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP is answered in our shape too."""
        if self._between_requests():
            self.transport.write(_BAD_HTTP)
        self.transport.close()

    def _between_requests(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _expect_head(self) -> None:
        # Set once for a request: bytes that trickle in do not put it off.
        if self._head is None:
            self._head = self.loop.call_later(HEAD_S, self.transport.close)

    def _head_came(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


def _settings(config: ListenerConfig, app: Starlette) -> uvicorn.Config:
    settings = uvicorn.Config(
        app,
        http=_Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        # It logs failures with all they hold; endpoints logs them without.
        log_level=logging.CRITICAL,
        access_log=False,
        # Who called is decided by engine.intake.addresses.
        proxy_headers=False,
        timeout_keep_alive=IDLE_S,
        h11_max_incomplete_event_size=LARGEST_HEADERS,
        ssl_certfile=config.tls_cert,
        ssl_keyfile=config.tls_key,
    )
    try:
        settings.load()
    except (OSError, ValueError) as error:
        raise ListenerError(f"webhook_tls_cert, webhook_tls_key: {error}; give a PEM certificate and its key") from None
    return settings


def _bound(config: ListenerConfig) -> socket.socket:
    address = parsed(config.host)
    family = socket.AF_INET6 if address is not None and address.version == 6 else socket.AF_INET
    # The protocol is named: only then does asyncio send answers at once (TCP_NODELAY), not 40 ms later.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((config.host, config.port))
    except OSError as error:
        listening.close()
        at = shown_address(config.host, config.port)
        raise ListenerError(
            f"webhook: cannot listen at {at}: {error.strerror}; is another engine there? choose another port"
        ) from None
    listening.setblocking(False)
    return listening


def _raw(refused: Refused) -> bytes:
    """A whole HTTP answer, for what never became a request."""
    answer = refusal(refused, "")
    body = answer.body()
    retry = f"retry-after: {answer.retry_after}\r\n" if answer.retry_after else ""
    head = (
        f"HTTP/1.1 {int(answer.status)} {HTTPStatus(answer.status).phrase}\r\n"
        f"content-type: application/json\r\n{retry}content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body


_FULL = _raw(Refused("BUSY", "too many connections; try again", 1))
_BAD_HTTP = _raw(Refused("BAD_HTTP", "the request is not HTTP, or its headers are too large"))
