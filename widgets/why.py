"""The chain behind a row: one step a line, its numbers below it."""

from __future__ import annotations

from collections.abc import Sequence

from engine.views.format import clean
from engine.views.why import Answer, Text, lines
from widgets.pane import Line, Tone
from widgets.rows import Column, RowsPane

_TONES = {
    "title": Tone.ACCENT,
    "origin": Tone.WARN,
    "day": Tone.HEAD,
    "asked": Tone.ACCENT,
    "fact": Tone.DIM,
    "bad": Tone.BAD,
}
NARROWEST = 60


class WhyPane(RowsPane[Answer, tuple[int, Text]]):
    """An answer, wrapped to the width there is."""

    TITLE = "why"
    HEADER = 0
    COLUMNS = (
        Column(
            "",
            40,
            0,
            lambda r, _: clean(r[1].text),
            lambda r: _TONES.get(r[1].tone, Tone.PLAIN),
            left=True,
            stretch=True,
        ),
    )

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id, classes=classes)
        self._wrapped: list[tuple[int, Text]] = []
        self._wrapped_for: tuple[Answer | None, int] = (None, 0)

    def rows(self) -> Sequence[tuple[int, Text]]:
        """The lines, numbered."""
        return self._wrapped

    def key(self, row: tuple[int, Text]) -> str:
        """The line's number."""
        return str(row[0])

    def draw(self, width: int, height: int) -> list[Line]:
        """Wrap anew where the width or the answer is another."""
        if self._wrapped_for != (self._view, width):
            self._wrapped_for = (self._view, width)
            self._wrapped = list(enumerate(lines(self._view, max(width - 1, NARROWEST)))) if self._view else []
        return super().draw(width, height)
