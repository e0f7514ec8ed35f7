"""Group commit: in order, told only when durable, silent after a failure until resumed."""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.core.fold import fold
from engine.core.state import State, encode_state
from engine.ledger.backup import backup
from engine.ledger.errors import LedgerLocked, LedgerReadOnly
from engine.ledger.replay import replay
from engine.ledger.store import Ledger
from engine.ledger.verify import Report, verify
from engine.ledger.writer import Writer, WriterBehind, WriterStopped
from tests.ledger_events import START_NS, Story, history


class Ears:
    """What the writer told, in order."""

    def __init__(self) -> None:
        self.told: queue.Queue[int | Exception] = queue.Queue()

    def durable(self, seq: int, committed_ns: int) -> None:
        self.told.put(seq)

    def failed(self, error: Exception) -> None:
        self.told.put(error)

    def wait_for(self, seq: int) -> list[int]:
        """Durable seqs up to this one."""
        seqs: list[int] = []
        while not seqs or seqs[-1] < seq:
            told = self.told.get(timeout=10)
            assert isinstance(told, int), told
            seqs.append(told)
        return seqs


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(tmp_path / "sim.sqlite", env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)
    yield opened
    opened.close()


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
def writer(ledger: Ledger, ears: Ears) -> Iterator[Writer]:
    made = Writer(ledger, ears.durable, ears.failed)
    yield made
    made.close()


def test_events_become_durable_in_order_and_are_told_once(
    ledger: Ledger, writer: Writer, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.ledger.writer.MAX_GROUP", 3)
    batches = history(200)
    for batch in batches:
        writer.submit(batch)
    last = batches[-1][-1].seq
    told = ears.wait_for(last)
    assert told == sorted(set(told))
    assert set(told) <= {batch[-1].seq for batch in batches}, "a submission is one commit, however long"
    assert writer.durable_seq == ledger.seq == last
    assert writer.pending == 0
    assert verify(ledger.path).ok


def test_closing_writes_what_is_queued(ledger: Ledger, ears: Ears) -> None:
    writer = Writer(ledger, ears.durable, ears.failed)
    story = Story()
    writer.submit(story.opening())
    for _ in range(50):
        writer.submit(story.round_trip())
    writer.close()
    assert ledger.seq == story.seq
    with pytest.raises(WriterStopped, match="closed"):
        writer.submit(story.opening())


def test_a_snapshot_is_kept_once_its_events_are_durable(ledger: Ledger, ears: Ears) -> None:
    writer = Writer(ledger, ears.durable, ears.failed)
    state, story = State(), Story()
    for events in (story.opening(), story.round_trip()):
        writer.submit(events)
        for event in events:
            fold(state, event)
    writer.submit_snapshot(state.seq, encode_state(state))
    writer.submit(story.round_trip())
    writer.close()
    assert writer.snapshot_failure is None
    assert ledger.load().snapshot_seq == state.seq
    assert verify(ledger.path).ok


def test_draining_waits_until_everything_queued_is_durable(writer: Writer) -> None:
    story = Story()
    writer.submit(story.opening())
    writer.submit(story.round_trip())
    assert writer.drain()
    assert writer.durable_seq == story.seq


def test_a_gap_is_refused_at_the_door(writer: Writer) -> None:
    opening = Story().opening()
    writer.submit(opening[:1])
    with pytest.raises(ValueError, match="event 3 does not follow 1"):
        writer.submit(opening[2:])


def test_more_than_the_disk_can_take_is_refused_whole(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.ledger.writer.MAX_PENDING", 3)
    opening = Story().opening()
    with pytest.raises(WriterBehind, match="3 at most"):
        writer.submit(opening)
    writer.submit(opening[:2])


def test_after_a_failure_nothing_is_written_until_resumed(ledger: Ledger, writer: Writer, ears: Ears) -> None:
    story = Story()
    writer.submit(story.opening())
    ears.wait_for(4)
    ledger._db.execute("PRAGMA query_only = ON")
    lost = story.round_trip()
    writer.submit(lost)
    failure = ears.told.get(timeout=10)
    assert isinstance(failure, LedgerReadOnly)
    with pytest.raises(WriterStopped, match="nothing is written since"):
        writer.submit(story.round_trip())
    assert not writer.drain()
    ledger._db.execute("PRAGMA query_only = OFF")
    assert ledger.load().state.seq == writer.durable_seq == 4
    writer.resume()
    writer.submit(lost)
    ears.wait_for(lost[-1].seq)
    assert verify(ledger.path).ok


def test_a_commit_waits_for_as_long_as_another_program_holds_the_file(tmp_path: Path) -> None:
    path, ears = tmp_path / "sim.sqlite", Ears()
    events = list(Story().opening())
    with closing(Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)) as ledger:
        ledger._db.execute("PRAGMA busy_timeout = 20")  # SQLite's own patience is longer than a test's
        with closing(Writer(ledger, ears.durable, ears.failed)) as writer:
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                writer.submit(events)
                with pytest.raises(queue.Empty):
                    ears.told.get(timeout=0.2)
                assert "locked by another program; close it" in writer.held_up
                other.execute("ROLLBACK")
            assert ears.wait_for(events[-1].seq) == [events[-1].seq]
            assert writer.held_up == ""


def test_who_drains_stands_still_no_longer_for_another_program_and_commits_wait_for_it_again_after_that(
    tmp_path: Path,
) -> None:
    """Whether the lock was noticed before, or comes with the commit that is waited for."""
    path, ears, story = tmp_path / "sim.sqlite", Ears(), Story()
    with closing(Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)) as ledger:
        ledger._db.execute("PRAGMA busy_timeout = 20")
        with (
            closing(Writer(ledger, ears.durable, ears.failed)) as writer,
            closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other,
        ):
            other.execute("BEGIN IMMEDIATE")
            freed = threading.Timer(5, other.execute, ["ROLLBACK"])  # who waits for ever sees no time limit
            freed.start()
            opening = list(story.opening())
            writer.submit(opening)
            assert not writer.drain()
            assert freed.is_alive()
            freed.cancel()
            assert isinstance(ears.told.get(timeout=5), LedgerLocked)
            writer.resume()
            assert writer.held_up == ""
            writer.submit(opening)
            with pytest.raises(queue.Empty):
                ears.told.get(timeout=0.2)
            other.execute("ROLLBACK")
            assert ears.wait_for(opening[-1].seq) == [opening[-1].seq]


def test_a_backup_taken_while_events_are_written_is_a_whole_ledger_of_some_moment(
    ledger: Ledger, tmp_path: Path
) -> None:
    """An engine's writer goes on writing until the last copy is verified."""
    story, over = Story(), threading.Event()
    ledger.append(story.opening())
    writer = Writer(ledger, lambda *_: None, lambda error: None)

    def trade() -> None:
        while not over.is_set():
            writer.submit(story.round_trip())
            writer.drain()

    trading = threading.Thread(target=trade)
    trading.start()
    reports: list[Report] = []
    try:
        for number in range(3):
            while writer.durable_seq <= (reports[-1].events if reports else 4):
                time.sleep(0.001)
            reports.append(backup(ledger.path, tmp_path / f"copy-{number}.sqlite"))
    finally:
        over.set()
        trading.join()
        writer.close()
    assert [report.ok for report in reports] == [True, True, True]
    assert 4 < reports[0].events < reports[1].events < reports[2].events <= ledger.seq
    for number, report in enumerate(reports):
        assert replay(tmp_path / f"copy-{number}.sqlite").seq == report.events
    assert verify(ledger.path).ok
