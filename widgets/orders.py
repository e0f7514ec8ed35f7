"""Working orders: what waits at the venue, what is held here, and what nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from engine.model.order import OrderStatus
from engine.views import OrderRow, OrdersView
from engine.views.format import clean
from widgets.pane import Tone
from widgets.positions import side_tone
from widgets.rows import Column, RowsPane
from widgets.text import DASH, known, since

_WORDS = {
    OrderStatus.CREATED: "sending",
    OrderStatus.SENT: "sending",
    OrderStatus.HELD: "held",
    OrderStatus.ACCEPTED: "working",
    OrderStatus.TRIGGERED: "fired",
    OrderStatus.PARTIAL: "part",
    OrderStatus.UNKNOWN: "UNKNOWN ?",
}
_TYPES = {
    "STOP LIMIT": "stop-lmt",
    "TAKE PROFIT": "tp",
    "TAKE PROFIT LIMIT": "tp-lmt",
    "TRAILING STOP": "trail",
    "TRAILING TAKE PROFIT": "trail-tp",
}
_SHORT_TYPES = {"stop-lmt": "stop-l", "tp-lmt": "tp-l", "trail-tp": "trl-tp"}
_TRAIL = "TRAIL "
"""What the type of a trailing stop begins with; its distance follows."""


def _type(row: OrderRow) -> str:
    """In as few cells for a trailing stop as for any other: its distance has a column of its own."""
    if row.type.startswith(_TRAIL):
        return "trail"
    return _TYPES.get(row.type.replace("_", " "), row.type.lower())


def _short_type(row: OrderRow) -> str:
    return _SHORT_TYPES.get(_type(row), _type(row))


def _trail(row: OrderRow) -> str:
    return row.type.removeprefix(_TRAIL) if row.type.startswith(_TRAIL) else ""


def _level(row: OrderRow) -> str:
    """What it waits for: the trigger of what is held here, else its price where it has one."""
    return known(row.trigger if row.status == OrderStatus.HELD or not row.price else row.price)


def _status(row: OrderRow) -> str:
    return _WORDS.get(OrderStatus(row.status), row.status.lower())


def _status_tone(row: OrderRow) -> Tone:
    if row.status == OrderStatus.UNKNOWN:
        return Tone.UNKNOWN
    return Tone.WARN if row.status in (OrderStatus.CREATED, OrderStatus.SENT) else Tone.PLAIN


def _distance(row: OrderRow) -> str:
    return DASH if row.distance is None else row.distance.removesuffix("%") + "%"


class OrdersPane(RowsPane[OrdersView, OrderRow]):
    """Working orders; an unknown state is inverted and carries a question mark."""

    TITLE = "orders"
    EMPTY = "no working orders"
    COLUMNS = (
        Column("symbol", 7, 0, lambda r, _: r.symbol, left=True),
        Column("side", 4, 0, lambda r, _: r.side, lambda r: side_tone(r.side), left=True),
        Column("type", 8, 3, lambda r, _: _type(r), left=True),
        Column("size", 6, 1, lambda r, _: r.size),
        Column("filled", 6, 6, lambda r, _: r.filled),
        Column("price", 7, 2, lambda r, _: known(r.price)),
        Column("trigger", 7, 3, lambda r, _: known(r.trigger)),
        Column("dist", 7, 7, lambda r, _: _distance(r)),
        Column("status", 9, 0, lambda r, _: _status(r), _status_tone, left=True),
        Column("tif", 3, 9, lambda r, _: r.tif, left=True),
        Column("ro", 2, 4, lambda r, _: "RO" if r.reduce_only else "", left=True),
        Column("trail", 7, 10, lambda r, _: _trail(r)),
        Column("where", 5, 11, lambda r, _: r.where, lambda _: Tone.DIM, left=True),
        Column("age", 4, 8, lambda r, now: since(r.created_ns, now), lambda _: Tone.DIM),
        Column("owner", 8, 12, lambda r, _: clean(r.owner), lambda _: Tone.DIM, left=True),
        Column("reason", 10, 13, lambda r, _: clean(r.reason), lambda _: Tone.DIM, left=True),
    )
    NARROW = (
        Column("symbol", 7, 0, lambda r, _: r.symbol, left=True),
        Column("side", 4, 0, lambda r, _: r.side, lambda r: side_tone(r.side), left=True),
        Column("type", 6, 1, lambda r, _: _short_type(r), left=True),
        Column("size", 6, 2, lambda r, _: r.size),
        Column("level", 7, 1, lambda r, _: _level(r)),
        Column("status", 9, 0, lambda r, _: _status(r), _status_tone, left=True),
        Column("ro", 2, 3, lambda r, _: "RO" if r.reduce_only else "", left=True),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "request_cancel", "Cancel", id="orders.cancel", tooltip="Cancel this order"),
        Binding("e", "request_edit", "Edit", id="orders.edit", tooltip="Edit price, trigger or size"),
    ]

    @dataclass
    class CancelRequested(Message):
        """A cancel of this order is wanted."""

        order_id: str

    @dataclass
    class EditRequested(Message):
        """This order is to be edited."""

        order_id: str

    def rows(self) -> Sequence[OrderRow]:
        """Orders in the engine's order, nearest to the market first."""
        return self._view.rows if self._view else ()

    def key(self, row: OrderRow) -> str:
        """The order's id."""
        return row.id

    def count(self) -> str:
        """Says so when there are more than are shown."""
        if not self._view or not self._view.total:
            return ""
        shown, total = len(self._view.rows), self._view.total
        return str(total) if shown == total else f"nearest {shown} of {total}"

    def note(self) -> str:
        """The evidence of an order of unknown outcome: of the selected one, else of the first."""
        unknown = [row for row in self.rows() if row.evidence]
        if not unknown:
            return ""
        row = self.selected if self.selected in unknown else unknown[0]
        more = f" (+{len(unknown) - 1} more)" if len(unknown) > 1 else ""
        return f"{row.id} UNKNOWN: {row.evidence}{more}"

    def action_request_cancel(self) -> None:
        """Ask for a cancel of the row under the cursor."""
        self.post_message(self.CancelRequested(self.chosen().id))

    def action_request_edit(self) -> None:
        """Ask for it to be edited."""
        self.post_message(self.EditRequested(self.chosen().id))
