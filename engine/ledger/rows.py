"""How facts become table rows: exact decimals in text, except in the public `trades` (DESIGN 6.1)."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache

from msgspec import Struct

from engine.ledger.schema import Row
from engine.model import event as ev
from engine.model.account import Position
from engine.model.money import ZERO
from engine.model.order import OrderStatus, OrderTerms, Role

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  the text is UTC by contract and carries no offset


class OrderRow(Struct):
    """A row of `orders` while its events arrive. `closed*` are the share of the fills that reduced a position."""

    id: str
    client_id: str
    venue_order_id: str
    account: str
    venue: str
    instrument: str
    owner: str
    request_id: str
    side: str
    type: str
    role: str
    leg: str
    position: str
    tif: str
    reduce_only: int
    parent: str
    status: OrderStatus
    reason: str
    size: Decimal
    price: Decimal | None
    trigger: Decimal | None
    filled: Decimal
    value: Decimal
    fees: Decimal
    closed: Decimal
    closed_value: Decimal
    closed_fees: Decimal
    created_ns: int
    updated_ns: int
    seq: int
    end_stated: bool | None = None
    """The venue says how it ended, and fills of it are missing; None where its events were not asked. Not stored."""

    def columns(self) -> Row:
        """As stored: exact decimals in text."""
        return (
            self.id,
            self.client_id,
            self.venue_order_id,
            self.account,
            self.venue,
            self.instrument,
            self.owner,
            self.request_id,
            self.side,
            self.type,
            self.role,
            self.leg,
            self.position,
            self.tif,
            self.reduce_only,
            self.parent,
            str(self.status),
            self.reason,
            str(self.size),
            _text(self.price),
            _text(self.trigger),
            str(self.filled),
            str(self.value),
            str(self.fees),
            str(self.closed),
            str(self.closed_value),
            str(self.closed_fees),
            self.created_ns,
            self.updated_ns,
            self.seq,
        )


def trade_rows(order: OrderRow, time_ns: int) -> list[Row]:
    """What an ended order leaves in `trades` (DESIGN 6.1): nothing, one row, or the two of a flip."""
    if order.filled:
        if order.closed == order.filled:
            return [_trade(order, "", "CLOSE", order.filled, order.value, order.fees, time_ns)]
        opening = "LONG" if order.side == "BUY" else "SHORT"
        if not order.closed:
            return [_trade(order, "", opening, order.filled, order.value, order.fees, time_ns)]
        opened = order.filled - order.closed
        opened_value = order.value - order.closed_value
        opened_fees = order.fees - order.closed_fees
        return [
            _trade(order, "/close", "CLOSE", order.closed, order.closed_value, order.closed_fees, time_ns),
            _trade(order, "/open", opening, opened, opened_value, opened_fees, time_ns),
        ]
    if order.status is OrderStatus.REJECTED or order.status is OrderStatus.DENIED:
        reduces = order.reduce_only or order.role != Role.ENTRY
        action = "CLOSE" if reduces else "LONG" if order.side == "BUY" else "SHORT"
        return [_trade(order, "", action, ZERO, ZERO, ZERO, time_ns)]
    return []


def _trade(
    order: OrderRow, suffix: str, action: str, size: Decimal, value: Decimal, fees: Decimal, time_ns: int
) -> Row:
    return (
        order.id + suffix,
        order.request_id,
        order.venue,
        order.instrument.partition(":")[2],
        action,
        order.side,
        float(size),
        float(value / size) if size else 0.0,
        float(fees),
        order.id,
        "Filled" if size else "Rejected",
        timestamp(time_ns),
    )


def timestamp(time_ns: int) -> str:
    """`2026-11-20 16:25:20.123456`, UTC."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return f"{_second(seconds)}.{rest // 1000:06d}"


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat(" ")


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def order_from(terms: OrderTerms, event: ev.Event) -> OrderRow:
    """The row of an order just created. Plain strings, since SQLite binds enums slowly; by position, since 30 keywords
    take ten times as long."""
    return OrderRow(
        terms.id,
        terms.client_id,
        "",
        terms.account,
        event.venue,
        terms.instrument,
        terms.owner,
        terms.request_id or event.request_id,
        str(terms.side),
        str(terms.type),
        str(terms.role),
        terms.leg,
        terms.position,
        str(terms.tif),
        int(terms.reduce_only),
        terms.parent,
        OrderStatus.CREATED,
        "",
        terms.size,
        terms.price,
        terms.trigger,
        ZERO,
        ZERO,
        ZERO,
        ZERO,
        ZERO,
        ZERO,
        event.time_ns,
        event.time_ns,
        event.seq,
        end_stated=False,
    )


def order_of(row: Row) -> OrderRow:
    """Inverse of OrderRow.columns."""
    values = list(row)
    values[16] = OrderStatus(row[16])
    values[18:21] = [Decimal(row[18]), _decimal(row[19]), _decimal(row[20])]
    values[21:27] = [Decimal(text) for text in row[21:27]]
    return OrderRow(*values)


def fill_columns(event: ev.Event, body: ev.OrderFilled, side: str) -> Row:
    """A row of `fills`."""
    return (
        event.seq,
        event.time_ns,
        body.order,
        body.fill_id,
        body.part,
        event.account,
        event.venue,
        event.instrument,
        event.owner,
        side,
        str(body.price),
        str(body.size),
        str(body.fee),
        body.fee_asset,
        int(body.maker),
        int(body.closing),
        body.position.id,
        str(body.realised),
        str(body.insurance),
    )


def position_columns(it: Position, venue: str, seq: int) -> Row:
    """A row of `positions`."""
    return (
        it.id,
        it.account,
        venue,
        it.instrument,
        it.leg,
        str(it.size),
        str(it.cost),
        str(it.margin),
        it.leverage,
        _text(it.liquidation),
        str(it.realised),
        str(it.fees),
        str(it.funding),
        str(it.insurance),
        str(it.entered),
        str(it.entered_value),
        str(it.exited),
        str(it.exited_value),
        it.opened_ns,
        it.closed_ns,
        it.exit_reason,
        seq,
    )
