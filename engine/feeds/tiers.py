"""Margin tiers where a venue publishes none: tables in the shape and size of Binance USD-M's, notional in quote units."""

from __future__ import annotations

from decimal import Decimal

from engine.model.instrument import Tier, tiers_from

Row = tuple[int, int | None, str, int]
"""Floor, cap, maintenance rate, maximum leverage."""

_BTC: tuple[Row, ...] = (
    (0, 50_000, "0.004", 125),
    (50_000, 600_000, "0.005", 100),
    (600_000, 3_000_000, "0.0065", 75),
    (3_000_000, 12_000_000, "0.01", 50),
    (12_000_000, 70_000_000, "0.02", 25),
    (70_000_000, 100_000_000, "0.025", 20),
    (100_000_000, 230_000_000, "0.05", 10),
    (230_000_000, 480_000_000, "0.1", 5),
    (480_000_000, 600_000_000, "0.125", 4),
    (600_000_000, 800_000_000, "0.15", 3),
    (800_000_000, 1_200_000_000, "0.25", 2),
    (1_200_000_000, None, "0.5", 1),
)
_ETH: tuple[Row, ...] = (
    (0, 50_000, "0.005", 100),
    (50_000, 600_000, "0.0065", 75),
    (600_000, 3_000_000, "0.01", 50),
    (3_000_000, 12_000_000, "0.02", 25),
    (12_000_000, 50_000_000, "0.025", 20),
    (50_000_000, 65_000_000, "0.05", 10),
    (65_000_000, 150_000_000, "0.1", 5),
    (150_000_000, 320_000_000, "0.125", 4),
    (320_000_000, 400_000_000, "0.15", 3),
    (400_000_000, 800_000_000, "0.25", 2),
    (800_000_000, None, "0.5", 1),
)
_OTHER: tuple[Row, ...] = (
    (0, 10_000, "0.0065", 75),
    (10_000, 80_000, "0.01", 50),
    (80_000, 400_000, "0.02", 25),
    (400_000, 2_000_000, "0.05", 10),
    (2_000_000, 5_000_000, "0.1", 5),
    (5_000_000, 10_000_000, "0.125", 4),
    (10_000_000, 20_000_000, "0.25", 2),
    (20_000_000, None, "0.5", 1),
)
_TABLES = {"BTC": _BTC, "ETH": _ETH}

SPOT_TIERS = tiers_from([(Decimal(0), None, Decimal(0), 1)])
"""Spot is paid in full."""


def perp_tiers(base: str) -> tuple[Tier, ...]:
    """The default table for a perpetual on `base`."""
    rows = _TABLES.get(base, _OTHER)
    return tiers_from(
        [(Decimal(floor), None if cap is None else Decimal(cap), Decimal(mmr), top) for floor, cap, mmr, top in rows]
    )
