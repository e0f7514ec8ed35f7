"""Market data as it enters the core. Prices keep the wire's own text; decimals are made when a decision needs them."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from engine.model.instrument import InstrumentId


class Side(StrEnum):
    """Which side of the market."""

    BUY = "BUY"
    SELL = "SELL"

    # Plain attributes: every rule asks for them, and a property of an enum costs ten times as much.
    sign: int
    """+1 for a buy, -1 for a sell."""
    opposite: Side
    """The other side."""

    def __init__(self, text: str) -> None:
        self.sign = 1 if text == "BUY" else -1


Side.BUY.opposite, Side.SELL.opposite = Side.SELL, Side.BUY


class Quote(Struct, frozen=True, gc=False):
    """Best bid and ask. `bid`, `ask` are floats for threshold compares only; money uses the decimal properties."""

    instrument: InstrumentId
    time_ns: int
    """When it arrived, on the engine's clock."""
    venue_ns: int
    """When the venue says it happened; 0 where it does not say."""
    update_id: int
    """Shares the numbering of depth updates; 0 where there is none."""
    bid: float
    ask: float
    bid_text: str
    bid_size_text: str
    ask_text: str
    ask_size_text: str

    @property
    def bid_price(self) -> Decimal:
        """Best bid, exact."""
        return Decimal(self.bid_text)

    @property
    def ask_price(self) -> Decimal:
        """Best ask, exact."""
        return Decimal(self.ask_text)

    @property
    def bid_size(self) -> Decimal:
        """Displayed size at the best bid, base units."""
        return Decimal(self.bid_size_text)

    @property
    def ask_size(self) -> Decimal:
        """Displayed size at the best ask, base units."""
        return Decimal(self.ask_size_text)


def quote(
    instrument: InstrumentId,
    time_ns: int,
    bid: str,
    bid_size: str,
    ask: str,
    ask_size: str,
    venue_ns: int = 0,
    update_id: int = 0,
) -> Quote:
    """A Quote from texts."""
    return Quote(instrument, time_ns, venue_ns, update_id, float(bid), float(ask), bid, bid_size, ask, ask_size)


class Trade(Struct, frozen=True, gc=False):
    """One public trade; `aggressor` is the taker's side."""

    instrument: InstrumentId
    time_ns: int
    venue_ns: int
    trade_id: str
    price: Decimal
    size: Decimal
    aggressor: Side


class Depth(Struct, frozen=True):
    """A book snapshot or a diff already in sequence; sizes are absolute, "0" deletes. Levels are (price, size) texts in any order."""

    instrument: InstrumentId
    time_ns: int
    venue_ns: int
    last_id: int
    snapshot: bool
    bids: tuple[tuple[str, str], ...]
    asks: tuple[tuple[str, str], ...]


class Mark(Struct, frozen=True, gc=False):
    """The venue's mark price with what streams beside it."""

    instrument: InstrumentId
    time_ns: int
    venue_ns: int
    price: Decimal
    index: Decimal | None = None
    funding_rate: Decimal | None = None
    next_funding_ns: int | None = None


class Funding(Struct, frozen=True, gc=False):
    """A funding settlement at `due_ns` (semantics 3): positive rate, longs pay."""

    instrument: InstrumentId
    time_ns: int
    due_ns: int
    rate: Decimal
    mark: Decimal


class StreamState(StrEnum):
    """What a feed knows about one of its streams."""

    CONNECTING = "connecting"
    LIVE = "live"
    RESYNC = "resync"
    SILENT = "silent"
    DOWN = "down"
    ENDED = "ended"


class FeedStatus(Struct, frozen=True, gc=False):
    """A stream changed its state; anything but LIVE blocks entries on that instrument."""

    instrument: InstrumentId
    time_ns: int
    stream: str
    state: StreamState
    detail: str = ""


class Top(Struct, frozen=True, gc=False, omit_defaults=True):
    """The market at a decision, kept in the event that records it. Texts, as they came; None where unknown."""

    bid: str | None = None
    bid_size: str | None = None
    ask: str | None = None
    ask_size: str | None = None
    mark: str | None = None
    age_ns: int | None = None


MarketInput = Quote | Trade | Depth | Mark | Funding | FeedStatus
