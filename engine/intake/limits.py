"""Rates and guesses, by address and by source. Pure: the time is an argument. Memory is bounded whoever calls."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

SECOND = 1_000_000_000
MOST_CALLERS = 8_192
_LONGEST_NS = 10**18


class Rate(NamedTuple):
    """`per_s` requests a second on the long run, up to `burst` at once."""

    per_s: float
    burst: int


def _each_ns(rate: Rate) -> int:
    """Nanoseconds to a request, a whole number: at the clock's size a float counts in steps of 256."""
    return max(1, int(min(SECOND / rate.per_s, _LONGEST_NS)))


class Buckets:
    """A token bucket for each caller. Of too many the one unseen longest is forgotten: its bucket is the likeliest to be full."""

    def __init__(self, most: int = MOST_CALLERS) -> None:
        self._most = most
        # When the bucket would be full again: all a bucket needs to remember.
        self._full_ns: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_ns)

    def take(self, who: str, rate: Rate, now_ns: int) -> float:
        """Take a token: 0, or seconds until there is one."""
        each = _each_ns(rate)
        # A burst is one at least: who was never seen always gets one.
        empty_ns = now_ns + each * max(1, rate.burst)
        # No emptier than empty: where a rate was raised, what was taken at the old one is not waited for.
        full_ns = min(max(self._full_ns.get(who, now_ns), now_ns), empty_ns)
        wait_ns = max(0, full_ns + each - empty_ns)
        self._full_ns[who] = full_ns if wait_ns else full_ns + each
        self._full_ns.move_to_end(who)
        if len(self._full_ns) > self._most:
            self._full_ns.popitem(last=False)
        return wait_ns / SECOND


class Patience(NamedTuple):
    """After `guesses` wrong keys within `window_s` no guess is answered for `quarantine_s`."""

    guesses: int = 10
    window_s: int = 600
    quarantine_s: int = 900


class _Tries(NamedTuple):
    wrong: int
    since_ns: int
    until_ns: int


class Guesses:
    """Wrong keys, counted by caller; of too many callers the one whose last guess is oldest is forgotten."""

    def __init__(self, patience: Patience, most: int = MOST_CALLERS) -> None:
        self._patience = patience
        self._most = most
        self._tries: OrderedDict[str, _Tries] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tries)

    def wait_s(self, who: str, now_ns: int) -> float:
        """Seconds until `who` is heard again; 0 when not shut out."""
        tries = self._tries.get(who)
        return max(0.0, (tries.until_ns - now_ns) / SECOND) if tries else 0.0

    def wrong(self, who: str, now_ns: int) -> bool:
        """Count a wrong key; True when it was the one that shuts out."""
        tries = self._tries.get(who)
        if tries is None or now_ns - tries.since_ns > self._patience.window_s * SECOND:
            tries = _Tries(0, now_ns, tries.until_ns if tries else 0)
        wrong = tries.wrong + 1
        shut = wrong % self._patience.guesses == 0
        until_ns = now_ns + self._patience.quarantine_s * SECOND if shut else tries.until_ns
        self._tries[who] = _Tries(wrong, tries.since_ns, until_ns)
        self._tries.move_to_end(who)
        if len(self._tries) > self._most:
            self._tries.popitem(last=False)
        return shut


class Quarantine:
    """Who guesses keys is turned away for a while: by address, and by the source whose key many addresses try."""

    def __init__(self, patience: Patience | None = None, most: int = MOST_CALLERS) -> None:
        self._addresses = Guesses(patience or Patience(), most)
        self._sources = Guesses(patience or Patience(), most)

    def wait_s(self, address: str, source: str, now_ns: int) -> float:
        """Seconds until a guess from `address` at a key of `source` (empty: of none) is answered again."""
        return max(self._addresses.wait_s(address, now_ns), self._sources.wait_s(source, now_ns) if source else 0.0)

    def wrong(self, address: str, source: str, now_ns: int) -> tuple[str, ...]:
        """Count a wrong key, for `source` where the key named one. Returns who is shut out from now on."""
        shut = []
        if self._addresses.wrong(address, now_ns):
            shut.append(f"address {address}")
        if source and self._sources.wrong(source, now_ns):
            shut.append(f"source {source}")
        return tuple(shut)
