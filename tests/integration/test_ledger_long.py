"""A reader of a long ledger stands in nobody's way: while it takes its time, the engine writes on and its log can end."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.core.fold import fold
from engine.core.state import State, encode_state
from engine.ledger import export, replay
from engine.ledger import verify as verifying
from engine.ledger.errors import LedgerBroken
from engine.ledger.export import TABLES, export_rows
from engine.ledger.store import Ledger
from engine.ledger.verify import verify, verify_events
from tests.ledger_events import START_NS, Story


class Desk:
    """An engine that writes, and the state it has."""

    def __init__(self, path: Path) -> None:
        self.ledger = Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)
        self.story = Story(seed=5)
        self.state = State()
        self.write([*self.story.opening(), *(event for _ in range(60) for event in self.story.anything())])

    def write(self, events: list[Any]) -> None:
        self.ledger.append(events)
        for event in events:
            fold(self.state, event)

    def go_on(self) -> None:
        """Trade, take a snapshot, and end the log: it cannot where somebody still reads."""
        for _ in range(3):
            self.write([event for _ in range(4) for event in self.story.anything()])
            self.ledger.write_snapshot(self.state.seq, encode_state(self.state))
        busy, _, _ = self.ledger._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert not busy, "a reader holds the log"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(export, "CHUNK", 2)
    monkeypatch.setattr(replay, "_PAGE_EVENTS", 10)
    made = Desk(tmp_path / "sim.sqlite")
    made.ledger._db.execute("PRAGMA busy_timeout = 0")
    yield made
    made.ledger.close()


@pytest.mark.parametrize("what", sorted(TABLES))
def test_an_export_that_is_paused_gives_what_there_was_and_holds_no_log(desk: Desk, what: str) -> None:
    right = [row for rows in export_rows(desk.ledger.path, what) for row in rows]
    paused = export_rows(desk.ledger.path, what)
    got = list(next(paused))
    for rows in paused:
        got += rows
        desk.go_on()
    assert got == right
    assert len(got) > 2


def test_a_stretch_of_time_is_cut_out_of_pages_too(desk: Desk) -> None:
    whole = [row for rows in export_rows(desk.ledger.path, "events") for row in rows]
    since, until = whole[33][2], whole[77][2]
    chunks = list(export_rows(desk.ledger.path, "events", since, until))
    assert [row for rows in chunks for row in rows] == whole[33:77]
    assert all(chunks)


def test_a_check_of_a_ledger_that_is_written_holds_no_log_and_finds_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.go_on()
    began, goes_on = desk.state.seq, True
    right = verifying.fold_verified

    def slowly(state: State, event: Any) -> None:
        nonlocal goes_on
        if event.seq % 40 == 9 and goes_on:
            # Between two pages, as a slow disk would have it.
            goes_on = event.seq < 150
            desk.go_on()
        right(state, event)

    monkeypatch.setattr(replay, "_PAGE_EVENTS", 1)
    monkeypatch.setattr(verifying, "fold_verified", slowly)
    report = verify(desk.ledger.path)
    assert report.ok, report.lines
    assert report.events == desk.state.seq > began
    assert verify_events(desk.ledger.path).events == desk.state.seq


def test_events_that_an_index_hides_are_missed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a page in the middle of the tree is broken: the end is known, what is before it is not found."""
    monkeypatch.setattr(replay, "_PAGE", replay._PAGE.replace("seq > ?", "seq < 30 AND seq > ?"))
    with (
        closing(sqlite3.connect(desk.ledger.path)) as db,
        pytest.raises(LedgerBroken, match="event 30 cannot be reached, though the last one is"),
    ):
        list(replay.verified_events(db))
