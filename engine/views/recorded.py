"""A desk as it was at an event: the same read models, valued with the prices that events recorded, and nothing newer."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from engine.core.desk import Desk
from engine.core.state import State, money_key
from engine.model import event as ev
from engine.model.account import Execution
from engine.model.market import Mark, quote
from engine.views import format as fmt
from engine.views import tables
from engine.views.log import log_line
from engine.views.structs import BalanceView, LogLine, LogView, Mode, PositionsView, PriceRow, PricesView, StatusView
from engine.views.tables import day_pnl, differing, unknown_trails


class Price(Struct, frozen=True, omit_defaults=True):
    """The last price of an instrument that an event recorded, as of `time_ns` (0: its age is not known)."""

    seq: int
    time_ns: int
    bid: str | None = None
    bid_size: str | None = None
    ask: str | None = None
    ask_size: str | None = None
    mark: str | None = None


Prices = dict[str, Price]
"""By instrument."""


def note_prices(prices: Prices, event: ev.Event) -> None:
    """Take what an event recorded of the market: the top of the book at a decision, or the marks of the moment."""
    body = event.body
    if isinstance(body, ev.MarksNoted):
        for instrument, mark in body.marks.items():
            prices[instrument] = Price(event.seq, event.time_ns, mark=str(mark))
        return
    if isinstance(body, ev.FundingPaid):
        prices[event.instrument] = Price(event.seq, event.time_ns, mark=str(body.mark))
        return
    top = getattr(body, "top", None)
    if top is not None and event.instrument:
        time_ns = event.time_ns - (top.age_ns or 0)
        prices[event.instrument] = Price(event.seq, time_ns, top.bid, top.bid_size, top.ask, top.ask_size, top.mark)


def desk_at(state: State, prices: Prices) -> Desk:
    """A desk to look at: recorded state, and markets that know the recorded prices only."""
    desk = Desk(state)
    kernel = desk.kernel
    for order in state.orders.values():
        if order.terms.reduce_only:
            kernel.note_exit(order.terms)
    for instrument, price in prices.items():
        market = kernel.markets.get(instrument)
        if market is None:
            continue
        if price.bid is not None and price.ask is not None:
            sizes = price.bid_size or "0", price.ask_size or "0"
            market.set_quote(quote(instrument, price.time_ns, price.bid, sizes[0], price.ask, sizes[1]))
        if price.mark is not None:
            market.set_mark(Mark(instrument, price.time_ns, price.time_ns, Decimal(price.mark)))
            # A mark that was noted is the mark, whatever the venue's profile makes it of.
            market.mark_is_mid = False
    return desk


def positions_view(desk: Desk, prices: Prices, now_ns: int) -> PositionsView:
    """Open positions; one is stale where its price was old at that moment, or of unknown age."""
    view = tables.positions_view(desk, now_ns)
    oldest = desk.state.limits.max_data_age_ns
    old = {name for name, price in prices.items() if not price.time_ns or now_ns - price.time_ns > oldest}
    return replace(view, rows=tuple(replace(row, stale=row.instrument in old) for row in view.rows))


def balance_view(desk: Desk, prices: Prices, now_ns: int) -> BalanceView:
    """Money; equity at the prices recorded, or as it was sampled where no price came since."""
    view = tables.balance_view(desk, now_ns)
    sample = _sample(desk, prices)
    account = desk.state.accounts.get(desk.account)
    if sample is None or account is None:
        return view
    unrealised = sample - account.balances[desk.asset]
    day = day_pnl(desk, desk.asset, sample)
    rows = tuple(
        replace(row, equity=fmt.money(sample), upnl=fmt.signed(unrealised)) if row.asset == desk.asset else row
        for row in view.rows
    )
    line = view.equity_line if view.rows and _equity(desk) is None else view.equity_line[:-1]
    return replace(view, rows=rows, day_pnl=fmt.signed(day), day_pnl_sign=fmt.sign(day), equity_line=line)


def valued_ns(desk: Desk, prices: Prices) -> int | None:
    """Since when equity is known: the oldest price of what is held, or the sample taken after all of them.

    None with nothing open; 0 where a price is missing or its age is not known.
    """
    times = [prices[held].time_ns if held in prices else 0 for held in _held(desk)]
    if not times:
        return None
    return _samples(desk)[-1][0] if _sample(desk, prices) is not None else min(times)


def _held(desk: Desk) -> set[str]:
    return {position.instrument for position in desk.state.positions.values()}


def _samples(desk: Desk) -> list[tuple[int, str]]:
    return desk.state.equity.get(money_key(desk.account, desk.asset), [])


def _equity(desk: Desk) -> Decimal | None:
    return desk.kernel.equity(desk.account, desk.asset) if desk.account in desk.state.accounts else None


def _sample(desk: Desk, prices: Prices) -> Decimal | None:
    """Equity as last sampled, where no price of anything held was recorded since: a fill would have brought one."""
    samples, held = _samples(desk), _held(desk)
    newest = max((prices[one].time_ns for one in held if one in prices), default=0)
    return Decimal(samples[-1][1]) if samples and held and samples[-1][0] > newest else None


def prices_view(desk: Desk, prices: Prices, now_ns: int) -> PricesView:
    """What is known of each market, and since when."""
    rows: list[PriceRow] = []
    for instrument in desk.state.instruments.values():
        price = prices.get(instrument.id)
        mark = desk.kernel.market(instrument.id).mark_price()
        rows.append(
            PriceRow(
                instrument=instrument.id,
                symbol=instrument.symbol,
                bid=price.bid if price else None,
                ask=price.ask if price else None,
                mark=fmt.price(instrument, mark),
                age_ns=max(0, now_ns - price.time_ns) if price and price.time_ns else None,
                seq=price.seq if price else 0,
            )
        )
    return PricesView(now_ns, tuple(rows))


def log_view(state: State, events: Iterable[ev.Event], now_ns: int) -> LogView:
    """Events in words, as they were known then."""
    lines: list[LogLine] = []
    for event in events:
        with suppress(KeyError):  # an order from long before, which the state has forgotten
            line = log_line(state, event)
            if line is not None:
                lines.append(line)
    return LogView(now_ns, tuple(lines))


def status_view(desk: Desk, prices: Prices, now_ns: int, ledger: str) -> StatusView:
    """The header of then: nobody holds the hand, nothing is armed, no stream is heard."""
    state = desk.state
    sample = _sample(desk, prices)
    equity = _equity(desk) if sample is None else sample
    day = day_pnl(desk, desk.asset, equity)
    return StatusView(
        time_ns=now_ns,
        env=state.env,
        feed=state.feed,
        prices="RECORDED PRICES",
        mode=Mode.READ_ONLY,
        mode_reason="time travel: nothing here trades",
        kill=state.kill,
        kill_reason=state.kill_reason,
        seq=state.seq,
        durable_seq=state.seq,
        epoch=state.epoch,
        account=desk.account,
        asset=desk.asset,
        equity=fmt.money(equity),
        day_pnl=fmt.signed(day),
        day_pnl_sign=fmt.sign(day),
        hand="",
        armed=False,
        screens=0,
        ticks_per_second=0,
        dropped=0,
        ledger=ledger,
        recovery="",
        recording="",
        paused=False,
        open_positions=len(state.positions),
        open_orders=len(state.orders),
        instruments=(),
        streams=(),
        unknown=unknown_trails(desk.kernel),
        differs=differing(desk.kernel),
        rehearsal=any(account.execution is Execution.VENUE for account in state.accounts.values())
        and state.env == "sim",
    )
