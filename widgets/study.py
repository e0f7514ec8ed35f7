"""The full-screen candle study: plotext candles over volume, redrawn at most once a second (a redraw takes 20-37 ms)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.widget import Widget

from engine.views import Candle, ChartView
from widgets.text import SECOND, clock

if TYPE_CHECKING:
    from textual_plotext import PlotextPlot

_LABELS = 8
"""Times written along the axis."""
_LEAST = 60
"""Candles there is room for at least: a few are not blown up to walls."""
_FIGURES = 4
"""Steps of the price axis."""


class CandleStudy(Widget, can_focus=True):
    """Candles with price lines, and volume below."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"study--up", "study--down", "study--volume", "study--line"}

    DEFAULT_CSS = """
    CandleStudy {
        width: 1fr;
        height: 1fr;
        & > .study--up { color: $success; }
        & > .study--down { color: $error; }
        & > .study--volume { color: $primary; }
        & > .study--line { color: $warning; }
        & > PlotextPlot { width: 1fr; background: $surface; }
        & > #study-price { height: 3fr; }
        & > #study-volume { height: 1fr; }
    }
    """

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id, classes=classes)
        self._view: ChartView | None = None
        self._price: PlotextPlot | None = None
        self._volume: PlotextPlot | None = None

    def compose(self) -> ComposeResult:
        """Plotext is imported here: it is not needed to open the desk."""
        from textual_plotext import PlotextPlot

        self._price = PlotextPlot(id="study-price")
        self._volume = PlotextPlot(id="study-volume")
        yield self._price
        yield self._volume

    def on_mount(self) -> None:
        """A view shown before the widgets were there is drawn now."""
        self._draw()

    def on_resize(self) -> None:
        """As many candles as there is room for."""
        self._draw()

    def show(self, view: ChartView | None, now_ns: int = 0) -> None:
        """Draw candles, unless the last drawing of the same chart is less than a second old."""
        last = self._view
        if view is None or view is last:
            return
        same = last is not None and (last.instrument, last.seconds) == (view.instrument, view.seconds)
        if last is not None and same and view.time_ns - last.time_ns < SECOND:
            return
        self._view = view
        self._draw()

    def _draw(self) -> None:
        if self._view is None or self._price is None or self._volume is None or not self._view.candles:
            return
        view = self._view
        candles = view.candles[-max(self.size.width - 14, 10) :]
        self._draw_price(view, candles)
        self._draw_volume(view, candles)

    def _draw_price(self, view: ChartView, candles: tuple[Candle, ...]) -> None:
        assert self._price is not None
        plt = self._price.plt
        plt.clear_figure()
        plt.title(f"{view.symbol} {view.seconds} s" + ("  STALE" if view.stale else ""))
        data = {
            "Open": [c.open for c in candles],
            "High": [c.high for c in candles],
            "Low": [c.low for c in candles],
            "Close": [c.close for c in candles],
        }
        # Positions instead of dates: plotext would spread candles over calendar time and leave gaps.
        positions: list[Any] = list(range(len(candles)))
        plt.candlestick(positions, data, colors=[self._rgb("study--up"), self._rgb("study--down")])
        low, high = min(data["Low"]), max(data["High"])
        background = self._price.background_colors[1].rgb
        for line in view.lines:
            if low <= line.price <= high:
                plt.hline(line.price, self._rgb("study--line"))
                label = f"{line.label or line.kind} {line.price:.{view.price_places}f}"
                plt.text(label, 0, line.price, color=self._rgb("study--line"), background=background, alignment="left")
        plt.xlim(-1, max(len(candles), _LEAST))
        self._write_times(plt, candles, view.seconds)
        self._write_figures(plt, low, high, view.price_places, 0)
        self._price.refresh()

    def _draw_volume(self, view: ChartView, candles: tuple[Candle, ...]) -> None:
        assert self._volume is not None
        plt = self._volume.plt
        plt.clear_figure()
        plt.bar(list(range(len(candles))), [c.volume for c in candles], color=self._rgb("study--volume"), width=0.5)
        plt.xlim(-1, max(len(candles), _LEAST))
        self._write_times(plt, candles, view.seconds)
        most = max(c.volume for c in candles)
        self._write_figures(plt, 0, most, 1, len(f"{max(c.high for c in candles):.{view.price_places}f}"))
        self._volume.refresh()

    def _write_figures(self, plt: Any, low: float, high: float, places: int, width: int) -> None:
        """Both plots get labels of one width, so that a candle stands over its volume."""
        at = [low + (high - low) * i / _FIGURES for i in range(_FIGURES + 1)]
        plt.yticks(at, [f"{value:.{places}f}".rjust(width) for value in at])

    def _write_times(self, plt: Any, candles: tuple[Candle, ...], seconds: int) -> None:
        step = max(len(candles) // _LABELS, 1)
        at = list(range(0, len(candles), step))
        form = "%H:%M:%S" if seconds < 60 else "%H:%M" if seconds < 3600 else "%d %b %H:%M"
        plt.xticks(at, [clock(candles[i].time_ns, form) for i in at])

    def _rgb(self, component: str) -> tuple[int, int, int]:
        return self.get_component_styles(component).color.rgb
