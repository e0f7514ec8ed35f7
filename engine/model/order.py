"""Orders: their terms, their live record, and the table of states they may pass through (semantics 10)."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from engine.model.instrument import InstrumentId
from engine.model.market import Side
from engine.model.money import ZERO


class OrderType(StrEnum):
    """What the order does when it reaches the book, and what it waits for before that."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"
    TAKE_PROFIT = "TAKE_PROFIT"
    TAKE_PROFIT_LIMIT = "TAKE_PROFIT_LIMIT"
    TRAILING_STOP = "TRAILING_STOP"

    waits: bool
    """Held locally until a trigger fires."""
    has_price: bool
    """Carries a limit price."""
    trails: bool
    """Its trigger follows an extremum."""

    # Plain attributes: every rule asks for them, and a property of an enum costs ten times as much.
    def __init__(self, text: str) -> None:
        self.waits = text not in ("MARKET", "LIMIT")
        self.has_price = text.endswith("LIMIT")
        self.trails = text == "TRAILING_STOP"


class TimeInForce(StrEnum):
    """How long the order may rest."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTD = "GTD"


class TriggerSource(StrEnum):
    """Which price a trigger is compared with; BID_ASK is the price the position could exit at."""

    LAST = "last"
    MARK = "mark"
    INDEX = "index"
    BID_ASK = "bid_ask"


class Role(StrEnum):
    """Why the order exists; what a closed trade names as its exit reason."""

    ENTRY = "entry"
    CLOSE = "close"
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    TRAILING = "trailing"
    LIQUIDATION = "liquidation"
    FLATTEN = "flatten"
    EXTERNAL = "external"
    """Done at the venue by somebody else: another program, a person on its website."""


class OrderStatus(StrEnum):
    """One spelling everywhere."""

    CREATED = "CREATED"
    DENIED = "DENIED"
    HELD = "HELD"
    SENT = "SENT"
    ACCEPTED = "ACCEPTED"
    TRIGGERED = "TRIGGERED"
    PARTIAL = "PARTIAL"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"


_S = OrderStatus
TRANSITIONS: dict[OrderStatus, frozenset[OrderStatus]] = {
    _S.CREATED: frozenset({_S.DENIED, _S.HELD, _S.SENT, _S.CANCELLED}),
    _S.HELD: frozenset({_S.SENT, _S.CANCELLED, _S.EXPIRED}),
    _S.SENT: frozenset(
        {_S.ACCEPTED, _S.REJECTED, _S.UNKNOWN, _S.TRIGGERED, _S.PARTIAL, _S.FILLED, _S.CANCELLED, _S.EXPIRED}
    ),
    _S.ACCEPTED: frozenset({_S.TRIGGERED, _S.PARTIAL, _S.FILLED, _S.CANCELLED, _S.EXPIRED, _S.REJECTED, _S.UNKNOWN}),
    _S.TRIGGERED: frozenset({_S.TRIGGERED, _S.PARTIAL, _S.FILLED, _S.CANCELLED, _S.EXPIRED, _S.REJECTED, _S.UNKNOWN}),
    _S.PARTIAL: frozenset({_S.PARTIAL, _S.FILLED, _S.CANCELLED, _S.EXPIRED, _S.UNKNOWN}),
    _S.UNKNOWN: frozenset(_S) - {_S.CREATED, _S.HELD, _S.DENIED, _S.UNKNOWN},
    _S.CANCELLED: frozenset({_S.PARTIAL, _S.FILLED}),
    _S.EXPIRED: frozenset({_S.PARTIAL, _S.FILLED}),
    _S.FILLED: frozenset(),
    _S.REJECTED: frozenset(),
    _S.DENIED: frozenset(),
}
"""Allowed moves; a late fill may follow CANCELLED or EXPIRED, with an alarm."""

ENDED: frozenset[OrderStatus] = frozenset({_S.DENIED, _S.FILLED, _S.CANCELLED, _S.EXPIRED, _S.REJECTED})
AT_VENUE: frozenset[OrderStatus] = frozenset({_S.SENT, _S.ACCEPTED, _S.TRIGGERED, _S.PARTIAL, _S.UNKNOWN})


class IllegalTransition(RuntimeError):
    """An order was asked to make a move its state table forbids."""


class OrderTerms(Struct, frozen=True, omit_defaults=True, gc=False):
    """What was asked for; never changes. Sizes in base units, prices in quote, times in ns UTC."""

    id: str
    client_id: str
    account: str
    instrument: InstrumentId
    side: Side
    type: OrderType
    size: Decimal
    role: Role = Role.ENTRY
    leg: str = "NET"
    position: str = ""
    """Position it reduces, where it names one."""
    owner: str = "hand"
    request_id: str = ""
    created_ns: int = 0
    price: Decimal | None = None
    trigger: Decimal | None = None
    """Level of a stop or take profit; of a trailing stop, the price that activates it (None: the next price)."""
    activate_above: bool = True
    """A trailing stop's activation was above the market when it was placed."""
    source: TriggerSource = TriggerSource.MARK
    trail_bps: Decimal | None = None
    trail_offset: Decimal | None = None
    tif: TimeInForce = TimeInForce.GTC
    expire_ns: int | None = None
    post_only: bool = False
    reduce_only: bool = False
    leverage: int = 1
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    bracket_source: TriggerSource = TriggerSource.MARK
    parent: str = ""
    group: str = ""
    """Orders of one group are alternatives: a fill on one reduces the others (OCO)."""


class Order(Struct, gc=False):
    """The live record of an order; recorded state, changed only by fold."""

    terms: OrderTerms
    status: OrderStatus = OrderStatus.CREATED
    size: Decimal = ZERO
    """Size still asked for in all (after clips and amends), including what is filled."""
    price: Decimal | None = None
    trigger: Decimal | None = None
    """Level at which a held order fires; moves for trailing stops."""
    extremum: Decimal | None = None
    """Best price a trailing stop has seen since activation; None before."""
    filled: Decimal = ZERO
    value: Decimal = ZERO
    """Sum of price * size over its fills."""
    fees: Decimal = ZERO
    fills: int = 0
    applied: dict[str, tuple[Decimal, Decimal]] = {}
    """Fill id -> (price, size) of the fills applied."""
    reserve: Decimal = ZERO
    """Money set aside for what is still unfilled, settle asset."""
    venue_order_id: str = ""
    fired: bool = False
    cancel_requested: bool = False
    amending: tuple[Decimal | None, Decimal | None] | None = None
    """(price, size) that an amend asked the venue for and that is not answered yet; None of a pair keeps."""
    unamended: Decimal = ZERO
    """What of `reserve` the order needs if that amend comes to nothing."""
    updated_ns: int = 0
    reason: str = ""
    code: str = ""
    """Why it was denied or rejected, for programs."""

    @property
    def id(self) -> str:
        """The order's id."""
        return self.terms.id

    @property
    def remaining(self) -> Decimal:
        """Size not yet filled, base units."""
        return self.size - self.filled

    @property
    def at_worst(self) -> Decimal:
        """Size not yet filled, or what an amend in flight would make of it where that is more, base units."""
        amended = self.amending[1] if self.amending is not None else None
        return max((self.size if amended is None else max(self.size, amended)) - self.filled, ZERO)

    @property
    def average(self) -> Decimal | None:
        """Average fill price; None before the first fill."""
        return self.value / self.filled if self.filled else None

    @property
    def ended(self) -> bool:
        """Nothing more is expected of it."""
        return self.status in ENDED
