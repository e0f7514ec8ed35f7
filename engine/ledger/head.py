"""The HEAD file beside a ledger: the last committed seq and hash, so that a cut tail shows."""

from __future__ import annotations

import os
import sqlite3
import zlib
from pathlib import Path
from typing import NamedTuple

from engine.ledger.errors import LedgerBroken

_LENGTH = 63
_RESTORED = "an older copy belongs here together with its own .head, a new ledger without one"


class Head(NamedTuple):
    """The last committed event; seq 0 before the first."""

    seq: int
    hash: bytes


def head_path(ledger: Path) -> Path:
    """`desk.sqlite` -> `desk.sqlite.head`."""
    file = ledger.resolve()
    return file.with_name(file.name + ".head")


def read_head(ledger: Path) -> Head | None:
    """What HEAD says; None where there is none, or an empty one after a power cut; raises LedgerBroken when it is damaged."""
    try:
        data = head_path(ledger).read_bytes()
    except FileNotFoundError:
        return None
    if not data.strip(b"\0"):
        return None
    fields = data.split()
    if len(data) != _LENGTH or len(fields) != 3 or fields[2] != b"%08x" % zlib.crc32(data[:53]):
        raise LedgerBroken("HEAD", f"{head_path(ledger).name} is damaged, so a cut tail cannot be ruled out")
    return Head(int(fields[0]), bytes.fromhex(fields[1].decode()))


def readable_head(ledger: Path) -> Head | None:
    """What HEAD says; None where it says nothing, whatever the reason: a cut tail cannot be ruled out then."""
    try:
        return read_head(ledger)
    except LedgerBroken:
        return None


def compare_head(db: sqlite3.Connection, head: Head | None) -> None:
    """Raises LedgerBroken where a database lacks events that HEAD knows, or has others. HEAD is read before the events are,
    which an engine may go on writing."""
    if head is None or not head.seq:
        return
    last: int = db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
    if head.seq > last:
        text = f"events {last + 1}..{head.seq} are missing: HEAD says the last one is {head.seq}; {_RESTORED}"
        raise LedgerBroken("HEAD", text, last + 1)
    row = db.execute("SELECT hash FROM events WHERE seq = ?", (head.seq,)).fetchone()
    if row is None or row[0] != head.hash:
        raise LedgerBroken("HEAD", f"event {head.seq} is not the one HEAD knows", head.seq)


class HeadFile:
    """HEAD, open for writing. Written after each commit, so it never runs ahead of what is on the disk."""

    def __init__(self, ledger: Path) -> None:
        self._file = os.fdopen(os.open(head_path(ledger), os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)

    def write(self, head: Head) -> None:
        """Overwrite the one fixed-width record in place."""
        text = b"%020d %s" % (head.seq, head.hash.hex().encode())
        os.pwrite(self._file.fileno(), text + b" %08x\n" % zlib.crc32(text), 0)

    def sync(self) -> None:
        """Have the file itself on the disk; later records only overwrite it."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Give the file back."""
        self._file.close()
