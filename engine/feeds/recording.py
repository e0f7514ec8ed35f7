"""Plays a recording on recorded time, from 1x to as fast as it goes, with pause.

A ledger's time never goes back. So a recording played again is shifted by whole days, which keeps the time of day and of
funding, and an engine started again goes on where the ledger ends.
"""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

from engine.clock import ManualClock, mono_ns
from engine.feeds.base import UNREADABLE, FeedError, FeedRefused, FeedStats, Sink
from engine.feeds.lines import Damaged, fingerprint, last_time_ns, read_lines, split_line
from engine.feeds.scripts import open_script, shifted
from engine.model.instrument import Instrument
from engine.model.market import FeedStatus, StreamState

MAX_SPEED = math.inf
_NAP_S = 0.05
_BEHIND_NS = 1_000_000_000
"""Further behind than this, and the machine was asleep: the recording goes on from where it stood."""
_BATCH = 128
"""Lines played before others on the loop get their turn."""
_DAY_NS = 86_400 * 1_000_000_000
PLAYED = "the recording was played to its end in this ledger; --ledger FILE plays it again in another one"


class RecordedClock(ManualClock):
    """Tells the recorded now; only its recording moves it, and never back."""

    __slots__ = ()

    def reach(self, now_ns: int) -> int:
        """Move forward to `now_ns` unless already past it; returns the time."""
        return self.advance_to(max(now_ns, self.now_ns()))


class RecordingFeed:
    """The Feed of a file. `speed` may be changed at any time; MAX_SPEED waits for nothing. Raises FeedError."""

    def __init__(self, path: Path, speed: float = 1.0) -> None:
        if not speed > 0:
            raise FeedError(f"speed: {speed} is not above 0; use pause to hold a recording")
        self._path = path
        self.identity = f"recording:{path.name}:{fingerprint(path)}"
        self._script = open_script(path)
        self.clock_offset_ns = self._script.offset_ns
        self.clock = RecordedClock(self._script.first_ns)
        self.speed = speed
        self.since_ns = 0
        """Inputs stamped up to then rebuild the books; what they led to is in the ledger already, so nothing may be decided on them."""
        self._shift_ns = 0
        self._played = False
        self._position = 0.0
        self._looked_ns = 0
        self._stats = FeedStats()
        self._going = asyncio.Event()
        self._going.set()

    async def instruments(self) -> list[Instrument]:
        """What was recorded."""
        return self._script.instruments

    async def relisted(self) -> list[Instrument]:
        """The same: what was recorded does not change."""
        return self._script.instruments

    def begin(self, since_ns: int, again: bool) -> None:
        """Before `run`: the ledger's time (0 in a new one), and whether a recording played already may start over there.

        Everything up to `since_ns` is played without waiting, the rest at speed. Raises FeedError.
        """
        first_ns = self._script.first_ns
        self.since_ns = since_ns
        last_ns = first_ns if since_ns < first_ns else last_time_ns(self._path, since_ns)
        if last_ns <= since_ns:
            days = (last_ns - first_ns) // _DAY_NS + 1
            played = (since_ns - first_ns) // (days * _DAY_NS)
            self._shift_ns = (played + again) * days * _DAY_NS
            self._played = last_ns + self._shift_ns <= since_ns
        self.clock.reach(max(first_ns + self._shift_ns, since_ns))

    async def run(self, sink: Sink) -> None:
        """Play to the end; the last inputs are an ENDED status for each instrument."""
        play = self._script.player(sink, self._stats)
        shift_ns, since_ns = self._shift_ns, self.since_ns
        stamp_ns = self._script.first_ns
        self._position = float(self.clock.now_ns())
        self._looked_ns = mono_ns()
        detail = "end of the recording"
        try:
            for line in read_lines(self._path):
                self._stats.received += 1
                if self._stats.received % _BATCH == 0:
                    await asyncio.sleep(0)
                try:
                    recorded_ns, payload = split_line(line)
                    stamp_ns = max(recorded_ns, stamp_ns)
                    item = self._script.decode(payload, stamp_ns)
                except (*UNREADABLE, FeedRefused):
                    self._stats.broken += 1
                    continue
                if item is None:
                    continue
                if stamp_ns + shift_ns > since_ns:
                    await self._until(stamp_ns + shift_ns)
                    self.clock.reach(stamp_ns + shift_ns)
                else:
                    self._looked_ns = mono_ns()
                play(shifted(item, shift_ns) if shift_ns else item)
        except Damaged as damage:
            detail = str(damage)
        now_ns = self.clock.reach(since_ns + 1)  # later than what is only shown
        for instrument in self._script.instruments:
            sink(FeedStatus(instrument.id, now_ns, "feed", StreamState.ENDED, PLAYED if self._played else detail))

    def pause(self) -> None:
        """Hold recorded time."""
        self._going.clear()

    def resume(self) -> None:
        """Let recorded time go on."""
        self._going.set()

    def stats(self) -> dict[str, int]:
        """Counter values by name."""
        return self._stats.as_dict()

    async def _until(self, recorded_ns: int) -> None:
        while True:
            if not self._going.is_set():
                await self._going.wait()
                self._looked_ns = mono_ns()
            if self.speed == MAX_SPEED:
                self._position = float(recorded_ns)
                return
            now_ns = mono_ns()
            self._position += (now_ns - self._looked_ns) * self.speed
            self._looked_ns = now_ns
            if self._position >= recorded_ns:
                self._position = min(self._position, recorded_ns + _BEHIND_NS * self.speed)
                return
            self.clock.reach(int(self._position))
            await asyncio.sleep(min((recorded_ns - self._position) / self.speed / 1e9, _NAP_S))
