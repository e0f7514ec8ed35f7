"""What lies under a modal, darkened: a few colours over and over, so each is blended once and not for every cell.

Textual's own blends every run of every row at every repaint: 60 ms of CPU at 160x45.
"""

from __future__ import annotations

from functools import lru_cache

from rich.segment import Segment
from rich.style import Style as RichStyle
from textual.color import Color
from textual.css.styles import RulesMap
from textual.renderables.background_screen import BackgroundScreen
from textual.screen import Screen
from textual.strip import Strip
from textual.style import Style
from textual.visual import RenderOptions, Visual


class Backdrop(Visual):
    """The screen below under a translucent colour."""

    def __init__(self, screen: Screen[object], shade: Color) -> None:
        self._screen = screen
        self._shade = shade

    def render_strips(self, width: int, height: int | None, style: Style, options: RenderOptions) -> list[Strip]:
        """The rows below, in shaded colours."""
        shade = self._shade
        return [
            Strip([Segment(text, shaded(own, shade)) for text, own, _ in strip], strip.cell_length)
            for strip in self._screen._compositor.render_strips()
        ]

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:
        """All there is."""
        return container_width

    def get_height(self, rules: RulesMap, width: int) -> int:
        """As high as the screen below."""
        return self._screen.size.height


@lru_cache(maxsize=1_024)
def shaded(style: RichStyle | None, shade: Color) -> RichStyle:
    """A style under a translucent colour."""
    segment = next(iter(BackgroundScreen.process_segments([Segment(" ", style)], shade)))
    return segment.style or RichStyle.null()
