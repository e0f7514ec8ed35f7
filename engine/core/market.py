"""What the desk knows of one instrument's market: volatile, rebuilt from the feed after a restart."""

from __future__ import annotations

from decimal import Decimal
from math import nextafter

from engine.core.book import Book
from engine.core.matching import Matcher
from engine.core.triggers import INF, Triggers, Watched
from engine.model.instrument import Instrument, MarkSource
from engine.model.market import Mark, Quote, Side, StreamState, Top, Trade
from engine.model.order import TriggerSource

TWO = Decimal(2)
_MID, _EXIT_SIDE = MarkSource.MID, MarkSource.EXIT_SIDE
_SELL = Side.SELL
_DEAD = (StreamState.SILENT, StreamState.DOWN)
_GAPS = (StreamState.CONNECTING, StreamState.RESYNC, *_DEAD)


class Market:
    """Book, prices, armed levels and resting paper orders of one instrument."""

    __slots__ = (
        "_top",
        "_top_of",
        "ask_above",
        "ask_below",
        "bid_above",
        "bid_below",
        "book",
        "broken",
        "carried",
        "funding_ns",
        "instrument",
        "last",
        "mark",
        "mark_is_mid",
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
        self.mark_is_mid = instrument.profile.mark_source in (_MID, _EXIT_SIDE)
        """The mid stands for the mark because the venue streams none."""
        self.funding_ns: int | None = None
        """The funding time that is waited for, or that came last."""
        self.carried = False
        """The feed brings this market's prices."""
        self.streams: dict[str, StreamState] = {}
        self.broken = False
        """Some stream is known not to be live."""
        self._top: Top | None = None
        self._top_of: tuple[Quote | None, Mark | None, int] = (None, None, 0)
        self.set_band()

    def relist(self, instrument: Instrument) -> None:
        """Go by the changed tick, filters and profile of the same instrument."""
        source = instrument.profile.mark_source
        self.instrument = instrument
        self.mark_is_mid = source is _MID or (source is _EXIT_SIDE and self.mark is None)
        self.matcher.relist(instrument)
        self.set_band()

    def emptied(self) -> Market:
        """The same prices and book with nothing armed and nothing resting."""
        market = Market(self.instrument)
        market.book = self.book
        market.matcher = Matcher(self.instrument, self.book)
        market.quote, market.last = self.quote, self.last
        market.carried = self.carried
        if self.mark is not None:
            market.set_mark(self.mark)
        market.streams, market.broken = dict(self.streams), self.broken
        return market

    @property
    def live(self) -> bool:
        """A quote is there and no stream is known to be broken."""
        return self.quote is not None and not self.broken

    @property
    def blind(self) -> bool:
        """Some stream of prices is known to bring none."""
        return any(state in _DEAD for stream, state in self.streams.items() if stream != "depth")

    def set_quote(self, quote: Quote) -> None:
        """Take the best bid and ask."""
        self.quote = quote
        self.book.apply_quote(quote)

    def set_mark(self, mark: Mark) -> None:
        """Take the venue's mark."""
        self.mark = mark
        self.mark_is_mid = self.instrument.profile.mark_source is _MID
        self.set_band()

    def set_stream(self, stream: str, state: StreamState) -> None:
        """Take what the feed knows of one of its streams."""
        if stream == "depth" and state in _GAPS:
            # What the book held before the gap is not to be matched against; the last top is all that is known.
            self.book.clear()
            if self.quote is not None:
                self.book.apply_quote(self.quote)
        self.streams[stream] = state
        self.broken = any(known is not StreamState.LIVE for known in self.streams.values())

    def set_band(self) -> None:
        """The prices between which a quote fires nothing; call after anything armed, fired or rested."""
        bid, ask = self.triggers.bid, self.triggers.ask
        lowest_sell, highest_buy = self.matcher.lowest_sell, self.matcher.highest_buy
        self.bid_above = bid.above if bid.above < lowest_sell else lowest_sell
        self.bid_below = bid.below if bid.below > highest_buy else highest_buy
        self.ask_above = ask.above if ask.above < lowest_sell else lowest_sell
        self.ask_below = ask.below if ask.below > highest_buy else highest_buy
        if self.mark_is_mid:
            # The mid of two floats may lie one step off the exact mid, which is what levels are compared with.
            self.mid_above = nextafter(self.triggers.mark.above, -INF)
            self.mid_below = nextafter(self.triggers.mark.below, INF)
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
        if self.instrument.profile.mark_source is _EXIT_SIDE:
            return self.exit_price(long)
        return self.mark_price()

    def exit_price(self, long: bool) -> Decimal | None:
        """Best price at which a position could be closed."""
        if self.quote is None:
            return None
        return self.quote.bid_price if long else self.quote.ask_price

    def taker_price(self, side: Side) -> Decimal | None:
        """Best price a taker of this side would get."""
        quote = self.quote
        if quote is None:
            return None
        return quote.bid_price if side is _SELL else quote.ask_price

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
        """The market for an event's record, one for all events of a moment; None before the first quote."""
        quote, mark = self.quote, self.mark
        if quote is None:
            return None
        of = self._top_of
        if of[0] is not quote or of[1] is not mark or of[2] != now_ns:
            text = str(mark.price) if mark is not None else None
            age_ns = now_ns - quote.time_ns
            self._top = Top(quote.bid_text, quote.bid_size_text, quote.ask_text, quote.ask_size_text, text, age_ns)
            self._top_of = (quote, mark, now_ns)
        return self._top


def watched_by(source: TriggerSource, side: Side) -> Watched:
    """Which price an order's trigger watches; `side` is the order's own."""
    if source is TriggerSource.BID_ASK:
        return Watched.BID if side is Side.SELL else Watched.ASK
    return Watched(source.value)
