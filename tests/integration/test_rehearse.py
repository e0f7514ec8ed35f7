"""Rehearsal: a real engine sends its orders over a bad line to an exchange, and is killed; both are of one mind again."""

# ruff: noqa: ASYNC110 - what is waited for happens in another process
from __future__ import annotations

import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from itertools import count
from pathlib import Path

import pytest

from engine.ledger.verify import verify
from engine.link.client import SocketLink
from engine.model import event as ev
from engine.model.command import AnyCommand, CancelAll, CancelOrder, FlattenAll, PlaceOrder
from engine.model.market import Side
from engine.model.order import OrderStatus, OrderType
from engine.runtime import StartError
from engine.runtime.rehearsal import BAD_LINE
from engine.sim.faults import Fault, Faults
from engine.sim.memory import Change, read
from tests.engine_process import (
    BTC,
    EngineProcess,
    attached,
    buy,
    config_for,
    events_of,
    loaded,
    priced,
    running,
    until,
)

KILLS = 1
DRAWS = 500
"""More requests than the engines of a test make."""
D = Decimal


def _calm(seed: int, epochs: int) -> bool:
    """No outage, which would last for minutes."""
    faults = [Faults(f"{seed}/{epoch}", {Fault.OUTAGE: BAD_LINE[Fault.OUTAGE]}) for epoch in range(1, epochs + 1)]
    return not any(fault.hits(Fault.OUTAGE) for fault in faults for _ in range(DRAWS // epochs))


def _seed(epochs: int) -> int:
    return next(seed for seed in count(1) if _calm(seed, epochs))


@pytest.fixture
def socket() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hoox-") as folder:
        yield Path(folder) / "e.sock"


def _changes(folder: Path) -> list[Change]:
    (memory,) = folder.glob("*.exchange-*")
    return read(memory)


def _position(changes: list[Change]) -> Decimal:
    return changes[-1].position if changes else D(0)


async def _settled(link: SocketLink) -> None:
    """Nothing is on its way and nothing unknown."""
    async with asyncio.timeout(90):
        while True:
            rows = (await link.query("orders"))["rows"]
            if not any(row["status"] in ("SENT", "UNKNOWN", "CREATED") for row in rows):
                return
            await asyncio.sleep(0.1)


async def _trade(link: SocketLink, draw: random.Random, name: str) -> None:
    """Somebody who does not wait for answers; until cancelled."""
    link.subscribe((f"book:{BTC}", "orders"))
    link.set_armed(True)
    await until(lambda: f"book:{BTC}" in link.views and link.views["status"].armed)
    tasks = []
    try:
        for number in count():
            price = D(link.views[f"book:{BTC}"].asks[0].price)
            rows = [row.id for row in getattr(link.views.get("orders"), "rows", ())]
            request = f"{name}-{number}"
            command: AnyCommand = PlaceOrder(
                request_id=request,
                instrument=BTC,
                side=draw.choice((Side.BUY, Side.SELL)),
                type=OrderType.LIMIT,
                size=D("0.01"),
                price=(price * draw.choice((D("0.99"), D(1), D("1.01")))).quantize(D("0.1")),
            )
            if rows and draw.random() < 0.3:
                command = CancelOrder(request_id=request, order=draw.choice(rows))
            tasks.append(asyncio.create_task(link.submit(command)))
            await asyncio.sleep(0.1)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_an_order_goes_to_the_exchange_and_comes_back(tmp_path: Path) -> None:
    config = config_for(tmp_path, rehearse=True, volatility=1.0, seed=_seed(1))
    async with running(config) as (engine, link):
        price = await priced(link)
        assert link.views["status"].prices == "SIMULATED PRICES"
        assert link.views["status"].rehearsal
        resting = PlaceOrder(
            request_id="rests", instrument=BTC, side=Side.BUY, type=OrderType.LIMIT, size=D("0.02"),
            price=(price * D("0.9")).quantize(D("0.1")),
        )  # fmt: skip
        for command in (resting, buy("b1"), buy("b2"), buy("b3")):
            assert (await link.submit(command)).ok
        assert engine.keeper is not None
        state = engine.keeper.desk.state
        await until(lambda: [o.status for o in state.orders.values()] == [OrderStatus.ACCEPTED], 60)
        await until(lambda: sum(p.size for p in state.positions.values()) == D("0.03"), 60)
        assert _position(_changes(tmp_path)) == D("0.03")
        assert (await link.submit(FlattenAll(request_id="out"))).ok
        await until(lambda: not state.positions and not state.orders, 60)
        assert _position(_changes(tmp_path)) == D(0)
    with pytest.raises(StartError, match="start it with --rehearse"):
        async with running(config_for(tmp_path)):
            pass


async def test_a_paper_ledger_is_not_rehearsed_on(tmp_path: Path) -> None:
    async with running(config_for(tmp_path)):
        pass
    with pytest.raises(StartError, match=r"rehearse: sim\.sqlite trades on paper; choose a new file"):
        async with running(config_for(tmp_path, rehearse=True)):
            pass


async def test_kill_9_of_a_rehearsing_engine_loses_nothing(tmp_path: Path, socket: Path) -> None:
    draw = random.Random(3)
    config = config_for(tmp_path, socket, rehearse=True, volatility=5.0, seed=_seed(KILLS + 1))
    for kill in range(KILLS):
        engine = EngineProcess(config)
        link = await attached(socket)
        trading = asyncio.create_task(_trade(link, draw, f"k{kill}"))
        await asyncio.sleep(draw.uniform(1.0, 2.0))
        engine.kill()
        trading.cancel()
        await asyncio.gather(trading, return_exceptions=True)
        await link.close()
    engine = EngineProcess(config)
    try:
        link = await attached(socket)
        trading = asyncio.create_task(_trade(link, draw, "last"))
        await until(lambda: any(change.order.fills for change in _changes(tmp_path)), 60)
        trading.cancel()
        await asyncio.gather(trading, return_exceptions=True)
        await link.submit(CancelAll(request_id="all"))
        await _settled(link)
        await link.submit(FlattenAll(request_id="flat"))
        async with asyncio.timeout(90):
            while (await link.query("positions"))["rows"] or (await link.query("orders"))["rows"]:
                await asyncio.sleep(0.1)
        await link.close()
    finally:
        engine.kill()
    changes = _changes(tmp_path)
    assert _position(changes) == D(0)
    assert not [change.order for change in changes if change.order.live]
    named = Counter(change.order.client_id for change in changes)
    assert max(named.values()) == 1, "an order was doubled"
    assert verify(config.ledger).ok
    state = loaded(config)
    assert not state.positions
    assert not state.orders
    filled = {fill.fill_id for change in changes for fill in change.order.fills}
    booked = Counter(
        event.body.fill_id
        for event in events_of(config.ledger)
        if isinstance(event.body, ev.OrderFilled) and not event.body.part
    )
    assert set(booked) == filled
    assert max(booked.values()) == 1
