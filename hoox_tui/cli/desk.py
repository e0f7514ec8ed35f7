"""hoox, hoox desk, hoox attach, hoox engine: the desk over its engine."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from hoox_tui.cli.late import say_late
from hoox_tui.cli.options import Env, Feed, LedgerFile, Rate, Record, Rehearse, Seed, Speed, Symbols, load_settings
from hoox_tui.cli.show import open_desk, open_screen

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
    rehearse: Rehearse = None,
    in_process: InProcess = False,
) -> None:
    """Open the desk: attach to the ledger's engine, or start one."""
    open_desk(
        load_settings(
            env=env,
            feed=feed,
            symbols=symbols,
            ledger=ledger,
            record=record,
            seed=seed,
            rate=rate,
            speed=speed,
            rehearse=rehearse,
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
    rehearse: Rehearse = None,
) -> None:
    """Run the engine alone, here, until it is stopped (systemd, tmux)."""
    settings = load_settings(
        env=env,
        feed=feed,
        symbols=symbols,
        ledger=ledger,
        record=record,
        seed=seed,
        rate=rate,
        speed=speed,
        rehearse=rehearse,
    ).settings
    from hoox_tui.cli.engine import serve
    from hoox_tui.cli.launch import engine_config

    settings.make_home()
    raise typer.Exit(serve(json.dumps(engine_config(settings))))


@app.command()
def attach(env: Env = None, feed: Feed = None, ledger: LedgerFile = None) -> None:
    """Open a screen on a running engine; never starts one."""
    loaded = load_settings(env=env, feed=feed, ledger=ledger)
    say_late(loaded)
    open_screen(loaded.settings)
