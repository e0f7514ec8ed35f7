"""Time travel: the desk as the ledger says it was. Stands on no trading screen: nothing in here can send an order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid
from textual.screen import Screen
from textual.widgets import Static

from engine.link.base import LinkState
from engine.link.recorded import RecordedLink
from engine.views import LogLine, LogView, StatusView, TravelView
from hoox_tui.intents import RequestIds
from hoox_tui.keys import travel_bindings
from hoox_tui.moments import Until
from hoox_tui.screens.footline import Footline
from hoox_tui.screens.moment import GoToScreen, KindScreen
from hoox_tui.seat import SECOND, Level, Seat
from widgets.balance import BalancePane
from widgets.log import PastLogPane
from widgets.orders import OrdersPane
from widgets.pane import Pane
from widgets.positions import PastPositionsPane
from widgets.prices import PricesPane
from widgets.rows import RowsPane
from widgets.scrubber import Scrubber
from widgets.trades import TradesPane

if TYPE_CHECKING:
    from textual.widget import Widget

NUMBERS = ("prices", "", "", "positions", "orders", "trades", "balance", "", "log")
"""Panes by their number keys: those of the desk. What has none is not recorded."""
FRONT = ("prices", "orders", "trades", "balance", "log")
"""Panes that share one place in the small layout."""
UNRECORDED = "no candles, ticket or latencies of then: a ledger keeps decisions and their prices, --record keeps a feed"
REFUSED = "TIME TRAVEL: nothing here trades. Esc goes to the live desk"


class PastSeat(Seat):
    """The seat at a desk of the past. What a banner would say stands in the first line, which a modal must not cover."""

    def banner(self) -> tuple[str, Level] | None:
        """None: that nothing trades is said with the moment."""
        return None


class TravelScreen(Screen[None]):
    """Panes drawn at a moment of the ledger, and the keys that move it. `live` is the desk that goes on underneath."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *travel_bindings(),
        *(
            Binding(str(n), f"focus_pane({n})", tooltip="Focus a pane by its number", id=f"travel.pane{n}", show=False)
            for n in range(1, 10)
        ),
    ]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-medium"), (140, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall")]
    ALLOW_IN_MAXIMIZED_VIEW = "Scrubber,#live,Footline"
    AUTO_FOCUS = "#past-positions"

    def __init__(
        self, link: RecordedLink, mono: Callable[[], int], leave: Callable[[], object], live: Seat | None = None
    ) -> None:
        """`leave` is called when the person goes back."""
        super().__init__(classes="-travel")
        self.link = link
        self.seat = PastSeat(link, RequestIds("past"), mono)
        self.scrubber = Scrubber(id="scrubber")
        self.live_line = Static("", id="live", markup=False)
        self.footline = Footline()
        self.panes: dict[str, Pane[Any]] = {
            "prices": PricesPane(id="past-prices"),
            "balance": BalancePane(id="past-balance"),
            "positions": PastPositionsPane(id="past-positions"),
            "orders": OrdersPane(id="past-orders", classes="-front"),
            "trades": TradesPane(id="past-trades"),
            "log": PastLogPane(id="past-log"),
        }
        self._leave = leave
        self._live = live
        self._live_seq = live.status.seq if live is not None and live.status is not None else 0
        """What happened on the live desk until then is known there."""
        self._kind = "fill"
        self._said = ""
        self._busy = ""
        self._drawn: object = None

    def compose(self) -> ComposeResult:
        """Banner and bar, the live desk's line, the panes, the line of keys."""
        yield self.scrubber
        yield self.live_line
        with Grid(id="past"):
            yield from self.panes.values()
        yield self.footline

    def on_mount(self) -> None:
        """Open the ledger."""
        self.watch(self, "focused", self._focus_moved)
        self.scrubber.show(None, None)
        self.run_worker(self._open(), group="travel")

    async def on_unmount(self) -> None:
        """Close the ledger."""
        await self.link.close()

    async def _open(self) -> None:
        await self.link.start()
        self.draw_moment()

    # --- drawing ---

    def beat(self) -> None:
        """Four times a second: what the background has verified, and what the live desk must say."""
        if self.link.views is not self._drawn or self.link.busy != self._busy:
            self.draw_moment()
        self.footline.make_room()
        text = self._live_text()
        if str(self.live_line.content) != text:
            self.live_line.update(text)
            self.live_line.set_class(bool(text), "-shown")

    def draw_moment(self) -> None:
        """Every pane at the moment the link shows."""
        link, views = self.link, self.link.views
        if not self.is_attached:
            return
        self._drawn = views
        travel, status = views.get("travel"), views.get("status")
        self._busy = link.busy
        note = link.detail if link.state is LinkState.LOST else self._busy or self._said
        self.scrubber.show(
            travel if isinstance(travel, TravelView) else None,
            status if isinstance(status, StatusView) else None,
            note,
        )
        if isinstance(travel, TravelView):
            for name, pane in self.panes.items():
                pane.show(views.get(name), travel.time_ns)

    def _live_text(self) -> str:
        """One line: that the engine underneath is in trouble, its last alarm since one looks back, or the ledger's damage."""
        live, travel = self._live, self.link.views.get("travel")
        damage = travel.damage if isinstance(travel, TravelView) else ""
        if live is None:
            return damage and f"LEDGER DAMAGED: {damage}"
        banner = live.banner()
        if banner is not None and banner[1] == "error":
            return f"LIVE NOW: {banner[0]}"
        log = live.link.views.get("log")
        for line in reversed(log.lines if isinstance(log, LogView) else ()):
            if line.seq and line.seq <= self._live_seq:
                break
            if line.level == "error":
                return f"LIVE NOW: {line.text}   (Esc goes there)"
        if banner is not None:  # a recording's end lasts: it must not hide an alarm
            return f"LIVE NOW: {banner[0]}"
        return damage and f"LEDGER DAMAGED: {damage}"

    def on_resize(self) -> None:
        """Another size shows other panes."""
        self.call_after_refresh(self._focus_moved)

    def _focus_moved(self) -> None:
        shown = [name for name, pane in self.panes.items() if pane.display]
        self.footline.show(self, NUMBERS, self.pane_name(self.focused), shown)

    # --- moving ---

    def action_step(self, events: int) -> None:
        """Events on, or back."""
        self._go(self.link.step(events))

    def action_by(self, seconds: int) -> None:
        """Time on, or back."""
        self._go(self.link.by(seconds * SECOND))

    def action_first(self) -> None:
        """The first event."""
        self._go(self.link.to_first())

    def action_last(self) -> None:
        """The last event, with what was written meanwhile."""
        self._go(self.link.to_last())

    def action_go_to(self) -> None:
        """A moment typed in."""
        travel = self.link.views.get("travel")
        if isinstance(travel, TravelView):
            self.app.push_screen(GoToScreen(self.seat, travel.last_ns), self._go_until)

    def _go_until(self, until: Until | None) -> None:
        if until is not None and until.seq is not None:
            self._go(self.link.to_seq(until.seq))
        elif until is not None and until.time_ns is not None:
            self._go(self.link.to_time(until.time_ns))

    def action_choose_kind(self) -> None:
        """The next event of a kind."""
        self.app.push_screen(KindScreen(self.seat), self._go_to_kind)

    def _go_to_kind(self, kind: str | None) -> None:
        if kind is not None:
            self._kind = kind
            self.action_again(1)

    def action_again(self, forward: int) -> None:
        """The next event of the kind last chosen, or the one before."""
        self._go(
            self.link.to_next(self._kind, forward > 0), f"no {self._kind} {'after' if forward > 0 else 'before'} this"
        )

    def _go(self, move: Awaitable[str], nothing: str = "") -> None:
        self.run_worker(self._arrive(move, nothing), group="travel", exit_on_error=False)

    async def _arrive(self, move: Awaitable[str], nothing: str) -> None:
        said = await move
        self._said = (nothing or said) if said else ""
        self.draw_moment()

    # --- panes ---

    def pane_name(self, widget: Widget | None) -> str:
        """Name of the pane that holds a widget, empty for none."""
        nodes = list(widget.ancestors_with_self) if widget is not None else []
        return next((name for name, pane in self.panes.items() if pane in nodes), "")

    def action_focus_pane(self, number: int) -> None:
        """Focus a pane by the number it has on the desk, bringing it to the front."""
        name = NUMBERS[number - 1]
        if not name:
            self.notify(UNRECORDED)
            return
        if self.maximized is not None:
            self.minimize()
        if name in FRONT:
            for other in FRONT:
                self.panes[other].set_class(other == name, "-front")
        self.set_focus(self.panes[name])

    def action_toggle_maximize(self) -> None:
        """The focused pane over the whole screen, or back."""
        name = self.pane_name(self.focused)
        if self.maximized is not None:
            self.minimize()
        elif name:
            self.maximize(self.panes[name], container=False)

    def action_explain_row(self) -> None:
        """Why the row under the cursor was there, as far as had happened by the moment shown."""
        pane = self.panes.get(self.pane_name(self.focused))
        row = pane.selected if isinstance(pane, RowsPane) else None
        name = f"seq:{row.seq}" if isinstance(row, LogLine) else getattr(row, "id", "")
        if not name:
            self.notify("No row to explain: focus orders, positions, trades or the log", severity="warning")
            return
        # Only who asks why pays for the import.
        from hoox_tui.screens.why import WhyScreen

        self.app.push_screen(WhyScreen(self.seat, name))

    def action_copy_row(self) -> None:
        """The row under the cursor, as tab separated text."""
        pane = self.panes.get(self.pane_name(self.focused))
        row = pane.selected if isinstance(pane, RowsPane) else None
        if row is not None:
            self.app.copy_to_clipboard("\t".join(str(value) for value in msgspec.structs.astuple(row)))
            self.notify("Row copied")

    # --- not here ---

    def action_refuse(self, what: str) -> None:
        """Say that nothing trades here."""
        self.notify(f"{what}: {REFUSED}", severity="warning")

    def action_leave(self) -> None:
        """Back to where one came from."""
        self._leave()
