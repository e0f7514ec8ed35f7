"""hoox signals and hoox latency: what they print, from a ledger alone and in the shape that an engine answers in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from engine.core.inputs import Note, SignalIn
from engine.ledger.store import Ledger
from engine.model import event as ev
from engine.model.command import DeclineSignal
from engine.model.signal import SourceMode
from engine.views import LatencyView, SignalRow
from hoox_tui.cli.root import app
from tests.kit import MS
from tests.ledger_events import START_NS
from tests.signal_kit import TRADES, Inbox, policy, signal

STAGES = {"receive": 200_000, "validate": 60_000, "commit": 1_400_000, "total": 1_660_000}


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Signals of two sources with their verdicts, one that waits, and what two of them and a hand's order took."""
    monkeypatch.setenv("HOOX_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    inbox = Inbox(balance="1000000")
    inbox.signal(quantity="100", unit="quote")
    inbox.wait()
    inbox.signal(symbol="DOGEUSDT")
    inbox.signal("CLOSE", rules=policy(mode=SourceMode.APPROVE))
    inbox.signal(rules=policy(mode=SourceMode.APPROVE))
    inbox.ask(DeclineSignal, signal="s-tv-k4", reason="no")
    other = signal(source="mail", key="m1")
    inbox.now += MS
    inbox.handle(SignalIn(inbox.now, other, TRADES, "{}", (), {"receive": 5_000}))
    inbox.wait()
    order = inbox.last_order.id
    note_of(inbox, "s-tv-k1", STAGES)
    note_of(inbox, "s-mail-m1", {stage: 3 * ns for stage, ns in STAGES.items()})
    note_of(inbox, order, {"intent": 400_000, "total": 400_000})
    path = tmp_path / "sim.sqlite"
    written = Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)
    written.append(inbox.events)
    written.close()
    return path


def note_of(inbox: Inbox, name: str, stages: dict[str, int]) -> None:
    inbox.handle(Note(inbox.now, ev.LatencyMeasured(name, stages)))


def hoox(*words: str) -> Result:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 0, result.output
    return result


def test_signals_are_listed_newest_first_with_their_verdicts(ledger: Path) -> None:
    rows = json.loads(hoox("signals", "--json", "--ledger", str(ledger)).stdout)
    assert [row["id"] for row in rows] == ["s-mail-m1", "s-tv-k4", "s-tv-k3", "s-tv-k2", "s-tv-k1"]
    assert [(row["status"], row["waits"]) for row in rows[1:]] == [
        ("declined", ""),
        ("waiting", "approval"),
        ("refused", ""),
        ("executed", ""),
    ]
    assert (rows[4]["quantity"], rows[2]["quantity"]) == ("100 USDT", "")
    assert rows[4]["took"] == 1_660.0
    assert rows[3]["code"] == "UNKNOWN_SYMBOL"


def test_rows_of_a_ledger_are_fields_of_the_engines_rows(ledger: Path) -> None:
    (row,) = json.loads(hoox("signals", "--json", "--limit", "1", "--ledger", str(ledger)).stdout)
    assert set(row) <= set(SignalRow.__struct_fields__)


def test_the_table_says_what_waits_and_why_one_was_refused(ledger: Path) -> None:
    text = hoox("signals", "--ledger", str(ledger)).stdout
    assert "waits: approval" in text
    assert "UNKNOWN_SYMBOL" in text
    assert "1.66 ms" in text


def test_latencies_are_told_by_path_venue_and_source(ledger: Path) -> None:
    view = json.loads(hoox("latency", "--json", "--ledger", str(ledger)).stdout)
    assert set(view) - {"type"} == set(LatencyView.__struct_fields__)
    groups = {(group["path"], group["source"]): group for group in view["groups"]}
    assert {key: group["samples"] for key, group in groups.items()} == {
        ("order", ""): 1,
        ("signal", ""): 2,
        ("signal", "mail"): 1,
        ("signal", "tv"): 1,
    }
    stages = {row["stage"]: row for row in groups["signal", "tv"]["rows"]}
    assert stages["commit"]["p50"] == pytest.approx(1_400, rel=0.02)
    assert stages["venue"]["p50"] is None
    assert len({group["venue"] for group in view["groups"] if group["source"]}) == 1


def test_the_tables_of_latencies_have_the_last_one_beside_the_percentiles(ledger: Path) -> None:
    text = hoox("latency", "--ledger", str(ledger)).stdout
    assert "2 signals\n" in text
    assert "1 order\n" in text
    commit = next(line for line in text.splitlines() if line.startswith("commit"))
    assert commit.split()[1:3] == ["4.20", "ms"]


def test_without_a_ledger_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOX_HOME", str(tmp_path))
    for command in ("signals", "latency"):
        result = CliRunner().invoke(app, [command])
        assert result.exit_code != 0
        assert "there is no ledger" in result.output


@pytest.mark.parametrize("width", [80, 60, 120, 400])
def test_signals_fit_the_terminal(ledger: Path, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = hoox("signals", "--ledger", str(ledger)).stdout.splitlines()
    assert whole[0].split()[-2:] == ["message", "id"]
    monkeypatch.setattr("hoox_tui.cli.signals.terminal_width", lambda: width)
    shown = hoox("signals", "--ledger", str(ledger)).stdout.splitlines()
    assert max(map(len, shown)) <= width
    assert len(shown) == len(whole)
    assert (shown == whole) == (width == 400)
    assert all(word in shown[0].split() for word in ("received", "source", "symbol", "verdict", "message"))
    assert width < 400 or "id" in shown[0].split()
    assert width > 120 or "…" in "".join(shown)
