"""Snapshots of recorded state, so that a start need not replay everything. Tied to the chain, and never trusted blindly."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from engine.core.state import State, decode_state
from engine.ledger.chain import DIGEST_SIZE
from engine.ledger.errors import unless_hindered

KEEP = 3


class Snapshot(NamedTuple):
    """A state that was stored after `seq`, whose hash in the chain is `hash`."""

    seq: int
    hash: bytes
    data: bytes
    state: State


class SnapshotBad(ValueError):
    """A stored snapshot is not what was written; the message says which and why."""


def write_snapshot(db: sqlite3.Connection, seq: int, data: bytes) -> None:
    """Keep `data` as the state after event `seq`, and drop all but the newest; inside the caller's transaction."""
    db.execute(
        "INSERT OR REPLACE INTO snapshots SELECT seq, time_ns, epoch, hash, ?, ? FROM events WHERE seq = ?",
        (data, _checksum(data), seq),
    )
    # One that belongs to other events, or to none yet, takes no place of a good one.
    db.execute(
        """DELETE FROM snapshots WHERE seq <= ? AND seq NOT IN (SELECT seq FROM snapshots JOIN events USING (seq)
        WHERE hash = hash_at_seq ORDER BY seq DESC LIMIT ?)""",
        (seq, KEEP),
    )


def snapshot_seqs(db: sqlite3.Connection) -> list[int]:
    """Which there are, newest first."""
    return [seq for (seq,) in db.execute("SELECT seq FROM snapshots ORDER BY seq DESC")]


def read_snapshot(db: sqlite3.Connection, seq: int) -> Snapshot:
    """One snapshot, checked against its checksum and the chain; raises SnapshotBad."""
    try:
        row = db.execute(
            "SELECT bytes, checksum, hash_at_seq, hash FROM snapshots LEFT JOIN events USING (seq) WHERE seq = ?",
            (seq,),
        ).fetchone()
        if row is None:
            raise SnapshotBad(f"snapshot {seq} is not there")
        data, checksum, hash_at_seq, event_hash = row
        if event_hash is None:
            raise SnapshotBad(f"snapshot {seq} is of an event that is not there")
        if _checksum(data) != checksum:
            raise SnapshotBad(f"snapshot {seq} was changed: its checksum does not match")
        if hash_at_seq != event_hash:
            raise SnapshotBad(f"snapshot {seq} belongs to other events: the chain's hash there is another")
        state = decode_state(data)
    except (sqlite3.DatabaseError, msgspec.MsgspecError, TypeError) as error:
        unless_hindered(error)
        raise SnapshotBad(f"snapshot {seq} cannot be read: {error}") from None
    if state.seq != seq:
        raise SnapshotBad(f"snapshot {seq} holds the state after {state.seq}")
    return Snapshot(seq, event_hash, data, state)


def good_snapshots(db: sqlite3.Connection, warnings: list[str]) -> Iterator[Snapshot]:
    """Newest first; what is bad is left out, with a line in `warnings`."""
    try:
        seqs = snapshot_seqs(db)
    except sqlite3.DatabaseError as error:
        unless_hindered(error)
        warnings.append(f"the snapshots cannot be read: {error}")
        return
    for seq in seqs:
        try:
            yield read_snapshot(db, seq)
        except SnapshotBad as bad:
            warnings.append(f"{bad}; it was skipped")


def _checksum(data: bytes) -> bytes:
    return blake2b(data, digest_size=DIGEST_SIZE).digest()
