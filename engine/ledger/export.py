"""Rows of a ledger for other programs: streamed as they were when it began, every decimal exact and in text.

However slowly they are taken, no read of the ledger lasts: its log could not end. Tables that only grow are read page by page;
of the others, whose rows change, a copy is taken into a temporary file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from engine.ledger import schema
from engine.ledger.errors import LedgerError, unless_hindered
from engine.ledger.replay import connect_readonly
from engine.ledger.rows import timestamp
from engine.ledger.schema import Row, table_columns

CHUNK = 5_000
"""Rows held at once."""
_LAST_NS = 2**63 - 1
WHOLE, EXACT, TEXT = int, Decimal, str
"""Kinds of a column: a whole number, a decimal in text, words."""

_INTS = {
    "seq", "time_ns", "version", "causation", "epoch", "part", "maker", "closing", "leverage", "reduce_only",
    "created_ns", "updated_ns", "opened_ns", "closed_ns",
}  # fmt: skip
_DECIMALS = {
    "size", "price", "trigger", "filled", "value", "fees", "closed", "closed_value", "closed_fees", "fee", "realised",
    "insurance", "cost", "margin", "liquidation", "funding", "entered", "entered_value", "exited", "exited_value",
    "wallet", "unrealised", "equity", "quantity",
}  # fmt: skip
_SHARES = ("filled", "value", "fees", "closed", "closed_value", "closed_fees")


class Column(NamedTuple):
    """A column and what is in it: WHOLE, EXACT or TEXT."""

    name: str
    kind: type


class Table(NamedTuple):
    """What is read for one kind of export, and how a row of it becomes one of the export."""

    sql: str
    """Of a table that only grows: the rows behind a seq, up to another; of others: those of a stretch of time."""
    columns: tuple[Column, ...]
    shape: Callable[[Row], Row]
    time: int | None
    """Where a row of one that only grows has its time."""


def export_rows(path: Path, what: str, since_ns: int | None = None, until_ns: int | None = None) -> Iterator[list[Row]]:
    """Rows of TABLES[what] whose time is not before `since_ns` and before `until_ns`, oldest first, some thousands at a time.

    Raises LedgerError where the file cannot be read, or lacks what the rows are made of.
    """
    table = TABLES[what]
    since = min(max(since_ns or 0, 0), _LAST_NS)
    until = _LAST_NS if until_ns is None else min(max(until_ns, 0), _LAST_NS)
    try:
        with closing(connect_readonly(path)) as db:
            schema.check_application(path, db)
            for rows in (
                _copied(db, table, what, since, until) if table.time is None else _paged(db, table, since, until)
            ):
                yield [table.shape(row) for row in rows]
    except sqlite3.Error as error:
        unless_hindered(error)
        raise LedgerError(f"{path} cannot be read: {error}; hoox ledger verify says where") from error


def _paged(db: sqlite3.Connection, table: Table, since: int, until: int) -> Iterator[list[Row]]:
    assert table.time is not None
    seq, last = 0, db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
    while rows := db.execute(f"{table.sql} LIMIT ?", (seq, last, CHUNK)).fetchall():
        # By the key alone, their first column: every page is as quick.
        seq = rows[-1][0]
        if chosen := [row for row in rows if since <= row[table.time] < until]:
            yield chosen


def _copied(db: sqlite3.Connection, table: Table, what: str, since: int, until: int) -> Iterator[list[Row]]:
    limits = (timestamp(since), timestamp(until)) if what == "trades" else (since, until)
    db.execute(f"CREATE TEMP TABLE copied AS {table.sql}", limits)
    rows = db.execute("SELECT * FROM temp.copied ORDER BY rowid")
    while chunk := rows.fetchmany(CHUNK):
        yield chunk


def _timed(table: str, time: str, order: str) -> Table:
    """A table as it is, behind the time of each row in words."""
    names = table_columns(table)
    at = names.index(time)
    columns = (Column("time", TEXT), *(Column(name, _kind(name)) for name in names))
    grows = order == "seq"
    where = "seq > ? AND seq <= ?" if grows else f"{time} >= ? AND {time} < ?"
    sql = f"SELECT * FROM {table} WHERE {where} ORDER BY {order}"  # noqa: S608  ours
    return Table(sql, columns, lambda row: (timestamp(row[at]), *row), at if grows else None)


def _kind(name: str) -> type:
    return WHOLE if name in _INTS else EXACT if name in _DECIMALS else TEXT


def _events() -> Table:
    table = _timed("events", "time_ns", "seq")
    return table._replace(shape=lambda row: (timestamp(row[1]), *row[:12], row[12].hex()))


def _trades() -> Table:
    """The public table with exact figures: its own are REAL."""
    names = table_columns("trades")
    shares = ", ".join(f"orders.{name}" for name in _SHARES)
    sql = f"""SELECT trades.*, {shares} FROM trades LEFT JOIN orders ON orders.id = trades.order_id
        WHERE trades.created_at >= ? AND trades.created_at < ? ORDER BY trades.created_at, trades.id"""  # noqa: S608  ours
    quantity, price, fee, order = (names.index(name) for name in ("quantity", "price", "fee", "order_id"))

    def exact(row: Row) -> Row:
        if row[len(names)] is None:
            raise LedgerError(
                f"trade {row[0]}: its order {row[order]} has no row in orders, which holds the exact figures;"
                " hoox ledger rebuild makes it anew from the events"
            )
        columns = list(row[: len(names)])
        size, value, fees = _share(row[0], row[len(names) :])
        columns[quantity], columns[fee] = str(size), str(fees)
        columns[price] = str(value / size) if size else "0"
        return tuple(columns)

    return Table(sql, tuple(Column(name, _kind(name)) for name in names), exact, None)


def _share(trade: str, figures: Row) -> tuple[Decimal, Decimal, Decimal]:
    """Size, value and fees of a trade: the whole order, or the part of a flip that closed or opened."""
    filled, value, fees, closed, closed_value, closed_fees = (Decimal(figure) for figure in figures)
    if trade.endswith("/close"):
        return closed, closed_value, closed_fees
    if trade.endswith("/open"):
        return filled - closed, value - closed_value, fees - closed_fees
    return filled, value, fees


TABLES: dict[str, Table] = {
    "events": _events(),
    "trades": _trades(),
    "orders": _timed("orders", "created_ns", "created_ns, id"),
    "fills": _timed("fills", "time_ns", "seq"),
    "positions": _timed("positions", "opened_ns", "opened_ns, id"),
    "equity": _timed("equity", "time_ns", "seq"),
}
