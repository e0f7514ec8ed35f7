"""Where the time of an order goes, from the key to the screen, as a waterfall."""

from __future__ import annotations

from engine.views import LatencyRow, LatencyView
from widgets.pane import Line, Pane, Tone, merged
from widgets.text import bar, left, micros, right

_FIGURES = ("last", "p50", "p95", "p99")
_STAGE = 8
_CELL = 7
_BAR_FROM = 6
"""Cells from which a bar says anything."""


class LatencyPane(Pane[LatencyView]):
    """Stages of the last order, each beginning where the one before ended, beside their percentiles; the border says the sum."""

    TITLE = "latency"

    def show(self, view: LatencyView | None, now_ns: int = 0) -> None:
        """Draw an order's stages; its total and the number of orders measured stand in the border."""
        if view is not None and view is not self._view:
            title = f"{self.TITLE} {micros(_whole(view))} {view.order}".rstrip() if view.rows else self.TITLE
            if self.border_title != title:
                self.border_title = title
                self.border_subtitle = f"{view.samples} orders" if view.samples else ""
        super().show(view, now_ns)

    def draw(self, width: int, height: int) -> list[Line]:
        """Header and a row a stage."""
        view = self._view
        if view is None or not view.rows:
            return [Line(((Tone.DIM, " no order measured yet"),))]
        count = min(max((width - 1 - _STAGE) // _CELL, 1), len(_FIGURES))
        room = width - 2 - _STAGE - count * _CELL
        whole = _whole(view) or 0
        heading = " " + left("stage", _STAGE) + "".join(right(title, _CELL) for title in _FIGURES[:count])
        lines = [Line(((Tone.HEAD, heading),))]
        begun = 0.0
        for row in _stages(view):
            lines.append(_stage(row, count, begun, whole, room))
            begun += row.last or 0
        return lines


def _stages(view: LatencyView) -> list[LatencyRow]:
    """What the whole is made of; the border says the whole."""
    return [row for row in view.rows if row.stage != "total"]


def _whole(view: LatencyView) -> float | None:
    return sum(row.last or 0 for row in _stages(view)) or None


def _stage(row: LatencyRow, count: int, begun: float, whole: float, room: int) -> Line:
    figures = (row.last, row.p50, row.p95, row.p99)[:count]
    runs = [
        (Tone.DIM, " " + left(row.stage, _STAGE)),
        (Tone.PLAIN, right(micros(figures[0]), _CELL)),
        (Tone.DIM, "".join(right(micros(figure), _CELL) for figure in figures[1:])),
    ]
    if room >= _BAR_FROM and whole and row.last:
        cells = room - 1
        start = min(int(begun / whole * cells), cells - 1)
        runs.append((Tone.BAR_UP, " " + " " * start + bar(row.last / whole, cells - start)))
    return merged(runs)
