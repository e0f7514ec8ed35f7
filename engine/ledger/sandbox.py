"""Runs one statement of a person's in a process of its own, which the system ends when its time is over, whatever SQLite does.

Started as a script by query.py, so it imports nothing of ours: a Python without site packages starts in a hundredth of a second.
The request comes in as one JSON object, the answer goes out as JSON lines: the columns, the rows in pieces, how it ended.
"""

from __future__ import annotations

import json
import re
import resource
import signal
import sqlite3
import sys
from contextlib import closing, suppress
from typing import Any, TextIO

_MOST_BYTES = 32 * 1024 * 1024
"""Of a result, about."""
_MEMORY = 1024 * 1024 * 1024
"""Of the process; where the system keeps to it."""
_PIECE = 500
_VALUE_BYTES = 16
"""What a value takes beside its text."""
LONGEST = 1_000_000
"""Bytes of a value or a row; the longest opcodes grow with its square."""
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: LONGEST,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1_000,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_COLUMN: 200,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 250_000,
}

_READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
_READ_PRAGMAS = {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "user_version"}
_DECLARES = {"type", "name", "tbl_name", "rootpage", "sql"}
_REASONS = {
    sqlite3.SQLITE_ATTACH: "ATTACH is refused: a query reads this ledger only",
    sqlite3.SQLITE_DETACH: "DETACH is refused: a query reads this ledger only",
    sqlite3.SQLITE_TRANSACTION: "transactions are refused: long readers hold the ledger's log",
    sqlite3.SQLITE_SAVEPOINT: "transactions are refused: long readers hold the ledger's log",
    sqlite3.SQLITE_FUNCTION: "load_extension is refused: a query runs SQLite's own functions only",
}
_WRITES = "writes are refused: the ledger is append-only; only the engine adds to it, and nothing changes what is in it"


class _Guard:
    def __init__(self) -> None:
        self.reason = ""

    def authorize(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if (
            action in _READS
            or (action == sqlite3.SQLITE_FUNCTION and second != "load_extension")
            or (action == sqlite3.SQLITE_PRAGMA and first in _READ_PRAGMAS)
            # How SQLite declares json_each and the like to itself; a statement that says so itself it refuses.
            or (action == sqlite3.SQLITE_UPDATE and first == "sqlite_master" and second in _DECLARES)
        ):
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_PRAGMA:
            self.reason = f"PRAGMA {first} is refused: settings of the ledger are the engine's; allowed are {', '.join(sorted(_READ_PRAGMAS))}"
        else:
            self.reason = self.reason or _REASONS.get(action, _WRITES)
        return sqlite3.SQLITE_DENY

    def told(self, error: Exception, sql: str) -> str:
        """Why a statement was not run, in words."""
        text = str(error)
        # VACUUM is carried out with an ATTACH of its own, which is what the guard sees.
        if sql.lstrip().upper().startswith("VACUUM") or "may not be modified" in text:
            return _WRITES
        if "one statement" in text:
            return "one statement at a time"
        if "too big" in text:
            return f"{text}: a value or a row may have {LONGEST:,} bytes"
        return self.reason or text


def run(uri: str, sql: str, max_rows: int, out: TextIO) -> None:
    """Write the answer, its last line {"truncated": bool} or {"refused": why}."""
    guard = _Guard()
    try:
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as db:
            db.execute("PRAGMA query_only = ON")
            for limit, value in _LIMITS.items():
                db.setlimit(limit, value)
            db.set_authorizer(guard.authorize)
            try:
                end: dict[str, Any] = {"truncated": _write(db.execute(sql), max_rows, out)}
            except sqlite3.OperationalError as error:
                db.set_authorizer(None)
                raise sqlite3.OperationalError(f"{error}{_there_are(db, str(error), sql)}") from None
    except MemoryError:
        end = {"refused": "it needs too much memory: ask for less, or add a LIMIT"}
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        end = {"refused": guard.told(error, sql)}
    out.write(json.dumps(end) + "\n")


def _there_are(db: sqlite3.Connection, said: str, sql: str) -> str:
    """The tables there are where one was not found; where a column was not, those of the tables that were named."""
    tables = [
        name
        for (name,) in db.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        )
    ]
    if said.startswith("no such table"):
        return f"; there are {', '.join(tables)}"
    if not said.startswith("no such column"):
        return ""
    words = set(re.findall(r"\w+", sql.lower()))
    named = {table: db.execute("SELECT name FROM pragma_table_info(?)", (table,)) for table in tables if table in words}
    return "".join(f"; {table} has {', '.join(name for (name,) in found)}" for table, found in named.items())


def _write(cursor: sqlite3.Cursor, max_rows: int, out: TextIO) -> bool:
    """Columns and rows; whether some are left out."""
    if cursor.description is None:
        raise ValueError("it asks for nothing: write a SELECT, like SELECT * FROM trades LIMIT 10")
    out.write(json.dumps([column[0] for column in cursor.description]) + "\n")
    piece: list[list[Any]] = []
    taken, truncated = 0, False
    for count, row in enumerate(cursor):
        taken += sum(len(value) if isinstance(value, str | bytes) else 0 for value in row) + len(row) * _VALUE_BYTES
        if truncated := count == max_rows or taken > _MOST_BYTES:
            break
        # JSON knows no bytes: they are a list of their digits.
        piece.append([[value.hex()] if isinstance(value, bytes) else value for value in row])
        if len(piece) == _PIECE:
            out.write(json.dumps(piece) + "\n")
            piece.clear()
    out.write(json.dumps(piece) + "\n")
    return truncated


def main() -> None:
    """Read the request, set the limits, run."""
    request = json.loads(sys.stdin.read())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Nothing is there to answer the alarm: the system ends the process.
    signal.setitimer(signal.ITIMER_REAL, request["seconds"])
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    run(request["uri"], request["sql"], request["max_rows"], sys.stdout)


if __name__ == "__main__":
    main()
