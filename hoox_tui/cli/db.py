"""hoox db query: SQL of your own over the ledger, which it cannot change."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Annotated, Any

import typer

from hoox_tui.cli.options import Env, Feed, Json, LedgerFile, settings_for
from hoox_tui.cli.output import print_csv, print_json, print_table
from hoox_tui.cli.problems import Problem, Stopped, note

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
    """Run one reading statement: 5 seconds, 100,000 rows and 32 MB at most; blobs are hex. Tables: trades, orders, fills, positions, balances, events ..."""
    from engine.ledger.query import run_query

    path = settings_for(env, feed, ledger).ledger_path
    if not path.exists():
        raise Problem(f"there is no ledger at {path} yet; hoox starts one")
    try:
        result = run_query(path, sql)
    except KeyboardInterrupt:
        raise Stopped("the query was stopped by Ctrl-C") from None
    rows = [[value.hex() if isinstance(value, bytes) else value for value in row] for row in result.rows]
    if as_json:
        names = _unlike(result.columns)
        print_json([dict(zip(names, map(_finite, row), strict=True)) for row in rows])
    elif as_csv:
        print_csv(result.columns, rows)
    else:
        print_table(result.columns, rows)
    if result.truncated:
        note(f"cut after {len(rows):,} rows; add a LIMIT")


def _unlike(names: Sequence[str]) -> list[str]:
    """A name for each column: `id`, `id_2` where there are two of it."""
    found: list[str] = []
    for name in names:
        own, number = name, 1
        while own in found or (number > 1 and own in names):
            number += 1
            own = f"{name}_{number}"
        found.append(own)
    return found


def _finite(value: Any) -> Any:
    # JSON knows neither infinity nor what is not a number.
    return None if isinstance(value, float) and not isfinite(value) else value
