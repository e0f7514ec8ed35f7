"""A copy of a ledger, made while its engine runs, and proved before it counts."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from engine.ledger.chain import GENESIS
from engine.ledger.errors import LedgerBroken, LedgerError, ledger_error
from engine.ledger.head import Head, HeadFile, head_path
from engine.ledger.replay import connect_readonly
from engine.ledger.verify import Report, verify


def backup(path: Path, target: Path) -> Report:
    """Copy the ledger to `target` with a HEAD of its own, and verify the copy.

    Raises LedgerError when target exists or cannot be written, LedgerBroken (and leaves no copy) when it does not verify.
    """
    if target.exists():
        raise LedgerError(f"{target} exists; a backup overwrites nothing, choose another name")
    partial = target.with_name(target.name + ".partial")
    partial.unlink(missing_ok=True)
    try:
        with closing(connect_readonly(path)) as source, closing(sqlite3.connect(partial, isolation_level=None)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            row = copy.execute("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        _write_head(partial, Head(*row) if row else Head(0, GENESIS))
        report = verify(partial)
        if not report.ok:
            raise LedgerBroken("backup", "; ".join(report.lines))
        head_path(partial).replace(head_path(target))
        partial.replace(target)
    except sqlite3.Error as error:
        raise ledger_error(target, error) from error
    finally:
        partial.unlink(missing_ok=True)
        head_path(partial).unlink(missing_ok=True)
    return report


def _write_head(ledger: Path, head: Head) -> None:
    file = HeadFile(ledger)
    try:
        file.write(head)
        file.sync()
    finally:
        file.close()
