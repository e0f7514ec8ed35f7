"""Closed positions with what they earned and why they ended."""

from __future__ import annotations

from collections.abc import Sequence

from engine.views import TradeRow, TradesView
from engine.views.format import clean
from widgets.pane import Tone
from widgets.positions import gain_tone, side_tone
from widgets.rows import Column, RowsPane
from widgets.text import DASH, age, clock, signed, since


def _percent(row: TradeRow) -> str:
    return DASH if row.net_pct is None else signed(row.net_pct.removesuffix("%"), row.net_sign) + "%"


class TradesPane(RowsPane[TradesView, TradeRow]):
    """Closed trades, newest first."""

    TITLE = "closed trades"
    EMPTY = "no closed trades yet"
    COLUMNS = (
        Column("closed", 8, 5, lambda r, _: clock(r.closed_ns), lambda _: Tone.DIM, left=True),
        Column("ago", 4, 8, lambda r, now: since(r.closed_ns, now), lambda _: Tone.DIM),
        Column("symbol", 7, 0, lambda r, _: r.symbol, left=True),
        Column("", 1, 0, lambda r, _: r.side, lambda r: side_tone(r.side), left=True),
        Column("size", 7, 2, lambda r, _: r.size),
        Column("entry", 8, 3, lambda r, _: r.entry),
        Column("exit", 8, 3, lambda r, _: r.exit),
        Column("net", 8, 0, lambda r, _: signed(r.net, r.net_sign), lambda r: gain_tone(r.net_sign)),
        Column("%", 7, 4, lambda r, _: _percent(r), lambda r: gain_tone(r.net_sign)),
        Column("why", 11, 1, lambda r, _: clean(r.reason).replace("_", " "), left=True),
        Column("fees", 6, 7, lambda r, _: r.fees),
        Column("funding", 7, 9, lambda r, _: r.funding),
        Column("held", 4, 6, lambda r, _: age(r.closed_ns - r.opened_ns), lambda _: Tone.DIM),
    )

    def rows(self) -> Sequence[TradeRow]:
        """Trades, newest first."""
        return self._view.rows if self._view else ()

    def key(self, row: TradeRow) -> str:
        """The position's id."""
        return row.id
