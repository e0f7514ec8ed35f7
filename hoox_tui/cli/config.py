"""hoox config: what is set, where, and whether it is right."""

from __future__ import annotations

import typer

from hoox_tui.cli.options import Env, Feed, Json, LedgerFile, load_settings
from hoox_tui.cli.output import print_json, print_table
from hoox_tui.cli.problems import note

app = typer.Typer(help="Settings: print, check.", no_args_is_help=True)


@app.command(name="print")
def print_(env: Env = None, feed: Feed = None, ledger: LedgerFile = None, as_json: Json = False) -> None:
    """Every setting, its value, and where it came from."""
    from hoox_tui.cli.late import late_settings

    loaded = load_settings(env=env, feed=feed, ledger=ledger)
    values = loaded.values()
    if as_json:
        print_json([value._asdict() for value in values])
    else:
        print_table(("setting", "value", "source"), values)
    late = late_settings(loaded)
    if late:
        note(f"the running engine keeps what it was started with; the next start obeys {', '.join(late)}")


@app.command()
def check(env: Env = None, feed: Feed = None, ledger: LedgerFile = None) -> None:
    """Load the settings; exit code 2 and one line for each thing that is wrong, or that an engine would not start with."""
    from hoox_tui.cli.startable import refusals
    from hoox_tui.settings import SettingsError

    settings = load_settings(env=env, feed=feed, ledger=ledger).settings
    wrong = "\n".join(refusals(settings))
    if wrong:
        raise SettingsError(wrong)
    typer.echo(f"settings are fine: env {settings.env}, feed {settings.feed_name}, ledger {settings.ledger_path}")
