"""The routes of the trading keys: from a key or a pane's message to a preview, and nowhere else."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from textual import on, work
from textual.screen import Screen

from engine.link.base import LinkLost
from engine.link.messages import Ack
from engine.model.command import AnyCommand, CancelOrder, PlaceOrder
from engine.model.market import Side
from engine.views import BookView, InstrumentView, OrderRow, PositionRow
from hoox_tui.intents import Choice, cancel_choices, close_choices
from hoox_tui.screens.edit import AmendScreen, ProtectScreen, break_even
from hoox_tui.screens.preview import PreviewScreen
from hoox_tui.screens.symbols import SymbolScreen
from hoox_tui.seat import Seat
from widgets.book import BookPane
from widgets.orders import OrdersPane
from widgets.positions import PositionsPane
from widgets.ticket import TicketError, TicketPane

DRAFT = "draft"
"""Request id of a ticket still being filled in; it is asked about, never sent."""
WHOLE = 3
"""Of 25, 50, 75 and 100 %, what `x` shows first."""


class TradingScreen(Screen[None]):
    """A screen with a ticket, positions and orders. Every route ends in a PreviewScreen."""

    seat: Seat
    ticket: TicketPane
    positions: PositionsPane
    orders: OrdersPane
    _draft: PlaceOrder | None = None

    def bring_to_front(self, name: str) -> None:
        """Make a pane visible."""
        raise NotImplementedError

    def pane_name(self, widget: Any) -> str:
        """Name of the pane that holds a widget."""
        raise NotImplementedError

    def show_instrument(self, instrument_id: str | None) -> None:
        """Put another instrument on screen."""
        raise NotImplementedError

    # --- ticket ---

    def action_open_ticket(self, side: str) -> None:
        """The order ticket for the instrument on screen, at market."""
        instrument = self.seat.instrument
        if instrument is None:
            self.notify("No instrument yet: the engine has not said what can be traded", severity="warning")
            return
        self._open_ticket(Side(side), instrument)

    def _open_ticket(self, side: Side, instrument: InstrumentView, price: str | None = None) -> None:
        if self.maximized is not None:
            self.minimize()
        self.bring_to_front("ticket")
        self.ticket.open(side, instrument, price)
        self.set_focus(self.ticket)

    @on(BookPane.PriceChosen)
    def use_price(self, message: BookPane.PriceChosen) -> None:
        """A price from the ladder: a buy below the market, a sell above it, as it would rest."""
        instrument = self.seat.instrument
        if instrument is None:
            return
        book = self.seat.link.views.get(f"book:{instrument.id}")
        asks = book.asks[:1] if isinstance(book, BookView) else ()
        above = any(Decimal(message.price) >= Decimal(best.price) for best in asks)
        self._open_ticket(Side.SELL if above else Side.BUY, instrument, message.price)

    @on(TicketPane.DraftChanged)
    def ask_about_draft(self) -> None:
        """Show in the ticket what the draft would do."""
        try:
            self._draft = self.ticket.command(DRAFT)
        except TicketError:
            # The ticket itself says what is missing; the figures it shows are of another order.
            self._draft = None
            self.ticket.show_preview(None)
        self.refresh_draft()

    def refresh_draft(self) -> None:
        """Ask again while the ticket is seen: figures of a market that moved on would pretend to be new."""
        if self._draft is not None and self.ticket.is_on_screen:
            self._preview_draft(self._draft)

    @work(exclusive=True, group="draft", exit_on_error=False)
    async def _preview_draft(self, command: PlaceOrder) -> None:
        try:
            preview = await self.seat.link.preview(command)
        except LinkLost:
            return  # a lost engine has its banner
        if command is self._draft:
            self.ticket.show_preview(preview)

    @on(TicketPane.PreviewRequested)
    def preview_ticket(self) -> None:
        """Enter in the ticket: the preview that can send it."""
        try:
            command = self.ticket.command(self.seat.ids.next())
        except TicketError as error:
            self.notify(str(error), severity="warning")
            return
        if self.seat.instrument is None or self.seat.instrument.id != command.instrument:
            # Between the key and this message the engine may have taken the instrument away.
            self.notify("Another symbol is on screen: open the ticket again", severity="warning")
            return
        self.open_preview(Choice("order", command))

    # --- previews ---

    def open_preview(self, *choices: Choice, chosen: int = 0) -> None:
        """Show what may be sent."""
        self.app.push_screen(PreviewScreen(self.seat, choices, chosen=chosen), self._after_sending)

    def _after_sending(self, ack: Ack | None) -> None:
        # After an order the keys belong to what it made, not to the ticket's size field.
        if ack is not None and ack.ok:
            if self.ticket.has_focus:
                self.bring_to_front("chart")
            # Who works through the orders goes on with the next of them.
            if self.pane_name(self.focused) != "orders":
                self.set_focus(self.positions)

    def preview_command(self, command: AnyCommand | None) -> None:
        """An edited command goes on to its preview."""
        if command is not None:
            self.open_preview(Choice("change", command))

    # --- positions ---

    def _renew(self, pane: PositionsPane | OrdersPane) -> None:
        """A pane that is not seen is not drawn: its rows are those of the last time it was."""
        pane.show(self.seat.link.views.get(self.pane_name(pane)), self.seat.now_ns())  # type: ignore[arg-type]

    def position(self, position_id: str = "") -> PositionRow | None:
        """The one named, else the selected one, else none, said on screen."""
        self._renew(self.positions)
        if position_id:
            return next((row for row in self.positions.rows() if row.id == position_id), None)
        row = self.positions.selected
        if row is None:
            self.notify("No open position", severity="warning")
        return row

    def action_close_position(self) -> None:
        """Close the selected position, wherever the focus is."""
        if row := self.position():
            self.close_position(row.id)

    @on(PositionsPane.CloseRequested)
    def close_requested(self, message: PositionsPane.CloseRequested) -> None:
        """Close this one."""
        self.close_position(message.position_id)

    def close_position(self, position_id: str) -> None:
        """Preview of 25, 50, 75 and 100 %."""
        self.open_preview(*close_choices(position_id, self.seat.ids), chosen=WHOLE)

    def action_edit_selection(self) -> None:
        """The order under the cursor while the orders have the focus, else the selected position."""
        if self.pane_name(self.focused) != "orders":
            if position := self.position():
                self.edit_protection(position)
        elif order := self.order():
            self.amend_order(order)

    @on(PositionsPane.ProtectRequested)
    def protect_requested(self, message: PositionsPane.ProtectRequested) -> None:
        """Edit take profit and stop loss."""
        if row := self.position(message.position_id):
            self.edit_protection(row)

    def edit_protection(self, row: PositionRow) -> None:
        """Ask for take profit and stop loss."""
        self.app.push_screen(ProtectScreen(self.seat, row), self.preview_command)

    def action_move_stop(self) -> None:
        """The selected position's stop to its entry."""
        if row := self.position():
            self.move_stop(row)

    @on(PositionsPane.BreakEvenRequested)
    def break_even_requested(self, message: PositionsPane.BreakEvenRequested) -> None:
        """This position's stop to where it loses nothing."""
        if row := self.position(message.position_id):
            self.move_stop(row)

    def move_stop(self, row: PositionRow) -> None:
        """Preview of the stop at break-even."""
        self.preview_command(break_even(self.seat, row))

    # --- orders ---

    def order(self, order_id: str = "") -> OrderRow | None:
        """The one named, else the selected one, else none, said on screen."""
        self._renew(self.orders)
        if order_id:
            return next((row for row in self.orders.rows() if row.id == order_id), None)
        row = self.orders.selected
        if row is None:
            self.notify("No working order", severity="warning")
        return row

    def action_cancel_order(self) -> None:
        """Cancel the selected order, wherever the focus is."""
        if row := self.order():
            self.cancel_order(row.id)

    @on(OrdersPane.CancelRequested)
    def cancel_requested(self, message: OrdersPane.CancelRequested) -> None:
        """Cancel this one."""
        self.cancel_order(message.order_id)

    def cancel_order(self, order_id: str) -> None:
        """Preview of a cancel."""
        self.open_preview(Choice("cancel", CancelOrder(request_id=self.seat.ids.next(), order=order_id)))

    @on(OrdersPane.EditRequested)
    def edit_order(self, message: OrdersPane.EditRequested) -> None:
        """Ask for price, trigger and size."""
        if row := self.order(message.order_id):
            self.amend_order(row)

    def amend_order(self, row: OrderRow) -> None:
        """Ask for price, trigger and size."""
        self.app.push_screen(AmendScreen(self.seat, row), self.preview_command)

    def action_attest_order(self) -> None:
        """Answer for an order of unknown outcome: the selected one, else the first there is."""
        self._renew(self.orders)
        unknown = [row for row in self.orders.rows() if row.evidence]
        if not unknown:
            self.notify("No order of unknown outcome: there is nothing to attest", severity="warning")
            return
        row = self.orders.selected if self.orders.selected in unknown else unknown[0]
        # Only who must attest pays for the import.
        from hoox_tui.screens.attest import AttestScreen

        self.app.push_screen(AttestScreen(self.seat, row), self.preview_command)

    def action_cancel_symbol(self) -> None:
        """Orders of the symbol on screen: limits, stops or all."""
        instrument = self.seat.instrument
        if instrument is not None:
            choices = cancel_choices(instrument.id, self.seat.ids)
            self.open_preview(*choices, chosen=len(choices) - 1)

    # --- symbol ---

    def action_search_symbol(self) -> None:
        """Choose the instrument."""
        self.app.push_screen(SymbolScreen(self.seat), self.show_instrument)
