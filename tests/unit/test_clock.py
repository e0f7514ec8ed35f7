"""The clocks: the system's never goes back between two readings, the manual one obeys."""

import pytest

from engine.clock import Clock, ManualClock, WallClock, mono_ns, wall_ns

_YEAR_2020_NS = 1_577_836_800 * 10**9
_YEAR_2200_NS = 7_258_118_400 * 10**9


def read(clock: Clock) -> int:
    return clock.now_ns()


def test_wall_clock_counts_nanoseconds_since_the_epoch() -> None:
    assert _YEAR_2020_NS < wall_ns() < _YEAR_2200_NS
    assert _YEAR_2020_NS < read(WallClock()) < _YEAR_2200_NS


def test_monotonic_clock_never_goes_back() -> None:
    readings = [mono_ns() for _ in range(1000)]
    assert readings == sorted(readings)


def test_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(1_000)
    assert read(clock) == read(clock) == 1_000
    assert clock.advance(500) == 1_500
    assert clock.advance_to(2_000) == 2_000
    assert clock.advance(0) == read(clock) == 2_000


def test_manual_clock_does_not_go_back() -> None:
    clock = ManualClock(1_000)
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance_to(999)
    assert read(clock) == 1_000
