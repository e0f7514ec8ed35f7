"""hoox ledger replay --until: a time copied from what hoox shows includes its event, and what is wrong is a sentence."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from engine.ledger.store import Ledger
from engine.ledger.why import why
from engine.views.why import lines
from hoox_tui.cli.root import app
from tests.ledger_events import START_NS, Story

ODD_NS = 20_000_123_456_789
"""Between two events: no multiple of a millisecond."""


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    story = Story()
    events = [*story.opening(), *story.create(size="0.05"), *story.send(), *story.fill("0.05")]
    path = tmp_path / "sim.sqlite"
    with closing(Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)) as opened:
        opened.append([replace(event, time_ns=START_NS + event.seq * ODD_NS) for event in events])
    return path


def until(ledger: Path, text: str) -> Result:
    return CliRunner().invoke(app, ["ledger", "replay", "--until", text, "--ledger", str(ledger), "--json"])


def test_until_the_time_of_a_trade_includes_it(ledger: Path) -> None:
    with closing(sqlite3.connect(ledger)) as db:
        created_at, seq = db.execute("SELECT created_at, (SELECT seq FROM fills) FROM trades").fetchone()
    assert json.loads(until(ledger, created_at).stdout)["seq"] == seq


def test_until_the_time_that_why_prints_includes_the_step(ledger: Path) -> None:
    day = ""
    for line in lines(why(ledger, "seq:10")):
        if line.tone == "day":
            day = line.text.removesuffix(" UTC")
        elif line.tone == "asked":
            clock = line.text.split()[0].partition("+")[0]
    assert json.loads(until(ledger, f"{day} {clock}").stdout)["seq"] == 10
    # As a person copies it: of the day of the last event.
    assert json.loads(until(ledger, clock).stdout)["seq"] == 10


@pytest.mark.parametrize("text", ["0001-01-01T00:00+14:00", "-99999999999d"])
def test_a_moment_that_no_calendar_holds_is_named(ledger: Path, text: str) -> None:
    result = until(ledger, text)
    assert result.exit_code == 2
    assert "is none; write an event's number" in " ".join(result.stderr.replace("│", " ").split())


def test_until_a_time_in_a_ledger_that_lacks_an_event_names_the_event(ledger: Path) -> None:
    with closing(sqlite3.connect(ledger)) as db:
        db.execute("DROP TRIGGER events_are_never_deleted")
        db.execute("DELETE FROM events WHERE seq = 6")
        db.commit()
    named = 0
    for text in ("6", "-1s", "2026-01-01T00:00:30", "2026-01-02"):
        result = until(ledger, text)
        assert result.exception is None or isinstance(result.exception, SystemExit), text
        named += "event 6 is missing" in result.stderr
    assert named


def cut(ledger: Path, last: int) -> None:
    """Somebody takes away what followed an event."""
    with closing(sqlite3.connect(ledger)) as db:
        db.execute("DROP TRIGGER events_are_never_deleted")
        db.execute("DELETE FROM events WHERE seq > ?", (last,))
        db.commit()


def test_a_ledger_whose_end_was_cut_off_says_so_beside_its_last_good_state(ledger: Path) -> None:
    cut(ledger, 8)
    result = CliRunner().invoke(app, ["ledger", "replay", "--ledger", str(ledger), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["seq"] == 8
    assert "are missing: HEAD says the last one is" in result.stderr
    assert "after event 8, the last good one" in result.stderr


def test_a_moment_before_the_cut_is_as_good_as_ever_and_one_after_it_is_missed(ledger: Path) -> None:
    cut(ledger, 8)
    assert until(ledger, "7").exit_code == 0
    after = until(ledger, "9")
    assert after.exit_code == 1
    assert "events 9.." in after.stderr
