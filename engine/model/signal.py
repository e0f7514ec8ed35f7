"""Signals: what a webhook, a mail or a program asks for, after it was authenticated and normalised (DESIGN 7, semantics 9)."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from engine.model.order import OrderType


class SignalAction(StrEnum):
    """What a signal wants. CLOSE closes whatever is open; CLOSE_LONG and CLOSE_SHORT only their side."""

    LONG = "LONG"
    SHORT = "SHORT"
    CLOSE = "CLOSE"
    CLOSE_LONG = "CLOSE_LONG"
    CLOSE_SHORT = "CLOSE_SHORT"


class QuantityUnit(StrEnum):
    """What a quantity counts: base units, money of the quote asset as margin, or contracts."""

    BASE = "base"
    QUOTE = "quote"
    CONTRACTS = "contracts"


class SourceMode(StrEnum):
    """What becomes of a source's signals."""

    OFF = "off"
    LOG = "log"
    APPROVE = "approve"
    TRADE = "trade"


class SameSide(StrEnum):
    """A LONG while long, a SHORT while short."""

    ADD = "add"
    IGNORE = "ignore"
    REJECT = "reject"


class Opposite(StrEnum):
    """A LONG while short, a SHORT while long (B8)."""

    REVERSE = "reverse"
    NET = "net"
    REJECT = "reject"


class WaitsFor(StrEnum):
    """What a signal that is not done waits for: a person, a flat position, its turn, the time of the next try."""

    APPROVAL = "approval"
    FLAT = "flat"
    QUEUE = "queue"
    RETRY = "retry"


class Verdict(StrEnum):
    """How a signal ended; each has one, once. EXECUTED needs a fill."""

    EXECUTED = "executed"
    REFUSED = "refused"
    IGNORED = "ignored"
    LOGGED = "logged"
    EXPIRED = "expired"
    DECLINED = "declined"


class Policy(Struct, frozen=True, omit_defaults=True):
    """What a source may do and how its signals are read; recorded with each of them as it was then."""

    mode: SourceMode = SourceMode.LOG
    same_side: SameSide = SameSide.REJECT
    opposite: Opposite = Opposite.REJECT
    symbols: tuple[str, ...] = ()
    """Normalised symbols it may trade; empty: all the engine carries."""
    actions: tuple[SignalAction, ...] = ()
    """Empty: all."""
    max_notional: Decimal | None = None
    """Largest value of one order, settle asset."""
    orders_per_hour: int | None = None
    approve_s: int = 300
    """How long a signal waits for a person."""
    entry_patience_s: int = 60
    """How long an entry that cannot be placed yet is worth placing."""
    entry_drift: Decimal = Decimal("0.005")
    """How far the price may move meanwhile, as a fraction."""
    retry_s: tuple[int, ...] = (30, 60, 300, 900)
    """Waits before what provably was not sent is sent again; the last one repeats for a CLOSE."""


class Signal(Struct, frozen=True, omit_defaults=True):
    """One signal, normalised; holds no secret. `id` is derived from source and key: the same signal has the same id for ever.

    It is the request id of what becomes of the signal, and holds no `/`.
    """

    id: str
    source: str
    key: str
    """What makes it unique within its source (semantics 9)."""
    body_hash: str
    """Of the canonical body without the secret: the same key with another hash is a conflict."""
    exchange: str
    action: SignalAction
    symbol: str
    """BTCUSDT: no venue prefix, suffix or separator."""
    quantity: Decimal
    """Above 0; of a CLOSE, which closes all there is, it says nothing."""
    unit: QuantityUnit = QuantityUnit.BASE
    leverage: int | None = None
    type: OrderType = OrderType.MARKET
    price: Decimal | None = None
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    test: bool = False
    """Goes all the way to the plan, and no order is made."""
    alert_ns: int | None = None
    """The alert's own time, ns UTC."""
    path: str = "webhook"
    """webhook, process, mail, cli or replay."""
