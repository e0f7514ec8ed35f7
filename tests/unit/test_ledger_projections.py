"""What a person finds in the tables after an order, and that rebuilding gives the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.ledger import schema
from engine.ledger.chain import GENESIS, columns_of, event_of, link
from engine.ledger.projections import Projector
from engine.ledger.rows import timestamp
from engine.model import event as ev
from engine.model.event import Event
from engine.model.market import Side
from tests.ledger_events import START_NS, Story, history


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        schema.create(made, {})
        yield made


def project(db: sqlite3.Connection, *batches: list[Event]) -> None:
    for batch in batches:
        # A new projector for each batch: nothing may be kept in memory only.
        projector = Projector(schema.StoredRows(db))
        for event in batch:
            projector.add(event)
        schema.write_projections(db, *projector.take())


def trades(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return db.execute(
        "SELECT id, action, side, quantity, price, fee, status FROM trades ORDER BY created_at, id"
    ).fetchall()


def test_a_filled_entry_is_one_long_and_its_close_one_close(db: sqlite3.Connection) -> None:
    story = Story()
    project(db, story.opening(), story.create(), story.send(), story.fill("0.010", "61000"))
    project(db, story.create(Side.SELL, reduce_only=True), story.send(), story.fill("0.010", "62000"))
    assert trades(db) == [
        ("o-1", "LONG", "BUY", 0.01, 61000.0, 0.305, "Filled"),
        ("o-2", "CLOSE", "SELL", 0.01, 62000.0, 0.31, "Filled"),
    ]
    wallet, deposited = db.execute("SELECT wallet, deposited FROM balances").fetchone()
    assert Decimal(wallet) == 10_000 + 10 - Decimal("0.615")
    assert deposited == "10000"


def test_a_trade_names_its_venue_symbol_order_and_utc_time(db: sqlite3.Connection) -> None:
    story = Story()
    project(db, [*story.opening(), *story.create(), *story.send(), *story.fill("0.010")])
    row = db.execute("SELECT exchange, symbol, order_id, request_id, created_at FROM trades").fetchone()
    assert row == ("binance", "BTCUSDT", "o-1", "r-1", "2026-01-01 00:00:00.010000")


def test_a_flip_is_a_close_and_an_open(db: sqlite3.Connection) -> None:
    story = Story()
    project(db, story.opening(), story.create(), story.send(), story.fill("0.010"))
    project(db, story.create(Side.SELL, "0.030"), story.send(), story.fill("0.030", "60000"))
    assert trades(db)[1:] == [
        ("o-2/close", "CLOSE", "SELL", 0.01, 60000.0, 0.3, "Filled"),
        ("o-2/open", "SHORT", "SELL", 0.02, 60000.0, 0.6, "Filled"),
    ]
    assert db.execute("SELECT size FROM positions WHERE closed_ns = 0").fetchall() == [("-0.020",)]


def test_a_denied_order_is_a_rejected_row_of_zeros(db: sqlite3.Connection) -> None:
    story = Story()
    project(db, story.opening(), story.create(Side.SELL), story.deny())
    assert trades(db) == [("o-1", "SHORT", "SELL", 0.0, 0.0, 0.0, "Rejected")]


def test_a_cancelled_order_leaves_a_row_only_for_what_was_filled(db: sqlite3.Connection) -> None:
    story = Story()
    project(db, story.opening(), story.create(), story.send(), story.cancel())
    project(db, story.create(), story.send(), story.fill("0.004", "61000", ends=False), story.cancel())
    assert trades(db) == [("o-2", "LONG", "BUY", 0.004, 61000.0, 0.122, "Filled")]


def test_a_fill_after_the_cancel_rewrites_the_row(db: sqlite3.Connection) -> None:
    story = Story()
    project(db, story.opening(), story.create(Side.SELL), story.send(), story.fill("0.005"))
    project(db, story.create(), story.send(), story.fill("0.005", "61000", ends=False))
    terms = story.working["o-2"]
    cancelled = story.cancel()
    story.working["o-2"] = terms
    project(db, cancelled, story.fill("0.005", "61000"))
    assert [row[0] for row in trades(db) if row[0] != "o-1"] == ["o-2/close", "o-2/open"]


def test_an_order_row_tells_the_last_of_its_states_in_exact_decimals(db: sqlite3.Connection) -> None:
    story = Story()
    project(db, story.opening(), story.create(size="0.020"), story.send(), story.fill("0.005", "61000.1", ends=False))
    row = db.execute("SELECT status, venue_order_id, size, filled, value, reduce_only FROM orders").fetchone()
    assert row == ("PARTIAL", "v-o-1", "0.020", "0.005", "305.0005", 0)


def test_latency_has_a_row_for_each_stage(db: sqlite3.Connection) -> None:
    story = Story()
    project(db, [story.event(ev.LatencyMeasured("o-1", {"intent": 5, "durable": 9}))])
    assert db.execute("SELECT order_id, stage, ns FROM latency").fetchall() == [
        ("o-1", "durable", 9),
        ("o-1", "intent", 5),
    ]


@given(seed=st.integers(0, 10_000), size=st.integers(1, 40))
def test_tables_do_not_depend_on_how_events_were_batched(seed: int, size: int) -> None:
    events = [event for batch in history(25, seed) for event in batch]
    whole, parts = sqlite3.connect(":memory:"), sqlite3.connect(":memory:")
    with closing(whole), closing(parts):
        for made in (whole, parts):
            made.isolation_level = None
            schema.create(made, {})
        project(whole, events)
        project(parts, *(events[start : start + size] for start in range(0, len(events), size)))
        for table in schema.PROJECTIONS:
            ask = f"SELECT * FROM {table} ORDER BY 1, 2"
            assert whole.execute(ask).fetchall() == parts.execute(ask).fetchall(), table


def test_every_column_is_covered_by_the_hash() -> None:
    columns = columns_of(Story().create()[0])
    right = link(GENESIS, columns)
    for at, value in enumerate(columns):
        other: int | str = value + 1 if isinstance(value, int) else value + "x"
        assert link(GENESIS, (*columns[:at], other, *columns[at + 1 :])) != right  # type: ignore[arg-type]
    assert link(right, columns) != right


def test_text_cannot_move_from_one_column_to_the_next_unseen() -> None:
    columns = columns_of(Story().create()[0])
    moved = (*columns[:4], columns[4] + columns[5][:1], columns[5][1:], *columns[6:])
    assert link(GENESIS, moved) != link(GENESIS, columns)  # type: ignore[arg-type]


def test_a_stored_event_comes_back_equal() -> None:
    for event in (event for batch in history(40) for event in batch):
        assert event_of(columns_of(event)) == event


def test_times_are_written_in_utc_with_microseconds() -> None:
    assert timestamp(START_NS + 1_234_567_890) == "2026-01-01 00:00:01.234567"
