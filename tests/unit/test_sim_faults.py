"""Faults come by their probability, each by its own dice, and are counted."""

from __future__ import annotations

import pytest

from engine.sim.faults import USUAL, Fault, Faults, weather

RARE, OFTEN = Fault.CONNECT_REFUSED, Fault.STREAM_DUPLICATE


def drawn(rates: dict[Fault, float], kind: Fault, seed: int = 1) -> list[bool]:
    faults = Faults(seed, rates)
    return [faults.hits(kind) for _ in range(500)]


def test_a_fault_comes_about_as_often_as_its_rate_says() -> None:
    assert 20 < sum(drawn({RARE: 0.1}, RARE)) < 90


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    assert drawn({RARE: 0.1}, RARE) == drawn({RARE: 0.1}, RARE)
    assert drawn({RARE: 0.1}, RARE) != drawn({RARE: 0.1}, RARE, seed=2)


def test_one_kind_can_be_left_out_without_changing_another() -> None:
    alone, together = Faults(1, {OFTEN: 0.2}), Faults(1, {RARE: 0.2, OFTEN: 0.2})
    first = [alone.one_of((RARE, OFTEN)) for _ in range(500)]
    second = [together.one_of((RARE, OFTEN)) for _ in range(500)]
    assert RARE in second
    assert [f for f, s in zip(first, second, strict=True) if s is not RARE] == [f for f in second if f is not RARE]


def test_of_faults_that_exclude_each_other_one_is_injected_and_counted() -> None:
    faults = Faults(1, {RARE: 1.0, OFTEN: 1.0})
    assert faults.one_of((RARE, OFTEN)) is RARE
    assert faults.counts == {RARE: 1}


def test_every_injection_is_told() -> None:
    told: list[tuple[Fault, str]] = []
    faults = Faults(1, {RARE: 1.0}, lambda kind, where: told.append((kind, where)))
    faults.hits(RARE, "/orders")
    faults.hits(OFTEN, "never")
    assert told == [(RARE, "/orders")]


def test_after_stop_nothing_is_injected() -> None:
    faults = Faults(1, {RARE: 1.0})
    faults.stop()
    assert not faults.hits(RARE)
    assert not faults.counts


def test_a_rate_that_is_no_probability_is_refused() -> None:
    with pytest.raises(ValueError, match="connect_refused is 2"):
        Faults(1, {RARE: 2.0})


def test_every_kind_has_a_usual_rate() -> None:
    assert set(USUAL) == set(Fault)


class TestWeather:
    def test_over_the_seeds_every_kind_comes_and_every_kind_stays_away(self) -> None:
        days = [weather(seed) for seed in range(100)]
        for kind in Fault:
            assert 0 < sum(kind in day for day in days) < 100

    def test_some_days_are_calm_and_some_have_it_all(self) -> None:
        sizes = [len(weather(seed)) for seed in range(100)]
        assert min(sizes) == 0
        assert max(sizes) == len(Fault)

    def test_a_days_weather_follows_from_its_seed(self) -> None:
        assert weather(5) == weather(5) != weather(6)
