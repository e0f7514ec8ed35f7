"""What the desk knows of one instrument's market: volatile, rebuilt from the feed after a restart."""

from __future__ import annotations

from decimal import Decimal

from engine.core.book import Book
from engine.core.matching import Matcher
from engine.core.triggers import INF, Triggers, Watched
from engine.model.instrument import Instrument, MarkSource
from engine.model.market import Mark, Quote, Side, StreamState, Top, Trade
from engine.model.order import TriggerSource

TWO = Decimal(2)


class Market:
    """Book, prices, armed levels and resting paper orders of one instrument."""

    __slots__ = (
        "ask_above",
        "ask_below",
        "bid_above",
        "bid_below",
        "book",
        "instrument",
        "last",
        "mark",
        "matcher",
        "mid_above",
        "mid_below",
        "quote",
        "streams",
        "triggers",
    )

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.book = Book(instrument)
        self.matcher = Matcher(instrument, self.book)
        self.triggers = Triggers()
        self.quote: Quote | None = None
        self.last: Trade | None = None
        self.mark: Mark | None = None
        self.streams: dict[str, StreamState] = {}
        self.set_band()

    def emptied(self) -> Market:
        """The same prices and book with nothing armed and nothing resting."""
        market = Market(self.instrument)
        market.book = self.book
        market.matcher = Matcher(self.instrument, self.book)
        market.quote, market.last, market.mark = self.quote, self.last, self.mark
        market.streams = self.streams
        return market

    @property
    def mark_is_mid(self) -> bool:
        """The mid stands for the mark because the venue streams none."""
        source = self.instrument.profile.mark_source
        return source is MarkSource.MID or (source is MarkSource.EXIT_SIDE and self.mark is None)

    @property
    def live(self) -> bool:
        """A quote is there and no stream is known to be broken."""
        return self.quote is not None and all(state is StreamState.LIVE for state in self.streams.values())

    def set_band(self) -> None:
        """The prices between which a quote fires nothing; call after anything armed, fired or rested."""
        levels = self.triggers.levels
        bid, ask, mark = levels[Watched.BID], levels[Watched.ASK], levels[Watched.MARK]
        lowest_sell, highest_buy = self.matcher.lowest_sell, self.matcher.highest_buy
        self.bid_above = min(bid.above, lowest_sell)
        self.bid_below = max(bid.below, highest_buy)
        self.ask_above = min(ask.above, lowest_sell)
        self.ask_below = max(ask.below, highest_buy)
        if self.mark_is_mid:
            self.mid_above, self.mid_below = mark.above, mark.below
        else:
            self.mid_above, self.mid_below = INF, -INF

    def mark_price(self) -> Decimal | None:
        """Price that values positions; None before the first one arrives."""
        if self.mark is not None and not self.mark_is_mid:
            return self.mark.price
        if self.quote is None:
            return None
        return (self.quote.bid_price + self.quote.ask_price) / TWO

    def value_price(self, long: bool) -> Decimal | None:
        """The mark as the venue's profile judges a position: with `exit_side`, bid for a long and ask for a short."""
        if self.instrument.profile.mark_source is MarkSource.EXIT_SIDE:
            return self.exit_price(long)
        return self.mark_price()

    def exit_price(self, long: bool) -> Decimal | None:
        """Best price at which a position could be closed."""
        if self.quote is None:
            return None
        return self.quote.bid_price if long else self.quote.ask_price

    def taker_price(self, side: Side) -> Decimal | None:
        """Best price a taker of this side would get."""
        return self.exit_price(side is Side.SELL)

    def price_of(self, source: TriggerSource, side: Side) -> Decimal | None:
        """What a trigger of an order of this side is compared with now."""
        if source is TriggerSource.BID_ASK:
            return self.taker_price(side)
        if source is TriggerSource.LAST:
            return self.last.price if self.last is not None else None
        if source is TriggerSource.INDEX:
            return self.mark.index if self.mark is not None else None
        return self.mark_price()

    def top(self, now_ns: int) -> Top | None:
        """The market for an event's record; None before the first quote."""
        quote = self.quote
        if quote is None:
            return None
        mark = str(self.mark.price) if self.mark is not None else None
        return Top(
            quote.bid_text, quote.bid_size_text, quote.ask_text, quote.ask_size_text, mark, now_ns - quote.time_ns
        )


def watched_by(source: TriggerSource, side: Side) -> Watched:
    """Which price an order's trigger watches; `side` is the order's own."""
    if source is TriggerSource.BID_ASK:
        return Watched.BID if side is Side.SELL else Watched.ASK
    return Watched(source.value)
