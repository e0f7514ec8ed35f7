"""What a signal costs: its checks, its way to the disk and the answer beside a bare echo, a crowd, a flood, its way to a screen."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.screen import LONG_OPEN, NOTHING_OPEN, desk_on_pty
from engine.clock import SteadyClock, mono_ns
from engine.intake.keys import new_hmac_secret, signature
from engine.intake.limits import Rate
from engine.intake.pipeline import Pipeline
from engine.intake.sources import Registry
from engine.intake.walk import Request
from engine.link.hub import Kind
from engine.runtime import EngineConfig
from tests.engine_process import ROOT, EngineProcess, attached
from tests.intake_kit import SmallIntake
from tests.signal_engine import Sender, alert, enrolled, free_port, listening, rows, taking

Figures = dict[str, float]
ROUNDS = 2_000
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
SIZES = {"BTCUSDT": "0.002", "ETHUSDT": "0.02", "SOLUSDT": "1"}


def checks() -> Figures:
    """Authenticate and validate, by the pipeline's own stages; one HMAC-SHA256 of a request."""
    with tempfile.TemporaryDirectory(prefix="hoox-bench-") as folder:
        home, clock = Path(folder), SteadyClock()
        key = enrolled(home).api_key
        pipeline = Pipeline(SmallIntake(clock), Registry(home), clock=clock, address_rate=Rate(1e9, 10**9))  # type: ignore[arg-type]
        stages: list[dict[str, int]] = []

        async def probe() -> None:
            for number in range(2 * ROUNDS):
                body = alert(key, f"k{number}", time="{}", quantity=f"0.{number + 1:05}").replace(
                    b'"{}"', b"%d" % _now_ms()
                )
                answer = await pipeline.webhook(Request(address="127.0.0.1", body=body, probe=True))
                assert answer.result is not None, answer
                stages.append(answer.result["stages"])

        asyncio.run(probe())
        secret, signing = new_hmac_secret(), []
        for number in range(2 * ROUNDS):
            begin = mono_ns()
            signature(secret, str(1_767_225_600 + number), body_of_an_order)
            signing.append(mono_ns() - begin)
    return {
        **_spread("authenticate", [it["authenticate"] for it in stages]),
        **_spread("validate", [it["validate"] for it in stages]),
        **_spread("authenticate_and_validate", [it["authenticate"] + it["validate"] for it in stages]),
        **_spread("sign", signing),
    }


body_of_an_order = b"symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.002&price=61800.1&newClientOrderId=hx0123456789&recvWindow=5000&timestamp=1767225600000"


def answered() -> Figures:
    """Request -> intake durable -> answer on one keep-alive connection, in turn with a bare echo and a bare fsync of 4 KiB."""
    with _engine() as (config, key):
        port = free_port()
        bare = subprocess.Popen([sys.executable, "-m", "benchmarks.echo", str(port)], cwd=ROOT)
        try:
            asyncio.run(listening(f"127.0.0.1:{port}"))
            took: dict[str, list[int]] = {"signal": [], "echo": [], "fsync": []}
            with (
                closing(_Line(_webhook(config))) as line,
                closing(_Line(f"127.0.0.1:{port}")) as echo,
                config.ledger.with_name("bare").open("wb", 0) as bare_file,
            ):
                for number in range(ROUNDS + 100):
                    body = alert(key, f"k{number}")
                    for name, connection in (("signal", line), ("echo", echo)):
                        begin = mono_ns()
                        status = connection.post(body)
                        taken = mono_ns() - begin
                        assert status == 200
                        if number >= 100:
                            took[name].append(taken)
                    begin = mono_ns()
                    bare_file.write(bytes(4096))
                    os.fsync(bare_file.fileno())
                    took["fsync"].append(mono_ns() - begin)
        finally:
            bare.terminate()
            bare.wait(10)
    return {name: value for each, taken in took.items() for name, value in _spread(each, taken).items()}


def at_once() -> Figures:
    """Fifty signals at the same moment on fifty connections."""
    with _engine() as (config, key):
        statuses, took = asyncio.run(_crowd(_webhook(config), [alert(key, f"k{number}") for number in range(50)]))
        executed_s = _wait_executed(config, 50)
        ((orders,),) = rows(config.ledger, "SELECT count(*) FROM orders WHERE status = 'FILLED'")
    return {
        "answers_200": statuses.count(200),
        "orders": orders,
        "all_answered_ms": max(took) / 1e6,
        "all_executed_within_ms": max(took) / 1e6 + executed_s * 1e3,
    }


def shown(rounds: int = 100) -> Figures:
    """From the first byte of a request to its position drawn on a desk's terminal, and to its being gone after a CLOSE."""
    drawn: list[int] = []
    with _engine() as (config, key), desk_on_pty(config) as terminal, closing(_Line(_webhook(config))) as line:
        terminal.wait(NOTHING_OPEN)
        for number in range(rounds):
            for action, words in (("LONG", LONG_OPEN), ("CLOSE", NOTHING_OPEN)):
                # Not in step with the screen's own clock.
                time.sleep(0.4 + number % 10 * 0.007)
                terminal.forget()
                begin = mono_ns()
                assert line.post(alert(key, f"{action}{number}", action=action)) == 200
                terminal.wait(words)
                drawn.append(mono_ns() - begin)
    return _spread("drawn", drawn)


def flood(seconds: int = 10, rate: int = 1_000) -> Figures:
    """A thousand signals a second with the desk open: answers, orders, and how long ticks waited meanwhile."""
    with _engine(rate=700.0) as (config, key), desk_on_pty(config):
        time.sleep(3)
        started = asyncio.run(_counters(config))
        time.sleep(seconds)
        before = asyncio.run(_counters(config, started))
        bodies = [
            alert(key, f"k{number}", symbol=SYMBOLS[number % 3], quantity=SIZES[SYMBOLS[number % 3]])
            for number in range(seconds * rate)
        ]
        statuses, took = asyncio.run(_crowd(_webhook(config), bodies, connections=32, gap_ns=1_000_000_000 // rate))
        after = asyncio.run(_counters(config, before))
        executed_s = _wait_executed(config, len(bodies))
        ((orders,),) = rows(config.ledger, "SELECT count(*) FROM orders WHERE status = 'FILLED'")
    return {
        "sent": len(bodies),
        "answers_200": statuses.count(200),
        "orders": orders,
        "all_executed_after_s": executed_s,
        **_spread("answer", took),
        "ticks": after["ticks"] - before["ticks"],
        **{f"tick_age_before_{name}_us": value for name, value in before["tick_age_us"].items()},
        **{f"tick_age_{name}_us": value for name, value in after["tick_age_us"].items()},
    }


# --- Engines and senders --------------------------------------------------------------------------------


@contextmanager
def _engine(rate: float = 100.0) -> Iterator[tuple[EngineConfig, str]]:
    """An engine that takes signals, and a source's key."""
    with tempfile.TemporaryDirectory(prefix="hoox-bench-") as folder:
        home = Path(folder)
        key = enrolled(home).api_key
        config = msgspec.structs.replace(
            taking(home, home / "e.sock"), symbols=SYMBOLS, rate=rate, latency_ns=5_000_000
        )
        engine = EngineProcess(config)
        try:
            asyncio.run(listening(_webhook(config)))
            time.sleep(0.5)
            yield config, key
            engine.send(signal.SIGTERM)
            engine.ended()
        finally:
            engine.kill()


class _Line:
    """One blocking keep-alive connection: what a sender costs is little beside what it measures."""

    def __init__(self, webhook: str) -> None:
        host, _, port = webhook.rpartition(":")
        self._socket = socket.create_connection((host, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, body: bytes) -> int:
        """The answer's status."""
        head = f"POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._socket.recv(65_536)
        head_part, _, rest = data.partition(b"\r\n\r\n")
        length = int(head_part.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while len(rest) < length:
            rest += self._socket.recv(65_536)
        return int(head_part.split()[1])

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


async def _crowd(
    webhook: str, bodies: list[bytes], connections: int = 0, gap_ns: int = 0
) -> tuple[list[int], list[int]]:
    """Statuses, and ns from when each was due; one connection each without `connections`, one every `gap_ns`."""
    senders = [Sender(webhook) for _ in range(connections or len(bodies))]
    for sender in senders:
        await sender.open()
    statuses: list[int] = []
    took: list[int] = []
    begin = mono_ns()

    async def send(lane: int) -> None:
        for number in range(lane, len(bodies), len(senders)):
            due = begin + number * gap_ns
            if due > mono_ns():
                await asyncio.sleep((due - mono_ns()) / 1e9)
            statuses.append((await senders[lane].post(bodies[number])).status)
            took.append(mono_ns() - due)

    await asyncio.gather(*map(send, range(len(senders))))
    for sender in senders:
        await sender.close()
    return statuses, took


async def _counters(config: EngineConfig, since: dict[str, Any] | None = None) -> dict[str, Any]:
    """The engine's counters; tick ages since an earlier look only."""
    assert config.socket is not None
    link = await attached(config.socket, "bench", Kind.COMMAND)
    try:
        counters: dict[str, Any] = await link.query("engine")
        if since is not None:
            counters = await link.query(f"engine:{counters['ticks'] - since['ticks']}")
        return counters
    finally:
        await link.close()


def _wait_executed(config: EngineConfig, many: int, patience_s: float = 120) -> float:
    """Seconds until every signal has its verdict."""
    begin = time.monotonic()
    while time.monotonic() - begin < patience_s:
        if rows(config.ledger, "SELECT count(*) FROM signals WHERE ended_ns > 0") == [(many,)]:
            break
        time.sleep(0.02)
    return time.monotonic() - begin


def _webhook(config: EngineConfig) -> str:
    assert config.intake is not None
    return config.intake.webhook


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _spread(name: str, taken: list[int]) -> Figures:
    cuts = statistics.quantiles(taken, n=100)
    return {
        f"{name}_least_us": min(taken) / 1_000,
        f"{name}_p50_us": cuts[49] / 1_000,
        f"{name}_p99_us": cuts[98] / 1_000,
    }
