"""The engine as a process: its screens may die, a second one is refused, it stops when told to."""

# ruff: noqa: ASYNC220, ASYNC222, ASYNC240 - nothing else runs on this loop
from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from engine.ledger.verify import verify
from engine.link.hub import Kind
from engine.model import event as ev
from engine.model.command import PlaceOrder
from engine.model.market import Side
from engine.model.order import OrderType
from tests.engine_process import BTC, ROOT, EngineProcess, attached, config_for, events_of, loaded, until

SCREEN = """
import asyncio, sys
from decimal import Decimal
from pathlib import Path
from engine.model.command import PlaceOrder
from engine.model.market import Side
from engine.model.order import OrderType, TriggerSource
from tests.engine_process import BTC, attached, until

async def main():
    link = await attached(Path(sys.argv[1]), "screen")
    link.subscribe((f"book:{BTC}", "positions", "orders"))
    link.set_armed(True)
    await until(lambda: f"book:{BTC}" in link.views and link.views["status"].armed)
    price = Decimal(link.views[f"book:{BTC}"].asks[0].price)
    for i in range(1, 9):
        for side, way in ((Side.BUY, 1), (Side.SELL, -1)):
            level = (price * (1 + Decimal(way * i * 30) / 10_000)).quantize(Decimal("0.1"))
            await link.submit(PlaceOrder(
                request_id=f"{side}{i}", instrument=BTC, side=side, type=OrderType.STOP, size=Decimal("0.002"),
                trigger=level, source=TriggerSource.LAST))
    print("armed", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""

Start = Callable[..., EngineProcess]
Screen = subprocess.Popen[str]


@pytest.fixture
def socket() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hoox-") as folder:
        yield Path(folder) / "e.sock"


@pytest.fixture
def start(tmp_path: Path, socket: Path) -> Iterator[Start]:
    """Starts engines of this test's ledger; none is left behind."""
    engines: list[EngineProcess] = []

    def one(**changes: object) -> EngineProcess:
        engines.append(EngineProcess(config_for(tmp_path, socket, **changes)))
        return engines[-1]

    yield one
    for engine in engines:
        engine.kill()


@pytest.fixture
async def screen(start: Start, socket: Path) -> Iterator[Screen]:
    """An engine with a screen in a process of its own: it holds the hand, is armed, and left stops on both sides."""
    start()
    await (await attached(socket, "first", Kind.COMMAND)).close()
    process = subprocess.Popen([sys.executable, "-c", SCREEN, str(socket)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "armed\n"
    yield process
    process.kill()
    process.communicate()


def fired_after(ledger: Path, seq: int) -> bool:
    return any(event.seq > seq and isinstance(event.body, ev.TriggerFired) for event in events_of(ledger))


async def test_stops_fire_after_the_screen_was_killed_and_the_hand_is_free(
    screen: Screen, socket: Path, tmp_path: Path
) -> None:
    watcher = await attached(socket, "watcher", Kind.COMMAND)
    try:
        await until(lambda: watcher.views["status"].armed)
        assert watcher.views["status"].hand.startswith("screen#")
        screen.kill()
        screen.wait()
        seq = events_of(tmp_path / "sim.sqlite")[-1].seq
        await until(lambda: watcher.views["status"].hand == "")
        assert not watcher.views["status"].armed
        await until(lambda: fired_after(tmp_path / "sim.sqlite", seq))
    finally:
        await watcher.close()


async def stand_still(screen: Screen, ledger: Path, seconds: float) -> None:
    """SIGSTOP for so long; stops fire meanwhile, and the screen goes on afterwards."""
    screen.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, screen.pid, os.WSTOPPED | os.WNOWAIT)
    seq = events_of(ledger)[-1].seq
    await asyncio.sleep(seconds)
    await until(lambda: fired_after(ledger, seq))
    screen.send_signal(signal.SIGCONT)
    assert screen.poll() is None


async def test_stops_fire_while_the_screen_stands_still(screen: Screen, tmp_path: Path) -> None:
    await stand_still(screen, tmp_path / "sim.sqlite", 0)


@pytest.mark.soak
async def test_stops_fire_while_the_screen_stands_still_for_5_s(screen: Screen, tmp_path: Path) -> None:
    await stand_still(screen, tmp_path / "sim.sqlite", 5)


async def test_a_second_engine_is_refused_and_told_who_holds_the_ledger(start: Start, socket: Path) -> None:
    first = start()
    link = await attached(socket)
    try:
        code, words = start().ended()
        assert code == 1
        assert f"is held by pid {first.pid} since" in words.splitlines()[-1]
        await link.query("status")
    finally:
        await link.close()


async def test_a_dead_engines_socket_is_replaced(start: Start, socket: Path) -> None:
    first = start()
    await (await attached(socket)).close()
    first.kill()
    assert socket.exists()
    second = start()
    link = await attached(socket)
    assert link.welcome is not None
    assert link.welcome.pid == second.pid
    await link.close()


@pytest.mark.parametrize("way", ["SIGTERM", "SIGHUP", "StopEngine"])
async def test_a_clean_stop_leaves_nothing_to_recover(start: Start, socket: Path, tmp_path: Path, way: str) -> None:
    engine = start()
    link = await attached(socket)
    if way == "StopEngine":
        link.stop_engine(way)
    else:
        engine.send(signal.Signals[way])
    await until(lambda: link.stopped)
    code, words = engine.ended()
    assert code == 0, words
    await link.close()
    assert not socket.exists()
    events = events_of(tmp_path / "sim.sqlite")
    assert events[-1].body == ev.EngineStopped(way)
    assert loaded(config_for(tmp_path)).seq == events[-1].seq
    assert verify(tmp_path / "sim.sqlite").ok
    start()
    link = await attached(socket)
    assert link.views["status"].recovery == ""
    await link.close()


async def test_after_a_clean_stop_with_a_position_the_start_says_resumed(start: Start, socket: Path) -> None:
    engine = start(volatility=0.1)
    link = await attached(socket)
    link.set_armed(True)
    order = PlaceOrder(
        request_id="one", instrument=BTC, side=Side.BUY, type=OrderType.MARKET, size=Decimal("0.01"), leverage=2
    )
    assert (await link.submit(order)).ok
    await until(lambda: link.views["status"].open_positions == 1)
    engine.send(signal.SIGTERM)
    engine.ended()
    start()
    await until(lambda: link.views["status"].epoch == 2)
    status = link.views["status"]
    assert status.recovery.startswith("resumed: 1 position, 0 orders")
    assert (status.open_positions, status.armed) == (1, False)
    await link.close()
