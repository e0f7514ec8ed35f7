"""SQLite's own check of its pages, told in the names of the ledger's tables."""

from __future__ import annotations

import re
import sqlite3
from typing import NamedTuple

_TREE = re.compile(r"[Tt]ree (?:page )?(\d+)")
_NAMED = re.compile(r"(?:index|table|in|from) (\w+)$")
_MOST = 20


class Damage(NamedTuple):
    """One finding: the table it is in (`file` where SQLite cannot say) and SQLite's words, which name the page."""

    part: str
    text: str


def find_damage(db: sqlite3.Connection) -> list[Damage]:
    """What PRAGMA integrity_check finds, 20 lines at most; empty when every page is sound. Reads the whole file."""
    try:
        lines = [str(row[0]) for row in db.execute(f"PRAGMA integrity_check({_MOST})")]
        tables = _tables_by_root(db)
    except sqlite3.DatabaseError as error:
        return [Damage("file", f"the pages cannot be read: {error}")]
    return [
        Damage(_part(text, tables), text)
        for line in lines
        if line != "ok"
        for text in line.splitlines()
        if not text.startswith("***")
    ]


def _tables_by_root(db: sqlite3.Connection) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, table, root in db.execute("SELECT name, tbl_name, rootpage FROM sqlite_master"):
        found[str(name)] = found[str(root)] = str(table)
    return found


def _part(text: str, tables: dict[str, str]) -> str:
    match = _TREE.search(text) or _NAMED.search(text)
    return tables.get(match.group(1), "file") if match else "file"
