"""Every kind of fault takes effect in the simulated world, also alone and often, and is counted only where it does."""

from __future__ import annotations

import pytest

from engine.sim.faults import Fault
from tests.simulation import venue
from tests.simulation.faults import FAULTS
from tests.simulation.plan import Plan, Step, make_plan
from tests.simulation.story import Omit, Result, run_plan

PARTS = {
    "kill in a commit": ("before", "torn", "without HEAD", "untold"),
    "bad price": ("nan", "negative", "tenfold", "a tenth", "crossed"),
}
"""Kinds that are counted part by part."""
OFTEN = 0.3
BESIDE = {Fault.MISSING_FROM_OPEN: (Fault.STREAM_DROP,)}
"""What gives a kind its occasion: orders that rest are asked for after a gap."""


def plan(seed: int, *kinds: str, depth: bool = True) -> Plan:
    """A minute of these steps, by turns."""
    steps = tuple(Step(n, 2 + n / 2, kinds[n % len(kinds)]) for n in range(120 if kinds else 0))
    return make_plan(seed)._replace(depth=depth, sources=0, steps=steps)


def played(of: Plan) -> Result:
    result = run_plan(of, Omit())
    assert result.row is None, result.text
    return result


@pytest.mark.parametrize("kind", FAULTS)
def test_a_kind_of_the_plan_takes_effect_and_is_counted(kind: str) -> None:
    faults = played(plan(0, "place", kind, "close")).faults
    for name in [f"{kind}: {part}" for part in PARTS[kind]] if kind in PARTS else [kind]:
        assert faults[name], name


@pytest.mark.parametrize("kind", venue.RATES, ids=str)
def test_a_kind_of_the_network_or_the_exchange_takes_effect_alone_and_often(
    kind: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = dict.fromkeys((kind, *BESIDE.get(kind, ())), OFTEN)
    monkeypatch.setattr(venue, "weather", lambda seed, usual: rates)
    asks = ("place",) if kind in BESIDE else ("place", "place", "place", "amend", "cancel", "close")
    faults = played(plan(1, *asks)).faults
    assert faults.keys() == rates.keys()


def test_what_finds_nothing_to_befall_is_not_counted() -> None:
    dead = plan(0)._replace(steps=(Step(0, 3.0, "kill"), Step(1, 3.0, "kill"), Step(2, 3.0, "bad price")))
    assert played(dead).faults == {"kill": 1}
    assert not played(plan(0, "gap", "reordering", depth=False)).faults
