"""Whatever gets lost between the desk and its venue: in the end the ledger holds what the venue holds (semantics 11.10)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal

import msgspec
import pytest

from engine.core.inputs import AmendRefused, Asked, CancelRefused, Doubt, NoSuchOrder, NotSent, VenueStands
from engine.core.outbox import Amend, Cancel, Query, Submit, may_leave, outbox
from engine.model import command as cmd
from engine.model.account import Execution
from engine.model.market import Side
from engine.model.order import AT_VENUE, OrderStatus, OrderType
from engine.model.report import VenueFill, VenueOrder, VenuePosition
from tests.kit import BUY, MS, SECOND, SELL, Bench, Replayed

D = Decimal
S = OrderStatus
STEPS = 70
OPEN = (S.ACCEPTED, S.PARTIAL)
ZERO = D(0)


class Exchange:
    """The truth: one account's orders, fills and position at a venue. Every change is a report for whoever hears it."""

    def __init__(self, instrument: str) -> None:
        self.instrument = instrument
        self.orders: dict[str, VenueOrder] = {}
        self.position = ZERO
        self.cost = ZERO
        self.made = 0
        self.reports: list[VenueOrder] = []

    def whole(self, client_id: str) -> VenueOrder:
        return self.orders[client_id]

    def live(self) -> list[VenueOrder]:
        return [o for o in self.orders.values() if o.status in OPEN]

    def set(self, order: VenueOrder, fill: VenueFill | None = None) -> None:
        self.orders[order.client_id] = order
        self.reports.append(msgspec.structs.replace(order, fills=() if fill is None else (fill,)))

    def take(self, client_id: str, side: Side, size: Decimal, price: Decimal | None, reduce_only: bool) -> VenueOrder:
        room = max(ZERO, -side.sign * self.position)
        order = VenueOrder(client_id, f"v-{client_id}", self.instrument, side, S.ACCEPTED, size, price=price)
        if reduce_only:
            status = S.ACCEPTED if room else S.REJECTED
            order = msgspec.structs.replace(order, status=status, size=min(size, room) or size, reduce_only=True)
        self.set(order)
        if price is None and order.status is S.ACCEPTED:
            self.fill(client_id, order.size)
        return self.whole(client_id)

    def fill(self, client_id: str, size: Decimal) -> None:
        order = self.orders[client_id]
        if order.reduce_only:
            size = min(size, max(ZERO, -order.side.sign * self.position))
        if size <= ZERO:
            self.end(client_id, S.CANCELLED)
            return
        self.made += 1
        fill = VenueFill(f"t{self.made}", order.price or D(60_000), size, D("0.01"))
        filled = order.filled + size
        status = S.FILLED if filled >= order.size else S.PARTIAL
        self.position += order.side.sign * size
        self.set(msgspec.structs.replace(order, filled=filled, status=status, fills=(*order.fills, fill)), fill)

    def end(self, client_id: str, status: OrderStatus) -> None:
        if self.orders[client_id].status in OPEN:
            self.set(msgspec.structs.replace(self.orders[client_id], status=status))


class World:
    """A desk, an exchange, and between them a network that loses, doubles and delays."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.bench = Bench(balance="10000000", execution=Execution.VENUE)
        self.exchange = Exchange(self.bench.instruments[0].id)
        self.replayed = Replayed()
        self.read = 0
        self.bench.market("60000")

    def run(self) -> None:
        for _ in range(STEPS):
            self.bench.now += MS * self.dice.choice((1, 20, 400))
            self.dice.choices(
                (self.ask, self.carry, self.hear, self.trade, self.interfere, self.stand, self.restart, self.walk),
                (8, 10, 8, 6, 1, 1, 0.5, 2),
            )[0]()
            self.check()

    # --- What a person does ---------------------------------------------------------------------------

    def ask(self) -> None:
        bench, dice = self.bench, self.dice
        live = bench.live()
        positions = list(bench.state.positions)
        match dice.randint(0, 9):
            case 0 if live:
                bench.ask(cmd.CancelOrder, order=dice.choice(live).id)
            case 1 if live:
                order = dice.choice(live)
                bench.ask(cmd.AmendOrder, order=order.id, size=order.size + D(dice.randint(-5, 5)) / 100)
            case 2 | 3 if positions:
                bench.ask(cmd.ClosePosition, position=positions[0], fraction=D(dice.choice(("0.5", "1"))))
            case 4 if positions:
                price = str(59_000 + dice.randint(0, 2_000))
                bench.place(
                    SELL if bench.size > 0 else BUY, self.size(), OrderType.LIMIT, price=price, reduce_only=True
                )
            case 5:
                bench.ask(cmd.SetKill, on=dice.random() < 0.3)
            case 6 if dice.random() < 0.3:
                bench.ask(cmd.FlattenAll)
            case 7:
                bench.place(dice.choice((BUY, SELL)), self.size())
            case _:
                side = dice.choice((BUY, SELL))
                price = 60_000 - side.sign * dice.randint(0, 1_000)
                levels = {"stop_loss": str(price - side.sign * 1_500)} if dice.random() < 0.4 else {}
                bench.place(side, self.size(), OrderType.LIMIT, price=str(price), **levels)

    def size(self) -> str:
        return str(D(self.dice.randint(1, 50)) / 100)

    def walk(self) -> None:
        self.bench.market(str(60_000 + self.dice.randint(-2_000, 2_000)))
        self.bench.wait(self.dice.choice((MS, SECOND)))

    def restart(self) -> None:
        self.bench.restart()
        self.bench.market("60000")

    # --- What a carrier does --------------------------------------------------------------------------

    def carry(self) -> None:
        due = list(outbox(self.bench.state))
        if due:
            self.carry_out(self.dice.choice(due), self.dice.choice(("", "", "", "lost", "no answer", "late")))

    def carry_out(self, work: Submit | Cancel | Amend | Query, fault: str = "") -> None:
        """`lost`: it never got there; `no answer`: it did, and nobody knows; `late`: it did, and only the stream tells."""
        bench = self.bench
        order = bench.state.orders[work.order]
        if isinstance(work, Submit) and order.terms.client_id in self.exchange.orders:
            if not fault:
                bench.hear(self.exchange.whole(order.terms.client_id))  # the answer that was late
            return
        if isinstance(work, Submit) and (refused := may_leave(bench.state, work.order)) is not None:
            bench.handle(NotSent(bench.now, work.order, refused.code, refused.message))
            return
        answer = self.do(work) if fault != "lost" else None
        if fault in ("lost", "no answer"):
            said = Asked if isinstance(work, Query) else Doubt
            bench.handle(said(bench.now, work.order, "no answer"))
        elif isinstance(answer, VenueOrder):
            if fault != "late":
                bench.hear(answer)
        elif isinstance(work, Query):
            bench.handle(NoSuchOrder(bench.now, order.id, "no such order"))
        elif isinstance(work, Amend):
            bench.handle(AmendRefused(bench.now, order.id, "not open"))
        elif self.dice.random() < 0.5:
            bench.handle(CancelRefused(bench.now, order.id, "not open"))
        else:
            bench.handle(Doubt(bench.now, order.id, "cancel: unknown order"))

    def do(self, work: Submit | Cancel | Amend | Query) -> VenueOrder | None:
        order = self.bench.state.orders[work.order]
        terms, exchange = order.terms, self.exchange
        name = terms.client_id
        known = exchange.orders.get(name)
        if isinstance(work, Submit):
            assert known is None, f"{name} was sent twice"
            price = order.price if terms.type.has_price else None
            return exchange.take(name, terms.side, order.size, price, terms.reduce_only)
        if known is None or isinstance(work, Query):
            return known
        if known.status not in OPEN:
            return None
        if isinstance(work, Cancel):
            exchange.end(name, S.CANCELLED)
        elif work.size is not None and work.size > known.filled:
            exchange.set(msgspec.structs.replace(known, size=work.size))
        else:
            return None
        return exchange.whole(name)

    def hear(self) -> None:
        reports, dice = self.exchange.reports, self.dice
        if not reports:
            return
        report = reports[dice.randrange(min(4, len(reports)))]
        if dice.random() < 0.8:
            reports.remove(report)
        if dice.random() < 0.9:
            self.bench.hear(report)

    def stand(self) -> None:
        bench, exchange = self.bench, self.exchange
        asked = bench.now
        orders = tuple(msgspec.structs.replace(o, fills=()) for o in exchange.live())
        positions = (VenuePosition(exchange.instrument, exchange.position, D(60_000)),) if exchange.position else ()
        bench.now += MS
        if self.dice.random() < 0.5:
            self.hear()
        bench.handle(VenueStands(bench.now, "main", asked, orders, positions))

    # --- What the market and others do ----------------------------------------------------------------

    def trade(self) -> None:
        live = self.exchange.live()
        if live:
            order = self.dice.choice(live)
            left = order.size - order.filled
            size = left if self.dice.random() < 0.5 else left / 2
            self.exchange.fill(order.client_id, size)

    def interfere(self) -> None:
        exchange, dice = self.exchange, self.dice
        live = exchange.live()
        if live and dice.random() < 0.5:
            exchange.end(dice.choice(live).client_id, dice.choice((S.CANCELLED, S.EXPIRED)))
        elif dice.random() < 0.3:
            exchange.position += dice.choice((D("0.3"), D("-0.2")))
        else:
            name = f"web-{exchange.made}-{len(exchange.orders)}"
            exchange.take(name, dice.choice((BUY, SELL)), D("0.1"), dice.choice((None, D(59_900))), False)

    # --- What must hold ---------------------------------------------------------------------------------

    def check(self) -> None:
        bench = self.bench
        state = bench.state
        for order in (*state.orders.values(), *state.ended.values()):
            assert order.filled == sum((size for _, size in order.applied.values()), ZERO)
            if (truth := self.exchange.orders.get(order.terms.client_id)) is not None:
                assert order.filled <= truth.filled, order.id
        assert set(state.unknown) == {o.id for o in state.orders.values() if o.status is S.UNKNOWN}
        names = [o.terms.client_id for o in state.orders.values()]
        assert len(names) == len(set(names))
        lots = (*state.positions.values(), *state.closed.values())
        assert bench.account.balances["USDT"] == bench.account.deposited["USDT"] + sum((p.net for p in lots), ZERO)
        self.replayed.read(bench.events[self.read :])
        self.read = len(bench.events)

    def settle(self) -> None:
        """The network is well again, and the market is quiet."""
        bench = self.bench
        self.exchange.reports.clear()
        for _ in range(12):
            bench.wait(SECOND)
            for work in list(outbox(bench.state)):
                if work in list(outbox(bench.state)):
                    self.carry_out(work)
            for order in list(self.exchange.orders.values()):
                if order.status not in OPEN or order.filled:
                    bench.hear(order)
            bench.now += SECOND
            self.stand()
            self.check()

    def converged(self) -> Iterator[str]:
        """What is not as it must be, in words."""
        bench, exchange = self.bench, self.exchange
        if bench.size != exchange.position:
            yield f"position {bench.size}, the venue has {exchange.position}"
        ours = {o.terms.client_id for o in bench.live() if o.status in AT_VENUE}
        theirs = {o.client_id for o in exchange.live()}
        if ours != theirs:
            yield f"live {sorted(ours)}, at the venue {sorted(theirs)}"
        if bench.state.flattening:
            yield "it is still being flattened"
        if bench.state.unknown or bench.state.differs:
            yield f"not known: {bench.state.unknown} {bench.state.differs}"
        for order in exchange.orders.values():
            booked = sum(
                (
                    o.filled
                    for o in (*bench.state.orders.values(), *bench.state.ended.values())
                    if o.terms.client_id == order.client_id
                ),
                ZERO,
            )
            if booked != order.filled:
                yield f"{order.client_id} filled {booked}, at the venue {order.filled}"
        if not self.replayed.equals(bench.state):
            yield "the replay is another state"


@pytest.mark.parametrize("block", range(10))
def test_invariant_10_the_ledger_converges_to_the_venue(block: int) -> None:
    for seed in range(block * 30, block * 30 + 30):
        world = World(seed)
        world.run()
        world.settle()
        assert not list(world.converged()), f"seed {seed}"
