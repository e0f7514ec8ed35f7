"""What tests of the desk stand on: a contract, a desk driven with real inputs, and a replay of what it recorded."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from engine.core.desk import Desk
from engine.core.fold import fold
from engine.core.inputs import FillReport, Halt, Input, Intent, OrderSaid, Start, Tick, VenueStands
from engine.core.state import State, decode_state, encode_state
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.account import Account, Execution, Position, RiskLimits
from engine.model.event import Event, decode_body, encode_body
from engine.model.instrument import Instrument, VenueProfile, tiers_from
from engine.model.market import Depth, FeedStatus, Funding, Mark, Side, StreamState, Trade, quote
from engine.model.order import Order, OrderStatus, OrderType
from engine.model.report import VenueFill, VenueOrder, VenuePosition

D = Decimal
MS = 1_000_000
SECOND = 1_000 * MS
LATENCY = 100 * MS
"""Longer than any latency the default profile draws."""
BUY, SELL = Side.BUY, Side.SELL
TIERS = tiers_from(
    [
        (D(0), D(50_000), D("0.004"), 125),
        (D(50_000), D(250_000), D("0.005"), 100),
        (D(250_000), D(1_000_000), D("0.01"), 50),
        (D(1_000_000), D(10_000_000), D("0.025"), 20),
        (D(10_000_000), None, D("0.05"), 10),
    ]
)
B = TypeVar("B")


def instrument(symbol: str = "BTCUSDT", profile: VenueProfile | None = None, **changes: Any) -> Instrument:
    """A perpetual on the tiers of semantics 2; tick 0.1, step 0.001, fees 2 and 5 bps."""
    base = Instrument(
        f"sim.perp:{symbol}", "sim", "perp", symbol, symbol.removesuffix("USDT"), "USDT",
        D("0.1"), D("0.001"), D("0.001"), D(5), D("0.0002"), D("0.0005"), TIERS, 125,
        profile=profile or VenueProfile(),
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


class Bench:
    """A desk and its market, driven through `Desk.handle` alone. Times move forward by themselves."""

    def __init__(
        self,
        *instruments: Instrument,
        balance: str = "10000",
        limits: RiskLimits | None = None,
        env: str = "sim",
        execution: Execution = Execution.PAPER,
    ) -> None:
        self.instruments = instruments or (instrument(),)
        self.limits = limits or RiskLimits()
        self.env = env
        self.execution = execution
        self.now = SECOND
        self.events: list[Event] = []
        self.made = 0
        self.desk = Desk(State())
        self.start("main", balance)

    # --- Inputs -----------------------------------------------------------------------------------

    def handle(self, given: Input) -> list[Event]:
        events = self.desk.handle(given)
        self.events.extend(events)
        return events

    def start(self, account: str = "main", balance: str = "10000") -> list[Event]:
        return self.handle(
            Start(
                self.now, 1, self.env, "simulated", "0", 7, "", account, "sim", "USDT", D(balance),
                self.instruments, self.limits, execution=self.execution,
            )
        )  # fmt: skip

    def restart(self) -> None:
        """Only what is recorded survives."""
        self.desk = Desk(decode_state(encode_state(self.desk.state)))
        self.start(next(iter(self.desk.state.accounts)))

    def at(self, time_ns: int) -> None:
        self.now = time_ns

    def wait(self, ns: int = LATENCY) -> list[Event]:
        """Time passes on a silent market, timer by timer."""
        until = self.now + ns
        events: list[Event] = []
        while (due := self.desk.next_due()) is not None and due <= until:
            events += self.handle(Tick(due))
        self.now = until
        return events + self.handle(Tick(until))

    def quote(
        self, bid: str, ask: str, bid_size: str = "50", ask_size: str = "50", of: Instrument | None = None
    ) -> list[Event]:
        self.now += MS
        return self.handle(quote((of or self.instruments[0]).id, self.now, bid, bid_size, ask, ask_size))

    def mark(self, price: str, index: str | None = None, of: Instrument | None = None) -> list[Event]:
        self.now += MS
        at = D(index) if index is not None else None
        return self.handle(Mark((of or self.instruments[0]).id, self.now, self.now, D(price), at))

    def trade(self, price: str, size: str = "1", aggressor: Side = BUY, of: Instrument | None = None) -> list[Event]:
        self.now += MS
        return self.handle(Trade((of or self.instruments[0]).id, self.now, self.now, "t", D(price), D(size), aggressor))

    def depth(
        self,
        bids: tuple[tuple[str, str], ...],
        asks: tuple[tuple[str, str], ...],
        snapshot: bool = True,
    ) -> list[Event]:
        self.now += MS
        return self.handle(Depth(self.instruments[0].id, self.now, self.now, 0, snapshot, bids, asks))

    def funding(self, due_ns: int, rate: str, mark: str) -> list[Event]:
        return self.handle(Funding(self.instruments[0].id, self.now, due_ns, D(rate), D(mark)))

    def feed(self, stream: str, state: StreamState) -> list[Event]:
        return self.handle(FeedStatus(self.instruments[0].id, self.now, stream, state))

    def halt(self, reason: str) -> list[Event]:
        return self.handle(Halt(self.now, reason))

    def report(self, order: str, fill: str, price: str, size: str, fee: str = "0") -> list[Event]:
        return self.handle(FillReport(self.now, order, fill, D(price), D(size), D(fee), False))

    def said(self, order: Order, status: OrderStatus, filled: str = "0", *fills: VenueFill, **more: Any) -> list[Event]:
        """The venue states an order of ours."""
        return self.hear(statement(order, status, filled, *fills, **more))

    def hear(self, said: VenueOrder) -> list[Event]:
        """The venue states an order, ours or another's."""
        self.now += MS
        return self.handle(OrderSaid(self.now, "main", said))

    def stands(
        self, *positions: VenuePosition, orders: tuple[VenueOrder, ...] = (), asked_ns: int | None = None
    ) -> list[Event]:
        """All that the venue has, asked for and answered a moment later."""
        self.now += MS
        asked = self.now if asked_ns is None else asked_ns
        self.now += MS
        return self.handle(VenueStands(self.now, "main", asked, orders, positions))

    def market(self, price: str) -> None:
        """Quote a tick wide around a price, mark and last at it."""
        tick = self.instruments[0].tick
        self.quote(str(D(price)), str(D(price) + tick))
        self.mark(price)

    # --- Commands ---------------------------------------------------------------------------------

    def ask(self, make: Callable[..., cmd.AnyCommand], **fields: Any) -> list[Event]:
        """Send a command under a fresh request id."""
        self.made += 1
        fields.setdefault("request_id", f"r{self.made}")
        return self.handle(Intent(self.now, make(**fields)))

    def place(
        self,
        side: Side,
        size: str,
        type: OrderType = OrderType.MARKET,  # noqa: A002
        **fields: Any,
    ) -> list[Event]:
        """Place an order; texts become decimals."""
        fields.setdefault("instrument", self.instruments[0].id)
        for name, value in fields.items():
            if isinstance(value, str) and name in _NUMBERS:
                fields[name] = D(value)
        return self.ask(cmd.PlaceOrder, side=side, size=D(size), type=type, **fields)

    def open(self, side: Side, size: str, **fields: Any) -> Position:
        """A position taken at market, at once."""
        self.place(side, size, **fields)
        self.wait()
        return self.position

    def limit(self, side: Side, size: str, price: str, **fields: Any) -> Order:
        """A limit order that has reached the book."""
        self.place(side, size, OrderType.LIMIT, price=price, **fields)
        order = self.last_order
        self.wait()
        return order

    # --- What came of it --------------------------------------------------------------------------

    @property
    def state(self) -> State:
        return self.desk.state

    @property
    def account(self) -> Account:
        return self.state.accounts["main"]

    @property
    def free(self) -> Decimal:
        return self.account.free("USDT")

    @property
    def position(self) -> Position:
        (position,) = self.state.positions.values()
        return position

    @property
    def size(self) -> Decimal:
        return sum((p.size for p in self.state.positions.values()), D(0))

    @property
    def last_order(self) -> Order:
        order = self.state.find_order(f"O{self.state.orders_made}")
        assert order is not None
        return order

    def live(self, type: OrderType | None = None) -> list[Order]:  # noqa: A002
        return [o for o in self.state.orders.values() if type is None or o.terms.type is type]

    def sizes(self, type: OrderType) -> list[Decimal]:  # noqa: A002
        """Unfilled sizes of the live orders of a type, oldest first."""
        return [o.remaining for o in self.live(type)]


def statement(order: Order, status: OrderStatus, filled: str = "0", *fills: VenueFill, **more: Any) -> VenueOrder:
    """An order of ours as a venue states it."""
    terms = order.terms
    stated = {"size": order.size, "price": order.price, "reduce_only": terms.reduce_only, **more}
    return VenueOrder(
        terms.client_id, "v" + terms.id, terms.instrument, terms.side, status, filled=D(filled), fills=fills, **stated
    )


def fill(fill_id: str, price: str, size: str, fee: str = "0") -> VenueFill:
    """One execution as a venue reports it."""
    return VenueFill(fill_id, D(price), D(size), D(fee))


_NUMBERS = {"price", "trigger", "trail_bps", "trail_offset", "take_profit", "stop_loss"}


def bodies(events: list[Event], kind: type[B]) -> list[B]:
    """The bodies of one kind, in order."""
    return [e.body for e in events if isinstance(e.body, kind)]


def refusal(events: list[Event]) -> tuple[str, str]:
    """Code and message of the one refusal among the events; fails where there is none."""
    found = [e.body for e in events if isinstance(e.body, ev.IntentRefused | ev.RiskRejected)]
    assert len(found) == 1, f"{len(found)} refusals in {[e.type for e in events]}"
    return found[0].code, found[0].message


def alarms(events: list[Event]) -> list[str]:
    """Codes of the alarms raised."""
    return [b.code for b in bodies(events, ev.AlarmRaised)]


class Replayed:
    """A ledger's reader: folds events from their stored bytes into a state of its own."""

    def __init__(self) -> None:
        self.state = State()

    def read(self, events: list[Event]) -> None:
        for event in events:
            stored = decode_body(encode_body(event.body))
            fold(self.state, msgspec.structs.replace(event, body=stored))

    def equals(self, state: State) -> bool:
        """Byte for byte."""
        return encode_state(self.state) == encode_state(state)
