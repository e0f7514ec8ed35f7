"""What a desk is told, beside market data: its start, the clock, intents, reports, and what the engine itself observed."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from engine.model.account import Oms, RiskLimits
from engine.model.command import AnyCommand
from engine.model.event import AnyBody
from engine.model.instrument import Instrument
from engine.model.market import MarketInput


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


class Tick(Struct, frozen=True, gc=False):
    """The clock reached a time; needed only where no market input does it."""

    time_ns: int


class Intent(Struct, frozen=True):
    """A command as it reached the engine."""

    time_ns: int
    command: AnyCommand


class FillReport(Struct, frozen=True):
    """A venue says an order filled."""

    time_ns: int
    order: str
    fill_id: str
    price: Decimal
    size: Decimal
    fee: Decimal
    maker: bool


class Halt(Struct, frozen=True):
    """The engine refuses entries from now on, or lifts that with an empty reason; not recorded."""

    time_ns: int
    reason: str


class Note(Struct, frozen=True):
    """A fact the engine itself observed: a measured latency, an alarm, its own stop."""

    time_ns: int
    body: AnyBody


Input = MarketInput | Start | Tick | Intent | FillReport | Halt | Note
