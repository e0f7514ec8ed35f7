"""The signals screen: the live inbox over the desk, each source's health, and the ways to decide on what waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Input

from engine.model.command import ApproveSignal, DeclineSignal, ReplaySignal
from engine.views import SignalRow, SignalsView
from hoox_tui.intents import Choice
from hoox_tui.keys import signal_bindings
from hoox_tui.screens.footline import Footline
from hoox_tui.screens.modal import Banner
from hoox_tui.screens.preview import PreviewScreen
from hoox_tui.seat import Seat
from widgets.header import HeaderBar
from widgets.signals import APPROVAL, SignalsPane, SourcesBar

Watch = Callable[[tuple[str, ...]], None]
"""Asks the engine for these topics beside the desk's."""
TOPIC = "signals"


class SignalsScreen(Screen[None]):
    """Draws the topic `signals` four times a second. `leave` goes back to the desk."""

    BINDINGS: ClassVar[list[BindingType]] = [*signal_bindings()]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-medium"), (140, "-wide")]
    AUTO_FOCUS = "SignalsPane"

    def __init__(self, seat: Seat, watch: Watch, leave: Callable[[], object]) -> None:
        super().__init__(classes="-signals")
        self.seat = seat
        self.header = HeaderBar(id="header")
        self.banner = Banner(seat)
        self.pane = SignalsPane(id="signals")
        self.field = Input(placeholder="search: words of a signal, source, symbol, code", compact=True, id="search")
        self.field.cursor_blink = False
        self.sources = SourcesBar(id="sources")
        self.footline = Footline()
        self._drawn: object = None
        self._watch = watch
        self._leave = leave

    def compose(self) -> ComposeResult:
        """Header and banner, the inbox, the search, the sources, the line of keys."""
        yield self.header
        yield self.banner
        yield self.pane
        yield self.field
        yield self.sources
        yield self.footline

    def on_mount(self) -> None:
        """Ask for the inbox."""
        self.field.display = False
        self.watch(self, "focused", self._focus_moved, init=False)
        self.watch_topics()
        self.beat()
        self.call_after_refresh(self._focus_moved)

    def on_unmount(self) -> None:
        """Ask for nothing more."""
        self._watch(())

    def watch_topics(self, *more: str) -> None:
        """The inbox, and what a screen over it shows."""
        self._watch((TOPIC, *more))

    # --- drawing ---

    def beat(self) -> None:
        """Four times a second: what is new, and the countdowns."""
        self.footline.make_room()
        seat = self.seat
        self.banner.renew()
        instrument = seat.instrument
        self.header.show(
            seat.status,
            symbol=instrument.symbol if instrument else "",
            pane=TOPIC,
            heartbeat_age_ms=seat.heartbeat_age_ns // 1_000_000,
            link_state=seat.link.state.value,
            link_detail=seat.link.detail,
            has_hand=seat.has_hand,
        )
        self.draw_inbox()

    def follow(self) -> None:
        """A signal is seen as soon as it is durable, not at the next beat."""
        if self.seat.link.views.get(TOPIC) is not self._drawn:
            self.draw_inbox()

    def draw_inbox(self) -> None:
        """The inbox and its sources, unless the display is paused."""
        seat = self.seat
        if seat.paused_since is None:
            view, now = seat.link.views.get(TOPIC), seat.now_ns()
            self._drawn = view
            shown = view if isinstance(view, SignalsView) else None
            self.pane.show(shown, now)
            self.sources.show(shown, now)

    def on_resize(self) -> None:
        """Another width has room for other keys."""
        self.call_after_refresh(self._focus_moved)

    def _focus_moved(self) -> None:
        self.footline.show(self, (), "", ())

    # --- searching ---

    def action_search(self) -> None:
        """Type what to look for."""
        self.field.display = True
        self.set_focus(self.field)

    @on(Input.Changed, "#search")
    def narrow_down(self, event: Input.Changed) -> None:
        """Fewer signals with every letter."""
        self.pane.search(event.value)

    @on(Input.Submitted, "#search")
    def keep_search(self) -> None:
        """Back to the rows found."""
        self.field.display = bool(self.field.value)
        self.set_focus(self.pane)

    def action_leave(self) -> None:
        """Out of the search, else back to the desk."""
        if self.field.display:
            self.field.value = ""
            self.field.display = False
            self.set_focus(self.pane)
        else:
            self._leave()

    # --- one signal ---

    def find(self, signal: str) -> SignalRow | None:
        """A signal of the inbox as it is now."""
        view = self.seat.link.views.get(TOPIC)
        rows = view.rows if isinstance(view, SignalsView) else ()
        return next((row for row in rows if row.id == signal), None)

    def selected(self) -> SignalRow | None:
        """The one under the cursor as it is now; none is said."""
        row = self.pane.selected
        if row is None:
            self.notify("No signal here", severity="warning")
            return None
        return self.find(row.id) or row

    @on(SignalsPane.Opened)
    def open_detail(self, message: SignalsPane.Opened) -> None:
        """All that is known of a signal."""
        # Only who looks closer pays for the import.
        from hoox_tui.screens.signals_detail import SignalScreen

        self.app.push_screen(SignalScreen(self, message.signal))

    def action_approve(self) -> None:
        """Preview of the order it would become."""
        if row := self.selected():
            self.approve(row)

    def action_decline(self) -> None:
        """Preview of its end."""
        if row := self.selected():
            self.decline(row)

    def action_replay(self) -> None:
        """Preview of the same signal, taken in anew."""
        if row := self.selected():
            self.replay(row)

    def action_explain(self) -> None:
        """How it came, who let it trade, what became of it."""
        if row := self.selected():
            self.explain(row)

    def approve(self, row: SignalRow) -> None:
        """An entry needs the hand and the arm, as one by hand does; a CLOSE the hand."""
        if row.waits != APPROVAL:
            self.notify(
                f"{row.action} {row.symbol} does not wait for approval: {row.waits or row.status}", severity="warning"
            )
            return
        self._preview("approve", ApproveSignal(request_id=self.seat.ids.next(), signal=row.id))

    def decline(self, row: SignalRow) -> None:
        """Only what waits can be declined; it needs the hand."""
        if not row.waits:
            self.notify(f"{row.action} {row.symbol} waits for nothing: {row.status}", severity="warning")
        elif not self.seat.has_hand:
            self.notify("Declining needs the trading hand: press H to take it", severity="warning")
        else:
            self._preview("decline", DeclineSignal(request_id=self.seat.ids.next(), signal=row.id))

    def replay(self, row: SignalRow) -> None:
        """In env sim only: elsewhere it would trade what was traded already."""
        if self.seat.env != "sim":
            self.notify(
                f"Replay is for env sim only, this is {self.seat.env}: it would trade again", severity="warning"
            )
        else:
            self._preview("replay", ReplaySignal(request_id=self.seat.ids.next(), signal=row.id))

    def explain(self, row: SignalRow) -> None:
        """The signal's chain, with its orders in it."""
        from hoox_tui.screens.why import WhyScreen

        self.app.push_screen(WhyScreen(self.seat, f"signal:{row.id}"))

    def _preview(self, label: str, command: ApproveSignal | DeclineSignal | ReplaySignal) -> None:
        self.app.push_screen(PreviewScreen(self.seat, (Choice(label, command),)))

    def action_copy_row(self) -> None:
        """The row under the cursor, as tab separated text."""
        if row := self.selected():
            cells = (
                row.id,
                row.received_ns,
                row.source,
                row.action,
                row.symbol,
                row.quantity,
                row.status,
                row.code,
                row.message,
            )
            self.app.copy_to_clipboard("\t".join(map(str, cells)))
            self.notify("Row copied")
