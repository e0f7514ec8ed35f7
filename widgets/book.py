"""The ladder: asks above, bids below, the spread between them; sizes with depth bars, cumulative and own size."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, NamedTuple

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from engine.views import BookRow, BookView
from widgets.pane import BLANK, Line, Pane, Part, Run, Tone, faded, merged, packed
from widgets.text import DASH, SECOND, bar, known, right, seconds

_BAR_CELLS = 16
_HEADER_FROM = 7
"""Height from which a header row is worth its place."""


class _Level(NamedTuple):
    row: BookRow
    is_ask: bool


class BookPane(Pane[BookView]):
    """The order book of one instrument, centred on the spread, cut to the height."""

    TITLE = "book"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "level_move(1)", "Down", id="book.down", tooltip="Next lower price", show=False),
        Binding("up,k", "level_move(-1)", "Up", id="book.up", tooltip="Next higher price", show=False),
        Binding("space", "level_centre", "Centre", id="book.centre", tooltip="Back to the spread, without cursor"),
        Binding("enter", "level_choose", "Take price", id="book.choose", tooltip="Use this price in the ticket"),
    ]

    @dataclass
    class PriceChosen(Message):
        """A level's price was chosen, as text in the instrument's tick."""

        price: str

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id, classes=classes)
        self._ladder: list[_Level | None] = [None]
        self._middle = 0
        self._top = 0
        self._header = 0
        self._cursor: str | None = None
        self._cursor_at = 0
        self._widths = (8, 8, 8)

    def expect(self, symbol: str) -> None:
        """Another instrument's book comes: it begins at its spread, with its own widths; the old one is gone."""
        self.border_title = f"{self.TITLE} {symbol}"
        self._cursor, self._widths = None, (8, 8, 8)
        super().show(None)

    # --- cursor ---

    def action_level_move(self, by: int) -> None:
        """Move the cursor by levels; the first press stands at the best price of that side."""
        at = self._cursor_at if self._cursor is not None else self._middle
        at += by
        if at == self._middle:
            at += by
        level = self._ladder[at] if 0 <= at < len(self._ladder) else None
        if level is not None:
            self._cursor, self._cursor_at = level.row.price, at
            self.redraw()

    def action_level_centre(self) -> None:
        """Back to the spread, without a cursor."""
        self._cursor = None
        self.redraw()

    def action_level_choose(self) -> None:
        """Offer the price under the cursor."""
        if self._cursor is not None:
            self.post_message(self.PriceChosen(self._cursor))

    def on_click(self, event: events.Click) -> None:
        """A click on a level is its choice."""
        offset = event.get_content_offset(self)
        at = -1 if offset is None else self._top + offset.y - self._header
        level = self._ladder[at] if 0 <= at < len(self._ladder) and (offset and offset.y >= self._header) else None
        if level is not None:
            self._cursor, self._cursor_at = level.row.price, at
            self.redraw()
            self.post_message(self.PriceChosen(level.row.price))

    # --- drawing ---

    def draw(self, width: int, height: int) -> list[Line]:
        """Header, then the window of the ladder around the spread or the cursor."""
        view = self._view
        if view is None:
            return [Line(((Tone.DIM, " no book yet: waiting for the feed"),))]
        self._set_ladder(view)
        self._header = 1 if height >= _HEADER_FROM else 0
        count = height - self._header
        self._top = self._middle - count // 2
        if self._cursor is not None:
            self._top = min(max(self._top, self._cursor_at - count + 1), self._cursor_at)
        self._grow_widths(view)
        stale = view.stale or (view.age_ns is not None and self._age(view) > view.stale_from_ns)
        lines = [self._heading(width)] if self._header else []
        for at in range(self._top, self._top + count):
            level = self._ladder[at] if 0 <= at < len(self._ladder) else None
            if level is not None:
                line = self._level(level, width, at)
                lines.append(faded(line) if stale else line)
            elif at == self._middle:
                lines.append(self._spread(view, width, stale))
            else:
                lines.append(BLANK)
        return lines

    def _set_ladder(self, view: BookView) -> None:
        asks: list[_Level | None] = [_Level(row, True) for row in reversed(view.asks)]
        self._middle = len(asks)
        self._ladder = [*asks, None, *(_Level(row, False) for row in view.bids)]
        if self._cursor is None:
            return
        at = next((i for i, level in enumerate(self._ladder) if level and level.row.price == self._cursor), None)
        self._cursor_at = self._keep_row(self._cursor, view) if at is None else at

    def _keep_row(self, price: str, view: BookView) -> int:
        """A row for a price at which nothing rests any more: in a moving market a cursor that went with its level could
        not be used, and it must not slide onto another price."""
        wanted = Decimal(price)
        is_ask = bool(view.asks) and wanted >= Decimal(view.asks[0].price)
        side = [Decimal(row.price) for row in (view.asks if is_ask else view.bids)]
        before = sum((other < wanted) if is_ask else (other > wanted) for other in side)
        at = self._middle - before if is_ask else self._middle + 1 + before
        self._ladder.insert(at, _Level(BookRow(price, DASH, "", 0.0), is_ask))
        self._middle += is_ask
        return at

    def _age(self, view: BookView) -> int:
        return (view.age_ns or 0) + (max(self._now_ns - view.time_ns, 0) if self._now_ns else 0)

    def _grow_widths(self, view: BookView) -> None:
        price, size, total = self._widths
        for row in (*view.asks, *view.bids):
            price, size, total = max(price, len(row.price)), max(size, len(row.size)), max(total, len(row.total))
        self._widths = (price, size, total)

    def _columns(self, width: int) -> tuple[int, int, int, int, int]:
        """Cells for own, price, size, total, bar: price and size always; then the bar, total, own size, as room allows."""
        price, size, total = self._widths
        room = width - 2 - price - 1 - size - 1
        with_total = total + 1 if room >= total + 5 else 0
        room -= with_total
        own = size if room >= size + 9 else 0
        return own, price, size, with_total, max(min(room - own - 1, _BAR_CELLS), 0)

    def _heading(self, width: int) -> Line:
        own, price, size, total, _ = self._columns(width)
        text = "  " + right("own", own) + right("price", price + 1) + " " + right("size", size) + right("total", total)
        return Line(((Tone.HEAD, text),))

    def _level(self, level: _Level, width: int, at: int) -> Line:
        row = level.row
        own, price, size, total, cells = self._columns(width)
        lit = self._cursor is not None and at == self._cursor_at
        runs: list[Run] = []
        if row.own:
            runs.append((Tone.ACCENT, ("▸" if lit else " ") + "◆" + right(row.own, own)))
        else:
            runs.append((Tone.ACCENT if lit else Tone.PLAIN, ("▸ " if lit else "  ") + " " * own))
        runs.append((Tone.DOWN if level.is_ask else Tone.UP, right(row.price, price + 1)))
        runs.append((Tone.PLAIN, " " + right(row.size, size) + (right(row.total, total) if total else "")))
        runs.append((Tone.BAR_DOWN if level.is_ask else Tone.BAR_UP, " " + bar(row.bar, cells)))
        return merged(runs, lit)

    def _spread(self, view: BookView, width: int, stale: bool) -> Line:
        arrow, tone = {1: ("▲", Tone.UP), -1: ("▼", Tone.DOWN)}.get(view.last_side, ("", Tone.PLAIN))
        age = self._age(view)
        aged = view.age_ns is not None and age > SECOND
        parts = [
            Part(0, Tone.WARN, f" STALE {seconds(age)}") if stale else Part(9, Tone.PLAIN, ""),
            Part(1, tone, f" {known(view.last)} {arrow}".rstrip()),
            Part(3, Tone.DIM, f"spread {known(view.spread)}"),
            Part(2, Tone.DIM, f"mark {known(view.mark)}"),
            Part(4, Tone.WARN, f"{seconds(age)} old") if aged and not stale else Part(9, Tone.PLAIN, ""),
            Part(5, Tone.DIM, f"{view.spread_bps}bp" if view.spread_bps else ""),
            Part(6, Tone.DIM, f"index {known(view.index)}"),
            Part(7, Tone.DIM, f"funding {known(view.funding)}"),
        ]
        line = packed(parts, width)
        return faded(line) if stale else line
