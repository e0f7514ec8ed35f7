"""What the ledger knows when no engine runs, in the shape of the engine's views; prices are unknown, so None."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from hoox_tui.cli.problems import Problem, note

Row = dict[str, Any]

_POSITIONS = "SELECT * FROM positions WHERE closed_ns = 0 ORDER BY opened_ns DESC, id"
_TRADES = """SELECT positions.*,
    (SELECT side FROM fills WHERE fills.position = positions.id ORDER BY fills.seq LIMIT 1) AS opened_by
    FROM positions WHERE closed_ns > 0 ORDER BY closed_ns DESC, id LIMIT 200"""
_ORDERS = """SELECT * FROM orders WHERE status NOT IN ('DENIED', 'FILLED', 'CANCELLED', 'EXPIRED', 'REJECTED')
    ORDER BY seq DESC LIMIT 500"""
_BALANCE = "SELECT * FROM balances ORDER BY account, asset"


def rows(ledger: Path, name: str) -> list[Row]:
    """Rows of positions, orders, trades or balance; says on stderr that they come from the file. Raises Problem."""
    sql, shape = _READ[name]
    found = query(ledger, sql)
    note(f"no engine is running: read from {ledger}, without prices")
    return [shape(row) for row in found]


def query(ledger: Path, sql: str) -> list[Row]:
    """The rows that a ledger gives, by column. Raises Problem."""
    from engine.ledger.query import read_rows

    if not ledger.exists():
        raise Problem(f"there is no ledger at {ledger} yet; hoox starts one")
    return read_rows(ledger, sql)


def _position(row: Row) -> Row:
    size = Decimal(row["size"])
    return {
        "id": row["id"],
        "instrument": row["instrument"],
        "symbol": _symbol(row),
        "side": "L" if size > 0 else "S",
        "size": str(abs(size)),
        "entry": _ratio(row["cost"], row["size"]),
        "mark": None,
        "upnl": None,
        "leverage": row["leverage"],
        "margin": row["margin"],
        "liquidation": row["liquidation"],
        "opened_ns": row["opened_ns"],
        "realised": row["realised"],
    }


def _order(row: Row) -> Row:
    kept = (
        "id",
        "instrument",
        "side",
        "type",
        "role",
        "size",
        "filled",
        "price",
        "trigger",
        "status",
        "tif",
        "created_ns",
        "owner",
        "reason",
    )
    return {**{key: row[key] for key in kept}, "symbol": _symbol(row), "reduce_only": bool(row["reduce_only"])}


def _trade(row: Row) -> Row:
    net = sum((Decimal(row[key]) for key in ("realised", "funding", "insurance")), -Decimal(row["fees"]))
    return {
        "id": row["id"],
        "instrument": row["instrument"],
        "symbol": _symbol(row),
        "side": {"BUY": "L", "SELL": "S"}.get(row["opened_by"]),
        "size": row["entered"],
        "entry": _ratio(row["entered_value"], row["entered"]),
        "exit": _ratio(row["exited_value"], row["exited"]),
        "net": str(net),
        "fees": row["fees"],
        "funding": row["funding"],
        "reason": row["exit_reason"],
        "opened_ns": row["opened_ns"],
        "closed_ns": row["closed_ns"],
    }


def _balance(row: Row) -> Row:
    return {"account": row["account"], "asset": row["asset"], "wallet": row["wallet"], "equity": None, "free": None}


def _symbol(row: Row) -> str:
    return str(row["instrument"]).partition(":")[2] or str(row["instrument"])


def _ratio(value: str, size: str) -> str | None:
    return f"{Decimal(value) / Decimal(size):.10g}" if Decimal(size) else None


_READ = {
    "positions": (_POSITIONS, _position),
    "orders": (_ORDERS, _order),
    "trades": (_TRADES, _trade),
    "balance": (_BALANCE, _balance),
}
