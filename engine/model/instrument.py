"""What can be traded, and the venue rules that come with it."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from engine.model.money import ONE, ZERO

InstrumentId = str
"""venue.product:symbol, e.g. `binance.perp:BTCUSDT`."""


class MarginModel(StrEnum):
    """How a position is liquidated (semantics 2)."""

    TIERS = "tiers"
    FRACTION = "fraction"


class MarkSource(StrEnum):
    """Which price values a position: streamed, the mid, or the side it could exit at."""

    VENUE = "venue"
    MID = "mid"
    EXIT_SIDE = "exit_side"


class MaintenanceBasis(StrEnum):
    """Whether maintenance margin grows with the mark or stays at entry value (Bybit's older page)."""

    MARK = "mark"
    ENTRY = "entry"


class ReduceOnlyPolicy(StrEnum):
    """What happens to a reduce-only order larger than the position."""

    CLIP = "clip"
    REJECT = "reject"


class LiquidationClose(StrEnum):
    """Where paper closes a liquidated position: at its bankruptcy price, or by walking the book."""

    BANKRUPTCY = "bankruptcy"
    BOOK = "book"


class QueueModel(StrEnum):
    """Whose orders are cancelled first at a level where we rest (semantics 6)."""

    CONSERVATIVE = "conservative"
    PROB = "prob"
    LOG = "log"


class Tier(Struct, frozen=True, gc=False):
    """A maintenance tier: notional in (floor, cap], rate `mmr`, and `cum` that keeps maintenance continuous."""

    floor: Decimal
    cap: Decimal | None
    mmr: Decimal
    cum: Decimal
    max_leverage: int = 0


class VenueProfile(Struct, frozen=True, omit_defaults=True):
    """The rules in which venues differ; parameters, never an `if` in the engine."""

    margin_model: MarginModel = MarginModel.TIERS
    fraction: Decimal = Decimal("0.05")
    mark_source: MarkSource = MarkSource.VENUE
    mm_basis: MaintenanceBasis = MaintenanceBasis.MARK
    fee_reserve: Decimal = ZERO
    liquidation_close: LiquidationClose = LiquidationClose.BANKRUPTCY
    liquidation_fee: Decimal = ZERO
    reduce_only: ReduceOnlyPolicy = ReduceOnlyPolicy.CLIP
    reduce_only_exempt_from_min_notional: bool = True
    queue_model: QueueModel = QueueModel.CONSERVATIVE
    queue_power: int = 3
    entry_latency_ns: int = 15_000_000
    """Median time to the venue's book; paper draws each order's own around it."""


class Instrument(Struct, frozen=True, omit_defaults=True):
    """One tradable contract with its filters, fees and tiers. Sizes in base units, prices in quote."""

    id: InstrumentId
    venue: str
    product: str
    symbol: str
    base: str
    quote: str
    tick: Decimal
    step: Decimal
    min_size: Decimal
    min_notional: Decimal
    maker_fee: Decimal
    taker_fee: Decimal
    tiers: tuple[Tier, ...]
    max_leverage: int
    max_size: Decimal | None = None
    contract_size: Decimal = ONE
    """Base units of one contract, for those who count in contracts."""
    settle: str = ""
    """Asset that margin, PnL and fees are paid in; empty means `quote`."""
    inverse: bool = False
    halted: bool = False
    """The venue takes no entries in it for now."""
    profile: VenueProfile = VenueProfile()

    @property
    def is_spot(self) -> bool:
        """Bought and held whole: no leverage, no short, no liquidation."""
        return self.product == "spot"

    @property
    def settle_asset(self) -> str:
        """Asset that margin and PnL are booked in."""
        return self.settle or self.quote


def instrument_id(venue: str, product: str, symbol: str) -> InstrumentId:
    """`binance`, `perp`, `BTCUSDT` -> `binance.perp:BTCUSDT`."""
    return f"{venue}.{product}:{symbol}"


def tiers_from(rows: list[tuple[Decimal, Decimal | None, Decimal, int]]) -> tuple[Tier, ...]:
    """Tiers from (floor, cap, mmr, max_leverage) rows, with `cum` computed so that maintenance is continuous."""
    tiers: list[Tier] = []
    cum = ZERO
    last = rows[0][2]
    for floor, cap, mmr, max_leverage in rows:
        cum += floor * (mmr - last)
        last = mmr
        tiers.append(Tier(floor, cap, mmr, cum, max_leverage))
    return tuple(tiers)
