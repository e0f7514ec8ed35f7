"""Rows leave the ledger for other programs whole, exact and harmless, and no half file is left behind."""

from __future__ import annotations

import csv
import io
import json
import os
import resource
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from engine.ledger import export, formats
from engine.ledger.query import Reader
from engine.ledger.store import Ledger
from engine.model import event as ev
from engine.model.market import Side
from hoox_tui.cli.root import app
from tests.ledger_events import START_NS, Story

KINDS = sorted(export.TABLES)
EVIL = "=HYPERLINK(1)"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A ledger that an engine holds: a busy hour, a flip in thirds, and a venue that answers with a formula."""
    monkeypatch.setenv("HOOX_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    story = Story(seed=5)
    with closing(
        Ledger.open(tmp_path / "sim.sqlite", env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)
    ) as ledger:
        ledger.append([*story.opening(), *(event for _ in range(120) for event in story.anything())])
        ledger.append([*story.create(), *story.send(), story.event(ev.OrderRejected(story.last(), "NO", EVIL))])
        yield ledger.path


def run(path: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["ledger", "export", "--ledger", str(path), *words])


def table(path: Path, name: str) -> list[dict[str, Any]]:
    with Reader(path) as reader:
        return reader._all(f"SELECT * FROM {name}")


def csv_rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("what", KINDS)
def test_every_row_is_there_in_csv_and_in_json_lines(path: Path, what: str) -> None:
    in_csv, in_json = run(path, "--what", what), run(path, "--what", what, "--format", "jsonl")
    assert in_csv.exit_code == in_json.exit_code == 0
    lines = [json.loads(line) for line in in_json.stdout.splitlines()]
    assert len(lines) == len(csv_rows(in_csv.stdout)) == len(table(path, what)) > 0
    assert [column.name for column in export.TABLES[what].columns] == list(lines[0]) == list(csv_rows(in_csv.stdout)[0])


def test_decimals_are_exact_text(path: Path) -> None:
    fills = [json.loads(line) for line in run(path, "--what", "fills", "--format", "jsonl").stdout.splitlines()]
    assert [fill["price"] for fill in fills] == [row["price"] for row in table(path, "fills")]
    assert {type(fill["fee"]) for fill in fills} == {str}


def test_trades_are_exact_too_although_their_table_is_not(tmp_path: Path) -> None:
    story = Story()
    with closing(
        Ledger.open(tmp_path / "sim.sqlite", env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)
    ) as ledger:
        ledger.append([*story.opening(), *story.create(), *story.send(), *story.fill("0.010", "61000.1")])
        ledger.append([*story.create(Side.SELL, "0.030"), *story.send(), *story.fill("0.030", "61000.3")])
    rows = [json.loads(line) for line in run(ledger.path, "--format", "jsonl").stdout.splitlines()]
    assert [(row["id"], row["quantity"], Decimal(row["price"]), Decimal(row["fee"])) for row in rows] == [
        ("o-1", "0.010", Decimal("61000.1"), Decimal("0.3050005")),
        ("o-2/close", "0.010", Decimal("61000.3"), Decimal("0.3050015")),
        ("o-2/open", "0.020", Decimal("61000.3"), Decimal("0.610003")),
    ]


def test_a_formula_is_quoted_in_csv_and_only_there(path: Path) -> None:
    orders = csv_rows(run(path, "--what", "orders").stdout)
    assert "'" + EVIL in {order["reason"] for order in orders}
    assert EVIL not in {order["reason"] for order in orders}
    lines = [json.loads(line) for line in run(path, "--what", "orders", "--format", "jsonl").stdout.splitlines()]
    assert EVIL in {line["reason"] for line in lines}
    losses = [point["unrealised"] for point in csv_rows(run(path, "--what", "equity").stdout)]
    assert set(losses) == {"-1.5"}, "a negative number is no formula"


def test_an_events_payload_is_an_object_in_json_lines_and_its_hash_is_hex(path: Path) -> None:
    first = json.loads(run(path, "--what", "events", "--format", "jsonl").stdout.splitlines()[0])
    assert first["payload"]["type"] == first["type"] == "EngineStarted"
    assert first["hash"] == table(path, "events")[0]["hash"].hex()
    assert first["time"] == "2026-01-01 00:00:00.001000"


@pytest.mark.parametrize("what", KINDS)
def test_a_stretch_of_time_is_cut_out_without_overlap(path: Path, what: str) -> None:
    middle = "2026-01-01T00:00:00.300"
    before = csv_rows(run(path, "--what", what, "--until", middle).stdout)
    after = csv_rows(run(path, "--what", what, "--since", middle + "+00:00").stdout)
    assert before
    assert before + after == csv_rows(run(path, "--what", what).stdout)


def test_a_time_that_is_none_is_refused_with_the_remedy(path: Path) -> None:
    result = run(path, "--since", "yesterday")
    assert result.exit_code == 1
    assert "--since: 'yesterday' is not a time; write 2026-11-20" in result.stderr


def test_a_time_may_be_so_long_before_the_last_event(path: Path) -> None:
    last = table(path, "events")[-1]["time_ns"]
    events = csv_rows(run(path, "--what", "events", "--since", "-0.1s").stdout)
    assert {int(event["time_ns"]) >= last - 100_000_000 for event in events} == {True}
    assert len(events) == 101


def test_a_file_is_written_whole_and_never_over_another_one(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "fills.jsonl"
    assert run(path, "--what", "fills", "-o", str(target)).exit_code == 0
    whole = target.read_bytes()
    assert json.loads(whole.splitlines()[0])["order_id"], "the format is that of the ending"
    again = run(path, "--what", "orders", "-o", str(target))
    assert again.exit_code == 1
    assert "fills.jsonl exists; choose another name, or write over it with --force" in again.stderr
    assert target.read_bytes() == whole
    assert run(path, "--what", "orders", "-o", str(target), "--force").exit_code == 0
    assert target.read_bytes() != whole


def test_the_ledger_itself_is_never_written_over(path: Path) -> None:
    data = path.read_bytes()
    for name in (path.name, path.name + "-wal", path.name + ".head"):
        result = run(path, "--force", "-o", str(path.with_name(name)))
        assert result.exit_code == 1
        assert "is the ledger's own" in result.stderr
    assert path.read_bytes() == data


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_nothing_is_left_of_a_file_that_could_not_be_finished(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fails(file: Any, columns: Any, chunks: Any) -> int:
        file.write(b"half")
        raise error

    monkeypatch.setitem(formats.FORMATS, "csv", fails)
    target = tmp_path / "out.csv"
    target.write_text("before")
    assert run(path, "-o", str(target), "--force").exit_code != 0
    assert target.read_text() == "before"
    assert not list(tmp_path.glob("out.csv.*"))


def test_a_file_named_partial_is_nobodys_business(path: Path, tmp_path: Path) -> None:
    (tmp_path / "out.csv.partial").write_text("mine")
    assert run(path, "-o", str(tmp_path / "out.csv")).exit_code == 0
    assert (tmp_path / "out.csv.partial").read_text() == "mine"


def test_force_writes_what_a_link_leads_to_and_leaves_its_mode(path: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    real, link = tmp_path / "kept" / "real.csv", tmp_path / "out.csv"
    real.write_text("before")
    real.chmod(0o640)
    link.symlink_to(real)
    assert run(path, "-o", str(link), "--force").exit_code == 0
    assert link.is_symlink()
    assert real.read_text().startswith("id,")
    assert real.stat().st_mode & 0o777 == 0o640
    link.unlink()
    link.symlink_to(path)
    refused = run(path, "-o", str(link), "--force")
    assert "is the ledger's own" in refused.stderr


def test_only_regular_files_are_written_over(path: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in (tmp_path / "pipe", tmp_path / "folder", Path("/dev/null")):
        result = run(path, "-o", str(name), "--force")
        assert result.exit_code == 1
        assert f"{name} is no regular file; choose another name, or print with -o -" in result.stderr
    away = run(path, "-o", str(tmp_path / "away" / "out.csv"))
    assert "the folder does not exist" in away.stderr
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_link_to_nowhere_is_not_followed_unasked(path: Path, tmp_path: Path) -> None:
    (tmp_path / "out.csv").symlink_to(tmp_path / "nowhere.csv")
    assert "exists; choose another name" in run(path, "-o", str(tmp_path / "out.csv")).stderr
    assert not (tmp_path / "nowhere.csv").exists()


def test_a_file_that_appears_while_rows_are_written_is_left_alone(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.csv"
    monkeypatch.setitem(formats.FORMATS, "csv", lambda *_: target.write_text("mine"))
    assert run(path, "-o", str(target)).exit_code == 1
    assert target.read_text() == "mine"
    assert len(list(tmp_path.glob("out.csv*"))) == 1


def test_a_trade_without_its_order_is_refused_not_guessed(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute("VACUUM INTO ?", (str(copy),))
    with closing(sqlite3.connect(copy)) as db:
        (order,) = db.execute("SELECT order_id FROM trades ORDER BY created_at LIMIT 1").fetchone()
        db.execute("DELETE FROM orders WHERE id = ?", (order,))
        db.commit()
    result = run(copy, "-o", str(tmp_path / "trades.csv"))
    assert result.exit_code == 1
    assert f"trade {order}: its order {order} has no row in orders" in result.stderr
    assert "hoox ledger rebuild" in result.stderr
    assert not list(tmp_path.glob("trades*"))


@pytest.mark.parametrize("what", ["events", "orders", "trades"])
@pytest.mark.parametrize(
    ("words", "all_of_it"),
    [
        (["--until", "2300-01-01"], True),
        (["--since", "1600-01-01"], True),
        (["--since", "2300-01-01"], False),
        (["--until", "1600-01-01"], False),
    ],
)
def test_times_that_no_ledger_reaches_are_times(path: Path, what: str, words: list[str], all_of_it: bool) -> None:
    result = run(path, "--what", what, *words)
    assert result.exit_code == 0
    assert len(csv_rows(result.stdout)) == (len(table(path, what)) if all_of_it else 0)


@pytest.mark.parametrize("text", ["-999999d", "-" + "9" * 400 + "d", "9" * 5_000, "25:00", "2026-13-01"])
def test_what_is_no_time_is_said(path: Path, text: str) -> None:
    result = run(path, f"--since={text}")
    assert result.exit_code == 1
    assert "is not a time; write 2026-11-20" in result.stderr


@pytest.mark.parametrize("words", [["--since=-1m"], ["--since", "2026-01-01"], []])
def test_a_file_that_is_no_ledger_is_named(path: Path, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "empty.sqlite").touch()
    (tmp_path / "noise.sqlite").write_bytes(b"noise" * 999)
    with closing(sqlite3.connect(tmp_path / "other.sqlite")) as db:
        db.execute("CREATE TABLE events (x)")
    for name, says in (("empty", "not a ledger"), ("noise", "cannot be read"), ("other", "not a ledger")):
        result = run(tmp_path / f"{name}.sqlite", *words)
        assert result.exit_code == 1
        assert f"{name}.sqlite" in result.stderr
        assert says in result.stderr


def test_no_room_for_temporary_files_is_no_fault_of_the_ledgers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        full = sqlite3.OperationalError("database or disk is full")
        full.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise full

    monkeypatch.setattr(export, "_copied", fail)
    result = run(path, "--what", "trades")
    assert result.exit_code == 1
    assert "SQLite's temporary files have no room; make some, or set SQLITE_TMPDIR" in result.stderr


def hoox(path: Path, *words: str, **how: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "hoox_tui", "ledger", "export", "--ledger", str(path), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)


def test_a_reader_that_has_had_enough_is_no_failure(path: Path) -> None:
    process = hoox(path, "--what", "events")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith(b"time,seq")
    process.stdout.close()
    told = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), told) == (0, b"")


def test_a_disk_that_fills_up_is_said_and_nothing_is_left(path: Path, tmp_path: Path) -> None:
    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, 4_096))

    process = hoox(path, "--what", "events", "-o", str(tmp_path / "events.csv"), preexec_fn=little_room)
    _, told = process.communicate()
    assert process.returncode == 1
    assert b"File too large" in told
    assert not list(tmp_path.glob("events*"))


def test_rows_are_streamed_a_few_thousand_at_a_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "CHUNK", 10)
    chunks = list(export.export_rows(path, "events"))
    assert {len(chunk) for chunk in chunks[:-1]} == {10}
    assert sum(map(len, chunks)) == len(table(path, "events"))


def test_a_damaged_table_is_named_and_leaves_no_file(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute("VACUUM INTO ?", (str(copy),))
    with closing(sqlite3.connect(copy)) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'fills'").fetchone()
    data = bytearray(copy.read_bytes())
    data[(root - 1) * 4096 : root * 4096] = bytes(4096)
    copy.write_bytes(data)
    result = run(copy, "--what", "fills", "-o", str(tmp_path / "fills.csv"))
    assert result.exit_code == 1
    assert "hoox ledger verify says where" in result.stderr
    assert not list(tmp_path.glob("fills*"))


def test_parquet_holds_exact_decimals_and_whole_numbers(path: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra `parquet` is not installed")
    target = tmp_path / "fills.parquet"
    assert run(path, "--what", "fills", "-o", str(target)).exit_code == 0
    rows = parquet.read_table(target).to_pylist()
    assert [(row["seq"], row["price"]) for row in rows] == [(row["seq"], row["price"]) for row in table(path, "fills")]


def test_without_pyarrow_it_says_how_to_get_it(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = run(path, "-o", str(tmp_path / "trades.parquet"))
    assert result.exit_code == 1
    assert "Parquet needs pyarrow, which is not installed: pip install 'hoox-tui[parquet]'" in result.stderr
    assert not list(tmp_path.glob("trades*"))


def test_an_ending_that_promises_another_format_is_refused_unless_one_is_named(path: Path, tmp_path: Path) -> None:
    refused = run(path, "-o", "t.xls")
    assert refused.exit_code == 1
    assert "t.xls: .xls is none of csv, jsonl, parquet; end it so, or say which with --format" in refused.stderr
    assert not (tmp_path / "t.xls").exists()
    assert run(path, "-o", "t.xls", "--format", "csv").exit_code == 0
    assert run(path, "-o", "plain").exit_code == 0
    assert (tmp_path / "plain").read_bytes() == (tmp_path / "t.xls").read_bytes()
