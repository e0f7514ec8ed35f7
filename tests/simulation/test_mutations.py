"""Every broken rule is noticed, soon, and by the row that speaks of it; the whole rule passes the very seed that told."""

from __future__ import annotations

import random

import pytest

from engine.core.kernel import Kernel
from tests.simulation.invariants import NOT_BUILT, ROWS
from tests.simulation.mutations import MUTATIONS, VENUE, Mutation
from tests.simulation.story import run_seed

MOST_SEEDS = 200
TWICE = 15
"""The row that needs two runs."""


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_broken_rule_is_noticed(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    first = 1 if mutation.world == VENUE else 0
    seeds = sorted(range(first, MOST_SEEDS, 2), key=lambda seed: (seed < mutation.near, seed))
    with monkeypatch.context() as patch:
        mutation.break_it(patch)
        for seed in seeds:
            result = run_seed(seed)
            if result.row is not None:
                break
    assert result.row in mutation.rows, f"{mutation.name}: seed {seed} says {result.row}: {result.text}"
    whole = run_seed(seed)
    assert whole.row is None, f"the whole rule fails seed {seed}, too: {whole.text}"


def test_dice_that_no_seed_knows_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    rolled = random.Random(1)

    def latency(self: Kernel, instrument: str, order: str) -> int:
        return rolled.randrange(1, 30_000_000)

    monkeypatch.setattr(Kernel, "latency", latency)
    assert run_seed(0).ledger != run_seed(0).ledger


def test_every_row_has_a_mutation() -> None:
    named = set().union(*(mutation.rows for mutation in MUTATIONS)) | {TWICE}
    assert named == ROWS.keys() - NOT_BUILT.keys()
