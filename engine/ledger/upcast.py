"""Payloads of earlier versions, read as today's bodies. What is stored, and its hash, never changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from engine.model.event import EVENT_VERSION, AnyBody, decode_body

Payload = dict[str, Any]

UPCASTERS: dict[tuple[str, int], Callable[[Payload], Payload]] = {}
"""(type, version) -> a payload of that version as the next version writes it; what is not listed is the same in both."""


def body_of(kind: str, version: int, payload: str) -> AnyBody:
    """The body an event of any version stands for; raises msgspec.MsgspecError on a payload that is none."""
    if version == EVENT_VERSION:
        return decode_body(payload)
    data: Payload = msgspec.json.decode(payload, type=dict)
    for at in range(version, EVENT_VERSION):
        step = UPCASTERS.get((kind, at))
        if step is not None:
            data = step(data)
            kind = data["type"]
    return decode_body(msgspec.json.encode(data))
