"""Whatever is asked and whatever the market does: the invariants of semantics 11 hold after every input."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from engine.core.inputs import Intent
from engine.core.state import State
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.account import Position, RiskLimits
from engine.model.event import Event
from engine.model.market import Mark, StreamState
from engine.model.order import ENDED, OrderType
from tests.kit import BUY, MS, SECOND, SELL, Bench, Replayed, instrument
from tests.simulation import trader as simulated
from tests.simulation.profiles import PROFILES

D = Decimal
STEPS = 60
ASKS = {
    "place": 22, "close": 5, "protect": 4, "cancel": 4, "cancel limits": 1, "amend": 5, "flatten": 1, "kill switch": 1,
    "leverage": 2, "margin": 2, "money": 1, "reset": 1,
}  # fmt: skip
"""What is asked for, by weight."""


class Trader:
    """Random but seeded: asks for anything, and moves the market, the clock and the engine."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        profile = PROFILES[seed % len(PROFILES)]
        self.bench = Bench(instrument(profile=profile), limits=RiskLimits(daily_loss=None))
        self.bench.start("other", "3000")
        self.bench.start("main")
        self.on_position: set[str] = set()
        """Positions with a stop of their own, which grows with them."""
        self.replayed = Replayed()
        self.price = D(60_000)
        self.read = 0
        self.displayed = D(0)
        self.covered: dict[str, bool] = {}
        """Positions whose every lot came with a stop loss."""
        self.quote()
        self.mark()
        self.check()

    # --- The market -------------------------------------------------------------------------------

    def quote(self) -> None:
        spread = D(self.dice.choice((1, 1, 3, 20))) / 10
        size, other = (str(D(self.dice.randint(1, 4000)) / 1000) for _ in range(2))
        self.bench.quote(str(self.price), str(self.price + spread), size, other)

    def walk(self) -> None:
        step = self.dice.choice((1, 5, 30, 200, 900, 4000))
        self.price = max(D(1_000), self.price + D(self.dice.randint(-step, step)) / 10)
        self.quote()
        if self.dice.random() < 0.8:
            self.mark()

    def mark(self) -> None:
        self.bench.mark(str(self.price + D("0.05")), str(self.price))
        if self.dice.random() < 0.3:
            self.expect_funding()

    def expect_funding(self) -> None:
        bench = self.bench
        due = bench.now + self.dice.randint(1, 3) * SECOND
        price = self.price + D("0.05")
        bench.handle(Mark(bench.instruments[0].id, bench.now, bench.now, price, self.price, D("0.0001"), due))

    def trade(self) -> None:
        off = D(self.dice.randint(-40, 40)) / 10
        self.bench.trade(str(self.price + off), str(D(self.dice.randint(1, 900)) / 1000), self.dice.choice((BUY, SELL)))

    def depth(self) -> None:
        def side(sign: int, count: int) -> tuple[tuple[str, str], ...]:
            best = self.price + (D("0.1") if sign > 0 else 0)
            return tuple(
                (str(best + sign * D(i) / 10), str(D(self.dice.randint(1, 2000)) / 1000)) for i in range(count)
            )

        self.bench.depth(side(-1, self.dice.randint(1, 8)), side(1, self.dice.randint(1, 8)))

    def funding(self) -> None:
        due = self.bench.now - self.dice.randint(0, 3) * SECOND
        noted = list(self.bench.state.funding_due.values())
        if noted and self.dice.random() < 0.7:
            due = noted[0][0]
        self.bench.funding(due, str(D(self.dice.randint(-300, 300)) / 100_000), str(self.price))

    def wait(self) -> None:
        self.bench.wait(self.dice.choice((1, 8, 15, 40, 2000, 61_000)) * MS)

    def restart(self) -> None:
        self.bench.restart()
        self.quote()

    def set_clock_back(self) -> None:
        self.bench.at(max(SECOND, self.bench.now - self.dice.choice((10 * MS, SECOND, 3_600 * SECOND))))

    def halt(self) -> None:
        self.bench.halt(self.dice.choice(("", "", "the disk is full")))

    def feed(self) -> None:
        self.bench.feed("depth", self.dice.choice((StreamState.LIVE, StreamState.LIVE, StreamState.RESYNC)))

    # --- Commands ---------------------------------------------------------------------------------

    def ask(self, kind: str) -> None:
        """What the simulated trader would ask for now."""
        bench = self.bench
        bench.made += 1
        wishes = simulated.Trader(
            self.dice, bench.state, self.price, bench.now, f"r{bench.made}", lambda client_id: (D(0), None)
        )
        bench.handle(Intent(bench.now, wishes.wish(kind)))

    # --- Running ----------------------------------------------------------------------------------

    def step(self) -> None:
        kinds = (
            (self.walk, 30), (self.trade, 10), (self.depth, 5), (self.mark, 4), (self.wait, 14), (self.funding, 2),
            (self.restart, 2), (self.set_clock_back, 1), (self.halt, 1), (self.feed, 1),
            *((partial(self.ask, kind), weight) for kind, weight in ASKS.items()),
        )  # fmt: skip
        (kind,) = self.dice.choices([k for k, _ in kinds], [w for _, w in kinds])
        self.checked(kind)
        if self.dice.random() < 0.2:
            self.checked(self.calm)

    def checked(self, kind: Callable[[], None]) -> None:
        free = {name: account.free("USDT") for name, account in self.bench.state.accounts.items()}
        kill = self.bench.state.kill
        orders = {o.id: (o.trigger, o.terms.side) for o in self.bench.live() if o.terms.type.trails}
        sizes = {(p.account, p.instrument): p.size for p in self.bench.state.positions.values()}
        kind()
        self.check_moves(self.bench.events[self.read :], kill, free, orders, sizes)
        self.check()

    def calm(self) -> None:
        """What blocks entries does not last."""
        if self.bench.state.kill:
            self.bench.ask(cmd.SetKill, on=False)
        self.bench.halt("")
        self.bench.feed("depth", StreamState.LIVE)
        self.quote()

    def check_moves(
        self,
        events: list[Event],
        kill: bool,
        free: dict[str, Decimal],
        trails: dict[str, Any],
        sizes: dict[tuple[str, str], Decimal],
    ) -> None:
        state = self.bench.state
        raised = {e.body.code for e in events if isinstance(e.body, ev.AlarmRaised)}
        assert raised <= {"EXITS_BLIND", "FLATTEN_WAITS", "STALE_FILL"}
        for event in events:
            body = event.body
            if isinstance(body, ev.KillChanged):
                kill = body.on
            elif isinstance(body, ev.OrderSent):
                order = state.find_order(body.order)
                assert order is not None
                assert order.terms.reduce_only or not kill, "8: an entry left under the kill switch"
            elif isinstance(body, ev.TriggerMoved):
                before, side = trails.get(body.order, (None, None))
                if before is not None:
                    better = body.trigger > before if side is SELL else body.trigger < before
                    assert better, "11: a trailing stop loosened"
                trails[body.order] = (body.trigger, state.find_order(body.order).terms.side)  # type: ignore[union-attr]
            elif isinstance(body, ev.OrderCreated):
                account = free[body.terms.account]
                assert body.reserve <= max(account, D(0)) or body.reserve <= free_of(events, event, account)
            elif isinstance(body, ev.OrderFilled):
                order = state.find_order(body.order)
                assert order is not None
                held = sizes.get((event.account, event.instrument), D(0))
                if order.terms.reduce_only:
                    assert abs(body.position.size) < abs(held), "5: a reduce-only fill raised the position"
                sizes[event.account, event.instrument] = body.position.size
                if not body.closing:
                    stopped = order.terms.stop_loss is not None or body.position.id in self.on_position
                    self.covered[body.position.id] = stopped and self.covered.get(body.position.id, True)
            elif isinstance(body, ev.TriggerFired) or (
                isinstance(body, ev.OrderCancelled) and body.reason != "replaced"
            ):
                # The stop set on the position is used up, or gave way to a nearer one: it does not grow any more.
                order = state.find_order(body.order)
                assert order is not None
                if order.terms.group and not order.terms.parent:
                    lot = state.position_of(event.account, event.instrument)
                    self.on_position.discard(lot.id if lot is not None else "")
            elif isinstance(body, ev.IntentCreated) and isinstance(body.command, cmd.SetProtection):
                self.protected(body.command, events)
            elif isinstance(body, ev.IntentCreated) and isinstance(body.command, cmd.FlattenAll):
                self.covered = dict.fromkeys(self.covered, False)
                self.on_position.clear()

    def protected(self, command: cmd.SetProtection, events: list[Event]) -> None:
        if [e for e in events if e.request_id == command.request_id and isinstance(e.body, ev.IntentRefused)]:
            return
        stopped = command.stop_loss is not None
        self.covered[command.position] = stopped
        (self.on_position.add if stopped else self.on_position.discard)(command.position)

    def check(self) -> None:
        bench, state = self.bench, self.bench.state
        self.replayed.read(bench.events[self.read :])
        self.read = len(bench.events)
        assert self.replayed.equals(state), "2: a replay gives another state"
        check_books(state)
        check_money(bench, state)
        check_protection(state)
        for position in state.positions.values():
            if self.covered[position.id]:
                check_covered(state, position)
        if state.kill:
            assert not [o for o in state.orders.values() if o.status == "CREATED"]


def free_of(events: list[Event], upto: Event, before: Decimal) -> Decimal:
    """Free money when an event was decided on, were a change of leverage or a fill to precede it in the same outcome."""
    freed = sum(
        (e.body.realised - e.body.fee for e in events if isinstance(e.body, ev.OrderFilled) and e.seq < upto.seq), D(0)
    )
    changed = any(
        isinstance(e.body, ev.LeverageChanged | ev.FundsMoved | ev.OrderFilled) for e in events if e.seq < upto.seq
    )
    return D("Infinity") if changed else before + freed


def check_books(state: State) -> None:
    assert not state.orders.keys() & state.ended.keys(), "an order is both ended and live"
    clients = [o.terms.client_id for o in state.orders.values()]
    assert len(clients) == len(set(clients)), "9: two live orders share a client id"
    for order in state.orders.values():
        assert order.status not in ENDED
        assert D(0) <= order.filled < order.size, "4: filled beyond its size"
    for order in state.ended.values():
        assert order.status in ENDED
        assert order.filled <= order.size
        assert order.reserve == 0


def check_money(bench: Bench, state: State) -> None:
    for account in state.accounts.values():
        lots = [p for p in state.positions.values() if p.account == account.id]
        orders = [o for o in state.orders.values() if o.terms.account == account.id]
        assert account.reserves.get("USDT", D(0)) == sum((o.reserve for o in orders), D(0)), "reserves"
        for side in (BUY, SELL):
            entries = [o for o in orders if o.terms.side is side and not o.terms.reduce_only]
            working = account.working(bench.instruments[0].id, side)
            assert working == sum((o.at_worst for o in entries), D(0)), "working entries"
        assert account.margins.get("USDT", D(0)) == sum((p.margin for p in lots), D(0)), "margins"
        assert all(p.margin >= 0 for p in lots)
        assert all(o.reserve >= 0 for o in orders)
        assert all(not o.reserve for o in orders if o.terms.reduce_only)
        every = lots + [p for p in state.closed.values() if p.account == account.id]
        assert len(state.closed) < 500
        booked = account.deposited["USDT"] + sum((p.net for p in every), D(0))
        assert account.balances["USDT"] == booked, "7: equity is not what was put in plus what was made"
    flows: dict[str, Decimal] = {}
    for event in bench.events:
        if isinstance(event.body, ev.OrderFilled):
            order = state.find_order(event.body.order)
            if order is not None:
                flow = -order.terms.side.sign * event.body.size * event.body.price
                flows[event.account] = flows.get(event.account, D(0)) + flow
    mark = D("61234.5")
    for account in state.accounts:
        lots = [p for p in (*state.positions.values(), *state.closed.values()) if p.account == account]
        made = sum((p.realised + p.unrealised(mark) for p in lots), D(0))
        held = sum((p.size for p in lots), D(0))
        assert made == flows.get(account, D(0)) + held * mark, "1: money was not conserved"


def check_protection(state: State) -> None:
    """5: exits never exceed what they close; 6: where every lot came with a stop, the stops cover the position."""
    held = {(p.account, p.instrument): p for p in state.positions.values()}
    for order in state.orders.values():
        terms = order.terms
        if terms.reduce_only and order.status != "SENT":
            position = held.get((terms.account, terms.instrument))
            assert position is not None, "an exit outlived its position"
            assert position.sign == -terms.side.sign, "an exit would add"
            assert order.remaining <= abs(position.size), "an exit is larger than its position"


def check_covered(state: State, position: Position) -> None:
    """6: where every lot came with a stop, the stops cover the position, and no more unless one is on its way."""
    groups: dict[str, Decimal] = {}
    fired = False
    for order in state.orders.values():
        terms = order.terms
        if terms.group and (terms.account, terms.instrument) == (position.account, position.instrument):
            if terms.type in (OrderType.STOP, OrderType.TRAILING_STOP) and order.trigger is not None:
                groups[terms.group] = max(groups.get(terms.group, D(0)), order.remaining)
            fired = fired or order.fired
    total = sum(groups.values(), D(0))
    assert total >= abs(position.size), "6: a lot is without its stop"
    assert fired or total == abs(position.size), "6: more is protected than there is"


@pytest.mark.parametrize("block", range(3))
def test_the_invariants_hold_whatever_happens(block: int) -> None:
    for seed in range(block * 25, block * 25 + 25):
        trader = Trader(seed)
        for number in range(STEPS):
            try:
                trader.step()
            except BaseException as error:
                error.add_note(f"seed {seed}, step {number}")
                raise


def test_a_flatten_ends_whatever_is_open_and_on_its_way() -> None:
    for seed in range(100, 130):
        trader = Trader(seed)
        for _ in range(STEPS // 2):
            trader.step()
        bench = trader.bench
        for account in bench.state.accounts:
            bench.ask(cmd.FlattenAll, account=account)
        for _ in range(100):
            trader.quote()
            trader.mark()
            bench.wait(SECOND)
            trader.check()
        assert not bench.state.flattening, f"seed {seed}"
        assert not bench.state.positions
        assert not bench.state.orders
