"""A copy that is called verified holds every event its ledger ever said it had, and making it touches nobody's file."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.ledger import backup as module
from engine.ledger.backup import backup
from engine.ledger.errors import LedgerBroken, LedgerError
from engine.ledger.files import sync_folder
from engine.ledger.head import read_head
from engine.ledger.replay import replay
from engine.ledger.store import Ledger
from engine.ledger.verify import verify, verify_events
from hoox_tui.cli.root import app
from tests.ledger_events import START_NS, history


def open_ledger(path: Path) -> Ledger:
    return Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "desk" / "sim.sqlite"
    path.parent.mkdir()
    with closing(open_ledger(path)) as opened:
        for batch in history(30, seed=3):
            opened.append(batch)
    return path


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript("; ".join(statements))


def test_a_ledger_with_a_cut_tail_is_not_copied_and_not_replayed_to_its_end(ledger: Path, tmp_path: Path) -> None:
    head = read_head(ledger)
    assert head is not None
    last = head.seq
    change(ledger, "DROP TRIGGER events_are_never_deleted", f"DELETE FROM events WHERE seq > {last - 3}")
    says = f"HEAD: events {last - 2}..{last} are missing: HEAD says the last one is {last}"
    with pytest.raises(LedgerBroken, match=says):
        backup(ledger, tmp_path / "copy.sqlite")
    assert [file.name for file in tmp_path.iterdir()] == ["desk"]
    with pytest.raises(LedgerBroken, match=says):
        replay(ledger)
    assert replay(ledger, until_seq=last - 3).seq == last - 3


def test_a_ledger_with_another_end_than_head_knows_is_not_copied(ledger: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    with closing(open_ledger(other)) as opened:
        for batch in history(60, seed=4):
            opened.append(batch)
    shutil.copy(other, ledger)
    with pytest.raises(LedgerBroken, match="is not the one HEAD knows"):
        backup(ledger, tmp_path / "copy.sqlite")


def test_a_copy_of_a_ledger_without_head_says_what_it_cannot_know(ledger: Path, tmp_path: Path) -> None:
    ledger.with_name("sim.sqlite.head").unlink()
    result = CliRunner().invoke(app, ["ledger", "backup", str(tmp_path / "copy.sqlite"), "--ledger", str(ledger)])
    assert result.exit_code == 0
    assert "a cut tail cannot be ruled out" in result.stderr


def test_a_copy_and_its_head_are_for_their_owner_alone(ledger: Path, tmp_path: Path) -> None:
    ledger.chmod(0o644)
    backup(ledger, tmp_path / "copy.sqlite")
    modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.glob("copy*")}
    assert modes == {"copy.sqlite": 0o600, "copy.sqlite.head": 0o600}


def test_a_migrations_copy_is_for_its_owner_alone(ledger: Path) -> None:
    change(ledger, "UPDATE meta SET value = '1' WHERE key = 'schema'")
    ledger.chmod(0o644)
    open_ledger(ledger).close()
    (copy,) = ledger.parent.glob("sim.sqlite.schema-1-1")
    assert copy.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["copy.sqlite", "copy.sqlite.head", "copy.sqlite-wal", "copy.sqlite-journal"])
def test_nothing_of_the_names_a_copy_takes_is_written_over(ledger: Path, tmp_path: Path, name: str) -> None:
    for make in (lambda path: path.write_text("mine"), lambda path: path.symlink_to(tmp_path / "nowhere")):
        kept = tmp_path / name
        make(kept)
        with pytest.raises(LedgerError, match=f"{name} exists; a backup overwrites nothing"):
            backup(ledger, tmp_path / "copy.sqlite")
        assert not (tmp_path / "nowhere").exists()
        kept.unlink()


def test_a_file_named_partial_is_nobodys_business(ledger: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.sqlite.partial").write_text("mine")
    backup(ledger, tmp_path / "copy.sqlite")
    assert (tmp_path / "copy.sqlite.partial").read_text() == "mine"
    assert verify(tmp_path / "copy.sqlite").ok


def test_a_name_that_is_taken_while_the_copy_is_made_is_left_to_its_owner(
    ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "copy.sqlite"

    def verified(path: Path) -> object:
        target.write_text("mine")
        return verify(path)

    monkeypatch.setattr(module, "verify", verified)
    with pytest.raises(LedgerError, match="File exists"):
        backup(ledger, target)
    assert {file.name for file in tmp_path.glob("copy*")} == {"copy.sqlite"}
    assert target.read_text() == "mine"


def test_the_file_that_is_at_fault_is_named(ledger: Path, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"away/copy\.sqlite: the folder does not exist"):
        backup(ledger, tmp_path / "away" / "copy.sqlite")
    noise = tmp_path / "noise.sqlite"
    noise.write_bytes(b"noise" * 5_000)
    with pytest.raises(LedgerError, match=r"noise\.sqlite: file is not a database"):
        backup(noise, tmp_path / "copy.sqlite")
    with closing(sqlite3.connect(tmp_path / "other.sqlite")) as db:
        db.execute("CREATE TABLE mine (x)")
    with pytest.raises(LedgerError, match=r"other\.sqlite is a database, but not a ledger"):
        backup(tmp_path / "other.sqlite", tmp_path / "copy.sqlite")
    assert not list(tmp_path.glob("copy*"))


@pytest.fixture
def read_only(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy in a folder where nothing may be made, also not by a test that root runs."""
    right = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: right(path, mode) and Path(path) != ledger.parent)
    return ledger


def test_in_a_folder_that_may_not_be_written_an_empty_log_is_none(read_only: Path) -> None:
    log = read_only.with_name("sim.sqlite-wal")
    log.touch()
    assert verify(read_only).ok
    assert {file.name for file in read_only.parent.iterdir()} >= {"sim.sqlite", "sim.sqlite-wal"}
    assert not read_only.with_name("sim.sqlite-shm").exists()


def test_what_cannot_be_opened_is_not_called_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # To SQLite a folder is a file that it may not open.
    closed = tmp_path / "closed.sqlite"
    closed.mkdir()
    monkeypatch.setattr(Path, "is_file", lambda _: True)
    for look in (verify, verify_events, replay, lambda path: backup(path, tmp_path / "copy.sqlite")):
        with pytest.raises(LedgerError, match=r"closed\.sqlite cannot be opened .* copy it with its -wal"):
            look(closed)


def test_the_folders_names_are_on_the_disk_too(ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(module, "sync_folder", lambda folder: (synced.append(folder), sync_folder(folder)))
    backup(ledger, tmp_path / "copy.sqlite")
    assert synced == [tmp_path]
