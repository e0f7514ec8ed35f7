"""hoox source add and set: what they make of what is typed, and what a shell makes of a variable that is not set."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from engine.intake.sources import Source, read
from engine.model.signal import SignalAction
from hoox_tui.cli.root import app


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOOX_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def hoox(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), terminal_width=200)


def kept(home: Path) -> Source:
    (source,) = read(home / "sources.json")
    return source


LIMITED = (
    "--addresses", "10.0.0.1, 10.0.0.2", "--symbols", "btcusdt,ethusdt,", "--actions", "long,CLOSE", "--mail", "Bot@a.example",
)  # fmt: skip


def test_a_source_is_limited_to_what_is_named(home: Path) -> None:
    assert hoox("source", "add", "tv", *LIMITED).exit_code == 0
    source = kept(home)
    assert source.addresses == ("10.0.0.1", "10.0.0.2")
    assert source.policy.symbols == ("BTCUSDT", "ETHUSDT")
    assert source.policy.actions == (SignalAction.LONG, SignalAction.CLOSE)
    assert source.mail == ("bot@a.example",)


@pytest.mark.parametrize("nothing", ["", " ", ",", " , ,"])
@pytest.mark.parametrize(
    ("option", "word"), [("--addresses", "any"), ("--symbols", "all"), ("--actions", "all"), ("--mail", "none")]
)
def test_an_option_that_names_nothing_lifts_no_limit(home: Path, option: str, word: str, nothing: str) -> None:
    refused = hoox("source", "add", "new", option, nothing)
    assert refused.exit_code == 2
    assert not (home / "sources.json").exists()
    hoox("source", "add", "tv", *LIMITED)
    before = kept(home)
    refused = hoox("source", "set", "tv", option, nothing)
    assert refused.exit_code == 2
    assert f"{option} is {nothing!r}" in refused.output
    assert f"or {word}" in refused.output
    assert kept(home) == before


@pytest.mark.parametrize("words", [("any", "all", "all", "none"), ("ANY", "All", "ALL ", " None")])
def test_the_word_for_it_lifts_a_limit(home: Path, words: tuple[str, ...]) -> None:
    hoox("source", "add", "tv", *LIMITED)
    options = ("--addresses", "--symbols", "--actions", "--mail")
    assert (
        hoox("source", "set", "tv", *(part for pair in zip(options, words, strict=True) for part in pair)).exit_code
        == 0
    )
    source = kept(home)
    assert (source.addresses, source.policy.symbols, source.policy.actions, source.mail) == ((), (), (), ())


def test_without_an_engine_that_listens_it_says_how_to_get_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no listener is on" in hoox("source", "add", "tv").stderr
    monkeypatch.setenv("HOOX_WEBHOOK", "127.0.0.1:9000")
    planned = hoox("source", "rotate", "tv")
    assert "no listener" not in planned.stderr
    assert "http://127.0.0.1:9000/webhook/tv" in planned.stdout


def test_only_what_makes_a_source_shows_defaults() -> None:
    assert "[default: (log)]" in " ".join(hoox("source", "add", "--help").output.split())
    assert "default" not in hoox("source", "set", "--help").output


def test_a_source_that_signs_gets_no_command_that_would_be_refused(home: Path) -> None:
    assert "curl " in hoox("source", "add", "tv").stdout
    assert "curl " not in hoox("source", "add", "signs", "--sign").stdout
    assert "curl " not in hoox("source", "rotate", "signs").stdout


WAITS = ("--approve", "90", "--entry-patience", "120", "--entry-drift", "0.01", "--retry", "5, 10,20")


@pytest.mark.parametrize("command", ["add", "set"])
def test_how_long_a_source_s_signals_wait_is_settable(home: Path, command: str) -> None:
    if command == "set":
        hoox("source", "add", "tv")
    assert hoox("source", command, "tv", *WAITS).exit_code == 0
    policy = kept(home).policy
    assert (policy.approve_s, policy.entry_patience_s) == (90, 120)
    assert (policy.entry_drift, policy.retry_s) == (Decimal("0.01"), (5, 10, 20))
    (row,) = json.loads(hoox("source", "list", "--json").stdout)
    assert (row["approve"], row["entryPatience"], row["entryDrift"], row["retry"]) == (90, 120, "0.01", [5, 10, 20])


@pytest.mark.parametrize(
    ("option", "text", "code"),
    [
        ("--retry", "", 2), ("--retry", "soon", 2), ("--retry", "30,-1", 2), ("--retry", "0", 1),
        ("--entry-drift", "much", 2), ("--entry-drift", "0", 1), ("--approve", "0", 1), ("--entry-patience", "0", 1),
    ],
)  # fmt: skip
def test_a_wait_that_cannot_be_meant_changes_nothing(home: Path, option: str, text: str, code: int) -> None:
    hoox("source", "add", "tv")
    before = kept(home)
    refused = hoox("source", "set", "tv", option, text)
    assert refused.exit_code == code
    assert kept(home) == before


def test_a_rotation_that_is_ended_is_told_to_scripts_too(home: Path) -> None:
    hoox("source", "add", "tv")
    hoox("source", "rotate", "tv")
    assert len(kept(home).keys) == 2
    row = json.loads(hoox("source", "rotate", "tv", "--end", "--json").stdout)
    assert [key["id"] for key in row["keys"]] == [key.id for key in kept(home).keys]
    assert len(row["keys"]) == 1
