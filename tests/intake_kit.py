"""A small engine behind a real intake: what the tests of signals send to, over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from engine.clock import ManualClock
from engine.intake.enroll import Enrolled, add
from engine.intake.limits import Patience, Rate
from engine.intake.listener import Listener
from engine.intake.listening import ListenerConfig
from engine.intake.pipeline import Pipeline
from engine.intake.port import Arrival, Known, Outcome
from engine.intake.schema import CLOSES
from engine.intake.sources import Registry, Source
from engine.model.signal import Policy, SourceMode

SECOND = 1_000_000_000
NOON_NS = 1_769_860_800 * SECOND
"""2026-01-31T12:00:00Z."""
TRADING = Policy(mode=SourceMode.TRADE)
FAST = Rate(100_000, 100_000)


class SmallIntake:
    """Records signals, each key once, and makes one order of each that is not refused."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.recorded: dict[tuple[str, str], Known] = {}
        self.arrivals: list[Arrival] = []
        self.orders: list[str] = []
        self.probes: list[tuple[str, dict[str, int]]] = []
        self.alarms: list[tuple[str, str]] = []
        self.kill = ""
        self.status = "accepted"
        self.broken: Exception | None = None
        self.gate = asyncio.Event()
        """Closed, commits wait for the disk."""
        self.gate.set()
        self.arrived = asyncio.Event()
        self.final: dict[str, Outcome] = {}

    def find(self, source: str, key: str) -> Known | None:
        if self.broken:
            raise self.broken
        return self.recorded.get((source, key))

    def find_body(self, source: str, body_hash: str) -> Known | None:
        found = [known for (name, _), known in self.recorded.items() if (name, known.body_hash) == (source, body_hash)]
        return found[-1] if found else None

    async def take(self, arrival: Arrival) -> Outcome:
        if self.broken:
            raise self.broken
        signal = arrival.signal
        slot = (signal.source, signal.key)
        assert slot not in self.recorded, "recorded twice"
        outcome = Outcome(signal.id, self.status, order=f"order-{signal.id}")
        if self.kill and signal.action not in CLOSES:
            outcome = Outcome(signal.id, "refused", "KILL_SWITCH", self.kill)
        self.recorded[slot] = Known(signal.id, signal.key, signal.body_hash, self.clock.now_ns(), outcome)
        self.arrivals.append(arrival)
        self.arrived.set()
        await self.gate.wait()
        if outcome.order and arrival.policy.mode is SourceMode.TRADE and not signal.test:
            self.orders.append(outcome.order)
        return outcome

    async def outcome(self, signal: str, wait_s: float) -> Outcome:
        return self.final.get(signal) or next(k.outcome for k in self.recorded.values() if k.id == signal)

    def closed(self) -> str:
        return str(self.broken or "")

    def entries_refused(self) -> str:
        return self.kill

    def probed(self, source: str, stages: dict[str, int]) -> None:
        self.probes.append((source, stages))

    def alarm(self, code: str, message: str) -> None:
        self.alarms.append((code, message))


class Desk:
    """One intake in a home of its own, its clock, and what a sender needs."""

    def __init__(self, home: Path, *, address_rate: Rate = FAST, patience: Patience | None = None) -> None:
        self.home = home
        self.clock = ManualClock(NOON_NS)
        self.engine = SmallIntake(self.clock)
        self.pipeline = Pipeline(
            self.engine, Registry(home), clock=self.clock, address_rate=address_rate, patience=patience
        )

    def source(self, name: str = "tv", policy: Policy = TRADING, **more: Any) -> Enrolled:
        """Register one, allowed to send fast unless the test says otherwise."""
        source = Source(name, policy=policy, **({"rate": 100_000.0, "burst": 100_000} | more))
        return add(self.home, source, base_url="http://127.0.0.1:8787", now_ns=self.clock.now_ns())

    @asynccontextmanager
    async def listening(self, **config: Any) -> AsyncIterator[httpx.AsyncClient]:
        """A client of a real listener on a loopback socket."""
        listener = Listener(ListenerConfig(port=0, **config), self.pipeline)
        await listener.start()
        limits = httpx.Limits(max_connections=200)
        try:
            async with httpx.AsyncClient(
                base_url=f"http://{listener.address}", trust_env=False, verify=False, limits=limits
            ) as client:
                yield client
        finally:
            await listener.stop()


def body(key: str = "", **fields: Any) -> dict[str, Any]:
    """A LONG of 0.01 BTCUSDT; `fields` are added or replaced, None removes one."""
    said = {"apiKey": key, "exchange": "paper", "action": "LONG", "symbol": "BTCUSDT", "quantity": "0.01"} | fields
    return {name: value for name, value in said.items() if value is not None}


def code(response: httpx.Response) -> tuple[int, str | None]:
    """Status and code of an answer, after a look at its shape."""
    answer = json.loads(response.content)
    assert set(answer) == {"success", "result", "error", "code", "requestId"}
    return response.status_code, answer["code"]


async def raw(client: httpx.AsyncClient, *parts: bytes, pause_s: float = 0) -> bytes:
    """Send bytes as they are and read until the other side closes."""
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def told(answer: bytes) -> tuple[int, str]:
    head, _, said = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(said)["code"]


def head(length: int | str, *lines: str) -> bytes:
    said = ["POST /webhook HTTP/1.1", "Host: x", "Content-Type: application/json", f"Content-Length: {length}", *lines]
    return "\r\n".join([*said, "", ""]).encode()
