"""Where to in time: a moment typed in, or the kind of event to go on to."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input, Static

from hoox_tui.moments import HOW, BadMoment, Until, parse_until
from hoox_tui.screens.modal import BACK, FramedModal
from hoox_tui.seat import Seat

KINDS = {
    "f": ("fill", "a fill"),
    "t": ("trigger", "a stop, target or trail that fired, a liquidation"),
    "a": ("alarm", "an alarm, a liquidation, the kill switch"),
    "r": ("refusal", "an order that was refused"),
    "u": ("unknown", "an unknown outcome, or a position that differs"),
    "s": ("start", "an engine start"),
}
"""Key -> kind of event as the link knows it, and in words."""


class GoToScreen(FramedModal[Until | None]):
    """A moment typed in. `last_ns` is what -5m counts from."""

    AUTO_FOCUS = "Input"
    TITLE_TEXT = "go to"
    BINDINGS: ClassVar[list[BindingType]] = [BACK]

    def __init__(self, seat: Seat, last_ns: int) -> None:
        super().__init__(seat)
        self._last_ns = last_ns

    def body(self) -> ComposeResult:
        """A field, and what may stand in it."""
        yield Static("Go to a moment", classes="title", markup=False)
        field = Input(placeholder="19:05", compact=True)
        field.cursor_blink = False
        yield field
        yield Static("", id="edit-error", markup=False)
        yield Static(f"{HOW}; times are UTC   Esc back", classes="state", markup=False)

    @on(Input.Submitted)
    def go(self, event: Input.Submitted) -> None:
        """Hand the moment on, or say what is wrong with it."""
        try:
            self.dismiss(parse_until(event.value, self._last_ns))
        except BadMoment as error:
            self.query_one("#edit-error", Static).update(str(error))


class KindScreen(FramedModal[str | None]):
    """The kind of event to go on to, by its letter."""

    TITLE_TEXT = "next"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key, f"choose('{kind}')", kind, id=f"kind.{kind}", tooltip=f"Next: {what}")
          for key, (kind, what) in KINDS.items()),
        BACK,
    ]  # fmt: skip

    def body(self) -> ComposeResult:
        """The kinds and their letters."""
        yield Static("Go on to the next", classes="title", markup=False)
        yield Static("\n".join(f"{key}  {what}" for key, (_, what) in KINDS.items()), markup=False)
        yield Static("then n the next one, N the one before   Esc back", classes="state", markup=False)

    def action_choose(self, kind: str) -> None:
        """This kind."""
        self.dismiss(kind)
