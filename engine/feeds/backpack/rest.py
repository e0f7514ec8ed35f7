"""Backpack public REST (venues/backpack.md 4): markets, book snapshots, settled funding, server time."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import httpx
import msgspec
from msgspec import Struct

from engine.feeds.funding import Settlement
from engine.feeds.numbers import plain
from engine.feeds.restful import readable
from engine.feeds.sequence import Levels, Snapshot
from engine.feeds.tiers import SPOT_TIERS
from engine.model.instrument import Instrument, InstrumentId, MarkSource, Tier, VenueProfile, instrument_id, tiers_from

DEPTH_LIMIT = 1000
FUNDING_LIMIT = 1000
_SECOND = 1_000_000_000
_HOUR_S = 3_600
_US = 1_000
_MS = 1_000_000

_TIER_CAPS = (10_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000)


class _Root(Struct):
    base: Decimal
    factor: Decimal = Decimal(0)

    def at(self, notional: int) -> Decimal:
        """The margin fraction of a position of this size."""
        return max(self.base, self.factor * Decimal(notional).sqrt())


class _Price(Struct):
    tick: str = msgspec.field(name="tickSize")


class _Quantity(Struct):
    step: str = msgspec.field(name="stepSize")
    minimum: str = msgspec.field(name="minQuantity", default="0")
    maximum: str | None = msgspec.field(name="maxQuantity", default=None)


class _Filters(Struct):
    price: _Price
    quantity: _Quantity


class _Market(Struct):
    symbol: str
    base: str = msgspec.field(name="baseSymbol")
    quote: str = msgspec.field(name="quoteSymbol")
    kind: str = msgspec.field(name="marketType")
    filters: _Filters
    state: str = msgspec.field(name="orderBookState", default="Open")
    imf: _Root | None = msgspec.field(name="imfFunction", default=None)
    mmf: _Root | None = msgspec.field(name="mmfFunction", default=None)


class _Book(Struct):
    last_id: int = msgspec.field(name="lastUpdateId")
    bids: Levels
    asks: Levels
    timestamp: int = 0


class _Funding(Struct):
    rate: Decimal = msgspec.field(name="fundingRate")
    end: str = msgspec.field(name="intervalEndTimestamp")


class _Kline(Struct):
    start: str
    open: Decimal | None = None


class _Mark(Struct):
    price: Decimal = msgspec.field(name="markPrice")


_market = msgspec.json.Decoder(_Market, strict=False).decode


def product_of(symbol: str) -> str:
    """`BTC_USDC_PERP` -> perp, `BTC_USDC` -> spot."""
    return "perp" if symbol.endswith("_PERP") else "spot"


def instrument_of(symbol: str) -> InstrumentId:
    """`BTC_USDC` -> `backpack.spot:BTC_USDC`."""
    return instrument_id("backpack", product_of(symbol), symbol)


def parse_markets(body: bytes) -> list[Instrument]:
    """Open spot markets and perpetuals; other kinds of market are left out. Fees are the public base rates."""
    return readable(msgspec.json.decode(body, type=list[msgspec.Raw]), _read)


def _read(row: msgspec.Raw) -> Instrument | None:
    market = _market(row)
    return _instrument(market) if market.kind in ("SPOT", "PERP") and market.state == "Open" else None


def _instrument(market: _Market) -> Instrument:
    quantity = market.filters.quantity
    spot = market.kind == "SPOT"
    tiers = SPOT_TIERS if spot else _tiers(market.imf or _Root(Decimal("0.1")), market.mmf or _Root(Decimal("0.05")))
    return Instrument(
        id=instrument_of(market.symbol),
        venue="backpack",
        product=product_of(market.symbol),
        symbol=market.symbol,
        base=market.base,
        quote=market.quote,
        tick=plain(market.filters.price.tick),
        step=plain(quantity.step),
        min_size=plain(quantity.minimum),
        min_notional=Decimal(0),
        maker_fee=Decimal("0.0002"),
        taker_fee=Decimal("0.0005"),
        tiers=tiers,
        max_leverage=tiers[0].max_leverage,
        max_size=plain(quantity.maximum) if quantity.maximum else None,
        profile=VenueProfile(mark_source=MarkSource.MID if spot else MarkSource.VENUE),
    )


def _tiers(imf: _Root, mmf: _Root) -> tuple[Tier, ...]:
    """Steps that approximate the venue's margin functions max(base, factor * sqrt(notional)), from above."""
    rows: list[tuple[Decimal, Decimal | None, Decimal, int]] = []
    floor = 0
    for cap in _TIER_CAPS:
        rows.append((Decimal(floor), Decimal(cap), mmf.at(cap), max(1, int(1 / imf.at(cap)))))
        floor = cap
    last = 4 * floor
    rows.append((Decimal(floor), None, mmf.at(last), max(1, int(1 / imf.at(last)))))
    return tiers_from(rows)


def parse_depth(body: bytes, instrument: InstrumentId, now_ns: int) -> Snapshot:
    """A REST book; raises msgspec.DecodeError."""
    book = msgspec.json.decode(body, type=_Book, strict=False)
    return Snapshot(instrument, now_ns, book.timestamp * _US, book.last_id, book.bids, book.asks)


async def get_instruments(http: httpx.AsyncClient) -> list[Instrument]:
    """GET /api/v1/markets."""
    reply = await http.get("/api/v1/markets")
    return parse_markets(reply.raise_for_status().content)


async def get_depth(http: httpx.AsyncClient, symbol: str) -> bytes:
    """GET /api/v1/depth, the body."""
    reply = await http.get("/api/v1/depth", params={"symbol": symbol, "limit": DEPTH_LIMIT})
    return reply.raise_for_status().content


async def get_settlements(http: httpx.AsyncClient, symbol: str, since_ns: int) -> list[Settlement]:
    """GET /api/v1/fundingRates: newest first, and the first row is the running interval, not final."""
    reply = await http.get("/api/v1/fundingRates", params={"symbol": symbol, "limit": FUNDING_LIMIT})
    rows = msgspec.json.decode(reply.raise_for_status().content, type=list[_Funding], strict=False)[1:]
    settled = {due: row.rate for row in rows if (due := _utc_s(row.end)) * _SECOND > since_ns}
    if not settled:
        return []
    marks = await _get_marks(http, symbol, min(settled), max(settled))
    now = None if settled.keys() <= marks.keys() else await _get_mark(http, symbol)
    return [Settlement(due * _SECOND, rate, marks.get(due) or now or Decimal(0)) for due, rate in settled.items()]


async def _get_marks(http: httpx.AsyncClient, symbol: str, first_s: int, last_s: int) -> dict[int, Decimal]:
    """Marks at the full hours of a span from GET /api/v1/klines: time, s -> mark. Empty where the venue gives none."""
    params: dict[str, str | int] = {
        "symbol": symbol,
        "interval": "1h",
        "startTime": first_s,
        "endTime": last_s + _HOUR_S,
        "priceType": "Mark",
    }
    reply = await http.get("/api/v1/klines", params=params)
    if not reply.is_success:
        return {}
    klines = msgspec.json.decode(reply.content, type=list[_Kline], strict=False)
    return {_utc_s(kline.start): kline.open for kline in klines if kline.open is not None}


async def _get_mark(http: httpx.AsyncClient, symbol: str) -> Decimal | None:
    """The mark of now from GET /api/v1/markPrices."""
    reply = await http.get("/api/v1/markPrices", params={"symbol": symbol})
    marks = msgspec.json.decode(reply.raise_for_status().content, type=list[_Mark], strict=False)
    return marks[0].price if marks else None


def _utc_s(text: str) -> int:
    """ISO text, UTC unless it says otherwise, to seconds since the epoch; raises ValueError."""
    time = datetime.fromisoformat(text)
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())


async def get_time_ns(http: httpx.AsyncClient) -> int:
    """GET /api/v1/time: a bare integer, ms."""
    reply = await http.get("/api/v1/time")
    return msgspec.json.decode(reply.raise_for_status().content, type=int) * _MS
