"""SQL of a person's on the command line, and output that is cut short: what comes out is whole, and ends quietly."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from engine.ledger.store import Ledger
from hoox_tui.cli.root import app
from tests.ledger_events import START_NS, Story

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOOX_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    story = Story()
    with closing(
        Ledger.open(tmp_path / "sim.sqlite", env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)
    ) as made:
        made.append([*story.opening(), *story.round_trip(), *story.round_trip(), *story.create()])
    return made.path


def cli(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def process(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "hoox_tui", *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task/{pid}/children")
    if not tasks.parent.exists():
        pytest.skip("needs /proc")
    return [int(child) for child in tasks.read_text().split()]


def test_json_keeps_every_column_and_is_json(ledger: Path) -> None:
    sql = "SELECT 1 AS id, 2 AS id, 3 AS id_2, 9e999 AS more, -9e999, x'00ff' AS blob, NULL AS none"
    (row,) = json.loads(cli("db", "query", sql, "--json").stdout, parse_constant=pytest.fail)
    assert row == {"id": 1, "id_3": 2, "id_2": 3, "more": None, "-9e999": None, "blob": "00ff", "none": None}


def test_blobs_are_hex_in_tables_and_csv_too(ledger: Path) -> None:
    for words in ([], ["--csv"]):
        assert cli("db", "query", "SELECT x'00ff' AS blob", *words).stdout.split() == ["blob", "00ff"]


@pytest.mark.parametrize("words", [("db", "query", "SELECT '\udcff'"), ("why", "\udcff"), ("why", "position:\udcff")])
def test_what_is_no_text_is_refused_in_a_sentence(ledger: Path, words: tuple[str, ...]) -> None:
    result = cli(*words)
    assert result.exit_code == 1
    assert result.stderr.startswith("hoox: ")
    assert "is no text" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("db", "query", "SELECT * FROM events, events AS e, events AS f"),
        ("db", "query", "SELECT * FROM events, events AS e, events AS f", "--csv"),
        ("db", "query", "SELECT * FROM events, events AS e, events AS f", "--json"),
        ("ledger", "export", "--what", "events"),
        ("config", "print"),
    ],
)
def test_a_reader_that_has_had_enough_is_no_failure(ledger: Path, words: tuple[str, ...]) -> None:
    with process("--ledger", str(ledger), *words) as hoox:
        assert hoox.stdout is not None
        assert hoox.stderr is not None
        hoox.stdout.close()
        told = hoox.stderr.read()
    assert (hoox.returncode, told) == (0, b"")


def test_ctrl_c_ends_a_query_at_once_with_a_sentence(ledger: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with process("--ledger", str(ledger), "db", "query", endless) as hoox:
        while not children(hoox.pid):
            time.sleep(0.01)
        time.sleep(0.1)
        (child,) = children(hoox.pid)
        hoox.send_signal(signal.SIGINT)
        out, told = hoox.communicate(timeout=30)
    assert (hoox.returncode, out, told) == (130, b"", b"hoox: the query was stopped by Ctrl-C\n")
    assert not Path(f"/proc/{child}").exists()
