"""From the text of `--feed` to a feed."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from engine.clock import Clock
from engine.feeds.base import Feed, FeedError
from engine.feeds.simulated.feed import SimulatedFeed
from engine.feeds.simulated.market import SimulatedMarket

DEFAULT_SYMBOLS = {
    "simulated": ("BTCUSDT", "ETHUSDT", "SOLUSDT"),
    "binance": ("BTCUSDT", "ETHUSDT", "SOLUSDT"),
    "backpack": ("BTC_USDC_PERP", "BTC_USDC"),
}
FEEDS = ("simulated", "recording:FILE", "binance", "backpack")


def make_feed(
    spec: str,
    symbols: Sequence[str],
    *,
    clock: Clock,
    seed: int = 0,
    rate: float = 60.0,
    speed: float = 1.0,
    volatility: float = 1.0,
    prices: Mapping[str, Decimal] | None = None,
    since_ns: int = 0,
) -> Feed:
    """The feed that `spec` names; raises FeedError.

    `symbols` as the venue writes them, the venue's usual ones when none are given (a recording carries its own). For the simulated market: `seed`, `rate` in quotes
    a second, `volatility` as a multiple, and `prices` by symbol to resume from; a live feed drops a
    first price that lies absurdly far from them. For a recording: `speed` (recording.MAX_SPEED
    for as fast as it goes); it brings its own clock. Funding that was missed since `since_ns`, 0 in a new ledger, is
    delivered first; a recording is told by its `begin`.
    """
    # Only what is asked for is imported: the HTTP and WebSocket clients take as long as the rest of the engine's start.
    kind, _, argument = spec.partition(":")
    symbols = symbols or DEFAULT_SYMBOLS.get(kind, ())
    if kind == "simulated" and not argument:
        market = SimulatedMarket(
            seed, symbols, clock.now_ns(), prices, rate=rate, volatility=volatility, funded_since_ns=since_ns
        )
        return SimulatedFeed(market, clock)
    if kind == "recording" and argument:
        from engine.feeds.recording import RecordingFeed

        return RecordingFeed(Path(argument).expanduser(), speed)
    if kind == "binance" and not argument:
        from engine.feeds.binance.feed import binance_feed

        return binance_feed(symbols, clock, random.Random(seed), since_ns=since_ns, prices=prices)
    if kind == "backpack" and not argument:
        from engine.feeds.backpack.feed import backpack_feed

        return backpack_feed(symbols, clock, random.Random(seed), since_ns=since_ns, prices=prices)
    raise FeedError(f"feed: {spec!r} is not known; choose one of {', '.join(FEEDS)}")
