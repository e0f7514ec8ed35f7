"""An engine that dies in any commit of its day at a venue comes back to what the venue holds, and its ledger verifies.

Not drawn but one after the other: every commit, before it, torn in its middle, durable without HEAD, durable and not told.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.model import event as ev
from engine.model.event import Event
from engine.model.order import OrderType
from engine.sim.loop import run
from tests.simulation import venue
from tests.simulation.disk import POINTS
from tests.simulation.ends import judge_file
from tests.simulation.invariants import Broken
from tests.simulation.plan import Step, make_plan
from tests.simulation.world import World

ASKS = ("place", "place", "protect", "place", "amend", "close")
DAY = make_plan(9)._replace(
    depth=True, sources=0, steps=tuple(Step(n, 2 + 0.7 * n, ASKS[n % len(ASKS)]) for n in range(24))
)
"""Entries, partial fills, brackets and a trailing stop, at a venue that is well."""


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(venue, "weather", lambda seed, rates: {})
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def played(folder: Path, dies: dict[int, str]) -> World:
    """The day, to an end where ledger and venue agree (`settle`), and the file that it leaves."""
    folder.mkdir()
    world = World(DAY, folder)
    world.disk.dies = dies
    run(world.play())
    assert world.life is not None
    judge_file(world.life)
    return world


def of(events: list[Event], *kinds: type) -> list[Event]:
    return [event for event in events if isinstance(event.body, kinds)]


def test_the_day_is_worth_dying_in(tmp_path: Path) -> None:
    world = played(tmp_path / "calm", {})
    events = world.witness.events
    filled = [event.body.order for event in of(events, ev.OrderFilled)]
    assert max(filled.count(order) for order in filled) > 1
    made = [event.body.terms for event in of(events, ev.OrderCreated)]
    assert any(terms.stop_loss is not None or terms.take_profit is not None for terms in made)
    assert {OrderType.STOP, OrderType.TAKE_PROFIT, OrderType.TRAILING_STOP} <= {terms.type for terms in made}
    assert of(events, ev.TriggerMoved)
    assert of(events, ev.TriggerFired)


@pytest.mark.parametrize("point", POINTS)
def test_after_a_death_in_any_commit_the_ledger_is_the_venues_and_verifies(tmp_path: Path, point: str) -> None:
    number = 0
    while True:
        number += 1
        try:
            world = played(tmp_path / str(number), {number: point})
        except Broken as broken:
            broken.add_note(f"killed {point} commit {number}")
            raise
        if not world.faults:
            break  # that many commits there are not before all comes to rest
        assert world.faults == {f"kill in a commit: {point}": 1}
        assert world.lives == 2
    assert number > 40
