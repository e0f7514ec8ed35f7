"""Facts in the past tense. The ledger stores them, fold builds the recorded state from them, nothing else changes it.

Longer than most files: the list of everything that can be recorded, and nothing else.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec import Struct

from engine.model.account import Execution, Oms, Position, RiskLimits
from engine.model.command import AnyCommand
from engine.model.instrument import Instrument
from engine.model.market import Top
from engine.model.money import ZERO
from engine.model.order import OrderStatus, OrderTerms
from engine.model.signal import Policy, Signal, Verdict, WaitsFor

EVENT_VERSION = 1

Check = tuple[str, Decimal | int, Decimal | int]
"""(rule, value, limit) as they were compared."""

# gc=False: facts hold only what is older than they are, so they cannot be part of a cycle.


class Body(Struct, frozen=True, tag=True, omit_defaults=True):
    """What happened; the tag is the event's type in the ledger."""


class EngineStarted(Body, frozen=True):
    """An engine took the ledger; every event until the next one carries its epoch."""

    env: str
    feed: str
    version: str
    seed: int = 0
    recovered: str = ""
    """One line that says what was found, empty at a first start."""


class EngineStopped(Body, frozen=True):
    """A clean shutdown."""

    reason: str = ""


class InstrumentChanged(Body, frozen=True):
    """Filters, tiers or fees of an instrument, whole."""

    instrument: Instrument


class AccountOpened(Body, frozen=True):
    """An account exists; its `oms` never changes."""

    oms: Oms = Oms.NETTING
    execution: Execution = Execution.PAPER


class FundsMoved(Body, frozen=True, omit_defaults=True):
    """Money in (positive) or out (negative): deposit, withdrawal, reset."""

    asset: str
    amount: Decimal
    reason: str = "deposit"


class ConfigChanged(Body, frozen=True):
    """Risk limits, whole."""

    limits: RiskLimits


class KillChanged(Body, frozen=True, omit_defaults=True):
    """The kill switch moved."""

    on: bool
    reason: str = ""


class FlattenBegun(Body, frozen=True):
    """From now on the account is being flattened: entries are cancelled, and what opens all the same is closed at once."""


class FlattenEnded(Body, frozen=True):
    """The account is flat, and nothing is left that could open a position."""


class LeverageChanged(Body, frozen=True, omit_defaults=True):
    """Leverage of an instrument for the account; `position` is the re-margined one, if any."""

    leverage: int
    position: Position | None = None


class MarginChanged(Body, frozen=True):
    """Isolated margin was added or removed; `position` after."""

    amount: Decimal
    position: Position


class IntentCreated(Body, frozen=True, gc=False):
    """Somebody asked for something; the command as it came."""

    command: AnyCommand
    top: Top | None = None


class RiskApproved(Body, frozen=True, gc=False, omit_defaults=True):
    """Every rule passed."""

    checks: tuple[Check, ...] = ()
    top: Top | None = None


class RiskRejected(Body, frozen=True, omit_defaults=True):
    """A rule refused the intent."""

    code: str
    message: str
    checks: tuple[Check, ...] = ()
    top: Top | None = None


class IntentRefused(Body, frozen=True):
    """An intent that names something that is not there, or cannot be done."""

    code: str
    message: str


class OrderCreated(Body, frozen=True, gc=False, omit_defaults=True):
    """An order exists; provably unsent. `reserve` is the money set aside for it."""

    terms: OrderTerms
    reserve: Decimal = ZERO
    top: Top | None = None


class OrderDenied(Body, frozen=True):
    """The order ended before it was sent."""

    order: str
    code: str
    reason: str


class OrderHeld(Body, frozen=True, gc=False):
    """The order waits here for its trigger."""

    order: str


class OrderSent(Body, frozen=True, gc=False):
    """The order may have left."""

    order: str


class OrderAccepted(Body, frozen=True, gc=False, omit_defaults=True):
    """The venue has it."""

    order: str
    venue_order_id: str = ""


class OrderTriggered(Body, frozen=True, omit_defaults=True):
    """The venue says that its trigger was met there."""

    order: str
    venue_order_id: str = ""


class OrderRejected(Body, frozen=True):
    """The venue refused it."""

    order: str
    code: str
    reason: str


class TriggerMoved(Body, frozen=True, omit_defaults=True):
    """A trailing stop activated or tightened."""

    order: str
    trigger: Decimal
    extremum: Decimal


class TriggerFired(Body, frozen=True, gc=False, omit_defaults=True):
    """A held order's level was met by `price` of `source`."""

    order: str
    price: Decimal
    source: str
    top: Top | None = None


class OrderFilled(Body, frozen=True, gc=False, omit_defaults=True):
    """One fill, or one part of a fill that flips a position (part 0 closes, part 1 opens). `position` is the lot after it."""

    order: str
    fill_id: str
    price: Decimal
    size: Decimal
    fee: Decimal
    fee_asset: str
    maker: bool
    position: Position
    realised: Decimal = ZERO
    closing: bool = False
    insurance: Decimal = ZERO
    part: int = 0
    top: Top | None = None


class OrderResized(Body, frozen=True, omit_defaults=True):
    """Size asked for changed: a clip, a bracket that follows its parent, an OCO partner's fill."""

    order: str
    size: Decimal
    reason: str
    reserve: Decimal = ZERO


class OrderAmended(Body, frozen=True, omit_defaults=True):
    """Price, trigger or size changed on request; None kept."""

    order: str
    price: Decimal | None = None
    trigger: Decimal | None = None
    size: Decimal | None = None
    reserve: Decimal = ZERO


class AmendRequested(Body, frozen=True, omit_defaults=True):
    """A change of price or size may have left for the venue; None keeps. `reserve`: what the order needs if it comes about."""

    order: str
    price: Decimal | None = None
    size: Decimal | None = None
    reserve: Decimal = ZERO


class AmendRejected(Body, frozen=True):
    """The venue would not amend; the order stands as it was."""

    order: str
    reason: str


class CancelRequested(Body, frozen=True):
    """A cancel may have left."""

    order: str


class CancelRejected(Body, frozen=True):
    """The venue would not cancel."""

    order: str
    reason: str


class OrderCancelled(Body, frozen=True):
    """The order ended unfilled or part-filled."""

    order: str
    reason: str


class OrderExpired(Body, frozen=True):
    """Its time in force ended it."""

    order: str
    reason: str


class OrderUnknown(Body, frozen=True, omit_defaults=True):
    """Its outcome is not known; only evidence ends this. `ended`: the venue says so; of `filled`, as it says, fills are missing."""

    order: str
    evidence: str
    ended: OrderStatus | None = None
    filled: Decimal = ZERO


class OrderAsked(Body, frozen=True):
    """The venue was asked about an order whose outcome is not known; `answer` is what came, and proves nothing."""

    order: str
    answer: str


class OrderAttested(Body, frozen=True, omit_defaults=True):
    """A person answers for the outcome of an unknown order, with a reason: `filled` of it is taken as filled at `price`."""

    order: str
    reason: str
    filled: Decimal = ZERO
    price: Decimal | None = None


class FillCovered(Body, frozen=True):
    """A reported fill, or as much of it as an attestation had booked already: noted, never booked twice."""

    order: str
    fill_id: str
    price: Decimal
    size: Decimal


class PositionDiffers(Body, frozen=True):
    """The venue states another position than the ledger holds; entries of the instrument wait until they agree. Signed sizes."""

    ours: Decimal
    theirs: Decimal


class PositionAgreed(Body, frozen=True):
    """The venue's position and the ledger's are the same again."""


class Liquidated(Body, frozen=True):
    """A position's mark met its liquidation price; its orders were cancelled and it is being closed."""

    position: str
    mark: Decimal
    level: Decimal
    bankruptcy: Decimal
    top: Top | None = None


class FundingDue(Body, frozen=True):
    """A funding time came: the signed sizes held just before it, by position. Its settlement pays on these."""

    due_ns: int
    sizes: dict[str, Decimal]


class FundingPaid(Body, frozen=True, omit_defaults=True):
    """Funding of one position at `due_ns`: `amount` < 0 was paid. Applied once per (account, instrument, due_ns)."""

    due_ns: int
    rate: Decimal
    mark: Decimal
    amount: Decimal
    position: Position


class MarksNoted(Body, frozen=True):
    """Marks of the moment, by instrument: what the simulated market resumes from."""

    marks: dict[str, Decimal]


class EquitySampled(Body, frozen=True, omit_defaults=True):
    """Equity at the marks of the moment."""

    asset: str
    wallet: Decimal
    unrealised: Decimal


class LatencyMeasured(Body, frozen=True):
    """Stages of one order in ns from its first (key, intent, risk, order, fill, durable, screen); -1 where unknown."""

    order: str
    stages: dict[str, int]


class SignalReceived(Body, frozen=True, omit_defaults=True):
    """A signal passed every check of the intake; from now on its key is taken for ever. `body`: raw, the secret masked."""

    signal: Signal
    policy: Policy
    body: str
    checks: tuple[str, ...] = ()
    """Names of the checks passed, in order."""
    stages: dict[str, int] = {}
    """What the intake took for it, ns: receive, authenticate, validate."""
    top: Top | None = None


class SignalWaits(Body, frozen=True, omit_defaults=True):
    """It cannot go on yet. `until_ns`: when it is looked at again or expires (0: only what it waits for ends it).

    `attempt`: how many tries came to nothing.
    """

    signal: str
    reason: WaitsFor
    until_ns: int = 0
    attempt: int = 0


class SignalApproved(Body, frozen=True, omit_defaults=True):
    """A person lets it trade."""

    signal: str
    top: Top | None = None


class SignalDeclined(Body, frozen=True, omit_defaults=True):
    """A person does not let it trade (any more)."""

    signal: str
    reason: str = ""


class SignalEnded(Body, frozen=True, omit_defaults=True):
    """Its one final verdict."""

    signal: str
    status: Verdict
    code: str = ""
    message: str = ""


class AlarmRaised(Body, frozen=True):
    """Something a person must know."""

    code: str
    message: str


AnyBody = (
    EngineStarted
    | EngineStopped
    | InstrumentChanged
    | AccountOpened
    | FundsMoved
    | ConfigChanged
    | KillChanged
    | FlattenBegun
    | FlattenEnded
    | LeverageChanged
    | MarginChanged
    | IntentCreated
    | RiskApproved
    | RiskRejected
    | IntentRefused
    | OrderCreated
    | OrderDenied
    | OrderHeld
    | OrderSent
    | OrderAccepted
    | OrderTriggered
    | OrderRejected
    | TriggerMoved
    | TriggerFired
    | OrderFilled
    | OrderResized
    | OrderAmended
    | AmendRequested
    | AmendRejected
    | CancelRequested
    | CancelRejected
    | OrderCancelled
    | OrderExpired
    | OrderUnknown
    | OrderAsked
    | OrderAttested
    | FillCovered
    | PositionDiffers
    | PositionAgreed
    | Liquidated
    | FundingDue
    | FundingPaid
    | EquitySampled
    | MarksNoted
    | LatencyMeasured
    | SignalReceived
    | SignalWaits
    | SignalApproved
    | SignalDeclined
    | SignalEnded
    | AlarmRaised
)


class Event(Struct, frozen=True, gc=False):
    """A fact with its envelope. Order is by `seq`, never by time; `causation` is the seq that led to it, 0 for none."""

    seq: int
    time_ns: int
    account: str
    venue: str
    instrument: str
    owner: str
    request_id: str
    causation: int
    epoch: int
    body: AnyBody

    @property
    def type(self) -> str:
        """The body's tag, e.g. `OrderFilled`."""
        return type(self.body).__name__


_encoder = msgspec.json.Encoder(decimal_format="string")
_decoder: msgspec.json.Decoder[AnyBody] = msgspec.json.Decoder(AnyBody)


def encode_body(body: AnyBody) -> bytes:
    """Canonical JSON of a body: what the ledger stores and hashes."""
    return _encoder.encode(body)


def decode_body(payload: bytes | str) -> AnyBody:
    """Inverse of encode_body."""
    return _decoder.decode(payload)
