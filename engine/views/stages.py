"""The shapes of latencies: the waterfall of one order or signal, the percentiles of many. Microseconds."""

from __future__ import annotations

from msgspec import Struct

from engine.views.base import ViewBase


class LatencyRow(Struct, frozen=True):
    """A stage in microseconds; None where nothing was measured."""

    stage: str
    last: float | None
    p50: float | None
    p95: float | None
    p99: float | None


class LatencySpan(Struct, frozen=True, array_like=True):
    """A stage of a waterfall: when it began, counted from the first, and what it took, both microseconds."""

    stage: str
    begun: float
    took: float


class LatencyTrace(Struct, frozen=True):
    """The stages of one order or signal, in order of time; path is order | signal | probe."""

    id: str
    path: str
    venue: str
    source: str
    spans: tuple[LatencySpan, ...]


class LatencyGroup(Struct, frozen=True):
    """Percentiles of one path, of all of it (no venue, no source) or of one venue and source; rows have no `last`."""

    path: str
    venue: str
    source: str
    samples: int
    rows: tuple[LatencyRow, ...]


class LatencyView(ViewBase, frozen=True):
    """Topic `latency`: the stages of the last order or signal, beside the percentiles of its path."""

    order: str
    """Its id."""
    rows: tuple[LatencyRow, ...]
    samples: int
    traces: tuple[LatencyTrace, ...] = ()
    """The last ones, newest first."""
    groups: tuple[LatencyGroup, ...] = ()
    """Every path as a whole, then by venue and source."""
