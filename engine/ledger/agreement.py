"""Do the tables say what the folded state says? Made by two programs from the same events, each is the other's check."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from decimal import Decimal

from engine.core.state import State
from engine.ledger.rows import position_columns
from engine.ledger.schema import LIVE, Row, table_columns

_NONE = "nothing"


def disagreement(db: sqlite3.Connection, state: State) -> str:
    """The first difference between the tables of `db` and the state after the same events; empty where there is none."""
    return (
        _first("order", "orders", _live_orders(db), {id_: str(order.status) for id_, order in state.orders.items()})
        or _positions(db, state)
        or _first("wallet", "balances", _wallets(db), _held(state))
    )


def _live_orders(db: sqlite3.Connection) -> dict[str, str]:
    return dict(db.execute(f"SELECT id, status FROM orders WHERE {LIVE}").fetchall())  # noqa: S608  a constant


def _positions(db: sqlite3.Connection, state: State) -> str:
    rows = db.execute("SELECT * FROM positions WHERE closed_ns = 0").fetchall()
    right = (position_columns(position, "", 0) for position in state.positions.values())
    return _first("position", "positions", _by_column(rows), _by_column(right))


def _by_column(rows: Iterable[Row]) -> dict[str, object]:
    """Every column but the venue and the last event, which the state does not keep."""
    names = table_columns("positions")
    found: dict[str, object] = {}
    for row in rows:
        found[row[0]] = "open"
        for name, value in zip(names, row, strict=True):
            if name not in ("id", "venue", "seq"):
                found[f"{row[0]} {name}"] = value
    return found


def _wallets(db: sqlite3.Connection) -> dict[str, Decimal]:
    rows = db.execute("SELECT account, asset, wallet FROM balances").fetchall()
    return {f"{account} {asset}": wallet for account, asset, text in rows if (wallet := Decimal(text))}


def _held(state: State) -> dict[str, Decimal]:
    return {
        f"{account.id} {asset}": amount
        for account in state.accounts.values()
        for asset, amount in account.balances.items()
        if amount
    }


def _first(what: str, name: str, table: Mapping[str, object], right: Mapping[str, object]) -> str:
    for key in sorted({*table, *right}):
        if table.get(key) != right.get(key):
            return f"{what} {key}: the table {name} says {table.get(key, _NONE)}, the state {right.get(key, _NONE)}"
    return ""
