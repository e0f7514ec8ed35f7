"""Writes the ledger that later programs must still open: `python -m tests.ledger_fixture`, with the last commit of a schema.

A real engine trades on the simulated market for some twenty seconds; what it leaves is compressed, with its HEAD.
"""

from __future__ import annotations

import asyncio
import gzip
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.clock import mono_ns
from engine.ledger import schema
from engine.ledger.head import head_path
from engine.ledger.verify import verify
from engine.link.port import GRANTED
from engine.model import command as cmd
from engine.model.market import Side
from engine.model.order import OrderType
from engine.runtime import Engine, EngineConfig
from tests.ledger_shapes import FOLDER

D = Decimal
BTC, ETH = "sim.perp:BTCUSDT", "sim.perp:ETHUSDT"


async def trade(path: Path) -> None:
    """Entries with brackets and a trail, partial closes, refusals, cancels, the kill switch, money, a snapshot or two."""
    engine = Engine(EngineConfig(env="sim", feed="simulated", symbols=("BTCUSDT", "ETHUSDT"), ledger=path, seed=7))
    await engine.start()
    await asyncio.sleep(1)
    desk, asked = engine.keeper.desk, 0

    async def ask(make: Any, **fields: Any) -> tuple[str, ...]:
        nonlocal asked
        asked += 1
        command = make(request_id=f"fixture-{asked}", **fields)
        ack = await engine.port.submit(command, entry=GRANTED, key_ns=0, received_ns=mono_ns())
        await asyncio.sleep(0.15)
        return tuple(ack.orders)

    market = desk.kernel.market(BTC).quote
    assert market is not None
    bid = market.bid_price
    buy: dict[str, Any] = {"instrument": BTC, "side": Side.BUY}
    sell = {"side": Side.SELL, "type": OrderType.MARKET}
    resting = {"type": OrderType.LIMIT, "price": bid * D("0.97")}
    brackets = {"take_profit": bid * D("1.05"), "stop_loss": bid * D("0.95")}
    await ask(cmd.PlaceOrder, **buy, type=OrderType.MARKET, size=D("0.05"), leverage=10, **brackets)
    await ask(cmd.PlaceOrder, instrument=ETH, **sell, size=D("0.5"), leverage=5)
    orders = [await ask(cmd.PlaceOrder, **buy, size=D("0.01"), **resting) for _ in range(2)]
    await ask(cmd.PlaceOrder, **buy, size=D(500), **resting)
    short = next(position.id for position in desk.state.positions.values() if position.instrument == ETH)
    await ask(cmd.SetProtection, position=short, trail_bps=D(50))
    await ask(cmd.ClosePosition, position=short, fraction=D("0.5"))
    await ask(cmd.PlaceOrder, instrument=BTC, **sell, size=D("0.02"))
    await ask(cmd.CancelOrder, order=orders[0][0])
    await ask(cmd.AmendOrder, order=orders[1][0], size=D("0.02"))
    await ask(cmd.SetKill, on=True, reason="fixture")
    await ask(cmd.SetKill, on=False)
    await ask(cmd.Deposit, asset="USDT", amount=D(500))
    await asyncio.sleep(11)
    await engine.stop("fixture written")


def main() -> None:
    """Write it into the folder of fixtures."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sim.sqlite"
        asyncio.run(trade(path))
        report = verify(path)
        assert report.ok, report.lines
        name = f"schema-{schema.SCHEMA_VERSION}"
        (FOLDER / f"{name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        (FOLDER / f"{name}.head").write_bytes(head_path(path).read_bytes())
    print(f"{name}.gz: {report.events} events")


if __name__ == "__main__":
    main()
