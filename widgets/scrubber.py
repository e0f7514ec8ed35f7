"""Where one is in time travel: a banner that cannot be taken for now, and a bar from the first event to the last."""

from __future__ import annotations

from engine.views import StatusView, TravelView
from engine.views.format import clean
from widgets.pane import Line, LinesWidget, Palette, Part, Run, Tone, merged, packed
from widgets.text import age, clock, left

_DAY = "%Y-%m-%d %H:%M:%S"
_MS = 1_000_000
_OLD_NS = 5_000 * _MS
_HERE, _START, _FILL, _PAST, _TO_COME = "◆", "┃", "•", "━", "─"


class ScrubberPalette(Palette):
    """Tones over the colour of time travel."""


class Scrubber(LinesWidget):
    """Three lines: the moment, the bar with its marks (• fill, ┃ engine start), the event and the environment of then."""

    DEFAULT_CSS = """
    Scrubber {
        height: 3;
    }
    """
    PALETTE = ScrubberPalette

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id, classes=classes)
        self._view: TravelView | None = None
        self._status: StatusView | None = None
        self._note = ""

    def show(self, view: TravelView | None, status: StatusView | None, note: str = "") -> None:
        """Draw a moment (None: nothing is read yet); `note` is what else there is to say."""
        self._view, self._status, self._note = view, status, note
        self.redraw()

    def draw(self, width: int, height: int) -> list[Line]:
        """All three lines."""
        view = self._view
        if view is None:
            waiting = clean(self._note) or "reading the ledger…"
            return [Line(((Tone.ALARM, left(f" TIME TRAVEL · {waiting} · nothing here trades", width)),))]
        return [_banner(view, width), _bar(view, width), self._event(view, width)]

    def _event(self, view: TravelView, width: int) -> Line:
        status = self._status
        env = status.env.upper() + " REHEARSAL" * status.rehearsal if status is not None else ""
        whole = view.verified >= view.last_seq
        parts = (
            Part(0, Tone.PLAIN, f" {env} then"),
            Part(0, Tone.BAD, f"DAMAGED: ends at {view.last_seq}") if view.damage else Part(9, Tone.PLAIN, ""),
            Part(0, Tone.WARN, clean(self._note)),
            Part(1, Tone.HEAD, clean(view.event)),
            _valued(view),
            Part(2, Tone.BAD, "KILL ON") if status is not None and status.kill else Part(9, Tone.PLAIN, ""),
            Part(3, Tone.DIM, f"engine start {view.epoch}"),
            Part(4, Tone.DIM, "verified" if whole else f"{view.verified * 100 // view.last_seq} % verified"),
            Part(5, Tone.DIM, clean(status.ledger) if status is not None else ""),
            Part(6, Tone.BAD, clean(view.damage)),
        )
        return packed(parts, width)


def _valued(view: TravelView) -> Part:
    """Of when the prices are, where that is not the moment shown."""
    if view.valued_ns is None or view.time_ns - view.valued_ns <= _OLD_NS:
        return Part(9, Tone.PLAIN, "")
    old = f"{age(view.time_ns - view.valued_ns)} old" if view.valued_ns else "of unknown age"
    return Part(1, Tone.WARN, f"equity at prices {old}")


def _banner(view: TravelView, width: int) -> Line:
    """Inverted from edge to edge; the number of the event is said shorter where there is little room."""
    ms = view.time_ns // _MS % 1_000
    moment = f" TIME TRAVEL {clock(view.time_ns, _DAY)}.{ms:03} UTC"
    nothing = "nothing here trades"
    long = f"{moment} · seq {view.seq} of {view.last_seq} · {nothing}"
    short = f"{moment} · {view.seq}/{view.last_seq} · {nothing}"
    return Line(((Tone.ALARM, left(long if len(long) <= width else short, width)),))


def _bar(view: TravelView, width: int) -> Line:
    """Events evenly spaced, between the times of the first and the last."""
    form = "%H:%M:%S" if view.last_ns - view.first_ns < 20 * 3_600 * 1_000 * _MS else "%d %b %H:%M"
    first, last = f" {clock(view.first_ns, form)} ", f" {clock(view.last_ns, form)}"
    cells = max(width - len(first) - len(last) - 1, 1)
    here = _cell((view.seq - 1) / max(view.last_seq - 1, 1), cells)
    fills = {_cell(at, cells) for at in view.fills}
    starts = {_cell(at, cells) for at in view.starts}
    runs: list[Run] = [(Tone.DIM, first)]
    for cell in range(cells):
        if cell == here:
            runs.append((Tone.ACCENT, _HERE))
        elif cell in starts:
            runs.append((Tone.WARN, _START))
        elif cell in fills:
            runs.append((Tone.UP, _FILL))
        else:
            runs.append((Tone.PLAIN, _PAST) if cell < here else (Tone.DIM, _TO_COME))
    runs.append((Tone.DIM, last))
    return merged(runs)


def _cell(fraction: float, cells: int) -> int:
    return round(min(max(fraction, 0.0), 1.0) * (cells - 1))
