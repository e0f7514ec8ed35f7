"""Quit: says what stops and what stays open, and asks while positions or orders are open."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from engine.views import StatusView
from hoox_tui.screens.modal import BACK, FramedModal


class Leaving(StrEnum):
    """What becomes of the engine when its screen closes."""

    DETACH = "detach"
    STOP = "stop"


def consequences(status: StatusView | None) -> str:
    """What is open and what each way out means for it."""
    positions, orders = (status.open_positions, status.open_orders) if status else (0, 0)
    others = status.screens - 1 if status else 0
    lines = [
        f"{positions} open position{'s' * (positions != 1)}, {orders} working order{'s' * (orders != 1)}.",
        "",
        "d  detach: the engine goes on without a screen. Orders work,",
        "   stops fire; the next `hoox` attaches to it.",
        "s  stop the engine: nothing is closed. Positions and orders stay",
        "   in the ledger, but stops held here do NOT fire until it starts.",
    ]
    if others > 0:
        lines += ["", f"{others} other screen{'s' * (others != 1)} would lose the engine too."]
    return "\n".join(lines)


class QuitScreen(FramedModal[Leaving | None]):
    """Dismisses with the way out, or None to stay."""

    TITLE_TEXT = "quit"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "leave('detach')", "Detach", id="quit.detach", tooltip="Leave the engine watching"),
        Binding("s", "leave('stop')", "Stop", id="quit.stop", tooltip="Stop the engine"),
        BACK,
    ]

    def body(self) -> ComposeResult:
        """What is open, and the ways out."""
        yield Static("Quit", classes="title", markup=False)
        yield Static(consequences(self.seat.status), id="quit-text", markup=False)
        yield Static("d detach   s stop the engine   Esc stay", classes="state", markup=False)

    def action_leave(self, how: str) -> None:
        """Leave this way."""
        self.dismiss(Leaving(how))
