"""Where the time of an order goes, from the key to the screen, as a waterfall."""

from __future__ import annotations

from engine.views import LatencyRow, LatencyView
from widgets.pane import Line, Pane, Tone, merged
from widgets.text import bar, left, micros, right

_FIGURES = ("last", "p50", "p95", "p99")
_STAGE = 8
_CELL = 7


class LatencyPane(Pane[LatencyView]):
    """Stages of the last order, each beginning where the one before ended, beside their percentiles."""

    TITLE = "latency"

    def draw(self, width: int, height: int) -> list[Line]:
        """Header, a row a stage, and their sum."""
        view = self._view
        if view is None or not view.rows:
            return [Line(((Tone.DIM, " no order measured yet"),))]
        count = min(max((width - 1 - _STAGE) // _CELL, 1), len(_FIGURES))
        room = max(width - 2 - _STAGE - count * _CELL, 0)
        whole = sum(row.last or 0 for row in view.rows)
        heading = " " + left("stage", _STAGE) + "".join(right(title, _CELL) for title in _FIGURES[:count])
        lines = [Line(((Tone.HEAD, heading + (f"  {view.samples} orders" if room >= 14 else "")),))]
        begun = 0.0
        for row in view.rows:
            lines.append(_stage(row, count, begun, whole, room))
            begun += row.last or 0
        total = micros(whole) if whole else micros(None)
        lines.append(Line(((Tone.HEAD, " " + left("total", _STAGE) + right(total, _CELL) + f"  {view.order}"),)))
        return lines


def _stage(row: LatencyRow, count: int, begun: float, whole: float, room: int) -> Line:
    figures = (row.last, row.p50, row.p95, row.p99)[:count]
    runs = [
        (Tone.DIM, " " + left(row.stage, _STAGE)),
        (Tone.PLAIN, right(micros(figures[0]), _CELL)),
        (Tone.DIM, "".join(right(micros(figure), _CELL) for figure in figures[1:])),
    ]
    if room > 2 and whole and row.last:
        cells = room - 1
        start = min(int(begun / whole * cells), cells - 1)
        runs.append((Tone.BAR_UP, " " + " " * start + bar(row.last / whole, cells - start)))
    return merged(runs)
