"""Raw Binance stream frames to market inputs (venues/binance.md 3). The fast path: one route lookup, one typed decode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

import msgspec
from msgspec import Struct

from engine.feeds.assembler import Item
from engine.feeds.base import FeedRefused
from engine.feeds.sequence import Levels, RawDiff
from engine.model.instrument import InstrumentId
from engine.model.market import Mark, Quote, Side, Trade

_MS = 1_000_000
_PREFIX = len(b'{"stream":"')
_QUOTE_MARK = ord('"')


class _BookTicker(Struct, gc=False):
    u: int
    b: str
    B: str
    a: str
    A: str
    E: int = 0
    s: str = ""


class _BookTickerFrame(Struct, gc=False):
    data: _BookTicker


class _Depth(Struct):
    U: int
    u: int
    b: Levels
    a: Levels
    pu: int = 0
    E: int = 0
    s: str = ""


class _DepthFrame(Struct):
    data: _Depth


class _Trade(Struct, gc=False):
    p: Decimal
    q: Decimal
    m: bool
    a: int = 0
    t: int = 0
    E: int = 0
    s: str = ""


class _TradeFrame(Struct, gc=False):
    data: _Trade


class _MarkPrice(Struct, gc=False):
    p: Decimal
    E: int = 0
    i: Decimal | None = None
    r: str = ""
    T: int = 0
    s: str = ""


class _MarkFrame(Struct, gc=False):
    data: _MarkPrice


class _Error(Struct):
    code: int = 0
    msg: str = ""


class _Envelope(Struct):
    stream: str = ""
    error: _Error | None = None


_Decode = Callable[[bytes, int], Item]

_OTHER = "the frame of one symbol holds another"

_book_ticker = msgspec.json.Decoder(_BookTickerFrame).decode
_depth = msgspec.json.Decoder(_DepthFrame).decode
_trade = msgspec.json.Decoder(_TradeFrame).decode
_mark = msgspec.json.Decoder(_MarkFrame).decode
_envelope = msgspec.json.Decoder(_Envelope).decode


def _quote_route(instrument: InstrumentId, symbol: str) -> _Decode:
    def decode(raw: bytes, now_ns: int) -> Quote:
        d = _book_ticker(raw).data
        if d.s != symbol and d.s:
            raise ValueError(_OTHER)
        return Quote(instrument, now_ns, d.E * _MS, d.u, float(d.b), float(d.a), d.b, d.B, d.a, d.A)

    return decode


def _depth_route(instrument: InstrumentId, symbol: str) -> _Decode:
    def decode(raw: bytes, now_ns: int) -> RawDiff:
        d = _depth(raw).data
        if d.s != symbol and d.s:
            raise ValueError(_OTHER)
        return RawDiff(instrument, now_ns, d.E * _MS, d.U, d.u, d.pu, d.b, d.a)

    return decode


def _trade_route(instrument: InstrumentId, symbol: str) -> _Decode:
    def decode(raw: bytes, now_ns: int) -> Trade:
        d = _trade(raw).data
        if d.s != symbol and d.s:
            raise ValueError(_OTHER)
        side = Side.SELL if d.m else Side.BUY
        return Trade(instrument, now_ns, d.E * _MS, str(d.a or d.t), d.p, d.q, side)

    return decode


def _mark_route(instrument: InstrumentId, symbol: str) -> _Decode:
    def decode(raw: bytes, now_ns: int) -> Mark:
        d = _mark(raw).data
        if d.s != symbol and d.s:
            raise ValueError(_OTHER)
        rate = Decimal(d.r) if d.r else None  # delivery contracts send ""
        return Mark(instrument, now_ns, d.E * _MS, d.p, d.i, rate, d.T * _MS if d.T else None)

    return decode


_ROUTES: dict[str, Callable[[InstrumentId, str], _Decode]] = {
    "bookTicker": _quote_route,
    "depth": _depth_route,
    "aggTrade": _trade_route,
    "trade": _trade_route,
    "markPrice": _mark_route,
}


class FrameDecoder:
    """Decodes combined-stream frames of the given instruments; `symbols` maps lower-case symbols to instrument ids."""

    def __init__(self, symbols: Mapping[str, InstrumentId]) -> None:
        self._symbols = dict(symbols)
        self._routes: dict[bytes, _Decode] = {}

    def decode_frame(self, raw: bytes, now_ns: int) -> Item | None:
        """One frame, stamped `now_ns`. None for an acknowledgement or a stream that is not ours.

        Raises msgspec.DecodeError or ValueError on a malformed frame, FeedRefused on an error reply.
        """
        # The venue writes "stream" first; a frame that does not is routed the slow way below.
        route = self._routes.get(raw[_PREFIX : raw.find(_QUOTE_MARK, _PREFIX)])
        return route(raw, now_ns) if route is not None else self._first(raw, now_ns)

    def _first(self, raw: bytes, now_ns: int) -> Item | None:
        envelope = _envelope(raw)
        if envelope.error is not None:
            raise FeedRefused(f"{envelope.error.code}: {envelope.error.msg}")
        symbol, _, name = envelope.stream.partition("@")
        instrument = self._symbols.get(symbol)
        make = _ROUTES.get(name.partition("@")[0])
        if instrument is None or make is None:
            return None
        route = self._routes[envelope.stream.encode()] = make(instrument, symbol.upper())
        return route(raw, now_ns)
