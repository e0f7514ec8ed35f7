"""What is read without an engine says the same as with one, and a dash only for what takes a price."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import to_builtins
from typer.testing import CliRunner, Result

from engine.ledger.store import Ledger
from engine.model.order import OrderType
from engine.views import tables
from engine.views.format import without_separators
from hoox_tui.cli.root import app
from tests.kit import BUY, SELL, Bench
from tests.ledger_events import START_NS

PRICED = {
    "positions": {"mark", "upnl", "upnl_sign", "upnl_pct", "notional", "margin_left", "stale"},
    "orders": {"distance"},
    "trades": set[str](),
    "balance": {"equity", "upnl"},
}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A closed trade, a guarded position and a resting order, in a ledger that no engine holds."""
    monkeypatch.setenv("HOOX_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    bench = Bench(balance="1000000")
    bench.market("60000")
    bench.open(SELL, "0.1")
    bench.place(BUY, "0.1")
    bench.wait()
    bench.open(BUY, "0.1", take_profit="61000", stop_loss="59000")
    bench.limit(BUY, "0.02", "58000")
    bench.place(SELL, "0.05", OrderType.TRAILING_STOP, trail_bps="50", reduce_only=True)
    bench.wait()
    opened = Ledger.open(tmp_path / "sim.sqlite", env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)
    opened.append(bench.events)
    opened.close()
    return bench


def hoox(*words: str) -> Result:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.parametrize("name", PRICED)
def test_a_table_without_an_engine_says_what_the_engine_would_but_for_prices(bench: Bench, name: str) -> None:
    view: Any = getattr(tables, f"{name}_view")(bench.desk, bench.now)
    live = without_separators(to_builtins(view))["rows"]
    read = json.loads(hoox(name, "--json").stdout)
    assert len(read) == len(live) > 0
    for ours, theirs in zip(read, live, strict=True):
        assert {key for key in theirs if ours[key] != theirs[key]} <= PRICED[name]
        assert {key for key in theirs if ours[key] is None and theirs[key] is not None} <= PRICED[name]


def test_stops_are_shown_and_only_prices_are_a_dash(bench: Bench) -> None:
    header, row = hoox("positions").stdout.splitlines()
    cells = dict(zip(header.split(), row.split(), strict=True))
    assert (cells["size"], cells["TP"]) == ("0.100", "61000.0")
    assert cells["SL"] not in ("–", "")
    assert [name for name, cell in cells.items() if cell == "–"] == ["mark", "uPnL", "%", "liq"]
    orders = hoox("orders").stdout
    assert "TAKE PROFIT" in orders
    assert "61000.0" in orders


def test_the_account_without_an_engine_is_told_as_with_one(bench: Bench) -> None:
    shown = json.loads(hoox("account", "show", "--json").stdout)
    assert (shown["account"], shown["env"], shown["open_positions"]) == ("main", "sim", 1)
    assert (shown["equity"], shown["kill"]) == (None, False)
    told = hoox("account", "show")
    assert "kill switch     off" in told.stdout
    assert "False" not in told.stdout
    assert told.stderr.count("no engine is running") == 1


def test_orders_that_are_left_out_are_counted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "are shown" not in hoox("orders").stderr
    monkeypatch.setattr(tables, "MAX_ORDERS", 3)
    cut = hoox("orders", "--json")
    assert len(json.loads(cut.stdout)) == 3
    assert f"3 of {len(bench.desk.state.orders)} orders are shown" in cut.stderr
