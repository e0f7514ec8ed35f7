"""What an engine is started with."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from msgspec import Struct

from engine.model.account import RiskLimits

VERSION = "0.1.0"


class StartError(RuntimeError):
    """The engine cannot start; the message says why and what to do."""


class EngineConfig(Struct, frozen=True, kw_only=True):
    """One engine. `feed` as engine.feeds.factory takes it; `speed` 0 plays a recording as fast as it goes."""

    env: str
    feed: str
    symbols: tuple[str, ...] = ()
    ledger: Path
    socket: Path | None = None
    """None serves nobody: the engine is used in-process."""
    record: Path | None = None
    seed: int = 1
    rate: float = 50.0
    speed: float = 1.0
    volatility: float = 1.0
    start_balance: Decimal = Decimal(10_000)
    asset: str = "USDT"
    limits: RiskLimits = RiskLimits()
    latency_ns: int = 5_000_000
    """Median time of a paper order to the book."""
