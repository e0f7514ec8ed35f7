"""The desk: every pane on one screen, what is seen of them by size, and which key goes where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Grid, Horizontal
from textual.geometry import Size

from engine.link.broadcast import RECORDED
from engine.views import BookView, ChartView, LatencyView, LogLine, OrderRow, PositionRow, TradeRow
from hoox_tui.frame import CLOCK, LADDER, LATENCY, NORMAL, TALL_LADDER, Slot
from hoox_tui.keys import Scope, bindings
from hoox_tui.screens.footline import Footline
from hoox_tui.screens.modal import Banner
from hoox_tui.screens.trading import TradingScreen
from hoox_tui.seat import Seat
from widgets.balance import BalancePane
from widgets.book import BookPane
from widgets.chart import ChartPane
from widgets.header import HeaderBar
from widgets.latency import LatencyPane
from widgets.log import LogPane
from widgets.orders import OrdersPane
from widgets.pane import Pane
from widgets.positions import PositionsPane
from widgets.rows import RowsPane
from widgets.ticket import TicketPane
from widgets.trades import TradesPane

if TYPE_CHECKING:
    from textual.widget import Widget

    from widgets.study import CandleStudy

PANES = ("book", "chart", "ticket", "positions", "orders", "trades", "balance", "latency", "log")
"""In the order of their number keys."""
FRONT = {
    "-front": ("chart", "ticket", "orders", "trades", "balance", "latency", "log"),
    "-low": ("orders", "trades", "balance", "latency", "log"),
}
"""Panes that share one place: in the small layout all but book and positions, in the middle one the last five."""
TALL = 24
"""Rows from which the ladder is drawn ten times a second: 38 rows at 20 Hz alone take a tenth of a core."""
FIRST_SECONDS = 5
"""Candles of a new desk: short ones, as a market just begun has no long ones."""
AGEING = ("positions", "orders", "log")
"""Drawn when due though the view is the same: they show ages, and the log has lines of this screen's own."""
PLAIN = ("positions", "orders", "trades", "balance", "latency", "log")


class DeskScreen(TradingScreen):
    """The trading desk. Composes and routes; the panes draw, the engine decides."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.DESK)]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-medium"), (140, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall"), (42, "-full")]
    ALLOW_IN_MAXIMIZED_VIEW = "HeaderBar,Banner,Footline"
    ESCAPE_TO_MINIMIZE = True
    AUTO_FOCUS = "#positions"

    def __init__(self, seat: Seat) -> None:
        super().__init__()
        self.seat = seat
        self.seconds = FIRST_SECONDS
        """Seconds of the chart's candles."""
        self.header = HeaderBar(id="header")
        self.banner = Banner(seat)
        self.footline = Footline()
        self.book = BookPane(id="book")
        self.chart = ChartPane(id="chart", classes="-front")
        self.ticket = TicketPane(id="ticket")
        self.positions = PositionsPane(id="positions")
        self.orders = OrdersPane(id="orders", classes="-low")
        self.trades = TradesPane(id="trades")
        self.balance = BalancePane(id="balance")
        self.latency = LatencyPane(id="latency")
        self.log_pane = LogPane(id="log")
        self.panes: dict[str, Pane[Any]] = dict(
            zip(
                PANES,
                (
                    self.book,
                    self.chart,
                    self.ticket,
                    self.positions,
                    self.orders,
                    self.trades,
                    self.balance,
                    self.latency,
                    self.log_pane,
                ),
                strict=True,
            )
        )
        self.also: tuple[str, ...] = ()
        """Topics that a screen over the desk wants, too."""
        self._study: CandleStudy | None = None
        self._book_slot = Slot("book", LADDER, self._draw_book, self._needs_book, ageing=True)
        self._chart_slot = self._slot("chart", NORMAL)
        self._study_slot = Slot("study", CLOCK, self._draw_study, lambda: self._study is not None)
        self._instrument = ""
        self._beats = 0

    def fit(self, size: Size) -> None:
        """Take the classes of a size before anything is laid out; without, a start would do it all twice."""
        for cells, steps in ((size.width, self.HORIZONTAL_BREAKPOINTS), (size.height, self.VERTICAL_BREAKPOINTS)):
            self.add_class(max(step for step in steps if step[0] <= cells)[1])

    def compose(self) -> ComposeResult:
        """Header, banner, the ladder beside the rest, the line of keys."""
        yield self.header
        yield self.banner
        with Horizontal(id="desk"):
            yield self.book
            with Grid(id="main"):
                yield from (pane for name, pane in self.panes.items() if name != "book")
        yield self.footline

    def on_mount(self) -> None:
        """Name the keys of whatever has the focus."""
        self.watch(self, "focused", self._focus_moved, init=False)
        self.draw_header()

    # --- frames ---

    def beat(self) -> None:
        """Four times a second: what is not a view; the ticket's figures twice."""
        self.footline.make_room()
        self.banner.renew()
        self._beats += 1
        if self._beats % 2 == 0:
            self.refresh_draft()

    def slots(self) -> list[Slot]:
        """What the frame clock draws, at which pace."""
        pace = {"latency": LATENCY, "balance": CLOCK}
        return [
            self._book_slot,
            self._chart_slot,
            self._study_slot,
            *(self._slot(name, pace.get(name, NORMAL), ageing=name in AGEING) for name in PLAIN),
        ]

    def _slot(self, name: str, every: int, *, ageing: bool = False) -> Slot:
        pane = self.panes[name]
        return Slot(name, every, pane.show, lambda: pane.is_on_screen, ageing=ageing, prompt=name in RECORDED)

    def _needs_book(self) -> bool:
        return self.book.is_on_screen or self.ticket.is_on_screen

    def _draw_book(self, view: BookView, now_ns: int) -> None:
        self.book.show(view, now_ns)
        bid, ask = (side[0].price if side else None for side in (view.bids, view.asks))
        self.ticket.show_quote(view.instrument, bid, ask)

    def topics(self) -> tuple[str, ...]:
        """What this screen wants of the engine."""
        slots = (slot.topic for slot in (self._book_slot, self._chart_slot) if ":" in slot.topic)
        return ("status", *PLAIN, *slots, *self.also)

    def follow_instrument(self) -> bool:
        """Point book and chart at the seat's instrument; True when the topics changed."""
        instrument = self.seat.instrument
        if instrument is None or instrument.id == self._instrument:
            return False
        self._instrument = instrument.id
        self.book.expect(instrument.symbol)
        self.ticket.aim(instrument.id)
        self._book_slot.retarget(f"book:{instrument.id}")
        self._retarget_chart()
        return True

    def _retarget_chart(self) -> None:
        if instrument := self.seat.instrument:
            self.chart.expect(instrument.symbol, self.seconds)
        for slot in (self._chart_slot, self._study_slot):
            slot.retarget(f"chart:{self._instrument}:{self.seconds}")

    def draw_header(self) -> None:
        """Once a second, and when something in it changed."""
        seat = self.seat
        instrument = seat.instrument
        self.header.show(
            seat.status,
            symbol=instrument.symbol if instrument else "",
            pane=self.pane_name(self.focused),
            heartbeat_age_ms=seat.heartbeat_age_ns // 1_000_000,
            link_state=seat.link.state.value,
            link_detail=seat.link.detail,
            has_hand=seat.has_hand,
        )
        # Before the first view there is nothing that could be old; restyling all of a screen costs a start 30 ms.
        self.set_class(seat.old and seat.status is not None, "-old")

    def on_resize(self) -> None:
        """Another size shows other panes, and a ladder of another height."""
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        self._book_slot.every = LADDER if self.book.size.height <= TALL else TALL_LADDER
        self._focus_moved()

    def _focus_moved(self) -> None:
        self.draw_header()
        shown = [name for name, pane in self.panes.items() if pane.display]
        self.footline.show(self, PANES, self.pane_name(self.focused), shown)

    # --- panes ---

    def pane_name(self, widget: Widget | None) -> str:
        """Name of the pane that holds a widget, empty for none."""
        for node in widget.ancestors_with_self if widget is not None else ():
            if node.id in self.panes:
                return node.id
            if node is self._study:
                return "chart"
        return ""

    def bring_to_front(self, name: str) -> None:
        """Show a pane where several share one place."""
        for css_class, group in FRONT.items():
            if name in group:
                for other in group:
                    self.panes[other].set_class(other == name, css_class)

    def action_focus_pane(self, number: int) -> None:
        """Focus a pane by its number, bringing it to the front."""
        name = PANES[number - 1]
        if self.maximized is not None:
            self._restore()
        self.bring_to_front(name)
        # At once, not after the next message: the next key may be on its way already.
        self.set_focus(self.panes[name])

    async def action_toggle_maximize(self) -> None:
        """The focused pane over the whole screen, or back; the chart becomes a candle study."""
        if self.maximized is not None:
            self._restore()
            return
        name = self.pane_name(self.focused)
        if name == "chart":
            await self._maximize_study()
        elif name:
            self.maximize(self.panes[name], container=False)

    async def _maximize_study(self) -> None:
        # plotext is slow to import: only who looks at a study pays for it.
        from widgets.study import CandleStudy

        self._study = CandleStudy(id="study")
        await self.query_one("#main").mount(self._study)
        self.maximize(self._study, container=False)
        self.set_focus(self._study)
        self._study_slot.renew()

    def _draw_study(self, view: ChartView, now_ns: int) -> None:
        if self._study is not None:
            self._study.show(view, now_ns)

    def _restore(self) -> None:
        self.minimize()
        if self._study is not None:
            self._study.remove()
            self._study = None
            self.set_focus(self.chart)

    # --- looking ---

    def action_centre_ladder(self) -> None:
        """The ladder back on the spread."""
        self.book.action_level_centre()

    def action_step_timeframe(self, by: int) -> None:
        """Shorter or longer candles, wherever the focus is."""
        self.chart.action_timeframe_step(by)

    @on(ChartPane.TimeframeChanged)
    def change_timeframe(self, message: ChartPane.TimeframeChanged) -> None:
        """Ask the engine for other candles."""
        self.seconds = message.seconds
        self._retarget_chart()
        self.seat.link.subscribe(self.topics())

    def show_instrument(self, instrument_id: str | None) -> None:
        """Put another instrument on book, chart and ticket."""
        if instrument_id and self.seat.find(instrument_id):
            self.seat.instrument_id = instrument_id
            if self.follow_instrument():
                self.seat.link.subscribe(self.topics())
                self.draw_header()

    @on(PositionsPane.PositionSelected)
    def show_position(self, message: PositionsPane.PositionSelected) -> None:
        """The market of a position."""
        self.show_instrument(message.instrument)

    def action_explain_row(self) -> None:
        """Why the row under the cursor is there: an order, a position, a closed trade or a line of the log."""
        name = self.pane_name(self.focused)
        pane, view = self.panes.get(name), self.seat.link.views.get(name)
        if pane is not None and view is not None:
            # It may have come to the front just now, and not be drawn yet.
            pane.show(self.seat.convert(view), self.seat.now_ns())
        if name == "latency":
            self._explain_trace()
            return
        row = pane.selected if isinstance(pane, RowsPane) else None
        if isinstance(row, OrderRow | PositionRow | TradeRow):
            self._explain(row.id)
        elif isinstance(row, LogLine) and row.seq:
            self._explain(f"seq:{row.seq}")
        elif isinstance(row, LogLine):
            self.notify("This line is of the screen, not of the ledger", severity="warning")
        else:
            self.notify("No row to explain: focus orders, positions, trades, latency or the log", severity="warning")

    def _explain_trace(self) -> None:
        """The order or signal whose waterfall is on show."""
        view, trace = self.seat.link.views.get("latency"), self.latency.trace
        name = trace.id if trace is not None else view.order if isinstance(view, LatencyView) else ""
        if trace is not None and trace.path == "probe":
            self.notify("A probe only tries the way: the ledger knows nothing of it", severity="warning")
        elif name:
            self._explain(name)
        else:
            self.notify("No order or signal measured yet", severity="warning")

    def _explain(self, name: str) -> None:
        # Only who asks why pays for the import.
        from hoox_tui.screens.why import WhyScreen

        self.app.push_screen(WhyScreen(self.seat, name))

    def action_copy_row(self) -> None:
        """The row under the cursor, as tab separated text."""
        pane = self.panes.get(self.pane_name(self.focused))
        row = pane.selected if isinstance(pane, RowsPane) else None
        if row is None:
            self.notify("No row to copy: focus a table first", severity="warning")
            return
        self.app.copy_to_clipboard("\t".join(str(value) for value in msgspec.structs.astuple(row)))
        self.notify("Row copied")
