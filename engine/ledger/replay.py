"""Reading events back: every hash verified, every payload decoded, folded in order."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from engine.core.fold import fold
from engine.core.state import State
from engine.ledger.chain import GENESIS, event_of, link
from engine.ledger.errors import LedgerBroken, LedgerError, unless_hindered
from engine.ledger.head import compare_head, readable_head
from engine.model.event import EVENT_VERSION, Event

EVENTS_AFTER = """SELECT seq, time_ns, type, version, account, venue, instrument, owner, request_id, causation, epoch,
    payload, hash FROM events WHERE seq > ? ORDER BY seq"""
_PAGE = f"{EVENTS_AFTER} LIMIT ?"
_PAGE_EVENTS = 5_000

_NOT_OPENED = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_AUTH}

StoredEvent = tuple[Any, ...]
"""The columns of an event as they are stored, and its hash."""


def is_alone(path: Path) -> bool:
    """Whether a ledger is read from its file only: what is written later does not show on a connection made now.

    Beside a file in WAL mode SQLite makes others. In a folder where it may not, and nobody writes, there is only the file.
    """
    file = path.resolve()
    log = Path(f"{file}-wal")
    return not os.access(file.parent, os.W_OK) and not (log.exists() and log.stat().st_size)


def readonly_uri(path: Path) -> str:
    """How SQLite is told to open a ledger for reading."""
    return f"{path.resolve().as_uri()}?{'mode=ro&immutable=1' if is_alone(path) else 'mode=ro'}"


def connect_readonly(path: Path) -> sqlite3.Connection:
    """A connection that cannot write; raises LedgerError where there is no file, or none that can be opened."""
    if not path.is_file():
        raise LedgerError(f"there is no ledger at {path}")
    try:
        db = sqlite3.connect(readonly_uri(path), uri=True, isolation_level=None)
    except sqlite3.OperationalError as error:
        raise _not_opened(path, error) from None
    try:
        db.execute("PRAGMA schema_version").fetchone()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NOT_OPENED:
            db.close()
            raise _not_opened(path, error) from None
        # Whatever else is wrong with it, who reads it says.
    return db


def _not_opened(path: Path, error: sqlite3.Error) -> LedgerError:
    return LedgerError(
        f"{path} cannot be opened ({error}); check the permissions of the file and its folder, or copy it with its -wal to"
        " a folder that may be written"
    )


def verified_events(
    db: sqlite3.Connection, after: int = 0, previous: bytes = GENESIS
) -> Iterator[tuple[Event, StoredEvent]]:
    """(event, its row) for every seq above `after`, whose hash is `previous`; raises LedgerBroken at the first that is not
    what was written, LedgerError where something else than the file keeps it from being read. Ends with what there was when
    it began, or soon after. Events of earlier versions are read as today's; their rows are as they are stored."""
    seq = after
    try:
        last: int = db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
        while seq < last:
            # A page is a read of its own, unless the caller holds one: a long read keeps the log of a writer from ending.
            page = seq
            for row in db.execute(_PAGE, (page, _PAGE_EVENTS)):
                seq += 1
                columns = row[:12]
                previous = link(previous, columns)
                if previous != row[12] or row[0] != seq:
                    raise _changed(seq, row[0])
                if row[3] > EVENT_VERSION:
                    raise LedgerBroken(
                        "events", f"event {seq} has version {row[3]}, newer than this program knows", seq
                    )
                yield event_of(columns), row
            if seq == page:
                raise LedgerBroken(
                    "events", f"event {seq + 1} cannot be reached, though the last one is {last}", seq + 1
                )
    except sqlite3.DatabaseError as error:
        unless_hindered(error)
        raise LedgerBroken("events", f"event {seq + 1} cannot be read: {error}", seq + 1) from None
    except msgspec.MsgspecError as error:
        raise LedgerBroken("events", f"event {seq} cannot be decoded: {error}", seq) from None


def _changed(expected: int, found: int) -> LedgerBroken:
    if found != expected:
        return LedgerBroken("events", f"event {expected} is missing: the next one is {found}", expected)
    return LedgerBroken("events", f"event {expected} was changed: its hash does not match", expected)


def fold_verified(state: State, event: Event) -> None:
    """fold, with a refusal named for the ledger it came from."""
    try:
        fold(state, event)
    except (KeyError, RuntimeError, ValueError) as error:
        raise LedgerBroken("events", f"event {event.seq} ({event.type}) does not fit: {error}", event.seq) from error


def replay(path: Path, until_seq: int | None = None, until_ns: int | None = None) -> State:
    """Recorded state after `until_seq`, or up to the first event later than `until_ns`, folded from the first event on.

    Raises LedgerBroken with the seq that cannot be trusted, one that is missing at the end too; replaying until the one
    before it still works.
    """
    state, head = State(), readable_head(path)
    with closing(connect_readonly(path)) as db:
        for event, _ in verified_events(db):
            if until_ns is not None and event.time_ns > until_ns:
                break
            fold_verified(state, event)
            if event.seq == until_seq:
                break
        else:
            compare_head(db, head)
    return state
