"""Opening a screen: over a running engine, over one started for it, or with the engine in the same process."""

from __future__ import annotations

import json
import os
import signal
import sys
import termios
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hoox_tui.cli.ask import answers, running_socket, with_engine
from hoox_tui.cli.late import say_late
from hoox_tui.cli.problems import NoEngine, Problem, note

if TYPE_CHECKING:
    from engine.link.base import EngineLink
    from hoox_tui.cli.launch import EngineProcess
    from hoox_tui.settings import Loaded, Settings


NO_SIZE = (24, 80)
"""Rows and columns of a terminal that has none."""


def open_desk(loaded: Loaded, *, in_process: bool) -> None:
    """The desk over a running engine, or one started for it."""
    from engine.link.address import socket_path
    from hoox_tui.cli.launch import EngineProcess

    settings = loaded.settings
    _need_terminal()
    if in_process:
        _show_in_process(settings)
        return
    path = running_socket(settings)
    if path is not None:
        _check_running(loaded)
        _show(settings, path, None, keeps=True)
    else:
        note(f"starting an engine on {settings.feed_name}")
        _show(settings, socket_path(settings.ledger_path), EngineProcess(settings), keeps=True)


def open_screen(settings: Settings) -> None:
    """A screen on a running engine; raises NoEngine when there is none."""
    _need_terminal()
    path = running_socket(settings)
    if path is None:
        raise NoEngine(f"no engine is running on {settings.ledger_path}; hoox starts one")
    _show(settings, path, None, keeps=False)


def _check_running(loaded: Loaded) -> None:
    """What was asked for must be what runs: another feed is refused, other settings are said to have come too late."""
    settings = loaded.settings
    if "feed" in loaded.sources:
        plays = str(with_engine(settings, lambda link: link.query("status"))["feed"])
        if not _same_feed(plays, settings.feed_name):
            raise Problem(
                f"the engine of {settings.ledger_path} plays {plays}, not {settings.feed_name}; "
                "quit it first, look at it with hoox attach, or choose another file with --ledger"
            )
    say_late(loaded)


def _same_feed(plays: str, wanted: str) -> bool:
    """`plays` is a feed's identity (recording:NAME:FINGERPRINT), `wanted` what --feed says (recording:FILE)."""
    kind, _, file = wanted.partition(":")
    return plays.startswith(f"recording:{Path(file).name}:") if kind == "recording" else plays == wanted


def _show(settings: Settings, path: Path, started: EngineProcess | None, *, keeps: bool) -> None:
    """`keeps`: an engine that crashes is started again."""

    def give_up(number: int, frame: object) -> None:
        # Until the desk takes the signal over nobody saw this engine: it is not left behind.
        if started is not None:
            started.end()
        os._exit(128 + number)

    signal.signal(signal.SIGINT, give_up)
    # The screen's imports take as long as the engine's start: both run at once.
    from engine.link.client import SocketLink
    from hoox_tui.app import run_desk
    from hoox_tui.cli.launch import Keeper

    link = SocketLink(path, _screen_name())
    # It answers already where the imports above took longer than its start.
    before = partial(started.wait_ready, path) if started is not None and not answers(path) else None
    keeper = Keeper(link, settings, started) if keeps else None
    if keeper is not None:
        link.explain = keeper.explain
        keeper.start()
    try:
        how = run_desk(
            link,
            symbol=_first_symbol(settings),
            owns_engine=lambda: keeper is not None and keeper.started(_pid(link)),
            theme=settings.theme,
            env=settings.env,
            ledger=settings.ledger_path,
            ledger_flag=settings.ledger_flag,
            before=before,
        )
    except BaseException:
        # A desk that never saw its engine leaves none behind; one that did, or whose engine is only slow, leaves it to watch.
        if started is not None and link.welcome is None and not started.slow:
            started.end()
        raise
    finally:
        if keeper is not None:
            keeper.close()
    note(farewell(how, settings.ledger_path, _pid(link), there=answers(path)))


def farewell(how: str, ledger: Path, pid: int, *, there: bool = True) -> str:
    """What became of the engine, said once the screen is gone; `pid` 0 where it is not known, `there`: it still answers."""
    if how == "stop":
        return f"the engine of {ledger} was told to stop; hoox starts it again"
    if not there:
        return f"no engine answers on {ledger}: stops held there do not fire until hoox starts it"
    end = f"kill {pid} stops it" if pid else "its palette (ctrl+p) has: Stop the engine"
    return f"the engine goes on watching {ledger}; hoox attaches to it again, {end}"


def _pid(link: EngineLink) -> int:
    return link.welcome.pid if link.welcome is not None else 0


def _show_in_process(settings: Settings) -> None:
    from hoox_tui.app import run_desk
    from hoox_tui.cli.engine import EngineHere
    from hoox_tui.cli.launch import engine_config

    link = EngineHere(json.dumps(engine_config(settings)))
    run_desk(
        link,
        symbol=_first_symbol(settings),
        owns_engine=lambda: True,
        theme=settings.theme,
        env=settings.env,
        ledger=settings.ledger_path,
        ledger_flag=settings.ledger_flag,
    )
    note(f"the engine of {settings.ledger_path} stopped with its screen; hoox starts it again")


def _need_terminal() -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Problem("the desk needs a terminal; hoox engine runs without one, and hoox positions --json reads")
    if 0 in os.get_terminal_size():
        # Nobody told it a size, and two libraries below us would guess two of them, and draw without end.
        termios.tcsetwinsize(sys.stdout.fileno(), NO_SIZE)


def _screen_name() -> str:
    """What other screens call this one: its terminal."""
    return os.ttyname(sys.stdin.fileno()).removeprefix("/dev/")


def _first_symbol(settings: Settings) -> str:
    return settings.symbols[0] if settings.symbols else ""
