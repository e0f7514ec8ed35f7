"""A copy of a ledger, made while its engine runs, and proved before it counts."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from engine.ledger import schema
from engine.ledger.chain import GENESIS
from engine.ledger.errors import LedgerBroken, LedgerError, ledger_error
from engine.ledger.files import companions, make_beside, move_new, remove_database, sync_folder
from engine.ledger.head import Head, HeadFile, compare_head, head_path, readable_head
from engine.ledger.replay import connect_readonly
from engine.ledger.verify import Report, verify

_OF_THE_SOURCE = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_NO_HEAD = "the ledger had no HEAD that could be read, so a cut tail cannot be ruled out"


def backup(path: Path, target: Path) -> Report:
    """Copy the ledger to `target` with a HEAD of its own, and verify the copy.

    Raises LedgerError when target exists or cannot be written, LedgerBroken (and leaves no copy) when it does not verify or
    lacks events that the HEAD of `path` knows.
    """
    for name in (target, head_path(target), *companions(target)):
        if os.path.lexists(name):
            raise LedgerError(f"{name} exists; a backup overwrites nothing, choose another name")
    if not target.parent.is_dir():
        raise LedgerError(f"{target}: the folder does not exist; make it or choose another name")
    known = readable_head(path)
    with closing(connect_readonly(path)) as source:
        try:
            schema.check_application(path, source)
        except sqlite3.Error as error:
            raise ledger_error(path, error) from error
        try:
            report = _copied(path, source, known, target)
        except OSError as error:
            raise ledger_error(target, error) from error
    return report if known is not None or not report.events else report._replace(note=_NO_HEAD)


def _copied(path: Path, source: sqlite3.Connection, known: Head | None, target: Path) -> Report:
    partial = make_beside(target)
    try:
        with closing(sqlite3.connect(partial, isolation_level=None)) as copy:
            try:
                source.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")
            except sqlite3.Error as error:
                reading = getattr(error, "sqlite_errorcode", 0) & 0xFF in _OF_THE_SOURCE
                raise ledger_error(path if reading else target, error) from error
            row = copy.execute("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
            compare_head(copy, known)
        _write_head(partial, Head(*row) if row else Head(0, GENESIS))
        report = verify(partial)
        if not report.ok:
            raise LedgerBroken("backup", f"no copy of {path} is kept: {'; '.join(report.lines)}")
        move_new(head_path(partial), head_path(target))
        try:
            move_new(partial, target)
        except BaseException:
            head_path(target).unlink()
            raise
        sync_folder(target.parent)
    except sqlite3.Error as error:
        raise ledger_error(path, error) from error
    finally:
        remove_database(partial)
        head_path(partial).unlink(missing_ok=True)
    return report


def _write_head(ledger: Path, head: Head) -> None:
    file = HeadFile(ledger)
    try:
        file.write(head)
        file.sync()
    finally:
        file.close()
