"""Every answer of /process names the request it is for, over real sockets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.model.signal import Policy, SourceMode
from tests.intake_kit import Desk, body, code

SIGNAL = body(None)
STRANGER = "hx_00000000_" + "0" * 64


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.parametrize(
    ("said", "key", "expected"),
    [
        ({"payload": SIGNAL}, "", (403, "BAD_KEY")),
        ({"payload": SIGNAL}, STRANGER, (403, "BAD_KEY")),
        ({"payload": SIGNAL}, "off", (403, "SOURCE_OFF")),
        ({"payload": SIGNAL}, "slow", (429, "SOURCE_RATE")),
        ({}, "tv", (400, "MISSING_FIELD")),
        ({"payload": []}, "tv", (400, "BAD_FIELD")),
        ({"payload": SIGNAL, "more": 1}, "tv", (400, "UNKNOWN_FIELD")),
        ({"payload": SIGNAL | {"quantity": "-1"}}, "tv", (400, "BAD_FIELD")),
        ({"payload": SIGNAL | {"time": "2026-01-30T12:00:00Z"}}, "tv", (400, "STALE")),
        ({"payload": SIGNAL | {"idempotencyKey": "used"}}, "tv", (409, "KEY_REUSED")),
        ({"payload": SIGNAL}, "broken", (503, "NOT_RECORDED")),
        ({"payload": SIGNAL}, "probe", (200, None)),
    ],
)
async def test_a_refusal_brings_back_the_senders_request_id(
    desk: Desk, said: dict[str, Any], key: str, expected: tuple[int, str | None]
) -> None:
    keys = {
        "tv": desk.source("tv").api_key,
        "off": desk.source("off", Policy(mode=SourceMode.OFF)).api_key,
        "slow": desk.source("slow", burst=1, rate=0.01).api_key,
    }
    keys |= {"broken": keys["tv"], "probe": keys["tv"]}
    head = {"X-Internal-Auth-Key": keys.get(key, key)} | ({"X-Hoox-Probe": "1"} if key == "probe" else {})
    async with desk.listening() as client:
        await client.post("/webhook", json=body(keys["tv"], quantity="5", idempotencyKey="used"))
        await client.post("/webhook", json=body(keys["slow"], idempotencyKey="first"))
        desk.engine.broken = OSError(28, "no space left") if key == "broken" else None
        answer = await client.post("/process", json={"requestId": "r-1"} | said, headers=head)
    assert code(answer) == expected
    assert answer.json()["requestId"] == "r-1"


@pytest.mark.parametrize("request_id", [None, "", "~made-here", "two words", 5, {"a": 1}, "x" * 129, STRANGER])
async def test_what_may_not_be_a_request_id_is_not_repeated(desk: Desk, request_id: object) -> None:
    head = {"X-Internal-Auth-Key": desk.source().api_key}
    async with desk.listening() as client:
        answer = await client.post("/process", json={"requestId": request_id, "payload": SIGNAL}, headers=head)
    assert code(answer) == (400, "BAD_FIELD")
    assert answer.json()["requestId"].startswith("r")
    assert answer.json()["requestId"] != request_id
    assert desk.engine.arrivals == []
