"""A real engine process that takes signals, and senders that speak HTTP to it over loopback sockets."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import closing, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from engine.clock import wall_ns
from engine.intake.enroll import Enrolled, add
from engine.intake.sources import Source
from engine.ledger.replay import connect_readonly
from engine.model.account import RiskLimits
from engine.model.signal import Policy, SameSide, SourceMode
from engine.runtime import EngineConfig
from engine.runtime.config import IntakeConfig
from tests.engine_process import config_for

ADDS = Policy(mode=SourceMode.TRADE, same_side=SameSide.ADD)
LOGS = Policy(mode=SourceMode.LOG, same_side=SameSide.ADD)
RICH = Decimal(1_000_000_000)


class Answered(NamedTuple):
    """An answer's status and JSON body."""

    status: int
    body: dict[str, Any]

    @property
    def code(self) -> tuple[int, str | None]:
        return self.status, self.body["code"]


def free_port() -> int:
    """One that nobody listens at."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def taking(folder: Path, link: Path | None = None, **intake: Any) -> EngineConfig:
    """An engine in `folder` with money for everything, and a listener on a port of its own."""
    given = {"home": folder, "webhook": f"127.0.0.1:{free_port()}", "address_rate": 100_000.0} | intake
    limits = RiskLimits(max_order_notional=RICH, max_position_notional=RICH)
    return config_for(
        folder, link, intake=IntakeConfig(**given), start_balance=RICH, limits=limits, volatility=1.0, rate=100.0
    )


def enrolled(folder: Path, name: str = "tv", policy: Policy = ADDS, **more: Any) -> Enrolled:
    """A source that may send as fast as it likes."""
    source = Source(name, policy=policy, **({"rate": 100_000.0, "burst": 100_000} | more))
    return add(folder, source, base_url="http://127.0.0.1:8787", now_ns=wall_ns())


def alert(api_key: str, key: str | None = None, **fields: Any) -> bytes:
    """The body of a LONG of 0.002 BTCUSDT; `fields` are added or replaced, None removes one."""
    said = {
        "apiKey": api_key, "exchange": "paper", "action": "LONG", "symbol": "BTCUSDT", "quantity": "0.002",
        "idempotencyKey": key, **fields,
    }  # fmt: skip
    return json.dumps({name: value for name, value in said.items() if value is not None}).encode()


class Sender:
    """One keep-alive connection, opened when it is needed. Raises OSError when the other side is gone."""

    def __init__(self, webhook: str) -> None:
        host, _, port = webhook.rpartition(":")
        self._at = host, int(port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self) -> None:
        """Connect, unless it is."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._at)

    async def post(self, body: bytes, path: str = "/webhook", **headers: str) -> Answered:
        """Send a request and read its answer."""
        await self.send(body, path, **headers)
        return await self.answer()

    async def send(self, body: bytes, path: str = "/webhook", *, promised: int = 0, **headers: str) -> None:
        """Send a request; with fewer bytes than `promised` the listener waits for the rest."""
        await self.open()
        assert self._streams is not None
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{more}content-length: {promised or len(body)}\r\n\r\n"
        self._streams[1].write(head.encode() + body)

    async def answer(self) -> Answered:
        """Read one answer."""
        assert self._streams is not None
        reader = self._streams[0]
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            body = await reader.readexactly(length)
        except (asyncio.IncompleteReadError, OSError) as error:
            await self.close()
            raise ConnectionResetError("the listener is gone") from error
        if "connection: close" in head:
            await self.close()
        return Answered(int(head.split()[1]), json.loads(body))

    async def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            writer, self._streams = self._streams[1], None
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def listening(webhook: str, seconds: float = 30) -> None:
    """Wait until somebody listens there."""
    host, _, port = webhook.rpartition(":")
    async with asyncio.timeout(seconds):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(host, int(port))
                writer.close()
                return
            await asyncio.sleep(0.01)


async def reads(ledger: Path, sql: str, *wanted: tuple[Any, ...], seconds: float = 60) -> None:
    """Wait until the ledger's file gives these rows."""
    async with asyncio.timeout(seconds):
        while rows(ledger, sql) != list(wanted):  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.05)


def rows(ledger: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """What the ledger's file says."""
    with closing(connect_readonly(ledger)) as db:
        return list(db.execute(sql, values))
