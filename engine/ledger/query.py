"""Reading a ledger from outside: SQL written by a person, under limits, and the questions asked every day."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any, NamedTuple

from engine.ledger.errors import LedgerError, QueryRefused
from engine.ledger.replay import connect_readonly, readonly_uri
from engine.ledger.schema import INTENTS, ORDER_FLOW, RARE, check_application

MAX_ROWS = 100_000
MAX_NS = 5_000_000_000
_SANDBOX = Path(__file__).with_name("sandbox.py")
_GRACE_S = 2.0
"""What a process takes to start and to end, beside the time of its statement."""

_STAGES = 20_000
_TOTALS = """SELECT order_id, ns FROM (SELECT order_id, stage, ns FROM latency WHERE seq > ? ORDER BY seq DESC LIMIT ?)
    WHERE stage = 'total'"""
"""Of the newest stages only: orders by hand are among them, and a start does not wait for all of those."""

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


def run_query(path: Path, sql: str, *, max_ns: int = MAX_NS, max_rows: int = MAX_ROWS) -> Result:
    """Run one reading statement of a person's, in a process of its own; raises QueryRefused with the reason, LedgerError where
    there is no ledger. Whatever ends the wait ends the statement."""
    _connect(path).close()
    try:
        sql.encode()
    except UnicodeEncodeError:
        raise QueryRefused(f"the statement is no text: {sql!r}") from None
    late = QueryRefused(f"stopped after {max_ns / 1e9:g} s: ask for less, or add a LIMIT")
    request = {"uri": readonly_uri(path), "sql": sql, "seconds": max_ns / 1e9, "max_rows": max_rows}
    # -I and -S: nothing of the person's environment runs there, and it starts at once.
    process = subprocess.Popen([sys.executable, "-I", "-S", _SANDBOX], stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
    with process:
        try:
            answer, _ = process.communicate(json.dumps(request).encode(), max_ns / 1e9 + _GRACE_S)
        except subprocess.TimeoutExpired:
            raise late from None
        finally:
            process.kill()
            process.wait()
    if process.returncode == -signal.SIGALRM:
        raise late
    lines = [json.loads(line) for line in answer.splitlines()] if process.returncode == 0 else []
    if not lines:
        raise QueryRefused(
            f"its process ended with {process.returncode} before it was done: ask for less, or add a LIMIT"
        )
    if "refused" in lines[-1]:
        raise QueryRefused(lines[-1]["refused"])
    rows = [tuple(map(_value, row)) for piece in lines[1:-1] for row in piece]
    return Result(tuple(lines[0]), rows, lines[-1]["truncated"])


def _value(value: Any) -> Any:
    return bytes.fromhex(value[0]) if isinstance(value, list) else value


def read_rows(path: Path, sql: str) -> Rows:
    """The rows that a statement of our own gives; raises LedgerError where the file cannot be read."""
    with closing(_connect(path)) as db:
        try:
            cursor = db.execute(sql)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]
        except sqlite3.Error as error:
            raise LedgerError(f"{path} cannot be read as a ledger: {error}") from None


def _connect(path: Path) -> sqlite3.Connection:
    db = connect_readonly(path)
    try:
        db.execute("SELECT 1 FROM sqlite_master").fetchone()
        check_application(path, db)
    except LedgerError:
        db.close()
        raise
    except (sqlite3.Error, UnicodeDecodeError) as error:
        db.close()
        raise LedgerError(f"{path} cannot be read as a ledger: {error}") from None
    return db


class Reader:
    """The everyday questions, on a connection that cannot write. Newest first; decimals are text.

    Each raises LedgerError when it cannot be read.
    """

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

    def signals_took(self, limit: int) -> dict[str, int]:
        """Nanoseconds that the newest signals took, oldest first: the whole way where it was measured, else the intake's.

        Raises LedgerError when it cannot be read.
        """
        try:
            rows = self._db.execute(
                "SELECT seq, request_id, latency_ns FROM signals ORDER BY seq DESC LIMIT ?", (limit,)
            ).fetchall()
            took = {row["request_id"]: int(row["latency_ns"]) for row in reversed(rows)}
            since = rows[-1]["seq"] if rows else 0
            for row in self._db.execute(_TOTALS, (since, _STAGES)):
                if row["order_id"] in took:
                    took[row["order_id"]] = int(row["ns"])
        except sqlite3.Error as error:
            raise LedgerError(f"the ledger cannot be read: {error}") from None
        return took

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
        try:
            return [dict(row) for row in self._db.execute(sql, values)]
        except sqlite3.Error as error:
            raise LedgerError(f"the ledger cannot be read: {error}") from None
