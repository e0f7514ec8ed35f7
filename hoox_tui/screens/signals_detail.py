"""One signal over the inbox: the checks it passed, where its time went, the orders it became, what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from engine.views import SignalDetailView, SignalRow
from hoox_tui.keys import SIGNAL_ACTIONS, binding_of
from hoox_tui.screens.modal import BACK, FramedModal
from widgets.signals_detail import SignalPane

if TYPE_CHECKING:
    from hoox_tui.screens.signals import SignalsScreen


class SignalScreen(FramedModal[None]):
    """Draws the topic `signal:<id>` four times a second."""

    AUTO_FOCUS = "SignalPane"
    TITLE_TEXT = "signal"
    BINDINGS: ClassVar[list[BindingType]] = [
        BACK,
        *(binding_of(action) for action in SIGNAL_ACTIONS),
        Binding("enter", "go_back", "Close", id="signal.close", tooltip="Back to the inbox"),
    ]

    def __init__(self, inbox: SignalsScreen, signal: str) -> None:
        super().__init__(inbox.seat)
        self.inbox = inbox
        self.signal = signal
        self.pane = SignalPane(id="signal")
        self.state = Static("", classes="state", markup=False)

    def body(self) -> ComposeResult:
        """All that is known, and what the keys do."""
        yield self.pane
        yield self.state

    def on_mount(self) -> None:
        """Ask at once."""
        super().on_mount()
        self.inbox.watch_topics(f"signal:{self.signal}")
        self.beat()

    def on_unmount(self) -> None:
        """The inbox goes on alone."""
        if self.inbox.is_attached:
            self.inbox.watch_topics()

    def beat(self) -> None:
        """What is new, and the countdown."""
        super().beat()
        view = self.view
        if self.seat.paused_since is None and view is not None:
            self.pane.show(view, self.seat.now_ns())
        hints = ["arrows scroll", "w why", "y copies", "Esc back"]
        if view is not None and not view.no_replay:
            hints.insert(0, "R replays")
        if view is not None and view.row.waits:
            hints.insert(0, "A approves   D declines" if view.row.waits == "approval" else "D declines")
        text = "   ".join(hints)
        if str(self.state.content) != text:
            self.state.update(text)

    @property
    def view(self) -> SignalDetailView | None:
        """What the engine says of it now."""
        view = self.seat.link.views.get(f"signal:{self.signal}")
        return view if isinstance(view, SignalDetailView) else None

    def _row(self) -> SignalRow | None:
        row = self.view.row if self.view is not None else self.inbox.find(self.signal)
        if row is None:
            self.notify("The engine has not answered yet", severity="warning")
        return row

    def action_approve(self) -> None:
        """Preview of the order it would become."""
        if row := self._row():
            self.inbox.approve(row)

    def action_decline(self) -> None:
        """Preview of its end."""
        if row := self._row():
            self.inbox.decline(row)

    def action_replay(self) -> None:
        """Preview of the same signal, taken in anew."""
        if row := self._row():
            self.inbox.replay(row)

    def action_explain(self) -> None:
        """Why its order is there."""
        if row := self._row():
            self.inbox.explain(row)

    def action_copy_row(self) -> None:
        """The detail as it is drawn, and the whole body."""
        self.app.copy_to_clipboard("\n".join(line.text.rstrip() for line in self.pane.rows()))
        self.notify("Signal copied")
