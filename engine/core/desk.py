"""The core: Desk.handle(input) -> events. Single-threaded, synchronous, deterministic; a pure function of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from engine.core.arming import arm_order, arm_position
from engine.core.closing import RETRY_NS, end_flattened, go_on
from engine.core.doubts import lose_what_was_sent
from engine.core.fills import apply_report
from engine.core.firing import fire
from engine.core.fold import DAY_NS
from engine.core.foreign import remember
from engine.core.hearing import VENUE_RULES
from engine.core.inputs import FillReport, Halt, Input, Intent, Listed, Note, SignalIn, Start, Tick
from engine.core.intents import take_in
from engine.core.kernel import SET_BACK_NS, Due, Kernel
from engine.core.margin import with_liquidation
from engine.core.market import TWO, Market
from engine.core.paper import arrive, cancel, expire_at, put_back, record_makers
from engine.core.reports import arm_again
from engine.core.settling import expect, note_rest, note_sizes, settle
from engine.core.signals import follow, receive, ring
from engine.core.signals import resume as resume_signals
from engine.core.state import State
from engine.core.triggers import Watched
from engine.model import event as ev
from engine.model.command import Command
from engine.model.event import Event
from engine.model.instrument import Instrument
from engine.model.market import Depth, FeedStatus, Funding, Mark, MarketInput, Quote, StreamState, Trade
from engine.model.money import ZERO
from engine.model.order import OrderStatus

BID, ASK, LAST, MARK, INDEX = Watched.BID, Watched.ASK, Watched.LAST, Watched.MARK, Watched.INDEX
NOTHING: list[Event] = []
"""What a quote that fires nothing returns; never appended to."""
EQUITY_EVERY_NS = 60_000_000_000
REST_NS = 10_000_000_000
"""An input that comes so much later than the one before it ends a rest: the machine slept, or nothing happened. So does the first."""


class Desk:
    """The rules, wired. Recorded state is `state`; everything else is rebuilt by the feed."""

    def __init__(self, state: State) -> None:
        self.kernel = Kernel(state)
        self.state = state
        self.account = next(iter(state.accounts), "")
        """Account that commands without one mean."""
        self.asset = next(iter(state.accounts[self.account].balances), "") if self.account else ""
        """What that account was funded in."""
        self._due: int | None = None
        self._set_back = 0
        """A quote before this says that the clock was set back, ns; looked at while timers run."""
        self._markets = self.kernel.markets
        self._handlers: dict[type, Callable[[Any], None]] = {
            Quote: self._quote,
            Trade: self._trade,
            Depth: self._depth,
            Mark: self._mark,
            Funding: self._funding,
            FeedStatus: self._feed_status,
            Start: self._start,
            Tick: self._tick,
            Intent: self._intent,
            SignalIn: self._signal,
            FillReport: self._report,
            Listed: self._listed,
            Halt: self._halt,
            Note: self._note,
        }
        for kind, rule in VENUE_RULES.items():
            self._handlers[kind] = partial(rule, self.kernel)

    def handle(self, given: Input) -> list[Event]:
        """Decide on one input; the events are folded already. A quote that fires nothing is the fast path."""
        if type(given) is Quote:
            market = self._markets.get(given.instrument)
            if market is None:
                return NOTHING
            bid, ask = given.bid, given.ask
            if self._due is None or self._set_back <= given.time_ns < self._due:
                market.quote = given
                market.book.apply_quote(given)
                if (
                    market.bid_below < bid < market.bid_above
                    and market.ask_below < ask < market.ask_above
                    and market.mid_below < (bid + ask) / 2 < market.mid_above
                ):
                    return NOTHING
        kernel = self.kernel
        journal = kernel.journal
        before_ns = kernel.clock
        now_ns = kernel.hear(given.time_ns)
        if now_ns - before_ns > REST_NS:
            note_rest(kernel)
        if (due_ns := kernel.next_due()) is not None and due_ns <= now_ns:
            # Funding settles before anything stamped with its time (F5).
            self._run_timers(min(given.due_ns - 1, now_ns) if type(given) is Funding else now_ns)
            kernel.clock = now_ns
        if now_ns > journal.now:
            journal.now = now_ns
        journal.cause = 0
        self._handlers[type(given)](given)
        if self.state.signals or kernel.lines:
            follow(kernel)
        if self.state.flattening:
            end_flattened(kernel)
        self._due = kernel.next_due()
        self._set_back = kernel.clock - SET_BACK_NS
        return journal.take()

    def observe(self, given: MarketInput) -> None:
        """Follow the market without deciding anything: for a desk that may only look."""
        market = self._markets.get(given.instrument)
        if market is None:
            return
        if isinstance(given, Quote):
            market.set_quote(given)
        elif isinstance(given, Depth):
            market.book.apply_depth(given)
        elif isinstance(given, Trade):
            market.last = given
        elif isinstance(given, Mark):
            market.set_mark(given)
        elif isinstance(given, FeedStatus):
            market.set_stream(given.stream, given.state)

    def on(self, state: State) -> Desk:
        """A desk on another recorded state and the same market; call `resume` to put its orders back."""
        desk = Desk(state)
        for instrument, market in self._markets.items():
            desk._markets[instrument] = market.emptied()
            recorded = state.instruments.get(instrument)
            if recorded is not None and recorded != market.instrument:
                desk._markets[instrument].relist(recorded)
        desk.account = self.account
        desk.asset = self.asset
        desk.kernel.probe = self.kernel.probe
        desk.kernel.halted = self.kernel.halted
        desk.kernel.clock = self.kernel.clock
        desk.kernel.heard = self.kernel.heard
        desk.kernel.rested = self.kernel.rested
        return desk

    def next_due(self) -> int | None:
        """When handle must be called with a Tick even if the market is silent, ns."""
        return self._due

    # --- Time ---------------------------------------------------------------------------------------

    def _run_timers(self, now_ns: int) -> None:
        """What fell due before this input happened before it, on the book as it was."""
        kernel = self.kernel
        while (due := kernel.pop_due(now_ns)) is not None:
            due_ns, kind, order = due
            kernel.journal.now = max(due_ns, kernel.journal.now)
            kernel.clock = due_ns
            kernel.journal.cause = 0
            _TIMERS[kind](kernel, order)

    def _tick(self, tick: Tick) -> None:
        state = self.state
        last = max((line[-1][0] for line in state.equity.values()), default=0)
        # The first of a day is what its PnL and its loss are measured from.
        if tick.time_ns - last >= EQUITY_EVERY_NS or tick.time_ns // DAY_NS > last // DAY_NS:
            self._sample_equity()

    def _sample_equity(self) -> None:
        for account in self.state.accounts.values():
            for asset, wallet in account.balances.items():
                unrealised = self.kernel.unrealised(account.id, asset)
                if unrealised is None:
                    continue
                body = ev.EquitySampled(asset, wallet, unrealised)
                self.kernel.journal.emit_account(account.id, body)

    # --- The market ---------------------------------------------------------------------------------

    def _quote(self, quote: Quote) -> None:
        market = self._markets[quote.instrument]
        market.set_quote(quote)
        kernel = self.kernel
        bid, ask = quote.bid, quote.ask
        triggers = market.triggers
        if not triggers.bid.below < bid < triggers.bid.above:
            fire(kernel, market, BID, quote.bid_price)
        if not triggers.ask.below < ask < triggers.ask.above:
            fire(kernel, market, ASK, quote.ask_price)
        if market.mark_is_mid:
            self._marked(market, (quote.bid_price + quote.ask_price) / TWO)
        matcher = market.matcher
        if bid <= matcher.highest_buy or ask >= matcher.lowest_sell:
            record_makers(kernel, market, matcher.on_quote())

    def _marked(self, market: Market, price: Decimal) -> None:
        level = market.triggers.mark
        if not level.below < float(price) < level.above:
            fire(self.kernel, market, MARK, price)

    def _trade(self, trade: Trade) -> None:
        market = self._markets.get(trade.instrument)
        if market is None:
            return
        market.last = trade
        price = float(trade.price)
        level = market.triggers.last
        if not level.below < price < level.above:
            fire(self.kernel, market, LAST, trade.price)
        if price <= market.matcher.highest_buy or price >= market.matcher.lowest_sell:
            record_makers(self.kernel, market, market.matcher.on_trade(trade))

    def _depth(self, depth: Depth) -> None:
        market = self._markets.get(depth.instrument)
        if market is None:
            return
        market.book.apply_depth(depth)
        if market.matcher.highest_buy > 0 or market.matcher.lowest_sell < float("inf"):
            record_makers(self.kernel, market, market.matcher.on_depth(depth))

    def _mark(self, mark: Mark) -> None:
        market = self._markets.get(mark.instrument)
        if market is None:
            return
        market.set_mark(mark)
        expect(self.kernel, market, mark)
        if not market.mark_is_mid:
            self._marked(market, mark.price)
        if mark.index is not None:
            level = market.triggers.index
            if not level.below < float(mark.index) < level.above:
                fire(self.kernel, market, INDEX, mark.index)

    def _funding(self, funding: Funding) -> None:
        settle(self.kernel, funding)

    def _feed_status(self, status: FeedStatus) -> None:
        market = self._markets.get(status.instrument)
        if market is None:
            return
        before = market.streams.get(status.stream)
        was_blind = market.blind
        market.set_stream(status.stream, status.state)
        if not was_blind and status.state in (StreamState.SILENT, StreamState.DOWN) and market.triggers.armed:
            message = f"{status.stream} of {market.instrument.symbol} is {status.state}: what watches it sees no price"
            self.kernel.journal.emit(ev.AlarmRaised("EXITS_BLIND", message), instrument=status.instrument)
        if status.state is StreamState.LIVE and before in (StreamState.RESYNC, StreamState.SILENT, StreamState.DOWN):
            market.matcher.reset_queue()

    # --- People and venues --------------------------------------------------------------------------

    def _intent(self, intent: Intent) -> None:
        command: Command = intent.command
        take_in(self.kernel, intent.command, command.account or self.account)

    def _signal(self, given: SignalIn) -> None:
        receive(self.kernel, given, self.account)

    def _report(self, report: FillReport) -> None:
        order = self.state.find_order(report.order)
        if order is None:
            body = ev.AlarmRaised(
                "FOREIGN_FILL", f"fill {report.fill_id} names order {report.order}, which is not ours"
            )
            self.kernel.journal.emit(body)
            return
        if (
            not all(n.is_finite() for n in (report.price, report.size, report.fee))
            or min(report.price, report.size) <= 0
        ):
            message = f"fill {report.fill_id} of {report.order}: {report.size} @ {report.price}, fee {report.fee}; ask the venue"
            self.kernel.journal.emit_order(order, ev.AlarmRaised("BAD_FILL", message))
            return
        apply_report(self.kernel, order, report.fill_id, report.price, report.size, report.fee, maker=report.maker)

    def _listed(self, given: Listed) -> None:
        """What is open stays; what comes goes by the instrument as it is now."""
        instrument, journal = given.instrument, self.kernel.journal
        before = self.state.instruments.get(instrument.id)
        if before == instrument:
            return
        journal.emit(ev.InstrumentChanged(instrument), venue=instrument.venue, instrument=instrument.id)
        market = self._markets.get(instrument.id)
        if market is None:
            self._carry(instrument)
        else:
            market.relist(instrument)
        if instrument.halted and not (before is not None and before.halted):
            message = f"{instrument.symbol} is halted at its venue: entries are refused, closes are tried"
            journal.emit(ev.AlarmRaised("SYMBOL_HALTED", message), instrument=instrument.id)
        self._liquidations_anew(instrument)

    def _halt(self, halt: Halt) -> None:
        self.kernel.halted = halt.reason

    def _note(self, note: Note) -> None:
        self.kernel.journal.emit(note.body, self.account)

    # --- Starting -----------------------------------------------------------------------------------

    def _start(self, start: Start) -> None:
        """Take the ledger: say so, bring the books up to date, put every recorded order back where it stood."""
        journal = self.kernel.journal
        journal.epoch = start.epoch
        journal.emit(ev.EngineStarted(start.env, start.feed, start.version, start.seed, start.recovered))
        for instrument in start.instruments:
            if self.state.instruments.get(instrument.id) != instrument:
                journal.emit(ev.InstrumentChanged(instrument), venue=instrument.venue, instrument=instrument.id)
                self._liquidations_anew(instrument)
            self._carry(instrument)
        if start.account not in self.state.accounts:
            journal.emit(ev.AccountOpened(start.oms, start.execution), start.account, start.venue)
            journal.emit_account(start.account, ev.FundsMoved(start.asset, start.balance, "start balance"))
        self.account = start.account
        self.asset = start.asset
        if self.state.limits != start.limits:
            journal.emit(ev.ConfigChanged(start.limits))
        if not self.state.equity:
            self._sample_equity()
        self._say_blind()
        lose_what_was_sent(self.kernel)
        self.resume()

    def _carry(self, instrument: Instrument) -> None:
        market = self._markets[instrument.id] = Market(instrument)
        market.carried = True

    def _say_blind(self) -> None:
        """No price will reach the exits of a position whose instrument this engine's feed does not carry."""
        for position in self.state.positions.values():
            market = self._markets[position.instrument]
            if not market.carried:
                symbol = market.instrument.symbol
                message = f"no prices for {position.id} and its exits; start with --symbols that include {symbol}"
                body = ev.AlarmRaised("EXITS_BLIND", message)
                self.kernel.journal.emit_account(position.account, body, position.instrument)

    def marks(self) -> dict[str, Decimal]:
        """What every instrument is valued at now; those without a price are left out."""
        return {name: price for name, m in self._markets.items() if (price := m.mark_price()) is not None}

    def show(self, instruments: Sequence[Instrument]) -> None:
        """Know these instruments' markets without recording anything."""
        for instrument in instruments:
            self.state.instruments.setdefault(instrument.id, instrument)
            self._carry(instrument)

    def _liquidations_anew(self, instrument: Instrument) -> None:
        """New tiers move the liquidation price of what is open (semantics 2)."""
        for position in [p for p in self.state.positions.values() if p.instrument == instrument.id]:
            after = with_liquidation(instrument, position)
            if after.liquidation != position.liquidation:
                body = ev.MarginChanged(ZERO, after)
                self.kernel.journal.emit_account(position.account, body, instrument.id, "venue")
                arm_position(self.kernel, after)

    def resume(self) -> None:
        """Rebuild what is volatile from the recorded state: armed levels, resting orders, timers."""
        kernel = self.kernel
        remember(kernel)
        for position in self.state.positions.values():
            arm_position(kernel, position)
        for order in list(self.state.orders.values()):
            terms = order.terms
            if terms.reduce_only:
                kernel.note_exit(terms)
            if terms.expire_ns is not None:
                kernel.at(terms.expire_ns, Due.EXPIRE, terms.id)
            if order.status is OrderStatus.HELD:
                arm_order(kernel, order)
            else:
                put_back(kernel, order)
        for account in self.state.flattening:
            kernel.after(RETRY_NS, Due.FLATTEN, account)
        resume_signals(kernel)
        self._due = kernel.next_due()


_TIMERS: dict[Due, Callable[[Kernel, str], None]] = {
    Due.FUNDING: note_sizes,
    Due.EXPIRE: expire_at,
    Due.CANCEL: cancel,
    Due.ARRIVE: arrive,
    Due.FLATTEN: go_on,
    Due.REARM: arm_again,
    Due.SIGNAL: ring,
}
