"""A trader who asks for everything there is, in every shape: mostly sensible, sometimes not."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from engine.core.state import State
from engine.model import command as cmd
from engine.model.market import Side
from engine.model.order import AT_VENUE, Order, OrderStatus, OrderType, TimeInForce, TriggerSource
from engine.model.signal import WaitsFor

D = Decimal
T = TypeVar("T")
TIFS = (TimeInForce.GTC, TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)
SIZES = (1, 10, 10, 50, 50, 50, 300, 300, 1500, 9000)
MS = 1_000_000
ZERO = D(0)
Look = Callable[[str], tuple[Decimal, Decimal | None]]
RESTING = frozenset({OrderStatus.ACCEPTED, OrderStatus.PARTIAL})
NOBODY = "X9"
"""A name that is not there."""


class Trader:
    """One wish at a time, by what the desk shows and the price outside."""

    def __init__(
        self, draw: random.Random, state: State, price: Decimal, now_ns: int, request_id: str, look: Look
    ) -> None:
        """`look`: what the venue's website shows of a client id, as (filled, average price)."""
        self.draw = draw
        self.state = state
        self.price = price
        self.now_ns = now_ns
        self.request_id = request_id
        self.look = look

    def wish(self, kind: str) -> cmd.AnyCommand:
        """A command of a kind; `kind` is one of the names in plan.TRADER. Without what it needs, mostly an order instead."""
        state = self.state
        misses = (
            (kind in _ON_POSITIONS and not state.positions)
            or (kind in _ON_ORDERS and not state.orders)
            or (kind == "attest" and not state.unknown)
        )
        return self.place() if misses and self.draw.random() < 0.9 else _WISHES[kind](self)

    # --- Orders -----------------------------------------------------------------------------------

    def place(self) -> cmd.AnyCommand:
        """An order of any type, with or without exits."""
        draw = self.draw
        (instrument,) = self.state.instruments
        account = draw.choice([*self.state.accounts, *self.state.accounts, ""])
        kind = draw.choice((*OrderType, OrderType.MARKET, OrderType.LIMIT))
        side = draw.choice((Side.BUY, Side.SELL))
        position = self.state.position_of(account or next(iter(self.state.accounts)), instrument)
        reduce_only = draw.random() < (0.4 if position is not None else 0.03)
        if reduce_only and position is not None and draw.random() < 0.9:
            side = Side.SELL if position.size > 0 else Side.BUY
        gtd = draw.random() < 0.15
        fields: dict[str, Any] = {
            "price": self.limit(kind, side) if kind.has_price else None,
            "trigger": self.trigger(kind, side) if kind.waits and (not kind.trails or draw.random() < 0.5) else None,
            "source": draw.choice((*TriggerSource, TriggerSource.MARK, TriggerSource.BID_ASK)),
            "trail_bps": D(draw.randint(1, 60)) if kind.trails else None,
            "tif": TimeInForce.GTD if gtd else draw.choice(TIFS),
            "expire_ns": self.now_ns + draw.randint(0, 3000) * MS if gtd else None,
            "post_only": kind is OrderType.LIMIT and draw.random() < 0.1,
            "leverage": self.maybe(lambda: draw.choice((1, 5, 20, 50, 100, 100, 125)), 0.5),
        }
        if not reduce_only:
            offset = D(draw.randint(20, 900)) / 10
            fields["take_profit"] = self.maybe(lambda: self.price + side.sign * offset, 0.4)
            fields["stop_loss"] = self.maybe(lambda: self.price - side.sign * offset, 0.6)
            fields["bracket_source"] = draw.choice((TriggerSource.MARK, TriggerSource.BID_ASK))
        return cmd.PlaceOrder(
            request_id=self.request_id,
            account=account,
            instrument=instrument,
            side=side,
            type=kind,
            size=D(draw.choice(SIZES)) / 1000,
            reduce_only=reduce_only,
            **fields,
        )

    def cancel(self) -> cmd.AnyCommand:
        """Take out an entry; exits stay, so that what was covered stays covered."""
        entries = [o for o in self.state.orders.values() if not o.terms.reduce_only]
        return cmd.CancelOrder(request_id=self.request_id, order=self.working(entries))

    def cancel_limits(self) -> cmd.AnyCommand:
        """Take out every limit order."""
        return cmd.CancelAll(request_id=self.request_id, scope="limits")

    def amend(self) -> cmd.AnyCommand:
        """Another price, level or size."""
        draw = self.draw
        orders = [o for o in self.state.orders.values() if o.status != "SENT" or draw.random() < 0.1]
        name = self.working(orders)
        order = self.state.orders.get(name)
        exit_leg = order is not None and bool(order.terms.group)
        return cmd.AmendOrder(
            request_id=self.request_id,
            order=name,
            price=self.maybe(self.level) if order is not None and order.terms.type.has_price else None,
            trigger=self.maybe(self.level, 0.03 if order is not None and order.status in RESTING else 0.3),
            size=None if exit_leg else self.maybe(lambda: D(draw.randint(1, 2000)) / 1000),
        )

    def reprice(self) -> cmd.AnyCommand:
        """Another price or size for what rests at the venue; without any, an order that will."""
        draw = self.draw
        resting = [o for o in self.state.orders.values() if o.status in AT_VENUE and o.terms.type.has_price]
        if not resting:
            (instrument,) = self.state.instruments
            side = draw.choice((Side.BUY, Side.SELL))
            price = self.price - side.sign * D(draw.randint(1, 60)) / 10
            size = D(draw.choice(SIZES)) / 1000
            return cmd.PlaceOrder(
                request_id=self.request_id,
                instrument=instrument,
                side=side,
                type=OrderType.LIMIT,
                size=size,
                price=price,
            )
        order = draw.choice(resting)
        nearer = lambda: (order.price or self.price) + D(draw.randint(-40, 40)) / 10  # noqa: E731
        return cmd.AmendOrder(
            request_id=self.request_id,
            order=order.id,
            price=self.maybe(nearer, 0.7),
            size=self.maybe(lambda: order.size * draw.choice((D("0.5"), D(1), D(2)))),
        )

    def attest(self) -> cmd.AnyCommand:
        """Answer for an order of unknown outcome, by what the venue's website shows now."""
        name = self.pick(self.state.unknown)
        order = self.state.orders.get(name)
        filled, price = self.look(order.terms.client_id) if order is not None else (ZERO, None)
        more = max(ZERO, filled - order.filled) if order is not None else ZERO
        reason = "seen on the venue's website"
        return cmd.AttestOrder(request_id=self.request_id, order=name, reason=reason, filled=more, price=price)

    # --- Positions --------------------------------------------------------------------------------

    def close(self) -> cmd.AnyCommand:
        """All of a position, or a share."""
        share = D(self.draw.choice(("1", "0.5", "0.25")))
        return cmd.ClosePosition(request_id=self.request_id, position=self.pick(self.state.positions), fraction=share)

    def protect(self) -> cmd.AnyCommand:
        """Other exits for a position."""
        name = self.pick(self.state.positions)
        position = self.state.positions.get(name)
        sign = position.sign if position is not None else 1
        offset = D(self.draw.randint(5, 2000)) / 10
        return cmd.SetProtection(
            request_id=self.request_id,
            position=name,
            take_profit=self.maybe(lambda: self.price + sign * offset),
            stop_loss=self.maybe(lambda: self.price - sign * offset),
            trail_bps=self.maybe(lambda: D(self.draw.randint(1, 50)), 0.3),
        )

    def margin(self) -> cmd.AnyCommand:
        """More or less margin."""
        amount = D(self.draw.randint(-50_000, 50_000)) / 100
        return cmd.AdjustMargin(request_id=self.request_id, position=self.pick(self.state.positions), amount=amount)

    # --- The account ------------------------------------------------------------------------------

    def flatten(self) -> cmd.AnyCommand:
        """Out of everything."""
        return cmd.FlattenAll(request_id=self.request_id)

    def kill_switch(self) -> cmd.AnyCommand:
        """On, or off again."""
        return cmd.SetKill(request_id=self.request_id, on=not self.state.kill or self.draw.random() < 0.2)

    def leverage(self) -> cmd.AnyCommand:
        """Another leverage."""
        (instrument,) = self.state.instruments
        leverage = self.draw.choice((0, 1, 3, 10, 50, 100, 125, 200))
        return cmd.SetLeverage(request_id=self.request_id, instrument=instrument, leverage=leverage)

    def money(self) -> cmd.AnyCommand:
        """Money in or out."""
        amount = D(self.draw.randint(-500_000, 500_000)) / 100
        return cmd.Deposit(request_id=self.request_id, asset="USDT", amount=amount)

    def reset(self) -> cmd.AnyCommand:
        """Start the account anew."""
        return cmd.ResetAccount(request_id=self.request_id, asset="USDT", balance=D(10_000))

    # --- The inbox --------------------------------------------------------------------------------

    def approve(self) -> cmd.AnyCommand:
        """Let a signal trade."""
        return cmd.ApproveSignal(request_id=self.request_id, signal=self.pick(self._asking()))

    def decline(self) -> cmd.AnyCommand:
        """Do not."""
        waiting = [name for name, record in self.state.signals.items() if record.waits is not None]
        return cmd.DeclineSignal(request_id=self.request_id, signal=self.pick(waiting), reason="not today")

    def _asking(self) -> list[str]:
        return [name for name, record in self.state.signals.items() if record.waits is WaitsFor.APPROVAL]

    # --- Numbers ----------------------------------------------------------------------------------

    def level(self) -> Decimal:
        """A price near or far."""
        reach = self.draw.choice((10, 100, 1000, 6000))
        return self.price + D(self.draw.randint(-reach, reach)) / 10

    def limit(self, kind: OrderType, side: Side) -> Decimal:
        """A price near or far; of a limit order mostly one at which it rests."""
        if kind is not OrderType.LIMIT or self.draw.random() < 0.4:
            return self.level()
        return self.price - side.sign * D(self.draw.randint(5, 600)) / 10

    def trigger(self, kind: OrderType, side: Side) -> Decimal:
        """Mostly on the side that does not fire at once."""
        sign = side.sign * (-1 if "PROFIT" in kind else 1) * (1 if self.draw.random() < 0.9 else -1)
        return self.price + sign * D(self.draw.randint(2, 800)) / 10

    def working(self, orders: Sequence[Order]) -> str:
        """One of these orders, mostly one that rests in a book: where a venue has it, most can go wrong."""
        resting = [order for order in orders if order.status in RESTING]
        return self.pick(order.id for order in (resting if resting and self.draw.random() < 0.8 else orders))

    def pick(self, names: Iterable[str]) -> str:
        """One of these; sometimes one that is not there."""
        found = list(names)
        return self.draw.choice(found) if found and self.draw.random() < 0.97 else NOBODY

    def maybe(self, make: Callable[[], T], chance: float = 0.5) -> T | None:
        """Something, or nothing."""
        return make() if self.draw.random() < chance else None


_ON_POSITIONS = frozenset({"close", "protect", "margin"})
_ON_ORDERS = frozenset({"cancel", "cancel limits", "amend"})
_WISHES: dict[str, Callable[[Trader], cmd.AnyCommand]] = {
    "place": Trader.place,
    "close": Trader.close,
    "protect": Trader.protect,
    "cancel": Trader.cancel,
    "cancel limits": Trader.cancel_limits,
    "amend": Trader.amend,
    "attest": Trader.attest,
    "reprice": Trader.reprice,
    "flatten": Trader.flatten,
    "kill switch": Trader.kill_switch,
    "leverage": Trader.leverage,
    "margin": Trader.margin,
    "money": Trader.money,
    "reset": Trader.reset,
    "approve": Trader.approve,
    "decline": Trader.decline,
}
