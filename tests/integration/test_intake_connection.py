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


async def test_who_sends_far_ahead_of_the_answers_is_cut_off(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.intake.connection.MOST_AHEAD", 3)
    key = desk.source().api_key
    desk.engine.gate.clear()
    alerts = [json.dumps(body(key, idempotencyKey=f"k{number}")).encode() for number in range(6)]
    async with desk.listening() as client:
        assert await raw(client, b"".join(head(len(alert)) + alert for alert in alerts)) == b""
        desk.engine.gate.set()
        assert code(await client.get("/health")) == (200, None)


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
