"""A venue changes an instrument while an engine on its live feed runs: real engine, real ledger, a venue on loopback."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.feeds.live import LiveFeed
from engine.model import event as ev
from engine.runtime import Engine
from tests.engine_process import config_for, events_of, until
from tests.live_kit import Exchange

BTC = "binance.perp:BTCUSDT"
FINE, COARSE = Decimal("0.10"), Decimal("0.50")


def exchange_info(tick: str, status: str) -> bytes:
    """One perpetual."""
    filters: list[dict[str, Any]] = [
        {"filterType": "PRICE_FILTER", "tickSize": tick},
        {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "1000"},
        {"filterType": "MIN_NOTIONAL", "notional": "5"},
    ]
    symbol = {
        "symbol": "BTCUSDT", "status": status, "contractType": "PERPETUAL",
        "baseAsset": "BTC", "quoteAsset": "USDT", "marginAsset": "USDT", "filters": filters,
    }  # fmt: skip
    return msgspec.json.encode({"symbols": [symbol]})


async def _fails(feed: LiveFeed) -> None:
    raise KeyError("nobody foresaw this")


async def test_a_new_tick_and_a_halt_reach_the_desk_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.runtime.listings.LOOK_S", 0.02)
    async with Exchange().open() as exchange:
        said = {"tick": "0.10", "status": "TRADING"}
        exchange.replies["/fapi/v1/exchangeInfo"] = lambda: (200, exchange_info(**said))
        monkeypatch.setattr("engine.runtime.engine.make_feed", lambda *_, **__: exchange.binance())
        config = config_for(tmp_path, env="paper", feed="binance", ledger=tmp_path / "paper.sqlite")
        engine = Engine(config)
        await engine.start()
        try:
            assert engine.keeper is not None
            known = engine.keeper.desk.state.instruments
            travels_ns = known[BTC].profile.entry_latency_ns
            said["tick"] = "0.50"
            await until(lambda: known[BTC].tick == COARSE)
            said["status"] = "BREAK"
            await until(lambda: known[BTC].halted)
            exchange.replies["/fapi/v1/exchangeInfo"] = lambda: (503, b"down")
            await asyncio.sleep(0.1)
            assert known[BTC].halted, "no answer says nothing"
            exchange.replies["/fapi/v1/exchangeInfo"] = lambda: (200, exchange_info("what", "TRADING"))
            await asyncio.sleep(0.1)
            assert known[BTC].halted
            with monkeypatch.context() as broken:
                broken.setattr(LiveFeed, "_traded", _fails)
                await asyncio.sleep(0.1)
            assert not engine._stopping.is_set(), "what cannot be read stops no engine"
            exchange.replies["/fapi/v1/exchangeInfo"] = lambda: (200, exchange_info("0.50", "TRADING"))
            await until(lambda: not known[BTC].halted)
            assert known[BTC].profile.entry_latency_ns == travels_ns == config.latency_ns
        finally:
            await engine.stop("the test is over")
    changes = [
        event.body.instrument for event in events_of(config.ledger) if isinstance(event.body, ev.InstrumentChanged)
    ]
    assert [(one.tick, one.halted) for one in changes] == [
        (FINE, False), (COARSE, False), (COARSE, True), (COARSE, False),
    ]  # fmt: skip
