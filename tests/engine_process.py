"""A real engine in a process of its own, and a scripted trader at its socket."""

# ruff: noqa: ASYNC110 - what is waited for happens in another process
from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from engine.core.state import State, encode_state
from engine.ledger.replay import connect_readonly, replay, verified_events
from engine.ledger.store import Ledger
from engine.link.base import LinkState
from engine.link.client import SocketLink
from engine.link.hub import Hub, Kind
from engine.link.local import InProcessLink
from engine.link.messages import Ack
from engine.model import event as ev
from engine.model.command import (
    AmendOrder,
    AnyCommand,
    CancelAll,
    CancelOrder,
    ClosePosition,
    PlaceOrder,
    SetKill,
    SetProtection,
)
from engine.model.event import Event
from engine.model.market import Side
from engine.model.order import OrderType, TriggerSource
from engine.runtime import Engine, EngineConfig

ROOT = Path(__file__).parents[1]
BTC = "sim.perp:BTCUSDT"
START_NS = 1_767_225_600_000_000_000


def config_for(folder: Path, socket: Path | None = None, **changes: Any) -> EngineConfig:
    """A lively simulated market of one symbol."""
    base = EngineConfig(
        env="sim",
        feed="simulated",
        symbols=("BTCUSDT",),
        ledger=folder / "sim.sqlite",
        socket=socket,
        seed=7,
        rate=200.0,
        volatility=50.0,
        latency_ns=2_000_000,
    )
    return msgspec.structs.replace(base, **changes)


class EngineProcess:
    """One engine: started, killed, stopped. Its output is the last thing to read when it ends."""

    def __init__(self, config: EngineConfig) -> None:
        text = msgspec.json.encode(config, enc_hook=str).decode()
        self.config = config
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "hoox_tui.cli.engine", text],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ended(self) -> tuple[int, str]:
        """Wait for its end: exit code and what it wrote."""
        _, words = self._process.communicate(timeout=30)
        return self._process.returncode, words

    def kill(self) -> None:
        """kill -9, if it still runs."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.communicate()


async def attached(socket: Path, name: str = "trader", kind: Kind = Kind.SCREEN) -> SocketLink:
    """A link to the engine at this socket, once it answers."""
    link = SocketLink(socket, name, kind=kind, answer_s=30)
    await link.start()
    async with asyncio.timeout(30):
        while link.state is not LinkState.CONNECTED or "status" not in link.views:
            await asyncio.sleep(0.005)
    return link


async def until(true: Any, seconds: float = 20) -> None:
    """Wait for something that must come true."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.005)


def events_of(ledger: Path) -> list[Event]:
    """All events, their chain verified."""
    with closing(connect_readonly(ledger)) as db:
        return [event for event, _ in verified_events(db)]


def loaded(config: EngineConfig) -> State:
    """The state as a start would find it; equal to a replay of everything, byte for byte, or the test ends here."""
    ledger = Ledger.open(config.ledger, env=config.env, feed=config.feed, now_ns=START_NS)
    try:
        found = ledger.load()
    finally:
        ledger.close()
    assert found.warnings == ()
    assert encode_state(found.state) == encode_state(replay(config.ledger))
    return found.state


class Trader:
    """Sends whatever a person might, as fast as a busy one; remembers what was asked and what was answered."""

    def __init__(self, link: SocketLink, seed: int) -> None:
        self.link = link
        self.asked: dict[str, AnyCommand] = {}
        self.acks: dict[str, Ack] = {}
        self._draw = random.Random(seed)
        self._name = f"s{seed}"
        self._tasks: set[asyncio.Task[None]] = set()

    async def arm(self) -> None:
        """Be allowed to enter, with prices to go by."""
        self.link.subscribe(("positions", "orders", f"book:{BTC}"))
        self.link.set_armed(True)
        await until(lambda: f"book:{BTC}" in self.link.views and self.link.views["status"].armed)
        await self._send(SetKill(request_id=f"{self._name}-off", on=False))

    async def trade(self) -> None:
        """Until cancelled."""
        while True:
            task = asyncio.create_task(self._send(self._command(f"{self._name}-{len(self.asked)}")))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            await asyncio.sleep(self._draw.uniform(0, 0.02))

    async def settled(self) -> None:
        """Every intent is answered, across however many lines it took."""
        await asyncio.gather(*self._tasks)

    async def _send(self, command: AnyCommand) -> None:
        self.asked[command.request_id] = command
        self.acks[command.request_id] = await self.link.submit(command)

    def _command(self, request: str) -> AnyCommand:
        draw = self._draw
        book = self.link.views[f"book:{BTC}"]
        price = Decimal(book.asks[0].price)
        side = draw.choice((Side.BUY, Side.SELL))
        up = 1 if side is Side.BUY else -1
        size = Decimal(draw.randint(1, 20)) / 1000
        orders = [row.id for row in getattr(self.link.views.get("orders"), "rows", ())]
        positions = [row.id for row in getattr(self.link.views.get("positions"), "rows", ())]

        def near(bps: float) -> Decimal:
            return (price * (1 + Decimal(up) * Decimal(str(bps)) / 10_000)).quantize(Decimal("0.1"))

        def place(kind: OrderType, **terms: Any) -> PlaceOrder:
            return PlaceOrder(request_id=request, instrument=BTC, side=side, type=kind, size=size, **terms)

        match draw.randint(0, 11):
            case 0 | 1 | 2:
                source = draw.choice((TriggerSource.MARK, TriggerSource.LAST))
                return place(
                    OrderType.MARKET, leverage=10, take_profit=near(10), stop_loss=near(-10), bracket_source=source
                )
            case 3:
                return place(OrderType.LIMIT, price=near(-draw.uniform(0, 2)))
            case 4:
                return place(OrderType.LIMIT, price=near(-150), take_profit=near(50))
            case 5:
                return place(OrderType.STOP, trigger=near(draw.uniform(2, 30)))
            case 6 if positions:
                return SetProtection(request_id=request, position=draw.choice(positions), trail_bps=Decimal(3))
            case 7 if orders:
                return CancelOrder(request_id=request, order=draw.choice(orders))
            case 8 if orders:
                return AmendOrder(request_id=request, order=draw.choice(orders), size=size)
            case 9 if positions:
                fraction = draw.choice((Decimal("0.5"), Decimal(1)))
                return ClosePosition(request_id=request, position=draw.choice(positions), fraction=fraction)
            case 10:
                return SetKill(request_id=request, on=draw.random() < 0.15, reason="drill")
            case 11 if draw.random() < 0.2:
                return CancelAll(request_id=request)
            case _:
                return place(OrderType.MARKET, leverage=5)


def intents_of(events: list[Event]) -> Counter[str]:
    """How often each request was recorded."""
    return Counter(event.request_id for event in events if isinstance(event.body, ev.IntentCreated))


@asynccontextmanager
async def running(config: EngineConfig) -> AsyncIterator[tuple[Engine, InProcessLink]]:
    """An engine on this loop and an armed screen; both are gone afterwards."""
    engine = Engine(config)
    await engine.start()

    async def hub() -> Hub:
        return engine.hub

    link = InProcessLink(hub)
    await link.start()
    link.subscribe(("positions", "orders", "log", f"book:{BTC}"))
    link.set_armed(True)
    try:
        await until(lambda: "status" in link.views)
        yield engine, link
    finally:
        await link.close()
        await engine.stop("the test is over")


def buy(request: str, size: str = "0.01", **terms: Any) -> PlaceOrder:
    """A market entry."""
    return PlaceOrder(
        request_id=request, instrument=BTC, side=Side.BUY, type=OrderType.MARKET, size=Decimal(size), **terms
    )


async def priced(link: InProcessLink | SocketLink) -> Decimal:
    """The best ask, once there is one."""
    await until(lambda: f"book:{BTC}" in link.views and link.views[f"book:{BTC}"].asks)
    return Decimal(link.views[f"book:{BTC}"].asks[0].price)


async def long_position(link: InProcessLink | SocketLink) -> str:
    """Buy with a take profit and a stop some way off; the position's id once it is shown."""
    price = await priced(link)
    profit, loss = ((price * Decimal(factor)).quantize(Decimal("0.1")) for factor in ("1.05", "0.95"))
    ack = await link.submit(buy("open", leverage=10, take_profit=profit, stop_loss=loss))
    assert ack.ok, ack
    await until(lambda: link.views["positions"].rows)
    return link.views["positions"].rows[0].id
