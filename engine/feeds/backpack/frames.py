"""Raw Backpack stream frames to market inputs (venues/backpack.md 3). Times are microseconds, numbers or strings."""

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

_US = 1_000
_MS = 1_000_000


class _BookTicker(Struct, gc=False):
    u: int
    b: str | None = None
    B: str | None = None
    a: str | None = None
    A: str | None = None
    E: int = 0
    s: str = ""


class _BookTickerFrame(Struct, gc=False):
    data: _BookTicker


class _Depth(Struct):
    U: int
    u: int
    b: Levels = ()
    a: Levels = ()
    E: int = 0
    s: str = ""


class _DepthFrame(Struct):
    data: _Depth


class _Trade(Struct, gc=False):
    p: Decimal
    q: Decimal
    m: bool
    t: int = 0
    E: int = 0
    s: str = ""


class _TradeFrame(Struct, gc=False):
    data: _Trade


class _MarkPrice(Struct, gc=False):
    p: Decimal
    E: int = 0
    i: Decimal | None = None
    f: Decimal | None = None
    n: int | None = None
    s: str = ""


class _MarkFrame(Struct, gc=False):
    data: _MarkPrice


class _Error(Struct):
    code: int = 0
    message: str = ""


class _Envelope(Struct):
    stream: str = ""
    error: _Error | None = None


_Decode = Callable[[bytes, int], Item | None]

_OTHER = "the frame of one symbol holds another"

# Not strict: the venue writes times as numbers, older samples as strings.
_book_ticker = msgspec.json.Decoder(_BookTickerFrame, strict=False).decode
_depth = msgspec.json.Decoder(_DepthFrame, strict=False).decode
_trade = msgspec.json.Decoder(_TradeFrame, strict=False).decode
_mark = msgspec.json.Decoder(_MarkFrame, strict=False).decode
_envelope = msgspec.json.Decoder(_Envelope, strict=False).decode


def _quote_route(instrument: InstrumentId, symbol: str) -> _Decode:
    def decode(raw: bytes, now_ns: int) -> Quote | None:
        d = _book_ticker(raw).data
        if d.s != symbol and d.s:
            raise ValueError(_OTHER)
        b, bid_size, a, ask_size = d.b, d.B, d.a, d.A
        if b is None or bid_size is None or a is None or ask_size is None:  # one side of the book is empty
            return None
        return Quote(instrument, now_ns, d.E * _US, d.u, float(b), float(a), b, bid_size, a, ask_size)

    return decode


def _depth_route(instrument: InstrumentId, symbol: str) -> _Decode:
    def decode(raw: bytes, now_ns: int) -> RawDiff:
        d = _depth(raw).data
        if d.s != symbol and d.s:
            raise ValueError(_OTHER)
        return RawDiff(instrument, now_ns, d.E * _US, d.U, d.u, 0, d.b, d.a)

    return decode


def _trade_route(instrument: InstrumentId, symbol: str) -> _Decode:
    def decode(raw: bytes, now_ns: int) -> Trade:
        d = _trade(raw).data
        if d.s != symbol and d.s:
            raise ValueError(_OTHER)
        side = Side.SELL if d.m else Side.BUY
        return Trade(instrument, now_ns, d.E * _US, str(d.t), d.p, d.q, side)

    return decode


def _mark_route(instrument: InstrumentId, symbol: str) -> _Decode:
    def decode(raw: bytes, now_ns: int) -> Mark:
        d = _mark(raw).data
        if d.s != symbol and d.s:
            raise ValueError(_OTHER)
        return Mark(instrument, now_ns, d.E * _US, d.p, d.i, d.f, d.n * _MS if d.n else None)

    return decode


_ROUTES: dict[str, Callable[[InstrumentId, str], _Decode]] = {
    "bookTicker": _quote_route,
    "depth": _depth_route,
    "trade": _trade_route,
    "markPrice": _mark_route,
}


class FrameDecoder:
    """Decodes frames of the given instruments; `symbols` maps venue symbols to instrument ids."""

    def __init__(self, symbols: Mapping[str, InstrumentId]) -> None:
        self._routes: dict[bytes, _Decode] = {
            f"{name}.{symbol}".encode(): make(instrument, symbol)
            for symbol, instrument in symbols.items()
            for name, make in _ROUTES.items()
        }

    def decode_frame(self, raw: bytes, now_ns: int) -> Item | None:
        """One frame, stamped `now_ns`. None for a one-sided quote or a stream that is not ours.

        Raises msgspec.DecodeError or ValueError on a malformed frame, FeedRefused on an error reply.
        """
        # The venue writes "stream" last; a frame that does not is routed the slow way below.
        route = self._routes.get(raw[raw.rfind(b'"', 0, -2) + 1 : -2])
        if route is None:
            envelope = _envelope(raw)
            if envelope.error is not None:
                raise FeedRefused(f"{envelope.error.code}: {envelope.error.message}")
            route = self._routes.get(envelope.stream.encode())
        return route(raw, now_ns) if route is not None else None
