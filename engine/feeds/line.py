"""One socket of a live feed: connects, reads, watches every stream on it, and comes back after a loss."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from engine.clock import Clock, mono_ns
from engine.feeds.assembler import Assembler, Item, stream_of
from engine.feeds.base import UNREADABLE, Backoff, FeedRefused, FeedStats, explain
from engine.feeds.books import BookKeeper
from engine.feeds.history import FundingHistory
from engine.feeds.sequence import RawDiff
from engine.feeds.watchdog import StreamKey, Watchdog
from engine.model.instrument import InstrumentId
from engine.model.market import StreamState

_MAX_FRAME = 8 * 1024 * 1024
_CLOSE_S = 1.0
_RETRY_NS = 600 * 1_000_000_000
"""How long a stream that was silent on the line before, too, is left to it while others speak: its symbol may be halted."""


class Line(Struct, frozen=True):
    """A socket: where to, what to send first, and which (instrument, stream) it must deliver."""

    url: str
    streams: tuple[StreamKey, ...]
    subscribe: tuple[str, ...] = ()


class StreamSilent(Exception):
    """Streams of a live socket said nothing for too long."""

    def __init__(self, streams: list[StreamKey]) -> None:
        super().__init__(", ".join(f"{instrument} {name}" for instrument, name in streams))
        self.streams = streams


class LineReader:
    """Keeps one line up until cancelled. An exception of the sink is not caught: it is a fault of ours."""

    def __init__(
        self,
        line: Line,
        decode: Callable[[bytes, int], Item | None],
        assembler: Assembler,
        books: Mapping[InstrumentId, BookKeeper],
        histories: Sequence[FundingHistory],
        stats: FeedStats,
        clock: Clock,
        silence_s: Mapping[str, float],
        backoff: Backoff,
    ) -> None:
        self._line = line
        self._decode = decode
        self._assembler = assembler
        self._books = books
        self._histories = histories
        self._stats = stats
        self._clock = clock
        self._silence = silence_s
        self._backoff = backoff
        self._mute: set[StreamKey] = set()
        """Streams that said nothing on the last line that ended for a silence."""

    async def run(self) -> None:
        """Connect, read, and after a loss wait and connect again."""
        self._mark_all(StreamState.CONNECTING, self._line.url)
        while True:
            started = mono_ns()
            try:
                await self._session()
            except* StreamSilent as silent:
                for error in silent.exceptions:
                    self._mark_silent(error)
            except* (WebSocketException, OSError, FeedRefused) as lost:
                self._mark_all(StreamState.DOWN, "; ".join(map(explain, lost.exceptions)))
            # A group whose child failed in the same moment keeps a cancellation to itself.
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise asyncio.CancelledError
            self._stats.reconnects += 1
            self._backoff.lasted((mono_ns() - started) / 1e9)
            await asyncio.sleep(self._backoff.next())

    async def _session(self) -> None:
        line = self._line
        async with connect(line.url, max_size=_MAX_FRAME, close_timeout=_CLOSE_S, compression=None) as socket:
            for request in line.subscribe:
                await socket.send(request)
            for key in line.streams:
                if key[1] == "trade":  # a quiet market has none, and must not block entries for it
                    self._assembler.state(key, StreamState.LIVE, self._clock.now_ns())
            for book in self._books.values():
                book.connected()
            for history in self._histories:
                history.connected()
            watchdog = Watchdog(line.streams, self._silence, mono_ns())
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._watch(watchdog))
                    await self._read(socket, watchdog)
            finally:
                for book in self._books.values():
                    book.lost()

    async def _read(self, socket: ClientConnection, watchdog: Watchdog) -> None:
        stats, decode, assembler, now_ns = self._stats, self._decode, self._assembler, self._clock.now_ns
        while True:
            raw = await socket.recv(decode=False)
            stats.received += 1
            try:
                item = decode(raw, now_ns())
            except UNREADABLE:
                stats.broken += 1
                continue
            if item is None:
                continue
            if assembler.accept(item):
                watchdog.heard(stream_of(item), mono_ns())
            if type(item) is RawDiff and assembler.needs_snapshot(item.instrument):
                self._books[item.instrument].waits()

    async def _watch(self, watchdog: Watchdog) -> None:
        period, started = watchdog.period_s, mono_ns()
        while period is not None:
            await asyncio.sleep(period)
            now = mono_ns()
            silent, mute = watchdog.silent(now), watchdog.mute()
            if not silent:
                continue
            known = mute.intersection(self._mute).issuperset(silent)
            if not (known and watchdog.alive(now) and now - started < _RETRY_NS):
                self._mute = mute.intersection(silent)
                raise StreamSilent(silent)
            self._tell_silent(silent)

    def _mark_all(self, state: StreamState, detail: str) -> None:
        self._assembler.lost(self._line.streams, state, self._clock.now_ns(), detail)

    def _mark_silent(self, error: BaseException) -> None:
        silent = error.streams if isinstance(error, StreamSilent) else []
        self._tell_silent(silent)
        rest = [key for key in self._line.streams if key not in silent]
        self._assembler.lost(rest, StreamState.DOWN, self._clock.now_ns(), f"reconnecting: silent {error}")

    def _tell_silent(self, silent: list[StreamKey]) -> None:
        self._assembler.lost(silent, StreamState.SILENT, self._clock.now_ns(), "no message")
