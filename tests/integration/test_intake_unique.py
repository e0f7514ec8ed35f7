"""What cannot be told from its resend becomes no order, and a probe is told so, over real sockets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.intake import enroll
from engine.intake.keys import signature
from engine.model.signal import Policy, SourceMode
from tests.intake_kit import SECOND, Desk, body, code


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_what_waits_for_a_person_is_told_from_its_resend_too(desk: Desk) -> None:
    asks = Policy(mode=SourceMode.APPROVE)
    strict, weak = (desk.source(name, asks, weak_dedup=name == "weak").api_key for name in ("strict", "weak"))
    async with desk.listening() as client:
        assert code(await client.post("/webhook", json=body(strict))) == (400, "NOT_UNIQUE")
        assert desk.engine.arrivals == []
        for _ in range(2):
            assert code(await client.post("/webhook", json=body(weak))) == (200, None)
    assert len(desk.engine.arrivals) == 1


@pytest.mark.parametrize("mode", [SourceMode.TRADE, SourceMode.APPROVE])
@pytest.mark.parametrize("weak", [True, False])
async def test_a_signed_request_is_one_signal_whoever_sends_it_again(desk: Desk, mode: SourceMode, weak: bool) -> None:
    key = desk.source(policy=Policy(mode=mode), weak_dedup=weak).api_key
    secret = enroll.let_sign(desk.home, "tv")
    async with desk.listening() as client:

        async def replayed(**more: Any) -> set[tuple[int, str | None]]:
            """What the same signed bytes are told in the five minutes in which their signature is good."""
            signed, answers = json.dumps(body(key, **more)).encode(), set()
            stamp = str(desk.clock.now_ns() // SECOND)
            headers = {"X-Hoox-Timestamp": stamp, "X-Hoox-Signature": signature(secret, stamp, signed)}
            for _ in range(9):
                answer = await client.post(
                    "/webhook", content=signed, headers=headers | {"Content-Type": "application/json"}
                )
                answers.add(code(answer))
                desk.clock.advance(31 * SECOND)
            said.append(answer.json()["error"])
            return answers

        said: list[str] = []
        assert await replayed() == {(400, "NOT_UNIQUE")}
        assert "weak_dedup has no effect on a source that signs" in said[0]
        assert desk.engine.arrivals == []
        assert await replayed(idempotencyKey="k") == {(200, None)}
        assert await replayed(time=desk.clock.now_ns() // 1_000_000) == {(200, None)}
    assert len(desk.engine.arrivals) == 2


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, (400, "NOT_UNIQUE")),
        ({"time": "2026-01-31T12:00:00Z"}, (400, "STALE")),
        ({"quantity": "-1", "idempotencyKey": "new"}, (400, "BAD_FIELD")),
        ({"time": "2026-01-31T13:00:00Z"}, (200, None)),
        ({"time": "2026-01-31T12:00:00Z", "idempotencyKey": "old"}, (200, None)),
    ],
)
async def test_a_probe_is_refused_where_the_request_itself_would_be(
    desk: Desk, more: dict[str, Any], expected: tuple[int, str | None]
) -> None:
    key = desk.source().api_key
    async with desk.listening() as client:
        first = body(key, time="2026-01-31T12:00:00Z", idempotencyKey="old")
        assert code(await client.post("/webhook", json=first)) == (200, None)
        desk.clock.advance(3_600 * SECOND)
        for head in ({"X-Hoox-Probe": "1"}, {}):
            assert code(await client.post("/webhook", json=body(key, **more), headers=head)) == expected
    assert len(desk.engine.probes) == (expected[0] == 200)


async def test_a_probe_with_a_key_of_another_body_is_refused_and_nobody_is_told(desk: Desk) -> None:
    key = desk.source().api_key
    async with desk.listening() as client:
        assert code(await client.post("/webhook", json=body(key, idempotencyKey="k"))) == (200, None)
        other, head = body(key, idempotencyKey="k", quantity="2"), {"X-Hoox-Probe": "1"}
        assert code(await client.post("/webhook", json=other, headers=head)) == (409, "KEY_REUSED")
        assert desk.engine.alarms == desk.engine.probes == []
        assert code(await client.post("/webhook", json=other)) == (409, "KEY_REUSED")
    assert [name for name, _ in desk.engine.alarms] == ["KEY_REUSED"]


async def test_a_probe_passes_every_check_that_a_signal_passes(desk: Desk) -> None:
    key = desk.source().api_key
    async with desk.listening() as client:
        answer = await client.post("/webhook", json=body(key, idempotencyKey="k"), headers={"X-Hoox-Probe": "1"})
        await client.post("/webhook", json=body(key, idempotencyKey="k"))
    assert tuple(answer.json()["result"]["checks"]) == desk.engine.arrivals[0].checks


@pytest.mark.parametrize("signs", [False, True])
async def test_a_secret_of_a_source_is_no_key_of_a_signal(desk: Desk, signs: bool) -> None:
    key = desk.source().api_key
    old, new = key[12:], enroll.rotate(desk.home, "tv", base_url="", now_ns=1).api_key
    secrets = [old, new[12:], f"bar-{old}"]
    if signs:
        secrets = [enroll.let_sign(desk.home, "tv")]
    async with desk.listening() as client:

        async def sent(path: str, said: dict[str, Any], **more: str) -> tuple[int, str | None]:
            alert, stamp = json.dumps(said).encode(), str(desk.clock.now_ns() // SECOND)
            signed = {"X-Hoox-Timestamp": stamp, "X-Hoox-Signature": signature(secrets[0], stamp, alert)}
            head = {"Content-Type": "application/json", "X-Internal-Auth-Key": new, **more}
            return code(await client.post(path, content=alert, headers=head | (signed if signs else {})))

        for secret in secrets:
            refused = (400, "BAD_FIELD")
            assert await sent("/webhook", body(new, idempotencyKey=secret)) == refused
            assert await sent("/webhook", body(new), **{"Idempotency-Key": secret}) == refused
            assert await sent("/process", {"requestId": secret, "payload": body(None)}) == refused
        # A digest is as long, and no secret.
        assert await sent("/webhook", body(new, idempotencyKey="ab" * 32)) == (200, None)
    assert [arrival.signal.key for arrival in desk.engine.arrivals] == ["ab" * 32]


@pytest.mark.parametrize("value", ["true", "0", "", "1 1", "yes"])
async def test_a_probe_that_is_not_understood_is_refused_and_does_not_trade(desk: Desk, value: str) -> None:
    key = desk.source().api_key
    async with desk.listening() as client:
        for path, said in (
            ("/webhook", body(key, idempotencyKey="k")),
            ("/process", {"requestId": "r", "payload": body(None)}),
        ):
            head = {"X-Hoox-Probe": value, "X-Internal-Auth-Key": key}
            answer = await client.post(path, json=said, headers=head)
            assert code(answer) == (400, "BAD_FIELD")
            assert (
                answer.json()["error"] == f"X-Hoox-Probe: {value!r} is not 1; send 1 to probe, or leave it out to trade"
            )
    assert desk.engine.arrivals == []
