"""What a venue or a sender wrote is printed without the control characters that a terminal would obey."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.ledger.store import Ledger
from engine.model.account import Execution
from engine.model.command import SetKill
from engine.model.order import OrderStatus, OrderType
from hoox_tui.cli.engine import PlainLines
from hoox_tui.cli.root import app
from tests.kit import BUY
from tests.ledger_events import START_NS
from tests.signal_kit import Inbox

EVIL = "no\x1b[2J\x1b]0;owned\x07\u202e\x9b2J\x7f\rnext\nline"
"""Clears the screen, names the window, turns the text around, begins a line anew."""


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOOX_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    inbox = Inbox(balance="1000000", execution=Execution.VENUE)
    inbox.reconciled()
    inbox.place(BUY, "1", OrderType.LIMIT, price="59000")
    inbox.said(inbox.last_order, OrderStatus.REJECTED, reason=EVIL)
    inbox.signal(symbol=f"DOGE{EVIL}", key=EVIL)
    inbox.ask(SetKill, on=True, reason=EVIL)
    path = tmp_path / "sim.sqlite"
    written = Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)
    written.append(inbox.events)
    written.close()
    return path


@pytest.mark.parametrize(
    "words",
    [
        ("why", "O1"),
        ("why", f"signal:{EVIL}"),
        ("why", EVIL + EVIL),
        ("orders",),
        ("trades",),
        ("signals",),
        ("kill", "status"),
        ("ledger", "replay"),
        ("db", "query", "SELECT * FROM signals"),
        ("db", "query", "SELECT * FROM orders"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_no_command_lets_a_control_character_through(ledger: Path, words: tuple[str, ...], as_json: bool) -> None:
    result = CliRunner().invoke(app, [*words, *(["--json"] if as_json else []), "--ledger", str(ledger)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    printed = result.stdout + result.stderr
    assert printed
    assert [c for c in printed if not c.isprintable() and c != "\n"] == []


def test_json_still_says_exactly_what_was_written(ledger: Path) -> None:
    result = CliRunner().invoke(app, ["signals", "--json", "--ledger", str(ledger)])
    assert json.loads(result.stdout)[0]["symbol"] == f"DOGE{EVIL}"


def test_a_record_of_the_engines_log_is_one_plain_line_and_its_trace() -> None:
    form = PlainLines("%(levelname)s %(message)s")
    record = logging.LogRecord("hoox", logging.WARNING, "", 0, "refused: %s", (EVIL,), None)
    assert form.format(record) == "WARNING refused: no·[2J·]0;owned···2J··next·line"
    try:
        raise ValueError(EVIL)
    except ValueError as error:
        failed = logging.LogRecord("hoox", logging.ERROR, "", 0, "failed", (), (ValueError, error, error.__traceback__))
    lines = form.format(failed).split("\n")
    assert lines[:2] == ["ERROR failed", "Traceback (most recent call last):"]
    assert all(line.isprintable() for line in lines)
