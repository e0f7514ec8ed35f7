"""A connection to the simulated market: frames through the real decoder, gate, sequencing and watchdog, into a sink.

What breaks on the way (gaps, order, silence, the connection itself) breaks here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import product

from engine.clock import Clock
from engine.feeds.assembler import Assembler, stream_of
from engine.feeds.base import UNREADABLE, FeedStats, Sink
from engine.feeds.binance.frames import FrameDecoder
from engine.feeds.binance.rest import parse_depth
from engine.feeds.sanity import PriceGate
from engine.feeds.sequence import RawDiff, UsdmRule
from engine.feeds.watchdog import StreamKey, Watchdog
from engine.model.instrument import InstrumentId
from engine.model.market import StreamState
from engine.sim.faults import Fault, Faults
from engine.sim.market import SimMarket, Symbol

LATENCY_S = 0.01
SNAPSHOT_S = 0.2
SILENCE_S = {"quote": 8.0, "mark": 15.0}
WATCH_S = 2.0
RECONNECT_S = 1.0
_STREAMS = ("quote", "depth", "trade", "mark")
_LOST = (Fault.MARKET_GAP, Fault.MARKET_REORDER, Fault.MARKET_TRUNCATED)


class MarketLine:
    """Delivers into `sink` until closed; comes back by itself after a loss. `clock` stamps what arrives."""

    def __init__(self, market: SimMarket, sink: Sink, clock: Clock, faults: Faults) -> None:
        """Connects at once."""
        self.stats = FeedStats()
        self._market = market
        self._clock = clock
        self._faults = faults
        self._loop = asyncio.get_running_loop()
        self._symbols = {symbol.instrument.id: symbol for symbol in market.symbols}
        self._keys = list(product(self._symbols, _STREAMS))
        self._decode = FrameDecoder({s.instrument.symbol.lower(): i for i, s in self._symbols.items()}).decode_frame
        self._assembler = Assembler(sink, self.stats, UsdmRule(), PriceGate())
        self._connection = 0
        """Which one it is; what an earlier one brings is worthless."""
        self._up = False
        self._silent_until = 0.0
        self._fetching: set[InstrumentId] = set()
        self._held_back: dict[InstrumentId, bytes] = {}
        self._watchdog = Watchdog([], {}, 0)
        self._now_ns = _mono(self._loop)
        market.listeners.append(self._heard)
        self._assembler.lost(self._keys, StreamState.CONNECTING, clock.now_ns(), "simulated")
        self._connect()

    def close(self) -> None:
        """Hear nothing more; says nothing more."""
        self._connection += 1
        self._up = False
        if self._heard in self._market.listeners:
            self._market.listeners.remove(self._heard)

    def drop(self, detail: str = "connection lost") -> None:
        """The connection breaks and is made anew."""
        if self._up:
            self._lost(self._keys, detail)

    # --- Frames -------------------------------------------------------------------------------------

    def _heard(self, symbol: Symbol, stream: str, frame: bytes) -> None:
        """The market sent a frame."""
        faults, name = self._faults, symbol.instrument.symbol
        if not self._up:
            return
        if stream == "quote":
            if faults.hits(Fault.MARKET_DROP, name):
                self.drop()
                return
            if faults.hits(Fault.MARKET_SILENT, name):
                self._silent_until = self._loop.time() + faults.between(Fault.MARKET_SILENT, 3.0, 40.0)
        if self._loop.time() < self._silent_until and not faults.stopped:
            return
        late = self._held_back.pop(symbol.instrument.id, None) if stream == "depth" else None
        fault = faults.one_of(_LOST if stream == "depth" else _LOST[2:], name)
        frames = [frame]
        if fault is Fault.MARKET_GAP:
            frames = []
        elif fault is Fault.MARKET_TRUNCATED:
            frames = [frame[: len(frame) // 2]]
        elif fault is Fault.MARKET_REORDER:
            frames = []
            self._held_back[symbol.instrument.id] = frame
        if late is not None:
            frames.append(late)
        if frames:
            self._loop.call_later(LATENCY_S, self._arrive, self._connection, frames)

    def _arrive(self, connection: int, frames: list[bytes]) -> None:
        for frame in frames:
            if connection == self._connection:
                self._take(frame)

    def _take(self, frame: bytes) -> None:
        stats, assembler = self.stats, self._assembler
        stats.received += 1
        try:
            item = self._decode(frame, self._clock.now_ns())
        except UNREADABLE:
            stats.broken += 1
            return
        if item is None:
            return
        if assembler.accept(item):
            self._watchdog.heard(stream_of(item), self._now_ns())
        if type(item) is RawDiff and assembler.needs_snapshot(item.instrument):
            self._fetch(item.instrument)

    # --- Books --------------------------------------------------------------------------------------

    def _fetch(self, instrument: InstrumentId) -> None:
        """Ask for a snapshot, one at a time."""
        if instrument not in self._fetching:
            self._fetching.add(instrument)
            self._loop.call_later(SNAPSHOT_S, self._fetched, self._connection, instrument)

    def _fetched(self, connection: int, instrument: InstrumentId) -> None:
        if connection != self._connection:
            return
        self._fetching.discard(instrument)
        body = self._symbols[instrument].snapshot(self._market.now_ms)
        if not self._assembler.snapshot(parse_depth(body, instrument, self._clock.now_ns())):
            self._fetch(instrument)

    # --- The connection -----------------------------------------------------------------------------

    def _connect(self) -> None:
        self._up = True
        self._watchdog = Watchdog(self._keys, SILENCE_S, self._now_ns())
        for key in self._keys:
            if key[1] == "trade":  # a quiet market has none, and must not block entries for it
                self._assembler.state(key, StreamState.LIVE, self._clock.now_ns())
        for instrument in self._symbols:
            self._fetch(instrument)
        self._loop.call_later(WATCH_S, self._watch, self._connection)

    def _watch(self, connection: int) -> None:
        if connection != self._connection:
            return
        silent = self._watchdog.silent(self._now_ns())
        if silent:
            self._assembler.lost(silent, StreamState.SILENT, self._clock.now_ns(), "no message; reconnecting")
            self._lost([key for key in self._keys if key not in silent], "reconnecting: others are silent")
        else:
            self._loop.call_later(WATCH_S, self._watch, connection)

    def _lost(self, keys: list[StreamKey], detail: str) -> None:
        self._connection += 1
        self._up = False
        self._silent_until = 0.0
        self._fetching.clear()
        self._held_back.clear()
        self.stats.reconnects += 1
        self._assembler.lost(keys, StreamState.DOWN, self._clock.now_ns(), detail)
        self._loop.call_later(RECONNECT_S, self._reconnect, self._connection)

    def _reconnect(self, connection: int) -> None:
        if connection == self._connection:
            self._connect()


def _mono(loop: asyncio.AbstractEventLoop) -> Callable[[], int]:
    """Monotonic ns of a loop."""
    return lambda: int(loop.time() * 1e9)
