"""An engine on a damaged ledger: it names what is wrong, shows what is good, writes nothing on top of it."""

# ruff: noqa: ASYNC240 - nothing else runs on this loop
from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from engine.core.state import encode_state
from engine.ledger.errors import LedgerError
from engine.ledger.rebuild import ProjectionTables
from engine.ledger.replay import replay
from engine.ledger.verify import verify
from engine.model import event as ev
from engine.model.command import CancelAll, ClosePosition, Deposit, FlattenAll, SetKill
from engine.runtime import Engine, StartError
from engine.views import Mode
from hoox_tui.cli.root import app
from tests.engine_process import BTC, buy, config_for, events_of, long_position, priced, running, until


@pytest.fixture
async def ledger(tmp_path: Path) -> Path:
    """A ledger of one open position with brackets, and some hundred events after it; a snapshot at its end."""
    config = config_for(tmp_path, volatility=0.1)
    async with running(config) as (_, link):
        await long_position(link)
        for number in range(120):
            await link.submit(Deposit(request_id=f"d{number}", asset="USDT", amount=Decimal(number + 1)))
    return config.ledger


def find(ledger: Path, kind: type) -> int:
    """The first event of a kind."""
    return next(event.seq for event in events_of(ledger) if isinstance(event.body, kind))


def flip_in_payload(ledger: Path, seq: int) -> None:
    """One bit inside the stored text of an event, as a bad disk would."""
    with closing(sqlite3.connect(ledger)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        payload, time_ns = db.execute("SELECT payload, time_ns FROM events WHERE seq = ?", (seq,)).fetchone()
    data = bytearray(ledger.read_bytes())
    at = data.index(payload.encode(), data.index(time_ns.to_bytes(8, "big")))
    data[at + len(payload) // 2] ^= 0x01
    ledger.write_bytes(data)


def hoox_verify(ledger: Path) -> Result:
    return CliRunner().invoke(app, ["ledger", "verify", "--ledger", str(ledger)])


async def check_looks_only(ledger: Path, reason: str) -> None:
    """Nothing is taken, not even an exit; the market and the position are shown."""
    before = ledger.read_bytes()
    async with running(config_for(ledger.parent, volatility=0.1)) as (_, link):
        await until(lambda: link.views["status"].mode is Mode.READ_ONLY)
        status = link.views["status"]
        assert status.mode_reason.startswith("READ ONLY, the ledger is damaged: ")
        assert reason in status.mode_reason
        position = link.views["positions"].rows[0].id
        asked = (
            buy("entry"),
            ClosePosition(request_id="close", position=position),
            FlattenAll(request_id="flat"),
            CancelAll(request_id="cancel"),
            SetKill(request_id="kill", on=True),
            Deposit(request_id="money", asset="USDT", amount=Decimal(1)),
        )
        for command in asked:
            ack = await link.submit(command)
            assert (ack.ok, ack.code) == (False, "NOT_DURABLE")
            assert reason in ack.message
        await until(lambda: f"book:{BTC}" in link.views)
        book, ticks = link.views[f"book:{BTC}"], (await link.query("engine"))["ticks"]
        await until(lambda: link.views[f"book:{BTC}"].asks != book.asks)
        assert (await link.query("engine"))["ticks"] > ticks
        assert link.views["positions"].rows[0].mark is not None
        assert link.views["status"].seq == status.seq
    assert ledger.read_bytes() == before


async def test_a_changed_late_event_is_named_and_the_desk_opens_to_look_at(ledger: Path) -> None:
    last = events_of(ledger)[-1].seq
    flip_in_payload(ledger, last - 10)
    result = hoox_verify(ledger)
    assert result.exit_code == 1
    assert f"event {last - 10} was changed" in result.stdout
    await check_looks_only(ledger, f"event {last - 10} was changed")


async def test_it_shows_the_position_up_to_the_last_good_event(ledger: Path) -> None:
    with closing(sqlite3.connect(ledger)) as db:
        db.execute("DELETE FROM snapshots")
        db.commit()
    filled = find(ledger, ev.OrderFilled)
    flip_in_payload(ledger, filled + 2)
    async with running(config_for(ledger.parent)) as (_, link):
        status = link.views["status"]
        assert (status.mode, status.seq, status.open_positions) == (Mode.READ_ONLY, filled + 1, 1)
        assert f"event {filled + 2} was changed" in status.mode_reason


async def test_an_early_event_under_a_good_snapshot_is_found_within_a_moment(ledger: Path) -> None:
    seq = find(ledger, ev.OrderCreated)
    flip_in_payload(ledger, seq)
    async with running(config_for(ledger.parent)) as (_, link):
        await until(lambda: link.views["status"].mode is Mode.READ_ONLY, 5)
        assert f"event {seq} was changed" in link.views["status"].mode_reason
        assert link.views["status"].open_positions == 1
        assert not (await link.submit(buy("entry"))).ok


async def test_no_room_for_temporary_files_is_no_damage(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flush(tables: ProjectionTables) -> None:
        tables._db.execute("PRAGMA max_page_count = 1")
        tables._db.execute("CREATE TABLE one_page_more (n)")

    monkeypatch.setattr(ProjectionTables, "flush", flush)
    with pytest.raises(LedgerError, match="temporary files have no room"):
        verify(ledger)
    async with running(config_for(ledger.parent)) as (engine, link):
        assert engine._verification is not None
        await until(lambda: not engine._verification.thread.is_alive())
        await priced(link)
        assert link.views["status"].mode is Mode.OK
        position = link.views["positions"].rows[0].id
        assert (await link.submit(ClosePosition(request_id="close", position=position))).ok


async def test_a_cut_tail_shows_against_head(ledger: Path, tmp_path: Path) -> None:
    cut = events_of(ledger)[-1].seq
    older = tmp_path / "older"
    shutil.copy(ledger, older)
    async with running(config_for(tmp_path, volatility=0.1)) as (_, link):
        await link.submit(Deposit(request_id="later", asset="USDT", amount=Decimal(5)))
    last = events_of(ledger)[-1].seq
    shutil.copy(older, ledger)
    assert hoox_verify(ledger).exit_code == 1
    await check_looks_only(ledger, f"events {cut + 1}..{last} are missing")


async def test_a_damaged_ledger_is_looked_at_by_one_engine_only(ledger: Path) -> None:
    flip_in_payload(ledger, events_of(ledger)[-1].seq)
    async with running(config_for(ledger.parent)):
        with pytest.raises(StartError, match="is held by pid"):
            await Engine(config_for(ledger.parent)).start()
    async with running(config_for(ledger.parent)) as (_, link):
        assert link.views["status"].mode is Mode.READ_ONLY


async def test_a_file_that_is_no_database_any_more_opens_to_look_at(ledger: Path) -> None:
    ledger.write_bytes(b"\xff" * 4096 + ledger.read_bytes()[4096:])
    async with running(config_for(ledger.parent)) as (_, link):
        assert link.views["status"].mode is Mode.READ_ONLY
        assert "not a database" in link.views["status"].mode_reason


@pytest.mark.parametrize("head", ["as it was", "gone", "damaged"])
async def test_a_broken_page_of_a_projection_is_named_and_the_start_rebuilds_it(ledger: Path, head: str) -> None:
    """A HEAD that says nothing keeps no one from that, as it keeps no one from a start."""
    if head != "as it was":
        ledger.with_name("sim.sqlite.head").unlink()
    if head == "damaged":
        ledger.with_name("sim.sqlite.head").write_bytes(b"x" * 63)
    with closing(sqlite3.connect(ledger)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'fills'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    data = bytearray(ledger.read_bytes())
    data[(root - 1) * size : (root - 1) * size + 64] = b"\xff" * 64
    ledger.write_bytes(data)
    result = hoox_verify(ledger)
    assert result.exit_code == 1
    assert "fills: " in result.stdout
    async with running(config_for(ledger.parent, volatility=0.1)) as (_, link):
        assert link.views["status"].mode is Mode.OK
        position = link.views["positions"].rows[0].id
        assert (await link.submit(ClosePosition(request_id="close", position=position))).ok
        await until(lambda: not link.views["positions"].rows)
        said = any("a cut tail cannot be ruled out" in line.text for line in link.views["log"].lines)
        assert said == (head != "as it was")
    assert verify(ledger).ok
    assert ledger.with_name("sim.sqlite.damaged-1").exists()


async def test_a_changed_row_of_a_projection_is_named_and_put_right_at_the_stop(ledger: Path) -> None:
    with closing(sqlite3.connect(ledger)) as db:
        db.execute("UPDATE fills SET price = '1'")
        db.commit()
    assert "fills: row" in hoox_verify(ledger).stdout
    async with running(config_for(ledger.parent, volatility=0.1)) as (_, link):
        await until(lambda: any("put right when the engine stops" in line.text for line in link.views["log"].lines))
        assert link.views["status"].mode is Mode.OK
    assert verify(ledger).ok


async def check_any_bit(ledger: Path, flips: int) -> None:
    """Whichever bit of the file flips: the state is the same, or the desk is opened to look at, or refused in words."""
    whole, state = ledger.read_bytes(), replay(ledger)
    head = ledger.with_name("sim.sqlite.head")
    last, draw, seen = head.read_bytes(), random.Random(flips), set()
    for _ in range(flips):
        data = bytearray(whole)
        at = draw.randrange(len(data))
        data[at] ^= 1 << draw.randrange(8)
        ledger.write_bytes(data)
        head.write_bytes(last)
        found = verify(ledger)
        engine = Engine(config_for(ledger.parent))
        refused = ""
        try:
            await engine.start()
        except StartError as error:
            refused = str(error)
        if refused:
            assert "start with --" in refused, at
            continue
        assert engine.keeper is not None
        mode = engine.keeper.mode
        if engine._verification is not None:
            engine._verification.thread.join()
        await engine.stop("the test is over")
        seen.add(mode)
        assert (mode is Mode.READ_ONLY) <= (not found.ok), at
        if verify(ledger).ok:
            assert encode_state(replay(ledger, until_seq=state.seq)) == encode_state(state), at
        else:
            assert not found.ok, at
    assert seen == {Mode.OK, Mode.READ_ONLY}


async def test_no_flipped_bit_goes_by_unseen(ledger: Path) -> None:
    await check_any_bit(ledger, 15)


@pytest.mark.soak
async def test_none_of_500_flipped_bits_goes_by_unseen(ledger: Path) -> None:
    await check_any_bit(ledger, 500)


async def test_another_environment_is_refused(ledger: Path) -> None:
    with pytest.raises(StartError, match="is a ledger of env 'sim', not 'paper'; start with --env sim"):
        await Engine(config_for(ledger.parent, env="paper")).start()
    assert verify(ledger).ok


async def test_another_feed_is_refused_while_something_is_open(ledger: Path, captured: Path) -> None:
    other = f"recording:{captured}"
    with pytest.raises(StartError, match="has 3 open positions and orders on feed 'simulated'"):
        await Engine(config_for(ledger.parent, feed=other)).start()
    async with running(config_for(ledger.parent, volatility=0.1)) as (_, link):
        await link.submit(FlattenAll(request_id="flat"))
        await until(lambda: not link.views["positions"].rows and not link.views["orders"].rows)
    async with running(config_for(ledger.parent, feed=other)) as (_, link):
        assert link.views["status"].feed.startswith("recording:")


@pytest.fixture
async def captured(tmp_path: Path) -> Path:
    """A short recording of the simulated market."""
    path = tmp_path / "market.hoox"
    async with running(config_for(tmp_path, ledger=tmp_path / "other.sqlite", record=path)) as (engine, _):
        await until(lambda: engine.port.status.ticks > 50)
    return path
