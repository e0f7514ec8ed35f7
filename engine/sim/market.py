"""A small seeded market: one price a symbol, a few levels around it, and the frames its streams send.

Frames are written as Binance writes them, so that they pass the real decoder, gate and sequencing (line.py).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from decimal import Decimal

from engine.clock import Clock
from engine.model.instrument import Instrument
from engine.sim.faults import Fault, Faults, child

BEAT_S = 0.8
"""Mean time between two moves of a symbol."""
LEVELS = 4
_DEPTH_EVERY = 2
_MARK_EVERY = 3
_TRADE_SHARE = 0.3
_MOST_STEPS = 400
_SIZES = 64
_MS = 1_000_000

Tops = Callable[[str, Decimal, Decimal], None]
Levels = dict[str, str]
"""Price -> size."""
_WRONG = (Fault.MARKET_CROSSED, Fault.PRICE_NAN, Fault.PRICE_NEGATIVE, Fault.PRICE_TENFOLD)


class Symbol:
    """The truth about one symbol's market; moved by `move`, told by frames."""

    def __init__(self, instrument: Instrument, price: Decimal, dice: random.Random, volatility: float) -> None:
        """`volatility` is the standard deviation of one move, as a fraction."""
        self.instrument = instrument
        self.beats = 0
        self._name = instrument.symbol.lower()
        self._random = dice
        self._volatility = volatility
        self._price = float(price)
        # Written beforehand: each is used many times.
        self._sizes = [str(instrument.step * dice.randint(1, _MOST_STEPS)) for _ in range(_SIZES)]
        self._last = 0
        self._previous = 0
        self._trades = 0
        self._bids: Levels = {}
        self._asks: Levels = {}
        self.bid = self.ask = price
        self.move(0.0)
        self._show()

    def move(self, jump: float) -> None:
        """A beat passed; `jump` moves the price besides, as a fraction."""
        dice, tick = self._random, self.instrument.tick
        self.beats += 1
        self._price *= 1 + max(-0.5, dice.gauss(0.0, self._volatility) + jump)
        ticks = max(2, round(self._price / float(tick)))
        self.bid = (ticks - 1) * tick
        self.ask = (ticks + (dice.random() < 0.2)) * tick

    def quote(self, ms: int, bid: str | None = None) -> bytes:
        """The best prices, or another bid in its place."""
        bid = bid or str(self.bid)
        sizes = f'"B":"{self._size()}","A":"{self._size()}"'
        return f'{{"stream":"{self._name}@bookTicker","data":{{"u":{self._last},"b":"{bid}","a":"{self.ask}",{sizes},"E":{ms}}}}}'.encode()

    def mark(self, ms: int, price: str | None = None) -> bytes:
        """The mark price: the middle, or another in its place. Without funding."""
        price = price or str((self.bid + self.ask) / 2)
        return f'{{"stream":"{self._name}@markPrice@1s","data":{{"p":"{price}","i":"{price}","r":"","T":0,"E":{ms}}}}}'.encode()

    def trade(self, ms: int, price: str | None = None) -> bytes:
        """Somebody took the best price of one side."""
        self._trades += 1
        sold = self._random.random() < 0.5
        price = price or str(self.bid if sold else self.ask)
        side = "true" if sold else "false"
        return f'{{"stream":"{self._name}@aggTrade","data":{{"a":{self._trades},"p":"{price}","q":"{self._size()}","m":{side},"E":{ms}}}}}'.encode()

    def depth(self, ms: int, bid: str | None = None) -> bytes:
        """What changed in the book since the last of these, numbered in sequence; `bid` slips in one more level."""
        bids, asks = self._bids, self._asks
        self._show()
        changes = [_changes(bids, self._bids), _changes(asks, self._asks)]
        if bid is not None:
            changes[0].append(f'["{bid}","1"]')
        first, self._previous = self._previous + 1, self._last
        ids = f'"U":{first},"u":{self._last},"pu":{first - 1}'
        sides = f'"b":[{",".join(changes[0])}],"a":[{",".join(changes[1])}]'
        return f'{{"stream":"{self._name}@depth@100ms","data":{{{ids},{sides},"E":{ms}}}}}'.encode()

    def snapshot(self, ms: int) -> bytes:
        """The book as of the last depth frame, as REST gives it."""
        sides = [",".join(f'["{p}","{s}"]' for p, s in side.items()) for side in (self._bids, self._asks)]
        return f'{{"lastUpdateId":{self._last},"E":{ms},"bids":[{sides[0]}],"asks":[{sides[1]}]}}'.encode()

    def _show(self) -> None:
        """The book takes the shape of the prices."""
        tick = self.instrument.tick
        self._last += self._random.randint(1, 3)
        self._bids = {str(self.bid - n * tick): self._size() for n in range(min(LEVELS, int(self.bid / tick)))}
        self._asks = {str(self.ask + n * tick): self._size() for n in range(LEVELS)}

    def _size(self) -> str:
        return self._sizes[int(self._random.random() * _SIZES)]


Listener = Callable[[Symbol, str, bytes], None]
"""Takes (symbol, stream, frame); stream is quote | depth | trade | mark."""


class SimMarket:
    """Moves its symbols until stopped, tells the exchange first, then whoever listens."""

    def __init__(
        self,
        seed: object,
        prices: Sequence[tuple[Instrument, Decimal]],
        faults: Faults,
        clock: Clock,
        tops: Tops,
        volatility: float = 0.0004,
    ) -> None:
        """On the running loop. `clock` is the venue's own; `tops` takes (symbol, bid, ask) of the true market."""
        self.symbols = [Symbol(i, price, child(seed, f"market/{i.symbol}"), volatility) for i, price in prices]
        self.listeners: list[Listener] = []
        """Hear every frame."""
        self._random = child(seed, "market/beats")
        self._faults = faults
        self._clock = clock
        self._tops = tops
        self._loop = asyncio.get_running_loop()
        self._right: set[tuple[str, str]] = set()
        """Streams whose last frame held no wrong price."""
        self._timers: dict[str, asyncio.TimerHandle] = {}

    @property
    def now_ms(self) -> int:
        """The venue's time."""
        return self._clock.now_ns() // _MS

    def start(self) -> None:
        """Open: the exchange has prices from now on."""
        for symbol in self.symbols:
            self._tops(symbol.instrument.symbol, symbol.bid, symbol.ask)
            self._wait(symbol)

    def stop(self) -> None:
        """Stand still for good."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _wait(self, symbol: Symbol) -> None:
        after_s = BEAT_S * (0.25 + 0.75 * self._random.expovariate(1.0))
        self._timers[symbol.instrument.symbol] = self._loop.call_later(after_s, self._beat, symbol)

    def _beat(self, symbol: Symbol) -> None:
        self._wait(symbol)
        name = symbol.instrument.symbol
        jump = 0.0
        if self._faults.hits(Fault.MARKET_JUMP, name):
            jump = self._faults.between(Fault.MARKET_JUMP, -0.12, 0.12)
        symbol.move(jump)
        self._tops(name, symbol.bid, symbol.ask)
        streams = ["quote"]
        if symbol.beats % _DEPTH_EVERY == 0:
            streams.append("depth")
        if symbol.beats % _MARK_EVERY == 0:
            streams.append("mark")
        if self._random.random() < _TRADE_SHARE:
            streams.append("trade")
        if self.listeners:
            for stream in streams:
                frame = self._frame(symbol, stream)
                for listener in tuple(self.listeners):
                    listener(symbol, stream, frame)

    def _frame(self, symbol: Symbol, stream: str) -> bytes:
        """What the venue says of a stream; sometimes a wrong price, but never twice running: that would be the market."""
        wrong = self._wrong_price(symbol, stream)
        match stream:
            case "quote":
                return symbol.quote(self.now_ms, wrong)
            case "depth":
                return symbol.depth(self.now_ms, wrong)
            case "mark":
                return symbol.mark(self.now_ms, wrong)
        return symbol.trade(self.now_ms, wrong)

    def _wrong_price(self, symbol: Symbol, stream: str) -> str | None:
        key = (symbol.instrument.symbol, stream)
        if key not in self._right:
            self._right.add(key)
            return None
        fault = self._faults.one_of(_WRONG if stream in ("quote", "depth") else _WRONG[1:], stream)
        if fault is not None:
            self._right.remove(key)
        match fault:
            case Fault.MARKET_CROSSED:
                return str(symbol.ask + symbol.instrument.tick)
            case Fault.PRICE_NAN:
                return "NaN"
            case Fault.PRICE_NEGATIVE:
                return str(-symbol.bid)
            case Fault.PRICE_TENFOLD:
                return str(symbol.bid * 10)
        return None


def _changes(before: Levels, after: Levels) -> list[str]:
    gone = [f'["{price}","0"]' for price in before if price not in after]
    return gone + [f'["{price}","{size}"]' for price, size in after.items() if before.get(price) != size]
