"""A candle picture in braille: candles, price lines, price and time axes. Pure: a view and a size in, lines out."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10

from engine.views import Candle, ChartLine, ChartView
from widgets.braille import Canvas, scale
from widgets.pane import Line, Part, Run, Tone, faded, merged, packed
from widgets.text import SECOND, clock, left

_TONES = {"entry": Tone.ACCENT, "tp": Tone.UP, "sl": Tone.DOWN, "liq": Tone.BAD, "order": Tone.WARN, "mark": Tone.PLAIN}
_RANK = {"mark": 0, "liq": 1, "sl": 2, "tp": 3, "entry": 4, "order": 5}
_REACH = 0.6
"""A line farther away than this share of the candles' range is shown at the edge, not by squeezing the candles."""
_TIME_STEPS = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800)
_TIME_CELLS = 12
_STRIDE = 4
"""Candles the picture moves by."""
_RANGE_STEPS = 12
"""The price range grows and shrinks by about this share of itself."""
_INFO_FROM = 9
_AXIS_FROM = 5


class _Frame:
    """The range of prices over the plot's dot rows."""

    def __init__(self, view: ChartView, candles: Sequence[Candle], height: int) -> None:
        low, high = min(c.low for c in candles), max(c.high for c in candles)
        reach = (high - low or abs(high) * 0.001 or 1.0) * _REACH
        near = [price for price in _levels(view) if low - reach <= price <= high + reach]
        low, high = min([low, *near]), max([high, *near])
        # To round prices, so that a new high or low does not move every row.
        step = _round_step((high - low or abs(high) * 0.001 or 1.0) / _RANGE_STEPS)
        self.low, self.high = (floor(low / step) - 0.25) * step, (ceil(high / step) + 0.25) * step
        self.height = height

    def dot(self, price: float) -> int:
        """Dot row of a price."""
        return scale(price, self.low, self.high, self.height * 4)

    def row(self, price: float) -> int:
        """Cell row of a price, held at the edges."""
        return min(max(self.dot(price) // 4, 0), self.height - 1)

    def beyond(self, price: float) -> float:
        """How far outside the range a price lies; 0 inside."""
        return max(price - self.high, self.low - price, 0.0)

    def arrow(self, price: float) -> str:
        """Where a price outside the range lies."""
        return "↑" if price > self.high else "↓" if price < self.low else " "


def plot(view: ChartView, width: int, height: int) -> list[Line]:
    """The picture: an info line when there is height for it, the plot with its price axis, the time axis."""
    places = view.price_places
    axis = max(len(f"{c.high:.{places}f}") for c in view.candles) + 2
    cells = width - axis
    if cells < 4 or height < 1:
        return []
    pitch = 2 if len(view.candles) * 2 <= cells else 1
    candles = view.candles[-_shown(view, cells // pitch) :]
    info, times = height >= _INFO_FROM, height >= _AXIS_FROM
    rows = height - info - times
    frame = _Frame(view, candles, rows)
    canvas, tones = _draw_candles(frame, candles, cells, pitch)
    marks = _marks(view, frame)
    ticks = _ticks(frame, places)
    lines = [_info(view, candles[-1], width)] if info else []
    for y in range(rows):
        runs: list[Run] = _plot_row(canvas, tones, y, marks.get(y))
        runs.append(_axis_cell(marks.get(y), ticks.get(y, ""), places, axis, frame))
        line = merged(runs)
        lines.append(faded(line) if view.stale else line)
    if times:
        lines.append(_times(candles, view.seconds, pitch, width))
    return lines


def _levels(view: ChartView) -> list[float]:
    return [line.price for line in view.lines] + ([view.mark] if view.mark is not None else [])


def _shown(view: ChartView, room: int) -> int:
    """How many candles to draw. The picture moves by several at once: each move sends nearly all of its rows again."""
    number = view.candles[-1].time_ns // (view.seconds * SECOND)
    return max(room - (_STRIDE - 1) + number % _STRIDE, 1)


def _draw_candles(frame: _Frame, candles: Sequence[Candle], cells: int, pitch: int) -> tuple[Canvas, list[Tone]]:
    """High to low in the left dots of a cell, open to close in both."""
    canvas = Canvas(cells, frame.height)
    tones = [Tone.PLAIN] * cells
    for i, candle in enumerate(candles):
        cell = i * pitch
        x = cell * 2
        canvas.column(x, frame.dot(candle.high), frame.dot(candle.low))
        body = sorted((frame.dot(candle.open), frame.dot(candle.close)))
        canvas.column(x, *body)
        canvas.column(x + 1, *body)
        tones[cell] = Tone.UP if candle.close >= candle.open else Tone.DOWN
    return canvas, tones


def _marks(view: ChartView, frame: _Frame) -> dict[int, ChartLine]:
    """The line of each row. Where two share one: prices in range before those beyond it, then the more urgent, the nearer."""
    lines = list(view.lines)
    if view.mark is not None:
        lines.append(ChartLine("mark", view.mark, ""))
    marks: dict[int, ChartLine] = {}
    for line in sorted(lines, key=lambda line: (frame.beyond(line.price), _RANK.get(line.kind, 9)), reverse=True):
        marks[frame.row(line.price)] = line
    return marks


def _plot_row(canvas: Canvas, tones: list[Tone], y: int, mark: ChartLine | None) -> list[Run]:
    if mark is None and canvas.is_blank(y):
        return [(Tone.PLAIN, " " * canvas.width)]
    runs: list[Run] = []
    label = f" {mark.label or mark.kind} " if mark and mark.kind != "mark" else ""
    tone = _TONES.get(mark.kind, Tone.DIM) if mark else Tone.PLAIN
    for x in range(canvas.width):
        char = canvas.cell(x, y)
        if x < len(label):
            runs.append((tone, label[x]))
        elif char != " ":
            runs.append((tones[x], char))
        elif mark is None:
            runs.append((Tone.PLAIN, " "))
        else:
            # Dotted, so that the cells of the line are few and the candles stay in front.
            runs.append((tone, "╌" if mark.kind != "mark" else "·" if x % 2 else " "))
    return runs


def _axis_cell(mark: ChartLine | None, tick: str, places: int, axis: int, frame: _Frame) -> Run:
    if mark is None:
        return Tone.DIM, " " + left(f"┊{tick}" if tick else "┊", axis - 1)
    sign = "◂" if frame.arrow(mark.price) == " " else frame.arrow(mark.price)
    return _TONES.get(mark.kind, Tone.DIM), " " + left(f"{sign}{mark.price:.{places}f}", axis - 1)


def _ticks(frame: _Frame, places: int) -> dict[int, str]:
    """Round prices at least three rows apart."""
    step = max(_round_step((frame.high - frame.low) / max(frame.height / 4, 1)), 10.0**-places)
    ticks: dict[int, str] = {}
    number = int(frame.low / step) + 1
    while number * step < frame.high:
        ticks[frame.row(number * step)] = f"{number * step:.{places}f}"
        number += 1
    return ticks


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10, 20 ... and their fractions that is not below `least`."""
    power = 10.0 ** floor(log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least or factor == 10)


def _info(view: ChartView, last: Candle, width: int) -> Line:
    places = view.price_places
    change = (last.close / last.open - 1) * 100 if last.open else 0.0
    tone = Tone.UP if last.close >= last.open else Tone.DOWN
    sign = "▲" if last.close >= last.open else "▼"
    return packed(
        (
            Part(0, Tone.WARN, " STALE") if view.stale else Part(9, Tone.PLAIN, ""),
            Part(1, tone, f" {last.close:.{places}f} {sign}{change:+.2f}%"),
            Part(2, Tone.DIM, f"H {last.high:.{places}f}"),
            Part(2, Tone.DIM, f"L {last.low:.{places}f}"),
            Part(3, Tone.DIM, f"O {last.open:.{places}f}"),
            Part(4, Tone.DIM, f"V {last.volume:.3f}"),
        ),
        width,
    )


def _times(candles: Sequence[Candle], seconds: int, pitch: int, width: int) -> Line:
    """Times at round steps, each beginning under its candle."""
    step = next((s for s in _TIME_STEPS if s >= seconds and s / seconds * pitch >= _TIME_CELLS), _TIME_STEPS[-1])
    form = "%H:%M:%S" if step < 60 else "%H:%M" if step < 86_400 else "%d %b"
    text = ""
    for i, candle in enumerate(candles):
        at = i * pitch
        if candle.time_ns // SECOND % step == 0 and at >= len(text):
            text = text.ljust(at) + clock(candle.time_ns, form) + " "
    return Line(((Tone.DIM, left(text.rstrip(), width)),))
