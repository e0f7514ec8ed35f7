"""The engine's process: in a session of its own, started again when it dies, left alone when it was stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import termios
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from engine.link.address import socket_path
from engine.link.base import LinkState
from engine.link.client import SocketLink
from engine.link.messages import Welcome
from engine.model.account import RiskLimits
from engine.views import StatusView
from hoox_tui.cli.ask import with_engine
from hoox_tui.cli.engine import config_of
from hoox_tui.cli.late import SCREENS, late_settings, place
from hoox_tui.cli.launch import EngineProcess, Keeper, engine_config
from hoox_tui.cli.problems import Problem
from hoox_tui.settings import SETTINGS, Settings, load


async def until(true: Callable[[], object], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - another process tells nothing
            await asyncio.sleep(0.02)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A simulated desk in folders of its own; whatever engine is left there is killed."""
    with tempfile.TemporaryDirectory(prefix="hoox-") as runtime:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        settings = load({"symbols": "BTCUSDT"}, environ={"HOOX_HOME": str(tmp_path)}, folder=tmp_path).settings
        yield settings
        with suppress(Problem, ProcessLookupError):
            os.kill(pid_of_engine(settings), signal.SIGKILL)


def pid_of_engine(settings: Settings) -> int:
    async def pid(link: SocketLink) -> int:
        assert link.welcome is not None
        return link.welcome.pid

    return with_engine(settings, pid)


def test_every_setting_reaches_the_engine(tmp_path: Path) -> None:
    given = {"seed": 7, "rate": 200, "speed": "max", "start_balance": "5000", "latency_ms": 2.5, "symbols": "ETHUSDT"}
    limits = {"max_order_notional": "123.45", "daily_loss": "off", "max_data_age_ms": 750}
    settings = load({**given, "risk": limits}, environ={"HOOX_HOME": str(tmp_path)}, folder=tmp_path).settings
    config = config_of(json.dumps(engine_config(settings)))
    assert (config.seed, config.rate, config.speed, config.symbols) == (7, 200, 0, ("ETHUSDT",))
    assert (config.start_balance, config.latency_ns) == (Decimal(5000), 2_500_000)
    assert (config.ledger, config.socket, config.record) == (tmp_path / "sim.sqlite", socket_path(config.ledger), None)
    assert (config.limits.max_order_notional, config.limits.daily_loss) == (Decimal("123.45"), None)
    assert (config.limits.max_data_age_ns, config.limits.price_band) == (750_000_000, RiskLimits().price_band)


async def test_the_engine_runs_in_a_session_of_its_own_and_a_second_one_is_refused(settings: Settings) -> None:
    process = EngineProcess(settings)
    await asyncio.to_thread(process.wait_ready, socket_path(settings.ledger_path))
    assert os.getsid(process.pid) == process.pid == await asyncio.to_thread(pid_of_engine, settings)
    second = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "hoox_tui", "engine", "--ledger", str(settings.ledger_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert f"held by pid {process.pid}" in second.stderr
    os.kill(process.pid, signal.SIGTERM)
    await until(process.ended)


def test_an_engine_that_cannot_start_says_why_in_its_own_words(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    process = EngineProcess(msgspec.structs.replace(settings, ledger=tmp_path / "file" / "sim.sqlite"))
    with pytest.raises(Problem, match=r"the engine did not start: .*file"):
        process.wait_ready(socket_path(tmp_path / "file" / "sim.sqlite"))


async def test_a_killed_engine_is_started_again_disarmed_and_a_stopped_one_is_not(settings: Settings) -> None:
    async with kept(settings) as (link, first, keeper):
        link.set_armed(True)
        await until(lambda: armed(link))
        os.kill(first.pid, signal.SIGKILL)
        await until(lambda: link.state is LinkState.CONNECTED and link.welcome is not first)
        assert link.welcome is not None
        assert link.welcome.epoch == first.epoch + 1
        await until(lambda: status(link).epoch == first.epoch + 1)
        assert not armed(link)

        link.stop_engine("enough")
        await until(lambda: link.stopped)
        assert link.stopped == "enough"
        await until(keeper.process_ended)
        assert link.state is LinkState.LOST


async def test_a_recording_whose_engine_died_goes_on_in_another_file(settings: Settings, tmp_path: Path) -> None:
    settings = msgspec.structs.replace(settings, record=tmp_path / "day.gz")
    async with kept(settings) as (link, first, _):
        os.kill(first.pid, signal.SIGKILL)
        await until(lambda: link.state is LinkState.CONNECTED and link.welcome is not first)
        await until(lambda: "status" in link.views and status(link).recording == "day.2.gz")
        assert (tmp_path / "day.gz").exists()


async def test_why_an_engine_does_not_start_again_is_told_to_the_screen(settings: Settings, tmp_path: Path) -> None:
    async with kept(settings) as (link, first, _):
        settings.ledger_path.with_suffix(".sqlite.lock").unlink()
        settings.ledger_path.with_suffix(".sqlite.lock").mkdir()
        os.kill(first.pid, signal.SIGKILL)
        await until(lambda: link.detail.startswith("it does not start again: "))
        assert "sim.sqlite.lock" in link.detail
        settings.ledger_path.with_suffix(".sqlite.lock").rmdir()
        await until(lambda: link.state is LinkState.CONNECTED and link.welcome is not first)


@asynccontextmanager
async def kept(settings: Settings) -> AsyncIterator[tuple[SocketLink, Welcome, Keeper]]:
    """A screen's link to an engine that is started again when it dies."""
    process = EngineProcess(settings)
    path = socket_path(settings.ledger_path)
    await asyncio.to_thread(process.wait_ready, path)
    link = SocketLink(path, "screen")
    keeper = Keeper(link, settings, process)
    link.explain = keeper.explain
    await link.start()
    keeper.start()
    assert link.welcome is not None
    try:
        yield link, link.welcome, keeper
    finally:
        link.stop_engine("the test is over")
        await until(keeper.process_ended)
        keeper.close()
        await link.close()


def status(link: SocketLink) -> StatusView:
    view = link.views["status"]
    assert isinstance(view, StatusView)
    return view


def armed(link: SocketLink) -> bool:
    return "status" in link.views and status(link).armed


_INTERRUPTED = """
import os, signal, sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["WHERE"]:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
sys.argv = ["hoox"]
from hoox_tui.cli import main
main()
"""


@pytest.mark.parametrize("where", ["hoox_tui.settings", "hoox_tui.cli.launch", "textual.app", "hoox_tui.screens.desk"])
async def test_ctrl_c_while_it_opens_ends_it_without_a_word_and_leaves_no_engine(where: str, tmp_path: Path) -> None:
    home = tmp_path / "interrupted"
    master, slave = os.openpty()
    started = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", _INTERRUPTED],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "HOOX_HOME": str(home), "XDG_RUNTIME_DIR": str(tmp_path), "WHERE": where},
        stdin=slave,
        stdout=slave,
        stderr=subprocess.PIPE,
    )
    os.close(slave)
    _, words = await asyncio.to_thread(started.communicate, None, 30)
    os.close(master)
    assert started.returncode in (-signal.SIGINT, 128 + signal.SIGINT)
    assert b"Traceback" not in words
    await until(lambda: not _runs_on(home))


_BROKEN = """
import sys
from hoox_tui import app
def broken(link, **given):
    if given["before"] is not None:
        given["before"]()
    raise RuntimeError("this desk cannot open")
app.run_desk = broken
sys.argv = ["hoox"]
from hoox_tui.cli import main
main()
"""


async def test_a_desk_that_cannot_open_leaves_no_engine_behind(tmp_path: Path) -> None:
    home = tmp_path / "broken"
    master, slave = os.openpty()
    started = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", _BROKEN],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "HOOX_HOME": str(home), "XDG_RUNTIME_DIR": str(tmp_path)},
        stdin=slave,
        stdout=slave,
        stderr=subprocess.PIPE,
    )
    os.close(slave)
    _, words = await asyncio.to_thread(started.communicate, None, 30)
    os.close(master)
    assert b"this desk cannot open" in words
    assert (home / "sim.sqlite").exists()
    await until(lambda: not _runs_on(home))


async def test_a_terminal_without_a_size_gets_one(tmp_path: Path) -> None:
    """Else two libraries guess two sizes of it, and all is drawn anew without end."""
    master, slave = os.openpty()
    assert termios.tcgetwinsize(slave) == (0, 0)
    command, environ = [sys.executable, "-m", "hoox_tui"], {"HOOX_HOME": str(tmp_path), "TERM": "xterm"}
    desk = subprocess.Popen(  # noqa: ASYNC220
        command, stdin=slave, stdout=slave, stderr=slave, env=os.environ | environ, cwd=Path(__file__).parents[2]
    )
    try:
        await until(lambda: termios.tcgetwinsize(slave) == (24, 80))
    finally:
        desk.kill()
        await asyncio.to_thread(desk.wait)
        os.close(master)
        os.close(slave)
        await asyncio.to_thread(subprocess.run, ["pkill", "-f", str(tmp_path)], check=False)


def _runs_on(home: Path) -> bool:
    """Whether a process was told of this folder."""
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if str(home).encode() in command.read_bytes():
                return True
    return False


async def test_an_engine_that_runs_says_which_settings_came_too_late(settings: Settings, tmp_path: Path) -> None:
    started = msgspec.structs.replace(settings, seed=3, webhook="127.0.0.1:0")
    process = EngineProcess(started)
    await asyncio.to_thread(process.wait_ready, socket_path(started.ledger_path))
    home = {"HOOX_HOME": str(tmp_path)}
    environ = {"HOOX_LATENCY_MS": "1", "HOOX_RISK__DAILY_LOSS": "500", "HOOX_WEBHOOK": "off", "HOOX_THEME": "hoox-cb"}
    (tmp_path / "hoox.toml").write_text("start_balance = 500\nwebhook_rate = 7\n")
    asked = load({"symbols": "BTCUSDT,ETHUSDT", "seed": 3}, environ=home | environ, folder=tmp_path)
    late = await asyncio.to_thread(late_settings, asked)
    assert sorted(late) == ["--symbols", "HOOX_LATENCY_MS", "HOOX_RISK__DAILY_LOSS", "HOOX_WEBHOOK", "start_balance"]

    (tmp_path / "hoox.toml").unlink()
    same = {"symbols": "btcusdt", "seed": "3", "webhook": "127.0.0.1:0", "rate": "50", "risk.price_band": "0.2"}
    assert await asyncio.to_thread(late_settings, load(same, environ=home, folder=tmp_path)) == []
    process.end()
    await until(process.ended)
    assert await asyncio.to_thread(late_settings, asked) == []


@pytest.mark.parametrize("key", sorted(SETTINGS.keys() - SCREENS))
def test_every_setting_that_a_start_obeys_is_compared(key: str, settings: Settings) -> None:
    config = engine_config(msgspec.structs.replace(settings, webhook="127.0.0.1:1"))
    group, _, name = place(key).rpartition(".")
    assert name in (config[group] if group else config)
