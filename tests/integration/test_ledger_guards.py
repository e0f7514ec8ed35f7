"""What keeps a ledger true is looked at too: triggers, indexes, stamps and snapshots, each named and put right."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from engine.core.fold import fold
from engine.core.state import State, encode_state
from engine.ledger import schema
from engine.ledger.store import Ledger
from engine.ledger.verify import rebuild_projections, verify
from engine.model.event import FundsMoved
from hoox_tui.cli.root import app
from tests.ledger_events import START_NS, Story, history


def open_ledger(path: Path) -> Ledger:
    return Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A closed ledger with a snapshot at its end and two before."""
    path = tmp_path / "sim.sqlite"
    with closing(open_ledger(path)) as opened:
        state = State()
        for number, batch in enumerate(history(60, seed=3)):
            opened.append(batch)
            for event in batch:
                fold(state, event)
            if number % 20 == 0:
                opened.snapshot(state)
    return path


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript("; ".join(statements))


def seqs(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as db:
        return [seq for (seq,) in db.execute("SELECT seq FROM snapshots ORDER BY seq")]


def cli(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.mark.parametrize(
    ("statements", "says"),
    [
        (["DROP TRIGGER events_are_never_deleted"], ["trigger events_are_never_deleted is missing"]),
        (["DROP INDEX fills_by_position"], ["index fills_by_position is missing"]),
        (
            ["DROP INDEX signals_once", "CREATE INDEX signals_once ON events (request_id)"],
            ["index signals_once is not as it was made"],
        ),
        (
            ["DROP INDEX intents_by_request", schema.INTENTS_BY_REQUEST.replace("UNIQUE ", "")],
            ["index intents_by_request is not as it was made"],
        ),
        (
            [
                "DROP TRIGGER events_are_never_updated",
                "CREATE TRIGGER events_are_never_updated BEFORE UPDATE ON events BEGIN SELECT 1; END",
            ],
            ["trigger events_are_never_updated is not as it was made"],
        ),
        (
            ["CREATE TABLE x (a)", "CREATE TRIGGER tt AFTER INSERT ON events BEGIN DELETE FROM trades; END"],
            ["table x is not one of the ledger's", "trigger tt is not one of the ledger's"],
        ),
        (["CREATE VIEW mine AS SELECT 1", "ANALYZE"], ["view mine is not one of the ledger's"]),
    ],
)
def test_what_guards_the_events_is_named_where_it_was_changed_and_put_right(
    ledger: Path, statements: list[str], says: list[str]
) -> None:
    change(ledger, *statements)
    report = verify(ledger)
    assert report.lines[1:] == [f"schema: {line}; hoox ledger rebuild puts it right" for line in says]
    assert report.rebuildable
    rebuild_projections(ledger)
    assert verify(ledger).ok


def test_an_environment_that_was_written_over_is_named_and_put_right(ledger: Path) -> None:
    change(ledger, "UPDATE meta SET value = 'paper' WHERE key = 'env'")
    report = verify(ledger)
    assert report.lines[1:] == [
        "stamps: env is 'paper' in meta, 'sim' by engine start 1; hoox ledger rebuild puts it right"
    ]
    rebuild_projections(ledger)
    assert verify(ledger).ok
    open_ledger(ledger).close()


def test_another_feed_is_named_while_something_is_open(tmp_path: Path) -> None:
    story, path = Story(), tmp_path / "sim.sqlite"
    with closing(open_ledger(path)) as opened:
        opened.append(story.opening())
    change(path, "UPDATE meta SET value = 'binance' WHERE key = 'feed'")
    assert verify(path).ok, "a flat ledger takes another feed at the next start"
    with closing(open_ledger(path)) as opened:
        opened.append([*story.create(), *story.send()])
    assert [finding.part for finding in verify(path).findings] == ["stamps"]
    rebuild_projections(path)
    assert verify(path).ok


def from_the_future(path: Path) -> None:
    change(
        path,
        "INSERT INTO snapshots SELECT seq + 1000000, time_ns, epoch, hash_at_seq, bytes, checksum FROM snapshots",
    )


def test_snapshots_of_events_that_are_not_there_are_named_and_put_right(ledger: Path) -> None:
    good = seqs(ledger)
    from_the_future(ledger)
    report = verify(ledger)
    assert [(finding.part, finding.seq) for finding in report.findings] == [
        ("snapshots", seq + 1_000_000) for seq in reversed(good)
    ]
    assert "is of an event that is not there" in report.lines[1]
    rebuild_projections(ledger)
    assert seqs(ledger) == good
    assert verify(ledger).ok


def test_a_new_snapshot_keeps_the_good_ones_beside_those(ledger: Path) -> None:
    good = seqs(ledger)
    assert len(good) == 3
    from_the_future(ledger)
    with closing(open_ledger(ledger)) as opened:
        opened.append([Story(seq=opened.seq).event(FundsMoved("USDT", Decimal(1)))])
    change(ledger, f"UPDATE snapshots SET hash_at_seq = zeroblob(16) WHERE seq = {good[1]}")
    result = cli("ledger", "snapshot", "--ledger", str(ledger))
    assert result.exit_code == 0
    with closing(open_ledger(ledger)) as opened:
        last = opened.seq
        assert opened.load().snapshot_seq == last
    assert seqs(ledger)[:3] == [good[0], good[2], last]


def test_what_a_snapshot_command_found_is_said(ledger: Path) -> None:
    from_the_future(ledger)
    ledger.with_name("sim.sqlite.head").unlink()
    told = cli("ledger", "snapshot", "--ledger", str(ledger)).stderr.splitlines()
    assert "HEAD: the file was missing, so a cut tail cannot be ruled out; it was written again" in told
    assert len([line for line in told if line.endswith("is of an event that is not there; it was skipped")]) == 3
    assert told[-1].startswith("snapshot after event")


def test_a_stamp_that_is_gone_is_named_by_a_snapshot_too(ledger: Path) -> None:
    change(ledger, "DELETE FROM meta WHERE key = 'env'")
    result = cli("ledger", "snapshot", "--ledger", str(ledger))
    assert result.exit_code == 1
    assert "sim.sqlite lacks env" in result.stderr


def test_all_of_it_is_in_the_json_too(ledger: Path) -> None:
    change(ledger, "DROP TRIGGER events_are_never_deleted")
    result = cli("ledger", "verify", "--ledger", str(ledger), "--json")
    assert result.exit_code == 1
    (finding,) = json.loads(result.stdout)["findings"]
    assert (finding["part"], finding["seq"]) == ("schema", None)
    assert "hoox ledger rebuild" in cli("ledger", "verify", "--ledger", str(ledger)).stdout


def test_the_state_is_the_same_after_a_rebuild(ledger: Path) -> None:
    with closing(open_ledger(ledger)) as opened:
        before = encode_state(opened.load().state)
    rebuild_projections(ledger)
    with closing(open_ledger(ledger)) as opened:
        assert encode_state(opened.load().state) == before
