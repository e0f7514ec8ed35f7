"""REST replies of the venues, as recorded, become instruments and book snapshots."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from engine.feeds.backpack import rest as backpack
from engine.feeds.binance import rest as binance
from engine.feeds.sequence import Snapshot
from engine.model.instrument import MarkSource
from tests.feed_support import compact, needs_payloads, payload

pytestmark = needs_payloads
D = Decimal


def test_binance_lists_trading_perpetuals_with_filters_not_precisions() -> None:
    found = binance.parse_exchange_info(compact(payload("binance", "nautilus_futures_market_exchange_info")))
    assert [i.id for i in found] == ["binance.perp:BTCUSDT", "binance.perp:ETHUSDT"]  # the quarterly is left out
    btc = found[0]
    assert (btc.tick, btc.step, btc.min_size, btc.max_size) == (D("0.1"), D("0.001"), D("0.001"), D(1000))
    assert (btc.min_notional, btc.taker_fee, btc.maker_fee) == (D(10), D("0.0005"), D("0.0002"))
    assert (btc.max_leverage, btc.settle_asset, btc.profile.mark_source) == (125, "USDT", MarkSource.VENUE)


def test_binance_live_exchange_info_parses_whole() -> None:
    found = {
        i.symbol: i
        for i in binance.parse_exchange_info(compact(payload("binance", "usdm_rest_exchangeInfo_recorded_2021")))
    }
    assert found["SOLUSDT"].step == 1
    assert found["SOLUSDT"].tick == D("0.001")
    assert all(i.tick > 0 and i.step > 0 and i.tiers for i in found.values())


def test_default_tiers_keep_maintenance_continuous() -> None:
    (btc, eth) = binance.parse_exchange_info(compact(payload("binance", "nautilus_futures_market_exchange_info")))
    for instrument in (btc, eth):
        for below, above in zip(instrument.tiers, instrument.tiers[1:], strict=False):
            assert below.cap == above.floor
            assert above.floor * below.mmr - below.cum == above.floor * above.mmr - above.cum
            assert above.max_leverage <= below.max_leverage


def test_binance_depth_becomes_a_snapshot() -> None:
    book = binance.parse_depth(
        compact(payload("binance", "usdm_rest_depth_recorded_2021")), "binance.perp:SUSHIUSDT", 5
    )
    assert (book.last_id, book.time_ns, book.venue_ns) == (600859605926, 5, 1_626_992_741_264_000_000)
    assert (book.bids[0], len(book.asks)) == (("7.6110", "6"), 20)


def test_backpack_lists_spot_and_perpetual_markets() -> None:
    spot, perp = backpack.parse_markets(compact(payload("backpack", "ccxt_rest_parse_market")))
    assert (spot.id, perp.id) == ("backpack.spot:SOL_USDC", "backpack.perp:SOL_USDC_PERP")
    assert (spot.max_leverage, spot.profile.mark_source) == (1, MarkSource.MID)
    assert (perp.tick, perp.step, perp.min_size, perp.max_size) == (D("0.01"), D("0.01"), D("0.01"), None)
    assert (perp.max_leverage, perp.profile.mark_source, perp.taker_fee) == (50, MarkSource.VENUE, D("0.0005"))


def test_backpack_margin_rises_with_size_and_never_below_its_function() -> None:
    perp = backpack.parse_markets(compact(payload("backpack", "ccxt_rest_parse_market")))[1]
    rates = [tier.mmr for tier in perp.tiers]
    assert rates == sorted(rates)
    for tier in perp.tiers[:-1]:
        assert tier.cap is not None
        assert tier.mmr >= max(D("0.0125"), D("0.0000765") * tier.cap.sqrt()) - D("1E-20")


def test_markets_that_are_closed_or_of_another_kind_are_left_out() -> None:
    spot, perp = payload("backpack", "ccxt_rest_parse_market")
    rows = [spot | {"orderBookState": "Closed"}, perp | {"marketType": "PREDICTION"}]
    assert backpack.parse_markets(compact(rows)) == []


ODD: list[dict[str, Any]] = [{"filters": {}}, {"filters": None}, {"filters": 7}, {"symbol": None}]


@pytest.mark.parametrize("odd", ODD)
def test_a_market_of_a_shape_unknown_to_us_hides_no_other(odd: dict[str, Any]) -> None:
    spot, perp = payload("backpack", "ccxt_rest_parse_market")
    strange = perp | {"symbol": "X_USDC_PRED", "marketType": "PREDICTION"} | odd
    assert [i.symbol for i in backpack.parse_markets(compact([spot, strange, perp]))] == ["SOL_USDC", "SOL_USDC_PERP"]
    listed = payload("binance", "nautilus_futures_market_exchange_info")["symbols"]
    strange = {"symbol": "AAPLUSDT", "status": "TRADING", "contractType": "TRADIFI_PERPETUAL"} | odd
    found = binance.parse_exchange_info(compact({"symbols": [strange, *listed]}))
    assert [i.symbol for i in found] == ["BTCUSDT", "ETHUSDT"]


@pytest.mark.parametrize("tick", ["", "0", "NaN", "-1", "a tick"])
def test_an_instrument_without_a_grid_is_none(tick: str) -> None:
    listed = payload("binance", "nautilus_futures_market_exchange_info")["symbols"]
    (rule,) = [rule for rule in listed[0]["filters"] if rule["filterType"] == "PRICE_FILTER"]
    rule["tickSize"] = tick
    assert [i.symbol for i in binance.parse_exchange_info(compact({"symbols": listed}))] == ["ETHUSDT"]


def test_backpack_depth_takes_its_id_from_a_string() -> None:
    body = {
        "asks": [["2", "1"]],
        "bids": [["0.5", "3"], ["1", "2"]],
        "lastUpdateId": "1345937436",
        "timestamp": 1754903057555305,
    }
    instrument = backpack.instrument_of("ETH_USDC")
    bids, asks = (("0.5", "3"), ("1", "2")), (("2", "1"),)
    assert backpack.parse_depth(compact(body), instrument, 9) == Snapshot(
        "backpack.spot:ETH_USDC", 9, 1_754_903_057_555_305_000, 1345937436, bids, asks
    )
