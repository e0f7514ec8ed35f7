"""Signals for tests of the desk: a bench that sends them as the intake does, and what became of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from engine.core.inputs import NotSent, SignalIn
from engine.core.state import SignalRecord
from engine.model import event as ev
from engine.model.account import Execution
from engine.model.event import Event
from engine.model.order import Order, OrderStatus, OrderType
from engine.model.report import VenuePosition
from engine.model.signal import Opposite, Policy, QuantityUnit, SameSide, Signal, SignalAction, SourceMode, Verdict
from tests.kit import MS, SECOND, Bench, Replayed, bodies, fill, statement

D = Decimal
TRADES = Policy(SourceMode.TRADE, SameSide.ADD, Opposite.REVERSE)
ASKS = Policy(SourceMode.APPROVE, SameSide.ADD, Opposite.REVERSE)
ONCE = Policy(SourceMode.TRADE, SameSide.REJECT, Opposite.REVERSE)
"""What such an entry means is known only when those before it have filled or ended."""


def signal(action: str = "LONG", quantity: str = "0.5", key: str = "k1", **fields: Any) -> Signal:
    """A signal of source `tv`; texts become decimals, the id follows from source and key."""
    numbers = {name: D(fields.pop(name)) for name in ("price", "take_profit", "stop_loss") if name in fields}
    if "type" in fields:
        fields["type"] = OrderType(fields["type"])
    if "unit" in fields:
        fields["unit"] = QuantityUnit(fields["unit"])
    given: dict[str, Any] = {
        "source": "tv", "body_hash": f"hash of {key}", "exchange": "binance", "symbol": "BTCUSDT", **numbers, **fields,
    }  # fmt: skip
    return Signal(f"s-{given['source']}-{key}", key=key, action=SignalAction(action), quantity=D(quantity), **given)


def policy(**changes: Any) -> Policy:
    """A source that trades, adds and reverses, but for what is said."""
    return msgspec.structs.replace(TRADES, **changes)


class Inbox(Bench):
    """A bench whose market is there, and to which signals come."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.sent = 0
        self.market("60000")

    def signal(self, action: str = "LONG", quantity: str = "0.5", rules: Policy = TRADES, **fields: Any) -> list[Event]:
        """A signal under a fresh key, unless it brings one."""
        self.sent += 1
        key = fields.pop("key", f"k{self.sent}")
        return self.take(signal(action, quantity, key, **fields), rules)

    def take(self, sent: Signal, rules: Policy = TRADES) -> list[Event]:
        return self.handle(SignalIn(self.now, sent, rules, '{"action": "..."}', ("key",), {"receive": 1}))

    def reconciled(self) -> list[Event]:
        """The venue has just what the ledger says."""
        positions = [VenuePosition(p.instrument, p.size, p.entry or D(0)) for p in self.state.positions.values()]
        resting = (OrderStatus.ACCEPTED, OrderStatus.PARTIAL)
        orders = tuple(statement(o, o.status, str(o.filled)) for o in self.live() if o.status in resting)
        return self.stands(*positions, orders=orders)

    def record(self, key: str = "") -> SignalRecord:
        """What is known of a signal, the last one without a key."""
        found = self.state.find_signal(f"s-tv-{key or f'k{self.sent}'}")
        assert found is not None
        return found

    def verdict(self, key: str = "") -> tuple[str, str]:
        """Its one verdict: (status, code)."""
        found = self.record(key)
        ended = [b for b in bodies(self.events, ev.SignalEnded) if b.signal == found.signal.id]
        assert len(ended) == 1, f"{len(ended)} verdicts; it waits for {found.waits}"
        assert found.verdict is ended[0].status
        return str(ended[0].status), ended[0].code

    def orders_of(self, key: str = "") -> list[Order]:
        """The orders a signal became."""
        found = [self.state.find_order(order) for order in self.record(key).orders]
        return [order for order in found if order is not None]

    def replayed(self) -> bool:
        """What is stored folds to the same bytes."""
        reader = Replayed()
        reader.read(self.events)
        return reader.equals(self.state)


EXECUTED = (str(Verdict.EXECUTED), "")


class AtVenue(Inbox):
    """Signals for an account whose orders a venue carries out; the test is the venue."""

    def __init__(self, env: str = "sim") -> None:
        super().__init__(balance="1000000", execution=Execution.VENUE, env=env)
        self.reconciled()

    def restart(self) -> None:
        super().restart()
        self.reconciled()

    def signal(self, *args: object, **fields: object) -> list[Event]:
        fields.setdefault("exchange", "sim")
        return super().signal(*args, **fields)  # type: ignore[arg-type]

    def order(self, key: str = "") -> Order:
        return self.orders_of(key)[-1]

    def not_sent(self, order: Order, code: str = "UNREACHABLE") -> list[Event]:
        """The line says that the order provably never left."""
        self.now += MS
        return self.handle(NotSent(self.now, order.id, code, "no route"))

    def fills(self, order: Order) -> list[Event]:
        self.now += MS
        size = str(order.remaining)
        return self.said(order, OrderStatus.FILLED, str(order.size), fill(f"f{order.id}", "60000", size))

    def open_long(self, size: str) -> None:
        """A position of the source's own."""
        self.signal("LONG", size, key="opens")
        self.fills(self.order("opens"))

    def at_price(self, price: str) -> None:
        """The market stands there now."""
        self.quote(price, str(D(price) + self.instruments[0].tick))

    def later(self, seconds: float, price: str = "60000") -> list[Event]:
        """Time passes, and the price is fresh."""
        until = self.now + int(seconds * SECOND)
        events: list[Event] = []
        while self.now < until:
            events += self.wait(min(SECOND, until - self.now))
            self.at_price(price)
        return events

    def queue(self) -> None:
        """Three entries, of which the first never left and is tried again after a while."""
        self.signal("LONG", "0.1")
        self.not_sent(self.order())
        self.signal("LONG", "0.2")
        self.signal("LONG", "0.3")
