"""The live chart: braille candles with the position's lines, sent again only where the picture changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from engine.views import ChartView
from widgets.pane import Line, Pane, Tone
from widgets.plot import plot

TIMEFRAMES = {1: "1s", 5: "5s", 15: "15s", 60: "1m", 300: "5m", 900: "15m", 3600: "1h"}
"""Seconds of a candle, and their names."""


class ChartPane(Pane[ChartView]):
    """Candles of one instrument and timeframe."""

    TITLE = "chart"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "timeframe_step(-1)", "Shorter", id="chart.shorter", tooltip="Shorter candles"),
        Binding("right_square_bracket", "timeframe_step(1)", "Longer", id="chart.longer", tooltip="Longer candles"),
    ]

    @dataclass
    class TimeframeChanged(Message):
        """Candles of this many seconds are wanted."""

        seconds: int

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id, classes=classes)
        self._seconds = min(TIMEFRAMES)

    def expect(self, symbol: str, seconds: int) -> None:
        """Name the candles that were asked for; those of before are gone: they would stand under a wrong name."""
        self.border_title = f"{self.TITLE} {symbol} {TIMEFRAMES.get(seconds, f'{seconds}s')}"
        self._seconds = seconds
        super().show(None)

    def show(self, view: ChartView | None, now_ns: int = 0) -> None:
        """Draw candles; they show no age of their own."""
        if view is not self._view:
            super().show(view, now_ns)

    def action_timeframe_step(self, by: int) -> None:
        """Ask for the next shorter or longer candles; presses add up before the view follows."""
        steps = sorted(TIMEFRAMES)
        near = min(range(len(steps)), key=lambda i: abs(steps[i] - self._seconds))
        wanted = steps[min(max(near + by, 0), len(steps) - 1)]
        if wanted != self._seconds:
            self._seconds = wanted
            self.post_message(self.TimeframeChanged(wanted))

    def draw(self, width: int, height: int) -> list[Line]:
        """The picture, or why there is none."""
        if self._view is None or not self._view.candles:
            return [Line(((Tone.DIM, " no candles yet: waiting for trades"),))]
        return plot(self._view, width, height)
