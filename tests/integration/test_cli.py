"""The command line: what it prints, asks and refuses, beside a running engine and without one.

Longer than most files: one command after the other.
"""

from __future__ import annotations

import asyncio
import csv
import errno
import io
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from engine.ledger.store import Ledger
from engine.link import killflag
from engine.link.address import socket_path
from engine.link.hub import Hub
from engine.link.server import LinkServer
from engine.model.command import (
    ApproveSignal,
    AttestOrder,
    CancelAll,
    CancelOrder,
    ClosePosition,
    DeclineSignal,
    Deposit,
    ReplaySignal,
    ResetAccount,
    SetKill,
)
from hoox_tui.cli.root import app
from tests.ledger_events import START_NS, Story
from tests.small_engine import SmallEngine

POSITION = {"id": "p-1", "instrument": "sim.perp:BTCUSDT", "symbol": "BTCUSDT", "side": "L", "size": "0.010", "entry": "61000.1", "mark": "61020", "upnl": "0.199", "liquidation": None}  # fmt: skip
ORDER = {"id": "o-7", "instrument": "sim.perp:ETHUSDT", "symbol": "ETHUSDT", "side": "BUY", "type": "LIMIT", "size": "1", "status": "ACCEPTED"}  # fmt: skip
ANSWERS: dict[str, Any] = {
    "positions": {"type": "PositionsView", "rows": [POSITION]},
    "orders": {"type": "OrdersView", "rows": [ORDER], "total": 1},
    "balance": {"type": "BalanceView", "rows": [{"asset": "USDT", "wallet": "10000", "equity": "10000.2"}]},
    "status": {"account": "main", "asset": "USDT", "env": "sim", "kill": False, "kill_reason": "", "equity": "10000.2"},
}


class Cli:
    """Runs hoox with a home folder and a socket folder of its own."""

    def __init__(self, home: Path) -> None:
        self.ledger = home / "sim.sqlite"

    def __call__(self, *words: str, typed: str | None = None) -> Result:
        return CliRunner().invoke(app, list(words), input=typed)


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    with tempfile.TemporaryDirectory(prefix="hoox-") as runtime:
        for name in [name for name in os.environ if name.startswith("HOOX_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        monkeypatch.setenv("HOOX_HOME", str(tmp_path))
        monkeypatch.chdir(tmp_path)
        yield Cli(tmp_path)


@pytest.fixture
def engine(cli: Cli) -> Iterator[SmallEngine]:
    """An engine that listens at this home's socket, on a loop in a thread of its own."""
    up, made = threading.Event(), []

    async def serve() -> None:
        small, over = SmallEngine(), asyncio.Event()
        small.answers = dict(ANSWERS)
        server = LinkServer(socket_path(cli.ledger), Hub(small))
        await server.start()
        made.extend([small, asyncio.get_running_loop(), over])
        up.set()
        await over.wait()
        await server.stop("the test is over")

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert up.wait(5)
    small, loop, over = made
    yield small
    loop.call_soon_threadsafe(over.set)
    thread.join()


@pytest.fixture
def ledger(cli: Cli) -> Path:
    """A ledger that no engine holds: one closed trade, an open position, a working order."""
    opened = Ledger.open(cli.ledger, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)
    story = Story()
    opened.append([*story.opening(), *story.round_trip()])
    opened.append([*story.create(), *story.send(), *story.fill("0.010"), *story.create(), *story.send()])
    opened.close()
    return cli.ledger


class TestReading:
    def test_positions_come_from_the_running_engine(self, cli: Cli, engine: SmallEngine) -> None:
        result = cli("positions", "--json")
        assert json.loads(result.stdout) == [POSITION]
        assert result.stderr == ""

    def test_the_table_shows_a_dash_for_what_is_not_known(self, cli: Cli, engine: SmallEngine) -> None:
        header, row = cli("positions").stdout.splitlines()
        assert header.split()[:4] == ["symbol", "side", "size", "entry"]
        assert row.split()[:7] == ["BTCUSDT", "L", "0.010", "61000.1", "61020", "0.199", "–"]

    def test_a_signal_that_waits_is_told_with_its_countdown(self, cli: Cli, engine: SmallEngine) -> None:
        common = {"received_ns": 1, "source": "tv", "action": "LONG", "symbol": "BTCUSDT", "quantity": "1", "took": 1.0}
        rows = [
            {"status": "waiting", "waits": waits, "until_ns": until_ns, "attempt": attempt, **common}
            for waits, until_ns, attempt in (
                ("approval", 95_000_000_000, 0),
                ("retry", 6_000_000_000, 2),
                ("flat", 0, 0),
            )
        ]
        shown = [row | {"id": "s", "code": "", "message": ""} for row in rows]
        engine.answers["signals"] = {"type": "SignalsView", "time_ns": 5_000_000_000, "rows": shown}
        said = cli("signals").stdout
        assert all(words in said for words in ("waits: approval 1:30", "waits: retry 0:01 #2", "waits: flat  "))

    def test_without_an_engine_they_come_from_the_ledger_and_it_says_so(self, cli: Cli, ledger: Path) -> None:
        result = cli("positions", "--json")
        (row,) = json.loads(result.stdout)
        assert (row["symbol"], row["side"], row["size"], row["entry"], row["mark"]) == ("BTCUSDT", "L", "0.010", "61000.1", None)  # fmt: skip
        assert f"no engine is running: read from {ledger}" in result.stderr

    def test_orders_trades_and_balance_are_read_offline_too(self, cli: Cli, ledger: Path) -> None:
        assert [row["status"] for row in json.loads(cli("orders", "--json").stdout)] == ["ACCEPTED"]
        (trade,) = json.loads(cli("trades", "--json").stdout)
        assert (trade["symbol"], trade["side"]) == ("BTCUSDT", "L")
        assert Decimal(trade["fees"]) > 0
        (money,) = json.loads(cli("balance", "--json").stdout)
        assert money["asset"] == "USDT"
        assert Decimal(money["wallet"]) < 10_000

    @pytest.mark.parametrize("words", [["positions"], ["trades"], ["db", "query", "SELECT 1"], ["ledger", "verify"]])
    def test_without_a_ledger_it_says_how_to_get_one(self, cli: Cli, words: list[str]) -> None:
        result = cli(*words)
        assert result.exit_code == 1
        assert "there is no ledger" in result.stderr

    def test_account_show_gathers_account_and_money(self, cli: Cli, engine: SmallEngine) -> None:
        shown = json.loads(cli("account", "show", "--json").stdout)
        assert (shown["account"], shown["equity"], shown["balances"][0]["wallet"]) == ("main", "10000.2", "10000")


class TestActing:
    def test_close_shows_the_engines_preview_and_sends_when_agreed(self, cli: Cli, engine: SmallEngine) -> None:
        result = cli("close", "btcusdt", "--yes")
        assert result.exit_code == 0, result.stderr
        assert "gives  6100 USDT" in result.stdout
        (command,) = engine.carried_out
        assert isinstance(command, ClosePosition)
        assert (command.position, command.fraction) == ("p-1", 1)

    def test_without_a_terminal_nothing_destructive_is_done_unasked(self, cli: Cli, engine: SmallEngine) -> None:
        result = cli("close", "--all", typed="y\n")
        assert result.exit_code == 1
        assert "add --yes" in result.stderr
        assert engine.carried_out == []

    def test_what_the_engine_says_is_impossible_is_not_sent(self, cli: Cli, engine: SmallEngine) -> None:
        engine.refusals = ("positions or orders are open",)
        result = cli("account", "reset", "--yes")
        assert (result.exit_code, engine.carried_out) == (1, [])
        assert "positions or orders are open" in result.stderr

    def test_attest_sends_a_persons_word_with_its_reason(self, cli: Cli, engine: SmallEngine) -> None:
        result = cli("attest", "O7", "--filled", "0.3", "--price", "60500", "--reason", "seen on the website", "--yes")
        assert result.exit_code == 0, result.stderr
        (command,) = engine.carried_out
        assert isinstance(command, AttestOrder)
        assert (command.order, str(command.filled), str(command.price)) == ("O7", "0.3", "60500")
        assert command.reason == "seen on the website"

    def test_attest_needs_a_size_and_a_reason(self, cli: Cli, engine: SmallEngine) -> None:
        assert cli("attest", "O7", "--filled", "0").exit_code == 2
        assert cli("attest", "O7", "--reason", "seen").exit_code == 2
        result = cli("attest", "O7", "--filled", "half", "--reason", "seen", "--yes")
        assert result.exit_code == 2
        assert "filled: 'half' is not a number" in result.stderr
        assert engine.carried_out == []

    def test_a_symbol_without_a_position_names_those_that_have_one(self, cli: Cli, engine: SmallEngine) -> None:
        result = cli("close", "SOLUSDT", "--yes")
        assert result.exit_code == 1
        assert "BTCUSDT" in result.stderr

    def test_neither_a_symbol_nor_all_is_a_usage_error(self, cli: Cli) -> None:
        assert cli("close").exit_code == 2
        assert cli("close", "BTCUSDT", "--all").exit_code == 2

    def test_cancel_takes_an_order_a_symbol_or_all(self, cli: Cli, engine: SmallEngine) -> None:
        for words in (["o-7"], ["ETHUSDT"], ["--all"]):
            result = cli("cancel", *words, "--yes")
            assert result.exit_code == 0, result.stderr
        assert [type(command) for command in engine.carried_out] == [CancelOrder, CancelOrder, CancelAll]
        assert len({command.request_id for command in engine.carried_out}) == 3

    def test_a_signal_that_waits_is_answered_and_any_is_replayed_by_its_id(self, cli: Cli, engine: SmallEngine) -> None:
        for words in (["approve", "s1"], ["decline", "s2", "--reason", "too late"], ["replay", "s3"]):
            assert cli("signal", *words, "--yes").exit_code == 0
        approved, declined, replayed = engine.carried_out
        assert isinstance(approved, ApproveSignal)
        assert isinstance(declined, DeclineSignal)
        assert isinstance(replayed, ReplaySignal)
        assert (approved.signal, declined.signal, replayed.signal) == ("s1", "s2", "s3")
        assert declined.reason == "too late"
        engine.refusals = ("entries are placed at a screen",)
        assert cli("signal", "approve", "s4", "--yes").exit_code == 1
        assert len(engine.carried_out) == 3

    def test_deposit_and_reset_name_exact_amounts(self, cli: Cli, engine: SmallEngine) -> None:
        assert cli("account", "deposit", "250.5", "--yes").exit_code == 0
        assert cli("account", "reset", "--balance", "5000", "--yes").exit_code == 0
        deposit, reset = engine.carried_out
        assert isinstance(deposit, Deposit)
        assert isinstance(reset, ResetAccount)
        assert (deposit.amount, deposit.asset, reset.balance) == (Decimal("250.5"), "USDT", Decimal(5000))
        assert cli("account", "deposit", "much").exit_code == 2

    def test_a_negative_deposit_takes_money_out(self, cli: Cli, engine: SmallEngine) -> None:
        assert cli("account", "deposit", "-20", "--yes").exit_code == 0
        (taken,) = engine.carried_out
        assert isinstance(taken, Deposit)
        assert taken.amount == -20
        assert cli("account", "deposit", "20", "--yess").exit_code == 2

    def test_money_is_in_the_accounts_asset_unless_another_is_named(
        self, cli: Cli, engine: SmallEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(engine.answers, "status", engine.answers["status"] | {"asset": "USDC"})
        assert cli("account", "deposit", "20", "--yes").exit_code == 0
        assert cli("account", "reset", "--yes").exit_code == 0
        assert cli("account", "deposit", "20", "--asset", "USDT", "--yes").exit_code == 0
        assert [getattr(command, "asset", None) for command in engine.carried_out] == ["USDC", "USDC", "USDT"]

    @pytest.mark.parametrize("words", [["close", "--all"], ["cancel", "--all"], ["account", "deposit", "5"], ["kill", "off"], ["signal", "decline", "s"]])  # fmt: skip
    def test_what_needs_an_engine_says_so_with_its_own_exit_code(self, cli: Cli, words: list[str]) -> None:
        result = cli(*words)
        assert result.exit_code == 3
        assert "no engine is running" in result.stderr


def test_a_file_that_cannot_be_used_is_named_in_words(cli: Cli) -> None:
    lock = cli.ledger.with_name("sources.json.lock")
    lock.mkdir()
    result = cli("source", "add", "tv")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == f"hoox: {lock}: Is a directory"


class TestKill:
    def test_on_and_off_reach_the_engine(self, cli: Cli, engine: SmallEngine) -> None:
        assert cli("kill", "on", "--reason", "news").exit_code == 0
        assert cli("kill", "off", "--yes").exit_code == 0
        on, off = engine.carried_out
        assert isinstance(on, SetKill)
        assert isinstance(off, SetKill)
        assert (on.on, on.reason, off.on) == (True, "news", False)

    def test_without_an_engine_on_leaves_a_flag_that_off_takes_back(self, cli: Cli) -> None:
        assert "the next start" in cli("kill", "on", "--reason", "storm").stderr
        assert killflag.left(cli.ledger) == "storm"
        assert json.loads(cli("kill", "status", "--json").stdout) == {"kill": True, "reason": "storm"}
        assert "the flag is removed" in cli("kill", "off").stderr
        assert killflag.left(cli.ledger) is None

    def test_status_without_a_flag_is_what_the_ledger_recorded(self, cli: Cli, ledger: Path) -> None:
        assert cli("kill", "status").stdout == "kill switch is off\n"

    def test_a_full_disk_takes_the_reason_and_not_the_flag(
        self, cli: Cli, ledger: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(descriptor: int, data: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(killflag.os, "write", full)
        assert cli("kill", "on", "--reason", "news").exit_code == 0
        assert killflag.left(ledger) == "left by hoox kill on"

    def test_a_flag_that_cannot_be_left_is_said_as_plainly_as_that(self, cli: Cli) -> None:
        killflag.kill_flag(cli.ledger).mkdir()
        result = cli("kill", "on")
        assert result.exit_code == 1
        assert result.stderr.startswith("hoox: the kill switch is NOT on: ")
        assert "sim.sqlite.kill" in result.stderr
        assert "(Is a directory)" in result.stderr

    def test_another_word_is_a_usage_error(self, cli: Cli) -> None:
        assert cli("kill", "maybe").exit_code == 2


class TestLedger:
    def test_the_promised_query_prints_table_json_and_csv(self, cli: Cli, ledger: Path) -> None:
        sql = (
            "SELECT created_at, exchange, symbol, action, price, quantity FROM trades ORDER BY created_at DESC LIMIT 10"
        )
        table = cli("db", "query", sql).stdout.splitlines()
        rows = json.loads(cli("db", "query", sql, "--json").stdout)
        sheet = list(csv.DictReader(io.StringIO(cli("db", "query", sql, "--csv").stdout)))
        assert table[0].split() == list(rows[0]) == list(sheet[0])
        assert len(table) - 1 == len(rows) == len(sheet) == 3
        assert [row["action"] for row in rows] == ["LONG", "CLOSE", "LONG"]

    def test_writing_is_refused_with_the_reason(self, cli: Cli, ledger: Path) -> None:
        result = cli("db", "query", "DELETE FROM trades")
        assert result.exit_code == 1
        assert "writes are refused" in result.stderr

    def test_a_query_that_asks_for_nothing_is_an_error(self, cli: Cli, ledger: Path) -> None:
        result = cli("db", "query", "")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "write a SELECT" in result.stderr

    def test_verify_passes_and_a_copy_verifies_too(self, cli: Cli, ledger: Path, tmp_path: Path) -> None:
        assert cli("ledger", "verify").exit_code == 0
        assert cli("ledger", "backup", str(tmp_path / "copy.sqlite")).exit_code == 0
        assert json.loads(cli("ledger", "verify", "--ledger", str(tmp_path / "copy.sqlite"), "--json").stdout)["ok"]
        again = cli("ledger", "backup", str(tmp_path / "copy.sqlite"))
        assert again.exit_code == 1
        assert "overwrites nothing" in again.stderr

    def test_replay_shows_the_desk_as_it_was_after_any_event(self, cli: Cli, ledger: Path) -> None:
        now = json.loads(cli("ledger", "replay", "--json").stdout)
        assert ([row["size"] for row in now["positions"]], len(now["orders"])) == (["0.010"], 1)
        assert now["positions"][0]["mark"] == "61000.0", "as the last event with a price recorded it"
        then = json.loads(cli("ledger", "replay", "--until", "4", "--json").stdout)
        assert (then["seq"], then["positions"], then["orders"]) == (4, [], [])
        assert (then["equity"], then["balances"][0]["wallet"]) == ("10000.00", "10000.00")

    def test_replay_takes_a_time_in_utc_or_before_the_last_event(self, cli: Cli, ledger: Path) -> None:
        at = cli("ledger", "replay", "--until", "2026-01-01T01:00:00.0045+01:00").stdout
        assert "2026-01-01 00:00:00.004 UTC, event 4 of 27" in at
        assert "event 22 of 27" in cli("ledger", "replay", "--until", "-0.005s").stdout

    def test_replay_names_what_is_wrong_with_a_moment(self, cli: Cli, ledger: Path) -> None:
        for text, says in (
            ("yesterday", "write an event's number, 2026-11-20T19:05"),
            ("999", "there is no event 999 yet: the last one is 27"),
            ("2020-01-01", "nothing had happened by 2020-01-01 00:00:00 UTC: the first event is of 2026-01-01"),
        ):
            result = cli("ledger", "replay", "--until", text)
            assert result.exit_code != 0
            assert says in " ".join(result.stderr.replace("│", " ").split()), text

    @pytest.mark.parametrize("words", [["positions"], ["orders", "--json"], ["balance"], ["account", "show"]])
    def test_a_damaged_ledger_is_not_told_as_flat(self, cli: Cli, ledger: Path, words: list[str]) -> None:
        with sqlite3.connect(ledger) as db:
            db.execute("DROP TRIGGER events_are_never_updated")
            db.execute("UPDATE events SET owner = 'me' WHERE seq = 9")
        db.close()
        result = cli(*words)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "event 9" in result.stderr
        assert "hoox ledger replay --until 8" in result.stderr

    def test_replay_of_a_damaged_ledger_ends_at_the_last_good_event_and_fails(self, cli: Cli, ledger: Path) -> None:
        with sqlite3.connect(ledger) as db:
            db.execute("DROP TRIGGER events_are_never_updated")
            db.execute("UPDATE events SET owner = 'me' WHERE seq = 9")
        db.close()
        result = cli("ledger", "replay", "--json")
        assert result.exit_code == 1
        assert json.loads(result.stdout)["seq"] == 8
        assert "this is the state after event 8, the last good one" in result.stderr

    def test_time_travel_needs_a_terminal(self, cli: Cli, ledger: Path) -> None:
        result = cli("ledger", "travel", "--at", "-1h")
        assert result.exit_code == 1
        assert "hoox ledger replay --until prints a moment" in result.stderr

    def test_snapshot_is_stored_unless_an_engine_holds_the_ledger(self, cli: Cli, ledger: Path) -> None:
        assert "snapshot after event" in cli("ledger", "snapshot").stderr
        held = Ledger.open(ledger, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)
        result = cli("ledger", "snapshot")
        held.close()
        assert result.exit_code == 1
        assert f"held by pid {os.getpid()}" in result.stderr

    def test_rebuild_keeps_the_old_file(self, cli: Cli, ledger: Path) -> None:
        result = cli("ledger", "rebuild")
        assert result.exit_code == 0
        kept = ledger.with_name("sim.sqlite.before-rebuild-1")
        assert f"the old file is {kept}" in result.stderr
        assert kept.exists()
        assert cli("ledger", "verify").exit_code == 0


class TestSettings:
    def test_print_shows_each_value_with_its_source(self, cli: Cli) -> None:
        values = {row["key"]: row for row in json.loads(cli("--seed", "9", "config", "print", "--json").stdout)}
        assert (values["seed"]["value"], values["seed"]["source"]) == ("9", "flag")
        assert values["home"]["source"] == "environment"

    def test_check_names_what_is_wrong(self, cli: Cli, tmp_path: Path) -> None:
        assert cli("config", "check").exit_code == 0
        (tmp_path / "hoox.toml").write_text('fede = "binance"\n')
        result = cli("config", "check")
        assert result.exit_code == 2
        assert "did you mean feed?" in result.stderr

    def test_live_is_refused_until_it_is_there(self, cli: Cli) -> None:
        result = cli("positions", "--env", "live")
        assert result.exit_code == 2
        assert "not built yet" in result.stderr

    def test_doctor_finds_this_machine_fit(self, cli: Cli) -> None:
        checks = {check["name"]: check["level"] for check in json.loads(cli("doctor", "--json").stdout)}
        assert checks["sqlite"] == checks["home"] == checks["socket"] == "ok"

    def test_doctor_fails_where_others_could_reach_the_socket(self, cli: Cli) -> None:
        folder = socket_path(cli.ledger).parent
        folder.mkdir()
        folder.chmod(0o777)
        result = cli("doctor")
        assert result.exit_code == 1
        assert "chmod 700" in result.stdout


class TestStarting:
    def test_the_desk_needs_a_terminal(self, cli: Cli) -> None:
        for words in ([], ["desk"], ["attach"]):
            result = cli(*words)
            assert result.exit_code == 1
            assert "needs a terminal" in result.stderr

    def test_version_loads_neither_textual_nor_plotext_nor_the_engine(self) -> None:
        code = """
import sys
from hoox_tui.cli import main
sys.argv = ["hoox", "--version"]
try:
    main()
finally:
    print({name.partition(".")[0] for name in sys.modules} & {"textual", "plotext", "textual_plotext", "engine", "pydantic", "rich"})
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        version, loaded = done.stdout.splitlines()
        assert version.startswith("hoox ")
        assert loaded == "set()"
