"""What goes wrong inside: nothing half-decided is kept, nothing that was not written is shown, nobody waits for ever."""

# ruff: noqa: ASYNC240 - nothing else runs on this loop
from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import threading
from collections.abc import Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from unittest.mock import Mock

import pytest

from engine.core import intents
from engine.core.desk import Desk
from engine.core.inputs import Input, Tick
from engine.core.kernel import Kernel
from engine.feeds.base import Sink
from engine.feeds.simulated.feed import SimulatedFeed
from engine.ledger import writer
from engine.ledger.verify import verify
from engine.link import killflag
from engine.link.local import InProcessLink
from engine.model import event as ev
from engine.model.command import AnyCommand, ClosePosition, Deposit, SetKill
from engine.model.event import Event
from engine.model.market import StreamState, Trade
from engine.runtime import Engine, flag, player, port
from engine.runtime import engine as runtime
from engine.runtime.status import StatusSource
from engine.views import Mode
from tests.engine_process import (
    attached,
    buy,
    config_for,
    events_of,
    intents_of,
    loaded,
    long_position,
    priced,
    running,
    until,
)


def half_then_fail(kernel: Kernel, account: str, command: AnyCommand) -> None:
    """A rule with a bug: one fact is made, then it fails."""
    kernel.journal.emit(ev.KillChanged(True, "half"))
    raise RuntimeError("a bug")


def deposit(request: str) -> Deposit:
    return Deposit(request_id=request, asset="USDT", amount=Decimal(1))


def stop_writing(engine: Engine, on: bool = True) -> None:
    """Have SQLite refuse writes, as a disk that was mounted read-only would."""
    assert engine._opened is not None
    assert engine._opened.ledger is not None
    engine._opened.ledger._db.execute(f"PRAGMA query_only = {'ON' if on else 'OFF'}")


async def test_an_intent_the_rules_fail_on_leaves_no_trace_and_the_engine_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_for(tmp_path, volatility=0.1)
    async with running(config) as (_, link):
        position = await long_position(link)
        with monkeypatch.context() as patch:
            patch.setitem(intents._HANDLERS, SetKill, half_then_fail)
            for number in range(5):
                ack = await link.submit(SetKill(request_id=f"k{number}", on=True))
                assert (ack.ok, ack.code) == (False, "NOT_DURABLE")
                assert "a bug" in ack.message
        assert (await link.submit(ClosePosition(request_id="close", position=position))).ok
        await until(lambda: not link.views["positions"].rows)
        assert link.views["status"].mode is Mode.OK
        await until(lambda: any(line.code == "AlarmRaised" for line in link.views["log"].lines))
    events = events_of(config.ledger)
    assert not any(isinstance(event.body, ev.KillChanged) for event in events)
    assert not {"k0", "k1", "k2", "k3", "k4"} & intents_of(events).keys()
    assert not loaded(config).kill
    assert verify(config.ledger).ok


async def test_a_rule_that_fails_on_the_market_again_and_again_ends_in_looking_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, broken, real = config_for(tmp_path, volatility=0.1), asyncio.Event(), Desk._trade

    def trade(desk: Desk, given: Trade) -> None:
        if broken.is_set():
            desk.kernel.journal.emit(ev.KillChanged(True, "half"))
            raise RuntimeError("a bug")
        real(desk, given)

    monkeypatch.setattr(Desk, "_trade", trade)
    async with running(config) as (_, link):
        position = await long_position(link)
        broken.set()
        await until(lambda: link.views["status"].mode is Mode.READ_ONLY)
        assert "a bug" in link.views["status"].mode_reason
        assert link.views["positions"].rows[0].id == position
        ack = await link.submit(deposit("more"))
        assert not ack.ok
        assert "a bug" in ack.message
    events = events_of(config.ledger)
    assert not any(isinstance(event.body, ev.KillChanged) for event in events)
    assert sum(isinstance(event.body, ev.AlarmRaised) for event in events) == 3
    assert verify(config.ledger).ok


async def test_what_could_not_be_written_is_never_shown_and_everyone_is_told(tmp_path: Path) -> None:
    config = config_for(tmp_path, volatility=0.1)
    async with running(config) as (engine, link):
        await priced(link)
        stop_writing(engine)
        acks = await asyncio.gather(*(link.submit(deposit(f"d{n}")) for n in range(20)))
        assert {(ack.ok, ack.code) for ack in acks} == {(False, "NOT_DURABLE")}
        await until(lambda: link.views["status"].mode is Mode.READ_ONLY)
        status = link.views["status"]
        assert "cannot be written" in status.mode_reason
        assert status.seq == status.durable_seq == events_of(config.ledger)[-1].seq
        assert all(line.seq <= status.seq for line in link.views["log"].lines)
        assert not any("deposit" in line.text for line in link.views["log"].lines)
        assert not any("deposit" in line["text"] for line in (await link.query("log"))["lines"])
    assert not {f"d{n}" for n in range(20)} & intents_of(events_of(config.ledger)).keys()
    assert verify(config.ledger).ok


async def test_an_intent_decided_before_the_failure_was_handed_over_is_not_answered_as_done(tmp_path: Path) -> None:
    config = config_for(tmp_path, volatility=0.1)
    async with running(config) as (engine, link):
        await priced(link)
        stop_writing(engine)
        first = asyncio.create_task(link.submit(deposit("first")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert engine.keeper is not None
        assert engine.keeper._writer is not None
        assert not engine.keeper._writer.drain()
        late = await link.submit(deposit("late"))
        again = await link.submit(deposit("first"))
        assert {(late.ok, late.code), ((await first).ok, (await first).code), (again.ok, again.code)} == {
            (False, "NOT_DURABLE")
        }


async def test_a_queue_that_is_full_refuses_and_takes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_for(tmp_path, volatility=0.1)
    async with running(config) as (_, link):
        await long_position(link)
        with monkeypatch.context() as patch:
            patch.setattr(writer, "MAX_PENDING", 1)
            ack = await link.submit(deposit("refused"))
            assert (ack.ok, ack.code) == (False, "NOT_DURABLE")
        assert (await link.submit(deposit("refused"))).ok
        assert link.views["status"].mode is Mode.OK
        assert link.views["positions"].rows
    assert intents_of(events_of(config.ledger))["refused"] == 1
    assert verify(config.ledger).ok


async def test_a_log_that_cannot_be_told_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("no words")

    async with running(config_for(tmp_path, volatility=0.1)) as (_, link):
        monkeypatch.setattr(port, "log_line", fail)
        position = await long_position(link)
        assert (await link.submit(ClosePosition(request_id="close", position=position))).ok
        await until(lambda: not link.views["positions"].rows)


async def test_who_waits_at_shutdown_is_answered(tmp_path: Path) -> None:
    engine = Engine(config_for(tmp_path))
    await engine.start()

    async def hub() -> object:
        return engine.hub

    link = InProcessLink(hub)  # type: ignore[arg-type]
    await link.start()
    asked = [asyncio.create_task(link.submit(deposit(f"d{n}"))) for n in range(50)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await engine.stop("the test is over")
    acks = await asyncio.wait_for(asyncio.gather(*asked), 5)
    intents = intents_of(events_of(engine.config.ledger))
    assert all(intents[ack.request_id] == ack.ok for ack in acks)
    await link.close()


async def test_another_program_that_holds_the_ledger_is_named_and_keeps_no_engine_from_stopping(
    tmp_path: Path,
) -> None:
    folder = Path(tempfile.mkdtemp(prefix="hoox-"))  # a socket's path must be short
    config, named = config_for(tmp_path, folder / "e.sock"), "locked by another program; close it"
    engine = Engine(config)
    await engine.start()
    link = await attached(folder / "e.sock")
    assert engine.keeper is not None
    assert engine.keeper._ledger is not None
    engine.keeper._ledger._db.execute("PRAGMA busy_timeout = 20")  # SQLite's own patience is longer than a test's
    with closing(sqlite3.connect(config.ledger, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        asked = asyncio.create_task(link.submit(deposit("waits")))
        await until(lambda: named in link.views["status"].mode_reason)
        with pytest.raises(RuntimeError, match=f"{named}; ask again"):
            await link.query("trades")
        await asyncio.wait_for(engine.stop("the test is over"), 10)
        ack = await asked
        assert (ack.ok, ack.code) == (False, "NOT_DURABLE")
        assert named in ack.message
    await link.close()
    folder.rmdir()
    assert "waits" not in intents_of(events_of(config.ledger))


async def test_a_queue_that_is_full_because_of_another_program_ends_in_looking_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in a loop that stands still for as long as that program likes."""
    config, named = config_for(tmp_path), "locked by another program; close it"
    async with running(config) as (engine, link):
        assert engine.keeper is not None
        assert engine.keeper._ledger is not None
        engine.keeper._ledger._db.execute("PRAGMA busy_timeout = 20")
        monkeypatch.setattr(writer, "MAX_PENDING", 20)
        with closing(sqlite3.connect(config.ledger, isolation_level=None, check_same_thread=False)) as other:
            other.execute("BEGIN IMMEDIATE")
            stuck = threading.Timer(5, other.execute, ["ROLLBACK"])  # a loop that stands still sees no time limit
            stuck.start()
            asked = [asyncio.create_task(link.submit(deposit("first")))]
            await until(lambda: named in link.views["status"].mode_reason)
            asked += [asyncio.create_task(link.submit(deposit(f"d{number}"))) for number in range(30)]
            acks = await asyncio.wait_for(asyncio.gather(*asked), 10)
            stuck.cancel()
            assert not any(ack.ok for ack in acks)
            await until(lambda: link.views["status"].mode is Mode.READ_ONLY)
            assert named in link.views["status"].mode_reason


async def test_a_status_that_cannot_be_built_takes_no_tick_from_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equity is sampled, the clock watched, and room on the disk noticed, whatever a screen cannot be shown."""
    monkeypatch.setattr(runtime, "TICK_S", 0.02)
    ticks: list[Tick] = []
    async with running(config_for(tmp_path)) as (engine, _):
        assert engine.keeper is not None
        decide = engine.keeper.decide

        def listened(given: Input) -> Sequence[Event]:
            if isinstance(given, Tick):
                ticks.append(given)
            return decide(given)

        monkeypatch.setattr(engine.keeper, "decide", listened)
        monkeypatch.setattr(StatusSource, "view", Mock(side_effect=RuntimeError("a bug")))
        await asyncio.sleep(0.5)
        assert len(ticks) > 5


async def test_a_feed_that_fails_is_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, started = SimulatedFeed.run, asyncio.Event()

    async def fail_once(feed: SimulatedFeed, sink: Sink) -> None:
        if started.is_set():
            await real(feed, sink)
        started.set()
        raise RuntimeError("no more prices")

    monkeypatch.setattr(SimulatedFeed, "run", fail_once)
    monkeypatch.setattr(player, "AGAIN_S", 0.5)
    async with running(config_for(tmp_path, volatility=0.1)) as (_, link):
        await until(lambda: StreamState.DOWN in {stream.state for stream in link.views["status"].streams})
        assert not (await link.submit(buy("early"))).ok
        await long_position(link)


async def test_a_reader_that_does_not_end_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "TICK_S", 0.02)
    monkeypatch.setattr(runtime, "LONG", 1_000_000)
    async with running(config_for(tmp_path)) as (engine, link):
        assert (await link.submit(deposit("long log"))).ok
        await until(lambda: any("reads the ledger and does not end" in line.text for line in link.views["log"].lines))
        for number in range(3):
            assert (await link.submit(deposit(f"d{number}"))).ok
            await asyncio.sleep(0.05)
        assert engine.keeper is not None
        assert sum("-wal has" in text for _, _, text in engine.keeper.desk.state.alarms) == 1


async def test_a_second_engine_that_got_by_the_lock_is_named(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    async with running(config) as (_, link):
        (tmp_path / "sim.sqlite.lock").unlink()
        async with running(config) as (_, other):
            ack = await link.submit(deposit("first"))
            assert (ack.ok, ack.code) == (False, "NOT_DURABLE")
            assert "another engine wrote to it, too; stop both, and start one" in ack.message
            assert (await other.submit(deposit("second"))).ok
    assert verify(config.ledger).ok


async def test_a_view_that_cannot_be_built_ends_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on a screen that shares the engine's loop."""

    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    async with running(config_for(tmp_path)) as (_, link):
        await until(lambda: "orders" in link.views)
        monkeypatch.setattr("engine.views.tables.orders_view", fail)
        status = link.views["status"]
        await until(lambda: link.views["status"].time_ns > status.time_ns + 1_000_000_000)


async def test_a_request_whose_outcome_cannot_be_read_is_answered_so(tmp_path: Path) -> None:
    async with running(config_for(tmp_path)) as (engine, link):
        assert (await link.submit(deposit("once"))).ok
        engine.port._acks.clear()
        with closing(sqlite3.connect(tmp_path / "sim.sqlite")) as db:
            db.execute("ALTER TABLE events RENAME COLUMN seq TO number")
        ack = await link.submit(deposit("once"))
        assert (ack.ok, ack.code) == (False, "LEDGER")
        assert "once was taken in before, its outcome is not known: the ledger cannot be read" in ack.message


async def test_a_ledger_behind_a_link_is_the_same_ledger(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link.sqlite").symlink_to(tmp_path / "disk" / "sim.sqlite")
    config = config_for(tmp_path, ledger=tmp_path / "link.sqlite", volatility=0.1)
    async with running(config) as (engine, link):
        await long_position(link)
        await until(lambda: not engine._verification.thread.is_alive())
        assert link.views["status"].mode is Mode.OK
        assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "link.sqlite"]
    report = verify(config.ledger)
    assert report.ok, report.lines


async def test_a_kill_flag_left_through_a_link_to_the_ledger_is_obeyed(tmp_path: Path) -> None:
    config = config_for(tmp_path, volatility=0.1)
    link_to = tmp_path / "elsewhere" / "my.sqlite"
    link_to.parent.mkdir()
    link_to.symlink_to(config.ledger)
    killflag.leave(link_to, "left at night")
    async with running(config) as (_, link):
        assert link.views["status"].kill_reason == "left at night"
    assert killflag.left(link_to) is None


async def test_a_kill_flag_left_by_who_did_not_find_the_engine_is_obeyed_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when it is on its way, or listens in a runtime folder of its own."""
    monkeypatch.setattr(flag, "LOOK_S", 0.02)
    config = config_for(tmp_path, volatility=0.1)
    async with running(config) as (_, link):
        killflag.leave(config.ledger, "now")
        await until(lambda: link.views["status"].kill)
        assert link.views["status"].kill_reason == "now"
        await until(lambda: killflag.left(config.ledger) is None)
        assert (await link.submit(SetKill(request_id="off", on=False))).ok
        await until(lambda: not link.views["status"].kill)


async def test_a_kill_flag_left_without_an_engine_is_obeyed_once(tmp_path: Path) -> None:
    config = config_for(tmp_path, volatility=0.1)
    async with running(config) as (_, link):
        position = await long_position(link)
    killflag.leave(config.ledger, "left at night")
    async with running(config) as (_, link):
        await priced(link)
        status = link.views["status"]
        assert (status.kill, status.kill_reason, killflag.left(config.ledger)) == (True, "left at night", None)
        assert (await link.submit(buy("entry"))).code == "KILL_SWITCH"
        assert (await link.submit(ClosePosition(request_id="close", position=position))).ok
        assert (await link.submit(SetKill(request_id="off", on=False))).ok
    async with running(config) as (_, link):
        assert not link.views["status"].kill
