"""What a recording holds and how its lines become inputs: raw Binance frames, or the desk's own capture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Protocol, get_args

import msgspec
from msgspec import Struct

from engine.feeds.assembler import Assembler, Item
from engine.feeds.base import UNREADABLE, FeedError, FeedStats, Sink
from engine.feeds.binance.frames import FrameDecoder
from engine.feeds.binance.rest import parse_depth
from engine.feeds.capture import CaptureLine, Header
from engine.feeds.lines import Damaged, read_lines, split_line
from engine.feeds.numbers import plain
from engine.feeds.sanity import PriceGate
from engine.feeds.sequence import RawDiff, Rule, Snapshot, SpotRule, UsdmRule
from engine.feeds.tiers import SPOT_TIERS, perp_tiers
from engine.model.instrument import Instrument, InstrumentId, MarkSource, VenueProfile, instrument_id
from engine.model.market import MarketInput, Quote

_SURVEYED = 2_000
_SNAPSHOT = b'{"lastUpdateId"'
_QUOTES = ("FDUSD", "USDT", "USDC", "BUSD", "BTC", "ETH")

Recorded = Item | Snapshot | MarketInput
"""What a line holds."""


class Script(Protocol):
    """One kind of recording."""

    instruments: list[Instrument]
    offset_ns: int
    """Local minus venue time at its smallest, ns."""
    first_ns: int

    def decode(self, payload: bytes, now_ns: int) -> Recorded | None:
        """A line's content; raises one of UNREADABLE."""
        ...

    def player(self, sink: Sink, stats: FeedStats) -> Callable[[Recorded], None]:
        """What turns decoded lines into inputs."""
        ...


class CaptureScript:
    """The desk's own capture: inputs as the core got them."""

    def __init__(self, header: Header, first_ns: int, sample: list[bytes]) -> None:
        self.instruments = header.instruments
        self.first_ns = first_ns
        self._decode = msgspec.json.Decoder(CaptureLine).decode
        ages = []
        for line in sample:
            try:
                now_ns, payload = split_line(line)
                item = self.decode(payload, now_ns)
            except UNREADABLE:
                continue
            if item is not None and (venue_ns := getattr(item, "venue_ns", 0)):
                ages.append(item.time_ns - venue_ns)
        self.offset_ns = min(ages, default=0)

    def decode(self, payload: bytes, now_ns: int) -> MarketInput | None:
        """An input; None for a line of a later version's kind."""
        return self._decode(payload).item

    def player(self, sink: Sink, stats: FeedStats) -> Callable[[Recorded], None]:
        """Straight to the sink: inputs were judged when they were recorded."""

        def play(recorded: Recorded) -> None:
            if not isinstance(recorded, (RawDiff, Snapshot)):
                sink(recorded)

        return play


class _Survey(Struct):
    """What the first lines of a raw recording tell of one symbol."""

    usdm: bool = False
    prices: int = 0
    """Decimals in use."""
    sizes: int = 0
    offset_ns: int | None = None

    def note(self, item: Item) -> None:
        """Learn from one item."""
        self.usdm = self.usdm or (type(item) is RawDiff and item.previous > 0)
        if type(item) is Quote:
            self.prices = max(self.prices, _decimals(item.bid_text), _decimals(item.ask_text))
            self.sizes = max(self.sizes, _decimals(item.bid_size_text), _decimals(item.ask_size_text))
        venue_ns = getattr(item, "venue_ns", 0)
        if venue_ns:
            age = item.time_ns - venue_ns
            self.offset_ns = age if self.offset_ns is None else min(self.offset_ns, age)


class RawScript:
    """Raw Binance combined-stream frames of one symbol, with its REST snapshot among them."""

    def __init__(self, symbol: str, survey: _Survey, first_ns: int) -> None:
        product = "perp" if survey.usdm else "spot"
        self._rule: Rule = UsdmRule() if survey.usdm else SpotRule()
        self._id = instrument_id("binance", product, symbol.upper())
        self.first_ns = first_ns
        self.offset_ns = survey.offset_ns or 0
        self.instruments = [_instrument(self._id, product, symbol.upper(), survey)]
        self._decode = FrameDecoder({symbol: self._id}).decode_frame

    def decode(self, payload: bytes, now_ns: int) -> Item | Snapshot | None:
        """A frame, or the snapshot."""
        if payload.startswith(_SNAPSHOT):
            return parse_depth(payload, self._id, now_ns)
        return self._decode(payload, now_ns)

    def player(self, sink: Sink, stats: FeedStats) -> Callable[[Recorded], None]:
        """Through the same gate and sequencing as the live feed's."""
        assembler = Assembler(sink, stats, self._rule, PriceGate())

        def play(recorded: Recorded) -> None:
            if isinstance(recorded, Snapshot):
                assembler.snapshot(recorded)
            elif isinstance(recorded, Item):
                assembler.accept(recorded)

        return play


_TIMES = {
    kind: [name for name in ("time_ns", "venue_ns", "due_ns", "next_funding_ns") if name in kind.__struct_fields__]
    for kind in (*get_args(MarketInput), RawDiff, Snapshot)
}


def shifted(recorded: Recorded, ns: int) -> Recorded:
    """The same, `ns` later: every time in it that is known."""
    times = {name: time + ns for name in _TIMES[type(recorded)] if (time := getattr(recorded, name))}
    return msgspec.structs.replace(recorded, **times)


def open_script(path: Path) -> Script:
    """Look at a recording's first lines; raises FeedError when they are nothing we play."""
    sample = list(_whole_lines(path))
    for line in sample:
        try:
            first_ns, payload = split_line(line)
        except ValueError:
            continue
        if b'"capture"' in payload[:20]:
            return _capture(path, payload, first_ns, sample)
        return _raw(path, first_ns, sample)
    raise FeedError(f"recording: {path.name} has no line of the form `<local ns> <json>`; is it a market recording?")


def _whole_lines(path: Path) -> Iterator[bytes]:
    try:
        yield from islice(read_lines(path), _SURVEYED)
    except Damaged:
        return
    except OSError as error:
        raise FeedError(f"recording: cannot read {path}: {error.strerror}; check the file's name") from error


def _capture(path: Path, payload: bytes, first_ns: int, sample: list[bytes]) -> Script:
    try:
        header = msgspec.json.decode(payload, type=Header)
    except UNREADABLE as error:
        raise FeedError(f"recording: the header of {path.name} cannot be read: {error}; record it again") from error
    return CaptureScript(header, first_ns, sample[1:])


def _raw(path: Path, first_ns: int, sample: list[bytes]) -> Script:
    symbol = next(filter(None, map(_symbol_of, sample)), None)
    if symbol is None:
        raise FeedError(
            f"recording: {path.name} holds no Binance stream; raw Binance feeds and own captures can be played"
        )
    survey = _Survey()
    decode = FrameDecoder({symbol: symbol}).decode_frame
    for line in sample:
        try:
            now_ns, payload = split_line(line)
            item = None if payload.startswith(_SNAPSHOT) else decode(payload, now_ns)
        except UNREADABLE:
            continue
        if item is not None:
            survey.note(item)
    return RawScript(symbol, survey, first_ns)


def _symbol_of(line: bytes) -> str | None:
    _, mark, rest = line.partition(b' {"stream":"')
    return rest.partition(b"@")[0].decode("ascii", "replace") if mark else None


def _decimals(text: str) -> int:
    _, _, fraction = text.partition(".")
    return len(fraction.rstrip("0"))


def _instrument(instrument: InstrumentId, product: str, symbol: str, survey: _Survey) -> Instrument:
    """Filters inferred from the digits in use; fees are the venue's base rates; no mark is recorded, so the mid stands in."""
    quote = next((q for q in _QUOTES if symbol.endswith(q)), "USDT")
    base = symbol.removesuffix(quote)
    tiers = perp_tiers(base) if product == "perp" else SPOT_TIERS
    step = plain(str(Decimal(1).scaleb(-survey.sizes)))
    return Instrument(
        id=instrument,
        venue="binance",
        product=product,
        symbol=symbol,
        base=base,
        quote=quote,
        tick=plain(str(Decimal(1).scaleb(-survey.prices))),
        step=step,
        min_size=step,
        min_notional=Decimal(5),
        maker_fee=Decimal("0.0002") if product == "perp" else Decimal("0.001"),
        taker_fee=Decimal("0.0005") if product == "perp" else Decimal("0.001"),
        tiers=tiers,
        max_leverage=tiers[0].max_leverage,
        profile=VenueProfile(mark_source=MarkSource.MID),
    )
