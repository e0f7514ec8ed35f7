"""500 seeds, paper and venue by turns: the rows of semantics 11 hold after every event (DESIGN 1)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.invariants import NOT_BUILT, ROWS
from tests.simulation.story import run_seed

BLOCKS = 20
SEEDS = 25


@pytest.mark.parametrize("block", range(BLOCKS))
def test_every_row_holds(block: int) -> None:
    for seed in range(block * SEEDS, (block + 1) * SEEDS):
        result = run_seed(seed)
        assert result.row is None, (
            f"seed {seed}: {result.text}\npython -m tests.simulation --seed {seed} tells all of it"
        )


@pytest.mark.parametrize("seed", [6, 7, 20, 21])
def test_row_15_two_runs_of_a_seed_write_equal_ledgers(seed: int) -> None:
    first, second = run_seed(seed), run_seed(seed)
    assert first.ledger == second.ledger != b""
    assert first.trace == second.trace
    assert first.faults == second.faults


def told_by_another_process(seed: int, hashing: str) -> str:
    """What the command prints of a seed where texts are hashed so."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seed", str(seed)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": hashing},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("seed", [30, 7470])
def test_row_15_another_process_tells_the_same_of_a_seed(seed: int) -> None:
    first, second = (told_by_another_process(seed, hashing) for hashing in ("3", "10"))
    assert "every row holds" in first
    assert first == second


def test_row_13_waits_for_orders_that_have_children() -> None:
    """The one row without a check of its own; when TWAP, VWAP or iceberg orders come, it needs one."""
    from engine.model.order import OrderType

    assert set(NOT_BUILT) == {13}
    assert NOT_BUILT.keys() < ROWS.keys()
    assert not {"TWAP", "VWAP", "ICEBERG"} & set(OrderType.__members__)
