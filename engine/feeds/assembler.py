"""From decoded frames to inputs of the core: price gate, book sequencing, funding, stream states. Synchronous, no IO.

Live feeds and recordings share it, so a recording takes the very path its market took.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from engine.feeds.base import FeedStats, Sink
from engine.feeds.funding import FundingWatch, sane_rate
from engine.feeds.sanity import PriceGate, Verdict, sane_levels
from engine.feeds.sequence import BookSequence, RawDiff, Rule, Snapshot
from engine.feeds.tops import BookTop
from engine.feeds.watchdog import StreamKey
from engine.model.instrument import InstrumentId
from engine.model.market import Depth, FeedStatus, Mark, Quote, StreamState, Trade

Item = Quote | Trade | Mark | RawDiff
"""What a decoder makes of a frame."""

_STREAMS: dict[type, str] = {Quote: "quote", RawDiff: "depth", Trade: "trade", Mark: "mark"}


def stream_of(item: Item) -> StreamKey:
    """Which stream an item came by."""
    return item.instrument, _STREAMS[type(item)]


class Assembler:
    """Takes items and snapshots of one feed, pushes inputs into the sink."""

    def __init__(
        self, sink: Sink, stats: FeedStats, rule: Rule, gate: PriceGate, funding: FundingWatch | None = None
    ) -> None:
        self._sink = sink
        self._stats = stats
        self._rule = rule
        self._gate = gate
        self._funding = funding or FundingWatch()
        self._books: dict[InstrumentId, BookSequence] = {}
        self._tops: dict[InstrumentId, BookTop] = {}
        self._quoted: dict[InstrumentId, Quote] = {}
        """The last quote since the line is up."""
        self._states: dict[StreamKey, tuple[StreamState, str]] = {}

    def accept(self, item: Item) -> bool:
        """Take one decoded item; False where it is worth nothing and was dropped."""
        if type(item) is Quote:
            last = self._quoted.get(item.instrument)
            # A venue that numbers anew does so at a later time; one whose clock is set back goes on numbering.
            if last is not None and item.update_id < last.update_id and item.venue_ns <= last.venue_ns:
                self._stats.dropped_late += 1
                return False
            if not self._passes(self._gate.quote(item)):
                return False
            self._quoted[item.instrument] = item
            self._sink(item)
            if last is None:
                self.state((item.instrument, "quote"), StreamState.LIVE, item.time_ns)
        elif type(item) is RawDiff:
            return self._diff(item)
        elif type(item) is Trade:
            if not self._passes(self._gate.trade(item)):
                return False
            self._sink(item)
            self.state((item.instrument, "trade"), StreamState.LIVE, item.time_ns)
        elif type(item) is Mark:
            if not self._passes(self._gate.mark(item)):
                return False
            self._mark(item)
        return True

    def snapshot(self, snapshot: Snapshot) -> bool:
        """Take a book snapshot; False when it is too old and another must be fetched."""
        book = self._book(snapshot.instrument)
        if not book.waiting:
            return True
        if not (sane_levels(snapshot.bids) and sane_levels(snapshot.asks)):
            self._stats.broken += 1
            return False
        key = (snapshot.instrument, "depth")
        self._tops[snapshot.instrument] = BookTop()
        if not self._pass_on(book.snapshot(snapshot)):
            book.reset()
            self.state(key, StreamState.RESYNC, snapshot.time_ns, f"impossible prices in snapshot {snapshot.last_id}")
        if book.waiting:
            return False
        self._stats.resyncs += 1
        self.state(key, StreamState.LIVE, snapshot.time_ns)
        return True

    def needs_snapshot(self, instrument: InstrumentId) -> bool:
        """The book of an instrument waits for a snapshot."""
        return self._book(instrument).waiting

    def has_quote(self, instrument: InstrumentId) -> bool:
        """A quote came since the line is up."""
        return instrument in self._quoted

    def lost(self, streams: Iterable[StreamKey], state: StreamState, now_ns: int, detail: str) -> None:
        """A connection is gone, or not there yet: its books start over, its streams have `state`."""
        for key in streams:
            if key[1] == "depth":
                self._book(key[0]).reset()
            elif key[1] == "quote":
                self._quoted.pop(key[0], None)
            elif key[1] == "mark":
                self._funding.lost(key[0])
            self.state(key, state, now_ns, detail)

    def state(self, key: StreamKey, state: StreamState, now_ns: int, detail: str = "") -> None:
        """Note a stream's state; a change, or a new reason, is told to the core."""
        known = self._states.get(key)
        if known is None or known[0] is not state or (detail and known[1] != detail):
            self._states[key] = (state, detail)
            self._sink(FeedStatus(key[0], now_ns, key[1], state, detail))

    def _book(self, instrument: InstrumentId) -> BookSequence:
        book = self._books.get(instrument)
        if book is None:
            book = self._books[instrument] = BookSequence(self._rule)
        return book

    def _diff(self, diff: RawDiff) -> bool:
        if not (sane_levels(diff.bids) and sane_levels(diff.asks)):
            self._stats.broken += 1  # left out, it shows as a gap with the next one
            return False
        book = self._book(diff.instrument)
        key = (diff.instrument, "depth")
        if book.waiting:
            book.diff(diff)
            self.state(key, StreamState.RESYNC, diff.time_ns)
        elif not self._pass_on(book.diff(diff)):
            book.reset()
            self.state(key, StreamState.RESYNC, diff.time_ns, f"impossible prices in update {diff.last}")
        elif book.waiting:
            self._stats.gaps += 1
            self.state(key, StreamState.RESYNC, diff.time_ns, f"gap before update {diff.first}")
        return True

    def _pass_on(self, depths: Sequence[Depth]) -> bool:
        """Hand depths to the core, or none of them when one makes the book impossible."""
        for depth in depths:
            top = self._tops[depth.instrument]
            top.apply(depth)
            if not self._passes(self._possible(depth.instrument, top)):
                return False
        for depth in depths:
            self._sink(depth)
        return True

    def _possible(self, instrument: InstrumentId, top: BookTop) -> Verdict:
        if top.bid >= top.ask:
            return Verdict.CROSSED
        # A quote from before a loss of the line says nothing: the market may have moved on.
        return self._gate.book(instrument, top.bid, top.ask) if instrument in self._quoted else Verdict.GOOD

    def _mark(self, mark: Mark) -> None:
        if mark.funding_rate is not None and not sane_rate(mark.funding_rate):
            self._stats.dropped_absurd += 1
            mark = msgspec.structs.replace(mark, funding_rate=None)  # its price is needed, whatever the rate
        if not self._passes(self._gate.index(mark)):
            mark = msgspec.structs.replace(mark, index=None)
        # Funding is charged on what was held before its time, so it comes first.
        for settled in self._funding.settled(mark):
            self._sink(settled)
        self._sink(mark)
        self.state((mark.instrument, "mark"), StreamState.LIVE, mark.time_ns)

    def _passes(self, verdict: Verdict) -> bool:
        if verdict is Verdict.GOOD:
            return True
        if verdict is Verdict.CROSSED:
            self._stats.dropped_crossed += 1
        else:
            self._stats.dropped_absurd += 1
        return False
