"""Files of exported rows: CSV, JSON lines, Parquet. Each writer takes the rows as they come and keeps none."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from typing import Any, BinaryIO

import msgspec

from engine.ledger.errors import LedgerError
from engine.ledger.export import TEXT, WHOLE, Column
from engine.ledger.schema import Row

Write = Callable[[BinaryIO, Sequence[Column], Iterable[list[Row]]], int]
"""Writes rows of these columns to a file; returns how many."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_csv(file: BinaryIO, columns: Sequence[Column], chunks: Iterable[list[Row]]) -> int:
    """With a header; words that a spreadsheet would take for a formula are written behind a quote mark."""
    words = [at for at, column in enumerate(columns) if column.kind is TEXT]
    count = 0
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=False)
    try:
        out = csv.writer(text, lineterminator="\n")
        out.writerow([column.name for column in columns])
        for chunk in chunks:
            out.writerows(_harmless(row, words) for row in chunk)
            count += len(chunk)
        text.flush()
    finally:
        text.detach()
    return count


def _harmless(row: Row, words: Sequence[int]) -> Sequence[Any]:
    if not any(row[at] and row[at].startswith(_FORMULA) for at in words):
        return row
    cells = list(row)
    for at in words:
        if cells[at] and cells[at].startswith(_FORMULA):
            cells[at] = "'" + cells[at]
    return cells


def write_jsonl(file: BinaryIO, columns: Sequence[Column], chunks: Iterable[list[Row]]) -> int:
    """One object a line; an event's payload is an object in it."""
    names = [column.name for column in columns]
    payload = names.index("payload") if "payload" in names else None
    encode, count = msgspec.json.Encoder().encode, 0
    for chunk in chunks:
        lines = []
        for row in chunk:
            fields = dict(zip(names, row, strict=True))
            if payload is not None:
                fields["payload"] = msgspec.Raw(row[payload].encode())
            lines.append(encode(fields))
        file.write(b"\n".join(lines) + b"\n")
        count += len(chunk)
    return count


def write_parquet(file: BinaryIO, columns: Sequence[Column], chunks: Iterable[list[Row]]) -> int:
    """Whole numbers are int64, decimals and words are strings: no decimal is rounded. Raises LedgerError without pyarrow."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise LedgerError("Parquet needs pyarrow, which is not installed: pip install 'hoox-tui[parquet]'") from None
    kinds = [pyarrow.int64() if column.kind is WHOLE else pyarrow.string() for column in columns]
    shape = pyarrow.schema([pyarrow.field(column.name, kind) for column, kind in zip(columns, kinds, strict=True)])
    count = 0
    with closing(parquet.ParquetWriter(file, shape)) as out:
        for chunk in chunks:
            cells = [pyarrow.array(cell, kind) for cell, kind in zip(zip(*chunk, strict=True), kinds, strict=True)]
            out.write_table(pyarrow.Table.from_arrays(cells, schema=shape))
            count += len(chunk)
    return count


FORMATS: dict[str, Write] = {"csv": write_csv, "jsonl": write_jsonl, "parquet": write_parquet}
