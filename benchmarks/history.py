"""Long ledgers to measure on, made once for each length in the system's folder for temporary files and used again."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from engine.core.fold import fold
from engine.core.state import State
from engine.ledger import schema
from engine.ledger.store import Ledger
from engine.model.event import Event
from tests.ledger_events import START_NS, Story

_CHUNK = 10_000
_SMALL = 100_000
_TABLES = ("events", "trades", "orders", "fills", "equity")
_MOVED = {
    "seq": f"seq + :copy * {_SMALL}",
    "time_ns": f"time_ns + :copy * {_SMALL} * 1000000",
    "created_at": f"strftime('%Y-%m-%d %H:%M:%f', created_at, '+' || (:copy * {_SMALL // 1000}) || ' seconds')",
    "id": f"'o-' || (substr(id, 3) + :copy * {_SMALL // 6})",
    "request_id": "iif(request_id = '', '', request_id || '-' || :copy)",
}
"""How a copied row is made another one."""


def events() -> Iterator[Event]:
    """An opening, and then round trips without end."""
    story = Story()
    yield from story.opening()
    while True:
        yield from story.round_trip()


def ledger_of(count: int) -> Path:
    """A ledger of `count` events and one snapshot near its end."""
    path = _named("ledger", count)
    if _made(path):
        return path
    state, stream = State(), events()
    with closing(open_at(path)) as ledger:
        for at in range(0, count, _CHUNK):
            chunk = list(islice(stream, min(_CHUNK, count - at)))
            ledger.append(chunk)
            for event in chunk:
                fold(state, event)
            if at < count - _CHUNK <= at + _CHUNK:
                ledger.snapshot(state)
    _tell_made(path)
    return path


def open_at(path: Path) -> Ledger:
    """The benchmark's ledger, without a reserve."""
    return Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)


def pages_of(count: int) -> Path:
    """A file of `count` events to page through: those of a small ledger over and over, so its chain does not hold."""
    path = _named("pages", count)
    if _made(path):
        return path
    small = ledger_of(_SMALL)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        with closing(sqlite3.connect(small)) as source:
            source.backup(db)
        db.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; DELETE FROM snapshots; BEGIN")
        columns = {table: [row[1] for row in db.execute(f"PRAGMA table_info({table})")] for table in _TABLES}
        db.execute("ATTACH ? AS small", (str(small),))
        for copy in range(1, count // _SMALL):
            for table, names in columns.items():
                values = ", ".join(_MOVED.get(name, name) for name in names)
                db.execute(f"INSERT INTO main.{table} SELECT {values} FROM small.{table}", {"copy": copy})  # noqa: S608  ours
        db.execute("COMMIT")
    _tell_made(path)
    return path


def _named(what: str, count: int) -> Path:
    return Path(tempfile.gettempdir()) / f"hoox-bench-{what}-{count}-schema-{schema.SCHEMA_VERSION}.sqlite"


def _made(path: Path) -> bool:
    """It is there and whole; what is not is removed."""
    if not path.with_name(path.name + ".made").exists():
        for leftover in path.parent.glob(path.name + "*"):
            leftover.unlink()
        return False
    return True


def _tell_made(path: Path) -> None:
    path.with_name(path.name + ".made").touch()
