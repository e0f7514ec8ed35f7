"""What can go wrong with a ledger; every message says which file, what was found and what to do."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from tempfile import TemporaryFile

_ROOM = 64 * 1024
"""Bytes; where there is not even room for these, a failed write counts as a full disk."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_HINDRANCES = {
    sqlite3.SQLITE_BUSY: "another program has it locked; close that",
    sqlite3.SQLITE_LOCKED: "another program has it locked; close that",
    sqlite3.SQLITE_FULL: "SQLite's temporary files have no room; make some, or set SQLITE_TMPDIR to a folder that has",
    sqlite3.SQLITE_NOMEM: "there is not enough memory",
}
"""What keeps a file from being read, and says nothing about what is in it."""


class LedgerError(RuntimeError):
    """The ledger cannot do what was asked; nothing was half-written."""


class LedgerBusy(LedgerError):
    """Another engine holds the ledger; `holder` says which."""

    def __init__(self, path: str, holder: str) -> None:
        super().__init__(
            f"{path} is held by {holder}; stop that engine, attach to it, or choose another file with --ledger"
        )
        self.holder = holder


class NoFile(LedgerError):
    """There is a folder or a device of that name."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is no file; choose another one with --ledger")


class WrongEnvironment(LedgerError):
    """The file belongs to another environment."""

    def __init__(self, path: str, stamped: str, asked: str) -> None:
        super().__init__(
            f"{path} is a ledger of env {stamped!r}, not {asked!r}; start with --env {stamped} or choose another file with --ledger"
        )


class WrongExecution(LedgerError):
    """Who carries out an account's orders never changes."""

    def __init__(self, name: str, *, rehearses: bool) -> None:
        super().__init__(
            f"{name} rehearses: its orders go to an exchange; start it with --rehearse"
            if rehearses
            else f"rehearse: {name} trades on paper; choose a new file with --ledger"
        )


class WrongFeed(LedgerError):
    """The file's open positions or orders were made on another feed's prices."""

    def __init__(self, path: str, stamped: str, asked: str, open_count: int) -> None:
        super().__init__(
            f"{path} has {open_count} open positions and orders on feed {stamped!r}, not {asked!r};"
            f" start with --feed {stamped} and close them, or choose another file with --ledger"
        )


class LedgerBroken(LedgerError):
    """What is stored is not what was written. `part` is meta, events, HEAD, file or a projection's table name;
    `seq` is the first event that cannot be trusted, None where the events are not concerned."""

    def __init__(self, part: str, message: str, seq: int | None = None) -> None:
        super().__init__(f"{part}: {message}")
        self.part = part
        self.seq = seq


def missing(seq: int) -> LedgerBroken:
    """An event is not there, though later ones are."""
    return LedgerBroken("events", f"event {seq} is missing; hoox ledger verify says more", seq)


def number_in(value: object, seq: int) -> int:
    """A number that an event has; raises LedgerBroken where the event is missing, or it is none."""
    if value is None:
        raise missing(seq)
    if not isinstance(value, int):
        raise LedgerBroken("events", f"event {seq} was changed: it has {value!r} for a number", seq)
    return value


class LedgerFull(LedgerError):
    """No room on the disk; free_reserve() makes some, for exits."""


class LedgerReadOnly(LedgerError):
    """The file or its folder may not be written."""


class LedgerLocked(LedgerError):
    """Another program writes to the file at the moment; the same commit may be tried again."""


class QueryRefused(LedgerError):
    """A user's statement was not run, or stopped; the message is the reason."""


def unless_hindered(error: Exception) -> None:
    """Before damage is told: raises LedgerError where it is not the file that an error speaks of."""
    hindrance = _HINDRANCES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    if hindrance is not None:
        raise LedgerError(f"the ledger cannot be read to its end ({error}): {hindrance}") from error


def ledger_error(path: Path, error: sqlite3.Error | OSError) -> LedgerError:
    """The ledger's name for what SQLite or the system reports about its files."""
    if isinstance(error, OSError):
        readonly, full = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS), error.errno in _FULL
    else:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        # Our own statements are an error only where a table is not as it was made.
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
            return LedgerBroken("file", f"{path}: {error}; hoox ledger verify says where")
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return LedgerLocked(f"{path} is locked by another program; close it")
        if code == sqlite3.SQLITE_CONSTRAINT and "events.seq" in str(error):
            # Its lock was removed, or could not be seen from there.
            return LedgerError(f"{path}: another engine wrote to it, too; stop both, and start one")
        readonly = code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)
        # Some calls report a full disk as a failed write, and all of them a used up quota.
        full = code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and not _has_room(path.parent))
    if readonly:
        return LedgerReadOnly(f"{path} may not be written ({error}); check the file's and the folder's permissions")
    if full:
        return LedgerFull(f"{path}: the disk is full, or a quota used up; free some room")
    return LedgerError(f"{path}: {error}")


def _has_room(folder: Path) -> bool:
    """Tried rather than asked for: what a file system has free says nothing of a quota."""
    try:
        with TemporaryFile(dir=folder, buffering=0) as probe:
            probe.write(bytes(_ROOM))
            os.fsync(probe.fileno())
    except OSError as error:
        return error.errno not in _FULL
    return True
