"""The base of all panes: lines of toned runs, drawn by the Line API, refreshed only where they changed.

A pane's `draw` turns its view into lines once per new view or resize; `render_line` only joins prepared runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import ClassVar, Generic, NamedTuple, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from widgets.text import SECOND

ViewT = TypeVar("ViewT")


class Tone(StrEnum):
    """What a run of text means; its colour is the component class `pane--<tone>`."""

    PLAIN = "plain"
    HEAD = "head"
    DIM = "dim"
    UP = "up"
    DOWN = "down"
    BAR_UP = "bar-up"
    BAR_DOWN = "bar-down"
    ACCENT = "accent"
    WARN = "warn"
    BAD = "bad"
    UNKNOWN = "unknown"
    SELECTED = "selected"
    STALE = "stale"
    ALARM = "alarm"
    SIM = "sim"
    PAPER = "paper"
    LIVE = "live"


Run = tuple[Tone, str]


class Line(NamedTuple):
    """One row: runs from left to right, and whether the cursor is on it."""

    runs: tuple[Run, ...] = ()
    lit: bool = False

    @property
    def text(self) -> str:
        """The row without its tones."""
        return "".join(text for _, text in self.runs)


BLANK = Line()
_INVERTED = frozenset({Tone.UNKNOWN, Tone.SELECTED, Tone.ALARM, Tone.SIM, Tone.PAPER, Tone.LIVE})


def merged(runs: Iterable[Run], lit: bool = False) -> Line:
    """A line in which neighbours of one tone are one run, and blanks belong to a neighbour.

    A run costs about 40 bytes in truecolor.
    """
    joined: list[Run] = []
    for tone, text in runs:
        if not text:
            continue
        last, before = joined[-1] if joined else (tone, "")
        if joined and (last is tone or (text.isspace() and last not in _INVERTED)):
            joined[-1] = (last, before + text)
        elif joined and before.isspace() and tone not in _INVERTED:
            joined[-1] = (tone, before + text)
        else:
            joined.append((tone, text))
    return Line(tuple(joined), lit)


def faded(line: Line) -> Line:
    """The same line in the stale tone; warnings and unknown states keep theirs."""
    keep = (Tone.WARN, Tone.BAD, Tone.UNKNOWN, Tone.ALARM)
    return merged(((tone if tone in keep else Tone.STALE, text) for tone, text in line.runs), line.lit)


class Part(NamedTuple):
    """A piece of a status line; the higher its rank, the earlier it is dropped when the line is too narrow."""

    rank: int
    tone: Tone
    text: str
    short: str = ""
    """What is said instead where the parts of SHORTENED ranks do not all fit."""


SHORTENED = 1
"""Parts up to this rank are shortened before one of them is dropped."""


def packed(parts: Sequence[Part], width: int, gap: str = "  ") -> Line:
    """As many parts as fit, in their given order, least important dropped first."""
    chosen: set[int] = set()
    room = width + len(gap)
    parts = _shortened(parts, room, len(gap))
    for index in sorted(range(len(parts)), key=lambda i: parts[i].rank):
        cost = len(parts[index].text) + len(gap)
        if parts[index].text and cost <= room:
            chosen.add(index)
            room -= cost
    runs: list[Run] = []
    for index in sorted(chosen):
        if runs:
            runs.append((Tone.PLAIN, gap))
        runs.append((parts[index].tone, parts[index].text))
    return Line(tuple(runs))


def _shortened(parts: Sequence[Part], room: int, gap: int) -> Sequence[Part]:
    """The same parts, of the important ones as many shortened as it takes, the least important first."""
    fitting = list(parts)
    most = [index for index, part in enumerate(parts) if part.rank <= SHORTENED and part.text]
    for index in sorted((index for index in most if parts[index].short), key=lambda i: -parts[i].rank):
        if sum(len(fitting[i].text) + gap for i in most) <= room:
            break
        fitting[index] = parts[index]._replace(text=parts[index].short)
    return fitting


class Palette(Widget):
    """The tones of one screen. Unseen; its panes share it, so that a focus or a modal need not restyle 20 tones a pane."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {*(f"pane--{tone}" for tone in Tone), "pane--cursor"}

    DEFAULT_CSS = """
    Palette {
        display: none;
        background: $background;
        & > .pane--plain { color: $foreground; }
        & > .pane--head { color: $text-muted; }
        & > .pane--dim { color: $text-muted; }
        & > .pane--up { color: $text-success; }
        & > .pane--down { color: $text-error; }
        & > .pane--bar-up { color: $success-darken-3; }
        & > .pane--bar-down { color: $error-darken-3; }
        & > .pane--accent { color: $text-accent; }
        & > .pane--warn { color: $text-warning; }
        & > .pane--bad { color: $text-error; text-style: bold; }
        & > .pane--unknown { color: $text-warning; text-style: reverse bold; }
        & > .pane--selected { color: $text-accent; text-style: reverse; }
        & > .pane--stale { color: $text-disabled; }
        & > .pane--alarm { color: $text-error; text-style: reverse bold; }
        & > .pane--sim { color: $text-primary; text-style: reverse bold; }
        & > .pane--paper { color: $text-warning; text-style: reverse bold; }
        & > .pane--live { color: $text-error; text-style: reverse bold; }
        & > .pane--cursor { background: $surface-lighten-2; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._styles_of: dict[tuple[Tone, bool], Style] = {}

    def style_of(self, tone: Tone, lit: bool) -> Style:
        """A tone in the current theme; `lit` with the background of the cursor."""
        style = self._styles_of.get((tone, lit))
        if style is None:
            style = self.get_component_rich_style(f"pane--{tone}")
            if lit:
                style += Style(bgcolor=self.get_component_rich_style("pane--cursor").bgcolor)
            self._styles_of[tone, lit] = style
        return style

    def notify_style_update(self) -> None:
        """Another theme: other colours."""
        super().notify_style_update()
        self._styles_of.clear()


class LinesWidget(Widget):
    """Prepared lines, drawn by the Line API; a new set of lines refreshes only the rows that differ."""

    ALLOW_SELECT = False
    PALETTE: ClassVar[type[Palette]] = Palette
    """Whose tones it draws with; the first widget of a screen that needs one brings it."""

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id, classes=classes)
        self._lines: list[Line] = []
        self._strips: dict[int, Strip] = {}
        self._palette: Palette | None = None

    async def on_mount(self) -> None:
        """Share the palette of the screen."""
        self._palette = next(
            (child for child in self.screen.children if isinstance(child, Palette) and type(child) is self.PALETTE),
            None,
        )
        if self._palette is None:
            self._palette = self.PALETTE()
            await self.screen.mount(self._palette)

    def draw(self, width: int, height: int) -> list[Line]:
        """Lines for this size, at most `height`."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Compute the lines again and refresh those that changed."""
        width, height = self.size
        if width and height:
            self._paint(self.draw(width, height)[:height], width)

    def _paint(self, lines: list[Line], width: int) -> None:
        old, self._lines = self._lines, lines
        changed = [
            y
            for y in range(max(len(old), len(lines)))
            if (old[y] if y < len(old) else BLANK) != (lines[y] if y < len(lines) else BLANK)
        ]
        for y in changed:
            self._strips.pop(y, None)
        if changed:
            self.refresh(*(Region(0, y, width, 1) for y in changed))

    def render_line(self, y: int) -> Strip:
        """The prepared line, in the tones of the current theme."""
        width = self.size.width
        strip = self._strips.get(y)
        if strip is None or strip.cell_length != width:
            line = self._lines[y] if y < len(self._lines) else BLANK
            segments = [Segment(text, self.style(tone, line.lit)) for tone, text in line.runs]
            rest = line.runs[-1][0] if line.runs and line.runs[-1][0] not in _INVERTED else Tone.PLAIN
            strip = Strip(segments).adjust_cell_length(width, self.style(rest, line.lit)).simplify()
            self._strips[y] = strip
        return strip

    def style(self, tone: Tone, lit: bool = False) -> Style:
        """A tone as it is drawn here."""
        return self._palette.style_of(tone, lit) if self._palette is not None else Style.null()

    def notify_style_update(self) -> None:
        """A theme alters colours: prepared strips are dropped."""
        super().notify_style_update()
        self._strips.clear()

    def on_resize(self) -> None:
        """A new size needs new lines."""
        self._strips.clear()
        self.redraw()


class Pane(LinesWidget, Generic[ViewT], can_focus=True):
    """A bordered, focusable area that shows one view and owns no trading state."""

    TITLE: ClassVar[str] = ""

    DEFAULT_CSS = """
    Pane {
        width: 1fr;
        height: 1fr;
        border: round $surface-lighten-2;
        border-title-color: $text-muted;
        border-subtitle-color: $text-muted;
        &:focus {
            border: round $accent;
            border-title-color: $text;
            border-title-style: bold;
        }
    }
    """

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id, classes=classes)
        self.border_title = self.TITLE
        self._view: ViewT | None = None
        self._now_ns = 0

    def show(self, view: ViewT | None, now_ns: int = 0) -> None:
        """Draw a view; the same object within the same second costs nothing. `now_ns` is the engine's time, for ages."""
        if view is self._view and now_ns // SECOND == self._now_ns // SECOND:
            return
        self._view, self._now_ns = view, now_ns
        self.redraw()

    def watch_has_focus(self, has_focus: bool) -> None:
        """The cursor shows only where keys go."""
        super().watch_has_focus(has_focus)
        self.redraw()
