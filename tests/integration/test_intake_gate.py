"""What the listener refuses, with which status and code, over real sockets; and what it never gives away.

Longer than most files: one row of refusals after the other, in the order of the checks.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.intake import enroll
from engine.intake.keys import new_key, signature
from engine.intake.limits import Patience, Rate
from engine.intake.listener import Listener
from engine.intake.listening import ListenerConfig, ListenerError
from engine.model.signal import Policy, SourceMode
from tests.intake_kit import NOON_NS, SECOND, Desk, body, code, head, raw, told

STRANGER = "hx_00000000_" + "0" * 64


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_method_path_and_content_type(desk: Desk) -> None:
    key = desk.source().api_key
    async with desk.listening() as client:
        assert code(await client.get("/webhook")) == (405, "METHOD")
        assert (await client.get("/webhook")).headers["allow"] == "POST"
        assert code(await client.post("/nowhere", json={})) == (404, "NOT_FOUND")
        assert code(await client.post("/webhook/", json={})) == (404, "NOT_FOUND")
        assert code(await client.get("/health")) == (200, None)
        alert = json.dumps(body(key, idempotencyKey="k"))
        for kind in ("application/x-www-form-urlencoded", "application/json; charset=utf-16", ""):
            answer = await client.post("/webhook", content=alert, headers={"Content-Type": kind} if kind else {})
            assert code(answer) == (415, "MEDIA_TYPE")
        for kind in ("application/json", "text/plain; charset=utf-8", "Application/JSON; charset=UTF-8"):
            answer = await client.post("/webhook", content=alert, headers={"Content-Type": kind})
            assert code(answer) == (200, None)


async def test_a_wrong_key_teaches_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path, patience=Patience(guesses=100))
    key = desk.source("tv").api_key
    other = desk.source("other").api_key
    wrong = [None, "", 5, {"a": 1}, STRANGER, key[:-1], key[:-1] + ("0" if key[-1] != "0" else "1"), key.upper()]
    async with desk.listening() as client:
        answers = [await client.post("/webhook", json=body(apiKey=one, idempotencyKey="k")) for one in wrong]
        answers.append(await client.post("/webhook/tv", json=body(other, idempotencyKey="k")))
        answers.append(await client.post("/webhook/nobody", json=body(STRANGER, idempotencyKey="k")))
        assert {code(answer) for answer in answers} == {(403, "BAD_KEY")}
        assert len({answer.json()["error"] for answer in answers}) == 1
        assert code(await client.post("/webhook/tv", json=body(key, idempotencyKey="k"))) == (200, None)
    assert len(desk.engine.orders) == 1


async def test_two_keys_are_valid_while_they_are_rotated_and_a_change_counts_at_once(desk: Desk) -> None:
    first = desk.source().api_key
    where = {"base_url": "http://x", "now_ns": NOON_NS}
    async with desk.listening() as client:

        async def heard(key: str) -> bool:
            answer = await client.post("/webhook", json=body(key, idempotencyKey="k"))
            return answer.status_code == 200

        second = enroll.rotate(desk.home, "tv", **where).api_key
        assert [await heard(key) for key in (first, second)] == [True, True]
        third = enroll.rotate(desk.home, "tv", **where).api_key
        assert [await heard(key) for key in (first, second, third)] == [False, True, True]
        enroll.retire(desk.home, "tv")
        assert [await heard(key) for key in (second, third)] == [False, True]
        enroll.remove(desk.home, "tv")
        assert not await heard(third)


async def test_guessing_is_slowed_by_address_and_told_to_a_person(tmp_path: Path) -> None:
    desk = Desk(tmp_path, patience=Patience(guesses=5, window_s=60, quarantine_s=100))
    async with desk.listening() as client:
        for _ in range(5):
            assert code(await client.post("/webhook", json=body(STRANGER))) == (403, "BAD_KEY")
        shut_out = await client.post("/webhook", json=body(STRANGER))
        assert code(shut_out) == (429, "QUARANTINED")
        assert int(shut_out.headers["retry-after"]) == 100
        desk.clock.advance(101 * SECOND)
        assert code(await client.post("/webhook", json=body(STRANGER))) == (403, "BAD_KEY")
    assert [name for name, _ in desk.engine.alarms] == ["KEY_GUESSING"]


async def test_who_guesses_does_not_shut_out_who_has_the_key(tmp_path: Path) -> None:
    desk = Desk(tmp_path, patience=Patience(guesses=5, window_s=60, quarantine_s=100))
    key = desk.source().api_key
    nearly = key[:-1] + ("0" if key[-1] != "0" else "1")
    async with desk.listening() as client:
        for guess in [STRANGER] * 5 + [nearly] * 5:
            await client.post("/webhook", json=body(guess))
        for guess in (STRANGER, nearly):
            assert code(await client.post("/webhook", json=body(guess))) == (429, "QUARANTINED")
        assert code(await client.post("/webhook", json=body(key, idempotencyKey="first"))) == (200, None)


async def test_addresses_are_those_of_the_source(desk: Desk) -> None:
    elsewhere = desk.source("far", addresses=("tradingview",)).api_key
    async with desk.listening() as client:
        assert code(await client.post("/webhook", json=body(elsewhere, idempotencyKey="k"))) == (403, "ADDRESS")
        assert code(await client.post("/nowhere", json={})) == (404, "NOT_FOUND")
        assert code(await client.get("/health")) == (200, None)
        here = desk.source("near", addresses=("127.0.0.0/8",)).api_key
        assert code(await client.post("/webhook", json=body(here, idempotencyKey="k"))) == (200, None)
        assert code(await client.post("/webhook/far", json=body(elsewhere, idempotencyKey="k"))) == (403, "ADDRESS")
        assert code(await client.post("/webhook", json=body(elsewhere, idempotencyKey="k"))) == (403, "ADDRESS")
    assert [name for name, _ in desk.engine.alarms] == ["KEY_ELSEWHERE"]


async def test_forwarded_addresses_are_believed_from_configured_proxies_only(desk: Desk) -> None:
    key = desk.source(addresses=("52.89.214.238",)).api_key
    alert = body(key, idempotencyKey="k")
    async with desk.listening() as client:
        spoofed = {"X-Forwarded-For": "52.89.214.238"}
        assert code(await client.post("/webhook", json=alert, headers=spoofed)) == (403, "ADDRESS")
    async with desk.listening(proxies=("127.0.0.1", "10.0.0.0/8"), behind_proxy=True) as client:
        for hops, expected in (
            ("52.89.214.238", 200),
            ("52.89.214.238, 10.1.1.1", 200),
            ("1.1.1.1, 52.89.214.238", 200),
            ("52.89.214.238, 1.1.1.1", 403),
            ("52.89.214.238, nonsense", 403),
            ("", 403),
        ):
            answer = await client.post("/webhook", json=alert, headers={"X-Forwarded-For": hops})
            assert answer.status_code == expected, hops
    async with desk.listening(proxies=("10.0.0.0/8",), behind_proxy=True) as client:
        assert code(await client.post("/webhook", json=alert)) == (403, "ADDRESS")
        assert code(await client.get("/health")) == (403, "ADDRESS")
        assert code(await client.get("/openapi.json")) == (403, "ADDRESS")


async def test_a_source_that_signs_is_heard_signed_only(desk: Desk) -> None:
    key = desk.source().api_key
    secret = enroll.let_sign(desk.home, "tv")
    alert = json.dumps(body(key, idempotencyKey="k")).encode()
    now = NOON_NS // SECOND
    async with desk.listening() as client:

        async def sent(at: int | str, signed: str, content: bytes = alert) -> tuple[int, str | None]:
            headers = {"Content-Type": "application/json", "X-Hoox-Timestamp": str(at), "X-Hoox-Signature": signed}
            raw_headers = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
            return code(await client.post("/webhook", content=content, headers=raw_headers))

        bare = await client.post("/webhook", content=alert, headers={"Content-Type": "application/json"})
        assert code(bare) == (403, "BAD_SIGNATURE")
        assert await sent(now, "0" * 64) == (403, "BAD_SIGNATURE")
        assert await sent(now, signature(secret, str(now), alert), alert + b" ") == (403, "BAD_SIGNATURE")
        assert await sent(now + 1, signature(secret, str(now), alert)) == (403, "BAD_SIGNATURE")
        for late in (now - 301, now + 301):
            assert await sent(late, signature(secret, str(late), alert)) == (403, "BAD_SIGNATURE")
        assert await sent("²", "²") == (403, "BAD_SIGNATURE")
        for good in (now - 299, now, now + 299):
            assert await sent(good, "sha256=" + signature(secret, str(good), alert)) == (200, None)
    assert len(desk.engine.orders) == 1


async def test_rates_by_address_and_by_source_say_when_to_come_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path, address_rate=Rate(1, 20))
    key = desk.source(rate=0.5, burst=2).api_key
    async with desk.listening() as client:
        for number in range(2):
            assert code(await client.post("/webhook", json=body(key, idempotencyKey=f"k{number}"))) == (200, None)
        answer = await client.post("/webhook", json=body(key, idempotencyKey="k2"))
        assert code(answer) == (429, "SOURCE_RATE")
        assert answer.headers["retry-after"] == "2"
        desk.clock.advance(2 * SECOND)
        assert code(await client.post("/webhook", json=body(key, idempotencyKey="k2"))) == (200, None)
        answers = [code(await client.get("/health")) for _ in range(20)]
        assert (answers[0], answers[-1]) == ((200, None), (429, "RATE"))


async def test_what_is_wrong_around_a_payload_counts_against_the_rate_too(desk: Desk) -> None:
    key = desk.source(rate=1.0, burst=2).api_key
    async with desk.listening() as client:
        answers = [
            code(await client.post("/process", json={"payload": {}}, headers={"X-Internal-Auth-Key": key}))
            for _ in range(3)
        ]
    assert answers == [(400, "MISSING_FIELD"), (400, "MISSING_FIELD"), (429, "SOURCE_RATE")]
    assert desk.pipeline.health()["tv"].refused == {"MISSING_FIELD": 2, "SOURCE_RATE": 1}


async def test_a_source_that_is_off_is_not_heard(desk: Desk) -> None:
    key = desk.source(policy=Policy(mode=SourceMode.OFF)).api_key
    async with desk.listening() as client:
        assert code(await client.post("/webhook", json=body(key, idempotencyKey="k"))) == (403, "SOURCE_OFF")
    assert desk.engine.arrivals == []


async def test_a_huge_body_is_refused_whatever_its_headers_say(desk: Desk) -> None:
    key = desk.source().api_key
    async with desk.listening() as client:
        fits = json.dumps(body(key, idempotencyKey="k")).ljust(8192).encode()
        kind = {"Content-Type": "application/json"}
        assert code(await client.post("/webhook", content=fits, headers=kind)) == (200, None)
        assert code(await client.post("/webhook", content=fits + b" ", headers=kind)) == (413, "TOO_LARGE")
        assert code(await client.post("/webhook", content=b" " * 3_000_000, headers=kind)) == (413, "TOO_LARGE")

        async def chunks() -> Any:
            for _ in range(20):
                yield b" " * 1000

        assert code(await client.post("/webhook", content=chunks(), headers=kind)) == (413, "TOO_LARGE")
        endless = (
            b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        after = b"0\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answers = await raw(client, endless, *[b"400\r\n" + b" " * 1024 + b"\r\n"] * 12, after)
        assert b'"TOO_LARGE"' in answers
        assert b'"status":"ok"' in answers, "the rest was read on, and the connection is good"


async def test_a_slow_body_a_slow_head_and_a_silent_caller_are_cut_off(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = desk.source().api_key
    monkeypatch.setattr("engine.intake.endpoints.BODY_S", 0.2)
    monkeypatch.setattr("engine.intake.connection.HEAD_S", 0.2)
    async with desk.listening() as client:
        alert = json.dumps(body(key, idempotencyKey="k")).encode()
        slow, silent, dribbling, other = await asyncio.gather(
            raw(client, head(len(alert)), alert[:20]),
            raw(client),
            raw(client, *[bytes([letter]) for letter in head(5)[:12]], pause_s=0.05),
            client.post("/webhook", json=body(key, idempotencyKey="other")),
        )
        assert told(slow) == (400, "SLOW_BODY")
        assert (silent, dribbling) == (b"", b"")
        assert code(other) == (200, None)
    assert len(desk.engine.orders) == 1


async def test_a_sender_that_hangs_up_in_its_body_leaves_nothing(desk: Desk) -> None:
    key = desk.source().api_key
    async with desk.listening() as client:
        alert = json.dumps(body(key, idempotencyKey="k")).encode()
        _, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(head(len(alert)) + alert[:-1])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert code(await client.post("/webhook", json=body(key, idempotencyKey="k2"))) == (200, None)
    assert len(desk.engine.arrivals) == 1


async def test_what_is_not_http_and_headers_that_could_be_meant_twice(desk: Desk) -> None:
    key = desk.source().api_key
    alert = json.dumps(body(key)).encode()
    close = "Connection: close"
    async with desk.listening() as client:
        assert told(await raw(client, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n")) == (400, "BAD_HTTP")
        assert told(await raw(client, head("5, 6"))) == (400, "BAD_HTTP")
        assert told(await raw(client, head(5, "Transfer-Encoding: gzip"))) == (400, "BAD_HTTP")
        assert told(await raw(client, b"POST /webhook HTTP/1.1\r\n" + b"A: b\r\n" * 5000)) == (400, "BAD_HTTP")
        fat = head(len(alert), close, *[f"X-{number}: {'a' * 1000}" for number in range(20)])
        assert told(await raw(client, fat + alert)) == (400, "BAD_HTTP")
        twice = head(len(alert), close, "Idempotency-Key: a", "Idempotency-Key: b")
        assert told(await raw(client, twice + alert)) == (400, "BAD_HTTP")
        # A proxy in front may go by the other one, and take what follows for the next request.
        lengths = head(len(alert), "Transfer-Encoding: chunked")
        chunk = f"{len(alert):x}\r\n".encode() + alert + b"\r\n0\r\n\r\n"
        assert told(await raw(client, lengths + chunk)) == (400, "BAD_HTTP")
    assert desk.engine.arrivals == []


async def test_requests_in_one_packet_are_answered_in_order(desk: Desk) -> None:
    key = desk.source().api_key
    alerts = [json.dumps(body(key, idempotencyKey=f"k{number}")).encode() for number in range(3)]
    async with desk.listening() as client:
        stop = (b"", b"", b"Connection: close\r\n")
        packet = b"".join(
            head(len(alert))[:-2] + last + b"\r\n" + alert for alert, last in zip(alerts, stop, strict=True)
        )
        answer = await raw(client, packet)
    assert answer.count(b"HTTP/1.1 200") == 3
    assert [arrival.signal.key for arrival in desk.engine.arrivals] == ["k0", "k1", "k2"]


async def test_what_a_source_s_own_key_is_refused_for_counts_as_the_source_s(desk: Desk) -> None:
    signs, elsewhere = desk.source("signs").api_key, desk.source("elsewhere", addresses=("52.89.214.238",)).api_key
    enroll.let_sign(desk.home, "signs")
    async with desk.listening() as client:
        assert code(await client.post("/webhook", json=body(signs))) == (403, "BAD_SIGNATURE")
        assert code(await client.post("/webhook", json=body(elsewhere))) == (403, "ADDRESS")
        assert code(await client.post("/webhook", json=body(signs[:-64] + "0" * 64))) == (403, "BAD_KEY")
    health = desk.pipeline.health()
    assert health["signs"].refused == {"BAD_SIGNATURE": 1}
    assert health["elsewhere"].refused == {"ADDRESS": 1}
    assert health[""].refused == {"BAD_KEY": 1}
    # Whoever it was, it was not heard.
    assert {(it.received, it.last_ns) for it in health.values()} == {(0, 0)}


async def test_no_log_and_no_answer_holds_a_secret(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = desk.source().api_key
    wrong: list[dict[str, Any]] = [
        {"idempotencyKey": key},
        {"symbol": key},
        {"quantity": key},
        {key: 1},
        {"time": key},
        {"action": [key]},
        {"idempotencyKey": "k", "price": key},
    ]
    async with desk.listening() as client:
        answers = [await client.post("/webhook", json=body(key) | fields) for fields in wrong]
        answers.append(await client.post(f"/webhook/{key}", json=body(key)))
        answers.append(await client.post("/webhook", content=key, headers={"Content-Type": "text/plain"}))
        answers.append(await client.post("/webhook", json=body(key), headers={"Idempotency-Key": key}))
        wrapped = {"requestId": key, "payload": body(key)}
        answers.append(await client.post("/process", json=wrapped, headers={"X-Internal-Auth-Key": key}))
        desk.engine.broken = RuntimeError(key)
        answers.append(await client.post("/webhook", json=body(key, idempotencyKey="k")))
    assert all(answer.status_code in (400, 403, 404, 503) for answer in answers)
    secret = key[12:]
    # The client's own log names its paths; the engine's must not.
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert not any(secret in line for line in ours)
    assert not any(secret in answer.text for answer in answers)
    assert not any(secret in message for _, message in desk.engine.alarms)


async def test_a_registry_that_cannot_be_trusted_stops_signals_until_it_is_repaired(desk: Desk) -> None:
    key = desk.source().api_key
    registry = desk.home / "sources.json"
    async with desk.listening() as client:
        registry.chmod(0o644)
        for _ in range(3):
            assert code(await client.post("/webhook", json=body(key, idempotencyKey="k"))) == (503, "SOURCES")
        assert code(await client.get("/health")) == (503, "SOURCES")
        registry.chmod(0o600)
        assert code(await client.post("/webhook", json=body(key, idempotencyKey="k"))) == (200, None)
    ((name, message),) = desk.engine.alarms
    assert name == "SOURCES"
    assert "chmod 600" in message


async def test_health_is_bad_while_every_signal_would_be_told_to_come_again(desk: Desk) -> None:
    key = desk.source().api_key
    async with desk.listening() as client:
        desk.engine.broken = OSError(5, "the ledger at /home/me cannot be written")
        assert code(await client.post("/webhook", json=body(key, idempotencyKey="k"))) == (503, "NOT_RECORDED")
        ill = await client.get("/health")
        assert code(ill) == (503, "NOT_RECORDED")
        assert ill.headers["retry-after"]
        assert "/home/me" not in ill.text
        desk.engine.broken = None
        assert code(await client.get("/health")) == (200, None)


async def test_health_counts_what_came_by_source_and_code(desk: Desk) -> None:
    key = desk.source().api_key
    async with desk.listening() as client:
        for quantity in (1, 1, -1):
            await client.post("/webhook", json=body(key, idempotencyKey="k", quantity=quantity))
        await client.post("/webhook", json=body(STRANGER))
    health = desk.pipeline.health()
    assert (health["tv"].received, health["tv"].taken, health["tv"].repeated) == (3, 1, 1)
    assert health["tv"].refused == {"BAD_FIELD": 1}
    assert health[""].refused == {"BAD_KEY": 1}
    assert health["tv"].last_ns == NOON_NS


@pytest.mark.parametrize(
    ("config", "remedy"),
    [
        ({"host": "0.0.0.0"}, "webhook_tls_cert"),
        ({"host": "::"}, "behind_proxy"),
        ({"behind_proxy": True}, "webhook_proxies"),
        ({"host": "0.0.0.0", "behind_proxy": True}, "webhook_proxies"),
        ({"tls_cert": Path("cert.pem")}, "webhook_tls_key"),
        ({"tls_cert": Path("no/cert.pem"), "tls_key": Path("no/key.pem")}, "cannot be read"),
        ({"proxies": ("proxy.example",)}, "write an IP address"),
    ],
)
def test_a_listener_that_would_send_keys_in_the_clear_does_not_start(
    desk: Desk, config: dict[str, Any], remedy: str
) -> None:
    with pytest.raises(ListenerError, match=remedy):
        Listener(ListenerConfig(**config), desk.pipeline)


async def test_an_answer_leaves_at_once_and_does_not_wait_for_more_to_send(desk: Desk) -> None:
    listener = Listener(ListenerConfig(port=0), desk.pipeline)
    await listener.start()
    try:
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:
            await client.get(f"http://{listener.address}/health")
            (connection,) = listener.connections
            accepted = connection.transport.get_extra_info("socket")
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    finally:
        await listener.stop()


async def test_a_port_that_is_taken_is_named(desk: Desk) -> None:
    async with desk.listening() as client:
        second = Listener(ListenerConfig(port=client.base_url.port or 0), desk.pipeline)
        with pytest.raises(ListenerError, match=f"127.0.0.1:{client.base_url.port}.*choose another port"):
            await second.start()


async def test_a_stop_lets_requests_in_flight_be_answered_and_frees_the_port(desk: Desk) -> None:
    key = desk.source().api_key
    listener = Listener(ListenerConfig(port=0), desk.pipeline)
    await listener.start()
    where = listener.address
    desk.engine.gate.clear()
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        sent = asyncio.create_task(client.post(f"http://{where}/webhook", json=body(key, idempotencyKey="k")))
        await desk.engine.arrived.wait()
        stopping = asyncio.create_task(listener.stop())
        await asyncio.sleep(0.05)
        desk.engine.gate.set()
        assert code(await sent) == (200, None)
        await stopping
    assert listener.address == ""
    again = Listener(ListenerConfig(port=int(where.rpartition(":")[2])), desk.pipeline)
    await again.start()
    await again.stop()


async def test_a_stop_waits_for_no_one_who_is_idle_slow_or_not_listened_to(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.intake.listener.STOP_S", 0.2)
    listener = Listener(ListenerConfig(port=0), desk.pipeline)
    await listener.start()
    host, _, port = listener.address.partition(":")
    began = (b"", b"POST /webh", head(100) + b"{", head(9000) + b"{", b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    senders = [await asyncio.open_connection(host, int(port)) for _ in began]
    for (_, writer), said in zip(senders, began, strict=True):
        writer.write(said)
        await writer.drain()
    for reader, _ in senders[-2:]:
        await reader.readuntil(b"\r\n\r\n")
    await asyncio.wait_for(listener.stop(), 8)
    assert listener.connections == ()
    for reader, writer in senders:
        await reader.read()
        writer.close()


async def test_the_openapi_document_names_every_path_field_and_code(desk: Desk) -> None:
    from engine.intake.answers import CODES
    from engine.intake.schema import FIELDS

    async with desk.listening() as client:
        document = (await client.get("/openapi.json")).json()
    assert set(document["paths"]) == {"/webhook", "/webhook/{source}", "/process", "/health"}
    assert set(document["components"]["schemas"]["WebhookBody"]["properties"]) == {"apiKey", *FIELDS}
    said = json.dumps(document)
    assert all(name in said for name in CODES if name not in ("NOT_FOUND", "METHOD"))


async def test_a_new_key_is_never_the_same(desk: Desk) -> None:
    assert len({new_key(0).text for _ in range(100)}) == 100
