"""What an HTTP answer, or the want of one, proves about a request: the sorting every HTTP venue shares (DESIGN 8).

Status rules: venues/binance.md 8; a 5xx is "execution status unknown" everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from msgspec import Struct

from engine.venues.errors import Ambiguous, NotFound, RateLimited, Refused, Unreachable, VenueError


class Codes(Struct, frozen=True):
    """The codes of one venue's refusals that are more than a refusal."""

    missing: frozenset[str] = frozenset()
    """It has no such order."""
    limited: frozenset[str] = frozenset()
    """It did not look: too many requests, or too busy."""
    unsure: frozenset[str] = frozenset()
    """It does not know itself what became of the request. Its "duplicate client id" is one: an earlier try is there."""


def sort_answer(status: int, headers: Mapping[str, str], code: str, message: str, codes: Codes) -> VenueError | None:
    """What an answer means; None for a 2xx, whose body is still to be read.

    `code` and `message` are the venue's own, empty where the body held none: then somebody in between has answered, and
    nothing is proven. Header names are looked up in lower case.
    """
    if 200 <= status < 300:
        return None
    said = f"HTTP {status}: {message}" if message else f"HTTP {status}"
    if status in (418, 429) or (code in codes.limited and 400 <= status < 500):
        return RateLimited(said, retry_after(headers))
    if not 400 <= status < 500 or status == 408 or not code or code in codes.unsure:
        return Ambiguous(said)
    if code in codes.missing:
        return NotFound(code, message)
    return Refused(code, message)


def unanswered(error: BaseException, *, sent: bool) -> VenueError:
    """What a request means that got no answer; `sent` unless it is proven that nothing left."""
    said = str(error).partition("\n")[0] or type(error).__name__
    return Ambiguous(said) if sent else Unreachable(said)


def unreadable(status: int, body: bytes, error: BaseException) -> Ambiguous:
    """What an answer means whose body cannot be read, or speaks of something else: nothing."""
    return Ambiguous(f"HTTP {status} with {len(body)} bytes that cannot be read: {error}")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds the venue wants us to wait; None where it does not say, or says it in no number."""
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < math.inf else None
