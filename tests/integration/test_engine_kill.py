"""kill -9 of the engine, at random moments: nothing acknowledged is lost, nothing is done twice, nothing is changed."""

from __future__ import annotations

import asyncio
import random
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from engine.core.state import State, encode_state
from engine.ledger.replay import replay
from engine.ledger.verify import verify
from engine.link.client import SocketLink
from engine.model import event as ev
from engine.model.event import Event
from engine.runtime import EngineConfig
from engine.views import format as fmt
from tests.engine_process import EngineProcess, Trader, attached, config_for, events_of, intents_of, loaded, until

UNRECORDED = {"DISARMED", "NOT_HAND"}


@pytest.fixture
def socket() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hoox-") as folder:
        yield Path(folder) / "e.sock"


def check_acknowledged(trader: Trader, events: list[Event]) -> None:
    """What was answered is in the ledger exactly once, with the orders the answer named."""
    intents = intents_of(events)
    orders = {event.body.terms.id: event for event in events if isinstance(event.body, ev.OrderCreated)}
    for request, ack in trader.acks.items():
        assert intents[request] == (ack.code not in UNRECORDED), (request, ack)
        assert all(orders[order].request_id == request for order in ack.orders)
    assert max(intents.values(), default=0) <= 1


async def shown_and_recorded(link: SocketLink, ledger: Path) -> tuple[dict[str, object], State]:
    """What the engine shows, and the replayed state, at one and the same event."""
    while True:
        before = await link.query("engine")
        shown = {name: (await link.query(name))["rows"] for name in ("positions", "orders", "balance")}
        after = await link.query("engine")
        if before["seq"] == after["durable_seq"] == after["seq"]:
            return shown, replay(ledger, until_seq=after["seq"])
        await asyncio.sleep(0.01)


def check_shown(shown: dict[str, object], state: State) -> None:
    instruments = state.instruments
    positions = {
        row["id"]: (row["side"], row["size"], row["entry"], row["liquidation"], row["leverage"])
        for row in shown["positions"]
    }
    assert positions == {
        position.id: (
            "L" if position.size > 0 else "S",
            fmt.size(instruments[position.instrument], abs(position.size)),
            fmt.price(instruments[position.instrument], position.entry),
            fmt.price(instruments[position.instrument], position.liquidation),
            position.leverage,
        )
        for position in state.positions.values()
    }
    orders = {
        row["id"]: (row["status"], row["size"], row["filled"], row["price"], row["trigger"]) for row in shown["orders"]
    }
    assert orders == {
        order.id: (
            str(order.status),
            fmt.size(instruments[order.terms.instrument], order.size),
            fmt.size(instruments[order.terms.instrument], order.filled),
            fmt.price(instruments[order.terms.instrument], order.price),
            fmt.price(instruments[order.terms.instrument], order.trigger),
        )
        for order in state.orders.values()
    }
    (account,) = state.accounts.values()
    assert {row["asset"]: row["wallet"] for row in shown["balance"]} == {
        asset: f"{wallet:.2f}" for asset, wallet in account.balances.items()
    }


def shows_epoch(link: SocketLink, epoch: int) -> bool:
    return link.views["status"].epoch == epoch


async def kill_and_come_back(config: EngineConfig, kills: int, draw: random.Random) -> list[Event]:
    """Trade, kill, compare, start again; the trader's line comes back by itself and asks again for what was not answered."""
    assert config.socket is not None
    engine = EngineProcess(config)
    link = await attached(config.socket)
    try:
        for _ in range(kills):
            trader = Trader(link, draw.randrange(1_000_000))
            await trader.arm()
            trading = asyncio.create_task(trader.trade())
            await asyncio.sleep(draw.uniform(0.1, 0.8))
            engine.send(signal.SIGKILL)
            engine.ended()
            trading.cancel()
            with suppress(asyncio.CancelledError):
                await trading

            check_acknowledged(trader, events_of(config.ledger))
            before = loaded(config)
            report = verify(config.ledger)
            assert report.ok, report.lines

            engine = EngineProcess(config)
            epoch = before.epoch + 1
            await until(partial(shows_epoch, link, epoch))
            await trader.settled()
            assert trader.asked.keys() == trader.acks.keys()
            shown, state = await shown_and_recorded(link, config.ledger)
            check_shown(shown, state)

            events = events_of(config.ledger)
            check_acknowledged(trader, events)
            assert encode_state(replay(config.ledger, until_seq=before.seq)) == encode_state(before)
            (started,) = [e.body for e in events if e.epoch == epoch and isinstance(e.body, ev.EngineStarted)]
            if before.positions or before.orders:
                counts = ((len(before.positions), "position"), (len(before.orders), "order"))
                found = ", ".join(f"{number} {noun}{'' if number == 1 else 's'}" for number, noun in counts)
                assert started.recovered.startswith(f"recovered after a crash: {found}")
                assert link.views["status"].recovery == started.recovered
        link.stop_engine("the test is over")
        code, words = engine.ended()
        assert code == 0, words
    finally:
        engine.kill()
        await link.close()
    assert verify(config.ledger).ok
    return events_of(config.ledger)


async def test_five_kills_lose_nothing(tmp_path: Path, socket: Path) -> None:
    events = await kill_and_come_back(config_for(tmp_path, socket), 5, random.Random(5))
    seen = {type(event.body) for event in events}
    assert {ev.OrderFilled, ev.OrderAccepted, ev.OrderHeld, ev.OrderCancelled} <= seen


@pytest.mark.soak
async def test_fifty_kills_lose_nothing(tmp_path: Path, socket: Path) -> None:
    events = await kill_and_come_back(config_for(tmp_path, socket), 50, random.Random(50))
    seen = {type(event.body) for event in events}
    assert {ev.TriggerFired, ev.TriggerMoved, ev.KillChanged, ev.OrderAmended, ev.OrderResized} <= seen
