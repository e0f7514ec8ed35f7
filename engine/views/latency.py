"""How long orders and signals took, stage by stage: the last ones as waterfalls, all of them as percentiles."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from itertools import pairwise

from msgspec import Struct

from engine.views.histogram import Histogram
from engine.views.stages import LatencyGroup, LatencyRow, LatencySpan, LatencyTrace, LatencyView

ORDER, SIGNAL, PROBE = "order", "signal", "probe"
"""Paths: an order by hand, a signal, a request that only measured its way. None is counted among another's."""
STAGES = {
    ORDER: ("key", "intent", "risk", "order", "fill", "durable", "screen"),
    SIGNAL: ("began", "receive", "authenticate", "validate", "dedup", "queue", "translate", "risk", "commit", "sign", "venue"),
    PROBE: ("began", "receive", "authenticate", "validate", "dedup"),
}  # fmt: skip
"""In order of time. Each row is the time since the stage before it that is known; the first one only is when it began."""
TOTAL = "total"
TRACES = 20
"""Waterfalls kept to look at."""
OPEN = 2_000
"""Orders and signals whose later stages are still awaited."""
GROUPS = 32
"""Venues and sources told apart; what comes later counts as OTHERS."""
OTHERS = "others"


class Key(Struct, frozen=True, order=True):
    """What samples are kept apart by; `source` is hand, or a signal's."""

    path: str
    venue: str
    source: str


class _Track(Struct):
    key: Key
    marks: dict[str, int]


class _Group:
    """Histograms of one key, and the rows last made of them."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.stages = {stage: Histogram() for stage in (*STAGES[key.path][1:], TOTAL)}
        self.samples = 0
        self._seen = (-1, LatencyGroup(key.path, key.venue, key.source, 0, ()))

    def count(self, durations: Mapping[str, int]) -> None:
        """Count what one order or signal took, by stage; stages of another path are not looked at."""
        stages = self.stages
        for stage, ns in durations.items():
            if stage in stages:
                stages[stage].add(ns)
        self.samples += 1

    def view(self) -> LatencyGroup:
        """The percentiles; made anew only where something was counted since."""
        if self._seen[0] != self.samples:
            key = self.key
            rows = tuple(
                LatencyRow(stage, None, *map(_micros, counted.percentiles(50, 95, 99)))
                for stage, counted in self.stages.items()
            )
            self._seen = (self.samples, LatencyGroup(key.path, key.venue, key.source, self.samples, rows))
        return self._seen[1]


class LatencyBook:
    """Stages of the last orders and signals, and percentiles by venue and source. Times are monotonic ns."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, _Track] = OrderedDict()
        self._groups: dict[Key, _Group] = {}
        self._wholes: dict[Key, _Group] = {}
        """Each path as a whole."""
        self._traces: deque[LatencyTrace] = deque(maxlen=TRACES)
        self._last = ""

    def begin(
        self, name: str, marks: Mapping[str, int], path: str = ORDER, venue: str = "", source: str = "hand"
    ) -> None:
        """An order or a signal exists; `marks` says when it passed which stages so far."""
        self._open[name] = _Track(Key(path, venue, source), dict(marks))
        self._last = name
        if len(self._open) > OPEN:
            self.finish(next(iter(self._open)))

    def mark(self, name: str, stage: str, mono_ns: int) -> None:
        """It passed a stage; only the first time counts."""
        track = self._open.get(name)
        if track is not None and stage not in track.marks:
            track.marks[stage] = mono_ns

    def resume(self, name: str, mono_ns: int) -> None:
        """It was approved: the time that a person took is left out, as if its arrival ended when it went on."""
        track = self._open.get(name)
        if track is None:
            return
        stages = STAGES[track.key.path]
        arrival = stages[: stages.index("dedup") + 1]
        before = {stage: at for stage, at in track.marks.items() if stage in arrival}
        after = {stage: at for stage, at in track.marks.items() if stage not in arrival and stage != "commit"}
        passed = min(after.values(), default=mono_ns) - max(before.values(), default=mono_ns)
        track.marks = {stage: at + passed for stage, at in before.items()} | after

    def knows(self, name: str) -> bool:
        """Whether later stages of this one are awaited."""
        return name in self._open

    def passed(self, name: str, *stages: str) -> bool:
        """Whether it is known and has passed all of these."""
        track = self._open.get(name)
        return track is not None and all(stage in track.marks for stage in stages)

    def finish(self, name: str) -> dict[str, int]:
        """Nothing more is awaited: count its stages, and return stage -> ns since the one before it that is known.

        `total` is from the first to the last; empty when it was finished before, or there is nothing to measure.
        """
        track = self._open.pop(name, None)
        durations = _durations(track) if track is not None else {}
        if track is not None and durations:
            self.count(name, track.key, durations)
        return durations

    def count(self, name: str, key: Key, durations: Mapping[str, int]) -> None:
        """Count one that was measured elsewhere, stage -> ns with their total."""
        if key not in self._groups and len(self._groups) >= GROUPS:
            key = Key(key.path, "", OTHERS)
        for groups, kept in ((self._groups, key), (self._wholes, Key(key.path, "", ""))):
            group = groups.get(kept)
            if group is None:
                group = groups[kept] = _Group(kept)
            group.count(durations)
        self._last = name
        self._traces.appendleft(_trace(name, key, durations))

    def trace(self, name: str) -> LatencyTrace | None:
        """The waterfall of one: as far as it is known, while later stages are awaited; None of one long gone."""
        track = self._open.get(name)
        if track is not None:
            return _trace(name, track.key, _durations(track))
        return next((trace for trace in self._traces if trace.id == name), None)

    @staticmethod
    def arrival(name: str, source: str, took: Mapping[str, int]) -> LatencyTrace:
        """The waterfall of a signal of which only the intake's stages are known; stage -> ns."""
        stages = {stage: took[stage] for stage in STAGES[SIGNAL] if stage in took}
        return _trace(name, Key(SIGNAL, "", source), stages)

    def view(self, time_ns: int) -> LatencyView:
        """The last one beside the percentiles of its path; then every path as a whole, and by venue and source."""
        parts = [self._groups[key].view() for key in sorted(self._groups)]
        wholes = [self._wholes[key].view() for key in sorted(self._wholes)]
        last = self.trace(self._last)
        path = last.path if last is not None else ORDER
        whole = next((one for one in wholes if one.path == path), None) or _Group(Key(path, "", "")).view()
        took = {span.stage: span.took for span in last.spans} if last is not None else {}
        if took:
            took[TOTAL] = sum(took.values())
        rows = tuple(LatencyRow(r.stage, took.get(r.stage), r.p50, r.p95, r.p99) for r in whole.rows)
        # One venue and source alone would say the same twice.
        told = [part for part in parts if sum(other.path == part.path for other in parts) > 1]
        return LatencyView(time_ns, self._last, rows, whole.samples, tuple(self._traces), (*wholes, *told))


def _durations(track: _Track) -> dict[str, int]:
    stages = STAGES[track.key.path]
    known = sorted((at, stages.index(stage)) for stage, at in track.marks.items() if stage in stages)
    durations = {stages[index]: at - before for (before, _), (at, index) in pairwise(known)}
    if durations:
        durations[TOTAL] = known[-1][0] - known[0][0]
    return durations


def _trace(name: str, key: Key, durations: Mapping[str, int]) -> LatencyTrace:
    """Its stages one after the other, as they are given."""
    spans, begun = [], 0.0
    for stage, took in durations.items():
        if stage != TOTAL:
            spans.append(LatencySpan(stage, begun, took / 1_000))
            begun += took / 1_000
    return LatencyTrace(name, key.path, key.venue, key.source, tuple(spans))


def _micros(ns: int | None) -> float | None:
    return None if ns is None else ns / 1_000
