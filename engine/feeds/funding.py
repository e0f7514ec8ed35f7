"""Funding settlements of a live feed: noticed in the stream of marks, or read from the venue's history where no line was up.

Pure. Every settlement is given once, oldest first (semantics 3, F6).
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from engine.model.instrument import InstrumentId
from engine.model.market import Funding, Mark

MAX_RATE = Decimal("0.05")
"""No venue settles more at once; a rate beyond it is a slip that would empty accounts."""
REACH_BACK_NS = 24 * 3_600 * 1_000_000_000
"""A settlement before the ledger's end may still be missing in it: its line was down, or it was on its way to the disk."""

EARLY_NS = 60 * 1_000_000_000
"""A venue's clock and ours may differ by as much as this in when a settlement's time has come."""


class Settlement(Struct, frozen=True):
    """A row of a venue's funding history."""

    due_ns: int
    rate: Decimal
    mark: Decimal


def sane_rate(rate: Decimal) -> bool:
    """Finite, and no more than a venue may charge."""
    return rate.is_finite() and abs(rate) <= MAX_RATE


def sane_mark(mark: Decimal) -> bool:
    """Finite and above 0."""
    return mark.is_finite() and mark > 0


class _Track(Struct):
    given_ns: int
    """Due time of the last settlement given."""
    last: Mark | None = None
    waiting: bool = False
    held: list[Funding] = []


class FundingWatch:
    """One for all instruments of a feed; settlements due up to `since_ns` are not given.

    In a stream the rate is the last one before the settlement's time, the mark the last one before it. While the history
    since the last loss of the line is awaited, what the stream shows is held back: it is younger.
    """

    def __init__(self, since_ns: int = 0) -> None:
        self._since_ns = since_ns
        self._tracks: dict[InstrumentId, _Track] = {}

    def given_ns(self, instrument: InstrumentId) -> int:
        """Up to when settlements were given; history is wanted from there."""
        return self._track(instrument).given_ns

    def settled(self, mark: Mark) -> list[Funding]:
        """The settlement that lies between this mark and the one before it, if any."""
        track = self._track(mark.instrument)
        before, track.last = track.last, mark
        if before is None or before.next_funding_ns is None or before.funding_rate is None:
            return []
        if mark.next_funding_ns is None or mark.next_funding_ns <= before.next_funding_ns:
            if mark.funding_rate is None and mark.next_funding_ns == before.next_funding_ns:
                track.last = replace(mark, funding_rate=before.funding_rate)
            return []
        if (mark.venue_ns or mark.time_ns) < before.next_funding_ns - EARLY_NS:
            return []  # its interval became longer: what was due then is not any more
        funding = Funding(mark.instrument, mark.time_ns, before.next_funding_ns, before.funding_rate, before.price)
        if track.waiting:
            track.held.append(funding)
            return []
        return self._give(track, [funding])

    def lost(self, instrument: InstrumentId) -> None:
        """The line is down: what falls due before it is back only the history tells."""
        self._track(instrument).last = None

    def wait(self, instrument: InstrumentId) -> None:
        """Its history will be read."""
        self._track(instrument).waiting = True

    def caught_up(self, instrument: InstrumentId, rows: Iterable[Settlement], now_ns: int) -> list[Funding]:
        """The history was read, at `now_ns`: its settlements that were not given yet, then what was held back."""
        track = self._track(instrument)
        missed = [Funding(instrument, now_ns, row.due_ns, row.rate, row.mark) for row in rows if row.due_ns <= now_ns]
        held = [Funding(f.instrument, now_ns, f.due_ns, f.rate, f.mark) for f in track.held]
        track.waiting = False
        track.held.clear()
        return self._give(track, [*sorted(missed, key=lambda funding: funding.due_ns), *held])

    def _give(self, track: _Track, fundings: list[Funding]) -> list[Funding]:
        out = []
        for funding in fundings:
            if funding.due_ns > track.given_ns:
                track.given_ns = funding.due_ns
                out.append(funding)
        return out

    def _track(self, instrument: InstrumentId) -> _Track:
        track = self._tracks.get(instrument)
        if track is None:
            track = self._tracks[instrument] = _Track(self._since_ns)
        return track
