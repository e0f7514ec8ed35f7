"""Projections made anew from the events."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from engine.ledger import schema
from engine.ledger.errors import ledger_error
from engine.ledger.lock import FileLock
from engine.ledger.projections import Projector
from engine.ledger.replay import connect_readonly, verified_events
from engine.ledger.snapshots import good_snapshots, write_snapshot
from engine.model.event import Event

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


def rebuild_projections(path: Path) -> Path:
    """Put every projection right: events and good snapshots are copied to a new file, whose projections are made anew.

    The old file stays beside it; its path is returned. Works however badly a projection's pages are damaged, and brings
    a file of an earlier schema to today's. Raises LedgerBroken when the events themselves are damaged, LedgerBusy while an
    engine runs.
    """
    path = path.resolve()
    lock = FileLock(path)
    try:
        lock.describe(f"pid {os.getpid()}, rebuilding the projections")
        made = path.with_name(path.name + ".rebuild")
        made.unlink(missing_ok=True)
        with closing(connect_readonly(path)) as old, closing(sqlite3.connect(made, isolation_level=None)) as new:
            _copy(path, old, new)
        return _exchange(path, made)
    except sqlite3.Error as error:
        raise ledger_error(path, error) from error
    finally:
        lock.release()


def _copy(path: Path, old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    meta = schema.read_meta(old)
    version = schema.version_of(path, meta)
    meta["schema"] = str(schema.SCHEMA_VERSION)
    schema.create(new, meta)
    new.execute("BEGIN")
    tables = ProjectionTables(new)
    rows: list[schema.Row] = []
    for event, row in verified_events(old):
        tables.add(event)
        rows.append(row)
        if len(rows) >= _BATCH:
            schema.insert_rows(new, "events", rows)
            rows.clear()
    schema.insert_rows(new, "events", rows)
    tables.flush()
    if version == schema.SCHEMA_VERSION:
        for snapshot in reversed(list(good_snapshots(old, []))):
            write_snapshot(new, snapshot.seq, snapshot.data)
    new.execute("COMMIT")


def _exchange(path: Path, made: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    # The old file's log must not lie beside the new one: SQLite would replay it into the wrong database.
    for suffix in ("-wal", "-shm"):
        log = path.with_name(path.name + suffix)
        if log.exists():
            log.replace(aside.with_name(aside.name + suffix))
    os.link(path, aside)
    made.replace(path)
    return aside
