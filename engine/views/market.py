"""Views of the market: the ladder and the lines on the chart."""

from __future__ import annotations

from decimal import Decimal

from engine.core.desk import Desk
from engine.core.market import Market
from engine.model.market import Side
from engine.model.money import ZERO
from engine.views import format as fmt
from engine.views.structs import BookRow, BookView, ChartLine
from engine.views.tables import protection_of, stale

LEVELS = 25
"""Levels of each side a ladder gets; a pane draws as many as it has rows."""


def book_view(desk: Desk, instrument_id: str, now_ns: int) -> BookView | None:
    """The ladder of an instrument; None where it is not known."""
    market = desk.kernel.markets.get(instrument_id)
    if market is None:
        return None
    instrument = market.instrument
    bids, asks = market.book.levels(Side.BUY, LEVELS), market.book.levels(Side.SELL, LEVELS)
    largest = max((size for _, size in (*bids, *asks)), default=ZERO)
    own = _own(desk, market)
    quote, mark, last = market.quote, market.mark, market.last
    spread = None if quote is None else quote.ask_price - quote.bid_price
    mid = None if quote is None else (quote.ask_price + quote.bid_price) / 2
    bps = None if spread is None or not mid else spread / mid * 10_000
    return BookView(
        time_ns=now_ns,
        instrument=instrument_id,
        symbol=instrument.symbol,
        bids=_rows(market, bids, largest, own),
        asks=_rows(market, asks, largest, own),
        spread=fmt.price(instrument, spread),
        spread_bps=None if bps is None else f"{bps:.2f}",
        mark=fmt.price(instrument, market.mark_price()),
        index=None if mark is None else fmt.price(instrument, mark.index),
        last=None if last is None else fmt.price(instrument, last.price),
        last_side=0 if last is None else last.aggressor.sign,
        funding=None if mark is None or mark.funding_rate is None else fmt.percent(mark.funding_rate, 4),
        next_funding_ns=None if mark is None else mark.next_funding_ns,
        age_ns=None if quote is None else max(0, now_ns - quote.time_ns),
        stale=stale(desk.kernel, instrument_id, now_ns),
        stale_from_ns=desk.state.limits.max_data_age_ns,
    )


def _own(desk: Desk, market: Market) -> dict[Decimal, Decimal]:
    """Our size resting at each price."""
    own: dict[Decimal, Decimal] = {}
    for order_id in market.matcher.order_ids():
        order = desk.state.orders.get(order_id)
        if order is not None and order.price is not None:
            own[order.price] = own.get(order.price, ZERO) + order.remaining
    return own


def _rows(
    market: Market, levels: list[tuple[Decimal, Decimal]], largest: Decimal, own: dict[Decimal, Decimal]
) -> tuple[BookRow, ...]:
    instrument = market.instrument
    rows: list[BookRow] = []
    total = ZERO
    for price, size in levels:
        total += size
        mine = own.get(price)
        rows.append(
            BookRow(
                fmt.price(instrument, price) or "",
                fmt.size(instrument, size),
                fmt.size(instrument, total),
                float(size / largest) if largest else 0.0,
                "" if mine is None else fmt.size(instrument, mine),
            )
        )
    return tuple(rows)


def chart_lines(desk: Desk, instrument_id: str) -> tuple[ChartLine, ...]:
    """Entry, take profit, stop loss and liquidation of the open positions, and resting orders, as prices."""
    kernel = desk.kernel
    lines: list[ChartLine] = []
    for position in desk.state.positions.values():
        if position.instrument != instrument_id:
            continue
        instrument = kernel.instrument(instrument_id)
        take, stop = protection_of(kernel, position)
        word = "long" if position.size > 0 else "short"
        for kind, price, label in (
            ("entry", position.entry, f"{word} {fmt.size(instrument, position.size)}"),
            ("tp", take, "TP"),
            ("sl", stop, "SL"),
            ("liq", position.liquidation, "LIQ"),
        ):
            if price is not None:
                lines.append(ChartLine(kind, float(price), label))
    return (*lines, *_resting(desk, instrument_id))


def _resting(desk: Desk, instrument_id: str) -> list[ChartLine]:
    market = desk.kernel.market(instrument_id)
    lines: list[ChartLine] = []
    for order_id in market.matcher.order_ids()[:20]:
        order = desk.state.orders.get(order_id)
        if order is not None and order.price is not None:
            lines.append(ChartLine("order", float(order.price), f"{order.terms.side.lower()} {order.remaining}"))
    return lines
