"""What the simulated market lists, and how each instrument behaves."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from engine.feeds.base import FeedError
from engine.feeds.tiers import perp_tiers
from engine.model.instrument import Instrument, instrument_id


class Listing(Struct, frozen=True):
    """One symbol. Ticks and steps are 1/`tick_parts` quote and 1/`step_parts` base."""

    symbol: str
    base: str
    price: str
    """Where it starts when no price is given."""
    tick_parts: int
    step_parts: int
    min_notional: str
    volatility: float
    """Annualised, in a calm market."""
    spread_bps: float
    """Typical full spread."""
    level_size: float
    """Median size of a level, base units."""
    trade_size: float
    """Median size of a trade, base units."""
    weight: float
    """Share of the market's activity."""


LISTINGS: dict[str, Listing] = {
    listing.symbol: listing
    for listing in (
        Listing("BTCUSDT", "BTC", "61800.0", 10, 1000, "100", 0.65, 0.05, 1.2, 0.02, 0.5),
        Listing("ETHUSDT", "ETH", "3120.00", 100, 1000, "20", 0.80, 0.12, 18.0, 0.4, 0.3),
        Listing("SOLUSDT", "SOL", "152.00", 100, 1, "5", 1.00, 0.9, 320.0, 8.0, 0.2),
    )
}


def listing_of(symbol: str) -> Listing:
    """The listing of a symbol; raises FeedError."""
    listing = LISTINGS.get(symbol.upper())
    if listing is None:
        raise FeedError(f"symbols: the simulated market does not list {symbol!r}; choose from {', '.join(LISTINGS)}")
    return listing


def instrument_of(listing: Listing) -> Instrument:
    """The instrument of a listing: a perpetual with the fees and tiers of a large venue."""
    step = Decimal(1) / listing.step_parts
    tiers = perp_tiers(listing.base)
    return Instrument(
        id=instrument_id("sim", "perp", listing.symbol),
        venue="sim",
        product="perp",
        symbol=listing.symbol,
        base=listing.base,
        quote="USDT",
        tick=Decimal(1) / listing.tick_parts,
        step=step,
        min_size=step,
        min_notional=Decimal(listing.min_notional),
        maker_fee=Decimal("0.0002"),
        taker_fee=Decimal("0.0005"),
        tiers=tiers,
        max_leverage=tiers[0].max_leverage,
    )
