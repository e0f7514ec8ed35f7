"""What a sender is told: one flat shape, and one code with one status for everything that can be refused."""

from __future__ import annotations

from http import HTTPStatus
from math import ceil
from typing import Any

import msgspec
from msgspec import Struct

from engine.intake.keys import masked
from engine.intake.port import KILL_SWITCH, REFUSED, Outcome

CODES: dict[str, tuple[HTTPStatus, str]] = {
    "BAD_HTTP": (HTTPStatus.BAD_REQUEST, "the request is not HTTP, or its headers are too large"),
    "BAD_JSON": (HTTPStatus.BAD_REQUEST, "the body is not one JSON object"),
    "DUPLICATE_FIELD": (HTTPStatus.BAD_REQUEST, "a field is given twice"),
    "UNKNOWN_FIELD": (HTTPStatus.BAD_REQUEST, "a field that does not exist; the nearest one is named"),
    "MISSING_FIELD": (HTTPStatus.BAD_REQUEST, "a field is needed and not there"),
    "BAD_FIELD": (HTTPStatus.BAD_REQUEST, "a field's value cannot be meant"),
    "STALE": (HTTPStatus.BAD_REQUEST, "the alert's own time is too old, or in the future"),
    "NOT_UNIQUE": (
        HTTPStatus.BAD_REQUEST,
        "neither idempotencyKey nor time: a resend could not be told from a new signal",
    ),
    "SLOW_BODY": (HTTPStatus.BAD_REQUEST, "the body did not arrive in time"),
    "ADDRESS": (HTTPStatus.FORBIDDEN, "the sender's address is not on the list"),
    "BAD_KEY": (HTTPStatus.FORBIDDEN, "the API key is missing, wrong, or another source's"),
    "BAD_SIGNATURE": (HTTPStatus.FORBIDDEN, "the source signs, and the signature is missing, wrong or too old"),
    "SOURCE_OFF": (HTTPStatus.FORBIDDEN, "the source is switched off"),
    "NOT_FOUND": (HTTPStatus.NOT_FOUND, "there is no such path"),
    "METHOD": (HTTPStatus.METHOD_NOT_ALLOWED, "the path does not take this method"),
    "KEY_REUSED": (HTTPStatus.CONFLICT, "the idempotency key was used for another body; a person is told"),
    "TOO_LARGE": (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is larger than 8 KiB"),
    "MEDIA_TYPE": (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "neither application/json nor text/plain, or compressed"),
    "RATE": (HTTPStatus.TOO_MANY_REQUESTS, "too many requests from this address"),
    "SOURCE_RATE": (HTTPStatus.TOO_MANY_REQUESTS, "too many requests of this source"),
    "QUARANTINED": (HTTPStatus.TOO_MANY_REQUESTS, "too many wrong keys; guesses are not answered for a while"),
    KILL_SWITCH: (HTTPStatus.SERVICE_UNAVAILABLE, "the kill switch is on: no entries; CLOSE still works"),
    "NOT_RECORDED": (HTTPStatus.SERVICE_UNAVAILABLE, "the signal could not be made durable; send it again"),
    "SOURCES": (HTTPStatus.SERVICE_UNAVAILABLE, "the registry of sources cannot be trusted or read; a person is told"),
    "BUSY": (HTTPStatus.SERVICE_UNAVAILABLE, "too many signals at once; send it again"),
}
"""Code: status, meaning."""

_ENCODER = msgspec.json.Encoder(decimal_format="number")


class Refused(Exception):
    """A request is refused: one of CODES, what to say, and after how many seconds another try may succeed."""

    def __init__(self, code: str, message: str, retry_s: float = 0) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_s = retry_s


class Answer(Struct, frozen=True):
    """An HTTP status and the body's fields; `retry_after` in seconds, 0 for none."""

    status: int
    success: bool
    result: dict[str, Any] | None
    error: str | None
    code: str | None
    request_id: str
    retry_after: int = 0

    def body(self) -> bytes:
        """JSON of the flat shape."""
        return _ENCODER.encode(
            {
                "success": self.success,
                "result": self.result,
                "error": self.error,
                "code": self.code,
                "requestId": self.request_id,
            }
        )


def refusal(refused: Refused, request_id: str) -> Answer:
    """What the sender of a refused request is told; no secret passes."""
    status, _ = CODES[refused.code]
    retry_after = max(1, ceil(refused.retry_s)) if refused.retry_s else 0
    return Answer(status, False, None, masked(refused.message), refused.code, request_id, retry_after)


def verdict(outcome: Outcome, status: int, request_id: str) -> Answer:
    """What became of a signal."""
    result: dict[str, Any] = {"status": outcome.status, "signalId": outcome.id}
    if outcome.order:
        result["orderId"] = outcome.order
    if outcome.price is not None:
        result["price"] = outcome.price
    if outcome.quantity is not None:
        result["quantity"] = outcome.quantity
    if outcome.status == REFUSED:
        return Answer(status, False, result, masked(outcome.message), outcome.code or None, request_id)
    if outcome.message:
        result["message"] = masked(outcome.message)
    return Answer(status, True, result, None, outcome.code or None, request_id)


def killed(outcome: Outcome, request_id: str) -> Answer:
    """An entry, recorded and refused by the kill switch."""
    result = {"status": REFUSED, "signalId": outcome.id}
    message = masked(outcome.message) or CODES[KILL_SWITCH][1]
    return Answer(HTTPStatus.SERVICE_UNAVAILABLE, False, result, message, KILL_SWITCH, request_id, retry_after=60)
