"""A person's SQL reads the ledger and can do nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from engine.clock import mono_ns
from engine.ledger.errors import LedgerError, QueryRefused
from engine.ledger.query import PAGED, Reader, run_query
from engine.ledger.schema import INTENTS
from engine.ledger.store import Ledger
from tests.ledger_events import START_NS, Story, history


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A ledger that an engine holds, with two round trips and an open position."""
    ledger = Ledger.open(tmp_path / "sim.sqlite", env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)
    story = Story()
    ledger.append(story.opening())
    for _ in range(2):
        ledger.append(story.round_trip())
    ledger.append([*story.create(), *story.send(), *story.fill("0.010"), *story.create()])
    yield ledger.path
    ledger.close()


def test_the_promised_query_works_beside_a_running_engine(path: Path) -> None:
    sql = "SELECT created_at, exchange, symbol, action, price, quantity FROM trades ORDER BY created_at DESC LIMIT 10"
    result = run_query(path, sql)
    assert result.columns == ("created_at", "exchange", "symbol", "action", "price", "quantity")
    assert [row[3] for row in result.rows] == ["LONG", "CLOSE", "LONG", "CLOSE", "LONG"]
    assert not result.truncated


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("DELETE FROM trades", "writes are refused: the ledger is append-only"),
        ("UPDATE events SET payload = ''", "writes are refused"),
        ("INSERT INTO meta VALUES ('env', 'live')", "writes are refused"),
        ("DROP TABLE trades", "writes are refused"),
        ("CREATE TABLE mine (x)", "writes are refused"),
        ("CREATE TEMP TABLE mine (x)", "writes are refused"),
        ("VACUUM", "writes are refused"),
        ("ATTACH DATABASE ':memory:' AS other", "ATTACH is refused"),
        ("VACUUM INTO 'copy.sqlite'", "refused"),
        ("PRAGMA journal_mode = DELETE", "PRAGMA journal_mode is refused"),
        ("PRAGMA query_only = OFF", "PRAGMA query_only is refused"),
        ("SELECT load_extension('x')", "load_extension is refused"),
        ("BEGIN IMMEDIATE", "transactions are refused"),
        ("SELECT 1; SELECT 2", "one statement at a time"),
        ("SELEC 1", "syntax error"),
        (
            "SELECT colour FROM trades",
            "no such column: colour; trades has id, request_id, exchange, symbol, .*created_at$",
        ),
        ("SELECT o.id, f.colour FROM Orders o, fills f", "no such column: f.colour; fills has .*; orders has "),
        ("SELECT * FROM trade", "no such table: trade; there are .*orders, .*trades$"),
        ("", "it asks for nothing: write a SELECT"),
        (" -- what now?", "it asks for nothing: write a SELECT"),
        ("SELECT length(zeroblob(100000000))", "too big: a value or a row may have 1,000,000 bytes"),
        ("UPDATE sqlite_master SET sql = ''", "writes are refused"),
        ("DELETE FROM sqlite_master", "writes are refused"),
        ("INSERT INTO sqlite_master VALUES ('table', 'x', 'x', 0, '')", "writes are refused"),
        ("SELECT * FROM pragma_journal_mode", "PRAGMA journal_mode is refused"),
        ("SELECT 'a' LIKE '" + "%a" * 600 + "'", "LIKE or GLOB pattern too complex"),
        ("SELECT '" + "a" * 100_001 + "'", "too large|too big"),
        ("SELECT '\udcff'", "is no text"),
        ("SELECT 'a\0b'", "null character"),
        ("SELECT CAST(x'ff' AS TEXT)", "Could not decode"),
    ],
)
def test_what_does_not_read_is_refused_with_the_reason(path: Path, sql: str, reason: str) -> None:
    before = run_query(path, "SELECT count(*) FROM trades").rows
    with pytest.raises(QueryRefused, match=reason):
        run_query(path, sql)
    assert run_query(path, "SELECT count(*) FROM trades").rows == before


def test_table_names_and_columns_can_be_asked(path: Path) -> None:
    assert "created_at" in [row[1] for row in run_query(path, "PRAGMA table_info(trades)").rows]


def test_functions_that_give_tables_may_be_asked(path: Path) -> None:
    sql = "SELECT DISTINCT key FROM events, json_each(payload) WHERE events.type = 'OrderSent' ORDER BY key"
    assert run_query(path, sql).rows == [("order",), ("type",)]
    sql = "SELECT name FROM pragma_table_info('events') WHERE pk"
    assert run_query(path, sql).rows == [("seq",)]


A_BLOB = "replace(hex(zeroblob(240000)), '0', 'a')"


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT count(trim({A_BLOB}, substr(replace({A_BLOB}, 'a', 'b'), 1, 60000) || 'a'))",
        f"SELECT sum(instr({A_BLOB}, substr({A_BLOB}, 1, 240000) || seq)) FROM events",
        f"SELECT sum(length(replace({A_BLOB}, substr({A_BLOB}, 1, 240000) || seq, 'c'))) FROM events",
        f"SELECT sum({A_BLOB} LIKE '%' || substr({A_BLOB}, 1, 900) || seq || '%') FROM events",
    ],
)
def test_not_even_one_long_step_outlasts_its_time(path: Path, sql: str) -> None:
    began = mono_ns()
    with pytest.raises(QueryRefused, match=r"stopped after 0\.3 s"):
        run_query(path, sql, max_ns=300_000_000)
    assert mono_ns() - began < 1_500_000_000


def test_a_result_has_a_size_too(path: Path) -> None:
    result = run_query(path, "SELECT zeroblob(900000) FROM events, events AS more")
    assert result.truncated
    assert 30 < len(result.rows) < 40
    assert run_query(path, "SELECT " + ", ".join(["zeroblob(900000)"] * 200)).truncated


def test_what_came_of_sqlite_comes_back_as_it_was(path: Path) -> None:
    sql = "SELECT 1, -9223372036854775808, 1.5, 'ä', NULL, x'00ff', 9e999"
    assert run_query(path, sql).rows == [(1, -(2**63), 1.5, "ä", None, b"\x00\xff", float("inf"))]


def test_a_query_that_takes_too_long_is_stopped(path: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(QueryRefused, match=r"stopped after 0\.3 s"):
        run_query(path, endless, max_ns=300_000_000)


def test_rows_beyond_the_limit_are_left_out_and_said(path: Path) -> None:
    result = run_query(path, "SELECT seq FROM events ORDER BY seq", max_rows=5)
    assert [row[0] for row in result.rows] == [1, 2, 3, 4, 5]
    assert result.truncated
    assert not run_query(path, "SELECT seq FROM events LIMIT 5", max_rows=5).truncated


def test_a_missing_ledger_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no ledger at"):
        run_query(tmp_path / "none.sqlite", "SELECT 1")


def test_the_everyday_questions_have_answers(path: Path) -> None:
    with Reader(path) as reader:
        assert [trade["action"] for trade in reader.before("trades", limit=2)] == ["LONG", "CLOSE"]
        assert [order["status"] for order in reader.before("orders", limit=2)] == ["CREATED", "FILLED"]
        assert [fill["order_id"] for fill in reader.before("fills", limit=1)] == ["o-5"]
        assert [position["size"] for position in reader.positions()] == ["0.010"]
        assert [(balance["account"], balance["asset"]) for balance in reader.balances()] == [("main", "USDT")]
        assert reader.before("equity") == []


def test_events_are_paged_by_seq_in_both_directions(path: Path) -> None:
    with Reader(path) as reader:
        newest = reader.events_before(limit=3)
        older = reader.events_before(newest[-1]["seq"], limit=3)
        assert [event["seq"] for event in newest + older] == [37, 36, 35, 34, 33, 32]
        assert [event["seq"] for event in reader.events_after(34, limit=10)] == [35, 36, 37]


@pytest.mark.parametrize("table", ["trades", "orders", "fills", "equity"])
def test_tables_are_paged_from_any_row_in_both_directions(tmp_path: Path, table: str) -> None:
    with closing(
        Ledger.open(tmp_path / "sim.sqlite", env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)
    ) as ledger:
        # At one moment: time alone tells no two rows apart.
        events = (msgspec.structs.replace(event, time_ns=START_NS) for batch in history(120, seed=1) for event in batch)
        ledger.append(list(events))
    with Reader(ledger.path) as reader:
        whole = reader.after(table, limit=1_000)
        assert len(whole) > 12
        assert reader.before(table, limit=1_000) == whole[::-1]
        forward: list[dict[str, object]] = []
        while page := reader.after(table, forward[-1] if forward else None, 5):
            forward += page
        assert forward == whole
        backward: list[dict[str, object]] = []
        while page := reader.before(table, backward[-1] if backward else None, 5):
            backward += page
        assert backward == whole[::-1]


@pytest.mark.parametrize(
    ("kind", "request_id"), [("OrderSent", ""), ("EngineStarted", ""), ("", "r-3"), ("OrderFilled", "r-3")]
)
def test_events_of_one_type_or_one_request_are_paged(path: Path, kind: str, request_id: str) -> None:
    with Reader(path) as reader:
        mine = [
            event
            for event in reader.events_after(0)
            if kind in ("", event["type"]) and request_id in ("", event["request_id"])
        ]
        assert mine
        assert reader.events_after(0, kind=kind, request_id=request_id) == mine
        assert reader.events_before(None, kind=kind, request_id=request_id) == mine[::-1]
        assert reader.events_before(mine[-1]["seq"], kind=kind, request_id=request_id) == mine[:-1][::-1]


class Plans:
    """Every statement a reader runs, and how SQLite goes about it."""

    def __init__(self, reader: Reader) -> None:
        self.seen: list[str] = []
        self._reader = reader

    def __enter__(self) -> Plans:
        self._reader._db.set_trace_callback(self.seen.append)
        return self

    def __exit__(self, *_: object) -> None:
        self._reader._db.set_trace_callback(None)

    def told(self) -> list[str]:
        return [str(row[3]) for sql in self.seen for row in self._reader._db.execute(f"EXPLAIN QUERY PLAN {sql}")]


def test_no_page_skips_rows_or_sorts_them(path: Path) -> None:
    with Reader(path) as reader:
        with Plans(reader) as plans:
            for table in PAGED:
                row = {"created_at": "2026-01-01", "id": "o-1", "seq": 30}
                for page in (reader.before, reader.after):
                    page(table, row)
                    page(table)
            for page_of_events in (reader.events_before, reader.events_after):
                page_of_events(30)
                page_of_events(30, kind="AlarmRaised")
                page_of_events(30, kind="OrderFilled")
                page_of_events(30, request_id="r-1")
        told = plans.told()
        assert len(told) == len(plans.seen) == 28
        assert not [line for line in told if "TEMP B-TREE" in line]
        assert not [sql for sql in plans.seen if "OFFSET" in sql]
        starts = [line for line in told if line.startswith("SCAN")]
        assert len(starts) == 10, "only the first and the last page of a table begin at its edge"
        assert any("events_rare" in line for line in told)
        assert any("events_by_request" in line for line in told)
        assert any("trades_by_time" in line and "created_at" in line for line in told)


def test_a_request_is_found_by_its_index_and_cannot_be_written_twice(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "sim.sqlite", env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)
    story = Story()
    ledger.append(story.opening())
    intent = story.create()[0]
    ledger.append([intent])
    with Reader(ledger.path) as reader:
        assert reader.intent_seq("r-1") == intent.seq
        assert reader.intent_seq("r-2") is None
    plan = run_query(ledger.path, f"EXPLAIN QUERY PLAN SELECT seq FROM events WHERE {INTENTS} AND request_id = 'r-1'")
    assert "intents_by_request" in str(plan.rows)
    with pytest.raises(LedgerError):
        ledger.append([msgspec.structs.replace(intent, seq=intent.seq + 1)])
    assert ledger.seq == intent.seq
    ledger.close()


def test_a_ledger_from_before_the_index_gets_it_when_it_is_opened(path: Path, tmp_path: Path) -> None:
    old = tmp_path / "old" / "sim.sqlite"
    old.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.execute("VACUUM INTO ?", (str(old),))
    with closing(sqlite3.connect(old)) as db:
        db.executescript("DROP INDEX intents_by_request; UPDATE meta SET value = '1' WHERE key = 'schema'")
    for _ in range(2):
        Ledger.open(old, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0).close()
    with Reader(old) as reader:
        assert reader.intent_seq("r-1") is not None
    indexes = run_query(old, "SELECT name FROM sqlite_master WHERE type = 'index'").rows
    assert ("intents_by_request",) in indexes
