"""What measuring costs: one sample into a histogram, all stages of a signal, and the percentiles of a whole view."""

from __future__ import annotations

import random
from collections.abc import Callable
from time import thread_time_ns
from typing import Any

from engine.views.histogram import Histogram
from engine.views.latency import SIGNAL, STAGES, TOTAL, Key, LatencyBook

SAMPLES = 200_000
ROUNDS = 7
SIGNALS = 20_000
VIEWS = 50


def sample() -> dict[str, Any]:
    """Nanoseconds of this thread's CPU: the best of some rounds, as everything else on the machine only adds to it."""
    dice = random.Random(1)
    took = [int(dice.lognormvariate(11, 2)) for _ in range(SAMPLES)]
    stages = {stage: dice.randrange(1_000, 5_000_000) for stage in (*STAGES[SIGNAL][1:], TOTAL)}
    histogram, book, keys = Histogram(), LatencyBook(), [Key(SIGNAL, "paper", f"source-{n}") for n in range(8)]

    def add() -> None:
        for ns in took:
            histogram.add(ns)

    def count() -> None:
        for number in range(SIGNALS):
            book.count("s", keys[number % 8], stages)

    def view() -> None:
        for number in range(VIEWS):
            book.count("s", keys[number % 8], stages)
            book.view(0)

    return {
        "sample_ns": _best(add, SAMPLES),
        "signal_of_11_stages_ns": _best(count, SIGNALS),
        "view_of_8_sources_ns": _best(view, VIEWS),
        "samples_counted": histogram.count,
    }


def _best(work: Callable[[], None], times: int) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        begun = thread_time_ns()
        work()
        best = min(best, (thread_time_ns() - begun) / times)
    return best
