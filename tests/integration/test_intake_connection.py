"""What a sender's connection may do: HTTP as clients speak it, TLS, how many, how far ahead."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from engine.intake.connection import Door
from engine.intake.listener import Listener
from engine.intake.listening import ListenerConfig, ListenerError
from tests.intake_kit import Desk, body, code, head, raw, told


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    cert, private = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    try:
        subprocess.run([*made, "-keyout", private, "-out", cert], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not here to make a certificate")
    return cert, private


async def _heard(reader: asyncio.StreamReader) -> bytes:
    with suppress(ConnectionResetError):
        return await reader.read()
    return b""


async def test_a_client_that_offers_http2_is_heard_all_the_same(desk: Desk) -> None:
    key = desk.source().api_key
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
    alerts = [json.dumps(body(key, idempotencyKey=f"k{number}")).encode() for number in range(4)]
    chunked = b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    chunked += "\r\n".join(offer).encode() + b"\r\n\r\n%x\r\n" % len(alerts[2]) + alerts[2] + b"\r\n0\r\n\r\n"
    packets = [head(len(alerts[0]), *offer) + alerts[0], head(len(alerts[1]), *offer) + alerts[1], chunked]
    last = head(len(alerts[3]), "Connection: close") + alerts[3]
    async with desk.listening() as client:
        assert (await raw(client, *packets, last)).count(b"HTTP/1.1 200") == 4
        letters = [bytes([letter]) for letter in packets[0] + last]
        assert (await raw(client, *letters)).count(b"HTTP/1.1 200") == 2
        assert told(await raw(client, b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n")) == (400, "BAD_HTTP")
    assert [arrival.signal.key for arrival in desk.engine.arrivals] == ["k0", "k1", "k2", "k3"]


async def test_requests_far_larger_than_a_head_are_answered_whatever_the_next_one_lacks(desk: Desk) -> None:
    key = desk.source().api_key
    alerts = [json.dumps(body(key, idempotencyKey=f"k{number}")).ljust(6_000).encode() for number in range(4)]
    packet = b"".join(head(len(alert)) + alert for alert in alerts[:3])
    last = head(len(alerts[3]), "Connection: close") + alerts[3]
    async with desk.listening() as client:
        assert (await raw(client, packet + last[:40], last[40:], pause_s=0.05)).count(b"HTTP/1.1 200") == 4


async def test_what_was_asked_before_something_that_is_not_http_is_answered_first(desk: Desk) -> None:
    key = desk.source().api_key
    alerts = [json.dumps(body(key, idempotencyKey=f"k{number}")).encode() for number in range(2)]
    asked = b"".join(head(len(alert)) + alert for alert in alerts)
    broken = head("chunked").replace(b"Content-Length", b"Transfer-Encoding") + b"zz\r\n"
    async with desk.listening() as client:
        for rest in (b"\x16\x03\x01 what\r\n\r\n", broken):
            answers = await raw(client, asked + rest)
            assert answers.count(b"HTTP/1.1 200") == 2
            assert told(await raw(client, rest)) == (400, "BAD_HTTP")
    assert [arrival.signal.key for arrival in desk.engine.arrivals] == ["k0", "k1"]


async def test_what_follows_a_body_is_no_header_and_has_an_end(desk: Desk) -> None:
    key = desk.source(addresses=("52.89.214.238",)).api_key
    alert = json.dumps(body(key, idempotencyKey="k")).encode()
    chunked = head("chunked", "X-Forwarded-For: 6.6.6.6").replace(b"Content-Length", b"Transfer-Encoding")
    chunked += b"%x\r\n" % len(alert) + alert + b"\r\n0\r\n"
    trailer = b"X-Forwarded-For: 52.89.214.238\r\n"
    async with desk.listening(proxies=("127.0.0.1",), behind_proxy=True) as client:
        answer = await raw(client, chunked + trailer + b"\r\n" + head(0, "Connection: close"))
        assert b'"ADDRESS"' in answer
        assert b"HTTP/1.1 200" not in answer
        assert desk.engine.arrivals == []
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(chunked)
        sent = 0
        with suppress(ConnectionError):
            while sent < 10_000_000 and not reader.at_eof():
                writer.write(b"a: " + b"b" * 5_000)
                sent += 5_003
                await writer.drain()
                await asyncio.sleep(0)
        assert sent < 10_000_000, "trailers go on for ever"
        writer.close()


async def test_who_sends_far_ahead_of_the_answers_is_cut_off_behind_those_that_fit(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.intake.connection.MOST_AHEAD", 3)
    key = desk.source().api_key
    alerts = [json.dumps(body(key, idempotencyKey=f"k{number}")).encode() for number in range(6)]
    async with desk.listening() as client:
        answers = await raw(client, b"".join(head(len(alert)) + alert for alert in alerts))
        assert answers.count(b"HTTP/1.1 200") == 4
        assert code(await client.get("/health")) == (200, None)
    assert [arrival.signal.key for arrival in desk.engine.arrivals] == ["k0", "k1", "k2", "k3"]


async def test_of_too_many_connections_the_newest_is_turned_away(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.intake.connection.MOST_CONNECTIONS", 3)
    async with desk.listening() as client:
        held = [await asyncio.open_connection(client.base_url.host, client.base_url.port) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert told(await raw(client)) == (503, "BUSY")
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        await asyncio.sleep(0.05)
        assert code(await client.get("/health")) == (200, None)


async def test_it_speaks_tls(desk: Desk, certificate: tuple[Path, Path]) -> None:
    cert, private = certificate
    key = desk.source().api_key
    listener = Listener(ListenerConfig(port=0, tls_cert=cert, tls_key=private), desk.pipeline)
    await listener.start()
    context = ssl.create_default_context(cafile=cert)
    context.check_hostname = False
    try:
        async with httpx.AsyncClient(verify=context, trust_env=False) as client:
            answer = await client.post(f"https://{listener.address}/webhook", json=body(key, idempotencyKey="k"))
            assert code(answer) == (200, None)
    finally:
        await listener.stop()
    private.write_text("not a key")
    with pytest.raises(ListenerError, match="PEM"):
        await Listener(ListenerConfig(port=0, tls_cert=cert, tls_key=private), desk.pipeline).start()


async def test_handshakes_count_against_the_connections_and_are_cut_off(
    desk: Desk, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.intake.connection.MOST_CONNECTIONS", 3)
    monkeypatch.setattr("engine.intake.connection.HEAD_S", 0.3)
    cert, private = certificate
    listener = Listener(ListenerConfig(port=0, tls_cert=cert, tls_key=private), desk.pipeline)
    await listener.start()
    host, _, port = listener.address.partition(":")
    context = ssl.create_default_context(cafile=cert)
    context.check_hostname = False
    try:
        silent = [await asyncio.open_connection(host, int(port)) for _ in range(3)]
        reader, writer = await asyncio.open_connection(host, int(port))
        assert await _heard(reader) == b"", "a fourth is not let in"
        writer.close()
        for reader, writer in silent:
            assert await _heard(reader) == b"", "nobody shakes hands for ever"
            writer.close()
        async with httpx.AsyncClient(verify=context, trust_env=False) as client:
            assert code(await client.get(f"https://{listener.address}/health")) == (200, None)
    finally:
        await listener.stop()


async def test_who_has_said_all_and_still_listens_gets_every_answer(desk: Desk) -> None:
    key = desk.source().api_key
    alerts = [json.dumps(body(key, idempotencyKey=f"k{number}")).encode() for number in range(3)]
    desk.engine.gate.clear()
    async with desk.listening() as client:
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(b"".join(head(len(alert)) + alert for alert in alerts))
        writer.write_eof()
        await desk.engine.arrived.wait()
        await asyncio.sleep(0.05)
        desk.engine.gate.set()
        async with asyncio.timeout(5):
            answers = await reader.read()
        writer.close()
    assert answers.count(b"HTTP/1.1 200") == 3
    assert [arrival.signal.key for arrival in desk.engine.arrivals] == ["k0", "k1", "k2"]


async def test_a_body_that_breaks_off_is_no_request_also_of_who_still_listens(desk: Desk) -> None:
    key = desk.source().api_key
    alert = json.dumps(body(key, idempotencyKey="k")).encode()
    async with desk.listening() as client:
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(head(len(alert)) + alert[:-1])
        writer.write_eof()
        async with asyncio.timeout(2):
            assert await reader.read() == b""
        writer.close()
    assert desk.engine.arrivals == []


def test_one_sender_with_a_whole_ipv6_network_leaves_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.intake.connection.MOST_PER_PEER", 3)
    door = Door()
    inside = [f"2001:db8:1:2::{number:x}" for number in range(5)]
    assert [door.enter(peer) for peer in inside] == [True, True, True, False, False]
    assert door.enter("2001:db8:1:3::1")
    assert door.enter("192.0.2.1")
    door.leave(inside[0])
    assert door.enter(inside[4])
