"""Quit: says what stops and what stays open, and asks wherever stopping the engine would be missed."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from engine.views import StatusView
from engine.views.format import clean, count
from hoox_tui.screens.modal import BACK, FramedModal
from hoox_tui.seat import Seat


class Leaving(StrEnum):
    """What becomes of the engine when its screen closes."""

    DETACH = "detach"
    STOP = "stop"


def without_asking(seat: Seat, *, owner: bool) -> Leaving | None:
    """The way out where nobody need be asked; `owner` says that this screen started the engine. None: ask."""
    status = seat.status
    if seat.old or status is None or seat.at_risk:
        return None
    if in_this_process(seat) and status.screens > 1:
        return None
    if not owner or status.screens > 1:
        return Leaving.DETACH
    # Signals come to an engine whose book is flat, too: stopping it under them must be somebody's choice.
    return None if status.webhook or status.mailbox or status.waiting or status.differs else Leaving.STOP


def in_this_process(seat: Seat) -> bool:
    """The engine ends with its screen: there is nothing to detach from."""
    return seat.link.welcome is not None and seat.link.welcome.pid == os.getpid()


def consequences(status: StatusView | None, *, here: bool = False) -> str:
    """What is open, what comes in, and what each way out means for it; `here` for an engine in the screen's process."""
    detach = [
        "d  detach: the engine goes on without a screen. Orders work,",
        "   stops fire; the next `hoox` attaches to it.",
    ]
    lines = [
        _open(status),
        *_signals(status),
        "",
        *([] if here else detach),
        "s  stop the engine: nothing is closed. Positions and orders stay",
        "   in the ledger, but stops held here do NOT fire until it starts.",
    ]
    others = status.screens - 1 if status else 0
    if others > 0:
        lines += ["", f"{count(others, 'other screen')} would lose the engine too."]
    return "\n".join(lines)


def _open(status: StatusView | None) -> str:
    if status is None:
        return "The engine has not said yet what is open."
    return f"{count(status.open_positions, 'open position')}, {count(status.open_orders, 'working order')}."


def _signals(status: StatusView | None) -> list[str]:
    if status is None:
        return []
    lines = []
    if status.webhook:
        lines.append(f"It takes signals at {clean(status.webhook)}: stopped, it refuses them.")
    if status.mailbox:
        lines.append("It reads signals from a mailbox: stopped, it does not.")
    if status.waiting:
        wait, them = ("waits", "it") if status.waiting == 1 else ("wait", "them")
        lines.append(f"{count(status.waiting, 'signal')} {wait}: stopped, nothing becomes of {them} until it starts.")
    lines += [f"DIFFERS: {clean(text)}" for text in status.differs[:1]]
    return lines


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
        here = in_this_process(self.seat)
        yield Static("Quit", classes="title", markup=False)
        yield Static(consequences(self.seat.status, here=here), id="quit-text", markup=False)
        detach = "" if here else "d detach   "
        yield Static(f"{detach}s stop the engine   Esc stay", classes="state", markup=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """An engine in this process cannot go on without it."""
        return not (action == "leave" and parameters == ("detach",) and in_this_process(self.seat))

    def action_leave(self, how: str) -> None:
        """Leave this way."""
        self.dismiss(Leaving(how))
