"""Where the time of an order or a signal goes, from the key or the first byte on, as a waterfall beside percentiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from msgspec.structs import replace
from textual.binding import Binding, BindingType

from engine.views import LatencyGroup, LatencyRow, LatencySpan, LatencyTrace, LatencyView
from engine.views.format import clean
from engine.views.format import count as counted
from widgets.pane import Line, Pane, Part, Tone, merged, packed
from widgets.text import left, micros, right
from widgets.waterfall import NARROWEST, bar_of, whole

_FIGURES = ("last", "p50", "p95", "p99")
_STAGE = 8
_CELL = 7
_TOTAL = "total"
_SPARE = 5
"""Rows beside the stages from which there is room to choose what is shown."""


class LatencyPane(Pane[LatencyView]):
    """One order or signal, each stage beginning where the one before ended, beside the percentiles of its kind."""

    TITLE = "latency"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "down,j", "choose_trace(1)", "Older", id="latency.older", tooltip="An older order or signal", show=False
        ),
        Binding("up,k", "choose_trace(-1)", "Newer", id="latency.newer", tooltip="A newer order or signal", show=False),
        Binding("right,l", "choose_group(1)", "Next", id="latency.next", tooltip="Next venue and source", show=False),
        Binding(
            "left,h", "choose_group(-1)", "Before", id="latency.before", tooltip="Venue and source before", show=False
        ),
    ]

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id, classes=classes)
        self._chosen = ""
        """The order or signal a person chose; empty follows the last."""
        self._group = ("", "", "")
        """Path, venue and source a person chose."""

    def show(self, view: LatencyView | None, now_ns: int = 0) -> None:
        """Draw stages; their sum and the number of samples stand in the border."""
        fresh = view is not self._view
        super().show(view, now_ns)
        if fresh:
            self._title()

    def _title(self) -> None:
        view, trace = self._view, self.trace
        if view is None or not view.rows:
            return
        total = whole(trace) if trace is not None else sum(row.last or 0 for row in _stages(view.rows))
        name = clean(trace.id if trace is not None else view.order)
        title = f"{self.TITLE} {micros(total or None)} {name}".rstrip()
        group = self.group
        count = (
            counted(group.samples, group.path)
            if group is not None
            else counted(view.samples, "order")
            if view.samples
            else ""
        )
        if (self.border_title, self.border_subtitle) != (title, count):
            self.border_title, self.border_subtitle = title, count

    # --- what is looked at ---

    @property
    def trace(self) -> LatencyTrace | None:
        """The waterfall on show: the chosen one while it is kept, else the last one; None before the first."""
        traces = self._view.traces if self._view is not None else ()
        newest = traces[0] if traces and self._view is not None and traces[0].id == self._view.order else None
        return next((trace for trace in traces if self._chosen and trace.id == self._chosen), newest)

    @property
    def group(self) -> LatencyGroup | None:
        """Whose percentiles are on show: the chosen ones, else all of the waterfall's path."""
        groups = self._view.groups if self._view is not None else ()
        trace = self.trace
        path = trace.path if trace is not None else ""
        chosen = next((one for one in groups if _key(one) == self._group and path in ("", one.path)), None)
        return chosen or next((one for one in groups if one.path == path), None)

    def action_choose_trace(self, by: int) -> None:
        """An older or a newer one; the newest is followed again."""
        traces = self._view.traces if self._view is not None else ()
        if not traces:
            return
        at = next((at for at, trace in enumerate(traces) if trace is self.trace), 0)
        at = min(max(at + by, 0), len(traces) - 1)
        self._chosen = traces[at].id if at else ""
        self._title()
        self.redraw()

    def action_choose_group(self, by: int) -> None:
        """Another venue and source, and its last waterfall."""
        view = self._view
        if view is None or not view.groups:
            return
        at = next((at for at, one in enumerate(view.groups) if one is self.group), 0)
        group = view.groups[(at + by) % len(view.groups)]
        self._group = _key(group)
        mine = (trace for trace in view.traces if _belongs(trace, group))
        self._chosen = next((trace.id for trace in mine), "")
        self._title()
        self.redraw()

    # --- drawing ---

    def draw(self, width: int, height: int) -> list[Line]:
        """Header and a row a stage; where there is room, what else there is to look at."""
        view = self._view
        if view is None or not view.rows:
            return [Line(((Tone.DIM, " no order measured yet"),))]
        rows, spans = self._rows(view)
        roomy = bool(view.traces) and height >= len(rows) + _SPARE
        if len(rows) >= height:
            rows = [row for row in rows if row.last is not None or row.p50 is not None]
        table = _table(rows, spans, width)
        if not roomy:
            return table
        return [self._heading(view, width), *table, Line(), *self._list(view, width, height - len(table) - 2)]

    def _rows(self, view: LatencyView) -> tuple[list[LatencyRow], dict[str, LatencySpan]]:
        """Stages with what each took last, and where its bar stands; the border says the whole."""
        trace, group = self.trace, self.group
        if trace is None or group is None:
            rows, begun = _stages(view.rows), 0.0
            spans = {}
            for row in rows:
                spans[row.stage] = LatencySpan(row.stage, begun, row.last or 0)
                begun += row.last or 0
            return rows, spans
        spans = {span.stage: span for span in trace.spans}
        return [
            replace(row, last=spans[row.stage].took if row.stage in spans else None) for row in _stages(group.rows)
        ], spans

    def _heading(self, view: LatencyView, width: int) -> Line:
        """Whose percentiles these are and the whole of them, the last figures dropped first."""
        group = self.group
        if group is None:
            return Line()
        named = " · ".join(part for part in (f"{group.path}s", group.venue, group.source) if part)
        whole_row = next((row for row in group.rows if row.stage == _TOTAL), None)
        figures = () if whole_row is None else (whole_row.p95, whole_row.p99)
        return packed(
            (
                Part(0, Tone.ACCENT, f" {clean(named)}"),
                Part(1, Tone.DIM, f"total p50 {micros(whole_row.p50)}" if whole_row is not None else ""),
                *(
                    Part(3 + at, Tone.DIM, f"{name} {micros(value)}")
                    for at, (name, value) in enumerate(zip(("p95", "p99"), figures, strict=False))
                ),
                Part(1, Tone.DIM, f"←→ {len(view.groups)} to choose from", f"←→ {len(view.groups)}")
                if len(view.groups) > 1
                else Part(9, Tone.DIM, ""),
            ),
            width,
        )

    def _list(self, view: LatencyView, width: int, height: int) -> list[Line]:
        """The last orders and signals, the one on show marked."""
        if height < 1:
            return []
        shown = self.trace
        at = next((at for at, trace in enumerate(view.traces) if trace is shown), 0)
        top = max(0, min(at - height // 2, len(view.traces) - height))
        lines = []
        for trace in view.traces[top : top + height]:
            text = f"{left(clean(trace.id), 24)} {left(trace.path, 7)} {left(clean(trace.source), 12)}{right(micros(whole(trace)), 8)}"
            lines.append(
                Line(
                    ((Tone.ACCENT, "▸" if trace is shown else " "), (Tone.PLAIN, left(text, width - 1))), trace is shown
                )
            )
        return lines


def _key(group: LatencyGroup) -> tuple[str, str, str]:
    return group.path, group.venue, group.source


def _belongs(trace: LatencyTrace, group: LatencyGroup) -> bool:
    return trace.path == group.path and group.venue in ("", trace.venue) and group.source in ("", trace.source)


def _stages(rows: Sequence[LatencyRow]) -> list[LatencyRow]:
    """What the whole is made of."""
    return [row for row in rows if row.stage != _TOTAL]


def _table(rows: Sequence[LatencyRow], spans: dict[str, LatencySpan], width: int) -> list[Line]:
    named = max([_STAGE, *(len(row.stage) + 1 for row in rows)])
    count = min(max((width - 1 - named) // _CELL, 1), len(_FIGURES))
    cells = width - 3 - named - count * _CELL
    total = sum(span.took for span in spans.values())
    heading = " " + left("stage", named) + "".join(right(title, _CELL) for title in _FIGURES[:count])
    lines = [Line(((Tone.HEAD, heading),))]
    for row in rows:
        figures = (row.last, row.p50, row.p95, row.p99)[:count]
        runs = [
            (Tone.DIM, " " + left(row.stage, named)),
            (Tone.PLAIN, right(micros(figures[0]), _CELL)),
            (Tone.DIM, "".join(right(micros(figure), _CELL) for figure in figures[1:])),
        ]
        if cells + 1 >= NARROWEST and row.stage in spans and (drawn := bar_of(spans[row.stage], total, cells)):
            runs.append((Tone.BAR_UP, " " + drawn))
        lines.append(merged(runs))
    return lines
