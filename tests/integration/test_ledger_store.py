"""The ledger keeps what it acknowledged, for one engine, one environment and one feed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.core.fold import fold
from engine.core.state import State, encode_state
from engine.ledger import store
from engine.ledger.errors import LedgerBusy, LedgerError, WrongEnvironment, WrongFeed
from engine.ledger.head import read_head
from engine.ledger.log import log_bytes
from engine.ledger.replay import replay
from engine.ledger.store import Ledger
from engine.model.event import Event
from tests.ledger_events import START_NS, Story, history

Open = Callable[..., Ledger]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sim.sqlite"


@pytest.fixture
def open_ledger(path: Path) -> Iterator[Open]:
    opened: list[Ledger] = []

    def opener(env: str = "sim", feed: str = "simulated") -> Ledger:
        opened.append(Ledger.open(path, env=env, feed=feed, now_ns=START_NS, reserve_bytes=64 * 1024))
        return opened[-1]

    yield opener
    for ledger in opened:
        ledger.close()


def folded(events: list[Event]) -> State:
    state = State()
    for event in events:
        fold(state, event)
    return state


def test_what_was_appended_is_there_after_the_next_open(open_ledger: Open) -> None:
    ledger = open_ledger()
    batches = history(30)
    for batch in batches:
        ledger.append(batch)
    seq, head = ledger.seq, read_head(ledger.path)
    ledger.close()
    ledger = open_ledger()
    loaded = ledger.load()
    assert (ledger.seq, read_head(ledger.path)) == (seq, head)
    assert encode_state(loaded.state) == encode_state(folded([event for batch in batches for event in batch]))
    assert (loaded.snapshot_seq, loaded.tail_events, loaded.warnings) == (0, seq, ())


def test_a_start_takes_the_newest_snapshot_and_folds_only_what_came_after(open_ledger: Open) -> None:
    ledger = open_ledger()
    batches = history(12)
    state = State()
    for number, batch in enumerate(batches):
        ledger.append(batch)
        for event in batch:
            fold(state, event)
        if number == 8:
            ledger.snapshot(state)
            at = ledger.seq
    loaded = ledger.load()
    assert (loaded.snapshot_seq, loaded.tail_events) == (at, ledger.seq - at)
    assert encode_state(loaded.state) == encode_state(state) == encode_state(replay(ledger.path))


def test_only_the_last_three_snapshots_are_kept(open_ledger: Open, path: Path) -> None:
    ledger = open_ledger()
    state = State()
    for batch in history(5):
        ledger.append(batch)
        for event in batch:
            fold(state, event)
        ledger.snapshot(state)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*), max(seq) FROM snapshots").fetchone() == (3, ledger.seq)


def test_a_snapshot_never_runs_ahead_of_what_is_durable(open_ledger: Open) -> None:
    with pytest.raises(ValueError, match="the ledger ends at 0"):
        open_ledger().snapshot(State(seq=1))


@pytest.mark.parametrize("statement", ["UPDATE events SET payload = '{}'", "DELETE FROM events WHERE seq = 2"])
def test_events_can_be_neither_changed_nor_deleted(open_ledger: Open, path: Path, statement: str) -> None:
    open_ledger().append(Story().opening())
    with closing(sqlite3.connect(path)) as db, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.execute(statement)


def test_a_gap_in_seq_is_refused_and_nothing_is_written(open_ledger: Open) -> None:
    ledger = open_ledger()
    opening = Story().opening()
    with pytest.raises(ValueError, match="event 3 does not follow 1"):
        ledger.append([opening[0], opening[2]])
    assert ledger.seq == 0
    ledger.append(opening)
    assert ledger.seq == 4


def test_the_second_engine_is_refused_and_told_who_holds_the_ledger(open_ledger: Open) -> None:
    open_ledger()
    with pytest.raises(LedgerBusy, match=r"held by pid \d+ since 2026-01-01 00:00:00"):
        open_ledger()


def test_a_closed_ledger_lets_the_next_engine_in(open_ledger: Open) -> None:
    first = open_ledger()
    first.close()
    assert open_ledger().ledger_id == first.ledger_id


def test_another_environment_is_refused_by_name(open_ledger: Open) -> None:
    open_ledger().close()
    with pytest.raises(WrongEnvironment, match=r"env 'sim', not 'live'; start with --env sim"):
        open_ledger(env="live")
    assert open_ledger().seq == 0


def test_another_feed_is_refused_while_something_is_open(open_ledger: Open) -> None:
    ledger = open_ledger()
    story = Story()
    ledger.append([*story.opening(), *story.create(), *story.send()])
    state = ledger.load().state
    with pytest.raises(WrongFeed, match="1 open positions and orders on feed 'simulated', not 'binance'"):
        ledger.check_feed(state, "binance")
    ledger.append(story.cancel())
    ledger.check_feed(ledger.load().state, "binance")
    ledger.close()
    assert open_ledger(feed="binance").feed == "binance"


def test_commits_are_durable_in_wal_mode_with_full_synchronous(open_ledger: Open) -> None:
    ledger = open_ledger()
    assert ledger._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert ledger._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_log_that_a_reader_held_up_gives_its_room_back(
    open_ledger: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LOG_BYTES", 100_000)
    monkeypatch.setattr(store, "_CHECKPOINT_PAGES", 10)
    story = Story()
    with closing(open_ledger()) as ledger:
        ledger.append(story.opening())
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM events").fetchone()
            while log_bytes(path) < 400_000:
                ledger.append(story.round_trip())
        for _ in range(3):
            ledger.append(story.round_trip())
        assert log_bytes(path) <= 100_000


def test_a_database_that_is_no_ledger_is_left_alone(open_ledger: Open, path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE notes (text)")
    with pytest.raises(LedgerError, match="a database, but not a ledger"):
        open_ledger()


def test_a_missing_ledger_is_named_where_none_may_be_made(path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no ledger at"):
        Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, create=False)
    assert not path.exists()


def test_replay_stops_at_a_seq_or_at_a_time(open_ledger: Open) -> None:
    ledger = open_ledger()
    events = Story().opening()
    ledger.append(events)
    assert replay(ledger.path, until_seq=2).seq == 2
    assert replay(ledger.path, until_ns=events[2].time_ns).seq == 3


def test_the_reserve_is_real_and_made_again_at_the_next_open(open_ledger: Open, path: Path) -> None:
    ledger = open_ledger()
    reserve = path.with_name("sim.sqlite.reserve")
    assert ledger.reserve_held
    assert reserve.stat().st_blocks * 512 >= 64 * 1024
    ledger.free_reserve()
    assert not ledger.reserve_held
    ledger.close()
    assert open_ledger().reserve_held
