"""Output of commands: a plain table for people, JSON or CSV for programs. Unknown values are a dash, never 0."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from shutil import get_terminal_size
from typing import Any

import typer

from hoox_tui.cli.problems import cleaned

_UNUSUAL = re.compile(r"[^\n -~]")


def say(line: str) -> None:
    """A line whose words may be a venue's or a sender's."""
    typer.echo(cleaned(line))


def print_json(data: Any) -> None:
    """Indented JSON; what JSON does not know is written as text, and what a terminal would obey as an escape."""
    text = json.dumps(data, indent=2, default=str, ensure_ascii=False)
    typer.echo(_UNUSUAL.sub(lambda c: c[0] if c[0].isprintable() else json.dumps(c[0])[1:-1], text))


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """CSV with a header; exact for a program, without control characters on a terminal."""
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    if sys.stdout.isatty():
        rows = ([cleaned(value) if isinstance(value, str) else value for value in row] for row in rows)
    writer.writerows(rows)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Columns padded to their widest cell, numbers to the right."""
    cells = [[_text(value) for value in row] for row in rows]
    right = [all(_is_number(row[at]) for row in cells) and bool(cells) for at in range(len(columns))]
    widths = [max([len(name), *(len(row[at]) for row in cells)]) for at, name in enumerate(columns)]
    for line in (list(columns), *cells):
        padded = (
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(line, widths, right, strict=True)
        )
        typer.echo("  ".join(padded).rstrip())


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, nothing: str) -> None:
    """Chosen fields of rows as a table; `columns` maps a field to its heading."""
    if rows:
        print_table(list(columns.values()), [[row.get(field) for field in columns] for row in rows])
    else:
        typer.echo(nothing)


def terminal_width() -> int | None:
    """Columns of the terminal that is printed to; None for a file or a pipe, which has room for everything."""
    return get_terminal_size().columns if sys.stdout.isatty() else None


def room_for(field: str, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], width: int) -> int:
    """How wide a column may be so that its table is no wider than that."""
    others = [
        max([len(name), *(len(_text(row.get(other))) for row in rows)])
        for other, name in columns.items()
        if other != field
    ]
    return width - sum(others) - 2 * len(others)


def cut(text: str, width: int) -> str:
    """No longer than that."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def when(time_ns: int) -> str:
    """A UTC time for people."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _text(value: Any) -> str:
    return "–" if value is None or value == "" else cleaned(str(value))


def _is_number(text: str) -> bool:
    if text == "–":
        return True
    try:
        float(text.rstrip("%").replace(",", ""))
    except ValueError:
        return False
    return True
