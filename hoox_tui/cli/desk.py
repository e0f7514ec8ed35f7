"""hoox, hoox desk, hoox attach, hoox engine: the desk over its engine."""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hoox_tui.cli.ask import running_socket, with_engine
from hoox_tui.cli.options import Env, Feed, LedgerFile, Rate, Record, Seed, Speed, Symbols, load_settings
from hoox_tui.cli.problems import NoEngine, Problem, note

if TYPE_CHECKING:
    from hoox_tui.cli.launch import EngineProcess
    from hoox_tui.settings import Loaded, Settings

InProcess = Annotated[bool, typer.Option("--in-process", help="Engine and screen in one process: both end together.")]

app = typer.Typer()


@app.command()
def desk(
    env: Env = None,
    feed: Feed = None,
    symbols: Symbols = None,
    ledger: LedgerFile = None,
    record: Record = None,
    seed: Seed = None,
    rate: Rate = None,
    speed: Speed = None,
    in_process: InProcess = False,
) -> None:
    """Open the desk: attach to the ledger's engine, or start one."""
    open_desk(
        load_settings(
            env=env, feed=feed, symbols=symbols, ledger=ledger, record=record, seed=seed, rate=rate, speed=speed
        ),
        in_process=in_process,
    )


@app.command()
def engine(
    env: Env = None,
    feed: Feed = None,
    symbols: Symbols = None,
    ledger: LedgerFile = None,
    record: Record = None,
    seed: Seed = None,
    rate: Rate = None,
    speed: Speed = None,
) -> None:
    """Run the engine alone, here, until it is stopped (systemd, tmux)."""
    settings = load_settings(
        env=env, feed=feed, symbols=symbols, ledger=ledger, record=record, seed=seed, rate=rate, speed=speed
    ).settings
    from hoox_tui.cli.engine import serve
    from hoox_tui.cli.launch import engine_config

    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    raise typer.Exit(serve(json.dumps(engine_config(settings))))


@app.command()
def attach(env: Env = None, feed: Feed = None, ledger: LedgerFile = None) -> None:
    """Open a screen on a running engine; never starts one."""
    settings = load_settings(env=env, feed=feed, ledger=ledger).settings
    _need_terminal()
    path = running_socket(settings)
    if path is None:
        raise NoEngine(f"no engine is running on {settings.ledger_path}; hoox starts one")
    _show(settings, path, None, owns_engine=False)


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
        _show(settings, path, None, owns_engine=True)
    else:
        note(f"starting an engine on {settings.feed_name}")
        _show(settings, socket_path(settings.ledger_path), EngineProcess(settings), owns_engine=True)


def _check_running(loaded: Loaded) -> None:
    """What was asked for must be what runs: another feed is refused, other flags are said to have come too late."""
    settings = loaded.settings
    if "feed" in loaded.sources:
        plays = str(with_engine(settings, lambda link: link.query("status"))["feed"])
        if not _same_feed(plays, settings.feed_name):
            raise Problem(
                f"the engine of {settings.ledger_path} plays {plays}, not {settings.feed_name}; "
                "quit it first, look at it with hoox attach, or choose another file with --ledger"
            )
    late = [f"--{key}" for key in ("symbols", "record", "seed", "rate", "speed") if loaded.sources.get(key) == "flag"]
    if late:
        note(f"the engine was running already: {', '.join(late)} changed nothing")


def _same_feed(plays: str, wanted: str) -> bool:
    """`plays` is a feed's identity (recording:NAME:FINGERPRINT), `wanted` what --feed says (recording:FILE)."""
    kind, _, file = wanted.partition(":")
    return plays.startswith(f"recording:{Path(file).name}:") if kind == "recording" else plays == wanted


def _show(settings: Settings, path: Path, started: EngineProcess | None, *, owns_engine: bool) -> None:
    # The screen's imports take as long as the engine's start: both run at once.
    from engine.link.client import SocketLink
    from hoox_tui.app import run_desk
    from hoox_tui.cli.launch import Keeper

    link = SocketLink(path, _screen_name())
    before = partial(started.wait_ready, path) if started is not None else None
    keeper = Keeper(link, settings, started) if owns_engine else None
    if keeper is not None:
        keeper.start()
    try:
        how = run_desk(
            link,
            symbol=_first_symbol(settings),
            owns_engine=owns_engine,
            theme=settings.theme,
            env=settings.env,
            before=before,
        )
    finally:
        if keeper is not None:
            keeper.close()
    if how == "detach":
        note(f"the engine goes on watching {settings.ledger_path}; hoox attaches to it again")


def _show_in_process(settings: Settings) -> None:
    from hoox_tui.app import run_desk
    from hoox_tui.cli.engine import EngineHere
    from hoox_tui.cli.launch import engine_config

    link = EngineHere(json.dumps(engine_config(settings)))
    run_desk(link, symbol=_first_symbol(settings), owns_engine=True, theme=settings.theme, env=settings.env)


def _need_terminal() -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Problem("the desk needs a terminal; hoox engine runs without one, and hoox positions --json reads")


def _screen_name() -> str:
    """What other screens call this one: its terminal."""
    return os.ttyname(sys.stdin.fileno()).removeprefix("/dev/")


def _first_symbol(settings: Settings) -> str:
    return settings.symbols[0] if settings.symbols else ""
