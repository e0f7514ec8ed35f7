"""Durations counted in buckets: fixed memory, a known error, and samples that cost far less than what they measure."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate

BITS = 5
"""Each power of two is cut into 2**5 buckets: the middle of one is within 1/64 = 1.6 % of anything in it."""
EXACT_NS = 2 << BITS
"""Durations below this are counted exactly."""
MOST_NS = (1 << 43) - 1
"""2.4 hours; what took longer counts as this."""
ERROR = 1 / EXACT_NS
"""Largest relative error of a percentile, up to MOST_NS."""
_SHARE = 1 << BITS
_BUCKETS = (MOST_NS.bit_length() - BITS + 1) << BITS


class Histogram:
    """Log-linear counts of durations in ns."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets = [0] * _BUCKETS

    def add(self, ns: int) -> None:
        """Count a duration; one below 0 counts as 0."""
        # Its leading BITS + 1 bits, and how many follow them.
        shift = ns.bit_length() - (BITS + 1)
        try:
            if ns < 0:
                ns = 0
            elif shift > 0:
                ns = (shift << BITS) + (ns >> shift)
            self._buckets[ns] += 1
        except IndexError:
            self._buckets[-1] += 1

    @property
    def count(self) -> int:
        """How many were counted."""
        return sum(self._buckets)

    def percentiles(self, *percents: int) -> tuple[int | None, ...]:
        """The durations, ns, that so many percent of the samples do not exceed; None without samples."""
        buckets = self._buckets
        # By powers of two first, then within one: most buckets need not be walked.
        shares = list(accumulate(sum(buckets[at : at + _SHARE]) for at in range(0, _BUCKETS, _SHARE)))
        if not shares[-1]:
            return (None,) * len(percents)
        found = []
        for percent in percents:
            rank = max(-(-shares[-1] * percent // 100), 1)
            share = bisect_left(shares, rank)
            start = share * _SHARE
            below = shares[share - 1] if share else 0
            within = list(accumulate(buckets[start : start + _SHARE], initial=below))
            found.append(_middle(start + bisect_left(within, rank) - 1))
        return tuple(found)


def _middle(bucket: int) -> int:
    if bucket < EXACT_NS:
        return bucket
    shift = (bucket >> BITS) - 1
    return (bucket - (shift << BITS) << shift) + (1 << shift - 1)
