"""What a venue says about its orders and positions, in our words. Sizes in base units, prices in quote, times in ns UTC."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from engine.model.instrument import InstrumentId
from engine.model.market import Side
from engine.model.money import ZERO
from engine.model.order import OrderStatus


class VenueFill(Struct, frozen=True, omit_defaults=True):
    """One execution; `fill_id` is the venue's own and is booked at most once (semantics 1.6)."""

    fill_id: str
    price: Decimal
    size: Decimal
    fee: Decimal = ZERO
    maker: bool = False
    time_ns: int = 0


class VenueOrder(Struct, frozen=True, omit_defaults=True):
    """An order as its venue states it: status ACCEPTED, TRIGGERED, PARTIAL, FILLED, CANCELLED, EXPIRED or REJECTED.

    `filled` is cumulative; `fills` are executions that came with the statement: one in a stream's report, all of them in
    the answer to a direct query.
    """

    client_id: str
    venue_order_id: str
    instrument: InstrumentId
    side: Side
    status: OrderStatus
    size: Decimal
    filled: Decimal = ZERO
    price: Decimal | None = None
    reduce_only: bool = False
    fills: tuple[VenueFill, ...] = ()
    reason: str = ""
    liquidation: bool = False
    """The venue closes a position with it."""


class VenuePosition(Struct, frozen=True, omit_defaults=True):
    """A position as its venue states it; `size` is signed."""

    instrument: InstrumentId
    size: Decimal
    entry: Decimal = ZERO
    leverage: int = 0
    """0 where the venue does not say."""
    leg: str = "NET"
