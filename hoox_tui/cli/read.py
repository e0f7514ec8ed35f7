"""hoox trades, positions, orders, balance: from the running engine, else from the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from hoox_tui.cli import ask, offline
from hoox_tui.cli.options import Env, Feed, Json, LedgerFile, settings_for
from hoox_tui.cli.output import print_json, print_rows, when
from hoox_tui.cli.problems import NoEngine, note

app = typer.Typer()

POSITION = {
    "symbol": "symbol",
    "side": "side",
    "size": "size",
    "entry": "entry",
    "mark": "mark",
    "upnl": "uPnL",
    "upnl_pct": "%",
    "leverage": "lev",
    "margin": "margin",
    "liquidation": "liq",
    "take_profit": "TP",
    "stop_loss": "SL",
    "id": "id",
}
ORDER = {
    "symbol": "symbol",
    "side": "side",
    "type": "type",
    "size": "size",
    "filled": "filled",
    "price": "price",
    "trigger": "trigger",
    "tif": "tif",
    "status": "status",
    "role": "role",
    "id": "id",
}
TRADE = {
    "closed": "closed",
    "symbol": "symbol",
    "side": "side",
    "size": "size",
    "entry": "entry",
    "exit": "exit",
    "net": "net",
    "fees": "fees",
    "reason": "reason",
}
MONEY = {
    "asset": "asset",
    "wallet": "wallet",
    "equity": "equity",
    "free": "free",
    "margin": "margin",
    "reserved": "reserved",
    "upnl": "uPnL",
}


@app.command()
def positions(env: Env = None, feed: Feed = None, ledger: LedgerFile = None, as_json: Json = False) -> None:
    """Open positions."""
    _print("positions", POSITION, env, feed, ledger, as_json)


@app.command()
def orders(env: Env = None, feed: Feed = None, ledger: LedgerFile = None, as_json: Json = False) -> None:
    """Working orders."""
    _print("orders", ORDER, env, feed, ledger, as_json)


@app.command()
def trades(env: Env = None, feed: Feed = None, ledger: LedgerFile = None, as_json: Json = False) -> None:
    """Closed positions, newest first."""
    _print("trades", TRADE, env, feed, ledger, as_json)


@app.command()
def balance(env: Env = None, feed: Feed = None, ledger: LedgerFile = None, as_json: Json = False) -> None:
    """Money by asset."""
    _print("balance", MONEY, env, feed, ledger, as_json)


def _print(
    name: str, columns: Mapping[str, str], env: str | None, feed: str | None, ledger: str | None, as_json: bool
) -> None:
    settings = settings_for(env, feed, ledger)
    try:
        view: dict[str, Any] = ask.with_engine(settings, lambda link: link.query(name))
    except NoEngine:
        view = offline.view(settings.ledger_path, name)
    rows: list[dict[str, Any]] = view["rows"]
    if view.get("total", 0) > len(rows):
        note(f"{len(rows)} of {view['total']} {name} are shown; hoox db query reads them all")
    if as_json:
        print_json(rows)
    else:
        shown = [{**row, "closed": when(row["closed_ns"])} if "closed_ns" in row else row for row in rows]
        print_rows(shown, columns, nothing=f"no {name}")
