"""A rebuild loses no event, whatever stops it, refuses what it cannot put right, and leaves nothing of a try that failed."""

from __future__ import annotations

import gzip
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from engine.ledger import rebuild
from engine.ledger.chain import link
from engine.ledger.errors import LedgerBroken, LedgerError, LedgerLocked
from engine.ledger.head import Head, HeadFile, read_head
from engine.ledger.rebuild import rebuild_projections
from engine.ledger.replay import connect_readonly, verified_events
from engine.ledger.schema import APPLICATION_ID
from engine.ledger.store import Ledger
from engine.ledger.verify import verify
from tests import ledger_shapes
from tests.ledger_events import START_NS, history

ROOT = Path(__file__).parents[2]
CHILD = """
import os
import sys
from pathlib import Path
from engine.ledger.rebuild import rebuild_projections

left = int(sys.argv[2])
STEPS = {"open", "os.link", "os.rename", "os.remove", "os.truncate", "sqlite3.connect"}

def count(event, args):
    global left
    if event in STEPS and any(sys.argv[1] in str(arg) for arg in args):
        left -= 1
        if left < 0:
            os._exit(9)

fsync = os.fsync
def counted(descriptor):
    count("open", (sys.argv[1],))
    fsync(descriptor)

os.fsync = counted
sys.addaudithook(count)
rebuild_projections(Path(sys.argv[1]))
"""
"""Dies before its step of that number: whatever it does to the ledger's files and their names."""


def open_ledger(path: Path) -> Ledger:
    return Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """What an engine leaves that was killed: half of its events are in the log only."""
    with closing(open_ledger(tmp_path / "engine.sqlite")) as ledger:
        batches = history(40, seed=5)
        for batch in batches[:20]:
            ledger.append(batch)
        ledger._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for batch in batches[20:]:
            ledger.append(batch)
        for suffix in ("", "-wal", ".head"):
            shutil.copy(ledger.path.with_name(ledger.path.name + suffix), tmp_path / f"sim.sqlite{suffix}")
    return tmp_path / "sim.sqlite"


def events(path: Path) -> list[tuple[object, ...]]:
    with closing(connect_readonly(path)) as db:
        return [row for _, row in verified_events(db)]


def names(path: Path) -> set[str]:
    return {file.name for file in path.parent.glob("sim.sqlite*")}


def test_a_kill_at_any_step_leaves_a_ledger_that_opens_with_all_its_events(killed: Path, tmp_path: Path) -> None:
    right, step, code = events(killed), 0, 9
    while code:
        copy = tmp_path / str(step) / "sim.sqlite"
        copy.parent.mkdir()
        for suffix in ("", "-wal", ".head"):
            shutil.copy(f"{killed}{suffix}", f"{copy}{suffix}")
        code = subprocess.run([sys.executable, "-c", CHILD, str(copy), str(step)], cwd=ROOT, check=False).returncode
        assert code in (0, 9)
        assert events(copy) == right, step
        open_ledger(copy).close()
        assert verify(copy).ok, (step, verify(copy).lines)
        kept = events(rebuild_projections(copy))
        assert kept == events(copy) == right, step
        assert not copy.with_name("sim.sqlite.rebuild").exists()
        step += 1
    assert step > 8


def test_no_evidence_of_an_earlier_rebuild_is_written_over(killed: Path) -> None:
    for name in ("sim.sqlite.damaged-1-wal", "sim.sqlite.damaged-2", "sim.sqlite.damaged-3-shm"):
        killed.with_name(name).write_text("evidence")
    assert rebuild_projections(killed).name == "sim.sqlite.damaged-4"
    assert killed.with_name("sim.sqlite.damaged-1-wal").read_text() == "evidence"
    assert killed.with_name("sim.sqlite.damaged-2").read_text() == "evidence"


def test_a_cut_tail_is_not_made_to_look_whole(killed: Path) -> None:
    killed.with_name("sim.sqlite-wal").unlink()
    head = read_head(killed)
    assert head is not None
    before = names(killed)
    with pytest.raises(LedgerBroken, match=rf"HEAD: events \d+\.\.{head.seq} are missing"):
        rebuild_projections(killed)
    assert names(killed) - {"sim.sqlite.lock"} == before


def test_a_try_that_fails_leaves_nothing_behind(killed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_ledger(killed).close()
    with closing(sqlite3.connect(killed)) as db:
        db.executescript("DROP TRIGGER events_are_never_updated; UPDATE events SET owner = 'nobody' WHERE seq = 90")
    monkeypatch.setattr(rebuild, "_BATCH", 10)
    data, before = killed.read_bytes(), names(killed)
    with pytest.raises(LedgerBroken, match="event 90"):
        rebuild_projections(killed)
    assert names(killed) == before
    assert killed.read_bytes()[100:] == data[100:], "but for how it is journaled, which its header says"


def test_it_does_not_start_while_another_program_has_the_file_open(killed: Path) -> None:
    with closing(connect_readonly(killed)) as reader:
        reader.execute("SELECT count(*) FROM events").fetchone()
        with pytest.raises(LedgerLocked, match="close it"):
            rebuild_projections(killed)
    assert rebuild_projections(killed).exists()


def test_what_is_no_ledger_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    with pytest.raises(LedgerError, match="there is no ledger at"):
        rebuild_projections(other)
    assert not list(tmp_path.iterdir())
    with closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE mine (x)")
    data = other.read_bytes()
    with pytest.raises(LedgerError, match="not a ledger"):
        rebuild_projections(other)
    assert other.read_bytes() == data
    with closing(sqlite3.connect(other)) as db:
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    with pytest.raises(LedgerError):
        rebuild_projections(other)
    assert {file.name for file in tmp_path.iterdir()} == {"other.sqlite", "other.sqlite.lock"}


def test_a_migrated_ledger_whose_intents_repeat_is_rebuilt_too(tmp_path: Path) -> None:
    """The first programs took a request in twice; its index only finds then."""
    path = tmp_path / "sim.sqlite"
    path.write_bytes(gzip.decompress((ledger_shapes.FOLDER / "schema-1.gz").read_bytes()))
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP INDEX IF EXISTS intents_by_request")
        last = db.execute("SELECT * FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        intent = db.execute("SELECT * FROM events WHERE type = 'IntentCreated' LIMIT 1").fetchone()
        columns = (last[0] + 1, last[1], *intent[2:9], 0, last[10], intent[11])
        row = (*columns, link(last[12], columns))
        db.execute(f"INSERT INTO events VALUES ({', '.join('?' * 13)})", row)
        db.commit()
    with closing(HeadFile(path)) as head:
        head.write(Head(row[0], row[12]))
    open_ledger(path).close()
    right = events(path)
    for _ in range(2):
        rebuild_projections(path)
        assert events(path) == right
        assert verify(path).ok, verify(path).lines
    open_ledger(path).close()


def test_what_it_makes_is_for_its_owner_alone(killed: Path) -> None:
    killed.chmod(0o644)
    rebuild_projections(killed)
    assert killed.stat().st_mode & 0o777 == 0o600
