"""One signal: its verdict, the checks it passed, where its time went, the orders it became, the body it came with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import NamedTuple

from engine.views import SignalDetailView
from engine.views.format import clean
from widgets.pane import Line, Tone
from widgets.rows import Column, RowsPane
from widgets.signals import APPROVAL, countdown, verdict_tone
from widgets.text import clock, known, micros
from widgets.waterfall import waterfall

LABEL = 13
NARROWEST = 40


class Said(NamedTuple):
    """A line of the detail."""

    number: int
    tone: Tone
    text: str


class SignalPane(RowsPane[SignalDetailView, Said]):
    """All that is known of a signal, wrapped to the width there is."""

    TITLE = "signal"
    HEADER = 0
    EMPTY = "asking the engine…"
    COLUMNS = (Column("", 40, 0, lambda r, _: r.text, lambda r: r.tone, left=True, stretch=True),)

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id, classes=classes)
        self._said: list[Said] = []

    def rows(self) -> Sequence[Said]:
        """The lines, numbered."""
        return self._said

    def key(self, row: Said) -> str:
        """The line's number."""
        return str(row.number)

    def count(self) -> str:
        """Nothing: lines are not counted."""
        return ""

    def draw(self, width: int, height: int) -> list[Line]:
        """Say it anew: it waits, and time passes."""
        told = detail_lines(self._view, self._now_ns, max(width - 2, NARROWEST)) if self._view is not None else ()
        self._said = [Said(number, tone, text) for number, (tone, text) in enumerate(told)]
        return super().draw(width, height)


def detail_lines(view: SignalDetailView, now_ns: int, width: int) -> Iterator[tuple[Tone, str]]:
    """The detail as toned lines of at most `width` cells."""
    row = view.row
    test = "TEST " if row.test else ""
    yield Tone.ACCENT, clean(f"{test}{row.action} {row.quantity} {row.symbol} of {row.source}".replace("  ", " "))
    yield Tone.DIM, clean(f"by {row.path} at {clock(row.received_ns, '%Y-%m-%d %H:%M:%S')} UTC for {view.exchange}")
    yield verdict_tone(row), _verdict(view, now_ns)
    yield from _wrapped(Tone.PLAIN, row.message, width)
    yield Tone.PLAIN, ""
    for label, value in (*view.terms, ("id", row.id), ("key", view.key)):
        yield from _labelled(label, value, width)
    yield from _labelled("checks", " ".join(f"{check} ✓" for check in view.checks) or "none recorded", width)
    yield Tone.PLAIN, ""
    yield Tone.HEAD, f"{'stages'.ljust(LABEL)}{micros(row.took).rjust(8)}"
    for line in waterfall(view.trace, width, named=LABEL) if view.trace is not None else ("not measured",):
        yield Tone.PLAIN, line
    yield Tone.PLAIN, ""
    yield Tone.HEAD, "orders"
    for order in view.orders or ("it became no order",):
        yield from _wrapped(Tone.PLAIN if view.orders else Tone.DIM, order, width)
    yield Tone.PLAIN, ""
    yield Tone.HEAD, "body, its secret masked"
    for line in view.body.splitlines() or [""]:
        yield from _wrapped(Tone.DIM, line, width)
    if view.no_replay:
        yield Tone.PLAIN, ""
        yield from _wrapped(Tone.DIM, view.no_replay, width)


def _verdict(view: SignalDetailView, now_ns: int) -> str:
    row = view.row
    left = countdown(row.until_ns, now_ns)
    if row.waits == APPROVAL:
        arm = "hand and arm" if row.entry else "the hand"
        return f"WAITS FOR APPROVAL, {left} left: A approves ({arm}), D declines"
    if row.waits:
        tries = f", {row.attempt} tried in vain" if row.attempt else ""
        return f"waits: {row.waits}{f', {left} left' if left else ''}{tries}; D ends it"
    return f"{row.status} {clean(row.code)}".rstrip()


def _labelled(label: str, value: str, width: int) -> Iterator[tuple[Tone, str]]:
    for at, line in enumerate(wrap(known(clean(value)), width - LABEL) or [""]):
        yield Tone.PLAIN, f"{'' if at else label:<{LABEL}}{line}"


def _wrapped(tone: Tone, text: str, width: int) -> Iterator[tuple[Tone, str]]:
    for line in wrap(clean(text), width):
        yield tone, line
