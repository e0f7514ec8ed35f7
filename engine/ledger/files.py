"""Files made beside others: private, never in place of somebody's, and on the disk once they are said to be."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

PRIVATE = 0o600


def make_new(path: Path, mode: int = PRIVATE) -> None:
    """An empty file; raises FileExistsError where there is one, a link too."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode))


def make_beside(target: Path, mode: int = PRIVATE) -> Path:
    """An empty file beside `target` under a name of its own, to become it once it is whole."""
    while True:
        path = target.with_name(f"{target.name}.{secrets.token_hex(4)}.partial")
        try:
            make_new(path, mode)
        except FileExistsError:
            continue
        return path


def move_new(path: Path, target: Path) -> None:
    """Give a file its name; raises FileExistsError where somebody took it in the meantime."""
    make_new(target)
    path.replace(target)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk: a file's own sync does not."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def companions(database: Path) -> list[Path]:
    """What SQLite may keep beside a database."""
    return [database.with_name(database.name + suffix) for suffix in ("-wal", "-shm", "-journal")]


def remove_database(database: Path) -> None:
    """Remove a database of ours, and what SQLite kept beside it."""
    for path in (database, *companions(database)):
        path.unlink(missing_ok=True)
