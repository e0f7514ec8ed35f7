"""One engine per ledger: an exclusive lock that dies with its process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from engine.ledger.errors import LedgerBusy


class FileLock:
    """flock on `<ledger>.lock`; the file's text says who holds it."""

    def __init__(self, ledger: Path) -> None:
        """Take the lock; raises LedgerBusy with the holder's own words."""
        path = ledger.with_name(ledger.name + ".lock")
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = self._file.read(200).decode(errors="replace").strip()
            self._file.close()
            raise LedgerBusy(str(ledger), holder or "another process") from None

    def describe(self, text: str) -> None:
        """Say who holds it: one line."""
        os.ftruncate(self._file.fileno(), 0)
        os.pwrite(self._file.fileno(), text.encode() + b"\n", 0)

    def release(self) -> None:
        """Let the next one in; the file stays, since removing it would race with a waiting engine."""
        self._file.close()
