"""Damage is found and named: an event by its seq, a cut tail against HEAD, a page or a projection by its table."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from engine.core.fold import fold
from engine.core.state import State, encode_state
from engine.ledger import schema
from engine.ledger.backup import backup
from engine.ledger.errors import LedgerBroken, LedgerBusy, LedgerError
from engine.ledger.head import Head, HeadFile, read_head
from engine.ledger.replay import replay
from engine.ledger.store import Ledger
from engine.ledger.verify import rebuild_projections, verify, verify_events
from tests.ledger_events import START_NS, history


def open_ledger(path: Path) -> Ledger:
    return Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A closed ledger with some hundred events and two snapshots."""
    path = tmp_path / "sim.sqlite"
    opened = open_ledger(path)
    state = State()
    for number, batch in enumerate(history(60, seed=3)):
        opened.append(batch)
        for event in batch:
            fold(state, event)
        if number in (20, 40):
            opened.snapshot(state)
    opened.close()
    return path


def ask(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript("; ".join(statements))


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x01
    path.write_bytes(data)


def flip_in_payload(path: Path, seq: int) -> None:
    """One bit inside the stored text of an event, as a bad disk would."""
    (payload,) = ask(path, f"SELECT payload FROM events WHERE seq = {seq}")[0]
    (time_ns,) = ask(path, f"SELECT time_ns FROM events WHERE seq = {seq}")[0]
    assert isinstance(payload, str)
    assert isinstance(time_ns, int)
    data = path.read_bytes()
    row = data.index(time_ns.to_bytes(8, "big"))
    flip(path, data.index(payload.encode(), row) + len(payload) // 2)


def test_an_untouched_ledger_verifies(ledger: Path) -> None:
    report = verify(ledger)
    assert report.ok, report.lines
    assert report.lines == [f"{report.events} events verified; the ledger is as it was written"]
    assert verify_events(ledger).ok


def test_a_flipped_bit_in_a_payload_names_the_event(ledger: Path) -> None:
    flip_in_payload(ledger, 50)
    for report in (verify(ledger), verify_events(ledger)):
        assert [(finding.part, finding.seq) for finding in report.findings] == [("events", 50)]
        assert report.events == 49
        assert not report.rebuildable
    with pytest.raises(LedgerBroken, match="event 50 was changed") as broken:
        replay(ledger)
    assert broken.value.seq == 50
    assert replay(ledger, until_seq=49).seq == 49


def test_the_engine_does_not_open_a_ledger_whose_tail_was_changed(ledger: Path) -> None:
    (last,) = ask(ledger, "SELECT max(seq) FROM events")[0]
    assert isinstance(last, int)
    flip_in_payload(ledger, last - 5)
    with pytest.raises(LedgerBroken, match=f"event {last - 5}"):
        open_ledger(ledger)


def test_an_edit_by_hand_names_the_event(ledger: Path) -> None:
    change(ledger, "DROP TRIGGER events_are_never_updated", "UPDATE events SET owner = 'nobody' WHERE seq = 7")
    assert [(finding.part, finding.seq) for finding in verify(ledger).findings] == [("events", 7), ("schema", None)]


def test_an_event_taken_out_of_the_middle_is_missed(ledger: Path) -> None:
    change(ledger, "DROP TRIGGER events_are_never_deleted", "DELETE FROM events WHERE seq = 9")
    assert "event 9 is missing: the next one is 10" in verify(ledger).lines[1]


def test_a_cut_tail_shows_against_head(ledger: Path) -> None:
    (last,) = ask(ledger, "SELECT max(seq) FROM events")[0]
    assert isinstance(last, int)
    change(ledger, "DROP TRIGGER events_are_never_deleted", f"DELETE FROM events WHERE seq > {last - 10}")
    missing = f"HEAD: events {last - 9}..{last} are missing: HEAD says the last one is {last}"
    assert any(line.startswith(missing) for line in verify(ledger).lines)
    with pytest.raises(LedgerBroken, match=missing):
        open_ledger(ledger)


def test_a_head_that_a_crash_left_behind_is_no_damage(ledger: Path) -> None:
    (event_hash,) = ask(ledger, "SELECT hash FROM events WHERE seq = 100")[0]
    assert isinstance(event_hash, bytes)
    head = HeadFile(ledger)
    head.write(Head(100, event_hash))
    head.close()
    assert verify(ledger).ok
    open_ledger(ledger).close()
    last = read_head(ledger)
    assert last is not None
    assert last.seq > 100


def test_a_missing_head_is_said_and_written_again(ledger: Path) -> None:
    head = ledger.with_name("sim.sqlite.head")
    head.unlink()
    assert "a cut tail cannot be ruled out" in verify(ledger).lines[1]
    opened = open_ledger(ledger)
    assert "HEAD" in opened.load().warnings[0]
    opened.close()
    assert verify(ledger).ok


def test_a_damaged_head_is_said_and_written_again(ledger: Path) -> None:
    flip(ledger.with_name("sim.sqlite.head"), 12)
    assert verify(ledger).findings[0].part == "HEAD"
    opened = open_ledger(ledger)
    assert "damaged" in opened.load().warnings[0]
    opened.close()
    assert verify(ledger).ok


def test_a_bad_snapshot_is_skipped_with_a_warning(ledger: Path) -> None:
    seqs = [seq for (seq,) in ask(ledger, "SELECT seq FROM snapshots ORDER BY seq DESC")]
    right = encode_state(replay(ledger))
    change(ledger, f"UPDATE snapshots SET bytes = zeroblob(length(bytes)) WHERE seq = {seqs[0]}")
    opened = open_ledger(ledger)
    loaded = opened.load()
    opened.close()
    assert loaded.snapshot_seq == seqs[1]
    assert loaded.warnings == (f"snapshot {seqs[0]} was changed: its checksum does not match; it was skipped",)
    assert encode_state(loaded.state) == right
    assert [(finding.part, finding.seq) for finding in verify(ledger).findings] == [("snapshots", seqs[0])]


def test_a_snapshot_of_other_events_is_not_used(ledger: Path) -> None:
    change(ledger, "UPDATE snapshots SET hash_at_seq = zeroblob(16)")
    opened = open_ledger(ledger)
    loaded = opened.load()
    opened.close()
    assert loaded.snapshot_seq == 0
    assert len(loaded.warnings) == 2
    assert encode_state(loaded.state) == encode_state(replay(ledger))


@pytest.mark.parametrize(
    ("table", "edit"),
    [
        ("trades", "UPDATE trades SET price = price + 1"),
        ("orders", "DELETE FROM orders WHERE id = 'o-1'"),
        ("fills", "UPDATE fills SET fee = '0'"),
        ("positions", "UPDATE positions SET size = '9'"),
        ("balances", "UPDATE balances SET wallet = '1000000'"),
        ("equity", "DELETE FROM equity"),
    ],
)
def test_a_wrong_projection_is_named_and_put_right(ledger: Path, table: str, edit: str) -> None:
    change(ledger, edit)
    report = verify(ledger)
    assert [finding.part for finding in report.findings] == [table]
    assert report.rebuildable
    assert rebuild_projections(ledger).exists()
    assert verify(ledger).ok


def test_broken_pages_of_a_projection_are_named_and_put_right(ledger: Path) -> None:
    right = encode_state(replay(ledger))
    (root,) = ask(ledger, "SELECT rootpage FROM sqlite_master WHERE name = 'orders'")[0]
    assert isinstance(root, int)
    data = bytearray(ledger.read_bytes())
    data[(root - 1) * 4096 : root * 4096] = bytes(4096)
    ledger.write_bytes(data)
    report = verify(ledger)
    assert {finding.part for finding in report.findings} == {"orders"}
    assert report.rebuildable
    with pytest.raises(LedgerBroken) as broken:
        open_ledger(ledger)
    assert broken.value.part == "orders"
    rebuild_projections(ledger)
    assert verify(ledger).ok
    opened = open_ledger(ledger)
    loaded = opened.load()
    opened.close()
    assert encode_state(loaded.state) == right
    assert loaded.snapshot_seq > 0


def test_every_flipped_byte_of_the_file_that_matters_is_found(ledger: Path, tmp_path: Path) -> None:
    """Bits flipped all over the pages in use: either verify names it, or nothing a reader sees has changed."""
    data = ledger.read_bytes()
    tables = ["meta", "events", "snapshots", *schema.PROJECTIONS]
    before = {table: ask(ledger, f"SELECT * FROM {table}") for table in tables}
    copy = tmp_path / "copy.sqlite"
    copy.with_name("copy.sqlite.head").write_bytes(ledger.with_name("sim.sqlite.head").read_bytes())
    for offset in range(4096 + 37, len(data), 4096 * 3 + 411):
        copy.write_bytes(data)
        flip(copy, offset)
        report = verify(copy)
        if report.ok:
            assert {table: ask(copy, f"SELECT * FROM {table}") for table in tables} == before, offset


def test_projections_are_not_rebuilt_under_a_running_engine(ledger: Path) -> None:
    running = open_ledger(ledger)
    with pytest.raises(LedgerBusy):
        rebuild_projections(ledger)
    running.close()


def test_a_file_of_noise_is_called_broken(tmp_path: Path) -> None:
    path = tmp_path / "sim.sqlite"
    path.write_bytes(b"noise" * 5_000)
    with pytest.raises(LedgerBroken, match="not a database"):
        open_ledger(path)
    assert not verify(path).ok


@pytest.mark.parametrize("read", [verify, verify_events, replay])
def test_a_ledger_that_another_program_has_locked_is_not_called_changed(
    ledger: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object]
) -> None:
    impatient = partial(sqlite3.connect, timeout=0)
    with closing(sqlite3.connect(ledger, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr(sqlite3, "connect", impatient)
        with pytest.raises(LedgerError, match="another program has it locked; close that") as told:
            read(ledger)
        assert not isinstance(told.value, LedgerBroken)
    read(ledger)


def test_a_backup_of_a_running_ledger_is_a_whole_ledger(ledger: Path, tmp_path: Path) -> None:
    running = open_ledger(ledger)
    target = tmp_path / "backup.sqlite"
    assert backup(ledger, target).ok
    running.close()
    assert encode_state(replay(target)) == encode_state(replay(ledger))
    assert verify(target).ok
    with pytest.raises(LedgerError, match="overwrites nothing"):
        backup(ledger, target)


def test_a_backup_of_a_damaged_ledger_is_not_kept(ledger: Path, tmp_path: Path) -> None:
    flip_in_payload(ledger, 30)
    target = tmp_path / "backup.sqlite"
    with pytest.raises(LedgerBroken, match="event 30"):
        backup(ledger, target)
    assert not list(tmp_path.glob("backup*"))
