"""hoox db query: SQL of your own over the ledger, which it cannot change."""

from __future__ import annotations

from typing import Annotated

import typer

from hoox_tui.cli.options import Env, Feed, Json, LedgerFile, settings_for
from hoox_tui.cli.output import print_csv, print_json, print_table
from hoox_tui.cli.problems import Problem, note

app = typer.Typer(help="SQL over the ledger, read-only.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """SQL over the ledger, read-only."""


@app.command()
def query(
    sql: Annotated[str, typer.Argument(help="One SELECT.")],
    env: Env = None,
    feed: Feed = None,
    ledger: LedgerFile = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Run one reading statement: 5 seconds and 100,000 rows at most. Tables: trades, orders, fills, positions, balances, events ..."""
    from engine.ledger.query import run_query

    path = settings_for(env, feed, ledger).ledger_path
    if not path.exists():
        raise Problem(f"there is no ledger at {path} yet; hoox starts one")
    result = run_query(path, sql)
    if as_json:
        print_json([dict(zip(result.columns, row, strict=True)) for row in result.rows])
    elif as_csv:
        print_csv(result.columns, result.rows)
    else:
        print_table(result.columns, result.rows)
    if result.truncated:
        note(f"cut after {len(result.rows):,} rows; add a LIMIT")
