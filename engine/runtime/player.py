"""Player: the feed's inputs on their way to the desk, the candles, the counters and a recording."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress
from pathlib import Path

from engine.clock import ManualClock, mono_ns
from engine.core.inputs import Note
from engine.feeds.base import Backoff, Feed, Sink
from engine.feeds.capture import Recorder
from engine.model.event import AlarmRaised
from engine.model.instrument import Instrument
from engine.model.market import FeedStatus, MarketInput, Quote, StreamState, Trade
from engine.runtime.keeper import Keeper, NotDurable
from engine.runtime.status import StatusSource
from engine.views.candles import CandleBook

log = logging.getLogger(__name__)

AGAIN_S = 1.0
LONGEST_S = 10.0
"""A feed that fails again and again is begun again no more often than venues let one connect."""
AFTER_END_S = 0.02


class Player:
    """Runs one feed into one keeper. `ages` wants the time from when each quote was due to when it was handled."""

    def __init__(
        self,
        feed: Feed,
        keeper: Keeper,
        status: StatusSource,
        candles: CandleBook,
        *,
        ages: bool,
        since_ns: int = 0,
        also: Sink | None = None,
    ) -> None:
        """Inputs up to `since_ns` are in the ledger's past: they build the books, and nothing is decided on them.

        `also` hears every input after the desk.
        """
        self._feed = feed
        self._keeper = keeper
        self._status = status
        self._candles = candles
        self._ages = status.ages if ages else None
        self._since_ns = since_ns
        self._also = also
        self._recorder: Recorder | None = None

    def record(self, path: Path, instruments: list[Instrument]) -> None:
        """Write every input to a file, too; raises FeedError."""
        now_ns = self._feed.clock.now_ns()
        self._recorder = Recorder(path, self._feed.identity, instruments, now_ns, self._recording_failed)
        self._status.recording = path.name

    async def run(self) -> None:
        """The feed for as long as it lasts; one that fails is begun again, since a stop needs prices to fire."""
        sink, clock = self._sink(), self._feed.clock
        if self._also is not None:
            sink = _both(sink, self._also)
        backoff = Backoff(random.Random(0), AGAIN_S, LONGEST_S)
        while True:
            started = mono_ns()
            try:
                await self._feed.run(sink)
            except Exception as error:
                log.exception("the feed failed")
                self._tell(sink, StreamState.DOWN, f"the feed failed: {error!r}")
            else:
                self._status.ended_ns = clock.now_ns() if isinstance(clock, ManualClock) else 0
            if isinstance(clock, ManualClock):
                break
            backoff.lasted((mono_ns() - started) / 1e9)
            await asyncio.sleep(backoff.next())
            self._tell(sink, StreamState.LIVE, "")
        last_ns = mono_ns()
        while True:
            # A recording's time would stand still at its end, and with it the orders on their way.
            await asyncio.sleep(AFTER_END_S)
            last_ns, passed = mono_ns(), mono_ns() - last_ns
            clock.advance(passed)

    def close(self) -> None:
        """End the recording."""
        if self._recorder is not None:
            self._recorder.close()

    def _sink(self) -> Sink:
        """What the feed calls for every input; the hot path, so everything it needs is local."""
        keeper_market = self._keeper.market
        status, candles, ages = self._status, self._candles, self._ages
        now_ns = self._feed.clock.now_ns
        since_ns = self._since_ns

        def take(item: MarketInput) -> None:
            if item.time_ns <= since_ns:
                self._keeper.desk.observe(item)
            else:
                keeper_market(item)
            kind = type(item)
            if kind is Quote:
                status.ticks += 1
                candles.quote(item)  # type: ignore[arg-type]
                if ages is not None:
                    ages.append(now_ns() - item.venue_ns)  # type: ignore[union-attr]
            elif kind is Trade:
                candles.trade(item)  # type: ignore[arg-type]
            if self._recorder is not None:
                self._recorder.write(item)

        return take

    def _tell(self, sink: Sink, state: StreamState, detail: str) -> None:
        for instrument in list(self._keeper.desk.kernel.markets):
            sink(FeedStatus(instrument, self._keeper.now_ns(), "feed", state, detail))

    def _recording_failed(self, reason: str) -> None:
        self._status.recording = ""
        self._recorder = None
        with suppress(NotDurable):
            self._keeper.decide(Note(self._keeper.now_ns(), AlarmRaised("RECORDING", reason)))


def _both(first: Sink, second: Sink) -> Sink:
    def take(item: MarketInput) -> None:
        first(item)
        second(item)

    return take
