"""Percentiles of a histogram are within its stated error of the true ones."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from engine.views.histogram import ERROR, EXACT_NS, MOST_NS, Histogram

DURATIONS = st.one_of(
    st.integers(0, MOST_NS),
    st.integers(0, 42).flatmap(lambda bits: st.integers(max(0, (1 << bits) - 2), min(MOST_NS, (1 << bits) + 2))),
)
SAMPLES = st.lists(DURATIONS, min_size=1, max_size=60)
PERCENT = st.integers(1, 100)


def histogram(samples: list[int]) -> Histogram:
    made = Histogram()
    for ns in samples:
        made.add(ns)
    return made


def exact(samples: list[int], percent: int) -> int:
    """The smallest sample that so many percent do not exceed."""
    return sorted(samples)[max(-(-len(samples) * percent // 100), 1) - 1]


@given(SAMPLES, PERCENT)
def test_a_percentile_is_within_two_percent_of_the_true_one(samples: list[int], percent: int) -> None:
    (found,) = histogram(samples).percentiles(percent)
    assert found is not None
    true = exact(samples, percent)
    assert abs(found - true) <= true * ERROR
    assert ERROR < 0.02


@given(st.lists(st.integers(0, EXACT_NS - 1), min_size=1, max_size=30), PERCENT)
def test_short_durations_are_exact(samples: list[int], percent: int) -> None:
    assert histogram(samples).percentiles(percent) == (exact(samples, percent),)


@given(st.lists(st.integers(-(1 << 70), 1 << 70), max_size=20))
def test_no_duration_breaks_it(samples: list[int]) -> None:
    made = histogram(samples)
    assert made.count == len(samples)
    for found in made.percentiles(1, 50, 100):
        assert found is None if not samples else 0 <= (found or 0) <= MOST_NS


def test_memory_does_not_grow_with_samples() -> None:
    few, many = histogram([5]), histogram([n * n for n in range(50_000)])
    assert sys.getsizeof(few._buckets) == sys.getsizeof(many._buckets)


def test_nothing_counted_is_not_known() -> None:
    assert Histogram().percentiles(50, 99) == (None, None)
