"""A rate is kept to the request, at the size real clocks have: nobody gets more, and nobody honest less."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.intake.limits import Buckets, Rate
from tests.intake_kit import SECOND

RATES = st.sampled_from((0.01, 0.5, 1.0, 2.0, 3.0, 7.0, 20.0, 200.0, 99_999.0, 100_000.0)) | st.floats(0.001, 100_000)
BURSTS = st.integers(1, 20)
NOW = st.integers(1_700_000_000 * SECOND, 2_000_000_000 * SECOND)
"""Real epoch times, between 2023 and 2033."""


def paces(most: int) -> st.SearchStrategy[list[float]]:
    """Waits between requests, in multiples of what the rate asks for."""
    return st.lists(st.sampled_from((0.0, 0.001, 0.5, 0.999_999, 1.0, 1.5)) | st.floats(0, most), max_size=60)


@given(RATES, BURSTS, NOW, paces(4))
@settings(max_examples=400, deadline=None)
def test_over_any_window_a_caller_gets_at_most_its_burst_and_its_rate(
    per_s: float, burst: int, now_ns: int, waits: list[float]
) -> None:
    buckets, each_ns = Buckets(), int(SECOND / per_s)
    times = list(accumulate((int(wait * each_ns) for wait in waits), initial=now_ns))
    taken = [time for time in times if not buckets.take("tv", Rate(per_s, burst), time)]
    for first, start in enumerate(taken):
        for last, end in enumerate(taken[first:], first):
            assert last - first + 1 <= burst + (end - start) // each_ns
    # Between a whole number of nanoseconds and the rate itself lies less than a ten-thousandth.
    assert each_ns * per_s > SECOND * 0.999_9


@given(RATES, BURSTS, NOW, paces(4))
@settings(max_examples=400, deadline=None)
def test_who_comes_no_faster_than_its_rate_is_never_refused(
    per_s: float, burst: int, now_ns: int, waits: list[float]
) -> None:
    buckets, each_ns = Buckets(), int(SECOND / per_s)
    for time in accumulate((each_ns + int(wait * each_ns) for wait in waits), initial=now_ns):
        assert buckets.take("tv", Rate(per_s, burst), time) == 0


@given(RATES, BURSTS, NOW, st.integers(0, 30))
@settings(max_examples=200, deadline=None)
def test_who_waits_as_long_as_it_was_told_is_heard(per_s: float, burst: int, now_ns: int, more: int) -> None:
    buckets, rate = Buckets(), Rate(per_s, burst)
    waits = [buckets.take("tv", rate, now_ns) for _ in range(burst + more)]
    assert [wait for wait in waits[:burst] if wait] == []
    if more:
        assert buckets.take("tv", rate, now_ns + int(waits[-1] * SECOND) + 1) == 0
