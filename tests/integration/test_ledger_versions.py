"""A ledger of every earlier version is opened, brought to today's schema and traded on; its events are never touched."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engine.core.state import State, encode_state
from engine.ledger import chain, migrate, replay, schema, upcast
from engine.ledger.backup import backup
from engine.ledger.errors import LedgerBroken, LedgerError
from engine.ledger.query import Reader, run_query
from engine.ledger.rebuild import rebuild_projections
from engine.ledger.store import Ledger
from engine.ledger.verify import verify
from engine.model import event as ev
from engine.runtime import Engine, EngineConfig
from hoox_tui.cli.root import app
from tests import ledger_shapes
from tests.ledger_events import START_NS, Story

VERSIONS = sorted(file.name.removesuffix(".gz") for file in ledger_shapes.FOLDER.glob("schema-*.gz"))
TODAY = str(schema.SCHEMA_VERSION)


@pytest.fixture(params=VERSIONS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A ledger that the last program of its schema wrote."""
    path = tmp_path / "sim.sqlite"
    path.write_bytes(gzip.decompress((ledger_shapes.FOLDER / f"{request.param}.gz").read_bytes()))
    shutil.copy(ledger_shapes.FOLDER / f"{request.param}.head", path.with_name("sim.sqlite.head"))
    return path


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "sim.sqlite"
    with closing(open_ledger(path)) as opened:
        opened.append(Story().opening())
    return path


def open_ledger(path: Path) -> Ledger:
    return Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)


def stored(path: Path, sql: str = "SELECT * FROM events ORDER BY seq") -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def schema_of(path: Path) -> str:
    return str(stored(path, "SELECT value FROM meta WHERE key = 'schema'")[0][0])


def amounts(pairs: Any) -> dict[Any, Decimal]:
    return {key: Decimal(value) for key, value in pairs if Decimal(value)}


def assert_tables_say(path: Path, state: State) -> None:
    """Positions, orders and balances are those of the state."""
    positions = amounts(stored(path, "SELECT id, size FROM positions WHERE closed_ns = 0"))
    assert positions == {position.id: position.size for position in state.positions.values()}
    orders = {
        (id_, status): Decimal(filled) for id_, status, filled in stored(path, "SELECT id, status, filled FROM orders")
    }
    for order in (*state.orders.values(), *state.ended.values()):
        assert orders[order.terms.id, order.status] == order.filled
    balances = amounts(
        ((account, asset), wallet)
        for account, asset, wallet in stored(path, "SELECT account, asset, wallet FROM balances")
    )
    assert balances == amounts(
        ((account.id, asset), amount)
        for account in state.accounts.values()
        for asset, amount in account.balances.items()
    )


def test_there_is_a_ledger_of_every_earlier_version() -> None:
    assert [f"schema-{version}" for version in range(1, schema.SCHEMA_VERSION)] == VERSIONS
    assert sorted(migrate.STEPS) == list(range(1, schema.SCHEMA_VERSION))


def test_the_shape_of_what_is_recorded_has_not_changed_without_a_new_version() -> None:
    known = json.loads(ledger_shapes.PATH.read_text()) if ledger_shapes.PATH.exists() else {}
    now = ledger_shapes.shape_now()
    structs, before = now["structs"], known.get("structs", {})
    changed = sorted(name for name in {*structs, *before} if structs.get(name) != before.get(name))
    changed += [] if now["tables"] == known.get("tables") else ["the tables"]
    changed += [] if now["events"] == known.get("events") else ["EVENT_VERSION"]
    assert not changed, (
        f"{', '.join(changed)}: what a ledger holds has another shape than schema {TODAY}. Old ledgers must still open: write"
        " one with the last commit (python -m tests.ledger_fixture), raise SCHEMA_VERSION in engine/ledger/schema.py and add"
        " the step to engine/ledger/migrate.py; where old payloads would be read differently, raise EVENT_VERSION and add"
        " an upcaster to engine/ledger/upcast.py; then python -m tests.ledger_shapes. Only while no ledger of schema"
        f" {TODAY} was handed out, that last command alone will do."
    )


def test_it_is_migrated_at_open_and_means_what_its_events_say(old: Path) -> None:
    events, before = stored(old), replay.replay(old)
    with closing(open_ledger(old)) as opened:
        found = opened.load()
    assert encode_state(found.state) == encode_state(before)
    assert schema_of(old) == TODAY
    assert stored(old) == events
    report = verify(old)
    assert report.ok, report.lines
    assert_tables_say(old, before)


def test_the_file_as_it_was_is_kept_and_said(old: Path) -> None:
    events, was = stored(old), schema_of(old)
    with closing(open_ledger(old)) as opened:
        (warning,) = opened.load().warnings
    kept = old.with_name(f"sim.sqlite.schema-{was}-1")
    assert warning == f"the ledger was brought from schema {was} to {TODAY}; the file as it was is {kept.name}"
    assert (schema_of(kept), stored(kept)) == (was, events)
    assert verify(kept).ok
    with closing(open_ledger(old)) as opened:
        assert opened.load().warnings == ()


async def test_an_engine_goes_on_with_it(old: Path) -> None:
    before = replay.replay(old)
    symbols = tuple(symbol for (symbol,) in stored(old, "SELECT symbol FROM instruments ORDER BY id"))
    engine = Engine(EngineConfig(env="sim", feed="simulated", symbols=symbols, ledger=old, seed=7, rate=50.0))
    await engine.start()
    state = engine.keeper.desk.state
    assert state.epoch == before.epoch + 1
    assert state.positions.keys() == before.positions.keys()
    assert state.orders.keys() == before.orders.keys()
    await engine.stop("the test is over")
    report = verify(old)
    assert report.ok, report.lines
    assert report.events > before.seq


def test_tools_that_read_take_it_as_it_is(old: Path, tmp_path: Path) -> None:
    data = old.read_bytes()
    assert verify(old).ok
    assert "its engine brings it to schema" in verify(old).lines[-1]
    assert replay.replay(old).positions
    assert run_query(old, "SELECT count(*) FROM events").rows == [(replay.replay(old).seq,)]
    with Reader(old) as reader:
        assert reader.before("orders", limit=1)
        assert reader.events_before(limit=1)
    assert backup(old, tmp_path / "copy.sqlite").ok
    assert CliRunner().invoke(app, ["ledger", "verify", "--ledger", str(old)]).exit_code == 0
    assert old.read_bytes() == data


def test_a_rebuild_brings_it_to_todays_schema_too(old: Path) -> None:
    events = stored(old)
    rebuild_projections(old)
    assert (schema_of(old), stored(old)) == (TODAY, events)
    assert verify(old).ok


def test_a_step_that_fails_leaves_the_file_as_it_was(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    was, snapshots = schema_of(old), stored(old, "SELECT * FROM snapshots")

    def half(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM snapshots")
        db.execute("CREATE INDEX broken ON nothing (x)")

    right = migrate.STEPS[int(was)]
    monkeypatch.setitem(migrate.STEPS, int(was), half)
    with pytest.raises(LedgerError):
        open_ledger(old)
    assert (schema_of(old), stored(old, "SELECT * FROM snapshots")) == (was, snapshots)
    monkeypatch.setitem(migrate.STEPS, int(was), right)
    open_ledger(old).close()
    assert len(list(old.parent.glob("sim.sqlite.schema-*-?"))) == 1, "the copy of the first try is used again"


def test_damaged_events_are_not_migrated(old: Path) -> None:
    with closing(sqlite3.connect(old)) as db:
        db.executescript("DROP TRIGGER events_are_never_updated; UPDATE events SET owner = 'nobody' WHERE seq = 7")
    was = schema_of(old)
    with pytest.raises(LedgerBroken, match="event 7"):
        open_ledger(old)
    assert schema_of(old) == was
    assert not list(old.parent.glob("sim.sqlite.schema-*"))


def test_a_file_of_a_newer_program_is_refused_and_left_alone(ledger: Path) -> None:
    newer = str(schema.SCHEMA_VERSION + 1)
    with closing(sqlite3.connect(ledger)) as db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (newer,))
        db.commit()
    for attempt in (open_ledger, verify, rebuild_projections):
        with pytest.raises(LedgerError, match=f"schema {newer}, this program knows {TODAY}: a newer Hoox wrote it"):
            attempt(ledger)
    assert schema_of(ledger) == newer


def test_payloads_of_an_earlier_version_are_read_as_todays_and_stay_as_they_were(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if version 2 had renamed what version 1 called `amount`, and version 3 the event's type."""
    events, state = stored(ledger), encode_state(replay.replay(ledger))
    body = ev.FundsMoved("USDT", Decimal(5))
    old_words = ev.encode_body(body).decode().replace('"amount"', '"sum"').replace("FundsMoved", "MoneyMoved")
    columns = (5, START_NS, "MoneyMoved", 1, "main", "binance", "", "hand", "", 0, 1, old_words)
    with closing(sqlite3.connect(ledger)) as db:
        row = (*columns, chain.link(events[-1][12], columns))
        db.execute(f"INSERT INTO events VALUES ({', '.join('?' * 13)})", row)
        db.commit()
    monkeypatch.setattr(chain, "EVENT_VERSION", 3)
    monkeypatch.setattr(replay, "EVENT_VERSION", 3)
    monkeypatch.setattr(upcast, "EVENT_VERSION", 3)
    monkeypatch.setitem(
        upcast.UPCASTERS,
        ("MoneyMoved", 1),
        lambda data: {("amount" if key == "sum" else key): value for key, value in data.items()},
    )
    monkeypatch.setitem(upcast.UPCASTERS, ("MoneyMoved", 2), lambda data: {**data, "type": "FundsMoved"})
    rebuild_projections(ledger)
    assert stored(ledger) == [*events, row]
    assert encode_state(replay.replay(ledger, until_seq=4)) == state
    assert replay.replay(ledger).accounts["main"].balances == {"USDT": Decimal(10_005)}
    with closing(open_ledger(ledger)) as opened:
        opened.append([Story(seq=5).event(body)])
    assert verify(ledger).ok
    assert [row[3] for row in stored(ledger)] == [1, 1, 1, 1, 1, 3]


def test_an_event_of_a_newer_version_is_not_guessed_at(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "EVENT_VERSION", 0)
    with pytest.raises(LedgerBroken, match="event 1 has version 1, newer than this program knows"):
        replay.replay(ledger)
