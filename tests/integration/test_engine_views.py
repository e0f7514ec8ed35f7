"""What a screen may see and ask of a real engine while a commit hangs, or with numbers no market has."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

from engine.link.local import InProcessLink
from engine.link.messages import Ack
from engine.model.command import PlaceOrder, SetKill
from engine.model.market import Side
from engine.model.order import OrderType
from engine.runtime import Engine, EngineConfig
from engine.views import BookView, PositionsView
from tests.engine_process import until

BTC = "sim.perp:BTCUSDT"


def market_buy(request_id: str, size: str = "0.01") -> PlaceOrder:
    return PlaceOrder(
        request_id=request_id, instrument=BTC, side=Side.BUY, type=OrderType.MARKET, size=Decimal(size), leverage=10
    )


async def started(path: Path) -> tuple[Engine, InProcessLink]:
    engine = Engine(EngineConfig(env="sim", feed="simulated", ledger=path, rate=200.0))
    await engine.start()

    async def begin() -> object:
        return engine.hub

    link = InProcessLink(begin)  # type: ignore[arg-type]
    await link.start()
    link.subscribe(("status", "positions", f"book:{BTC}"))
    link.set_armed(True)
    await until(lambda: not (f"book:{BTC}" not in link.views or "positions" not in link.views))
    return engine, link


class Hung(NamedTuple):
    """An engine that has decided to buy, and whose commit of that does not come through until it is let go."""

    engine: Engine
    link: InProcessLink
    bought: asyncio.Task[Ack]
    let_go: Callable[[], object]


@pytest.fixture
async def hung(tmp_path: Path) -> AsyncIterator[Hung]:
    path = tmp_path / "sim.sqlite"
    engine, link = await started(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        bought = asyncio.create_task(link.submit(market_buy("slow")))
        await until(lambda: bool(engine.keeper.desk.state.positions))
        yield Hung(engine, link, bought, lambda: blocker.execute("ROLLBACK"))
    await link.close()
    await engine.stop("test")


async def test_nothing_recorded_is_shown_or_answered_before_its_commit_while_prices_go_on(hung: Hung) -> None:
    link = hung.link
    book = link.views[f"book:{BTC}"]
    assert isinstance(book, BookView)
    await until(lambda: link.views[f"book:{BTC}"] is not book)
    assert not hung.bought.done()
    positions = link.views["positions"]
    assert isinstance(positions, PositionsView)
    assert positions.rows == ()
    assert (await link.query("positions"))["rows"] == []
    hung.let_go()
    assert (await hung.bought).ok
    assert (await link.query("positions"))["rows"]


async def test_what_is_asked_while_a_commit_is_under_way_is_answered_with_what_it_commits(hung: Hung) -> None:
    asked = asyncio.create_task(hung.link.query("positions"))
    await asyncio.sleep(0)
    hung.let_go()
    assert (await asked)["rows"]
    assert (await hung.bought).ok


async def test_what_a_slow_disk_does_not_let_an_engine_say_is_refused_with_the_reason(hung: Hung) -> None:
    with pytest.raises(RuntimeError, match="events wait for a slow disk; ask again"):
        await hung.link.query("trades")
    hung.let_go()
    assert (await hung.bought).ok


async def test_a_slow_disk_is_no_reason_to_answer_without_what_was_answered_as_done(tmp_path: Path) -> None:
    path = tmp_path / "sim.sqlite"
    engine, link = await started(path)
    link.subscribe(("status",))
    blocker = sqlite3.connect(path, isolation_level=None)
    try:
        assert (await link.submit(market_buy("done"))).ok
        await until(lambda: bool(engine.keeper.desk.state.positions))
        await engine.keeper.durable(engine.keeper.desk.state.seq)
        assert (await link.query("positions"))["rows"]
        blocker.execute("BEGIN IMMEDIATE")
        asked = asyncio.create_task(link.submit(SetKill(request_id="slow", on=True)))
        await until(lambda: engine.keeper.desk.state.kill)
        with pytest.raises(RuntimeError, match="events wait for a slow disk; ask again"):
            await link.query("positions")
        blocker.execute("ROLLBACK")
        assert (await asked).ok
        assert (await link.query("positions"))["rows"]
    finally:
        blocker.close()
        await link.close()
        await engine.stop("test")


async def test_a_preview_of_numbers_no_market_has_is_a_refusal_and_keeps_the_line(tmp_path: Path) -> None:
    engine, link = await started(tmp_path / "sim.sqlite")
    try:
        for size in ("1E30", "1E400", "-1", "NaN"):
            shown = await link.preview(market_buy("draft", size))
            assert shown.errors, size
        assert (await link.preview(market_buy("draft"))).errors == ()
    finally:
        await link.close()
        await engine.stop("test")


async def test_the_simulated_market_resumes_from_its_last_price(tmp_path: Path) -> None:
    path = tmp_path / "sim.sqlite"
    engine, link = await started(path)
    await link.close()
    await engine.stop("test")
    last = engine.keeper.desk.marks()[BTC]
    again, link = await started(path)
    try:
        assert again.keeper.desk.state.marks[BTC] == last
    finally:
        await link.close()
        await again.stop("test")


async def test_a_request_id_is_taken_in_once_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's memory of ids is bounded, the ledger's is not: a repeat of an old one gets its first outcome."""
    monkeypatch.setattr("engine.core.fold.KEEP_REQUESTS", 8)
    monkeypatch.setattr("engine.runtime.port.KEEP_REQUESTS", 8)
    monkeypatch.setattr("engine.runtime.port.KEEP_ACKS", 2)
    engine, link = await started(tmp_path / "sim.sqlite")
    try:
        first = await link.submit(market_buy("once"))
        assert first.ok
        for number in range(12):
            assert (await link.submit(SetKill(request_id=f"k{number}", on=False))).ok
        assert "once" not in engine.keeper.desk.state.requests
        made = engine.keeper.desk.state.orders_made
        assert engine.port.known("once")
        assert not engine.port.known("never")
        assert await link.submit(market_buy("once")) == first
        assert engine.keeper.desk.state.orders_made == made
        assert (await link.submit(market_buy("never"))).ok
    finally:
        await link.close()
        await engine.stop("test")
