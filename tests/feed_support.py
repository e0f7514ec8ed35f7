"""What feed tests share: recorded payloads, and a plain book to check sequencing against."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.model.market import Depth, FeedStatus, MarketInput, StreamState

SHARED = Path(__file__).parents[1].parent / "shared"
RECORDINGS = SHARED / "data"
PAYLOADS = SHARED / "venues" / "data"
USDM = RECORDINGS / "binance_usdm_btcusdt_20240808_raw.ndjson.gz"
SPOT = RECORDINGS / "binance_spot_btcusdt_20240808_raw.ndjson.gz"

needs_recordings = pytest.mark.skipif(not USDM.exists(), reason="recorded market data are not beside the checkout")
needs_payloads = pytest.mark.skipif(not PAYLOADS.exists(), reason="recorded venue payloads are not beside the checkout")


def payload(venue: str, name: str) -> Any:
    """The recorded message of a file."""
    return json.loads((PAYLOADS / venue / f"{name}.json").read_text())["payload"]


def backpack_frames() -> list[dict[str, Any]]:
    """Server frames recorded live on Backpack."""
    return [entry["frame"] for entry in payload("backpack", "ws_live_frames_2026") if entry["dir"] == "server"]


def compact(message: Any) -> bytes:
    """JSON as venues send it."""
    return json.dumps(message, separators=(",", ":")).encode()


class PlainBook:
    """Two dicts: price -> size."""

    def __init__(self) -> None:
        self.bids: dict[Decimal, str] = {}
        self.asks: dict[Decimal, str] = {}
        self.last_id = 0
        self.diffs = 0

    def apply(self, depth: Depth) -> None:
        if depth.snapshot:
            self.bids, self.asks, self.diffs = {}, {}, 0
        else:
            self.diffs += 1
        for side, levels in ((self.bids, depth.bids), (self.asks, depth.asks)):
            for price, size in levels:
                if Decimal(size):
                    side[Decimal(price)] = size
                else:
                    side.pop(Decimal(price), None)
        self.last_id = depth.last_id

    @property
    def best(self) -> tuple[Decimal, Decimal, Decimal, Decimal]:
        """Bid, its size, ask, its size."""
        bid, ask = max(self.bids), min(self.asks)
        return bid, Decimal(self.bids[bid]), ask, Decimal(self.asks[ask])


def states(inputs: list[MarketInput], stream: str) -> list[StreamState]:
    """What was told about a stream, in order."""
    return [item.state for item in inputs if isinstance(item, FeedStatus) and item.stream == stream]
