"""Edit a position's protection or a working order. Enter hands the command on to its preview."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import Input, Label, Static

from engine.model.command import AmendOrder, AnyCommand, SetProtection
from engine.model.money import BadNumber, to_decimal
from engine.model.order import Role
from engine.views import OrderRow, OrdersView, PositionRow
from hoox_tui.screens.modal import BACK, FramedModal
from hoox_tui.seat import Seat


class EditScreen(FramedModal[AnyCommand | None]):
    """A few numbers, prefilled; empty means none. Dismisses with the command, or None."""

    AUTO_FOCUS = "Input"
    HINT = "Enter previews   Tab next field   empty = none   Esc back"
    BINDINGS: ClassVar[list[BindingType]] = [BACK]

    def __init__(self, seat: Seat, title: str, fields: Mapping[str, str], warning: str = "") -> None:
        super().__init__(seat)
        self._title = title
        self._warning = warning
        self._fields = dict(fields)

    def body(self) -> ComposeResult:
        """One line a field."""
        yield Static(self._title, classes="title", markup=False)
        if self._warning:
            yield Static(f"! {self._warning}", classes="warning", markup=False)
        for name, value in self._fields.items():
            with Horizontal(classes="field"):
                yield Label(name)
                # Text, not number: a pasted "61,000" must reach the error that says what is wrong with it.
                field = Input(value, id=_id(name), compact=True, select_on_focus=True)
                field.cursor_blink = False
                yield field
        yield Static("", id="edit-error", markup=False)
        yield Static(self.HINT, classes="state", markup=False)

    def build(self, values: Mapping[str, Decimal | None]) -> AnyCommand | str:
        """The command for the values, or what is wrong with them."""
        raise NotImplementedError

    def read(self, texts: Mapping[str, str]) -> AnyCommand | str:
        """The command for what was typed, or what is wrong with it; raises BadNumber."""
        return self.build({name: _positive(name, text) if text else None for name, text in texts.items()})

    @on(Input.Submitted)
    def finish(self) -> None:
        """Hand the command on, or say what is wrong."""
        try:
            built = self.read({name: self.query_one(f"#{_id(name)}", Input).value.strip() for name in self._fields})
        except BadNumber as error:
            self.query_one("#edit-error", Static).update(str(error))
            return
        if isinstance(built, str):
            self.query_one("#edit-error", Static).update(built)
        else:
            self.dismiss(built)


class ProtectScreen(EditScreen):
    """Take profit and stop loss of a position."""

    def __init__(self, seat: Seat, row: PositionRow) -> None:
        view = seat.link.views.get("orders")
        orders = view.rows if isinstance(view, OrdersView) else ()
        trailing = any(order.role == Role.TRAILING and order.instrument == row.instrument for order in orders)
        super().__init__(
            seat,
            f"Protection of {row.symbol} {row.side} {row.size} @ {row.entry}",
            # A trailing stop's level is not offered as a stop loss: sent back, it would stand still.
            {
                "Take profit": number(row.take_profit),
                "Stop loss": "" if trailing else number(row.stop_loss),
                "Trail, bps": "",
            },
            "A trailing stop guards it and will be replaced: type its distance again to keep one." if trailing else "",
        )
        self._row = row

    def build(self, values: Mapping[str, Decimal | None]) -> AnyCommand | str:
        """A stop either stands or trails."""
        take, stop, trail = values.values()
        if stop is not None and trail is not None:
            return "Stop loss and Trail: both set; empty one of them"
        return SetProtection(
            request_id=self.seat.ids.next(),
            position=self._row.id,
            take_profit=take,
            stop_loss=stop,
            trail_bps=trail,
        )


class AmendScreen(EditScreen):
    """Price, trigger and size of a working order; what is unchanged is not sent."""

    def __init__(self, seat: Seat, row: OrderRow) -> None:
        before = {"Price": number(row.price), "Trigger": number(row.trigger), "Size": number(row.size)}
        super().__init__(
            seat,
            f"Edit {row.symbol} {row.side} {row.type} {row.size}",
            {name: value for name, value in before.items() if value},
        )
        self._row = row

    def build(self, values: Mapping[str, Decimal | None]) -> AnyCommand | str:
        """Only what changed."""
        changed: dict[str, Decimal] = {}
        for name, value in values.items():
            if value is None:
                return f"{name}: empty; an order needs one, or cancel the order with c"
            if value != Decimal(self._fields[name]):
                changed[name] = value
        if not changed:
            return "Nothing changed"
        return AmendOrder(
            request_id=self.seat.ids.next(),
            order=self._row.id,
            price=changed.get("Price"),
            trigger=changed.get("Trigger"),
            size=changed.get("Size"),
        )


def break_even(seat: Seat, row: PositionRow) -> SetProtection | None:
    """The stop at the price that pays the fees of both ways, too; None where that is not known.

    The take profit stays: protection is replaced as a whole.
    """
    even, take = number(row.break_even), number(row.take_profit)
    if not even:
        return None
    return SetProtection(
        request_id=seat.ids.next(),
        position=row.id,
        take_profit=Decimal(take) if take else None,
        stop_loss=Decimal(even),
    )


def number(text: str | None) -> str:
    """A drawn number as one that can be edited: no grouping; empty for a dash or words."""
    plain = (text or "").replace(",", "").strip()
    try:
        return plain if Decimal(plain).is_finite() else ""
    except InvalidOperation:
        return ""


def _positive(field: str, text: str) -> Decimal:
    value = to_decimal(field, text)
    if value <= 0:
        raise BadNumber(field, text)
    return value


def _id(name: str) -> str:
    return "edit-" + "".join(c for c in name.lower() if c.isalpha())
