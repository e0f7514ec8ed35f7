"""SQLite's own file layer, watched: every write, truncate and sync of the real library is recorded, or made to fail.

A shim VFS over the default one, set up with ctypes in the library that the sqlite3 module itself uses, so that the product's code
runs unchanged. Struct layouts are those of sqlite3.h (sqlite3_vfs, sqlite3_io_methods); only what is overridden is named.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, Structure, addressof, c_char_p, c_int, c_int64, c_void_p, cast, memmove, sizeof
from pathlib import Path
from typing import Any, NamedTuple

OK = 0
IOERR_WRITE = 10 | (3 << 8)
IOERR_FSYNC = 10 | (4 << 8)
FULL = 13

_XOPEN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, POINTER(c_int))
_XWRITE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_XTRUNCATE = CFUNCTYPE(c_int, c_void_p, c_int64)
_XSYNC = CFUNCTYPE(c_int, c_void_p, c_int)


class _Vfs(Structure):
    _fields_ = [
        ("version", c_int),
        ("file_size", c_int),
        ("longest_path", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", c_void_p),
        ("rest", c_void_p * 15),
    ]


class _Methods(Structure):
    _fields_ = [
        ("version", c_int),
        ("close", c_void_p),
        ("read", c_void_p),
        ("write", c_void_p),
        ("truncate", c_void_p),
        ("sync", c_void_p),
        ("rest", c_void_p * 13),
    ]


class Operation(NamedTuple):
    """One call that reached the file layer: write (data at offset), truncate (to offset), sync."""

    kind: str
    file: str
    offset: int = 0
    data: bytes = b""


class WatchedFiles:
    """What SQLite did to its files since `clear`; with `fail_at` the operation of that number (from 0) fails, once."""

    def __init__(self) -> None:
        self.log: list[Operation] = []
        self.fail_at: int | None = None
        self.failure = {"write": IOERR_WRITE, "truncate": IOERR_WRITE, "sync": IOERR_FSYNC}
        self._kept: list[Any] = []

    def clear(self) -> None:
        self.log.clear()

    def _take(self, operation: Operation) -> int:
        number = len(self.log)
        self.log.append(operation)
        if number == self.fail_at:
            self.fail_at = None
            return self.failure[operation.kind]
        return OK

    def _watch(self, file: int, name: str) -> None:
        """Put our methods in front of an open file's own."""
        place = cast(file, POINTER(c_void_p))
        if not place[0]:
            return
        original = _Methods.from_address(place[0])
        ours = _Methods()
        memmove(addressof(ours), addressof(original), sizeof(_Methods))
        write, truncate = _XWRITE(original.write), _XTRUNCATE(original.truncate)
        sync = _XSYNC(original.sync)

        def on_write(handle: int, data: int, size: int, offset: int) -> int:
            return self._take(Operation("write", name, offset, ctypes.string_at(data, size))) or write(
                handle, data, size, offset
            )

        def on_truncate(handle: int, size: int) -> int:
            return self._take(Operation("truncate", name, size)) or truncate(handle, size)

        def on_sync(handle: int, flags: int) -> int:
            return self._take(Operation("sync", name)) or sync(handle, flags)

        calls = (_XWRITE(on_write), _XTRUNCATE(on_truncate), _XSYNC(on_sync))
        ours.write, ours.truncate, ours.sync = (cast(call, c_void_p).value for call in calls)
        self._kept += [ours, calls]
        place[0] = addressof(ours)


@contextmanager
def watched_files() -> Iterator[WatchedFiles]:
    """While it is open, every database that is opened is watched. Raises OSError where the library cannot be reached."""
    library = ctypes.CDLL(_sqlite3.__file__)
    try:
        find, register, unregister = (
            library.sqlite3_vfs_find,
            library.sqlite3_vfs_register,
            library.sqlite3_vfs_unregister,
        )
    except AttributeError as error:
        raise OSError(f"SQLite's file layer is out of reach in this Python: {error}") from error
    find.restype, find.argtypes = c_void_p, [c_char_p]
    register.argtypes, unregister.argtypes = [c_void_p, c_int], [c_void_p]
    sqlite3.connect(":memory:").close()
    default = find(None)
    shim = _Vfs()
    memmove(addressof(shim), default, sizeof(_Vfs))
    shim.next, shim.name = None, b"watched"
    files = WatchedFiles()
    original = _XOPEN(shim.open)

    def on_open(vfs: int, name: int, file: int, flags: int, out: Any) -> int:
        code = int(original(vfs, name, file, flags, out))
        if code == OK and name:
            files._watch(file, Path(ctypes.string_at(name).decode()).name)
        return code

    call = _XOPEN(on_open)
    shim.open = cast(call, c_void_p).value
    register(addressof(shim), 1)
    try:
        yield files
    finally:
        register(default, 1)
        unregister(addressof(shim))
