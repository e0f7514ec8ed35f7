"""What a desk is told, beside market data: its start, the clock, intents, reports, and what the engine itself observed."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from engine.model.account import Execution, Oms, RiskLimits
from engine.model.command import AnyCommand
from engine.model.event import AnyBody
from engine.model.instrument import Instrument
from engine.model.market import MarketInput
from engine.model.report import VenueOrder, VenuePosition
from engine.model.signal import Policy, Signal


class Start(Struct, frozen=True):
    """An engine takes over a recorded state. `account` is opened with `balance` of `asset` if the ledger has none."""

    time_ns: int
    epoch: int
    env: str
    feed: str
    version: str
    seed: int
    recovered: str
    account: str
    venue: str
    asset: str
    balance: Decimal
    instruments: tuple[Instrument, ...]
    limits: RiskLimits
    oms: Oms = Oms.NETTING
    execution: Execution = Execution.PAPER


class Tick(Struct, frozen=True, gc=False):
    """The clock reached a time; needed only where no market input does it."""

    time_ns: int


class Intent(Struct, frozen=True):
    """A command as it reached the engine."""

    time_ns: int
    command: AnyCommand


class SignalIn(Struct, frozen=True):
    """A signal that passed every check of the intake; one whose key is known does nothing (see SignalReceived)."""

    time_ns: int
    signal: Signal
    policy: Policy
    body: str
    checks: tuple[str, ...] = ()
    stages: dict[str, int] = {}


class FillReport(Struct, frozen=True):
    """A venue says an order filled."""

    time_ns: int
    order: str
    fill_id: str
    price: Decimal
    size: Decimal
    fee: Decimal
    maker: bool


class OrderSaid(Struct, frozen=True):
    """The venue stated an order: in answer to a submit, on its report stream, or to a direct query by client id.

    An order of another program, or a person's, comes this way too: its client id is not one of ours.
    """

    time_ns: int
    account: str
    order: VenueOrder


class NotSent(Struct, frozen=True):
    """Proven not to have left, and given up: no venue has it."""

    time_ns: int
    order: str
    code: str
    reason: str


class Doubt(Struct, frozen=True):
    """An order may have left or changed, and no answer says what became of it."""

    time_ns: int
    order: str
    evidence: str


class Asked(Struct, frozen=True):
    """The venue was asked about an unknown order; `answer` proves nothing (a network error, silence, "not found" in its grace)."""

    time_ns: int
    order: str
    answer: str


class NoSuchOrder(Struct, frozen=True):
    """Asked directly by client id, beyond its grace period, the venue answered that it has no such order."""

    time_ns: int
    order: str
    answer: str


class CancelRefused(Struct, frozen=True):
    """The venue would not cancel a live order."""

    time_ns: int
    order: str
    reason: str


class AmendRefused(Struct, frozen=True):
    """The venue would not amend an order, or the amend never left."""

    time_ns: int
    order: str
    reason: str


class VenueStands(Struct, frozen=True):
    """Everything an account has at its venue, asked for at `asked_ns` and answered at `time_ns`.

    What happened between the two may or may not be in it, so it accuses only what stood still meanwhile.
    """

    time_ns: int
    account: str
    asked_ns: int
    orders: tuple[VenueOrder, ...]
    """Its open orders: that one is missing proves nothing (semantics 10)."""
    positions: tuple[VenuePosition, ...]
    """Its open positions; what is not listed is flat."""


class Listed(Struct, frozen=True):
    """A venue changed an instrument while the engine runs: tick, filters, tiers, fees, or whether it is halted."""

    time_ns: int
    instrument: Instrument


class Halt(Struct, frozen=True):
    """The engine refuses entries from now on, or lifts that with an empty reason; not recorded."""

    time_ns: int
    reason: str


class Note(Struct, frozen=True):
    """A fact the engine itself observed: a measured latency, an alarm, its own stop."""

    time_ns: int
    body: AnyBody


VenueInput = OrderSaid | NotSent | Doubt | Asked | NoSuchOrder | CancelRefused | AmendRefused | VenueStands
Input = MarketInput | Start | Tick | Intent | SignalIn | FillReport | VenueInput | Listed | Halt | Note
