"""The ledger's tables: events are the truth and are never changed, the rest are projections rebuilt from them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from engine.ledger.errors import LedgerBroken, LedgerError

SCHEMA_VERSION = 2
"""Of the tables, of recorded state and of events: what changes one of them raises it, with a step in migrate.py."""
APPLICATION_ID = 0x484F4F58
"""Marks the file as a ledger in SQLite's header."""

Row = tuple[Any, ...]

META = "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"

EVENTS = (
    """CREATE TABLE events (
        seq INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, type TEXT NOT NULL, version INTEGER NOT NULL,
        account TEXT NOT NULL, venue TEXT NOT NULL, instrument TEXT NOT NULL, owner TEXT NOT NULL,
        request_id TEXT NOT NULL, causation INTEGER NOT NULL, epoch INTEGER NOT NULL,
        payload TEXT NOT NULL, hash BLOB NOT NULL)""",
    """CREATE TRIGGER events_are_never_updated BEFORE UPDATE ON events
        BEGIN SELECT RAISE(ABORT, 'events are append-only: UPDATE is forbidden'); END""",
    """CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
        BEGIN SELECT RAISE(ABORT, 'events are append-only: DELETE is forbidden'); END""",
)

SNAPSHOTS = """CREATE TABLE snapshots (
    seq INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, epoch INTEGER NOT NULL,
    hash_at_seq BLOB NOT NULL, bytes BLOB NOT NULL, checksum BLOB NOT NULL)"""

# Wide tables have rowids: without, every page on the way to a row holds but a few.
# Exact decimals are TEXT; the REALs of `trades` are the public table's (DESIGN 6.1).
PROJECTIONS: dict[str, str] = {
    "trades": """CREATE TABLE trades (
        id TEXT PRIMARY KEY NOT NULL, request_id TEXT NOT NULL, exchange TEXT NOT NULL, symbol TEXT NOT NULL,
        action TEXT NOT NULL, side TEXT NOT NULL, quantity REAL NOT NULL, price REAL NOT NULL, fee REAL NOT NULL,
        order_id TEXT NOT NULL, status TEXT NOT NULL, created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)
        WITHOUT ROWID""",
    "orders": """CREATE TABLE orders (
        id TEXT PRIMARY KEY NOT NULL, client_id TEXT NOT NULL, venue_order_id TEXT NOT NULL, account TEXT NOT NULL,
        venue TEXT NOT NULL, instrument TEXT NOT NULL, owner TEXT NOT NULL, request_id TEXT NOT NULL,
        side TEXT NOT NULL, type TEXT NOT NULL, role TEXT NOT NULL, leg TEXT NOT NULL, position TEXT NOT NULL,
        tif TEXT NOT NULL, reduce_only INTEGER NOT NULL, parent TEXT NOT NULL, status TEXT NOT NULL,
        reason TEXT NOT NULL, size TEXT NOT NULL, price TEXT, trigger TEXT,
        filled TEXT NOT NULL, value TEXT NOT NULL, fees TEXT NOT NULL,
        closed TEXT NOT NULL, closed_value TEXT NOT NULL, closed_fees TEXT NOT NULL,
        created_ns INTEGER NOT NULL, updated_ns INTEGER NOT NULL, seq INTEGER NOT NULL)""",
    "fills": """CREATE TABLE fills (
        seq INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, order_id TEXT NOT NULL, fill_id TEXT NOT NULL,
        part INTEGER NOT NULL, account TEXT NOT NULL, venue TEXT NOT NULL, instrument TEXT NOT NULL,
        owner TEXT NOT NULL, side TEXT NOT NULL, price TEXT NOT NULL, size TEXT NOT NULL, fee TEXT NOT NULL,
        fee_asset TEXT NOT NULL, maker INTEGER NOT NULL, closing INTEGER NOT NULL, position TEXT NOT NULL,
        realised TEXT NOT NULL, insurance TEXT NOT NULL)""",
    "positions": """CREATE TABLE positions (
        id TEXT PRIMARY KEY NOT NULL, account TEXT NOT NULL, venue TEXT NOT NULL, instrument TEXT NOT NULL,
        leg TEXT NOT NULL, size TEXT NOT NULL, cost TEXT NOT NULL, margin TEXT NOT NULL, leverage INTEGER NOT NULL,
        liquidation TEXT, realised TEXT NOT NULL, fees TEXT NOT NULL, funding TEXT NOT NULL,
        insurance TEXT NOT NULL, entered TEXT NOT NULL, entered_value TEXT NOT NULL, exited TEXT NOT NULL,
        exited_value TEXT NOT NULL, opened_ns INTEGER NOT NULL, closed_ns INTEGER NOT NULL,
        exit_reason TEXT NOT NULL, seq INTEGER NOT NULL)""",
    "balances": """CREATE TABLE balances (
        account TEXT NOT NULL, asset TEXT NOT NULL, wallet TEXT NOT NULL, deposited TEXT NOT NULL,
        updated_ns INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (account, asset)) WITHOUT ROWID""",
    "instruments": """CREATE TABLE instruments (
        id TEXT PRIMARY KEY NOT NULL, venue TEXT NOT NULL, product TEXT NOT NULL, symbol TEXT NOT NULL,
        base TEXT NOT NULL, quote TEXT NOT NULL, settle TEXT NOT NULL) WITHOUT ROWID""",
    "signals": """CREATE TABLE signals (
        seq INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, request_id TEXT NOT NULL, source TEXT NOT NULL,
        key TEXT NOT NULL, body_hash TEXT NOT NULL, account TEXT NOT NULL, instrument TEXT NOT NULL,
        exchange TEXT NOT NULL, action TEXT NOT NULL, symbol TEXT NOT NULL, quantity TEXT NOT NULL,
        unit TEXT NOT NULL, path TEXT NOT NULL, mode TEXT NOT NULL, status TEXT NOT NULL, code TEXT NOT NULL,
        message TEXT NOT NULL, latency_ns INTEGER NOT NULL, ended_ns INTEGER NOT NULL)""",
    "equity": """CREATE TABLE equity (
        seq INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, account TEXT NOT NULL, asset TEXT NOT NULL,
        wallet TEXT NOT NULL, unrealised TEXT NOT NULL, equity TEXT NOT NULL)""",
    "latency": """CREATE TABLE latency (
        seq INTEGER NOT NULL, stage TEXT NOT NULL, order_id TEXT NOT NULL, time_ns INTEGER NOT NULL,
        ns INTEGER NOT NULL, PRIMARY KEY (seq, stage)) WITHOUT ROWID""",
}

ORDER_FLOW = (
    "OrderFilled", "IntentCreated", "RiskApproved", "OrderCreated", "OrderSent", "OrderAccepted", "OrderHeld",
    "OrderResized", "OrderCancelled", "TriggerMoved", "MarksNoted", "EquitySampled", "LatencyMeasured",
)  # fmt: skip
"""Types of which every stretch of a ledger holds some; the rest are rare, and have an index to be found by."""
# Compared one by one, most frequent first: NOT IN costs as much as writing the event.
RARE = " AND ".join(f"type <> '{kind}'" for kind in ORDER_FLOW)
LIVE = "status NOT IN ('DENIED', 'FILLED', 'CANCELLED', 'EXPIRED', 'REJECTED')"

INDEXES = (
    "CREATE INDEX IF NOT EXISTS trades_by_time ON trades (created_at)",
    "CREATE INDEX IF NOT EXISTS orders_by_seq ON orders (seq)",
    f"CREATE INDEX IF NOT EXISTS orders_live ON orders (seq) WHERE {LIVE}",
    "CREATE INDEX IF NOT EXISTS positions_by_close ON positions (closed_ns)",
    "CREATE INDEX IF NOT EXISTS fills_by_position ON fills (position)",
    "CREATE INDEX IF NOT EXISTS signals_by_request ON signals (request_id)",
    "CREATE UNIQUE INDEX IF NOT EXISTS signals_by_key ON signals (source, key)",
    "CREATE INDEX IF NOT EXISTS signals_by_body ON signals (source, body_hash)",
    "CREATE INDEX IF NOT EXISTS events_by_request ON events (request_id) WHERE request_id <> ''",
    f"CREATE INDEX IF NOT EXISTS events_rare ON events (type) WHERE {RARE}",
)
"""What pages and questions of every day go by."""

INTENTS = "type = 'IntentCreated' AND request_id <> ''"
INTENTS_BY_REQUEST = f"CREATE UNIQUE INDEX intents_by_request ON events (request_id) WHERE {INTENTS}"
"""One intent to a request id, for ever: a repeat is found whatever its age, and cannot be written twice."""

SIGNALS_ONCE = "CREATE UNIQUE INDEX IF NOT EXISTS signals_once ON events (request_id) WHERE type = 'SignalReceived'"
"""A signal's id follows from its source and key: what came once cannot be written again, whatever became of `signals`."""

_NEVER_REPLACED = {
    "events": "",
    "signals": " ON CONFLICT (seq) DO UPDATE SET status = excluded.status, code = excluded.code,"
    " message = excluded.message, ended_ns = excluded.ended_ns",
}
"""Tables where a row that is there already under one of its keys fails the commit, and what a row may change of itself."""

_CHUNKS = (128, 64, 32, 16, 8, 7, 6, 5, 4, 3, 2, 1)
"""Rows of one INSERT: what one order leaves is a single one, any number a few, and their statements stay prepared."""


def create(db: sqlite3.Connection, meta: dict[str, str]) -> None:
    """Make every table and stamp `meta`, in one transaction."""
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        for statement in (META, *EVENTS, INTENTS_BY_REQUEST, SIGNALS_ONCE, SNAPSHOTS, *PROJECTIONS.values(), *INDEXES):
            db.execute(statement)
        db.executemany("INSERT INTO meta VALUES (?, ?)", {"schema": str(SCHEMA_VERSION), **meta}.items())
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def index_intents(db: sqlite3.Connection) -> None:
    """Give a file from before it the index; where a request was taken in twice then, it only finds."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'intents_by_request'").fetchone() is None:
        try:
            db.execute(INTENTS_BY_REQUEST)
        except sqlite3.IntegrityError:
            db.execute(INTENTS_BY_REQUEST.replace("UNIQUE ", ""))


@cache
def table_columns(table: str) -> tuple[str, ...]:
    """The names of a table's columns, in order."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute(EVENTS[0] if table == "events" else PROJECTIONS[table])
        return tuple(name for _, name, *_ in db.execute(f"PRAGMA table_info({table})"))


@cache
def _insert_sql(table: str, width: int, count: int) -> str:
    # A failed statement undoes the transaction anyway, so none keeps a journal of its own.
    verb = "INSERT OR ROLLBACK" if table in _NEVER_REPLACED else "INSERT OR REPLACE"
    values = ", ".join(["(" + ", ".join("?" * width) + ")"] * count)
    return f"{verb} INTO {table} VALUES {values}{_NEVER_REPLACED.get(table, '')}"


def insert_rows(db: sqlite3.Connection, table: str, rows: Sequence[Row]) -> None:
    """Write rows of equal width."""
    if rows:
        insert_values(db, table, len(rows[0]), list(chain.from_iterable(rows)))


def insert_values(db: sqlite3.Connection, table: str, width: int, values: list[Any]) -> None:
    """Write rows whose values follow each other, `width` to a row; many rows to a statement: each statement hands the
    interpreter lock over once, not once a row."""
    at = 0
    for count in _CHUNKS:
        size = count * width
        while len(values) - at >= size:
            db.execute(_insert_sql(table, width, count), values[at : at + size])
            at += size


def write_projections(db: sqlite3.Connection, rows: dict[str, list[Row]], stale_trades: Sequence[str]) -> None:
    """Bring the projections up to date, inside the caller's transaction."""
    for trade in stale_trades:
        db.execute("DELETE FROM trades WHERE id = ?", (trade,))
    for table, changed in rows.items():
        insert_rows(db, table, changed)


def check_application(path: Path, db: sqlite3.Connection) -> None:
    """Raises LedgerError for a database of another program."""
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise LedgerError(f"{path} is a database, but not a ledger; choose another file with --ledger")


def read_meta(db: sqlite3.Connection) -> dict[str, str]:
    """The stamps of the file."""
    return {key: value for key, value in db.execute("SELECT key, value FROM meta")}  # noqa: C416  typed pairs


def version_of(path: Path, meta: dict[str, str]) -> int:
    """The schema a file was written with; raises LedgerBroken without one, LedgerError where it is newer than this program."""
    text = meta.get("schema", "")
    if not text.isdecimal():
        raise LedgerBroken("meta", f"{path} lacks the version of its schema")
    if int(text) > SCHEMA_VERSION:
        raise LedgerError(
            f"{path} has schema {text}, this program knows {SCHEMA_VERSION}: a newer Hoox wrote it;"
            " update Hoox, or choose another file with --ledger"
        )
    return int(text)


class StoredRows:
    """Rows of earlier batches, for the projector."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def order(self, order_id: str) -> Row | None:
        """The `orders` row, or None."""
        return self._one("SELECT * FROM orders WHERE id = ?", order_id)

    def end_stated(self, order_id: str) -> bool:
        """Whether the venue stated how an order ended; an ending is never taken back, so that any event of it will do."""
        # They are rare, and found by the index of those.
        sql = f"""SELECT 1 FROM events WHERE type = 'OrderUnknown' AND {RARE}
            AND json_extract(payload, '$.order') = ? AND json_extract(payload, '$.ended') IS NOT NULL LIMIT 1"""  # noqa: S608  ours
        return self._one(sql, order_id) is not None

    def signal(self, signal: str) -> Row | None:
        """The `signals` row by the signal's id, or None."""
        return self._one("SELECT * FROM signals WHERE request_id = ?", signal)

    def balance(self, account: str, asset: str) -> Row | None:
        """The `balances` row, or None."""
        return self._one("SELECT * FROM balances WHERE account = ? AND asset = ?", account, asset)

    def settle_asset(self, instrument: str) -> str | None:
        """`instruments.settle`, or None."""
        row = self._one("SELECT settle FROM instruments WHERE id = ?", instrument)
        return None if row is None else str(row[0])

    def _one(self, sql: str, *key: str) -> Row | None:
        row: Row | None = self._db.execute(sql, key).fetchone()
        return row
