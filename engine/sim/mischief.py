"""What others do at the fake exchange: the venue itself, a person on its website, another program."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from decimal import Decimal

from engine.model.money import ceil_to
from engine.sim.booking import Listed
from engine.sim.exchange import Exchange, Refusal
from engine.sim.faults import Fault
from engine.sim.protocol import Place

PERIOD_S = 1.0


class Mischief:
    """Draws once a second what others do, until stopped."""

    def __init__(self, exchange: Exchange, dice: random.Random) -> None:
        self._exchange = exchange
        self._faults = exchange.faults
        self._random = dice
        self._loop = asyncio.get_running_loop()
        self._done = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin."""
        self._timer = self._loop.call_later(PERIOD_S, self._beat)

    def stop(self) -> None:
        """End, for good."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _beat(self) -> None:
        self._timer = self._loop.call_later(PERIOD_S, self._beat)
        for symbol, listed in self._exchange.listed.items():
            if self._faults.stopped:
                listed.halted = False
            elif not listed.halted and listed.bid is not None:
                self._to_symbol(symbol, listed)
                self._to_position(symbol, listed)
        self._to_orders()

    def _to_symbol(self, symbol: str, listed: Listed) -> None:
        faults = self._faults
        most = min(20, listed.instrument.max_leverage)
        others = [leverage for leverage in range(1, most + 1) if leverage != listed.leverage]
        if others and faults.hits(Fault.LEVERAGE_ELSEWHERE, symbol):
            listed.leverage = self._random.choice(others)
        if faults.hits(Fault.TICK_CHANGED, symbol):
            ticks = (listed.instrument.tick * times for times in (1, 2, 5, 10))
            listed.tick = self._random.choice([tick for tick in ticks if tick != listed.tick])
        if faults.hits(Fault.SYMBOL_HALTED, symbol):
            listed.halted = True
            self._loop.call_later(faults.between(Fault.SYMBOL_HALTED, 2.0, 20.0), _resume, listed)

    def _to_position(self, symbol: str, listed: Listed) -> None:
        faults, exchange = self._faults, self._exchange
        if faults.hits(Fault.ORDER_BY_HAND, symbol):
            self._order_by_hand(symbol, listed)
        if listed.position and faults.hits(Fault.CLOSED_BY_HAND, symbol):
            exchange.act(self._name("web"), symbol, -listed.position)
        if listed.position and faults.hits(Fault.LIQUIDATION, symbol):
            exchange.liquidate(self._name("autoclose"), symbol)

    def _order_by_hand(self, symbol: str, listed: Listed) -> None:
        """A market order, or a limit order that rests just off the market."""
        assert listed.bid is not None
        spec = listed.instrument
        size = ceil_to(max(spec.min_size, spec.min_notional / listed.bid), spec.step) * self._random.randint(1, 3)
        sign = self._random.choice((1, -1))
        if self._random.random() < 0.5:
            self._exchange.act(self._name("web"), symbol, size * sign)
            return
        price = ceil_to(listed.bid * (1 - sign * Decimal("0.001")), listed.tick)
        side = "BUY" if sign > 0 else "SELL"
        with suppress(Refusal):  # their money is short, too
            self._exchange.place(Place(self._name("web"), symbol, side, size, price))

    def _to_orders(self) -> None:
        for order in self._exchange.live_orders():
            if not order.live:
                continue
            if self._faults.hits(Fault.EXPIRED_BY_VENUE, order.client_id):
                self._exchange.expire(order)
            elif self._faults.hits(Fault.CANCELLED_BY_HAND, order.client_id):
                self._exchange.withdraw(order)

    def _name(self, who: str) -> str:
        self._done += 1
        return f"{who}-{self._done}"


def _resume(listed: Listed) -> None:
    listed.halted = False
