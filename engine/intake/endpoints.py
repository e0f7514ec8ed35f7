"""The listener's paths on starlette: reads requests within bounds, hands them to the pipeline, sends its answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from engine.clock import mono_ns
from engine.intake.addresses import AddressList, caller
from engine.intake.answers import Answer, Refused
from engine.intake.listening import ListenerConfig
from engine.intake.openapi import document
from engine.intake.pipeline import Pipeline
from engine.intake.text import shown
from engine.intake.walk import Request

log = logging.getLogger(__name__)

LARGEST_BODY = 8 * 1024
LARGEST_HEADERS = 16 * 1024
BODY_S = 5.0
"""Longest a body may take to arrive."""
MEDIA_TYPES = frozenset({"application/json", "text/plain"})
CHARSETS = frozenset({"", "utf-8", "utf8", "us-ascii"})

HEADERS = frozenset(
    {
        b"content-type",
        b"content-encoding",
        b"content-length",
        b"idempotency-key",
        b"transfer-encoding",
        b"x-hoox-probe",
        b"x-hoox-signature",
        b"x-hoox-timestamp",
        b"x-internal-auth-key",
    }
)

Handler = Callable[[Request], Awaitable[Answer]]


class Endpoints:
    """POST /webhook, /webhook/{source}, /process; GET /health, /openapi.json."""

    def __init__(self, pipeline: Pipeline, config: ListenerConfig) -> None:
        self._pipeline = pipeline
        self._proxies = AddressList(config.proxies)
        self._proxied_only = config.behind_proxy
        self._document = document()
        self._turn = asyncio.Lock()

    def app(self) -> Starlette:
        """The ASGI application."""
        app = Starlette(
            routes=[
                Route("/webhook", self._webhook, methods=["POST"]),
                Route("/webhook/{source}", self._webhook, methods=["POST"]),
                Route("/process", self._process, methods=["POST"]),
                Route("/health", self._health, methods=["GET"]),
                Route("/openapi.json", self._openapi, methods=["GET"]),
            ],
            exception_handlers={HTTPException: self._unrouted, Exception: self._failed},
        )
        app.router.redirect_slashes = False
        return app

    async def _webhook(self, http: HttpRequest) -> Response:
        return await self._taken(http, self._pipeline.webhook)

    async def _process(self, http: HttpRequest) -> Response:
        return await self._taken(http, self._pipeline.process)

    async def _health(self, http: HttpRequest) -> Response:
        return self._turned_away(http) or _response(self._pipeline.alive(self._caller(http)))

    async def _openapi(self, http: HttpRequest) -> Response:
        return self._turned_away(http) or Response(self._document, media_type="application/json")

    async def _unrouted(self, _: HttpRequest, error: Exception) -> Response:
        """Called by starlette for what no route takes."""
        if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            refused = Refused("METHOD", "this path does not take the method; see the header Allow")
        else:
            refused = Refused("NOT_FOUND", "there is no such path; signals go to POST /webhook")
        response = _response(self._pipeline.refused(refused))
        response.headers.update((isinstance(error, HTTPException) and error.headers) or {})
        return response

    async def _failed(self, _: HttpRequest, error: Exception) -> Response:
        """Called by starlette where this module has a fault. No trace is logged: it may hold a body."""
        log.error("a request failed: %s", type(error).__name__)
        return _response(self._pipeline.refused(Refused("NOT_RECORDED", "the request failed; send it again", 5)))

    async def _taken(self, http: HttpRequest, handler: Handler) -> Response:
        began_ns = mono_ns()
        source: str = http.path_params.get("source", "")
        address = self._caller(http)
        try:
            self._check_peer(http)
            refused = self._pipeline.admit(address, source)
            if refused:
                return _response(refused)
            headers = _headers(http)
            _check_kind(headers)
            body = await self._body(http)
        except Refused as error:
            response = _response(self._pipeline.refused(error))
            if error.code in ("SLOW_BODY", "BAD_HTTP"):
                response.headers["connection"] = "close"
            return response
        except ClientDisconnect:
            return Response(status_code=HTTPStatus.BAD_REQUEST)
        request = Request(
            address=address,
            body=body,
            source=source,
            idempotency_key=headers.get(b"idempotency-key", ""),
            timestamp=headers.get(b"x-hoox-timestamp", ""),
            signature=headers.get(b"x-hoox-signature", ""),
            internal_key=headers.get(b"x-internal-auth-key", ""),
            probe=headers.get(b"x-hoox-probe") == "1",
            receive_ns=mono_ns() - began_ns,
        )
        async with self._turn:
            # One to a pass of the loop: a crowd of requests holds up no tick for longer than one of them takes.
            await asyncio.sleep(0)
        return _response(await handler(request))

    def _caller(self, http: HttpRequest) -> str:
        peer = http.client.host if http.client else ""
        return caller(peer, http.headers.getlist("x-forwarded-for") if peer in self._proxies else (), self._proxies)

    def _check_peer(self, http: HttpRequest) -> None:
        if self._proxied_only and (http.client is None or http.client.host not in self._proxies):
            raise Refused("ADDRESS", "this address is not on the list")

    def _turned_away(self, http: HttpRequest) -> Response | None:
        try:
            self._check_peer(http)
        except Refused as error:
            return _response(self._pipeline.refused(error))
        return None

    async def _body(self, http: HttpRequest) -> bytes:
        """All of it, counted as it comes: what a header says about its length is not believed."""
        body = b""
        try:
            async with asyncio.timeout(BODY_S):
                async for chunk in http.stream():
                    body += chunk
                    if len(body) > LARGEST_BODY:
                        raise Refused("TOO_LARGE", f"the body is larger than {LARGEST_BODY} bytes")
        except TimeoutError:
            raise Refused("SLOW_BODY", f"the body did not arrive within {BODY_S:g} s") from None
        return body


def _headers(http: HttpRequest) -> dict[bytes, str]:
    """Those that mean something here; raises Refused for one that is there twice, and for too many bytes of any."""
    found: dict[bytes, str] = {}
    size = 0
    for name, value in http.scope["headers"]:
        size += len(name) + len(value)
        if name in HEADERS:
            if name in found:
                raise Refused("BAD_HTTP", f"header {name.decode('latin-1')} is there twice; send it once")
            found[name] = value.decode("latin-1")
    if b"content-length" in found and b"transfer-encoding" in found:
        raise Refused(
            "BAD_HTTP", "Content-Length and Transfer-Encoding are both there; send one, or the end is a guess"
        )
    if size > LARGEST_HEADERS:
        raise Refused("BAD_HTTP", f"the headers are larger than {LARGEST_HEADERS} bytes")
    return found


def _check_kind(headers: dict[bytes, str]) -> None:
    kind, _, parameters = headers.get(b"content-type", "").lower().partition(";")
    charset = parameters.partition("charset=")[2].partition(";")[0].strip(' "')
    encoding = headers.get(b"content-encoding", "identity")
    if kind.strip() not in MEDIA_TYPES or charset not in CHARSETS or encoding != "identity":
        raise Refused("MEDIA_TYPE", "send the header Content-Type: application/json, UTF-8, not compressed")
    probe = headers.get(b"x-hoox-probe", "1")
    if probe != "1":
        raise Refused("BAD_FIELD", f"X-Hoox-Probe: {shown(probe)} is not 1; send 1 to probe, or leave it out to trade")
    length = headers.get(b"content-length", "0")
    if length.isdecimal() and int(length[:20]) > LARGEST_BODY:
        raise Refused("TOO_LARGE", f"the body is larger than {LARGEST_BODY} bytes")


def _response(answer: Answer) -> Response:
    response = Response(answer.body(), answer.status, media_type="application/json")
    if answer.retry_after:
        response.headers["retry-after"] = str(answer.retry_after)
    return response
