"""Notices funding settlements in a stream of marks: when the next funding time moves on, the last one has passed."""

from __future__ import annotations

from engine.model.instrument import InstrumentId
from engine.model.market import Funding, Mark


class FundingWatch:
    """Pure; one for all instruments of a feed.

    The rate is the last one streamed before the time, the mark the last one streamed before it (semantics 3).
    """

    def __init__(self) -> None:
        self._last: dict[InstrumentId, Mark] = {}

    def settled(self, mark: Mark) -> Funding | None:
        """The settlement that lies between this mark and the one before it, if any."""
        before = self._last.get(mark.instrument)
        self._last[mark.instrument] = mark
        if before is None or before.next_funding_ns is None or before.funding_rate is None:
            return None
        if mark.next_funding_ns is None or mark.next_funding_ns <= before.next_funding_ns:
            return None
        return Funding(mark.instrument, mark.time_ns, before.next_funding_ns, before.funding_rate, before.price)
