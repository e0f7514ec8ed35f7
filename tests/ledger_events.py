"""Small believable histories for the ledger's tests: one netting account on one instrument, numbers made by a seeded draw."""

from __future__ import annotations

import random
from decimal import Decimal

from engine.model import event as ev
from engine.model.account import Position
from engine.model.command import PlaceOrder
from engine.model.instrument import Instrument, tiers_from
from engine.model.market import Side, Top
from engine.model.money import ZERO
from engine.model.order import OrderTerms, OrderType

BTC = "binance.perp:BTCUSDT"
START_NS = 1_767_225_600_000_000_000
"""2026-01-01 00:00:00 UTC."""
INSTRUMENT = Instrument(
    id=BTC,
    venue="binance",
    product="perp",
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick=Decimal("0.1"),
    step=Decimal("0.001"),
    min_size=Decimal("0.001"),
    min_notional=Decimal(5),
    maker_fee=Decimal("0.0002"),
    taker_fee=Decimal("0.0005"),
    tiers=tiers_from([(ZERO, None, Decimal("0.004"), 125)]),
    max_leverage=125,
)


class Story:
    """Writes events in order; each method returns those of one thing that happened, a millisecond apart."""

    def __init__(self, seed: int = 0, seq: int = 0) -> None:
        self.seq = seq
        self.random = random.Random(seed)
        self.position: Position | None = None
        self._lots = 0
        self._orders = 0
        self.working: dict[str, OrderTerms] = {}

    def event(self, body: ev.AnyBody, request: str = "") -> ev.Event:
        self.seq += 1
        time_ns = START_NS + self.seq * 1_000_000
        return ev.Event(self.seq, time_ns, "main", "binance", BTC, "hand", request, max(0, self.seq - 1), 1, body)

    def opening(self) -> list[ev.Event]:
        bodies: list[ev.AnyBody] = [
            ev.EngineStarted("sim", "simulated", "0.1.0"),
            ev.InstrumentChanged(INSTRUMENT),
            ev.AccountOpened(),
            ev.FundsMoved("USDT", Decimal(10_000)),
        ]
        return [self.event(body) for body in bodies]

    def create(self, side: Side = Side.BUY, size: str = "0.010", reduce_only: bool = False) -> list[ev.Event]:
        self._orders += 1
        order, request = f"o-{self._orders}", f"r-{self._orders}"
        kind, amount = OrderType.MARKET, Decimal(size)
        top = Top("61000.0", "1.5", "61000.1", "0.7", "61000.05", 1_000_000)
        terms = OrderTerms(
            order, f"c-{order}", "main", BTC, side, kind, amount, request_id=request, reduce_only=reduce_only
        )
        self.working[order] = terms
        command = PlaceOrder(
            request_id=request, instrument=BTC, side=side, type=kind, size=amount, reduce_only=reduce_only
        )
        return [
            self.event(ev.IntentCreated(command, top), request),
            self.event(ev.RiskApproved((("max_order_notional", Decimal(610), Decimal(1_000_000)),), top), request),
            self.event(ev.OrderCreated(terms, Decimal(7), top), request),
        ]

    def last(self) -> str:
        return f"o-{self._orders}"

    def send(self) -> list[ev.Event]:
        order = self.last()
        return [self.event(ev.OrderSent(order)), self.event(ev.OrderAccepted(order, f"v-{order}"))]

    def deny(self) -> list[ev.Event]:
        del self.working[self.last()]
        return [self.event(ev.OrderDenied(self.last(), "MIN_NOTIONAL", "worth 1 USDT, 5 is the least"))]

    def cancel(self) -> list[ev.Event]:
        del self.working[self.last()]
        return [self.event(ev.OrderCancelled(self.last(), "by hand"))]

    def fill(self, size: str, price: str = "61000.1", ends: bool = True) -> list[ev.Event]:
        """One fill of the last order; two parts where it flips the position."""
        terms = self.working[self.last()]
        if ends:
            del self.working[terms.id]
        left = Decimal(size) * terms.side.sign
        held = self.position.size if self.position is not None else ZERO
        events = []
        if held * left < 0:
            closed = min(abs(held), abs(left)) * terms.side.sign
            events.append(self._part(terms, closed, Decimal(price), closing=True, part=0))
            left -= closed
        if left:
            events.append(self._part(terms, left, Decimal(price), closing=False, part=len(events)))
        return events

    def _part(self, terms: OrderTerms, signed: Decimal, price: Decimal, *, closing: bool, part: int) -> ev.Event:
        fee = abs(signed) * price * Decimal("0.0005")
        realised = ZERO
        if self.position is None:
            self._lots += 1
            self.position = Position(f"p-{self._lots}", "main", BTC, opened_ns=START_NS + self.seq)
        lot = self.position
        cost = lot.cost + signed * price
        if closing:
            cost = lot.cost + lot.cost * signed / lot.size
            realised = -signed * price - (lot.cost - cost)
        size = lot.size + signed
        after = Position(
            lot.id,
            "main",
            BTC,
            size=size,
            cost=cost,
            realised=lot.realised + realised,
            fees=lot.fees + fee,
            margin=abs(cost),
            opened_ns=lot.opened_ns,
            closed_ns=0 if size else START_NS + self.seq,
        )
        self.position = after if size else None
        body = ev.OrderFilled(
            terms.id, f"f-{self.seq}", price, abs(signed), fee, "USDT", False, after, realised, closing, part=part
        )
        return self.event(body, terms.request_id)

    def round_trip(self) -> list[ev.Event]:
        """A filled entry and a filled close: 12 events."""
        size = f"0.{self.random.randint(1, 99):03d}"
        entry = [*self.create(Side.BUY, size), *self.send(), *self.fill(size)]
        return [*entry, *self.create(Side.SELL, size, reduce_only=True), *self.send(), *self.fill(size, "61010.0")]

    def anything(self) -> list[ev.Event]:
        """A batch of whatever may happen."""
        pick = self.random.randrange(6)
        side = self.random.choice([Side.BUY, Side.SELL])
        if pick == 0:
            return [*self.create(side), *self.deny()]
        if pick == 1:
            return [*self.create(side), *self.send(), *self.cancel()]
        if pick == 2:
            return [self.event(ev.FundsMoved("USDT", Decimal(self.random.randint(1, 100))))]
        if pick == 3:
            return [
                self.event(ev.EquitySampled("USDT", Decimal(10_000), Decimal("-1.5"))),
                self.event(ev.MarksNoted({BTC: Decimal("61000.05")})),
            ]
        if pick == 4:
            return [self.event(ev.LatencyMeasured(self.last(), {"intent": 1_000, "order": 7_000, "screen": -1}))]
        return [
            *self.create(side, "0.020"),
            *self.send(),
            *self.fill("0.005", ends=False),
            *self.fill("0.015", "61003.7"),
        ]


def history(batches: int, seed: int = 0) -> list[list[ev.Event]]:
    """An opening and then `batches` batches."""
    story = Story(seed)
    return [story.opening(), *(story.anything() for _ in range(batches))]
