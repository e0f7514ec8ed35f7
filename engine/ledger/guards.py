"""What guards the truth: tables, triggers and indexes as they were made, and stamps as the engine's starts tell them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from functools import cache

from engine.core.state import State
from engine.ledger import schema

Made = dict[str, str]
"""`trigger events_are_never_updated` -> the statement that made it."""


def changed_guards(db: sqlite3.Connection) -> list[str]:
    """What of the schema is missing, changed or not ours, a line each."""
    right, found = _right(), _made(db)
    lines = [f"{name} is missing" for name in right if name not in found]
    lines += [f"{name} is not as it was made" for name in right if name in found and not _same(db, name, found[name])]
    return lines + [f"{name} is not one of the ledger's" for name in found if name not in right]


def wrong_stamps(meta: Mapping[str, str], state: State) -> list[str]:
    """Where env and feed are not those of the last engine start; a flat ledger may have been given another feed since."""
    told = {"env": state.env, "feed": state.feed} if state.positions or state.orders else {"env": state.env}
    return [
        f"{name} is {meta[name]!r} in meta, {value!r} by engine start {state.epoch}"
        for name, value in told.items()
        if value and name in meta and meta[name] != value
    ]


def _same(db: sqlite3.Connection, name: str, statement: str) -> bool:
    right = _right()[name]
    if statement == right:
        return True
    # The first ledgers took requests in twice; there the index only finds.
    return name == "index intents_by_request" and statement == right.replace("UNIQUE ", "") and _intents_repeat(db)


def _intents_repeat(db: sqlite3.Connection) -> bool:
    sql = f"SELECT 1 FROM events WHERE {schema.INTENTS} GROUP BY request_id HAVING count(*) > 1 LIMIT 1"  # noqa: S608  ours
    return db.execute(sql).fetchone() is not None


@cache
def _right() -> Made:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        schema.create(db, {})
        return _made(db)


def _made(db: sqlite3.Connection) -> Made:
    """All but what SQLite makes for itself."""
    rows = db.execute("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
    return {f"{kind} {name}": " ".join(str(sql).split()) for kind, name, sql in rows}
