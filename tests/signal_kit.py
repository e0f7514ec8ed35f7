"""Signals for tests of the desk: a bench that sends them as the intake does, and what became of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from engine.core.inputs import SignalIn
from engine.core.state import SignalRecord
from engine.model import event as ev
from engine.model.event import Event
from engine.model.order import Order, OrderStatus, OrderType
from engine.model.report import VenuePosition
from engine.model.signal import Opposite, Policy, QuantityUnit, SameSide, Signal, SignalAction, SourceMode, Verdict
from tests.kit import Bench, Replayed, bodies, statement

D = Decimal
TRADES = Policy(SourceMode.TRADE, SameSide.ADD, Opposite.REVERSE)


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
