"""Reading a ledger from outside: SQL written by a person, under limits, and the questions asked every day."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from engine.clock import mono_ns
from engine.ledger.errors import LedgerError, QueryRefused
from engine.ledger.replay import connect_readonly
from engine.ledger.schema import INTENTS, ORDER_FLOW, RARE

MAX_ROWS = 100_000
MAX_NS = 5_000_000_000
_MAX_VALUE_BYTES = 16 * 1024 * 1024
_STEPS_BETWEEN_LOOKS = 10_000

_READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
_READ_PRAGMAS = {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "user_version"}
_REASONS = {
    sqlite3.SQLITE_ATTACH: "ATTACH is refused: a query reads this ledger only",
    sqlite3.SQLITE_DETACH: "DETACH is refused: a query reads this ledger only",
    sqlite3.SQLITE_TRANSACTION: "transactions are refused: long readers hold the ledger's log",
    sqlite3.SQLITE_SAVEPOINT: "transactions are refused: long readers hold the ledger's log",
    sqlite3.SQLITE_FUNCTION: "load_extension is refused: a query runs SQLite's own functions only",
}
_WRITES = "writes are refused: the ledger is append-only; only the engine adds to it, and nothing changes what is in it"

Rows = list[dict[str, Any]]

PAGED: dict[str, tuple[str, ...]] = {
    "trades": ("created_at", "id"),
    "orders": ("seq",),
    "fills": ("seq",),
    "equity": ("seq",),
    "signals": ("seq",),
}
"""What a page of a table goes by, so that a deep one costs no more than the first; an order's seq is that of its last change."""


class Result(NamedTuple):
    """What a statement gave; `truncated` when there were more rows than the limit."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    truncated: bool


def run_query(
    path: Path, sql: str, *, now: Callable[[], int] = mono_ns, max_ns: int = MAX_NS, max_rows: int = MAX_ROWS
) -> Result:
    """Run one reading statement; raises QueryRefused with the reason, LedgerError where there is no ledger."""
    guard = _Guard(now, now() + max_ns)
    with closing(_connect(path)) as db:
        db.execute("PRAGMA query_only = ON")
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE_BYTES)
        db.set_authorizer(guard.authorize)
        db.set_progress_handler(guard.is_late, _STEPS_BETWEEN_LOOKS)
        try:
            cursor = db.execute(sql)
            rows = cursor.fetchmany(max_rows)
            truncated = len(rows) == max_rows and cursor.fetchone() is not None
        except (sqlite3.Error, sqlite3.Warning) as error:
            if guard.late:
                raise QueryRefused(f"stopped after {max_ns / 1e9:g} s: ask for less, or add a LIMIT") from None
            raise QueryRefused(_reason(guard, error, sql)) from None
        return Result(tuple(column[0] for column in cursor.description or ()), rows, truncated)


class _Guard:
    def __init__(self, now: Callable[[], int], deadline: int) -> None:
        self._now = now
        self._deadline = deadline
        self.late = False
        self.reason = ""

    def is_late(self) -> int:
        self.late = self._now() > self._deadline
        return self.late

    def authorize(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if (
            action in _READS
            or (action == sqlite3.SQLITE_FUNCTION and second != "load_extension")
            or (action == sqlite3.SQLITE_PRAGMA and first in _READ_PRAGMAS)
        ):
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_PRAGMA:
            self.reason = f"PRAGMA {first} is refused: settings of the ledger are the engine's; allowed are {', '.join(sorted(_READ_PRAGMAS))}"
        else:
            self.reason = self.reason or _REASONS.get(action, _WRITES)
        return sqlite3.SQLITE_DENY


def _reason(guard: _Guard, error: Exception, sql: str) -> str:
    if sql.lstrip().upper().startswith("VACUUM"):
        # SQLite carries it out with an ATTACH of its own, which is what the guard sees.
        return _WRITES
    if "one statement" in str(error):
        return "one statement at a time"
    return guard.reason or str(error)


def _connect(path: Path) -> sqlite3.Connection:
    try:
        db = connect_readonly(path)
        db.execute("SELECT 1 FROM sqlite_master")
    except sqlite3.Error as error:
        raise LedgerError(f"{path} cannot be read as a ledger: {error}") from None
    return db


class Reader:
    """The everyday questions, on a connection that cannot write. Newest first; decimals are text."""

    def __init__(self, path: Path) -> None:
        """Open the file; raises LedgerError where there is none."""
        self._db = _connect(path)
        self._db.row_factory = sqlite3.Row

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def before(self, table: str, row: Mapping[str, Any] | None = None, limit: int = 100) -> Rows:
        """The page of `table` (one of PAGED) that ends before `row` (None: at the end), newest first."""
        return self._page(table, "<", row, limit)

    def after(self, table: str, row: Mapping[str, Any] | None = None, limit: int = 100) -> Rows:
        """The page of `table` that begins after `row` (None: at the beginning), oldest first."""
        return self._page(table, ">", row, limit)

    def positions(self) -> Rows:
        """Open positions."""
        return self._all("SELECT * FROM positions WHERE closed_ns = 0 ORDER BY opened_ns DESC, id")

    def balances(self) -> Rows:
        """Wallets by account and asset."""
        return self._all("SELECT * FROM balances ORDER BY account, asset")

    def latency(self, order_id: str) -> Rows:
        """Measured stages of one order."""
        return self._all("SELECT * FROM latency WHERE order_id = ? ORDER BY seq, stage", order_id)

    def events_before(
        self,
        seq: int | None = None,
        limit: int = 100,
        *,
        kind: str = "",
        request_id: str = "",
    ) -> Rows:
        """The page of events that ends before `seq` (None: at the end), newest first; of one type or one request only."""
        return self._events(2**63 - 1 if seq is None else seq, "<", "DESC", limit, kind, request_id)

    def events_after(
        self,
        seq: int = 0,
        limit: int = 100,
        *,
        kind: str = "",
        request_id: str = "",
    ) -> Rows:
        """The page of events that begins after `seq`, oldest first; of one type or one request only."""
        return self._events(seq, ">", "ASC", limit, kind, request_id)

    def intent_seq(self, request_id: str) -> int | None:
        """The event that took a request in; None where there is none. Raises LedgerError when it cannot be read."""
        sql = f"SELECT seq FROM events WHERE {INTENTS} AND request_id = ?"  # noqa: S608  a constant
        try:
            row = self._db.execute(sql, (request_id,)).fetchone()
        except sqlite3.Error as error:
            raise LedgerError(f"the ledger cannot be read: {error}") from None
        return None if row is None else int(row[0])

    def signal(self, source: str, key: str) -> dict[str, Any] | None:
        """The `signals` row under a key, however old; None where there is none. Raises LedgerError when it cannot be read."""
        return self._signal("SELECT * FROM signals WHERE source = ? AND key = ?", source, key)

    def signal_by_body(self, source: str, body_hash: str) -> dict[str, Any] | None:
        """The last `signals` row with a body; None where there is none. Raises LedgerError when it cannot be read."""
        sql = "SELECT * FROM signals WHERE source = ? AND body_hash = ? ORDER BY seq DESC LIMIT 1"
        return self._signal(sql, source, body_hash)

    def signal_by_id(self, signal: str) -> dict[str, Any] | None:
        """The `signals` row of an id; None where there is none. Raises LedgerError when it cannot be read."""
        return self._signal("SELECT * FROM signals WHERE request_id = ?", signal)

    def _signal(self, sql: str, *values: str) -> dict[str, Any] | None:
        try:
            row = self._db.execute(sql, values).fetchone()
        except sqlite3.Error as error:
            raise LedgerError(f"the ledger cannot be read: {error}") from None
        return None if row is None else dict(row)

    def _events(self, seq: int, compare: str, order: str, limit: int, kind: str, request_id: str) -> Rows:
        where = [f"seq {compare} ?"]
        values: list[object] = [seq]
        if request_id:
            # Spelled out, so that the index of those that have one is used; so is RARE.
            where, values = ["request_id = ? AND request_id <> ''", *where], [request_id, *values]
        if kind:
            rare = f" AND {RARE}" if kind not in ORDER_FLOW and not request_id else ""
            where, values = [f"type = ?{rare}", *where], [kind, *values]
        sql = f"SELECT * FROM events WHERE {' AND '.join(where)} ORDER BY seq {order} LIMIT ?"  # noqa: S608  ours
        return self._all(sql, *values, limit)

    def _page(self, table: str, compare: str, row: Mapping[str, Any] | None, limit: int) -> Rows:
        key = PAGED[table]
        order = ", ".join(f"{column} {'DESC' if compare == '<' else 'ASC'}" for column in key)
        where = ""
        values: list[object] = []
        if row is not None:
            where = f"WHERE ({', '.join(key)}) {compare} ({', '.join('?' * len(key))})"
            values = [row[column] for column in key]
        return self._all(f"SELECT * FROM {table} {where} ORDER BY {order} LIMIT ?", *values, limit)  # noqa: S608  ours

    def _all(self, sql: str, *values: object) -> Rows:
        return [dict(row) for row in self._db.execute(sql, values)]
