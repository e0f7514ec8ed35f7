"""Prices as events recorded them: all that a ledger knows of the market of then."""

from __future__ import annotations

from collections.abc import Sequence

from engine.views import PriceRow, PricesView
from widgets.pane import Line, Tone
from widgets.rows import Column, RowsPane
from widgets.text import DASH, age, known, left

NOTHING_MORE = " no order book and no candles are kept in a ledger"


def _age(row: PriceRow) -> str:
    return DASH if row.age_ns is None else age(row.age_ns)


class PricesPane(RowsPane[PricesView, PriceRow]):
    """The top of the book at the last decision, or the mark last noted, with how old it was at the moment shown."""

    TITLE = "prices as recorded"
    EMPTY = "no price was recorded by then"
    COLUMNS = (
        Column("symbol", 7, 0, lambda r, _: r.symbol, left=True),
        Column("mark", 9, 0, lambda r, _: known(r.mark)),
        Column("bid", 9, 2, lambda r, _: known(r.bid)),
        Column("ask", 9, 2, lambda r, _: known(r.ask)),
        Column("old", 4, 1, lambda r, _: _age(r), lambda _: Tone.DIM),
        Column("event", 7, 3, lambda r, _: str(r.seq) if r.seq else DASH, lambda _: Tone.DIM),
    )

    def rows(self) -> Sequence[PriceRow]:
        """Instruments in the ledger's order."""
        return self._view.rows if self._view else ()

    def key(self, row: PriceRow) -> str:
        """The instrument."""
        return row.instrument

    def draw(self, width: int, height: int) -> list[Line]:
        """The rows, and what is not there."""
        lines = super().draw(width, max(height - 1, 1))
        return [*lines, Line(((Tone.DIM, left(NOTHING_MORE, width)),))]
