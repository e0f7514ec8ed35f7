"""hoox ledger export: rows of the ledger as CSV, JSON lines or Parquet, for spreadsheets and other programs."""

from __future__ import annotations

import gc
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from hoox_tui.cli.options import Env, Feed, LedgerFile
from hoox_tui.cli.problems import Problem, note
from hoox_tui.cli.replay import existing


class What(StrEnum):
    """What there is to export."""

    EVENTS = "events"
    TRADES = "trades"
    ORDERS = "orders"
    FILLS = "fills"
    POSITIONS = "positions"
    EQUITY = "equity"


class Format(StrEnum):
    """How it is written."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


def export(
    what: Annotated[
        What, typer.Option("--what", help="Which rows; orders and positions by when they began.")
    ] = What.TRADES,
    form: Annotated[
        Format | None, typer.Option("--format", help="Else by the file's ending.", show_default="csv")
    ] = None,
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="From this time on, UTC.")] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Before this time, UTC.")] = None,
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="- prints.")] = "-",
    force: Annotated[bool, typer.Option("--force", help="Write over a file that exists.")] = False,
    env: Env = None,
    feed: Feed = None,
    ledger: LedgerFile = None,
) -> None:
    """Write rows of the ledger, also while its engine runs. Decimals are exact; what a spreadsheet would run is quoted in CSV."""
    from engine.ledger.export import TABLES, export_rows
    from engine.ledger.formats import FORMATS

    path = existing(env, feed, ledger)
    gc.enable()
    rows = export_rows(path, what, _time("--since", since, path), _time("--until", until, path))
    columns = TABLES[what].columns
    if output == "-":
        if form is Format.PARQUET and sys.stdout.isatty():
            raise Problem("Parquet is not for a terminal; name a file: -o FILE")
        FORMATS[form or Format.CSV](sys.stdout.buffer, columns, rows)
        sys.stdout.buffer.flush()
        return
    target = Path(output).expanduser().absolute()
    with _new_file(target, path, force) as file:
        count = FORMATS[form or _format_of(output)](file, columns, rows)
    note(f"{target}: {count:,} {what}")


def _format_of(output: str) -> Format:
    """By the file's ending, CSV without one; raises Problem where the ending promises something else."""
    ending = Path(output).suffix.removeprefix(".").lower()
    if ending and ending not in set(Format):
        raise Problem(f"{output}: .{ending} is none of {', '.join(Format)}; end it so, or say which with --format")
    return Format(ending) if ending else Format.CSV


def _time(flag: str, text: str | None, ledger: Path) -> int | None:
    """Nanoseconds; `-5m` is before the last event."""
    if text is None:
        return None
    from engine.ledger.query import read_rows
    from hoox_tui.moments import parse

    last = read_rows(ledger, "SELECT time_ns FROM events ORDER BY seq DESC LIMIT 1")
    try:
        time_ns = parse(text, last[0]["time_ns"] if last else 0).time_ns
    except (ValueError, OverflowError):
        time_ns = None
    if time_ns is None:
        raise Problem(f"{flag}: {text!r} is not a time; write 2026-11-20, 2026-11-20T19:05:30, 19:05 or -5m")
    return time_ns


@contextmanager
def _new_file(target: Path, ledger: Path, force: bool) -> Iterator[BinaryIO]:
    """A file that is there once it is whole, and not at all when it could not be written."""
    from engine.ledger.files import make_beside, move_new

    # What a link leads to is what is written, not the link.
    file, own = target.resolve(), ledger.resolve()
    if file.name.startswith(own.name) and file.parent == own.parent:
        raise Problem(f"{target} is the ledger's own; choose another name")
    if file.exists() and not file.is_file():
        raise Problem(f"{target} is no regular file; choose another name, or print with -o -")
    if os.path.lexists(target) and not force:
        raise Problem(f"{target} exists; choose another name, or write over it with --force")
    if not file.parent.is_dir():
        raise Problem(f"{target}: the folder does not exist; make it or choose another name")
    mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else None
    partial = make_beside(file, 0o666)
    try:
        if mode is not None:
            partial.chmod(mode)
        with partial.open("wb") as out:
            yield out
        partial.replace(file) if force else move_new(partial, file)
    finally:
        partial.unlink(missing_ok=True)
