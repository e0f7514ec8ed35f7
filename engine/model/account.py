"""Accounts and positions."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from engine.model.instrument import InstrumentId
from engine.model.market import Side
from engine.model.money import ZERO


class Oms(StrEnum):
    """How fills gather into positions; fixed when the account is made."""

    NETTING = "netting"
    DUAL = "dual"
    PER_ORDER = "per_order"


class Execution(StrEnum):
    """Who carries out an account's orders; fixed when the account is made."""

    PAPER = "paper"
    VENUE = "venue"


class Position(Struct, frozen=True, omit_defaults=True):
    """One lot (semantics 1 and 2). `size` and `cost` are signed; `cost` is the sum of size * price of the open lot."""

    id: str
    account: str
    instrument: InstrumentId
    leg: str = "NET"
    size: Decimal = ZERO
    cost: Decimal = ZERO
    realised: Decimal = ZERO
    """Price PnL of what was closed, gross of fees."""
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    insurance: Decimal = ZERO
    margin: Decimal = ZERO
    """Isolated margin held for the open size, settle asset."""
    leverage: int = 1
    liquidation: Decimal | None = None
    """Price at which it is liquidated; None where there is none."""
    opened_ns: int = 0
    entered: Decimal = ZERO
    """Size ever added, unsigned."""
    entered_value: Decimal = ZERO
    exited: Decimal = ZERO
    exited_value: Decimal = ZERO
    closed_ns: int = 0
    exit_reason: str = ""
    long: bool = True
    """Side of the lot; kept when it is closed."""

    @property
    def sign(self) -> int:
        """+1 long, -1 short, 0 flat."""
        return 1 if self.size > 0 else -1 if self.size < 0 else 0

    @property
    def entry(self) -> Decimal | None:
        """Average entry price of the open lot; None when flat."""
        return self.cost / self.size if self.size else None

    def unrealised(self, mark: Decimal) -> Decimal:
        """Price PnL of the open lot at a mark."""
        return self.size * mark - self.cost

    @property
    def net(self) -> Decimal:
        """Realised PnL after fees, funding and insurance."""
        return self.realised - self.fees + self.funding + self.insurance


class Account(Struct):
    """Money of one trading account; recorded state, changed only by fold. All amounts per asset."""

    id: str
    venue: str
    oms: Oms = Oms.NETTING
    execution: Execution = Execution.PAPER
    balances: dict[str, Decimal] = {}
    """Wallet: deposits - withdrawals + realised - fees + funding + insurance."""
    margins: dict[str, Decimal] = {}
    """Sum of position margins."""
    reserves: dict[str, Decimal] = {}
    """Sum of what working entries set aside."""
    deposited: dict[str, Decimal] = {}
    """Deposits - withdrawals since the account was made."""
    leverage: dict[InstrumentId, int] = {}
    buying: dict[InstrumentId, Decimal] = {}
    """Unfilled size of the buy entries that work or wait."""
    selling: dict[InstrumentId, Decimal] = {}
    opened_ns: int = 0
    """When the ledger began to keep it; 0 where that was not recorded."""

    def working(self, instrument: InstrumentId, side: Side) -> Decimal:
        """Unfilled size of the entries of a side that work or wait."""
        return (self.buying if side is Side.BUY else self.selling).get(instrument, ZERO)

    def free(self, asset: str) -> Decimal:
        """What a new entry may use."""
        return self.balances.get(asset, ZERO) - self.margins.get(asset, ZERO) - self.reserves.get(asset, ZERO)


class RiskLimits(Struct, frozen=True, omit_defaults=True):
    """Pre-trade limits; None switches one off. Money in the settle asset."""

    max_order_notional: Decimal | None = Decimal(1_000_000)
    max_position_notional: Decimal | None = Decimal(5_000_000)
    max_open_orders: int = 2_000_000
    price_band: Decimal | None = Decimal("0.2")
    """How far a limit price may lie beyond the market, as a fraction."""
    max_data_age_ns: int = 5_000_000_000
    daily_loss: Decimal | None = None
