"""Output of commands: a plain table for people, JSON or CSV for programs. Unknown values are a dash, never 0."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer


def print_json(data: Any) -> None:
    """Indented JSON; what JSON does not know is written as text."""
    typer.echo(json.dumps(data, indent=2, default=str, ensure_ascii=False))


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """CSV with a header."""
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
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


def when(time_ns: int) -> str:
    """A UTC time for people."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _text(value: Any) -> str:
    return "–" if value is None or value == "" else str(value)


def _is_number(text: str) -> bool:
    if text == "–":
        return True
    try:
        float(text.rstrip("%").replace(",", ""))
    except ValueError:
        return False
    return True
