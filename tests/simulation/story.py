"""Runs seeds, and makes the story of a failing one as short as it gets: the fewest steps and faults that still break the same row."""

from __future__ import annotations

import logging
import shutil
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from engine.clock import mono_ns
from engine.sim.faults import Fault
from engine.sim.loop import run
from tests.simulation.faults import FAULTS
from tests.simulation.invariants import Broken
from tests.simulation.plan import Plan, make_plan
from tests.simulation.world import Line, World

SHRINK_S = 40.0
"""How long a story is made shorter."""
_SHM = Path("/dev/shm")


class Result(NamedTuple):
    """What came of one seed."""

    seed: int
    row: int | None
    """The broken row; None where everything held."""
    text: str
    faults: Counter[str]
    happened: Counter[str]
    trace: list[Line]
    ledger: bytes
    """The last hash of the ledger's chain, which stands for all of it."""


class Omit(NamedTuple):
    """What is left out of a plan."""

    steps: frozenset[int] = frozenset()
    kinds: frozenset[str] = frozenset()


def run_seed(seed: int, omit: Omit = Omit()) -> Result:  # noqa: B008  a constant
    """Run a seed once, in a folder of its own."""
    return run_plan(make_plan(seed), omit)


def run_plan(plan: Plan, omit: Omit) -> Result:
    """Run a plan once; whatever goes wrong is in the result."""
    logging.disable(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="hoox-sim-", dir=_SHM if _SHM.is_dir() else None))
    world = World(plan, folder, omit.steps, omit.kinds)
    row, text = None, ""
    try:
        run(world.play())
    except Broken as broken:
        row, text = broken.row, str(broken)
    except Exception as error:  # noqa: BLE001  a crash of any part is a finding
        row = 0
        text = f"{type(error).__name__}: {error}\n" + "".join(traceback.format_exception(error)[-4:])
    finally:
        logging.disable(logging.NOTSET)
        shutil.rmtree(folder)
    return Result(plan.seed, row, text, world.faults, world.witness.happened, world.trace, world.last_hash)


def shortest(failed: Result, tell: Callable[[str], None], seconds: float = SHRINK_S) -> tuple[Omit, Result]:
    """Leave out whole kinds of faults, then ever smaller stretches of steps, for as long as the same row breaks."""
    plan = make_plan(failed.seed)
    until = mono_ns() + int(seconds * 1e9)
    omit, best = Omit(), failed
    tried = 0

    def attempt(candidate: Omit) -> bool:
        nonlocal omit, best, tried
        if mono_ns() > until:
            return False
        tried += 1
        result = run_plan(plan, candidate)
        if result.row != failed.row:
            return False
        omit, best = candidate, result
        return True

    last_s = failed.trace[-1].at_s if failed.trace else 0.0
    attempt(Omit(frozenset(step.number for step in plan.steps if step.at_s > last_s)))
    for kind in sorted({step.kind for step in plan.steps} & FAULTS.keys() | failed.faults.keys() & set(Fault)):
        attempt(Omit(omit.steps, omit.kinds | {kind}))
    stretch = max(1, len(plan.steps) // 2)
    while stretch and mono_ns() < until:
        left = [step.number for step in plan.steps if step.number not in omit.steps]
        shorter = [attempt(Omit(omit.steps | set(part), omit.kinds)) for part in _parts(left, stretch)]
        if stretch == 1 and not any(shorter):
            break
        stretch = stretch if any(shorter) and stretch == 1 else stretch // 2 or (1 if any(shorter) else 0)
    tell(f"{tried} shorter stories were tried")
    return omit, best


def _parts(numbers: Sequence[int], size: int) -> list[Sequence[int]]:
    return [numbers[i : i + size] for i in range(0, len(numbers), size)]


def told(result: Result) -> list[str]:
    """A trace, one line per step and fact, with virtual times."""
    return [f"{line.at_s:9.3f} s  {line.text}" for line in result.trace]
