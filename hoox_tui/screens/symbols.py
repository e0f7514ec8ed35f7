"""Symbol search: type a part of a name, Enter takes the first hit."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from engine.views import InstrumentView
from hoox_tui.screens.modal import BACK, FramedModal
from hoox_tui.seat import Seat


def matches(instruments: tuple[InstrumentView, ...], text: str) -> list[InstrumentView]:
    """Instruments whose symbol or id contains the text; those that begin with it come first."""
    wanted = text.strip().upper()
    hits = [one for one in instruments if wanted in one.symbol.upper() or wanted in one.id.upper()]
    return sorted(hits, key=lambda one: not one.symbol.upper().startswith(wanted))


class SymbolScreen(FramedModal[str | None]):
    """Dismisses with an instrument id, or None."""

    AUTO_FOCUS = "Input"
    TITLE_TEXT = "symbol"
    BINDINGS: ClassVar[list[BindingType]] = [
        BACK,
        Binding("down", "move_hit(1)", "Down", id="symbols.down", tooltip="Next hit", show=False),
        Binding("up", "move_hit(-1)", "Up", id="symbols.up", tooltip="Previous hit", show=False),
    ]

    def __init__(self, seat: Seat) -> None:
        super().__init__(seat)
        self._hits = OptionList(markup=False)
        self._hits.can_focus = False

    def body(self) -> ComposeResult:
        """A field over the hits."""
        field = Input(placeholder="symbol", compact=True)
        field.cursor_blink = False
        yield field
        yield self._hits

    def on_mount(self) -> None:
        """All instruments to begin with."""
        super().on_mount()
        self._list("")

    @on(Input.Changed)
    def narrow_down(self, event: Input.Changed) -> None:
        """Fewer hits with every letter."""
        self._list(event.value)

    def _list(self, text: str) -> None:
        self._hits.clear_options()
        for one in matches(self.seat.instruments, text):
            self._hits.add_option(Option(f"{one.symbol:<14} {one.id}", one.id))
        self._hits.highlighted = 0 if self._hits.option_count else None

    def action_move_hit(self, by: int) -> None:
        """Another hit."""
        at = self._hits.highlighted
        if at is not None:
            self._hits.highlighted = (at + by) % self._hits.option_count

    @on(Input.Submitted)
    def take(self) -> None:
        """The highlighted hit."""
        at = self._hits.highlighted
        if at is not None:
            self.dismiss(self._hits.get_option_at_index(at).id)

    @on(OptionList.OptionSelected)
    def take_clicked(self, event: OptionList.OptionSelected) -> None:
        """A click on a hit."""
        self.dismiss(event.option.id)
