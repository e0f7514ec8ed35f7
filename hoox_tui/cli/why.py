"""hoox why: the chain that led to an order, a fill, a trade, a position or a signal's verdict, from the ledger alone."""

from __future__ import annotations

import shutil
import sys
from typing import Annotated

import typer

from hoox_tui.cli.options import Env, Feed, Json, LedgerFile, settings_for
from hoox_tui.cli.output import print_json, say
from hoox_tui.cli.problems import FAILED, Problem

app = typer.Typer()

WIDTH = 80
WIDEST = 110


@app.command()
def why(
    what: Annotated[
        str,
        typer.Argument(
            metavar="ORDER|FILL|TRADE|POSITION|SIGNAL|REQUEST|SEQ",
            help="An id: O12, O12.1, P3, a signal's, its key or SOURCE/KEY, a request's, an event's seq, a venue's"
            " number of an order. Where two could be meant: signal:tv/7, venue:812, seq:812.",
            show_default=False,
        ),
    ],
    env: Env = None,
    feed: Feed = None,
    ledger: LedgerFile = None,
    as_json: Json = False,
) -> None:
    """Why is it there? Who asked, what risk compared, what the market showed, what became of it. Needs no engine."""
    from msgspec import to_builtins

    from engine.ledger.why import why as explain
    from engine.views.why import lines

    path = settings_for(env, feed, ledger).ledger_path
    if not path.exists():
        raise Problem(f"there is no ledger at {path} yet; hoox starts one")
    answer = explain(path, what)
    if as_json:
        print_json(to_builtins(answer))
    else:
        width = min(shutil.get_terminal_size((WIDTH, 24)).columns, WIDEST) if sys.stdout.isatty() else WIDTH
        for line in lines(answer, max(width, WIDTH)):
            say(line.text)
    if answer.damaged:
        raise typer.Exit(FAILED)
