"""The event log: a ring of lines that follows the newest until one scrolls back."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from engine.views import LogLine, LogView
from engine.views.format import clean
from widgets.pane import Tone
from widgets.rows import Column, RowsPane
from widgets.text import clock

LINES = 5_000
"""Kept for scrolling back; the ledger has the rest."""
_SIGNS = {"info": "·", "good": "✓", "warn": "!", "error": "✗"}
_TONES = {"info": Tone.PLAIN, "good": Tone.UP, "warn": Tone.WARN, "error": Tone.BAD}


def _tone(row: LogLine) -> Tone:
    return _TONES.get(row.level, Tone.PLAIN)


class LogPane(RowsPane[LogView, LogLine]):
    """What happened, oldest first."""

    TITLE = "log"
    EMPTY = "nothing logged yet"
    HEADER = 0
    COLUMNS = (
        Column("time", 8, 1, lambda r, _: clock(r.time_ns), lambda _: Tone.DIM, left=True),
        Column("", 1, 0, lambda r, _: _SIGNS.get(r.level, "·"), _tone, left=True),
        Column("code", 12, 2, lambda r, _: clean(r.code), lambda _: Tone.DIM, left=True),
        Column("what", 40, 0, lambda r, _: clean(r.text), _tone, left=True, stretch=True),
        Column("seq", 6, 3, lambda r, _: str(r.seq) if r.seq else "", lambda _: Tone.DIM),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "toggle_follow", "Follow", id="log.follow", tooltip="Follow the newest line, or stay here"),
    ]

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id, classes=classes)
        self._ring: deque[LogLine] = deque(maxlen=LINES)
        self._window: tuple[LogLine, ...] = ()
        self._seen: LogView | None = None
        self._seq = 0
        self._loose: set[LogLine] = set()
        """Lines that are not in the ledger and have no seq; their times may be another clock's."""
        self.following = True

    def rows(self) -> Sequence[LogLine]:
        """All lines kept, oldest first."""
        return self._window

    def key(self, row: LogLine) -> str:
        """Lines outside the ledger have no seq, so the time and text count too."""
        return f"{row.seq}:{row.time_ns}:{row.text}"

    def count(self) -> str:
        """Whether the newest line is in sight."""
        return "" if self.following else f"{self._cursor + 1} of {len(self._window)}, f follows"

    def show(self, view: LogView | None, now_ns: int = 0) -> None:
        """Take the lines that are new; a log shows no ages."""
        if view is None or view is self._seen:
            return
        self._seen = view
        fresh = [line for line in view.lines if (line.seq > self._seq if line.seq else line not in self._loose)]
        if not fresh:
            return
        self._ring.extend(fresh)
        self._seq = max(self._seq, *(line.seq for line in fresh))
        self._loose = {line for line in self._ring if not line.seq}
        self._window = tuple(self._ring)
        if self.following:
            self._hold_newest()
        self.redraw()

    def _hold_newest(self) -> None:
        self._cursor = max(len(self._window) - 1, 0)
        self._cursor_key = self.key(self._window[-1]) if self._window else ""

    def select(self, index: int) -> None:
        """Scrolling back stops following; the last line resumes it."""
        self.following = index >= len(self._window) - 1
        super().select(index)

    def action_toggle_follow(self) -> None:
        """Follow the newest line, or stay here."""
        self.following = not self.following
        if self.following:
            self._hold_newest()
        self.redraw()


class PastLogPane(LogPane):
    """The log as it stood at a moment: going back takes lines away again."""

    EMPTY = "nothing had been logged by then"

    def show(self, view: LogView | None, now_ns: int = 0) -> None:
        """Show these lines and no others."""
        if view is None or view is self._seen:
            return
        self._seen = view
        self._window = view.lines
        self.following = True
        self._hold_newest()
        self.redraw()
