"""A table pane by the Line API: header, cursor, scrolling, columns that drop by width, dirty rows only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from textual import events
from textual.actions import SkipAction
from textual.binding import Binding, BindingType

from engine.views.format import clean
from widgets.pane import Line, Pane, Run, Tone, ViewT, faded, merged
from widgets.text import left, right

RowT = TypeVar("RowT")


def plain(_row: Any) -> Tone:
    """The tone of a cell that needs none."""
    return Tone.PLAIN


class Column(NamedTuple):
    """A column; rank 0 is always wanted, the highest rank is dropped first. `text` takes the row and the engine's time."""

    title: str
    width: int
    rank: int
    text: Callable[[Any, int], str]
    tone: Callable[[Any], Tone] = plain
    left: bool = False
    stretch: bool = False
    """Takes the width that is left over, and less than its own where there is not enough."""


class RowsPane(Pane[ViewT], Generic[ViewT, RowT]):
    """Rows under a header. The cursor stays with its row's key, not with its place."""

    COLUMNS: ClassVar[tuple[Column, ...]] = ()
    NARROW: ClassVar[tuple[Column, ...]] = ()
    """The columns of a pane narrower than NARROW_BELOW, where they are others."""
    NARROW_BELOW: ClassVar[int] = 60
    EMPTY: ClassVar[str] = ""
    HEADER: ClassVar[int] = 1
    """Rows the header takes; 0 for a table that needs none."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "cursor_move(1)", "Down", id="rows.down", tooltip="Next row", show=False),
        Binding("up,k", "cursor_move(-1)", "Up", id="rows.up", tooltip="Previous row", show=False),
        Binding("pagedown", "cursor_page(1)", "Page down", id="rows.page-down", tooltip="A page down", show=False),
        Binding("pageup", "cursor_page(-1)", "Page up", id="rows.page-up", tooltip="A page up", show=False),
        Binding("home,g", "cursor_first", "First", id="rows.first", tooltip="First row", show=False),
        Binding("end,G", "cursor_last", "Last", id="rows.last", tooltip="Last row", show=False),
    ]

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id, classes=classes)
        self._cursor = 0
        self._cursor_key = ""
        self._top = 0
        self._columns: tuple[Column, ...] = ()
        self._widths: list[int] = []

    # --- what a table says about itself ---

    def rows(self) -> Sequence[RowT]:
        """The rows of the current view."""
        raise NotImplementedError

    def key(self, row: RowT) -> str:
        """What the cursor holds on to."""
        raise NotImplementedError

    def is_stale(self, _row: RowT) -> bool:
        """Drawn faded."""
        return False

    def count(self) -> str:
        """What the border says about the number of rows."""
        return str(len(self.rows())) if self.rows() else ""

    def note(self) -> str:
        """What must be said under the rows, inverted; empty for nothing."""
        return ""

    # --- cursor ---

    @property
    def selected(self) -> RowT | None:
        """The row under the cursor."""
        rows = self.rows()
        return rows[self._cursor] if self._cursor < len(rows) else None

    def chosen(self) -> RowT:
        """The row an action is for. Without one the key is the screen's, which says what is not there."""
        row = self.selected
        if row is None:
            raise SkipAction
        return row

    def select(self, index: int) -> None:
        """Put the cursor on a row, within what there is."""
        rows = self.rows()
        self._cursor = min(max(index, 0), max(len(rows) - 1, 0))
        self._cursor_key = self.key(rows[self._cursor]) if rows else ""
        self.redraw()

    def action_cursor_move(self, by: int) -> None:
        """Move by rows."""
        self.select(self._cursor + by)

    def action_cursor_page(self, by: int) -> None:
        """Move by pages."""
        self.select(self._cursor + by * self._page(self.size.height))

    def action_cursor_first(self) -> None:
        """To the first row."""
        self.select(0)

    def action_cursor_last(self) -> None:
        """To the last row."""
        self.select(len(self.rows()) - 1)

    def on_click(self, event: events.Click) -> None:
        """The cursor goes where the mouse points."""
        offset = event.get_content_offset(self)
        row = -1 if offset is None else offset.y - self.HEADER
        if row >= 0 and self._top + row < len(self.rows()):
            self.select(self._top + row)

    def on_mouse_scroll_down(self) -> None:
        """The wheel moves the cursor."""
        self.action_cursor_move(1)

    def on_mouse_scroll_up(self) -> None:
        """The wheel moves the cursor."""
        self.action_cursor_move(-1)

    # --- drawing ---

    def _page(self, height: int) -> int:
        return max(height - self.HEADER, 1)

    def draw(self, width: int, height: int) -> list[Line]:
        """Header and the rows in sight."""
        rows = self.rows()
        notes = self._noted(width, height)
        height -= len(notes)
        self._hold_cursor(rows, self._page(height))
        if self.border_subtitle != (count := self.count()):
            self.border_subtitle = count
        if not rows:
            return [Line(((Tone.DIM, left(f" {self.EMPTY}", width)),)), *notes]
        self._choose_columns(width)
        shown = rows[self._top : self._top + self._page(height)]
        cells = [[column.text(row, self._now_ns) for column in self._columns] for row in shown]
        chosen, widths, gap = self._fit(cells, width)
        body = [
            self._line(row, texts, chosen, widths, gap, self.has_focus and self._top + i == self._cursor)
            for i, (row, texts) in enumerate(zip(shown, cells, strict=True))
        ]
        head = [self._header(chosen, widths, gap)] if self.HEADER else []
        return [*head, *body, *notes]

    def _noted(self, width: int, height: int) -> list[Line]:
        """The note, over at most half of the rows and three lines; what does not fit ends in an ellipsis."""
        text = clean(self.note())
        most = min((height - self.HEADER) // 2, 3)
        if not text or most < 1:
            return []
        texts = wrap(text, width - 2, max_lines=most, placeholder="…")
        return [Line(((Tone.UNKNOWN, left(f" {line}", width)),)) for line in texts]

    def _hold_cursor(self, rows: Sequence[RowT], page: int) -> None:
        if self._cursor >= len(rows) or self.key(rows[self._cursor]) != self._cursor_key:
            at = next((i for i, row in enumerate(rows) if self.key(row) == self._cursor_key), self._cursor)
            self._cursor = min(at, max(len(rows) - 1, 0))
            self._cursor_key = self.key(rows[self._cursor]) if rows else ""
        self._top = min(max(self._top, self._cursor - page + 1), self._cursor)
        self._top = max(min(self._top, len(rows) - page), 0)

    def _choose_columns(self, width: int) -> None:
        columns = self.NARROW if self.NARROW and width < self.NARROW_BELOW else self.COLUMNS
        if columns is not self._columns:
            self._columns = columns
            self._widths = [max(column.width, len(column.title)) for column in columns]

    def _fit(self, cells: list[list[str]], width: int) -> tuple[list[int], list[int], str]:
        """Columns that fit, their widths, the gap. Widths only grow, so that columns do not jump with their values."""
        for i, column in enumerate(self._columns):
            if not column.stretch:
                self._widths[i] = max(self._widths[i], *(len(texts[i]) for texts in cells))
        room = width - 1
        chosen: list[int] = []
        for i in sorted(range(len(self._columns)), key=lambda i: self._columns[i].rank):
            need = self._widths[i] + (1 if chosen else 0)
            if self._columns[i].stretch:
                need = min(need, room)
            if need > room and chosen:
                break
            chosen.append(i)
            room -= need
        chosen.sort()
        widths = [self._widths[i] for i in chosen]
        spare = next((at for at, i in enumerate(chosen) if self._columns[i].stretch), None)
        if spare is not None:
            others = sum(widths) - widths[spare] + len(chosen)
            widths[spare] = max(width - others, 0)
            return chosen, widths, " "
        extra = max(room, 0) // max(len(chosen) - 1, 1)
        return chosen, widths, " " * (1 + min(extra, 2))

    def _header(self, chosen: list[int], widths: list[int], gap: str) -> Line:
        titles = (
            left(self._columns[i].title, w) if self._columns[i].left else right(self._columns[i].title, w)
            for i, w in zip(chosen, widths, strict=True)
        )
        return Line(((Tone.HEAD, " " + gap.join(titles)),))

    def _line(self, row: RowT, texts: list[str], chosen: list[int], widths: list[int], gap: str, lit: bool) -> Line:
        runs: list[Run] = [(Tone.ACCENT, "▸" if lit else " ")]
        for at, (i, w) in enumerate(zip(chosen, widths, strict=True)):
            column = self._columns[i]
            if at:
                runs.append((Tone.PLAIN, gap))
            runs.append((column.tone(row), left(texts[i], w) if column.left else right(texts[i], w)))
        line = merged(runs, lit)
        return faded(line) if self.is_stale(row) else line
