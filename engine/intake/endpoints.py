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
from engine.intake.walk import Request

log = logging.getLogger(__name__)

LARGEST_BODY = 8 * 1024
LARGEST_HEADERS = 16 * 1024
BODY_S = 5.0
"""Longest a body may take to arrive."""
MEDIA_TYPES = frozenset({"application/json", "text/plain"})
CHARSETS = frozenset({"", "utf-8", "utf8", "us-ascii"})

Handler = Callable[[Request], Awaitable[Answer]]


class Endpoints:
    """POST /webhook, /webhook/{source}, /process; GET /health, /openapi.json."""

    def __init__(self, pipeline: Pipeline, config: ListenerConfig) -> None:
        self._pipeline = pipeline
        self._proxies = AddressList(config.proxies)
        self._proxied_only = config.behind_proxy
        self._document = document()

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
        return _response(self._pipeline.alive(self._caller(http)))

    async def _openapi(self, _: HttpRequest) -> Response:
        return Response(self._document, media_type="application/json")

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
        refused = self._admitted(http, source)
        if refused:
            return _response(refused)
        try:
            _check_headers(http)
            body = await self._body(http)
            request = Request(
                address=self._caller(http),
                body=body,
                source=source,
                idempotency_key=_header(http, "idempotency-key"),
                timestamp=_header(http, "x-hoox-timestamp"),
                signature=_header(http, "x-hoox-signature"),
                internal_key=_header(http, "x-internal-auth-key"),
                probe=_header(http, "x-hoox-probe") == "1",
                receive_ns=mono_ns() - began_ns,
            )
        except Refused as error:
            response = _response(self._pipeline.refused(error))
            if error.code == "SLOW_BODY":
                response.headers["connection"] = "close"
            return response
        except ClientDisconnect:
            return Response(status_code=400)
        return _response(await handler(request))

    def _caller(self, http: HttpRequest) -> str:
        peer = http.client.host if http.client else ""
        return caller(peer, http.headers.getlist("x-forwarded-for"), self._proxies)

    def _admitted(self, http: HttpRequest, source: str) -> Answer | None:
        if self._proxied_only and (http.client is None or http.client.host not in self._proxies):
            return self._pipeline.refused(Refused("ADDRESS", "this address is not on the list"))
        return self._pipeline.admit(self._caller(http), source)

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


def _check_headers(http: HttpRequest) -> None:
    if sum(len(name) + len(value) for name, value in http.headers.raw) > LARGEST_HEADERS:
        raise Refused("BAD_HTTP", f"the headers are larger than {LARGEST_HEADERS} bytes")
    kind, _, parameters = _header(http, "content-type").lower().partition(";")
    charset = parameters.partition("charset=")[2].partition(";")[0].strip(' "')
    encoding = _header(http, "content-encoding")
    if kind.strip() not in MEDIA_TYPES or charset not in CHARSETS or encoding not in ("", "identity"):
        raise Refused("MEDIA_TYPE", "send the header Content-Type: application/json, UTF-8, not compressed")
    length = _header(http, "content-length")
    if length.isdecimal() and int(length[:20]) > LARGEST_BODY:
        raise Refused("TOO_LARGE", f"the body is larger than {LARGEST_BODY} bytes")


def _header(http: HttpRequest, name: str) -> str:
    """Empty where there is none; raises Refused where it is there twice."""
    values = http.headers.getlist(name)
    if len(values) > 1:
        raise Refused("BAD_HTTP", f"header {name} is there {len(values)} times; send it once")
    return values[0] if values else ""


def _response(answer: Answer) -> Response:
    response = Response(answer.body(), answer.status, media_type="application/json")
    if answer.retry_after:
        response.headers["retry-after"] = str(answer.retry_after)
    return response
