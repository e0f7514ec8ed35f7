"""Tiny apps that hold one pane, and a driver that records what would go to the terminal."""

from __future__ import annotations

from collections.abc import Callable

from rich.color import Color
from textual.app import App, ComposeResult
from textual.drivers.headless_driver import HeadlessDriver
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from widgets.pane import LinesWidget, Tone


class RecordingDriver(HeadlessDriver):
    """Says it is a terminal, and keeps every write."""

    writes: list[str]

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.writes = []

    @property
    def is_headless(self) -> bool:
        """A terminal, as far as the app can see."""
        return False

    def write(self, data: str) -> None:
        """Keep it."""
        self.writes.append(data)

    def taken(self) -> int:
        """Bytes written since the last call."""
        size = sum(len(data.encode()) for data in self.writes)
        self.writes.clear()
        return size


class Host(App[None]):
    """One pane that fills the screen; keeps the messages it posted."""

    def __init__(self, pane: Widget, theme: str = "textual-dark", **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.pane = pane
        self.theme = theme
        self.posted: list[Message] = []

    def compose(self) -> ComposeResult:
        """The pane alone."""
        yield self.pane

    def hook(self, message: Message) -> None:
        """For `run_test(message_hook=...)`: keeps messages defined by the pane."""
        if type(message).__qualname__.startswith(type(self.pane).__name__) and message not in self.posted:
            self.posted.append(message)


def drawn(pane: Widget) -> list[str]:
    """The rows of a pane as text, right-hand spaces cut."""
    return [pane.render_line(y).text.rstrip() for y in range(pane.size.height)]


def colour(pane: LinesWidget, tone: Tone) -> Color | None:
    """The colour a pane draws a tone with."""
    return pane.style(tone).color


def count_lines(pane: Widget) -> list[int]:
    """Rows drawn from now on, as a list that grows."""
    rows: list[int] = []
    inner: Callable[[int], Strip] = pane.render_line

    def counting(y: int) -> Strip:
        rows.append(y)
        return inner(y)

    pane.render_line = counting  # type: ignore[method-assign]
    return rows
