"""The desk's own recordings: every input as the core got it, one a line, readable up to the last flush after any crash.

A file is gzip of `<time ns> <json>` lines. The first line holds the header; the others one input each, under its type's name.
"""

from __future__ import annotations

import gzip
import threading
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from engine.feeds.base import FeedError
from engine.model.instrument import Instrument
from engine.model.market import Depth, FeedStatus, Funding, Mark, MarketInput, Quote, Trade

VERSION = 1
_MAX_WAITING = 500_000
"""Lines that may wait for the disk before the recording is given up."""
_LEVEL = 3


class Header(Struct, frozen=True):
    """The first line of a capture."""

    capture: int
    feed: str
    instruments: list[Instrument]


class CaptureLine(Struct, frozen=True, omit_defaults=True):
    """Any other line: exactly one field is set."""

    quote: Quote | None = None
    trade: Trade | None = None
    depth: Depth | None = None
    mark: Mark | None = None
    funding: Funding | None = None
    status: FeedStatus | None = None

    @property
    def item(self) -> MarketInput | None:
        """The input."""
        return self.quote or self.trade or self.depth or self.mark or self.funding or self.status


_NAMES: dict[type, bytes] = {
    Quote: b"quote",
    Trade: b"trade",
    Depth: b"depth",
    Mark: b"mark",
    Funding: b"funding",
    FeedStatus: b"status",
}
_encode = msgspec.json.Encoder(decimal_format="string").encode


class Recorder:
    """Writes a capture from its own thread, so that no disk ever holds up the feed.

    When the disk fails or falls too far behind, recording stops and `on_stopped(reason)` is called once, from within `write`.
    Raises FeedError when the file cannot be made, or exists already.
    """

    def __init__(
        self,
        path: Path,
        feed: str,
        instruments: Sequence[Instrument],
        now_ns: int,
        on_stopped: Callable[[str], None],
        flush_s: float = 0.5,
    ) -> None:
        try:
            self._file = gzip.open(path, "xb", compresslevel=_LEVEL)  # noqa: SIM115 - lives as long as the recorder
        except FileExistsError:
            raise FeedError(f"record: {path} exists; choose another name, nothing is overwritten") from None
        except OSError as error:
            raise FeedError(f"record: cannot write {path}: {error.strerror}") from error
        self._path = path
        self._on_stopped = on_stopped
        header = Header(VERSION, feed, list(instruments))
        # One deque for ever, appended here and drained there: swapping lists would lose a line between the threads.
        self._lines = deque([b"%d %b\n" % (now_ns, _encode(header))])
        self.flushed = 0
        """Lines that are safe in the file by now, the header among them."""
        self._failure: str | None = None
        self._told = False
        self._flush_s = flush_s
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._drain, name="recorder", daemon=True)
        self._thread.start()

    def write(self, item: MarketInput) -> None:
        """Record one input; never blocks, never raises."""
        if self._failure is not None:
            self._tell()
            return
        if len(self._lines) >= _MAX_WAITING:
            self._failure = "the disk is too slow"
            return
        self._lines.append(b'%d {"%b":%b}\n' % (item.time_ns, _NAMES[type(item)], _encode(item)))

    def close(self) -> None:
        """Write what is left and close the file."""
        self._closing.set()
        self._thread.join()
        if self._failure is not None:
            self._tell()

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            self._on_stopped(f"recording to {self._path.name} stopped: {self._failure}")

    def _drain(self) -> None:
        try:
            while not self._closing.wait(self._flush_s):
                self._flush()
            self._flush()
            self._file.close()
        except OSError as error:
            self._failure = error.strerror or str(error)
            self._lines.clear()
            self._abandon()

    def _flush(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if lines:
            self._file.write(b"".join(lines))
            # A sync flush ends on a byte boundary: all of it is readable even if nothing more is ever written.
            self._file.flush(zlib.Z_SYNC_FLUSH)
            self.flushed += len(lines)

    def _abandon(self) -> None:
        try:
            self._file.close()
        except OSError:
            pass  # the same full disk; what was flushed before is safe
