"""Open positions: entry, mark, unrealised PnL, margin left, liquidation, protection, age."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from engine.views import PositionRow, PositionsView
from widgets.pane import Tone
from widgets.rows import Column, RowsPane
from widgets.text import DASH, known, signed, since


def side_tone(side: str) -> Tone:
    """Long and short in the colours of up and down; the letter is the other cue."""
    return Tone.UP if side in ("L", "LONG", "BUY") else Tone.DOWN


def gain_tone(sign: int) -> Tone:
    """A gain, a loss, or neither."""
    return Tone.UP if sign > 0 else Tone.DOWN if sign < 0 else Tone.PLAIN


def _percent(text: str | None, sign: int) -> str:
    return DASH if text is None else signed(text.removesuffix("%"), sign) + "%"


def _mark(row: PositionRow) -> str:
    return f"~{row.mark}" if row.stale and row.mark else known(row.mark)


def _size_tone(row: PositionRow) -> Tone:
    return Tone.UNKNOWN if row.differs else Tone.PLAIN


def _none(text: str | None) -> str:
    """What the ledger knows that there is none of; the dash is for what is not known."""
    return text or "none"


def _liquidation(row: PositionRow) -> str:
    # Without margin figures it is not known whether a price would liquidate it.
    return row.liquidation or (DASH if row.margin_left is None else "none")


def _left(row: PositionRow) -> str:
    return DASH if row.margin_left is None else row.margin_left.removesuffix("%") + "%"


class PositionsPane(RowsPane[PositionsView, PositionRow]):
    """The positions of the account; a stale mark is faded and carries a tilde."""

    TITLE = "positions"
    EMPTY = "no open positions: b buys, s sells"
    COLUMNS = (
        Column("symbol", 7, 0, lambda r, _: r.symbol, left=True),
        Column("", 1, 0, lambda r, _: r.side, lambda r: side_tone(r.side), left=True),
        Column("size", 7, 1, lambda r, _: f"≠{r.size}" if r.differs else r.size, _size_tone),
        Column("entry", 8, 3, lambda r, _: r.entry),
        Column("mark", 8, 4, lambda r, _: _mark(r)),
        Column("uPnL", 8, 0, lambda r, _: signed(r.upnl, r.upnl_sign), lambda r: gain_tone(r.upnl_sign)),
        Column("%", 7, 8, lambda r, _: _percent(r.upnl_pct, r.upnl_sign), lambda r: gain_tone(r.upnl_sign)),
        Column("lev", 4, 9, lambda r, _: f"{r.leverage}x"),
        Column("left", 5, 10, lambda r, _: _left(r)),
        Column("liq", 8, 5, lambda r, _: _liquidation(r)),
        Column("TP", 8, 7, lambda r, _: _none(r.take_profit)),
        Column("SL", 8, 6, lambda r, _: _none(r.stop_loss)),
        Column("notional", 9, 12, lambda r, _: known(r.notional)),
        Column("margin", 8, 13, lambda r, _: r.margin),
        Column("realised", 8, 14, lambda r, _: r.realised),
        Column("age", 4, 11, lambda r, now: since(r.opened_ns, now), lambda _: Tone.DIM),
    )
    NARROW = (
        *COLUMNS[:6],
        Column("%", 7, 2, lambda r, _: _percent(r.upnl_pct, r.upnl_sign), lambda r: gain_tone(r.upnl_sign)),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "request_close", "Close", id="positions.close", tooltip="Close this position: preview first"),
        Binding("e", "request_protect", "TP/SL", id="positions.protect", tooltip="Edit take profit and stop loss"),
        Binding("m", "request_break_even", "Break even", id="positions.even", tooltip="Move the stop to break-even"),
        Binding("enter", "choose_position", "Select", id="positions.select", tooltip="Show this market", show=False),
    ]

    @dataclass
    class CloseRequested(Message):
        """A close of this position is wanted."""

        position_id: str

    @dataclass
    class ProtectRequested(Message):
        """Its take profit and stop loss are to be edited."""

        position_id: str

    @dataclass
    class BreakEvenRequested(Message):
        """Its stop is to move to break-even."""

        position_id: str

    @dataclass
    class PositionSelected(Message):
        """This position's market is to be shown."""

        position_id: str
        instrument: str

    def rows(self) -> Sequence[PositionRow]:
        """Positions in the engine's order."""
        return self._view.rows if self._view else ()

    def key(self, row: PositionRow) -> str:
        """The position's id."""
        return row.id

    def note(self) -> str:
        """Where the venue states another position."""
        row = next((row for row in self.rows() if row.differs), None)
        return f"{row.symbol} DIFFERS: {row.differs}" if row else ""

    def is_stale(self, row: PositionRow) -> bool:
        """Valued with an old price."""
        return row.stale

    def action_request_close(self) -> None:
        """Ask for a close of the row under the cursor."""
        self.post_message(self.CloseRequested(self.chosen().id))

    def action_request_protect(self) -> None:
        """Ask for its protection to be edited."""
        self.post_message(self.ProtectRequested(self.chosen().id))

    def action_request_break_even(self) -> None:
        """Ask for its stop at break-even."""
        self.post_message(self.BreakEvenRequested(self.chosen().id))

    def action_choose_position(self) -> None:
        """Ask for its market to be shown."""
        if row := self.selected:
            self.post_message(self.PositionSelected(row.id, row.instrument))


class PastPositionsPane(PositionsPane):
    """The positions of a moment in the past."""

    EMPTY = "no position was open"
