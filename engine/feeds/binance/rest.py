"""Binance USD-M public REST (venues/binance.md 4): instruments, book snapshots, settled funding, server time."""

from __future__ import annotations

from decimal import Decimal

import httpx
import msgspec
from msgspec import Struct

from engine.feeds.funding import Settlement
from engine.feeds.numbers import plain
from engine.feeds.restful import readable
from engine.feeds.sequence import Levels, Snapshot
from engine.feeds.tiers import perp_tiers
from engine.model.instrument import Instrument, InstrumentId, instrument_id

DEPTH_LIMIT = 1000
_MS = 1_000_000
_MINUTE_MS = 60_000
FUNDING_LIMIT = 1000


class _Filter(Struct):
    filter_type: str = msgspec.field(name="filterType")
    tick_size: str = msgspec.field(name="tickSize", default="")
    step_size: str = msgspec.field(name="stepSize", default="")
    min_qty: str = msgspec.field(name="minQty", default="0")
    max_qty: str = msgspec.field(name="maxQty", default="")
    notional: str = "0"


class _Symbol(Struct):
    symbol: str
    status: str = ""
    contract_type: str = msgspec.field(name="contractType", default="")
    base: str = msgspec.field(name="baseAsset", default="")
    quote: str = msgspec.field(name="quoteAsset", default="")
    margin: str = msgspec.field(name="marginAsset", default="")
    filters: list[_Filter] = []


class _ExchangeInfo(Struct):
    symbols: list[msgspec.Raw]


class _Book(Struct):
    last_id: int = msgspec.field(name="lastUpdateId")
    bids: Levels
    asks: Levels
    E: int = 0


class _Time(Struct):
    server: int = msgspec.field(name="serverTime")


class _Funding(Struct):
    time: int = msgspec.field(name="fundingTime")
    rate: Decimal = msgspec.field(name="fundingRate")
    mark: str = msgspec.field(name="markPrice", default="")


class _Kline(Struct, array_like=True):
    time: int
    open: Decimal


class _Premium(Struct):
    mark: Decimal = msgspec.field(name="markPrice")


_symbol = msgspec.json.Decoder(_Symbol).decode


def parse_exchange_info(body: bytes) -> list[Instrument]:
    """Tradable perpetuals. Tick and step come from the filters, never from the precision fields (4.1).

    Fees and tiers are the public defaults: the real ones need a key.
    """
    return readable(msgspec.json.decode(body, type=_ExchangeInfo).symbols, _read)


def _read(row: msgspec.Raw) -> Instrument | None:
    symbol = _symbol(row)
    filters = {f.filter_type: f for f in symbol.filters}
    if symbol.contract_type != "PERPETUAL" or symbol.status != "TRADING":
        return None
    return _instrument(symbol, filters) if filters.keys() >= {"PRICE_FILTER", "LOT_SIZE"} else None


def _instrument(symbol: _Symbol, filters: dict[str, _Filter]) -> Instrument:
    lot = filters["LOT_SIZE"]
    tiers = perp_tiers(symbol.base)
    return Instrument(
        id=instrument_id("binance", "perp", symbol.symbol),
        venue="binance",
        product="perp",
        symbol=symbol.symbol,
        base=symbol.base,
        quote=symbol.quote,
        tick=plain(filters["PRICE_FILTER"].tick_size),
        step=plain(lot.step_size),
        min_size=plain(lot.min_qty),
        min_notional=plain(filters["MIN_NOTIONAL"].notional) if "MIN_NOTIONAL" in filters else Decimal(0),
        maker_fee=Decimal("0.0002"),
        taker_fee=Decimal("0.0005"),
        tiers=tiers,
        max_leverage=tiers[0].max_leverage,
        max_size=plain(lot.max_qty) if lot.max_qty else None,
        settle=symbol.margin if symbol.margin != symbol.quote else "",
    )


def parse_depth(body: bytes, instrument: InstrumentId, now_ns: int) -> Snapshot:
    """A REST book; raises msgspec.DecodeError."""
    book = msgspec.json.decode(body, type=_Book)
    return Snapshot(instrument, now_ns, book.E * _MS, book.last_id, book.bids, book.asks)


async def get_instruments(http: httpx.AsyncClient) -> list[Instrument]:
    """GET /fapi/v1/exchangeInfo."""
    reply = await http.get("/fapi/v1/exchangeInfo")
    return parse_exchange_info(reply.raise_for_status().content)


async def get_depth(http: httpx.AsyncClient, symbol: str) -> bytes:
    """GET /fapi/v1/depth, the body."""
    reply = await http.get("/fapi/v1/depth", params={"symbol": symbol, "limit": DEPTH_LIMIT})
    return reply.raise_for_status().content


async def get_settlements(http: httpx.AsyncClient, symbol: str, since_ns: int) -> list[Settlement]:
    """GET /fapi/v1/fundingRate; times carry some ms of jitter, old rows no mark."""
    params: dict[str, str | int] = {"symbol": symbol, "startTime": max(since_ns, 0) // _MS, "limit": FUNDING_LIMIT}
    reply = await http.get("/fapi/v1/fundingRate", params=params)
    out = []
    for row in msgspec.json.decode(reply.raise_for_status().content, type=list[_Funding]):
        due_ms = (row.time + _MINUTE_MS // 2) // _MINUTE_MS * _MINUTE_MS
        mark = Decimal(row.mark) if row.mark else await _get_mark(http, symbol, due_ms)
        out.append(Settlement(due_ms * _MS, row.rate, mark))
    return out


async def _get_mark(http: httpx.AsyncClient, symbol: str, time_ms: int) -> Decimal:
    """The mark at a time from GET /fapi/v1/markPriceKlines; the one of now where that has none."""
    params: dict[str, str | int] = {"symbol": symbol, "interval": "1m", "startTime": time_ms, "limit": 1}
    reply = await http.get("/fapi/v1/markPriceKlines", params=params)
    if reply.is_success:
        for kline in msgspec.json.decode(reply.content, type=list[_Kline]):
            if kline.time == time_ms:
                return kline.open
    reply = await http.get("/fapi/v1/premiumIndex", params={"symbol": symbol})
    return msgspec.json.decode(reply.raise_for_status().content, type=_Premium).mark


async def get_time_ns(http: httpx.AsyncClient) -> int:
    """GET /fapi/v1/time."""
    reply = await http.get("/fapi/v1/time")
    return msgspec.json.decode(reply.raise_for_status().content, type=_Time).server * _MS
