"""What a person, a signal or a program may ask of the engine. Each carries a request id: a repeated id is one intent."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from engine.model.instrument import InstrumentId
from engine.model.market import Side
from engine.model.money import ZERO
from engine.model.order import OrderType, TimeInForce, TriggerSource


class Command(Struct, frozen=True, tag=True, tag_field="command", omit_defaults=True, kw_only=True):
    """Common to all: who asks, for which account, under which id. An empty account means the engine's default."""

    request_id: str
    owner: str = "hand"
    account: str = ""


class PlaceOrder(Command, frozen=True, omit_defaults=True, gc=False):
    """Enter an order. `size` in base units."""

    instrument: InstrumentId
    side: Side
    type: OrderType
    size: Decimal
    price: Decimal | None = None
    trigger: Decimal | None = None
    source: TriggerSource = TriggerSource.MARK
    trail_bps: Decimal | None = None
    trail_offset: Decimal | None = None
    tif: TimeInForce = TimeInForce.GTC
    expire_ns: int | None = None
    post_only: bool = False
    reduce_only: bool = False
    leverage: int | None = None
    """Set for the instrument before the order; None keeps what is set."""
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    bracket_source: TriggerSource = TriggerSource.MARK


class ClosePosition(Command, frozen=True, omit_defaults=True, kw_only=True):
    """Close a share of a position at market, reduce-only; the engine computes the size. `fraction` in (0, 1]."""

    position: str
    fraction: Decimal = Decimal(1)


class SetProtection(Command, frozen=True, omit_defaults=True, kw_only=True):
    """Replace the take profit and stop loss of a position; None leaves that side without one."""

    position: str
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    trail_bps: Decimal | None = None
    source: TriggerSource = TriggerSource.MARK


class CancelOrder(Command, frozen=True, kw_only=True):
    """Cancel one order."""

    order: str


class CancelAll(Command, frozen=True, omit_defaults=True, kw_only=True):
    """Cancel orders of an instrument, or of all; `scope` limits | stops | all."""

    instrument: InstrumentId = ""
    scope: str = "all"


class AmendOrder(Command, frozen=True, omit_defaults=True, kw_only=True):
    """Change price, trigger or size of a working order; None keeps."""

    order: str
    price: Decimal | None = None
    trigger: Decimal | None = None
    size: Decimal | None = None


class AttestOrder(Command, frozen=True, omit_defaults=True, kw_only=True):
    """Answer for the outcome of an UNKNOWN order: `filled` of it was filled at `price` (0: it never arrived), and why one knows."""

    order: str
    reason: str
    filled: Decimal = ZERO
    price: Decimal | None = None


class ApproveSignal(Command, frozen=True, kw_only=True):
    """Let a signal trade that waits for approval; it passes every check again."""

    signal: str


class DeclineSignal(Command, frozen=True, omit_defaults=True, kw_only=True):
    """End a signal that waits, for approval or anything else."""

    signal: str
    reason: str = ""


class ReplaySignal(Command, frozen=True, kw_only=True):
    """Take a recorded signal in once more, as a new one that passes every check; in env sim only."""

    signal: str


class FlattenAll(Command, frozen=True, kw_only=True):
    """Cancel everything and close every position at market."""


class SetKill(Command, frozen=True, kw_only=True):
    """Kill switch: blocks entries, never a reduce-only close."""

    on: bool
    reason: str = ""


class SetLeverage(Command, frozen=True, kw_only=True):
    """Leverage of an instrument; re-margins an open position or is refused."""

    instrument: InstrumentId
    leverage: int


class AdjustMargin(Command, frozen=True, kw_only=True):
    """Add (positive) or remove (negative) isolated margin of a position."""

    position: str
    amount: Decimal


class Deposit(Command, frozen=True, kw_only=True):
    """Paper money in (positive) or out (negative)."""

    asset: str
    amount: Decimal


class ResetAccount(Command, frozen=True, kw_only=True):
    """Start the paper account anew with a balance; refused while positions or orders are open. Nothing is deleted."""

    asset: str
    balance: Decimal


AnyCommand = (
    PlaceOrder
    | ClosePosition
    | SetProtection
    | CancelOrder
    | CancelAll
    | AmendOrder
    | AttestOrder
    | ApproveSignal
    | DeclineSignal
    | ReplaySignal
    | FlattenAll
    | SetKill
    | SetLeverage
    | AdjustMargin
    | Deposit
    | ResetAccount
)
