"""One sender's connection: HTTP/1.1 by uvicorn on llhttp, with bounds on how slowly and how large a request may come."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import get_remote_addr
from uvicorn.server import ServerState

from engine.intake.addresses import counted_as
from engine.intake.answers import Refused, refusal
from engine.intake.endpoints import LARGEST_HEADERS

log = logging.getLogger(__name__)

HEAD_S = 5.0
"""Longest a request's headers may take to arrive, and a handshake."""
MOST_CONNECTIONS = 512
MOST_PER_PEER = 384
"""Below the usual 1,024 open files of a process: the ledger must always find one."""
MOST_AHEAD = 64
"""Requests on one connection that wait for the answer to the one before."""
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_SLICE = 4_096
"""Bytes given to the parser at once: as closely is known where a message begins."""


class Door:
    """Counts who is inside, from the first byte of a handshake on, as rates are counted: a network of IPv6 is one peer."""

    def __init__(self) -> None:
        self._inside: Counter[str] = Counter()

    def enter(self, peer: str) -> bool:
        """One more from `peer`; false, and not counted, where there are too many."""
        who = counted_as(peer)
        if self._inside.total() >= MOST_CONNECTIONS or self._inside[who] >= MOST_PER_PEER:
            return False
        self._inside[who] += 1
        return True

    def leave(self, peer: str) -> None:
        """One of `peer` is gone."""
        who = counted_as(peer)
        self._inside[who] -= 1
        if not self._inside[who]:
            del self._inside[who]


class Connection(HttpToolsProtocol):
    """Turned away where there are too many; closed when a request does not begin in time."""

    _peer: str | None = None
    """Counted under this name."""
    _early = b""
    _head_timer: asyncio.TimerHandle | None = None
    _in_message = False
    _in_head = False
    _known_head = False
    """The head that is being read was read before; only how its body is framed is new to the parser."""
    _moved = False
    """A message began or a piece of a body came, in the bytes given to the parser last."""
    _idle_bytes = 0
    """Read since that happened: head, trailers, the framing of chunks."""
    _deaf = False
    """Nothing more is read: what came was not HTTP, and who asked before is answered first."""

    def __init__(self, config: uvicorn.Config, state: ServerState, door: Door) -> None:
        super().__init__(config, state, {})
        self._door = door

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        peer = peer_of(transport)
        if not self._door.enter(peer):
            transport.write(_FULL)
            transport.close()
            return
        self._peer = peer
        self._expect_head()
        if self._early:
            self.data_received(self._early)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is None:
            return
        self._head_came()
        if self._peer is not None:
            self._door.leave(self._peer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport is None:
            # After a handshake the first request may come before its end is told.
            self._early += data
            return
        if self._deaf or self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        try:
            for at in range(0, len(data), _SLICE):
                self._parse(data[at : at + _SLICE])
        except httptools.HttpParserError:
            self.send_400_response("")
            return
        if not self._between_requests():
            self._head_came()
        elif self._in_message:
            # A refused body that still comes is read on and dropped for as long: cut off, its sender could lose the answer.
            self._expect_head()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Who has said all still gets the answers to it; a request that broke off is none, and TLS knows no half of a connection."""
        if self._in_message or self._between_requests() or self.scheme != "http":
            return False
        self._deaf = True
        self.cycle.keep_alive = False
        return True

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP is answered in our shape too; requests before it get their answers first."""
        asked = [cycle for cycle, _ in self.pipeline]
        if not self._between_requests():
            asked.append(self.cycle)
        if asked and self._in_message and not self._in_head:
            # The body of the last one broke off.
            del asked[0]
            if self.pipeline:
                self.pipeline.popleft()
        if asked:
            self._deaf = True
            asked[0].keep_alive = False
        else:
            if self._between_requests() or not self.cycle.response_started:
                self.transport.write(_BAD_HTTP)
            self.transport.close()

    # --- The parser's words ---------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._in_message = self._moved = True
        if not self._known_head:
            self._in_head = True
            super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self._known_head:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        # What comes behind a body is no header: nobody in front of us has looked at it.
        if self._in_head and not self._known_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._known_head:
            self._known_head = False
            return
        if len(self.pipeline) >= MOST_AHEAD:
            raise ValueError("too many requests ahead of their answers")
        self._in_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._moved = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._in_message = False
        if self._between_requests():
            self._head_came()
        super().on_message_complete()

    def _parse(self, data: bytes) -> None:
        self._moved = False
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                # Some clients offer HTTP/2 with every first request. Nobody takes it up, and the body follows all the same.
                framing = [name + b": " + value + b"\r\n" for name, value in self.headers if name in _FRAMING]
                data = b"POST / HTTP/1.1\r\n" + b"".join(framing) + b"\r\n" + data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self._known_head = True
            else:
                break
        self._idle_bytes = 0 if self._moved or not self._in_message else self._idle_bytes + len(data)
        if self._idle_bytes > LARGEST_HEADERS:
            raise httptools.HttpParserError("the headers are too large")

    # --- Patience -------------------------------------------------------------------------------------------

    def _between_requests(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _expect_head(self) -> None:
        # Set once for a request: bytes that trickle in do not put it off.
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_S, self.transport.close)

    def _head_came(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class Handshake(asyncio.Protocol):
    """A connection until it speaks TLS: it counts from its first byte, and has as long as a head has. `tasks` holds it meanwhile."""

    def __init__(
        self, context: ssl.SSLContext, door: Door, tasks: set[asyncio.Task[None]], make: Callable[[], Connection]
    ) -> None:
        self._context = context
        self._door = door
        self._tasks = tasks
        self._make = make

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if not self._door.enter(peer_of(transport)):
            transport.abort()
            return
        transport.pause_reading()
        task = asyncio.get_running_loop().create_task(self._shake(transport), name="handshake")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _shake(self, transport: asyncio.Transport) -> None:
        connection, spoken = self._make(), None
        try:
            spoken = await asyncio.get_running_loop().start_tls(
                transport, connection, self._context, server_side=True, ssl_handshake_timeout=HEAD_S
            )
        except OSError as error:
            log.debug("no handshake: %s", type(error).__name__)
        finally:
            self._door.leave(peer_of(transport))
            if spoken is None:
                transport.abort()
        if spoken is not None and not spoken.is_closing():
            connection.connection_made(spoken)


def peer_of(transport: asyncio.BaseTransport) -> str:
    """The address at the other side."""
    found = get_remote_addr(transport)  # type: ignore[arg-type]
    return found[0] if found else ""


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
