"""Frames of the venues, as recorded, become inputs of the core; unknown fields are ignored, missing ones survived."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from engine.feeds.backpack import frames as backpack
from engine.feeds.base import FeedRefused
from engine.feeds.binance import frames as binance
from engine.feeds.sequence import RawDiff
from engine.model.market import Mark, Quote, Side, Trade
from tests.feed_support import backpack_frames, compact, needs_payloads, payload

BTC, BNB = "binance.perp:BTCUSDT", "binance.perp:BNBUSDT"
NOW = 1_790_134_357_300_000_000


@pytest.fixture
def usdm() -> binance.FrameDecoder:
    return binance.FrameDecoder({"btcusdt": BTC, "bnbusdt": BNB})


@pytest.fixture
def bpx() -> backpack.FrameDecoder:
    symbols = ("BTC_USDC_PERP", "ETH_USDC_PERP", "ETH_USDC", "AAPL.US_USDC_PERP")
    return backpack.FrameDecoder({symbol: f"backpack.x:{symbol}" for symbol in symbols})


def wrap(stream: str, data: Any) -> bytes:
    return compact({"stream": stream, "data": data})


@needs_payloads
class TestBinance:
    def test_a_book_ticker_becomes_a_quote_with_the_wire_texts(self, usdm: binance.FrameDecoder) -> None:
        raw = wrap("bnbusdt@bookTicker", payload("binance", "usdm_ws_book_ticker_stream"))
        assert usdm.decode_frame(raw, NOW) == Quote(
            BNB, NOW, 1_568_014_460_893_000_000, 400_900_217, 25.3519, 25.3652,
            "25.35190000", "31.21000000", "25.36520000", "40.66000000",
        )  # fmt: skip

    @pytest.mark.parametrize("name", ["usdm_ws_depth_update_stream", "nautilus_ws_futures_depth_diff_update"])
    def test_a_depth_update_becomes_a_diff(self, usdm: binance.FrameDecoder, name: str) -> None:
        diff = usdm.decode_frame(wrap("btcusdt@depth@100ms", payload("binance", name)), NOW)
        levels = ((("0.0024", "10"),), (("0.0026", "100"),))
        assert diff == RawDiff(BTC, NOW, 123_456_789_000_000, 157, 160, 149, *levels)

    @pytest.mark.parametrize("name", ["agg_trade", "trade"])
    def test_a_trade_names_the_aggressor(self, usdm: binance.FrameDecoder, name: str) -> None:
        stream = {"agg_trade": "aggTrade", "trade": "trade"}[name]
        trade = usdm.decode_frame(wrap(f"btcusdt@{stream}", payload("binance", f"usdm_ws_{name}_stream")), NOW)
        price, size = Decimal("0.001"), Decimal(100)
        assert trade == Trade(BTC, NOW, 123_456_789_000_000, "5933014", price, size, Side.SELL)

    def test_a_mark_price_carries_index_rate_and_the_next_funding_time(self, usdm: binance.FrameDecoder) -> None:
        mark = usdm.decode_frame(wrap("btcusdt@markPrice@1s", payload("binance", "usdm_ws_mark_price_stream")), NOW)
        assert mark == Mark(
            BTC, NOW, 1_562_305_380_000_000_000, Decimal("11794.15000000"), Decimal("11784.62659091"),
            Decimal("0.00038167"), 1_562_306_400_000_000_000,
        )  # fmt: skip

    def test_optional_fields_may_be_missing(self, usdm: binance.FrameDecoder) -> None:
        quote = usdm.decode_frame(wrap("btcusdt@bookTicker", {"u": 7, "b": "1", "B": "2", "a": "3", "A": "4"}), NOW)
        assert isinstance(quote, Quote)
        assert quote.venue_ns == 0
        mark = usdm.decode_frame(wrap("btcusdt@markPrice@1s", {"p": "1.5", "r": ""}), NOW)
        assert isinstance(mark, Mark)
        assert (mark.funding_rate, mark.index, mark.next_funding_ns) == (None, None, None)

    def test_unknown_streams_and_acknowledgements_are_nothing(self, usdm: binance.FrameDecoder) -> None:
        assert usdm.decode_frame(b'{"result":null,"id":1}', NOW) is None
        assert usdm.decode_frame(wrap("dogeusdt@bookTicker", {}), NOW) is None
        assert usdm.decode_frame(wrap("btcusdt@kline_1m", {}), NOW) is None

    def test_an_error_reply_is_raised(self, usdm: binance.FrameDecoder) -> None:
        with pytest.raises(FeedRefused, match="2: Invalid request"):
            usdm.decode_frame(b'{"error":{"code":2,"msg":"Invalid request"},"id":1}', NOW)

    @pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"stream":"btcusdt@bookTicker","data":{"u":1}}'])
    def test_a_malformed_frame_is_an_error_that_can_be_counted(self, usdm: binance.FrameDecoder, raw: bytes) -> None:
        with pytest.raises((msgspec.MsgspecError, ValueError)):
            usdm.decode_frame(raw, NOW)


@needs_payloads
class TestBackpack:
    def test_live_frames(self, bpx: backpack.FrameDecoder) -> None:
        diff, deletion, aggregated, quote, mark, ticker = [
            bpx.decode_frame(compact(frame), NOW) for frame in backpack_frames()[:6]
        ]
        btc, apple = "backpack.x:BTC_USDC_PERP", "backpack.x:AAPL.US_USDC_PERP"
        event_ns = 1_790_134_357_267_289_000
        assert diff == RawDiff(btc, NOW, event_ns, 6730019258, 6730019258, 0, (("86655.9", "1.94230"),), ())
        assert isinstance(deletion, RawDiff)
        assert deletion.bids == (("340.32", "0.00"),)
        assert aggregated is None  # not a stream we ask for
        assert quote == Quote(
            btc, NOW, 1_790_134_357_267_285_000, 6730019258, 86655.9, 86656.0,
            "86655.9", "1.94230", "86656.0", "2.01178",
        )  # fmt: skip
        assert mark == Mark(
            apple, NOW, 1_790_134_357_847_601_000, Decimal("340.43"), Decimal("340.52"), Decimal("0.00000625"),
            1_790_136_000_000_000_000,
        )  # fmt: skip
        assert ticker is None

    def test_times_may_be_strings(self, bpx: backpack.FrameDecoder) -> None:
        quote = bpx.decode_frame(compact(payload("backpack", "ccxt_ws_handle_bid_ask")), NOW)
        assert isinstance(quote, Quote)
        assert quote.venue_ns == 1_754_517_402_450_016_000
        trade = bpx.decode_frame(compact(payload("backpack", "ccxt_ws_handle_trades")), NOW)
        eth = "backpack.x:ETH_USDC_PERP"
        size = Decimal("0.0008")
        assert trade == Trade(eth, NOW, 1_754_601_477_746_429_000, "10782547", Decimal("3870.25"), size, Side.BUY)

    def test_an_empty_depth_update_still_counts_its_ids(self, bpx: backpack.FrameDecoder) -> None:
        diff = bpx.decode_frame(compact(payload("backpack", "ccxt_ws_handle_order_book")), NOW)
        assert isinstance(diff, RawDiff)
        assert (diff.first, diff.last, diff.bids, diff.asks) == (1345937436, 1345937436, (), ())

    def test_a_one_sided_quote_is_no_quote(self, bpx: backpack.FrameDecoder) -> None:
        data = {"A": None, "B": "1", "E": 1, "a": None, "b": "2", "e": "bookTicker", "s": "ETH_USDC", "u": 1}
        assert bpx.decode_frame(compact({"data": data, "stream": "bookTicker.ETH_USDC"}), NOW) is None

    def test_the_order_of_keys_does_not_matter(self, bpx: backpack.FrameDecoder) -> None:
        frame = backpack_frames()[3]
        turned = compact({"stream": frame["stream"], "data": frame["data"]})
        assert bpx.decode_frame(turned, NOW) == bpx.decode_frame(compact(frame), NOW)

    def test_error_replies_are_raised(self, bpx: backpack.FrameDecoder) -> None:
        errors = [frame for frame in backpack_frames() if "error" in frame]
        assert len(errors) == 3
        for frame in errors:
            with pytest.raises(FeedRefused, match=str(frame["error"]["code"])):
                bpx.decode_frame(compact(frame), NOW)
