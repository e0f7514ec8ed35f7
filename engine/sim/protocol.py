"""What the fake exchange and its clients write to each other: JSON with decimals as texts, its own words and codes."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from engine.model.money import ZERO

NO_SUCH_ORDER = "NO_SUCH_ORDER"
"""Answer to a direct query."""
UNKNOWN_ORDER = "UNKNOWN_ORDER"
"""Answer to a cancel or amend: not live, whatever became of it."""
DUPLICATE_ID = "DUPLICATE_ID"
BAD_REQUEST = "BAD_REQUEST"
BAD_SYMBOL = "BAD_SYMBOL"
BAD_TICK = "BAD_TICK"
BAD_STEP = "BAD_STEP"
BAD_SIZE = "BAD_SIZE"
MIN_NOTIONAL = "MIN_NOTIONAL"
REDUCE_ONLY = "REDUCE_ONLY"
HALTED = "HALTED"
NO_MARKET = "NO_MARKET"
MARGIN = "MARGIN"
BAD_LEVERAGE = "BAD_LEVERAGE"

NEW, PARTIAL, FILLED, CANCELED, EXPIRED, REJECTED = (
    "NEW",
    "PARTIALLY_FILLED",
    "FILLED",
    "CANCELED",
    "EXPIRED",
    "REJECTED",
)


class Wire(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What goes over the wire is written in camelCase."""


class Place(Wire, frozen=True):
    """POST /orders. Without a price it takes the market."""

    client_id: str
    symbol: str
    side: str
    size: Decimal
    price: Decimal | None = None
    time_in_force: str = "GTC"
    post_only: bool = False
    reduce_only: bool = False


class Change(Wire, frozen=True):
    """PUT /orders."""

    client_id: str
    symbol: str
    price: Decimal | None = None
    size: Decimal | None = None


class Remove(Wire, frozen=True):
    """DELETE /orders."""

    client_id: str
    symbol: str


class IsolateMargin(Wire, frozen=True):
    """PUT /margin-mode."""

    symbol: str


class SetLeverage(Wire, frozen=True):
    """PUT /leverage."""

    symbol: str
    leverage: int


class FillRow(Wire, frozen=True):
    """One execution."""

    fill_id: str
    price: Decimal
    size: Decimal
    fee: Decimal
    maker: bool
    time_ns: int


class OrderRow(Wire, frozen=True):
    """An order as the exchange states it; GET /order/SYMBOL/CLIENT_ID, /orders/open and /orders/since/NS give these."""

    order_id: int
    client_id: str
    symbol: str
    side: str
    status: str
    size: Decimal
    filled: Decimal = ZERO
    price: Decimal | None = None
    reduce_only: bool = False
    reason: str = ""
    liquidation: bool = False
    fills: list[FillRow] = []


class PositionRow(Wire, frozen=True):
    """GET /positions."""

    symbol: str
    size: Decimal
    entry: Decimal
    leverage: int


class ErrorRow(Wire, frozen=True):
    """The body of a refusal."""

    code: str = ""
    message: str = ""
