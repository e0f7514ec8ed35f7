"""The signal inbox: what came, newest first, with its verdict or what it waits for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from engine.views import SignalRow, SignalsView, SourceRow
from engine.views.format import clean
from widgets.pane import Line, LinesWidget, Part, Tone, packed
from widgets.rows import Column, RowsPane
from widgets.text import DASH, SECOND, age, clock, known, micros, seconds

APPROVAL = "approval"
QUIET_NS = 24 * 3600 * SECOND
"""A source silent for longer is told by its age in a warning tone."""
_TONES = {
    "executed": Tone.UP,
    "refused": Tone.BAD,
    "expired": Tone.BAD,
    "declined": Tone.WARN,
    "ignored": Tone.DIM,
    "logged": Tone.DIM,
    "waiting": Tone.WARN,
}


def verdict_tone(row: SignalRow) -> Tone:
    """The colour of a verdict; what a person must decide is inverted."""
    return Tone.UNKNOWN if row.waits == APPROVAL else _TONES.get(row.status, Tone.ACCENT)


def countdown(until_ns: int, now_ns: int) -> str:
    """What is left of a wait: 4:32, 12m, 3h; empty where no time ends it."""
    if not until_ns:
        return ""
    left_s = max(until_ns - now_ns, 0) // SECOND
    return f"{left_s // 60}:{left_s % 60:02}" if left_s < 600 else age(left_s * SECOND)


def verdict_text(row: SignalRow, now_ns: int) -> str:
    """The verdict, or what it waits for and how long still."""
    if not row.waits:
        return row.status
    word = "APPROVE?" if row.waits == APPROVAL else row.waits
    tries = f"#{row.attempt}" if row.attempt else ""
    return " ".join(part for part in (word, countdown(row.until_ns, now_ns), tries) if part)


def _action_tone(row: SignalRow) -> Tone:
    return {"LONG": Tone.UP, "SHORT": Tone.DOWN}.get(row.action, Tone.PLAIN)


class SignalsPane(RowsPane[SignalsView, SignalRow]):
    """The inbox, narrowed down to what a search says."""

    TITLE = "signals"
    COLUMNS = (
        Column("time", 8, 2, lambda r, _: clock(r.received_ns), lambda _: Tone.DIM, left=True),
        Column("source", 8, 1, lambda r, _: clean(r.source), left=True),
        Column("action", 6, 0, lambda r, _: r.action, _action_tone, left=True),
        Column("symbol", 8, 0, lambda r, _: clean(r.symbol), left=True),
        Column("quantity", 8, 1, lambda r, _: known(clean(r.quantity))),
        Column("verdict", 12, 0, verdict_text, verdict_tone, left=True),
        Column("code", 9, 2, lambda r, _: clean(r.code), verdict_tone, left=True),
        Column("took", 6, 3, lambda r, _: micros(r.took), lambda _: Tone.DIM),
        Column("what", 8, 4, lambda r, _: clean(r.message), lambda _: Tone.DIM, left=True, stretch=True),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open_detail", "Open", id="signals.open", tooltip="All that is known of this signal"),
    ]

    @dataclass
    class Opened(Message):
        """A person wants to see all of a signal."""

        signal: str

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id, classes=classes)
        self.wanted = ""
        self._rows: tuple[SignalRow, ...] = ()
        self._rows_of: tuple[SignalsView | None, str] = (None, "")

    @property
    def EMPTY(self) -> str:  # type: ignore[override]  # noqa: N802  it depends on the search
        """What an empty list says."""
        return f"no signal matches {self.wanted!r}: Esc shows all" if self.wanted else "no signal yet"

    def rows(self) -> Sequence[SignalRow]:
        """Those that hold every word of the search."""
        if self._rows_of != (self._view, self.wanted):
            self._rows_of = (self._view, self.wanted)
            words = self.wanted.casefold().split()
            every = self._view.rows if self._view is not None else ()
            self._rows = tuple(row for row in every if all(word in _told(row) for word in words))
        return self._rows

    def key(self, row: SignalRow) -> str:
        """Its id."""
        return row.id

    def count(self) -> str:
        """How many are shown, of how many."""
        view = self._view
        if view is None:
            return ""
        shown = len(self.rows())
        unseen = view.approvals - sum(row.waits == APPROVAL for row in view.rows)
        more = f", {unseen} more to approve" if unseen > 0 else ""
        return (f"{shown} of {view.total}" if shown < view.total else str(view.total)) + more

    def search(self, text: str) -> None:
        """Show only what matches; empty shows all."""
        self.wanted = text
        self.select(0)

    def action_open_detail(self) -> None:
        """All of the signal under the cursor."""
        if self.selected is not None:
            self.post_message(self.Opened(self.selected.id))


def _told(row: SignalRow) -> str:
    words = (row.id, row.source, row.action, row.symbol, row.quantity, row.status, row.waits, row.code, row.message)
    return " ".join((*words, row.path, *row.orders)).casefold()


class SourcesBar(LinesWidget):
    """A line for each source: when it was last heard, how much came, what was refused."""

    DEFAULT_CSS = """
    SourcesBar {
        height: 1;
    }
    """
    MOST = 4

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id, classes=classes)
        self._sources: tuple[SourceRow, ...] = ()
        self._now_ns = 0

    def show(self, view: SignalsView | None, now_ns: int) -> None:
        """Draw the sources: those not listened to first, then by when they were last heard."""
        sources = view.sources if view is not None else ()
        self._sources = tuple(sorted(sources, key=lambda one: (not one.quarantined_s, -one.last_ns)))
        self._now_ns = now_ns
        height = min(max(len(self._sources), 1), self.MOST)
        if self.styles.height is None or self.styles.height.value != height:
            self.styles.height = height
        self.redraw()

    def draw(self, width: int, height: int) -> list[Line]:
        """As many as fit; the last line says how many do not."""
        if not self._sources:
            return [Line(((Tone.DIM, " no source was heard yet: hoox source add NAME makes one"),))]
        fits = len(self._sources) if len(self._sources) <= height else height - 1
        named = max(len(one.name) for one in self._sources)
        lines = [packed(_health(one, named, self._now_ns), width) for one in self._sources[:fits]]
        if fits < len(self._sources):
            lines.append(Line(((Tone.DIM, f" and {len(self._sources) - fits} more"),)))
        return lines


def _health(one: SourceRow, named: int, now_ns: int) -> tuple[Part, ...]:
    silent = now_ns - one.last_ns
    heard = f"{age(silent)} ago" if one.last_ns else "never heard"
    shut = f" QUARANTINED {seconds(int(one.quarantined_s * SECOND))} " if one.quarantined_s else ""
    return (
        Part(0, Tone.ACCENT, f" {clean(one.name).ljust(named)}"),
        Part(0, Tone.ALARM, shut),
        Part(1, Tone.PLAIN if one.last_ns and silent < QUIET_NS else Tone.WARN, heard.rjust(8)),
        Part(3, Tone.PLAIN, f"{one.per_minute:>4}/min"),
        Part(2, Tone.UP if one.accepted else Tone.DIM, f"{one.accepted} accepted"),
        Part(2, Tone.BAD if one.refused else Tone.DIM, f"{one.refused} refused"),
        Part(4, Tone.DIM, clean(one.refusals) if one.refusals else DASH),
    )
