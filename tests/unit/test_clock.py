"""The clocks: the system's never goes back between two readings, the manual one obeys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import Clock, ManualClock, SteadyClock, mono_ns, wall_ns

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND

_YEAR_2020_NS = 1_577_836_800 * 10**9
_YEAR_2200_NS = 7_258_118_400 * 10**9


def read(clock: Clock) -> int:
    return clock.now_ns()


def test_wall_clock_counts_nanoseconds_since_the_epoch() -> None:
    assert _YEAR_2020_NS < wall_ns() < _YEAR_2200_NS
    assert _YEAR_2020_NS < read(SteadyClock()) < _YEAR_2200_NS


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


class System:
    """A machine's two clocks; the wall one can be set."""

    def __init__(self, wall: int = 100 * HOUR, mono: int = 7) -> None:
        self.wall, self.mono = wall, mono

    def steady(self, floor_ns: int = 0) -> SteadyClock:
        return SteadyClock(floor_ns, lambda: self.wall, lambda: self.mono)

    def passes(self, ns: int) -> None:
        self.wall += ns
        self.mono += ns


class TestSteadyClock:
    def test_it_tells_the_wall_time_of_a_machine_that_is_left_alone(self) -> None:
        system = System()
        clock = system.steady()
        assert (read(clock), clock.step_ns) == (100 * HOUR, 0)
        system.passes(90 * SECOND)
        assert (read(clock), clock.step_ns) == (100 * HOUR + 90 * SECOND, 0)

    def test_the_real_one_is_the_wall_clock(self) -> None:
        before = wall_ns()
        assert before - SECOND <= read(SteadyClock()) <= wall_ns() + SECOND

    def test_a_wall_clock_set_back_neither_takes_it_back_nor_holds_it(self) -> None:
        system = System()
        clock = system.steady()
        system.wall -= HOUR
        assert (read(clock), clock.step_ns) == (100 * HOUR, HOUR)
        system.passes(5 * SECOND)
        assert (read(clock), clock.step_ns) == (100 * HOUR + 5 * SECOND, HOUR)

    def test_a_wall_clock_set_right_again_ends_the_step_without_a_jump(self) -> None:
        system = System()
        clock = system.steady()
        system.wall -= HOUR
        system.passes(5 * SECOND)
        system.wall += HOUR
        assert (read(clock), clock.step_ns) == (100 * HOUR + 5 * SECOND, 0)

    def test_it_follows_a_machine_that_slept(self) -> None:
        system = System()
        clock = system.steady()
        system.wall += 8 * HOUR
        assert (read(clock), clock.step_ns) == (108 * HOUR, 0)
        system.passes(SECOND)
        assert read(clock) == 108 * HOUR + SECOND

    def test_small_corrections_are_not_followed_until_they_add_up(self) -> None:
        system = System()
        clock = system.steady()
        system.wall += SECOND
        assert (read(clock), clock.step_ns) == (100 * HOUR, -SECOND)
        system.wall += 1
        assert read(clock) == 100 * HOUR + SECOND + 1

    def test_it_starts_after_what_is_recorded(self) -> None:
        system = System()
        clock = system.steady(floor_ns=101 * HOUR)
        assert (read(clock), clock.step_ns) == (101 * HOUR, HOUR)
        system.passes(SECOND)
        assert read(clock) == 101 * HOUR + SECOND
        assert read(system.steady(floor_ns=99 * HOUR)) == system.wall

    @given(st.lists(st.tuples(st.integers(0, HOUR), st.integers(-HOUR, HOUR))))
    def test_no_sequence_of_steps_takes_it_back_or_holds_it(self, moves: list[tuple[int, int]]) -> None:
        system = System()
        clock = system.steady()
        for passed, step in moves:
            before = read(clock)
            system.passes(passed)
            system.wall += step
            assert read(clock) >= before + passed
            assert clock.step_ns >= -SECOND
