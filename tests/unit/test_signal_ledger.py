"""What a signal leaves in the ledger: one row, its verdict, and a key that is taken for ever."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.ledger import schema
from engine.ledger.chain import GENESIS, columns_of, link
from engine.ledger.projections import Projector
from engine.ledger.query import Reader
from engine.ledger.store import Ledger
from engine.ledger.verify import verify
from engine.model import command as cmd
from engine.model.event import Event
from engine.model.signal import SourceMode
from tests.kit import SECOND
from tests.signal_kit import Inbox, policy


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        schema.create(made, {})
        yield made


def project(db: sqlite3.Connection, events: list[Event], each: int = 1_000) -> None:
    """Write the rows of events, a new projector for each batch: nothing may be kept in memory only."""
    for start in range(0, len(events), each):
        projector = Projector(schema.StoredRows(db))
        for event in events[start : start + each]:
            projector.add(event)
        schema.write_projections(db, *projector.take())


def rows(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return db.execute(
        "SELECT request_id, source, key, action, symbol, quantity, mode, status, code FROM signals ORDER BY seq"
    ).fetchall()


def day() -> Inbox:
    """Executed, ignored, refused, waiting for a person, and resting in the book."""
    inbox = Inbox(balance="1000000")
    inbox.signal("LONG", "0.5")
    inbox.wait()
    inbox.signal("CLOSE")
    inbox.wait()
    inbox.signal("CLOSE")
    inbox.signal("LONG", "0.5", symbol="NOPE")
    inbox.signal("LONG", "0.1", policy(mode=SourceMode.APPROVE))
    inbox.signal("LONG", "0.10", type="LIMIT", price="59000")
    inbox.wait()
    return inbox


def test_each_signal_is_one_row_with_its_verdict(db: sqlite3.Connection) -> None:
    inbox = day()
    project(db, inbox.events)
    assert rows(db) == [
        ("s-tv-k1", "tv", "k1", "LONG", "BTCUSDT", "0.5", "trade", "executed", ""),
        ("s-tv-k2", "tv", "k2", "CLOSE", "BTCUSDT", "0.5", "trade", "executed", ""),
        ("s-tv-k3", "tv", "k3", "CLOSE", "BTCUSDT", "0.5", "trade", "ignored", "FLAT"),
        ("s-tv-k4", "tv", "k4", "LONG", "NOPE", "0.5", "trade", "refused", "UNKNOWN_SYMBOL"),
        ("s-tv-k5", "tv", "k5", "LONG", "BTCUSDT", "0.1", "approve", "waiting", "approval"),
        ("s-tv-k6", "tv", "k6", "LONG", "BTCUSDT", "0.10", "trade", "accepted", ""),
    ]


@pytest.mark.parametrize("each", [1, 2, 7])
def test_its_row_is_the_same_however_its_events_are_batched(db: sqlite3.Connection, each: int) -> None:
    inbox = day()
    inbox.ask(cmd.ApproveSignal, signal="s-tv-k5")
    inbox.wait(400 * SECOND)
    project(db, inbox.events, each)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as at_once:
        schema.create(at_once, {})
        project(at_once, inbox.events)
        assert db.execute("SELECT * FROM signals").fetchall() == at_once.execute("SELECT * FROM signals").fetchall()


def stored(events: list[Event]) -> list[tuple[Any, ...]]:
    made, previous = [], GENESIS
    for event in events:
        columns = columns_of(event)
        previous = link(previous, columns)
        made.append((*columns, previous))
    return made


def test_a_signal_cannot_be_written_twice_under_one_id(db: sqlite3.Connection) -> None:
    inbox = Inbox(balance="1000000")
    inbox.signal("LONG", "0.5", key="once")
    again = msgspec.structs.replace(inbox.events[-5], seq=inbox.state.seq + 1)
    assert again.type == "SignalReceived"
    schema.insert_rows(db, "events", stored(inbox.events))
    with pytest.raises(sqlite3.IntegrityError):
        schema.insert_rows(db, "events", stored([*inbox.events, again])[-1:])


def test_a_key_of_a_source_cannot_be_written_twice_under_another_id(db: sqlite3.Connection) -> None:
    inbox = Inbox(balance="1000000")
    inbox.signal("LONG", "0.5", key="once")
    first = inbox.events[-5]
    signal = msgspec.structs.replace(first.body.signal, id="another")  # type: ignore[union-attr]
    body = msgspec.structs.replace(first.body, signal=signal)
    project(db, inbox.events)
    with pytest.raises(sqlite3.IntegrityError):
        project(db, [msgspec.structs.replace(first, seq=999, request_id="another", body=body)])


def test_a_key_is_found_however_old_it_is(tmp_path: Path) -> None:
    inbox = day()
    path = tmp_path / "sim.sqlite"
    opened = Ledger.open(path, env="sim", feed="simulated", now_ns=SECOND, reserve_bytes=64 * 1024)
    with closing(opened) as ledger:
        ledger.append(inbox.events)
    with Reader(path) as reader:
        found = reader.signal("tv", "k2")
        assert found is not None
        assert (found["request_id"], found["status"]) == ("s-tv-k2", "executed")
        assert reader.signal("tv", "k99") is None
        assert reader.signal("other", "k2") is None
        by_body = reader.signal_by_body("tv", "hash of k3")
        assert by_body is not None
        assert by_body["key"] == "k3"
    report = verify(path)
    assert report.ok, report.lines
