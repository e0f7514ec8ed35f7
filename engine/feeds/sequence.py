"""Order books in sequence: raw diffs and snapshots in, Depth inputs out, or a gap. Pure, one rule a venue.

Rules: venues/binance.md 3.3 (USD-M on `pu`, spot on `U`), venues/backpack.md 3.3.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from engine.model.instrument import InstrumentId
from engine.model.market import Depth

Levels = tuple[tuple[str, str], ...]

BUFFER = 5_000
"""Diffs kept while a snapshot is awaited; more than that and the oldest are worthless."""


class RawDiff(Struct, frozen=True):
    """A depth diff as it came: update ids `first`..`last`, and the last id of the diff before it (0 where not sent)."""

    instrument: InstrumentId
    time_ns: int
    venue_ns: int
    first: int
    last: int
    previous: int
    bids: Levels
    asks: Levels


class Snapshot(Struct, frozen=True):
    """A whole book as of update `last_id`."""

    instrument: InstrumentId
    time_ns: int
    venue_ns: int
    last_id: int
    bids: Levels
    asks: Levels


class Rule(Protocol):
    """How one venue numbers its diffs."""

    def is_old(self, diff: RawDiff, last_id: int) -> bool:
        """Already contained in a snapshot of `last_id`."""
        ...

    def joins(self, diff: RawDiff, last_id: int) -> bool:
        """May be the first diff after a snapshot of `last_id`."""
        ...

    def follows(self, diff: RawDiff, last_id: int) -> bool:
        """Comes directly after the diff that ended at `last_id`."""
        ...

    def repeats(self, diff: RawDiff, last_id: int) -> bool:
        """Is known already and may be ignored."""
        ...


class UsdmRule:
    """Binance USD-M: continuity is on `pu`; `U` is not the previous `u` + 1."""

    def is_old(self, diff: RawDiff, last_id: int) -> bool:
        """u < lastUpdateId."""
        return diff.last < last_id

    def joins(self, diff: RawDiff, last_id: int) -> bool:
        """U <= lastUpdateId <= u; ids between `pu` and `U` belong to no diff of this book, so `pu` may stand for `U`."""
        return (diff.previous or diff.first) <= last_id <= diff.last

    def follows(self, diff: RawDiff, last_id: int) -> bool:
        """pu = previous u."""
        return diff.previous == last_id

    def repeats(self, diff: RawDiff, last_id: int) -> bool:
        """Never: the venue says start over."""
        return False


class SpotRule:
    """Binance spot: U = previous u + 1; an overlap is harmless, sizes are absolute."""

    def is_old(self, diff: RawDiff, last_id: int) -> bool:
        """u <= lastUpdateId."""
        return diff.last <= last_id

    def joins(self, diff: RawDiff, last_id: int) -> bool:
        """U <= lastUpdateId + 1 <= u."""
        return diff.first <= last_id + 1 <= diff.last

    def follows(self, diff: RawDiff, last_id: int) -> bool:
        """U <= book id + 1, and something new in it."""
        return diff.first <= last_id + 1 and diff.last > last_id

    def repeats(self, diff: RawDiff, last_id: int) -> bool:
        """u <= book id."""
        return diff.last <= last_id


class BackpackRule:
    """Backpack: U = previous u + 1, exactly."""

    def is_old(self, diff: RawDiff, last_id: int) -> bool:
        """u <= lastUpdateId."""
        return diff.last <= last_id

    def joins(self, diff: RawDiff, last_id: int) -> bool:
        """U <= lastUpdateId + 1 <= u."""
        return diff.first <= last_id + 1 <= diff.last

    def follows(self, diff: RawDiff, last_id: int) -> bool:
        """U = previous u + 1."""
        return diff.first == last_id + 1 and diff.last >= diff.first

    def repeats(self, diff: RawDiff, last_id: int) -> bool:
        """Never: start over."""
        return False


class BookSequence:
    """The sequence of one book. While `waiting` it buffers diffs for a snapshot; otherwise diffs pass in order or break it."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._buffer: list[RawDiff] = []
        self._last_id = 0
        self._joined = False
        self.waiting = True
        """A snapshot is needed."""

    def reset(self) -> None:
        """Forget everything: the connection was lost."""
        self._buffer.clear()
        self.waiting = True

    def diff(self, diff: RawDiff) -> list[Depth]:
        """Take a diff; returns what may be applied. A gap shows as `waiting` turning true."""
        if self.waiting:
            self._keep(diff)
            return []
        if not self._joined and self._rule.is_old(diff, self._last_id):
            return []
        if self._continues(diff):
            self._last_id = diff.last
            self._joined = True
            return [_depth(diff, diff.time_ns)]
        if self._joined and self._rule.repeats(diff, self._last_id):
            return []
        self.waiting = True
        self._buffer = [diff]
        return []

    def snapshot(self, snapshot: Snapshot) -> list[Depth]:
        """Take a snapshot; returns it with the diffs that follow it, or nothing when it is too old: fetch again."""
        rule = self._rule
        kept = [diff for diff in self._buffer if not rule.is_old(diff, snapshot.last_id)]
        if kept and not rule.joins(kept[0], snapshot.last_id):
            return []
        out = [
            Depth(
                snapshot.instrument,
                snapshot.time_ns,
                snapshot.venue_ns,
                snapshot.last_id,
                True,
                snapshot.bids,
                snapshot.asks,
            )
        ]
        # Released together with the snapshot, so stamped with its arrival: time never goes back for the core.
        out += [_depth(diff, snapshot.time_ns) for diff in kept]
        self._last_id = kept[-1].last if kept else snapshot.last_id
        self._joined = bool(kept)
        self._buffer.clear()
        self.waiting = False
        return out

    def _continues(self, diff: RawDiff) -> bool:
        rule = self._rule
        return rule.follows(diff, self._last_id) if self._joined else rule.joins(diff, self._last_id)

    def _keep(self, diff: RawDiff) -> None:
        # A break inside the buffer makes everything before it worthless.
        if self._buffer and not self._rule.follows(diff, self._buffer[-1].last):
            if self._rule.repeats(diff, self._buffer[-1].last):
                return
            self._buffer.clear()
        elif len(self._buffer) >= BUFFER:
            self._buffer.clear()
        self._buffer.append(diff)


def _depth(diff: RawDiff, time_ns: int) -> Depth:
    return Depth(diff.instrument, time_ns, diff.venue_ns, diff.last, False, diff.bids, diff.asks)
