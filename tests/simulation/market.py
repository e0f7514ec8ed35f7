"""The market outside: a seeded walk with a book, and the feed that brings it to the engine, faults included.

What the feed hands over takes the engine's own way in: price gate, book sequence, stream states (engine.feeds).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from engine.clock import Clock
from engine.feeds.assembler import Assembler, Item
from engine.feeds.base import FeedStats, Sink
from engine.feeds.funding import FundingWatch, Settlement
from engine.feeds.sanity import PriceGate
from engine.feeds.sequence import BackpackRule, Levels, RawDiff, Snapshot
from engine.model.instrument import Instrument, InstrumentId
from engine.model.market import Mark, MarketInput, Quote, Side, StreamState, Trade, quote

FUNDING_NS = 7_000_000_000
LEVELS = 6
MOST_WRONG = 3
"""Wrong prices in a row that the engine's gate must stop."""
STREAMS = ("quote", "depth", "trade", "mark")


def price_text(ticks: int) -> str:
    """Tenths as the wire writes them."""
    return f"{ticks // 10}.{ticks % 10}"


def _size_text(thousandths: int) -> str:
    return f"{thousandths // 1000}.{thousandths % 1000:03d}"


class Market:
    """The true book of one instrument; prices in ticks of 0.1, sizes in thousandths."""

    def __init__(self, draw: random.Random, start_ns: int) -> None:
        self.draw = draw
        self.bid = 600_000
        self.spread = 1
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.last_id = 0
        self.settlements: list[Settlement] = []
        self.next_funding_ns = start_ns + FUNDING_NS
        self.rate = Decimal("0.0001")
        self.move(0)

    @property
    def price(self) -> Decimal:
        """The best bid."""
        return Decimal(price_text(self.bid))

    @property
    def mark(self) -> Decimal:
        """The venue's mark."""
        return self.price + Decimal("0.05")

    def move(self, ticks: int) -> None:
        """Go up or down by so many ticks; the whole book is written anew around the new price."""
        draw = self.draw
        self.bid = max(10_000, self.bid + ticks)
        self.spread = draw.choice((1, 1, 1, 3, 20))
        self.bids = {self.bid - i: draw.randint(1, 2000) for i in range(draw.randint(1, LEVELS))}
        self.asks = {self.bid + self.spread + i: draw.randint(1, 2000) for i in range(draw.randint(1, LEVELS))}
        self.last_id += 1

    def walk(self) -> None:
        """One step of the random walk."""
        reach = self.draw.choice((1, 3, 10, 30, 200))
        self.move(self.draw.randint(-reach, reach))

    def fund(self, now_ns: int) -> None:
        """Settle what fell due."""
        while self.next_funding_ns <= now_ns:
            self.settlements.append(Settlement(self.next_funding_ns, self.rate, self.mark))
            self.next_funding_ns += FUNDING_NS
            self.rate = Decimal(self.draw.randint(-300, 300)) / 100_000

    def levels(self) -> tuple[Levels, Levels]:
        """Both sides as the wire writes them."""
        return tuple((price_text(p), _size_text(s)) for p, s in self.bids.items()), tuple(
            (price_text(p), _size_text(s)) for p, s in self.asks.items()
        )


class Feed:
    """The line between the market and one life of the engine."""

    def __init__(
        self,
        instrument: Instrument,
        market: Market,
        clock: Clock,
        sink: Sink,
        marks: Mapping[InstrumentId, Decimal],
        befell: Callable[[str], None],
        *,
        depth: bool,
    ) -> None:
        """`marks`: what the engine last knew; `befell` hears of every fault in the moment it takes effect."""
        self.name = instrument.id
        self.market = market
        self.clock = clock
        self.depth = depth
        self.stats = FeedStats()
        since_ns = market.settlements[0].due_ns - 1 if market.settlements else 0
        self._funding = FundingWatch(since_ns)
        gate = PriceGate(known={name: float(price) for name, price in marks.items()})
        self.assembler = Assembler(sink, self.stats, BackpackRule(), gate, self._funding)
        self._sink = sink
        self._sent: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self._sent_id = 0
        self._late: RawDiff | None = None
        self.silent: set[str] = set()
        """Streams that bring nothing."""
        self.hold_back = False
        """The next depth diff comes after the one that follows it."""
        self._trades = 0
        self._befell = befell
        self._skipped = False
        """An update is missing before the next diff."""
        self._wrong: dict[type, int] = {}
        """Kind of item -> how many wrong ones came since the last right one."""
        self.catch_up()

    def catch_up(self) -> None:
        """The funding history as the venue has it; what was given before is known."""
        now_ns = self.clock.now_ns()
        for funding in self._funding.caught_up(self.name, self.market.settlements[-5:], now_ns):
            self._sink(funding)

    def tick(self, draw: random.Random) -> None:
        """What the market shows now, as the venue would send it."""
        now_ns = self.clock.now_ns()
        if self.depth and "depth" not in self.silent and draw.random() < 0.7:
            self._diff(now_ns)
        if "quote" not in self.silent:
            self.accept(self._quote(now_ns))
        if "trade" not in self.silent and draw.random() < 0.5:
            self.accept(self._trade(now_ns, draw))
        if "mark" not in self.silent and draw.random() < 0.7:
            self.accept(self._mark(now_ns))

    def accept(self, item: Item) -> None:
        """Hand one decoded item in, as a socket's reader does."""
        self._wrong.pop(type(item), None)
        self.assembler.accept(item)

    def snapshot(self) -> None:
        """Answer the engine's wish for a whole book."""
        bids, asks = self.market.levels()
        now_ns = self.clock.now_ns()
        if self.depth and self.assembler.needs_snapshot(self.name) and "depth" not in self.silent:
            self.assembler.snapshot(Snapshot(self.name, now_ns, now_ns, self.market.last_id, bids, asks))
            self._sent = dict(self.market.bids), dict(self.market.asks)
            self._sent_id = self.market.last_id
            self._skipped = False

    def lost(self, streams: tuple[str, ...], state: StreamState) -> None:
        """These streams are down or silent, and the engine has noticed."""
        known = [(self.name, stream) for stream in self.brings(streams)]
        self.assembler.lost(known, state, self.clock.now_ns(), "simulated")

    def brings(self, streams: Iterable[str]) -> tuple[str, ...]:
        """Those of them that this feed has, in the same order: a seed is told the same way in every process."""
        return tuple(stream for stream in streams if stream != "depth" or self.depth)

    def skip(self) -> None:
        """An update that never arrives."""
        self.market.walk()
        self._sent_id += 1
        self._skipped = self.depth

    # --- Frames -----------------------------------------------------------------------------------

    def _diff(self, now_ns: int) -> None:
        market = self.market
        changed = [
            tuple(
                (price_text(p), _size_text(now.get(p, 0)))
                for p in sorted(before.keys() | now.keys())
                if before.get(p) != now.get(p)
            )
            for before, now in zip(self._sent, (market.bids, market.asks), strict=True)
        ]
        market.last_id = max(market.last_id, self._sent_id + 1)
        diff = RawDiff(
            self.name, now_ns, now_ns, self._sent_id + 1, market.last_id, self._sent_id, changed[0], changed[1]
        )
        self._sent, self._sent_id = (dict(market.bids), dict(market.asks)), market.last_id
        if self._skipped:
            self._skipped = False
            self._befell("gap")
        if self.hold_back:
            self.hold_back, self._late = False, diff
            return
        self.accept(diff)
        if self._late is not None:
            late, self._late = self._late, None
            self.accept(late)
            self._befell("reordering")

    def _quote(self, now_ns: int) -> Quote:
        market = self.market
        bid, ask = market.bid, market.bid + market.spread
        texts = price_text(bid), _size_text(market.bids[bid]), price_text(ask), _size_text(market.asks[ask])
        # A quote of the depth's own update is older to the book than a quote between two of them.
        return quote(self.name, now_ns, *texts, venue_ns=now_ns, update_id=market.last_id if self.depth else 0)

    def _trade(self, now_ns: int, draw: random.Random) -> Trade:
        self._trades += 1
        market = self.market
        side = draw.choice((Side.BUY, Side.SELL))
        off = draw.choice((0, 0, 0, 5, 40))
        ticks = market.bid + market.spread + off if side is Side.BUY else market.bid - off
        size = Decimal(draw.randint(1, 900)) / 1000
        return Trade(self.name, now_ns, now_ns, f"t{self._trades}", Decimal(price_text(ticks)), size, side)

    def _mark(self, now_ns: int) -> Mark:
        market = self.market
        return Mark(self.name, now_ns, now_ns, market.mark, market.price, market.rate, market.next_funding_ns)

    # --- What no market says ------------------------------------------------------------------------

    def bad(self, draw: random.Random) -> str:
        """One impossible or absurd item; returns what it was."""
        now_ns = self.clock.now_ns()
        good = self.market.price
        kind = draw.choice(("nan", "negative", "tenfold", "a tenth", "crossed"))
        price = {"nan": Decimal("NaN"), "negative": -good, "tenfold": good * 10, "a tenth": good / 10}.get(kind, good)
        stream = "quote" if kind == "crossed" else draw.choice(STREAMS)
        if stream == "depth" and not self.depth:
            stream = "mark"
        if stream == "quote":
            ask = good - 5 if kind == "crossed" else price + 1
            self._slip_in(kind, quote(self.name, now_ns, str(price), "1", str(ask), "1", venue_ns=now_ns))
        elif stream == "trade":
            self._slip_in(kind, Trade(self.name, now_ns, now_ns, "bad", price, Decimal(1), Side.BUY))
        elif stream == "mark":
            self._slip_in(kind, Mark(self.name, now_ns, now_ns, price, self.market.price))
        else:
            first = self._sent_id + 1
            self.market.last_id = max(self.market.last_id, first)
            diff = RawDiff(self.name, now_ns, now_ns, first, first, first - 1, ((str(price), "1"),), ())
            self._sent_id = first
            self.accept(diff)
            self._befell(f"bad price: {kind}")
        return f"{kind} {stream}"

    def _slip_in(self, kind: str, item: Quote | Trade | Mark) -> None:
        """Of more wrong prices in a row the gate cannot know that they are not the market."""
        wrong = self._wrong.get(type(item), 0)
        if wrong < MOST_WRONG:
            self.accept(item)
            self._wrong[type(item)] = wrong + 1
            self._befell(f"bad price: {kind}")


def price_of(item: MarketInput) -> Decimal | None:
    """What a market input says something is worth."""
    match item:
        case Quote():
            return item.ask_price
        case Trade() | Mark():
            return item.price
    return None
