"""The OpenAPI document of the listener, from the models that check the requests."""

from __future__ import annotations

import json
from collections import defaultdict
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.json_schema import models_json_schema

from engine.intake.answers import CODES
from engine.intake.schema import Draft, Key

_REFERENCE = "#/components/schemas/{model}"


class WebhookBody(Draft):
    """A signal and the key of its source."""

    model_config = ConfigDict(title="WebhookBody")

    api_key: str = Field(description="hx_<id>_<secret>, of `hoox source add`")


class ProcessBody(BaseModel):
    """A signal from a program of one's own; its key is in the header X-Internal-Auth-Key."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    request_id: Key = Field(description="Comes back in the answer; is the idempotency key where payload has none.")
    payload: Draft


class Result(BaseModel):
    """What became of a signal, so far."""

    model_config = ConfigDict(alias_generator=to_camel)

    status: str = Field(
        description="accepted, waiting, executed, refused, ignored, logged, expired, declined; ok, probe"
    )
    signal_id: str | None = None
    order_id: str | None = None
    price: float | None = None
    quantity: float | None = None
    message: str | None = None


class AnswerBody(BaseModel):
    """The one shape of all answers."""

    model_config = ConfigDict(alias_generator=to_camel)

    success: bool
    result: Result | None
    error: str | None
    code: str | None
    request_id: str


def document() -> bytes:
    """JSON, OpenAPI 3.1."""
    models = [(model, "validation") for model in (WebhookBody, ProcessBody, AnswerBody)]
    _, schemas = models_json_schema(models, ref_template=_REFERENCE)  # type: ignore[arg-type]
    signed = [
        _header("X-Hoox-Timestamp", "Unix seconds, for sources that sign"),
        _header("X-Hoox-Signature", "hex HMAC"),
    ]
    keyed = [_header("Idempotency-Key", "what makes the signal unique, where the body does not say")]
    named = {"name": "source", "in": "path", "required": True, "schema": {"type": "string"}}
    paths = {
        "/webhook": {"post": _post("WebhookBody", [*keyed, *signed], (200,))},
        "/webhook/{source}": {"post": _post("WebhookBody", [named, *keyed, *signed], (200,))},
        "/process": {
            "post": _post(
                "ProcessBody", [_header("X-Internal-Auth-Key", "a source's key", required=True), *signed], (200, 202)
            )
        },
        "/health": {"get": {"responses": _responses((200,), ("ADDRESS", "RATE", "SOURCES", "NOT_RECORDED"))}},
    }
    about = {"title": "Hoox signals", "version": "1", "description": "Signals in, one order each."}
    return json.dumps(
        {"openapi": "3.1.0", "info": about, "paths": paths, "components": {"schemas": schemas["$defs"]}}
    ).encode()


def _post(body: str, parameters: list[dict[str, Any]], good: tuple[int, ...]) -> dict[str, Any]:
    content = {"schema": {"$ref": _REFERENCE.format(model=body)}}
    as_text = {"schema": {"type": "string", "description": "The same JSON: so TradingView sends some."}}
    return {
        "parameters": parameters,
        "requestBody": {"required": True, "content": {"application/json": content, "text/plain": as_text}},
        "responses": _responses(good, tuple(code for code in CODES if code not in ("NOT_FOUND", "METHOD"))),
    }


def _responses(good: tuple[int, ...], codes: tuple[str, ...]) -> dict[str, Any]:
    meanings: defaultdict[HTTPStatus, list[str]] = defaultdict(list)
    for code in codes:
        status, meaning = CODES[code]
        meanings[status].append(f"{code}: {meaning}")
    said = {HTTPStatus(status): ["durable"] for status in good} | meanings
    content = {"application/json": {"schema": {"$ref": _REFERENCE.format(model="AnswerBody")}}}
    return {str(int(status)): {"description": "; ".join(lines), "content": content} for status, lines in said.items()}


def _header(name: str, description: str, *, required: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": required,
        "description": description,
        "schema": {"type": "string"},
    }
