"""Ledgers of earlier versions brought to today's schema. Events stay as they are, upcast.py reads the old ones; what is made
from them is made anew."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path

from engine.ledger import schema
from engine.ledger.backup import backup
from engine.ledger.errors import LedgerBroken
from engine.ledger.head import read_head
from engine.ledger.rebuild import ProjectionTables
from engine.ledger.replay import verified_events

log = logging.getLogger(__name__)


def migrate(path: Path, db: sqlite3.Connection) -> Path | None:
    """Bring a file of an earlier schema to today's in one transaction; None where there is nothing to do.

    The file as it was is kept beside it, verified, and its path returned. Raises LedgerFull where there is no room for it,
    LedgerBroken where its events are damaged; the file is then as it was.
    """
    version = schema.version_of(path, schema.read_meta(db))
    if version == schema.SCHEMA_VERSION:
        return None
    log.warning(
        "bringing %s from schema %d to %d, a verified copy first: about a minute for each million events",
        path,
        version,
        schema.SCHEMA_VERSION,
    )
    kept = _keep(path, version)
    db.execute("BEGIN IMMEDIATE")
    try:
        for at in range(version, schema.SCHEMA_VERSION):
            STEPS[at](db)
        _make_derived(db)
        db.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (str(schema.SCHEMA_VERSION),))
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return kept


def _keep(path: Path, version: int) -> Path:
    """A verified copy; one that a start which did not get further made of the same events is used again."""
    head, number = read_head(path), 1
    while (copy := path.with_name(f"{path.name}.schema-{version}-{number}")).exists():
        try:
            if head is not None and read_head(copy) == head:
                return copy
        except LedgerBroken:
            pass
        number += 1
    backup(path, copy)
    return copy


def _make_derived(db: sqlite3.Connection) -> None:
    """Projections and indexes of today, made from the events; old snapshots are not today's bytes and go."""
    tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for name in {name for (name,) in tables} - {"meta", "events"}:
        db.execute(f'DROP TABLE "{name}"')
    for statement in (schema.SNAPSHOTS, *schema.PROJECTIONS.values(), *schema.INDEXES):
        db.execute(statement)
    made = ProjectionTables(db)
    for event, _ in verified_events(db):
        made.add(event)
    made.flush()


def _to_2(db: sqlite3.Connection) -> None:
    """Requests are found by an index, and signals by another; the first ledgers had none."""
    schema.index_intents(db)
    db.execute(schema.SIGNALS_ONCE)


STEPS: dict[int, Callable[[sqlite3.Connection], None]] = {1: _to_2}
"""Schema version -> the step of `meta` and `events` to the next one; the rest is made anew after the last step. A step is
never changed once there are ledgers it made."""
