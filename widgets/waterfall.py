"""Stages one below the other, each beginning where the one before ended."""

from __future__ import annotations

from collections.abc import Sequence

from engine.views import LatencySpan, LatencyTrace
from widgets.text import bar, left, micros, right

NARROWEST = 6
"""Cells from which a bar says anything."""


def whole(trace: LatencyTrace) -> float:
    """From the first stage to the last, microseconds."""
    return sum(span.took for span in trace.spans)


def bar_of(span: LatencySpan, total: float, cells: int) -> str:
    """A stage's bar, at its place within the whole; empty where there is no room for any."""
    if cells < NARROWEST or total <= 0 or span.took <= 0:
        return ""
    start = min(int(span.begun / total * cells), cells - 1)
    return " " * start + bar(span.took / total, cells - start)


def waterfall(trace: LatencyTrace, width: int, *, named: int = 13) -> Sequence[str]:
    """A line a stage: name, what it took, its bar. `named`: cells of the names."""
    total = whole(trace)
    cells = width - named - 9
    return [
        f"{left(span.stage, named)}{right(micros(span.took), 8)} {bar_of(span, total, cells)}".rstrip()
        for span in trace.spans
    ]
