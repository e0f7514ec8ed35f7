"""Bookkeeping of our own, from the events alone: what the desk's state is compared with. Shares no rule with the core."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from engine.model import event as ev
from engine.model.account import Position
from engine.model.command import FlattenAll, SetProtection
from engine.model.event import Event
from engine.model.instrument import Instrument
from engine.model.market import Depth, FeedStatus, Mark, MarketInput, Quote, Side, StreamState, Trade
from engine.model.order import OrderTerms, Role
from tests.simulation.signal_rows import Signals

ZERO = Decimal(0)
Pair = tuple[str, str]
"""(account, instrument)."""


class Line:
    """An order as its events tell it."""

    __slots__ = ("filled", "live", "reduce_only", "sent", "size", "status", "terms", "trigger")

    def __init__(self, terms: OrderTerms) -> None:
        self.terms = terms
        self.size = terms.size
        self.filled = ZERO
        self.trigger: Decimal | None = None
        """Where a trailing stop stands."""
        self.reduce_only = terms.reduce_only
        self.live = True
        self.sent = False
        self.status = "CREATED"


class Money:
    """What an account put in and made."""

    __slots__ = ("deposits", "fees", "flow", "funding", "insurance", "realised")

    def __init__(self) -> None:
        self.deposits = self.realised = self.fees = self.funding = self.insurance = ZERO
        self.flow = ZERO
        """Minus the sum of signed size times price over every fill."""

    @property
    def wallet(self) -> Decimal:
        """Semantics 11.7 without what is unrealised."""
        return self.deposits + self.realised - self.fees + self.funding + self.insurance


class Books:
    """Everything the rows ask for."""

    def __init__(self) -> None:
        self.seq = 0
        self.kill = False
        self.instruments: dict[str, Instrument] = {}
        self.orders: dict[str, Line] = {}
        self.lots: dict[str, Position] = {}
        """Open positions as their last event states them."""
        self.money: dict[str, Money] = {}
        self.held: dict[Pair, Decimal] = {}
        """Signed size by our own sum of fills."""
        self.sent: dict[str, int] = {}
        """Order -> seq of its OrderSent."""
        self.clients: dict[str, str] = {}
        """Client id -> order, of live orders."""
        self.requests: dict[str, int] = {}
        self.fills: dict[tuple[str, str, str, int], Decimal] = {}
        """(account, order, fill id, part) -> size."""
        self.paid: set[tuple[str, str, int]] = set()
        self.covered: dict[str, bool] = {}
        """Positions whose every lot came with a stop loss."""
        self.on_position: set[str] = set()
        """Positions with a stop of their own, which grows with them."""
        self.asked = ""
        self.before = ("", False, False)
        """The last request to protect a position, and how the position stood before it: what is refused changes nothing."""
        self.accused: set[str] = set()
        """Codes of the alarms since the last outcome began."""
        self.unknown: dict[Pair, dict[str, None]] = {}
        """Orders whose outcome is not known."""
        self.opened = ""
        """A reduce-only order that opened in this outcome."""
        self.signals = Signals()
        self.touched: set[str] = set()
        """Accounts with news in this outcome."""

    def take(self, event: Event) -> None:
        """Book one event."""
        self.seq = event.seq
        if event.account:
            self.touched.add(event.account)
        self.signals.take(event)
        handler = _BOOKED.get(type(event.body))
        if handler is not None:
            handler(self, event, event.body)

    def lot(self, account: str, instrument: str) -> Position | None:
        """The open lot of a netting account."""
        return next((p for p in self.lots.values() if (p.account, p.instrument) == (account, instrument)), None)

    # --- One kind each ----------------------------------------------------------------------------

    def _instrument(self, event: Event, body: ev.InstrumentChanged) -> None:
        self.instruments[body.instrument.id] = body.instrument

    def _account(self, event: Event, body: ev.AccountOpened) -> None:
        self.money[event.account] = Money()

    def _funds(self, event: Event, body: ev.FundsMoved) -> None:
        self.money[event.account].deposits += body.amount

    def _kill(self, event: Event, body: ev.KillChanged) -> None:
        self.kill = body.on

    def _intent(self, event: Event, body: ev.IntentCreated) -> None:
        self.requests[event.request_id] = event.seq
        command = body.command
        if isinstance(command, SetProtection):
            stopped = command.stop_loss is not None
            name = command.position
            self.before = name, self.covered.get(name, False), name in self.on_position
            self.asked = event.request_id
            self.covered[command.position] = stopped
            (self.on_position.add if stopped else self.on_position.discard)(command.position)
        elif isinstance(command, FlattenAll):
            self.covered = dict.fromkeys(self.covered, False)
            self.on_position.clear()

    def _refused(self, event: Event, body: ev.IntentRefused) -> None:
        name, stopped, on_position = self.before
        if name and event.request_id == self.asked:
            self.covered[name] = stopped
            (self.on_position.add if on_position else self.on_position.discard)(name)

    def _created(self, event: Event, body: ev.OrderCreated) -> None:
        terms = body.terms
        self.orders[terms.id] = Line(terms)
        self.clients[terms.client_id] = terms.id

    def _unknown(self, event: Event, body: ev.OrderUnknown) -> None:
        self.unknown.setdefault((event.account, event.instrument), {})[body.order] = None

    def _known(self, event: Event, order: str) -> None:
        self.unknown.get((event.account, event.instrument), {}).pop(order, None)

    def _accepted(self, event: Event, body: ev.OrderAccepted | ev.OrderTriggered) -> None:
        self._known(event, body.order)

    def _sent(self, event: Event, body: ev.OrderSent) -> None:
        line = self.orders[body.order]
        line.sent = True
        self.sent[body.order] = event.seq
        line.status = "SENT"

    def _fired(self, event: Event, body: ev.TriggerFired) -> None:
        self._uncover(event, body.order)

    def _moved(self, event: Event, body: ev.TriggerMoved) -> None:
        self.orders[body.order].trigger = body.trigger

    def _resized(self, event: Event, body: ev.OrderResized) -> None:
        self.orders[body.order].size = body.size

    def _amended(self, event: Event, body: ev.OrderAmended) -> None:
        if body.size is not None:
            self.orders[body.order].size = body.size

    def _ended(self, event: Event, body: Any) -> None:
        line = self.orders[body.order]
        line.status = event.type
        self._known(event, body.order)
        self._end(line)
        if isinstance(body, ev.OrderCancelled) and body.reason != "replaced":
            self._uncover(event, body.order)

    def _end(self, line: Line) -> None:
        line.live = False
        if self.clients.get(line.terms.client_id) == line.terms.id:
            del self.clients[line.terms.client_id]

    def _uncover(self, event: Event, order: str) -> None:
        """A stop of the position's own is used up, or gave way to a nearer one: it does not grow any more."""
        terms = self.orders[order].terms
        if terms.group and not terms.parent:
            lot = self.lot(event.account, event.instrument)
            self.on_position.discard(lot.id if lot is not None else "")

    def _filled(self, event: Event, body: ev.OrderFilled) -> None:
        line = self.orders[body.order]
        line.filled += body.size
        line.status = "FILLED" if line.filled >= line.size else "PARTIAL"
        if line.filled >= line.size:
            self._end(line)
        self._known(event, body.order)
        if line.reduce_only and not body.closing:
            self.opened = f"{body.order} is reduce-only and opened {body.size}"
        self.fills[event.account, body.order, body.fill_id, body.part] = body.size
        signed = body.size * line.terms.side.sign
        money = self.money[event.account]
        money.flow -= signed * body.price
        money.realised += body.realised
        money.fees += body.fee
        money.insurance += body.insurance
        pair = event.account, event.instrument
        self.held[pair] = self.held.get(pair, ZERO) + signed
        self._lot(body.position)
        if not body.closing:
            lot = body.position.id
            stopped = line.terms.stop_loss is not None or lot in self.on_position
            foreign = line.reduce_only or line.terms.role is Role.EXTERNAL
            self.covered[lot] = stopped and not foreign and self.covered.get(lot, True)

    def _lot(self, position: Position) -> None:
        if position.size:
            self.lots[position.id] = position
        else:
            self.lots.pop(position.id, None)

    def _restated(self, event: Event, body: ev.LeverageChanged | ev.MarginChanged) -> None:
        if body.position is not None:
            self._lot(body.position)

    def _funding(self, event: Event, body: ev.FundingPaid) -> None:
        self.money[event.account].funding += body.amount
        self.paid.add((event.account, event.instrument, body.due_ns))
        self._lot(body.position)

    def _alarm(self, event: Event, body: ev.AlarmRaised) -> None:
        self.accused.add(body.code)


_BOOKED: dict[type, Callable[[Books, Event, Any], None]] = {
    ev.InstrumentChanged: Books._instrument,
    ev.AccountOpened: Books._account,
    ev.FundsMoved: Books._funds,
    ev.KillChanged: Books._kill,
    ev.IntentCreated: Books._intent,
    ev.IntentRefused: Books._refused,
    ev.OrderCreated: Books._created,
    ev.OrderSent: Books._sent,
    ev.OrderUnknown: Books._unknown,
    ev.OrderAccepted: Books._accepted,
    ev.OrderTriggered: Books._accepted,
    ev.TriggerFired: Books._fired,
    ev.TriggerMoved: Books._moved,
    ev.OrderResized: Books._resized,
    ev.OrderAmended: Books._amended,
    ev.OrderDenied: Books._ended,
    ev.OrderRejected: Books._ended,
    ev.OrderCancelled: Books._ended,
    ev.OrderExpired: Books._ended,
    ev.OrderFilled: Books._filled,
    ev.LeverageChanged: Books._restated,
    ev.MarginChanged: Books._restated,
    ev.FundingPaid: Books._funding,
    ev.AlarmRaised: Books._alarm,
}


class Face:
    """What one market displays, and how much of it our takers took: an upper bound, kept coarsely."""

    def __init__(self) -> None:
        self.tops: dict[Side, tuple[str, str]] = {}
        self.levels: dict[Side, dict[Decimal, Decimal]] = {}
        self.taken: dict[Side, dict[Decimal, Decimal]] = {Side.BUY: {}, Side.SELL: {}}

    def copy(self) -> Face:
        """As it is now."""
        face = Face()
        face.tops = dict(self.tops)
        face.levels = {side: dict(levels) for side, levels in self.levels.items()}
        face.taken = {side: dict(taken) for side, taken in self.taken.items()}
        return face

    def quote(self, item: Quote) -> None:
        """A new top."""
        for side, top in (
            (Side.BUY, (item.bid_text, item.bid_size_text)),
            (Side.SELL, (item.ask_text, item.ask_size_text)),
        ):
            if self.tops.get(side) != top:
                self.taken[side].clear()
            self.tops[side] = top

    def depth(self, item: Depth) -> None:
        """New levels."""
        for side, changed in ((Side.BUY, item.bids), (Side.SELL, item.asks)):
            levels = {} if item.snapshot else self.levels.get(side, {})
            levels.update((Decimal(price), Decimal(size)) for price, size in changed)
            self.levels[side] = levels
        self.forget()

    def forget(self) -> None:
        """Everything may be offered anew."""
        for taken in self.taken.values():
            taken.clear()

    def take(self, side: Side, price: Decimal, size: Decimal) -> tuple[Decimal, Decimal]:
        """We took from this side: (taken since it changed, most that was shown)."""
        taken = self.taken[side]
        taken[price] = taken.get(price, ZERO) + size
        return taken[price], self._shown(side, price)

    def offered(self, side: Side, worst: Decimal) -> Decimal:
        """All that a side shows up to a price."""
        levels = dict(self.levels.get(side, {}))
        top = self.tops.get(side)
        if top is not None:
            levels[Decimal(top[0])] = max(Decimal(top[1]), levels.get(Decimal(top[0]), ZERO))
        return sum((size for price, size in levels.items() if (price - worst) * side.sign >= 0), ZERO)

    def _shown(self, side: Side, price: Decimal) -> Decimal:
        best = self.levels.get(side, {}).get(price, ZERO)
        top = self.tops.get(side)
        if top is None:
            return best
        # Without a book, a displayed size for each tick behind the top is what paper matching believes in.
        behind = (Decimal(top[0]) - price) * side.sign > 0 and not self.levels
        return max(best, Decimal(top[1])) if behind or price == Decimal(top[0]) else best


_GAPS = frozenset({StreamState.CONNECTING, StreamState.RESYNC, StreamState.SILENT, StreamState.DOWN})
"""A book with a gap shows no more than its top."""


class Shown:
    """What one life's market displayed and traded, and how much of it our orders got."""

    def __init__(self) -> None:
        self.input: MarketInput | None = None
        """What is being decided on; None where it is no market input."""
        self.mark: Decimal | None = None
        self._now = Face()
        self._before = Face()
        """What fell due before an input is matched before it."""
        self._made = ZERO

    def hear(self, item: MarketInput) -> None:
        """The market says something."""
        self.input = item
        self._made = ZERO
        if isinstance(item, Quote | Depth):
            self._before = self._now.copy()
        if isinstance(item, Quote):
            self._now.quote(item)
        elif isinstance(item, Depth):
            self._now.depth(item)
        elif isinstance(item, Mark):
            self.mark = item.price
        elif isinstance(item, FeedStatus) and item.stream == "depth" and item.state in _GAPS:
            self._now.levels.clear()
            self._now.forget()

    def forget(self) -> None:
        """Fills that were dropped took nothing; which of those before them did is not kept."""
        self._now.forget()
        self._before.forget()

    def price(self, side: Side) -> Decimal | None:
        """The best price of a side."""
        top = self._now.tops.get(side)
        return Decimal(top[0]) if top is not None else None

    def take(self, side: Side, price: Decimal, size: Decimal) -> tuple[Decimal, Decimal]:
        """We took from this side of the book: (taken since it changed, most that was shown)."""
        got, most = self._now.take(side, price, size)
        return (got, most) if got <= most else self._before.take(side, price, size)

    def make(self, side: Side, price: Decimal, size: Decimal) -> tuple[Decimal, Decimal]:
        """An order of ours of this side was met where it rests: (met by this input, most that this input brought)."""
        self._made += size
        item = self.input
        if isinstance(item, Trade):
            through = (price - item.price) * side.sign >= 0 and item.aggressor is side.opposite
            return self._made, item.size if through else ZERO
        if isinstance(item, Quote | Depth):
            return self._made, self._now.offered(side.opposite, price)
        return self._made, ZERO
