"""hoox config check names what a start would refuse, with its value and the remedy; nothing that opens leaves anything behind."""

from __future__ import annotations

import os
import re
import socket
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from engine.ledger.errors import LedgerError
from engine.ledger.store import Ledger
from engine.model.account import Execution
from engine.model.event import AccountOpened
from engine.model.market import Side
from hoox_tui import settings, themes
from hoox_tui.cli.root import app
from tests.ledger_events import START_NS, Story


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOOX_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.sqlite").write_text("taken")
    return tmp_path


def check(*words: str) -> Result:
    return CliRunner().invoke(app, ["config", "check", *words])


def test_the_themes_that_a_setting_takes_are_those_there_are() -> None:
    assert settings.THEMES == themes.NAMES


MAIL = {"HOOX_MAIL": "imaps://me@mail.example/INBOX"}
REFUSED = [
    ({"HOOX_THEME": "neon"}, "HOOX_THEME is 'neon'; it takes hoox-dark, hoox-light"),
    ({"HOOX_WEBHOOK": "0.0.0.0:8787"}, "webhook: 0.0.0.0 is not loopback.*set webhook_tls_cert"),
    ({"HOOX_WEBHOOK": "desk:8787"}, "webhook: 'desk:8787' is no address"),
    ({"HOOX_WEBHOOK": "127.0.0.1:1", "HOOX_WEBHOOK_TLS_CERT": "/no/cert", "HOOX_WEBHOOK_TLS_KEY": "/no/key"}, "webhook_tls_cert: /no/cert cannot be read"),
    ({"HOOX_WEBHOOK": "127.0.0.1:1", "HOOX_WEBHOOK_TLS_CERT": "a.sqlite", "HOOX_WEBHOOK_TLS_KEY": "a.sqlite"}, "give a PEM certificate and its key"),
    ({"HOOX_WEBHOOK": "0.0.0.0:1", "HOOX_BEHIND_PROXY": "yes"}, "webhook_proxies: empty"),
    (MAIL, "mail_password_file: missing"),
    (MAIL | {"HOOX_MAIL_PASSWORD_FILE": "/no/password", "HOOX_MAIL_AUTHSERV": "mx"}, "mail_password_file: /no/password cannot be read"),
    ({"HOOX_MAIL": "pop3://me@mail.example"}, "is not a mailbox"),
    ({"HOOX_MAIL": "imaps://me@mail.example:many/INBOX"}, "mail: its host or port cannot be read; write imaps://"),
    ({"HOOX_ENV": "paper", "HOOX_FEED": "recording:/no/file.gz"}, "/no/file.gz"),
    ({"HOOX_SYMBOLS": "DOGEUSDT"}, "symbols: the simulated market does not list 'DOGEUSDT'; choose from"),
    ({"HOOX_RECORD": "a.sqlite"}, "record: .*a.sqlite exists; choose another name"),
    ({"HOOX_RECORD": "/no/folder/x.gz"}, "record: cannot write /no/folder/x.gz"),
    ({"HOOX_LEDGER": "a.sqlite/x.sqlite"}, "choose another file with --ledger"),
    ({"HOOX_LEDGER": "/dev/null"}, "/dev/null is no file; choose another one with --ledger"),
    ({"HOOX_LEDGER": "."}, "is no file; choose another one with --ledger"),
]  # fmt: skip


@pytest.mark.parametrize(("environ", "says"), REFUSED)
def test_what_a_start_would_refuse_is_named_with_its_remedy(
    environ: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    result = check()
    assert result.exit_code == 2
    assert re.search(says, result.stderr), result.stderr


def test_a_webhook_address_at_which_somebody_listens_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        monkeypatch.setenv("HOOX_WEBHOOK", address)
        result = check()
    assert result.exit_code == 2
    assert f"cannot listen at {address}: Address already in use" in result.stderr
    assert check().exit_code == 0


def test_everything_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOX_WEBHOOK", "0.0.0.0:8787")
    monkeypatch.setenv("HOOX_MAIL", "imaps://me@mail.example/INBOX")
    assert len(check().stderr.splitlines()) == 2


def test_a_ledger_of_another_environment_is_named(home: Path) -> None:
    Ledger.open(home / "x.sqlite", env="paper", feed="binance", now_ns=START_NS, reserve_bytes=0).close()
    result = check("--ledger", "x.sqlite")
    assert "is a ledger of env 'paper', not 'sim'" in result.stderr


def test_another_feed_is_named_while_something_is_open(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story()
    opened = Ledger.open(home / "paper.sqlite", env="paper", feed="binance", now_ns=START_NS, reserve_bytes=0)
    opened.append([*story.opening(), *story.create(), *story.send(), *story.fill("0.010")])
    monkeypatch.setenv("HOOX_ENV", "paper")
    assert check().exit_code == 0
    result = check("--feed", "backpack")
    assert (
        "has 1 open positions and orders on feed 'binance', not 'backpack'; start with --feed binance" in result.stderr
    )
    opened.append([*story.create(Side.SELL, reduce_only=True), *story.send(), *story.fill("0.010")])
    opened.close()
    assert check("--feed", "backpack").exit_code == 0


@pytest.mark.parametrize(("rehearses", "says"), [(False, "trades on paper"), (True, "rehearses: .*with --rehearse")])
def test_a_ledger_whose_orders_go_another_way_is_named(home: Path, rehearses: bool, says: str) -> None:
    opened = Ledger.open(home / "x.sqlite", env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)
    execution = Execution.VENUE if rehearses else Execution.PAPER
    opened.append([Story().event(AccountOpened(execution=execution))])
    opened.close()
    flags = ["--rehearse"] if rehearses else []
    assert CliRunner().invoke(app, [*flags, "config", "check", "--ledger", "x.sqlite"]).exit_code == 0
    flags = [] if rehearses else ["--rehearse"]
    result = CliRunner().invoke(app, [*flags, "config", "check", "--ledger", "x.sqlite"])
    assert result.exit_code == 2
    assert re.search(f"x.sqlite {says}", result.stderr), result.stderr


def test_a_data_folder_that_cannot_be_made_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOX_HOME", "/proc/hoox")
    result = CliRunner().invoke(app, ["engine"])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "home: /proc/hoox cannot be made" in result.stderr
    assert "set HOOX_HOME to a folder of yours" in result.stderr


def test_an_engine_refuses_a_ledger_that_is_no_file_in_the_same_words(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="is no file; choose another one with --ledger"):
        Ledger.open(tmp_path, env="sim", feed="simulated", now_ns=START_NS)


def test_a_check_makes_nothing(home: Path) -> None:
    before = sorted(home.iterdir())
    assert check().exit_code == 0
    assert sorted(home.iterdir()) == before


def test_a_ledger_that_may_not_be_written_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor one in a folder where nothing may be made; told also to root, whom only a file system stops."""
    made = home / "data" / "sim.sqlite"
    made.parent.mkdir()
    Ledger.open(made, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0).close()
    (home / "link.sqlite").symlink_to(made)
    right = os.access
    assert check("--ledger", "link.sqlite").exit_code == 0
    for closed in (made, made.parent):
        monkeypatch.setattr(
            os, "access", lambda path, mode, closed=closed: right(path, mode) and Path(path).resolve() != closed
        )
        result = check("--ledger", "link.sqlite")
        assert result.exit_code == 2
        assert "link.sqlite may not be written; check the file's and the folder's permissions" in result.stderr
