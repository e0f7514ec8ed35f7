"""python -m tests.simulation --seeds 10000: run seeds on all cores; the first that fails is told as a short story."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable

from engine.clock import mono_ns
from tests.simulation.plan import make_plan
from tests.simulation.story import Result, run_seed, shortest, told

CHUNK = 5
BAR = 30


def main() -> int:
    """0 when every seed held, 1 when one did not, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many (500)")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first of them (0)")
    parser.add_argument("--seed", type=int, help="replay exactly this one, and tell all of it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (one a core)")
    asked = parser.parse_args()
    if asked.seed is not None:
        return replay(asked.seed)
    return run_all(range(asked.first, asked.first + asked.seeds), asked.jobs)


def replay(seed: int) -> int:
    """One seed with its whole trace."""
    result = run_seed(seed)
    print("\n".join(told(result)))
    print_counts(result.faults, result.happened)
    print(f"seed {seed}, {_world(seed)}: " + (result.text if result.row is not None else "every row holds"))
    print(f"ledger ends with {result.ledger.hex()}")
    return result.row is not None


def run_all(seeds: range, jobs: int) -> int:
    """Many seeds, in order, until one fails."""
    faults: Counter[str] = Counter()
    happened: Counter[str] = Counter()
    began, done = mono_ns(), 0
    failed: Result | None = None
    progress = _progress(len(seeds))
    pool = multiprocessing.get_context("spawn").Pool(jobs, signal.signal, (signal.SIGINT, signal.SIG_IGN))
    try:
        for result in pool.imap(run_seed, seeds, chunksize=CHUNK):
            done += 1
            faults += result.faults
            happened += result.happened
            progress(done, (mono_ns() - began) / 1e9)
            if result.row is not None:
                failed = result
                break
    except KeyboardInterrupt:
        print(f"\ninterrupted after {done} seeds")
        return 130
    finally:
        pool.terminate()
        pool.join()
    print()
    print_counts(faults, happened)
    seconds = (mono_ns() - began) / 1e9
    print(f"{done} seeds in {seconds:.0f} s, {done / seconds:.1f} a second")
    if failed is None:
        print("every row holds")
        return 0
    tell_story(failed)
    return 1


def tell_story(failed: Result) -> None:
    """The failing seed, what broke, and the shortest way to it."""
    print(f"seed {failed.seed} ({_world(failed.seed)}) FAILS: {failed.text}")
    print("making its story shorter ...")
    omit, best = shortest(failed, print)
    plan = make_plan(failed.seed)
    left = [step.number for step in plan.steps if step.number not in omit.steps]
    print(
        f"{len(left)} of {len(plan.steps)} steps are left; without {', '.join(sorted(omit.kinds)) or 'nothing else'}:"
    )
    print("\n".join(told(best)))
    print(best.text)
    print(f"replay it whole: python -m tests.simulation --seed {failed.seed}")


def print_counts(faults: Counter[str], happened: Counter[str]) -> None:
    """What was injected, and what came of it."""
    for title, counts in (("faults injected", faults), ("what happened", happened)):
        print(f"{title}: " + (", ".join(f"{kind} {n}" for kind, n in counts.most_common()) or "none"))


def _world(seed: int) -> str:
    plan = make_plan(seed)
    return f"{'venue' if plan.venue else 'paper'} world, profile {plan.profile}"


def _progress(total: int) -> Callable[[int, float], None]:
    """A bar on a terminal; else a line for each tenth."""
    step = max(1, total // 10)

    def on_terminal(done: int, seconds: float) -> None:
        filled = done * BAR // total
        rate = done / seconds if seconds else 0.0
        print(f"\r[{'#' * filled}{'-' * (BAR - filled)}] {done}/{total}  {rate:.1f} seeds/s ", end="", flush=True)

    def quietly(done: int, seconds: float) -> None:
        if done % step == 0:
            print(f"{done}/{total} seeds, {seconds:.0f} s", flush=True)

    return on_terminal if sys.stdout.isatty() else quietly


if __name__ == "__main__":
    sys.exit(main())
