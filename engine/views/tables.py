"""Views of what is recorded: positions, working orders, closed trades, balances."""

from __future__ import annotations

import heapq
from decimal import Decimal

from engine.core.desk import Desk
from engine.core.journal import clock_text
from engine.core.kernel import Kernel
from engine.core.lifecycle import live_exits
from engine.core.margin import required
from engine.core.positions import even_stop
from engine.core.state import Evidence, money_key, pair_key
from engine.model.account import Position
from engine.model.instrument import Instrument
from engine.model.market import Side
from engine.model.money import ZERO
from engine.model.order import Order, OrderStatus, OrderType, Role
from engine.views import format as fmt
from engine.views.structs import (
    BalanceRow,
    BalanceView,
    OrderRow,
    OrdersView,
    PositionRow,
    PositionsView,
    TradeRow,
    TradesView,
)

MAX_ORDERS = 500
MAX_TRADES = 200


def stale(kernel: Kernel, instrument: str, now_ns: int) -> bool:
    """Prices of an instrument are too old for an entry, or its feed is known to be broken."""
    market = kernel.market(instrument)
    oldest = kernel.state.limits.max_data_age_ns
    return not market.live or (market.quote is not None and now_ns - market.quote.time_ns > oldest)


def positions_view(desk: Desk, now_ns: int) -> PositionsView:
    """Open positions in the order they were opened."""
    kernel = desk.kernel
    return PositionsView(now_ns, tuple(_position(kernel, p, now_ns) for p in desk.state.positions.values()))


def _position(kernel: Kernel, position: Position, now_ns: int) -> PositionRow:
    instrument = kernel.instrument(position.instrument)
    mark = kernel.market(position.instrument).value_price(position.size > 0)
    upnl = None if mark is None else position.unrealised(mark)
    notional = None if mark is None else abs(position.size) * mark
    needed = None if mark is None else required(instrument, position, mark)
    left = None
    if upnl is not None and needed is not None:
        left = fmt.ratio(position.margin + upnl - needed, position.margin)
    take, stop = protection_of(kernel, position)
    return PositionRow(
        id=position.id,
        instrument=position.instrument,
        symbol=instrument.symbol,
        side="L" if position.size > 0 else "S",
        size=fmt.size(instrument, position.size),
        notional=fmt.money(notional),
        entry=fmt.price(instrument, position.entry) or "",
        mark=fmt.price(instrument, mark),
        upnl=fmt.signed(upnl),
        upnl_sign=fmt.sign(upnl),
        upnl_pct=fmt.percent(None if upnl is None else fmt.ratio(upnl, position.margin)),
        leverage=position.leverage,
        margin=fmt.money(position.margin) or "",
        margin_left=None if left is None else f"{left * 100:.0f}%",
        liquidation=fmt.price(instrument, position.liquidation),
        take_profit=fmt.price(instrument, take),
        stop_loss=fmt.price(instrument, stop),
        opened_ns=position.opened_ns,
        realised=fmt.signed(position.net) or "",
        stale=stale(kernel, position.instrument, now_ns),
        differs=_difference(kernel, pair_key(position.account, position.instrument)),
        break_even=fmt.price(instrument, even_stop(instrument, position)),
    )


def protection_of(kernel: Kernel, position: Position) -> tuple[Decimal | None, Decimal | None]:
    """The nearest take profit and stop loss (or trail) that guard a position."""
    takes: list[Decimal] = []
    stops: list[Decimal] = []
    for order in live_exits(kernel, position.account, position.instrument):
        if order.terms.role is Role.TAKE_PROFIT and order.trigger is not None:
            takes.append(order.trigger)
        elif order.terms.role in (Role.STOP_LOSS, Role.TRAILING) and order.trigger is not None:
            stops.append(order.trigger)
    nearest_take, nearest_stop = (min, max) if position.size > 0 else (max, min)
    return nearest_take(takes, default=None), nearest_stop(stops, default=None)


def orders_view(desk: Desk, now_ns: int) -> OrdersView:
    """Working orders; when there are more than a screen can want, those of unknown outcome and the nearest to the market."""
    kernel = desk.kernel
    live = desk.state.orders
    chosen = list(live.values())
    if len(chosen) > MAX_ORDERS:
        chosen = heapq.nsmallest(
            MAX_ORDERS, chosen, key=lambda o: (o.status is not OrderStatus.UNKNOWN, abs(_distance(kernel, o) or ZERO))
        )
    return OrdersView(now_ns, tuple(_order(kernel, order) for order in chosen), len(live))


def _distance(kernel: Kernel, order: Order) -> Decimal | None:
    level = order.price if order.price is not None and order.status is not OrderStatus.HELD else order.trigger
    mark = kernel.market(order.terms.instrument).mark_price()
    return None if level is None or not mark else level / mark - 1


def _order(kernel: Kernel, order: Order) -> OrderRow:
    terms = order.terms
    instrument = kernel.instrument(terms.instrument)
    kind = terms.type.replace("_", " ")
    if terms.type is OrderType.TRAILING_STOP:
        distance = f"{terms.trail_bps.normalize():f} bps" if terms.trail_bps is not None else str(terms.trail_offset)
        kind = f"TRAIL {distance}"
    return OrderRow(
        id=terms.id,
        instrument=terms.instrument,
        symbol=instrument.symbol,
        side=terms.side,
        type=kind,
        role=terms.role,
        size=fmt.size(instrument, order.size),
        filled=fmt.size(instrument, order.filled),
        price=fmt.price(instrument, order.price),
        trigger=fmt.price(instrument, order.trigger if order.trigger is not None else terms.trigger),
        distance=fmt.percent(_distance(kernel, order)),
        status=f"{order.status}*" if order.cancel_requested else order.status,
        tif=terms.tif,
        reduce_only=terms.reduce_only,
        where="local" if order.status is OrderStatus.HELD else "venue",
        created_ns=terms.created_ns,
        owner=terms.owner,
        reason=order.reason,
        evidence=trail(kernel, order),
    )


def trail(kernel: Kernel, order: Order) -> str:
    """What is known of an order of unknown outcome, and the worst it may have done; empty for any other."""
    if order.status is not OrderStatus.UNKNOWN:
        return ""
    evidence = _evidence(kernel, order)
    first = f" ({evidence.first})" if evidence.first and evidence.ended is None else ""
    return _silence(kernel, order) + (f", last: {evidence.last}" if evidence.last else first)


def _evidence(kernel: Kernel, order: Order) -> Evidence:
    return kernel.state.unknown.get(order.id) or Evidence(order.updated_ns, order.reason)


def _silence(kernel: Kernel, order: Order) -> str:
    evidence = _evidence(kernel, order)
    asked = f"asked {evidence.asked}x" if evidence.asked else "not asked yet"
    return f"{asked}, silent since {clock_text(evidence.since_ns)}, {_worst(kernel, order, evidence)}"


def _worst(kernel: Kernel, order: Order, evidence: Evidence) -> str:
    instrument = kernel.instrument(order.terms.instrument)
    if evidence.ended is not None:
        missing = fmt.size(instrument, evidence.filled - order.filled)
        return f"the venue says {evidence.ended}, fills of {missing} are missing"
    size = fmt.size(instrument, order.at_worst)
    if order.terms.reduce_only:
        return f"may or may not have closed {size}"
    return f"worst case {'+' if order.terms.side is Side.BUY else '-'}{size}"


def unknown_trails(kernel: Kernel) -> tuple[str, ...]:
    """The orders of unknown outcome, oldest first: since when there is silence, and the worst each may have done."""
    found = (kernel.state.orders.get(order_id) for order_id in kernel.state.unknown)
    return tuple(
        f"{order.id} {kernel.instrument(order.terms.instrument).symbol} {_silence(kernel, order)}"
        for order in found
        if order is not None
    )


def differing(kernel: Kernel) -> tuple[str, ...]:
    """The positions that the venue states otherwise, also those it holds and the ledger does not."""
    return tuple(f"{_symbol(kernel, key.partition('|')[2])} {_difference(kernel, key)}" for key in kernel.state.differs)


def _symbol(kernel: Kernel, instrument: str) -> str:
    known = kernel.state.instruments.get(instrument)
    return known.symbol if known is not None else instrument


def _difference(kernel: Kernel, key: str) -> str:
    difference = kernel.state.differs.get(key)
    if difference is None:
        return ""
    since = clock_text(difference.since_ns)
    return f"venue says {difference.theirs:+f}, ledger {difference.ours:+f}, since {since}"


def trades_view(desk: Desk, now_ns: int) -> TradesView:
    """Closed positions, newest first."""
    newest = list(desk.state.closed.values())[: -MAX_TRADES - 1 : -1]
    return TradesView(now_ns, tuple(_trade(desk.kernel.instrument(p.instrument), p) for p in newest))


def _trade(instrument: Instrument, position: Position) -> TradeRow:
    exit_price = fmt.ratio(position.exited_value, position.exited)
    entry_price = fmt.ratio(position.entered_value, position.entered)
    used = fmt.ratio(position.entered_value, Decimal(position.leverage)) or ZERO
    return TradeRow(
        id=position.id,
        instrument=position.instrument,
        symbol=instrument.symbol,
        side="L" if position.long else "S",
        size=fmt.size(instrument, position.exited),
        entry=fmt.price(instrument, entry_price) or "",
        exit=fmt.price(instrument, exit_price) or "",
        net=fmt.signed(position.net) or "",
        net_sign=fmt.sign(position.net),
        net_pct=fmt.percent(fmt.ratio(position.net, used)),
        fees=fmt.money(position.fees) or "",
        funding=fmt.signed(position.funding) or "",
        # Closed by an entry of the other side: "entry" would read as one.
        reason="opposite" if position.exit_reason == Role.ENTRY else position.exit_reason.replace("_", " "),
        opened_ns=position.opened_ns,
        closed_ns=position.closed_ns,
    )


def balance_view(desk: Desk, now_ns: int) -> BalanceView:
    """Money by asset; the day and the equity line are of the asset the account was funded in."""
    kernel, state = desk.kernel, desk.state
    account = state.accounts.get(desk.account)
    rows: list[BalanceRow] = []
    equity: Decimal | None = None
    if account is not None:
        for asset, wallet in account.balances.items():
            unrealised = kernel.unrealised(account.id, asset)
            known = None if unrealised is None else wallet + unrealised
            if asset == desk.asset:
                equity = known
            rows.append(
                BalanceRow(
                    asset=asset,
                    wallet=fmt.money(wallet) or "",
                    equity=fmt.money(known),
                    free=fmt.money(account.free(asset)) or "",
                    margin=fmt.money(account.margins.get(asset, ZERO)) or "",
                    reserved=fmt.money(account.reserves.get(asset, ZERO)) or "",
                    upnl=fmt.signed(unrealised),
                )
            )
    day = day_pnl(desk, desk.asset, equity)
    samples = state.equity.get(money_key(desk.account, desk.asset), ())
    line = tuple(float(value) for _, value in samples) + (() if equity is None else (float(equity),))
    return BalanceView(now_ns, tuple(rows), fmt.signed(day), fmt.sign(day), line)


def day_pnl(desk: Desk, asset: str, equity: Decimal | None) -> Decimal | None:
    """Equity of an asset gained since its first sample of the UTC day, deposits apart."""
    start = desk.state.day_equity.get(money_key(desk.account, asset))
    return None if equity is None or start is None else equity - start
