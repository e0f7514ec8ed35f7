"""SQLite's own check of its pages, told in the names of the ledger's tables."""

from __future__ import annotations

import re
import sqlite3
from typing import NamedTuple

from engine.ledger.errors import unless_hindered

_TREE = re.compile(r"[Tt]ree (?:page )?(\d+)")
_NAMED = re.compile(r"(?:index|table|in|from) (\w+)$")
_MOST = 20


class Damage(NamedTuple):
    """One finding and SQLite's words, which name the page; `part` is a table, `pages` where no table can be named, or
    `file` where nothing can be read."""

    part: str
    text: str


def find_damage(db: sqlite3.Connection) -> list[Damage]:
    """What PRAGMA integrity_check finds, 20 lines at most; empty when every page is sound. Reads the whole file.

    Raises LedgerError where it cannot, for no fault of the file's.
    """
    try:
        tables = _tables_by_root(db)
    except sqlite3.DatabaseError as error:
        unless_hindered(error)
        return [Damage("file", f"the pages cannot be read: {error}")]
    try:
        texts = _check(db, _MOST)
    except sqlite3.DatabaseError as error:
        unless_hindered(error)
        return _check_each(db, sorted(set(tables.values())))
    found = [Damage(_part(text, tables), text) for text in texts if text != "ok" and not text.startswith("***")]
    # Pages that a broken table no longer reaches count as unused: an echo of the damage already named.
    echoes = [damage for damage in found if damage.text.endswith("never used")]
    return [damage for damage in found if damage not in echoes] or echoes


def _check(db: sqlite3.Connection, what: int | str) -> list[str]:
    return [line for (text,) in db.execute(f"PRAGMA integrity_check({what})") for line in str(text).splitlines()]


def _check_each(db: sqlite3.Connection, tables: list[str]) -> list[Damage]:
    found: list[Damage] = []
    for table in tables:
        try:
            found.extend(Damage(table, text) for text in _check(db, table) if text != "ok")
        except sqlite3.DatabaseError as error:
            unless_hindered(error)
            found.append(Damage(table, f"its pages cannot be read: {error}"))
    return found


def _tables_by_root(db: sqlite3.Connection) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, table, root in db.execute("SELECT name, tbl_name, rootpage FROM sqlite_master"):
        found[str(name)] = found[str(root)] = str(table)
    return found


def _part(text: str, tables: dict[str, str]) -> str:
    match = _TREE.search(text) or _NAMED.search(text)
    return tables.get(match.group(1), "pages") if match else "pages"
