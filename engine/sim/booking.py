"""What the fake exchange keeps: orders, whoever sent them, and symbols with their market and position."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from engine.model.instrument import Instrument
from engine.model.money import ZERO, round_cost
from engine.sim.protocol import NEW, PARTIAL, FillRow

LIVE = frozenset({NEW, PARTIAL})


class Booked(Struct):
    """An order, whoever sent it."""

    order_id: int
    client_id: str
    symbol: str
    side: str
    size: Decimal
    price: Decimal | None
    reduce_only: bool
    created_ns: int
    updated_ns: int
    status: str = NEW
    filled: Decimal = ZERO
    reason: str = ""
    liquidation: bool = False
    fills: list[FillRow] = []

    @property
    def live(self) -> bool:
        """More may happen to it."""
        return self.status in LIVE

    @property
    def remaining(self) -> Decimal:
        """What is asked for still, base units."""
        return self.size - self.filled

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self.side == "BUY" else -1


class Listed(Struct):
    """A symbol and its market; tick and halts change."""

    instrument: Instrument
    tick: Decimal
    bid: Decimal | None = None
    ask: Decimal | None = None
    halted: bool = False
    isolated: bool = False
    """The margin of its orders and position is their own; until somebody says so, all of the wallet."""
    leverage: int = 1
    position: Decimal = ZERO
    """Signed, base units."""
    cost: Decimal = ZERO
    """Signed open cost, quote units."""

    def price(self, sign: int) -> Decimal | None:
        """Where a market order of this sign fills."""
        return self.ask if sign > 0 else self.bid

    def crosses(self, order: Booked) -> bool:
        """An order would trade now."""
        market = None if self.halted else self.price(order.sign)
        return market is not None and (order.price is None or (order.price - market) * order.sign >= 0)

    def book(self, signed: Decimal, price: Decimal) -> Decimal:
        """A fill changes the position; returns what it realised, gross of fees."""
        held = self.position
        closed = min(abs(signed), abs(held)) if held * signed < 0 else ZERO
        realised = ZERO
        if closed:
            share = self.cost if closed == abs(held) else round_cost(self.cost * closed / abs(held))
            realised = (closed if held > 0 else -closed) * price - share
            self.cost -= share
        opened = abs(signed) - closed
        self.position += signed
        self.cost += (opened if signed > 0 else -opened) * price
        return realised

    @property
    def entry(self) -> Decimal:
        """Average entry price; 0 when flat."""
        return self.cost / self.position if self.position else ZERO
