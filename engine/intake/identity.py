"""When two deliveries are one signal (semantics 9). Pure: the time is an argument."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b

from engine.intake.port import Known
from engine.intake.schema import DERIVED

WEAK_NS = 30 * 1_000_000_000
"""Equal bodies so close to the LAST delivery count as one, where a source asks for it."""
MOST_RECENT = 4_096


def signal_id(source: str, key: str) -> str:
    """The same for the same signal, for ever."""
    return "s" + blake2b(f"{source}\0{key}".encode(), digest_size=10).hexdigest()


def timed_key(body_hash: str, alert_ns: int) -> str:
    """For an alert that says when it fired, and has no key of its own."""
    return f"{DERIVED}time:{alert_ns}:{body_hash}"


def single_key(body_hash: str, now_ns: int, count: int) -> str:
    """For a delivery that cannot be deduplicated and need not be: it never trades on its own."""
    return f"{DERIVED}once:{now_ns}:{count}:{body_hash[:16]}"


class Recent:
    """Bodies without key and time, as last delivered. Of too many the one unseen longest is forgotten."""

    def __init__(self, most: int = MOST_RECENT) -> None:
        self._most = most
        self._last: OrderedDict[tuple[str, str], tuple[str, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._last)

    def key(self, source: str, body_hash: str, now_ns: int, before: Callable[[], Known | None]) -> str:
        """The key of this delivery: that of the last one if it is close. `before` finds what an earlier run recorded."""
        seen = self._last.get((source, body_hash))
        if seen is None:
            known = before()
            seen = (known.key, known.received_ns) if known and known.key.startswith(f"{DERIVED}weak:") else None
        key = seen[0] if seen and now_ns - seen[1] <= WEAK_NS else f"{DERIVED}weak:{now_ns}:{body_hash}"
        self._last[source, body_hash] = (key, now_ns)
        self._last.move_to_end((source, body_hash))
        if len(self._last) > self._most:
            self._last.popitem(last=False)
        return key
