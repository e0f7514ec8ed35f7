"""SQLite's write-ahead log, made long beforehand: a sync of a file that grows waits for the file system's own books, too."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

LOG_BYTES = 16 * 1024 * 1024
"""What the log grows to between two checkpoints."""
LONG = 8 * LOG_BYTES
"""It is as long as this only where it cannot end: some other program has not done with reading what stood before it."""
_SPARE = 8
"""Only where there is room for so many such logs."""
_BLOCK = bytes(1024 * 1024)


def log_bytes(ledger: Path) -> int:
    """How long the log's file is; 0 where there is none."""
    try:
        return ledger.with_name(ledger.name + "-wal").stat().st_size
    except OSError:
        return 0


def lengthen(ledger: Path) -> bool:
    """Write zeros behind what the ledger's log holds; false where there is no room, or no log. Nobody may be writing it.

    SQLite ends its log at the first frame whose checksum does not fit, whatever the file's length. Commits of the first
    minutes then take as long as later ones, a tenth on some disks.
    """
    path = ledger.with_name(ledger.name + "-wal")
    try:
        if shutil.disk_usage(ledger.parent).free < _SPARE * LOG_BYTES:
            return False
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        end = os.fstat(descriptor).st_size
        try:
            at = end
            while at < LOG_BYTES:
                at += os.pwrite(descriptor, _BLOCK[: LOG_BYTES - at], at)
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, end)
            return False
        return True
    finally:
        os.close(descriptor)
