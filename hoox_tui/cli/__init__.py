"""The command line of Hoox."""

from importlib.metadata import version
from typing import Annotated

import typer

app = typer.Typer(name="hoox", help="Hoox: a trading desk for the terminal.", no_args_is_help=True)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hoox {version('hoox-tui')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def options(
    show_version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Hoox: a trading desk for the terminal."""


def main() -> None:
    """Run the command line."""
    app()
