"""A ledger at any of its events: recorded state as it was, found from the nearest state kept and the events after it."""

from __future__ import annotations

import sqlite3
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from engine.core.state import State, decode_state, encode_state
from engine.ledger.chain import GENESIS
from engine.ledger.errors import LedgerBroken, LedgerError, missing, number_in
from engine.ledger.head import compare_head, readable_head
from engine.ledger.replay import connect_readonly, fold_verified, is_alone, verified_events
from engine.ledger.schema import ORDER_FLOW, RARE, read_meta
from engine.ledger.snapshots import SnapshotBad, read_snapshot, snapshot_seqs
from engine.model.event import Event
from engine.views.recorded import Price, Prices, note_prices

SPACING = 512
"""Events between two states kept: as many are folded at most to go one event back."""
KEPT = 1_024
"""States kept; with more, every second is dropped and they lie twice as far apart."""
KEPT_BYTES = 128 * 1024 * 1024
"""Of them together; each holds up to a megabyte where many signals and requests came."""
LOOK_BACK = 5_000
"""Events before a snapshot that are searched for the prices of then."""


class Point(NamedTuple):
    """A moment: the last event that had happened, and the time, which may be later than that event's."""

    seq: int
    time_ns: int


class Folded(msgspec.Struct):
    """Recorded state after its last event, that event's hash, and the prices recorded until then."""

    state: State
    hash: bytes
    prices: Prices
    since: int = 0
    """The snapshot it began with, which is trusted for what lies before it; 0 where every event was folded."""


class _Kept(NamedTuple):
    hash: bytes
    state: bytes
    prices: bytes
    since: int


_encode_prices = msgspec.msgpack.Encoder().encode
_decode_prices = msgspec.msgpack.Decoder(dict[str, Price]).decode


class GivenUp(Exception):
    """The fold under way was ended from outside; what was folded so far is kept."""


class History:
    """Reads one ledger file; every event it folds is verified. Where one is damaged, history ends before it.

    An engine may go on writing the file; `renew` takes in what it added. Use it from one thread; only `give_up` and
    `position` may be used from another.
    """

    def __init__(self, path: Path, spacing: int = SPACING) -> None:
        """Open the file; raises LedgerError where there is none, or nothing in it, LedgerBroken where HEAD knows of something.

        Who asks for one moment only needs no states kept: `spacing` 0.
        """
        self._alone = is_alone(path)
        self._db = connect_readonly(path)
        self._path = path
        self.damage = ""
        """What ended it early."""
        try:
            self.first = self._edge("ASC")
            self.last = self.first
            self._kept: dict[int, _Kept] = {}
            self._kept_bytes = 0
            self._spacing = spacing
            self._at = _begin()
            self._front = _begin()
            self._stop = False
            self.verified = 0
            """So many events were folded from the first one on, which is what verifies them."""
            self.renew()
            while self._spacing and self.last.seq > self._spacing * KEPT:
                self._spacing *= 2
            self._fold(self._front, 1)
            if not self._front.state.seq:
                raise LedgerError(f"nothing of {path} can be trusted: {self.damage}")
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise LedgerError(f"{path} cannot be read as a ledger: {error}") from None
        except LedgerError:
            self._db.close()
            raise

    @property
    def position(self) -> int:
        """The last event folded towards the moment asked for."""
        return self._at.state.seq

    def give_up(self) -> None:
        """End the fold under way: it raises GivenUp."""
        self._stop = True

    @property
    def env(self) -> str:
        """What the file is stamped with; empty where the stamp is damaged."""
        try:
            return read_meta(self._db).get("env", "")
        except sqlite3.DatabaseError:
            return ""

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def renew(self) -> None:
        """Take in events written since. Where HEAD knows more than there are, history ends with those there are."""
        if self.damage:
            return
        head = readable_head(self._path)
        if self._alone:
            self._alone, stale = is_alone(self._path), self._db
            self._db = connect_readonly(self._path)
            stale.close()
        self.last = self._edge("DESC")
        try:
            compare_head(self._db, head)
        except LedgerBroken as broken:
            self._ends(broken, broken.seq or self.last.seq)

    # --- moments ---

    def at_seq(self, seq: int) -> Point:
        """The moment of an event, within what there is; raises LedgerBroken where it is missing."""
        seq = min(max(seq, self.first.seq), self.last.seq)
        return Point(seq, number_in(self._of("time_ns", seq), seq))

    def at_time(self, time_ns: int) -> Point:
        """A time, and the last event not after it; within what there is. Recorded time never runs backwards.

        Raises LedgerBroken where an event is missing on the way.
        """
        if time_ns >= self.last.time_ns:
            return self.last
        low, high = self.first.seq, self.last.seq
        while low < high:
            middle = (low + high + 1) // 2
            if self.at_seq(middle).time_ns <= time_ns:
                low = middle
            else:
                high = middle - 1
        return Point(low, max(time_ns, self.first.time_ns))

    def next_of(self, types: Sequence[str], seq: int, forward: bool) -> Point | None:
        """The nearest event of some types after (or before) another; None where there is none."""
        edge = self.last.seq if forward else self.first.seq
        found = [point for kind in types if (point := self._next(kind, seq, edge)) is not None]
        return (min if forward else max)(found, default=None)

    def _next(self, kind: str, seq: int, edge: int) -> Point | None:
        # By an index, whatever lies between: rare types have one, fills a table. Spelled out, so that it is used.
        table, of_kind = ("fills", "1") if kind == "OrderFilled" else ("events", f"type = '{kind}'")
        if kind not in ORDER_FLOW:
            of_kind += f" AND {RARE}"
        compare, order = ("> ? AND seq <=", "ASC") if edge > seq else ("< ? AND seq >=", "DESC")
        sql = f"SELECT seq, time_ns FROM {table} WHERE {of_kind} AND seq {compare} ? ORDER BY seq {order} LIMIT 1"  # noqa: S608  ours
        row = self._db.execute(sql, (seq, edge)).fetchone()
        return Point(*row) if row else None

    def fills(self) -> list[int]:
        """Events that were fills, from the projection; none where that is damaged."""
        try:
            return [seq for (seq,) in self._db.execute("SELECT seq FROM fills ORDER BY seq")]
        except sqlite3.DatabaseError:
            return []

    def starts(self) -> list[int]:
        """The first event of every engine start; raises LedgerBroken where an event is missing on the way."""
        found = [self.first.seq]
        while True:
            epoch = number_in(self._of("epoch", found[-1]), found[-1])
            low, high = found[-1], self.last.seq + 1
            while high - low > 1:
                middle = (low + high) // 2
                there = number_in(self._of("epoch", middle), middle)
                low, high = (middle, high) if there <= epoch else (low, middle)
            if high > self.last.seq:
                return found
            found.append(high)

    # --- states ---

    def folded(self, seq: int) -> Folded:
        """State and prices after an event; not to be kept: the next call may fold on from it.

        Where an event before it is damaged, those of the last good one, which `last` then is.
        """
        if seq < self._at.state.seq or self._nearest(seq) > self._at.state.seq:
            self._at = self._from(seq)
        self._fold(self._at, seq)
        return self._at

    def events(self, until: int, count: int) -> list[Event]:
        """The last events up to one, oldest first. Where one of them is damaged, history ends before it."""
        found: list[Event] = []
        try:
            found += self._until(min(until, self.last.seq), count)
        except LedgerBroken as broken:
            self._ends(broken, broken.seq or until)
        return found

    def go_on(self, count: int = SPACING) -> bool:
        """Fold so many more events from the first one on, for going back to them quickly; False when all are."""
        if self.verified >= self._front.state.seq + self._spacing:
            self._front = self._from(self.verified)
        self._fold(self._front, min(self._front.state.seq + count, self.last.seq))
        return self.verified < self.last.seq

    def _nearest(self, seq: int) -> int:
        known = self._known()
        at = bisect_right(known, seq)
        return known[at - 1] if at else 0

    def _known(self) -> list[int]:
        """States at hand: those kept, and the snapshots of what was not folded from the first event on."""
        try:
            snapshots = [seq for seq in snapshot_seqs(self._db) if seq > self.verified]
        except sqlite3.DatabaseError:
            snapshots = []
        return sorted({*self._kept, *snapshots})

    def _from(self, seq: int) -> Folded:
        """The nearest state at hand that is not after an event."""
        for known in reversed(self._known()):
            if known > seq:
                continue
            if (kept := self._kept.get(known)) is not None:
                state = decode_state(zlib.decompress(kept.state))
                since = 0 if known <= self.verified else kept.since
                return Folded(state, kept.hash, _decode_prices(kept.prices), since)
            try:
                snapshot = read_snapshot(self._db, known)
            except SnapshotBad:
                continue
            prices = {name: Price(0, 0, mark=str(mark)) for name, mark in snapshot.state.marks.items()}
            with suppress(LedgerBroken):  # said where it is folded
                for event in self._until(known, LOOK_BACK):
                    note_prices(prices, event)
            return Folded(snapshot.state, snapshot.hash, prices, known)
        return _begin()

    def _fold(self, folded: Folded, until: int) -> None:
        if folded.state.seq >= until:
            return
        from_first = folded.state.seq <= self.verified
        try:
            for event, row in verified_events(self._db, folded.state.seq, folded.hash):
                if self._stop:
                    self._stop = False
                    raise GivenUp
                fold_verified(folded.state, event)
                folded.hash = row[-1]
                note_prices(folded.prices, event)
                if self._spacing and event.seq % self._spacing == 0 and event.seq not in self._kept:
                    self._keep(folded)
                if from_first and event.seq > self.verified:
                    self.verified = event.seq
                if event.seq >= until:
                    return
        except LedgerBroken as broken:
            self._ends(broken, folded.state.seq + 1)

    def _ends(self, broken: LedgerBroken, seq: int) -> None:
        """What stands from an event on is not trusted."""
        self.damage = str(broken)
        sql = "SELECT seq, time_ns FROM events WHERE seq < ? ORDER BY seq DESC LIMIT 1"
        row = self._db.execute(sql, (seq,)).fetchone()
        self.last = Point(*row) if row else self.first

    def _keep(self, folded: Folded) -> None:
        # Fast compression makes a state a sixth as large, for a fifth of the time it takes to read it.
        packed = zlib.compress(encode_state(folded.state), 1)
        self._kept[folded.state.seq] = _Kept(folded.hash, packed, _encode_prices(folded.prices), folded.since)
        self._kept_bytes += len(packed)
        if len(self._kept) > KEPT or self._kept_bytes > KEPT_BYTES:
            self._spacing *= 2
            self._kept = {seq: kept for seq, kept in self._kept.items() if seq % self._spacing == 0}
            self._kept_bytes = sum(len(kept.state) for kept in self._kept.values())

    def _until(self, until: int, count: int) -> Iterator[Event]:
        """So many events up to one, verified from the one before them on; raises LedgerBroken."""
        after = max(until - count, 0)
        before = self._of("hash", after) if after else GENESIS
        if before is None:
            raise missing(after)
        events = (event for event, _ in verified_events(self._db, after, before))
        return takewhile(lambda event: event.seq <= until, events)

    def _of(self, column: str, seq: int) -> Any:
        """A column of an event; None where it is missing."""
        row = self._db.execute(f"SELECT {column} FROM events WHERE seq = ?", (seq,)).fetchone()  # noqa: S608  ours
        return None if row is None else row[0]

    def _edge(self, order: str) -> Point:
        sql = f"SELECT seq, time_ns FROM events ORDER BY seq {order} LIMIT 1"  # noqa: S608  ours
        row = self._db.execute(sql).fetchone()
        if row is None:
            compare_head(self._db, readable_head(self._path))
            raise LedgerError(f"{self._path} holds no events yet")
        return Point(*row)


def _begin() -> Folded:
    return Folded(State(), GENESIS, {})
