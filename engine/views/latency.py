"""How long an order took, stage by stage: bounded samples of monotonic times, read as percentiles."""

from __future__ import annotations

from collections import OrderedDict, deque

from engine.views.structs import LatencyRow, LatencyView

STAGES = ("key", "intent", "risk", "order", "fill", "durable", "screen")
"""In order of time. Each row is the time since the stage before it that is known; `key` is when the key was pressed."""
KEEP = 1_000
OPEN = 200
"""Orders whose later stages are still awaited."""


class LatencyBook:
    """Stage times of the last orders."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, dict[str, int]] = OrderedDict()
        self._samples: dict[str, deque[int]] = {stage: deque(maxlen=KEEP) for stage in (*STAGES[1:], "total")}
        self._last = ""
        self._finished: dict[str, int] = {}
        """Stages of the last order, once it is finished."""
        self.count = 0

    def begin(self, order: str, stages: dict[str, int]) -> None:
        """An order exists; mono ns of the stages it has passed."""
        self._open[order] = dict(stages)
        self._last = order
        self.count += 1
        if len(self._open) > OPEN:
            self._count(_durations(self._open.popitem(last=False)[1]))

    def mark(self, order: str, stage: str, mono_ns: int) -> None:
        """An order passed a stage; only the first time counts."""
        stages = self._open.get(order)
        if stages is not None and stage not in stages:
            stages[stage] = mono_ns

    def knows(self, order: str) -> bool:
        """Whether later stages of this order are awaited."""
        return order in self._open

    def stages(self, order: str) -> dict[str, int]:
        """Stage -> ns since the stage before it, for those that are known; `total` from the first to the last."""
        return _durations(self._open.get(order, {}))

    def finish(self, order: str) -> dict[str, int]:
        """Nothing more is awaited: count the order's stages and return them; empty when it was finished before."""
        durations = _durations(self._open.pop(order, {}))
        self._count(durations)
        if durations and order == self._last:
            self._finished = durations
        return durations

    def view(self, time_ns: int) -> LatencyView:
        """Last, p50, p95, p99 of every stage."""
        last = self.stages(self._last) if self._last in self._open else self._finished
        rows = tuple(self._row(stage, last.get(stage)) for stage in (*STAGES[1:], "total"))
        return LatencyView(time_ns, self._last, rows, self.count)

    def _count(self, durations: dict[str, int]) -> None:
        for stage, value in durations.items():
            self._samples[stage].append(value)

    def _row(self, stage: str, last: int | None) -> LatencyRow:
        values = sorted(self._samples[stage])
        return LatencyRow(
            stage,
            None if last is None else last / 1_000,
            _percentile(values, 50),
            _percentile(values, 95),
            _percentile(values, 99),
        )


def _durations(stages: dict[str, int]) -> dict[str, int]:
    known = sorted((at, STAGES.index(stage)) for stage, at in stages.items())
    durations = {STAGES[index]: at - known[i][0] for i, (at, index) in enumerate(known[1:])}
    if durations:
        durations["total"] = known[-1][0] - known[0][0]
    return durations


def _percentile(values: list[int], percent: int) -> float | None:
    return values[min(len(values) - 1, len(values) * percent // 100)] / 1_000 if values else None
