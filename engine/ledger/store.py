"""One open ledger file: the engine's only door to its events."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from engine.core.state import State, encode_state
from engine.ledger import schema
from engine.ledger.chain import GENESIS, columns_of, link
from engine.ledger.errors import (
    LedgerBroken,
    LedgerError,
    LedgerFull,
    NoFile,
    WrongEnvironment,
    WrongFeed,
    ledger_error,
)
from engine.ledger.files import remove_database
from engine.ledger.head import Head, HeadFile, compare_head, head_path, read_head
from engine.ledger.integrity import Damage, find_damage
from engine.ledger.lock import FileLock
from engine.ledger.log import LOG_BYTES
from engine.ledger.migrate import migrate
from engine.ledger.projections import Projector
from engine.ledger.replay import fold_verified, verified_events
from engine.ledger.reserve import RESERVE_BYTES, Reserve
from engine.ledger.rows import timestamp
from engine.ledger.snapshots import good_snapshots, write_snapshot
from engine.model.event import Event

_CHECK_WHOLE_BELOW = 16 * 1024 * 1024
"""Bytes; a start looks at every page of a file up to this size, larger ones are left to `verify`."""
_CHECKPOINT_PAGES = 4_000
"""Pages of log before they are copied into the file: pages that many commits share are then copied once."""
_CHECK_TAIL = 100
"""Events whose hashes every start verifies, whatever the snapshot covers."""


class Loaded(NamedTuple):
    """What a start found: the state, the snapshot it began from (0: none), events folded after it, and what to tell."""

    state: State
    snapshot_seq: int
    tail_events: int
    warnings: tuple[str, ...]


class Ledger:
    """The ledger of one engine, locked. Not for two threads at once: hand it to a Writer and talk to that."""

    def __init__(self, path: Path, db: sqlite3.Connection, lock: FileLock, head: HeadFile, reserve: Reserve) -> None:
        """Use Ledger.open."""
        self._path = path
        self._db = db
        self._lock = lock
        self._head = head
        self._reserve = reserve
        self._meta = schema.read_meta(db)
        self._last = _last_event(db)
        self._projector = Projector(schema.StoredRows(db))
        self._warnings: list[str] = []
        self._made = False
        """The file is this one's: it was not there before."""

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        env: str,
        feed: str,
        now_ns: int,
        clock_note: str = "",
        create: bool = True,
        reserve_bytes: int = RESERVE_BYTES,
    ) -> Ledger:
        """Lock, open (or make) and check a ledger; `now_ns` stamps a new file and the lock.

        Raises LedgerBusy, WrongEnvironment, LedgerBroken, LedgerFull, LedgerReadOnly, or LedgerError.
        """
        path = Path(path).resolve()
        if not create and not path.exists():
            raise LedgerError(f"there is no ledger at {path}")
        if path.exists() and not path.is_file():
            raise NoFile(str(path))
        if not path.parent.is_dir():
            raise LedgerError(f"{path}: the folder does not exist; make it or choose another file with --ledger")
        stamps = {"env": env, "feed": feed, "clock": clock_note, "created": timestamp(now_ns)}
        try:
            return cls._open(path, stamps, reserve_bytes)
        except LedgerFull:
            if not Reserve(path, 0).held:
                raise
        # The last engine died with its disk full: the reserve lets this one open, for exits.
        Reserve(path, 0).free()
        ledger = cls._open(path, stamps, reserve_bytes)
        ledger._warnings.append("the disk is full: the reserve was freed to open the ledger")
        return ledger

    @classmethod
    def _open(cls, path: Path, stamps: dict[str, str], reserve_bytes: int) -> Ledger:
        with ExitStack() as undo:
            try:
                lock = FileLock(path)
                undo.callback(lock.release)
                lock.describe(f"pid {os.getpid()} since {stamps['created']} UTC")
                made = not path.exists()
                if made:
                    path.touch(mode=0o600)
                db = undo.enter_context(closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)))
                _set_durable(db)
                if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    schema.create(db, {"ledger_id": secrets.token_hex(8), **stamps})
                _check_stamps(db, path, stamps["env"])
                if path.stat().st_size <= _CHECK_WHOLE_BELOW:
                    _refuse_damage(find_damage(db))
                head = undo.enter_context(closing(HeadFile(path)))
                ledger = cls(path, db, lock, head, Reserve(path, reserve_bytes))
                ledger._made = made
                ledger._check_head()
                ledger._check_tail()
                head.write(ledger._last)
                head.sync()
                ledger._migrate()
            except (sqlite3.Error, OSError) as error:
                raise ledger_error(path, error) from error
            except UnicodeDecodeError as error:
                raise LedgerBroken("file", f"{path}: the schema cannot be read: {error}") from error
            undo.pop_all()
            return ledger

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def ledger_id(self) -> str:
        """Random, made with the file."""
        return self._meta["ledger_id"]

    @property
    def feed(self) -> str:
        """The feed its prices came from."""
        return self._meta["feed"]

    @property
    def seq(self) -> int:
        """The last durable event; 0 before the first."""
        return self._last.seq

    @property
    def epoch(self) -> int:
        """The epoch of the last event; the next engine start is one more."""
        row = self._db.execute("SELECT epoch FROM events WHERE seq = ?", (self.seq,)).fetchone()
        return int(row[0]) if row else 0

    @property
    def reserve_held(self) -> bool:
        """There is room that free_reserve() can free."""
        return self._reserve.held

    def load(self) -> Loaded:
        """Recorded state from the newest good snapshot and the events after it; raises LedgerBroken."""
        warnings = list(self._warnings)
        state, snapshot_seq, hash_at = State(), 0, GENESIS
        for snapshot in good_snapshots(self._db, warnings):
            state, snapshot_seq, hash_at = snapshot.state, snapshot.seq, snapshot.hash
            break
        for event, _ in verified_events(self._db, snapshot_seq, hash_at):
            fold_verified(state, event)
        return Loaded(state, snapshot_seq, state.seq - snapshot_seq, tuple(warnings))

    def check_feed(self, state: State, feed: str, clock_note: str = "") -> None:
        """Refuse another feed while positions or orders are open (WrongFeed); a flat ledger takes it over."""
        if feed == self.feed:
            return
        open_count = len(state.positions) + len(state.orders)
        if open_count:
            raise WrongFeed(str(self._path), self.feed, feed, open_count)
        stamps = {"feed": feed, "clock": clock_note}
        with self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", stamps.items())
        self._meta.update(stamps)

    def append(self, events: Sequence[Event]) -> None:
        """Make events and their projections durable in one transaction; returns when they are.

        Raises LedgerFull, LedgerReadOnly, LedgerBroken or LedgerError: all of them were written or none, `seq` says which.
        """
        if not events:
            return
        seq, previous = self._last
        values: list[object] = []
        for event in events:
            seq += 1
            if event.seq != seq:
                raise ValueError(f"event {event.seq} does not follow {seq - 1}")
            columns = columns_of(event)
            previous = link(previous, columns)
            values += columns
            values.append(previous)
        try:
            with self._transaction():
                for event in events:
                    self._projector.add(event)
                schema.insert_values(self._db, "events", len(values) // len(events), values)
                schema.write_projections(self._db, *self._projector.take())
        except BaseException:
            # What it had counted is not in the file.
            self._projector = Projector(schema.StoredRows(self._db))
            raise
        self._last = Head(seq, previous)
        try:
            self._head.write(self._last)
        except OSError as error:
            known = ledger_error(self._path, error)
            raise type(known)(f"event {seq} is durable, but HEAD cannot be written: {known}") from error

    def snapshot(self, state: State) -> None:
        """Keep the state for the next start; it must not be ahead of what is durable."""
        self.write_snapshot(state.seq, encode_state(state))

    def write_snapshot(self, seq: int, data: bytes) -> None:
        """Keep an encoded state as the one after event `seq`."""
        if not 0 < seq <= self.seq:
            raise ValueError(f"a snapshot after event {seq} is not possible: the ledger ends at {self.seq}")
        with self._transaction():
            write_snapshot(self._db, seq, data)

    def free_reserve(self) -> None:
        """Give the room kept back to the file: for exits, on a full disk. The next open keeps it back again."""
        self._reserve.free()

    def close(self, *, keep_unused: bool = True) -> None:
        """Close the file and let the next engine in; without `keep_unused`, one made here that has no event goes."""
        self._db.close()
        self._head.close()
        if not keep_unused and self._made and not self.seq:
            remove_database(self._path)
            head_path(self._path).unlink(missing_ok=True)
            self._reserve.free()
        self._lock.release()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        written = False
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            written = True
            self._db.execute("COMMIT")
        except BaseException as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if written:
                self._overwrite()
            if isinstance(error, sqlite3.Error):
                raise ledger_error(self._path, error) from error
            raise

    def _overwrite(self) -> None:
        """Write what changes nothing over what a commit left in the log whose sync failed: after a kill, a start would
        take that for done."""
        with suppress(sqlite3.Error):
            try:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def _check_head(self) -> None:
        try:
            head = read_head(self._path)
        except LedgerBroken as damaged:
            self._warnings.append(f"{damaged}; it was written again")
            return
        if head is None:
            if self.seq:
                self._warnings.append(
                    "HEAD: the file was missing, so a cut tail cannot be ruled out; it was written again"
                )
            return
        compare_head(self._db, head)

    def _migrate(self) -> None:
        was = self._meta["schema"]
        kept = migrate(self._path, self._db)
        if kept is not None:
            self._meta = schema.read_meta(self._db)
            self._warnings.append(
                f"the ledger was brought from schema {was} to {schema.SCHEMA_VERSION}; the file as it was is {kept.name}"
            )

    def _check_tail(self) -> None:
        after = max(0, self.seq - _CHECK_TAIL)
        row = self._db.execute("SELECT hash FROM events WHERE seq = ?", (after,)).fetchone()
        for _ in verified_events(self._db, after, row[0] if row else GENESIS):
            pass


def _set_durable(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA foreign_keys = OFF")
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA temp_store = MEMORY")
    db.execute("PRAGMA cache_size = -32768")
    db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    # One that a reader held up, and that grew meanwhile, gives its room back.
    db.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
    mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise LedgerError(f"the file system does not allow WAL (SQLite chose {mode}); put the ledger on a local disk")
    db.execute("PRAGMA synchronous = FULL")
    if db.execute("PRAGMA synchronous").fetchone()[0] != 2:
        raise LedgerError("SQLite did not accept synchronous = FULL, so a commit would not be durable")


def _check_stamps(db: sqlite3.Connection, path: Path, env: str) -> None:
    schema.check_application(path, db)
    meta = schema.read_meta(db)
    schema.version_of(path, meta)
    missing = {"env", "feed", "ledger_id"} - meta.keys()
    if missing:
        raise LedgerBroken("meta", f"{path} lacks {', '.join(sorted(missing))}")
    if meta["env"] != env:
        raise WrongEnvironment(str(path), meta["env"], env)


def _refuse_damage(found: list[Damage]) -> None:
    if found:
        # What a rebuild cannot put right is the one to name.
        worst = min(found, key=lambda damage: damage.part in schema.PROJECTIONS)
        raise LedgerBroken(worst.part, f"{worst.text}; hoox ledger verify tells the rest")


def _last_event(db: sqlite3.Connection) -> Head:
    row = db.execute("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
    return Head(*row) if row else Head(0, GENESIS)
