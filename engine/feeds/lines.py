"""Recording files: `<local ns> <json>` lines, gzipped or plain."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path

from engine.feeds.base import FeedError

_GZIP_MAGIC = b"\x1f\x8b"
_HASHED = 1 << 20
_LATEST_NS = 1 << 62
"""A stamp beyond the year 2116 is a damaged one, with a digit too many."""


class Damaged(Exception):
    """The file ends in the middle of something; what came before was read."""


def fingerprint(path: Path) -> str:
    """A short hash of the file's first MiB and its size; raises FeedError."""
    try:
        with path.open("rb") as file:
            head = file.read(_HASHED)
        size = path.stat().st_size
    except OSError as error:
        raise FeedError(f"recording: cannot read {path}: {error.strerror}; check the file's name") from error
    return hashlib.blake2b(head + size.to_bytes(8, "big"), digest_size=4).hexdigest()


def read_lines(path: Path) -> Iterator[bytes]:
    """Every whole line. Raises Damaged after the last one that could be read, OSError when the file cannot be opened."""
    with path.open("rb") as probe:
        zipped = probe.read(2) == _GZIP_MAGIC
    count = 0
    try:
        with gzip.open(path, "rb") if zipped else path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    raise Damaged(f"cut off in line {count + 1}")
                count += 1
                yield line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Damaged(f"the file is cut off or damaged after line {count}: {error}") from error


def split_line(line: bytes) -> tuple[int, bytes]:
    """Local time and JSON text; raises ValueError."""
    stamp, _, payload = line.partition(b" ")
    time_ns = int(stamp)
    if not 0 <= time_ns < _LATEST_NS:
        raise ValueError(f"{time_ns} is no time")
    return time_ns, payload.strip()


def last_time_ns(path: Path, enough_ns: int) -> int:
    """The last line's time; or the first one after `enough_ns`, without reading further. Raises FeedError."""
    last = 0
    try:
        for line in read_lines(path):
            try:
                last = max(last, split_line(line)[0])
            except ValueError:
                continue
            if last > enough_ns:
                break
    except Damaged:
        pass
    except OSError as error:
        raise FeedError(f"recording: cannot read {path}: {error.strerror}; check the file's name") from error
    return last
