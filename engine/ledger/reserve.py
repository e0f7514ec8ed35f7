"""Room kept back on the disk: freed at the first full-disk error, so that exits can still be written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

RESERVE_BYTES = 8 * 1024 * 1024


class Reserve:
    """The file `<ledger>.reserve`, made of real blocks."""

    def __init__(self, ledger: Path, size: int = RESERVE_BYTES) -> None:
        """Make it unless it is there already, or there is less than twice its size left, on the disk or of a quota."""
        self._path = ledger.with_name(ledger.name + ".reserve")
        if size and not self.held and shutil.disk_usage(ledger.parent).free >= 2 * size:
            try:
                _fill(self._path, 2 * size)
                os.truncate(self._path, size)
            except OSError:
                self.free()

    @property
    def held(self) -> bool:
        """There is room to free."""
        return self._path.exists() and self._path.stat().st_size > 0

    def free(self) -> None:
        """Give the room to the ledger."""
        self._path.unlink(missing_ok=True)


def _fill(path: Path, size: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        else:
            block = bytes(64 * 1024)
            for _ in range(0, size, len(block)):
                os.write(descriptor, block)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
