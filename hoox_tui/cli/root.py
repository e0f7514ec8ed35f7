"""The hoox command: opens the desk, or one of its commands."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hoox_tui.cli import account, act, bench, config, db, desk, doctor, ledger, read, signal, signals, source, why
from hoox_tui.cli.desk import InProcess
from hoox_tui.cli.options import (
    Env,
    Feed,
    LedgerFile,
    Rate,
    Record,
    Rehearse,
    Seed,
    Speed,
    Symbols,
    given_before,
    load_settings,
)
from hoox_tui.cli.problems import told
from hoox_tui.cli.show import open_desk


class Group(TyperGroup):
    """Every command ends the way `told` says."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with told():
            return super().invoke(ctx)


app = typer.Typer(cls=Group, name="hoox", add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
for group in (desk, read, signals, why, act, bench, doctor):
    app.registered_commands += group.app.registered_commands
for name, typer_group in (
    ("account", account.app),
    ("db", db.app),
    ("ledger", ledger.app),
    ("config", config.app),
    ("source", source.app),
    ("signal", signal.app),
):
    app.add_typer(typer_group, name=name)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"hoox {version('hoox-tui')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def hoox(
    ctx: typer.Context,
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
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """A trading desk for the terminal. Without a command it opens the desk: simulated prices, paper money, no keys needed."""
    given = {
        "env": env,
        "feed": feed,
        "symbols": symbols,
        "ledger": ledger,
        "record": record,
        "seed": seed,
        "rate": rate,
        "speed": speed,
        "rehearse": rehearse,
    }
    given_before.set({key: value for key, value in given.items() if value is not None})
    if ctx.invoked_subcommand is None:
        open_desk(load_settings(), in_process=in_process)
