"""Projections made anew from the events."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from engine.ledger import schema
from engine.ledger.errors import LedgerError, ledger_error
from engine.ledger.files import companions, make_new, remove_database, sync_folder
from engine.ledger.head import compare_head, readable_head
from engine.ledger.lock import FileLock
from engine.ledger.projections import Projector
from engine.ledger.replay import verified_events
from engine.ledger.snapshots import good_snapshots, write_snapshot
from engine.model.event import EngineStarted, Event

_BATCH = 5_000


class ProjectionTables:
    """Projections of a database that has the tables, filled by adding events in order."""

    def __init__(self, db: sqlite3.Connection) -> None:
        """Start with empty tables."""
        self._db = db
        self._projector = Projector(schema.StoredRows(db))
        self._waiting = 0

    def add(self, event: Event) -> None:
        """Take the next event."""
        self._projector.add(event)
        self._waiting += 1
        if self._waiting >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what was collected."""
        schema.write_projections(self._db, *self._projector.take())
        self._waiting = 0


def rebuild_projections(path: Path, kept_as: str = "damaged") -> Path:
    """Put every projection right: events and good snapshots are copied to a new file, whose projections are made anew.

    The old file stays beside it, with `kept_as` and a number in its name; its path is returned. Works however badly a
    projection's pages are damaged, and brings a file of an earlier schema to today's. Raises LedgerBroken when the events themselves are damaged or fewer than HEAD
    knows, LedgerBusy while an engine runs, LedgerLocked while another program has it open. Nothing is changed then.
    """
    path = path.resolve()
    if not path.is_file():
        raise LedgerError(f"there is no ledger at {path}")
    lock = FileLock(path)
    made = path.with_name(path.name + ".rebuild")
    try:
        lock.describe(f"pid {os.getpid()}, rebuilding the projections")
        with closing(sqlite3.connect(path, isolation_level=None)) as old:
            schema.check_application(path, old)
            _hold(old)
            remove_database(made)
            make_new(made)
            with closing(sqlite3.connect(made, isolation_level=None)) as new:
                _copy(path, old, new)
            return _exchange(path, made, kept_as)
    except (sqlite3.Error, OSError) as error:
        raise ledger_error(path, error) from error
    finally:
        remove_database(made)
        lock.release()


def _hold(db: sqlite3.Connection) -> None:
    """Bring what is in the log into the file, which then has none that could be lost, and keep everybody out of it."""
    db.execute("PRAGMA journal_mode = DELETE")
    db.execute("BEGIN EXCLUSIVE")


def _copy(path: Path, old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    head, meta = readable_head(path), schema.read_meta(old)
    version = schema.version_of(path, meta)
    meta["schema"] = str(schema.SCHEMA_VERSION)
    schema.create(new, meta)
    new.execute("BEGIN")
    # The first ledgers took requests in twice: what kind of index it is, the events decide.
    new.execute("DROP INDEX intents_by_request")
    tables = ProjectionTables(new)
    rows: list[schema.Row] = []
    stamps: list[tuple[str, str]] = []
    for event, row in verified_events(old):
        tables.add(event)
        if isinstance(event.body, EngineStarted):
            # An engine's start is in the chain, its stamp could be changed by anybody.
            stamps = [("env", event.body.env), ("feed", event.body.feed)]
        rows.append(row)
        if len(rows) >= _BATCH:
            schema.insert_rows(new, "events", rows)
            rows.clear()
    schema.insert_rows(new, "events", rows)
    compare_head(new, head)
    new.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", stamps)
    schema.index_intents(new)
    tables.flush()
    if version == schema.SCHEMA_VERSION:
        for snapshot in reversed(list(good_snapshots(old, []))):
            write_snapshot(new, snapshot.seq, snapshot.data)
    new.execute("COMMIT")


def _exchange(path: Path, made: Path, kept_as: str) -> Path:
    number = 1
    while _taken(aside := path.with_name(f"{path.name}.{kept_as}-{number}")):
        number += 1
    # Whatever the moment of a crash, `path` is one of the two, whole.
    os.link(path, aside)
    sync_folder(path.parent)
    made.replace(path)
    sync_folder(path.parent)
    return aside


def _taken(name: Path) -> bool:
    # A log without its file is evidence of an exchange that went wrong, and would be replayed into the next file of its name.
    return any(os.path.lexists(file) for file in (name, *companions(name)))
