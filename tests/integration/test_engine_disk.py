"""A full disk: entries halt and say why, exits go on in the reserve, and room brings everything back without a restart."""

from __future__ import annotations

import asyncio
import errno
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from engine.ledger.head import Head, HeadFile
from engine.ledger.reserve import Reserve
from engine.ledger.verify import verify
from engine.link.local import InProcessLink
from engine.model import event as ev
from engine.model.command import ClosePosition, Deposit, SetKill, SetProtection
from engine.runtime import Engine, StartError
from engine.runtime import engine as runtime
from engine.views import Mode
from tests.engine_process import (
    BTC,
    EngineProcess,
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


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MiB."""
    mount, folder = shutil.which("mount"), tmp_path / "disk"
    folder.mkdir()
    made = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if not made or made.returncode != 0:
        pytest.skip("a small tmpfs cannot be mounted here (needs root)")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine looks for room more often than once a second."""
    monkeypatch.setattr(runtime, "TICK_S", 0.02)


def fill(disk: Path, name: str = "ballast") -> Path:
    """Leave not a byte."""
    ballast = disk / name
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(64 * 1024))
    with ballast.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(512))
    return ballast


async def entries_until_full(link: InProcessLink) -> list[str]:
    """Ask for more and more; the requests that were refused for want of room."""
    refused: list[str] = []
    for number in range(2_000):
        ack = await link.submit(Deposit(request_id=f"fill-{number}", asset="USDT", amount=Decimal(1)))
        if not ack.ok:
            assert ack.code in ("NOT_DURABLE", "EXITS_ONLY"), ack
            refused.append(ack.request_id)
            if len(refused) == 5:
                break
    return refused


async def test_exits_work_on_a_full_disk_and_entries_work_again_with_room(disk: Path) -> None:
    config = config_for(disk)
    async with running(config) as (engine, link):
        position = await long_position(link)
        ballast = fill(disk)
        refused = await entries_until_full(link)
        assert len(refused) == 5
        await until(lambda: link.views["status"].mode is Mode.EXITS_ONLY)
        assert "the disk is full" in link.views["status"].mode_reason

        assert link.views["positions"].rows[0].id == position
        ack = await link.submit(buy("entry"))
        assert (ack.ok, ack.code) == (False, "EXITS_ONLY")
        assert (await link.submit(ClosePosition(request_id="half", position=position, fraction=Decimal("0.5")))).ok
        await until(lambda: link.views["positions"].rows[0].size == "0.005")
        assert (await link.submit(SetKill(request_id="kill", on=True))).ok
        assert (await link.submit(SetProtection(request_id="trail", position=position, trail_bps=Decimal(1)))).ok
        await until(lambda: not link.views["positions"].rows)

        ballast.unlink()
        await until(lambda: link.views["status"].mode is Mode.OK)
        assert (disk / "sim.sqlite.reserve").exists()
        assert (await link.submit(SetKill(request_id="no kill", on=False))).ok
        assert (await link.submit(buy("again", leverage=10))).ok
        await until(lambda: link.views["positions"].rows)
        assert engine.keeper is not None
        await engine.keeper.durable(engine.keeper.desk.state.seq)
    events = events_of(config.ledger)
    assert not set(refused) & intents_of(events).keys()
    assert any(isinstance(event.body, ev.TriggerFired) for event in events)
    loaded(config)
    assert verify(config.ledger).ok


async def test_a_second_full_disk_finds_the_reserve_again(disk: Path) -> None:
    async with running(config_for(disk, volatility=0.1)) as (_, link):
        position = await long_position(link)
        for number in range(2):
            ballast = fill(disk)
            for size in range(2_000):
                deposit = Deposit(request_id=f"{number}-{size}", asset="USDT", amount=Decimal(1))
                if not (await link.submit(deposit)).ok:
                    break
            await until(lambda: link.views["status"].mode is Mode.EXITS_ONLY)
            close = ClosePosition(request_id=f"close-{number}", position=position, fraction=Decimal("0.3"))
            assert (await link.submit(close)).ok
            ballast.unlink()
            await until(lambda: link.views["status"].mode is Mode.OK)
    assert verify(disk / "sim.sqlite").ok


async def test_when_the_reserve_is_used_up_too_it_looks_on_until_there_is_room(disk: Path) -> None:
    async with running(config_for(disk, volatility=0.1)) as (_, link):
        position = await long_position(link)
        fill(disk)
        await entries_until_full(link)
        await until(lambda: link.views["status"].mode is Mode.EXITS_ONLY)
        more = fill(disk, "more")
        for number in range(2_000):
            ack = await link.submit(SetKill(request_id=f"k{number}", on=number % 2 == 0))
            if not ack.ok:
                break
        await until(lambda: link.views["status"].mode is Mode.READ_ONLY)
        assert "reserve used up" in link.views["status"].mode_reason
        assert link.views["positions"].rows[0].id == position
        more.unlink()
        (disk / "ballast").unlink()
        await until(lambda: link.views["status"].mode is Mode.OK)
        assert (await link.submit(ClosePosition(request_id="close", position=position))).ok
    assert verify(disk / "sim.sqlite").ok


async def test_a_full_disk_that_only_head_is_told_of_lets_exits_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File systems that never write in place have no room for it either; what was committed before is done."""
    write = HeadFile.write
    config = config_for(tmp_path, volatility=0.1)
    async with running(config) as (_, link):
        position = await long_position(link)
        monkeypatch.setattr(runtime, "Reserve", partial(Reserve, size=0))  # no room comes back

        def fail(file: HeadFile, head: Head) -> None:
            monkeypatch.setattr(HeadFile, "write", write)
            raise OSError(errno.ENOSPC, "no room")

        monkeypatch.setattr(HeadFile, "write", fail)
        assert (await link.submit(Deposit(request_id="done", asset="USDT", amount=Decimal(1)))).ok
        await until(lambda: link.views["status"].mode is Mode.EXITS_ONLY)
        assert (await link.submit(ClosePosition(request_id="close", position=position))).ok
    assert "done" in intents_of(events_of(config.ledger))
    assert verify(config.ledger).ok


async def test_room_is_looked_for_only_while_nothing_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking takes for a moment what is left of a quota: an exit's commit would find no room."""
    waiting: list[int] = []

    async with running(config_for(tmp_path)) as (engine, link):
        keeper = engine.keeper
        assert keeper is not None

        def look(ledger: Path) -> Reserve:
            waiting.append(keeper.desk.state.seq - keeper.durable_seq)
            return Reserve(tmp_path / "nothing", size=0)

        with closing(sqlite3.connect(engine.config.ledger, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            monkeypatch.setattr(runtime, "Reserve", look)
            keeper.exits_only()
            asked = asyncio.create_task(link.submit(SetKill(request_id="k", on=True)))
            await asyncio.sleep(0.3)
            other.execute("ROLLBACK")
        assert (await asked).ok
        waiting.append(-1)
        await until(lambda: waiting[-1] == 0)
    assert set(waiting) == {-1, 0}


async def test_a_new_ledger_on_a_full_disk_is_refused_clearly(disk: Path) -> None:
    fill(disk)
    with pytest.raises(StartError, match="the disk is full, or a quota used up; free some room"):
        await Engine(config_for(disk)).start()


async def test_an_engine_that_died_on_a_full_disk_starts_in_its_reserve_for_exits(disk: Path) -> None:
    config = config_for(disk, volatility=0.1)
    async with running(config) as (_, link):
        position = await long_position(link)
    ballast = fill(disk)
    assert (disk / "sim.sqlite.reserve").exists()
    async with running(config) as (_, link):
        await priced(link)
        assert link.views["status"].mode is Mode.EXITS_ONLY
        assert (await link.submit(buy("entry"))).code == "EXITS_ONLY"
        assert (await link.submit(ClosePosition(request_id="close", position=position))).ok
        await until(lambda: not link.views["positions"].rows)
        ballast.unlink()
        await until(lambda: link.views["status"].mode is Mode.OK)
    assert verify(config.ledger).ok


async def test_an_engine_that_was_killed_on_a_full_disk_starts_in_its_reserve_for_exits(disk: Path) -> None:
    """What it leaves lets the next one open the ledger, and then its first commit finds no room."""
    with tempfile.TemporaryDirectory(prefix="hoox-") as folder:
        config = config_for(disk, Path(folder) / "e.sock", volatility=0.1)
        killed = EngineProcess(config)
        link = await attached(Path(folder) / "e.sock")
        link.subscribe(("positions", f"book:{BTC}"))
        link.set_armed(True)
        await until(lambda: link.views["status"].armed)
        position = await long_position(link)
        fill(disk)
        killed.kill()
        await link.close()
    async with running(config_for(disk, volatility=0.1)) as (_, here):
        await priced(here)
        assert here.views["status"].mode is Mode.EXITS_ONLY
        assert "less than 16 MB are free beside the ledger" in here.views["status"].mode_reason
        assert (await here.submit(buy("more"))).code == "EXITS_ONLY"
        assert (await here.submit(ClosePosition(request_id="out", position=position))).ok
        await until(lambda: not here.views["positions"].rows)
    assert verify(config.ledger).ok
    assert not loaded(config).positions
