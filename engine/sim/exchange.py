"""The fake exchange: the truth about orders, fills, positions, leverage and money. Its matching is its own, and simple.

Market orders fill at the top, limit orders that cross too; resting ones fill at their price when the top trades through.
How much at once is drawn. Netting positions, linear contracts, one account.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from copy import copy
from decimal import Decimal

from engine.clock import Clock
from engine.model.instrument import Instrument
from engine.model.money import ZERO, floor_to, round_fee
from engine.sim import protocol as wire
from engine.sim.booking import Booked, Listed
from engine.sim.faults import Fault, Faults
from engine.sim.protocol import CANCELED, EXPIRED, FILLED, NEW, PARTIAL, REJECTED, FillRow

_PARTIAL_SHARE = 0.35


class Refusal(Exception):
    """The exchange says no."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


Tell = Callable[[Booked, FillRow | None], None]


class Exchange:
    """One account's truth. `tell` is set by whoever pushes its reports; it hears of every change, with the fill if one it was."""

    def __init__(
        self, instruments: Sequence[Instrument], clock: Clock, faults: Faults, dice: random.Random, wallet: Decimal
    ) -> None:
        """On the running loop; `clock` is the venue's own, `wallet` its money in the settle asset."""
        self.listed = {i.symbol: Listed(i, i.tick) for i in instruments}
        self.orders: list[Booked] = []
        """Every order there ever was, oldest first."""
        self.wallet = wallet
        self.faults = faults
        self.tell: Tell = _tell_nobody
        self._clock = clock
        self._random = dice
        self._later = asyncio.get_running_loop().call_later
        self._by_client: dict[str, list[Booked]] = {}
        self._live: dict[int, Booked] = {}
        self._fills_made = 0

    def restore(self, orders: Sequence[Booked]) -> None:
        """Take up the orders of an earlier process, oldest first and none missing."""
        for order in orders:
            self.orders.append(order)
            self._by_client.setdefault(order.client_id, []).append(order)
            if order.live:
                self._live[order.order_id] = order
            self._fills_made += len(order.fills)

    # --- What is true -------------------------------------------------------------------------------

    def position(self, symbol: str) -> Decimal:
        """Signed size, base units."""
        return self.listed[symbol].position

    def named(self, client_id: str) -> list[Booked]:
        """Every order that was ever placed under a client id: more than one is an order doubled."""
        return self._by_client.get(client_id, [])

    def live_orders(self) -> list[Booked]:
        """Open orders, oldest first."""
        return list(self._live.values())

    def since(self, since_ns: int) -> list[Booked]:
        """Orders that filled or ended after a time."""
        return [o for o in self.orders if o.updated_ns > since_ns and (o.fills or not o.live)]

    # --- What is asked of it ------------------------------------------------------------------------

    def place(self, ask: wire.Place) -> Booked:
        """Take an order; raises Refusal."""
        listed = self._listed(ask.symbol)
        if any(order.live for order in self.named(ask.client_id)):
            raise Refusal(wire.DUPLICATE_ID, f"clientId {ask.client_id} is in use")
        if listed.halted:
            raise Refusal(wire.HALTED, f"{ask.symbol} is not trading")
        sign = {"BUY": 1, "SELL": -1}.get(ask.side)
        if sign is None:
            raise Refusal(wire.BAD_REQUEST, f"side {ask.side} is not BUY or SELL")
        if ask.price is None and listed.price(sign) is None:
            raise Refusal(wire.NO_MARKET, f"{ask.symbol} has no other side")
        self._check(listed, sign, ask.size, ask.price, ask.reduce_only)
        order = self._open(ask.client_id, ask.symbol, ask.side, ask.size, ask.price, reduce_only=ask.reduce_only)
        if ask.post_only and listed.crosses(order):
            self._end(order, EXPIRED, "would take")
            return order
        ack_last = listed.crosses(order) and self.faults.hits(Fault.ACK_AFTER_FILL, ask.client_id)
        accepted = copy(order) if ack_last else None
        if accepted is None:
            self.tell(order, None)
        self._match(order, listed, whole=ask.time_in_force == "FOK" or order.price is None)
        if accepted is not None:
            self.tell(accepted, None)
        if order.live and (order.price is None or ask.time_in_force in ("IOC", "FOK")):
            self._end(order, EXPIRED, "not filled at once")
        elif order.status == NEW and self.faults.hits(Fault.LATE_REJECT, ask.client_id):
            self._later(self.faults.between(Fault.LATE_REJECT, 0.01, 1.0), self._reject, order)
        return order

    def cancel(self, ask: wire.Remove) -> Booked:
        """Take an order out; raises Refusal."""
        order = self._working(ask.symbol, ask.client_id)
        listed = self.listed[order.symbol]
        faults = self.faults
        if listed.price(order.sign) is not None:
            if faults.hits(Fault.CANCEL_UNKNOWN_FILLED, ask.client_id):
                self.fill(order, order.remaining, maker=True)
                if order.live:  # reduce-only, and more than there was to reduce
                    self._end(order, EXPIRED, "nothing to reduce")
                raise Refusal(wire.UNKNOWN_ORDER, f"unknown order {ask.client_id}")
            if faults.hits(Fault.FILL_AFTER_CANCEL, ask.client_id):
                after_s = faults.between(Fault.FILL_AFTER_CANCEL, 0.01, 2.0)
                self._later(after_s, self._fill_late, order)
        self._end(order, CANCELED, "")
        return order

    def amend(self, ask: wire.Change) -> Booked:
        """Change a working order; raises Refusal."""
        order = self._working(ask.symbol, ask.client_id)
        listed = self.listed[order.symbol]
        size = order.size if ask.size is None else ask.size
        price = order.price if ask.price is None else ask.price
        if listed.halted:
            raise Refusal(wire.HALTED, f"{ask.symbol} is not trading")
        if size <= order.filled:
            raise Refusal(wire.BAD_SIZE, f"size {size} is filled already")
        self._check(listed, order.sign, size, price, order.reduce_only)
        order.size, order.price, order.updated_ns = size, price, self._clock.now_ns()
        self.tell(order, None)
        self._match(order, listed, whole=False)
        return order

    def find(self, symbol: str, client_id: str) -> Booked:
        """The newest order of a client id; raises Refusal."""
        named = self.named(client_id)
        if not named or named[-1].symbol != symbol:
            raise Refusal(wire.NO_SUCH_ORDER, f"no order {client_id}")
        return named[-1]

    def isolate_margin(self, symbol: str) -> None:
        """For orders to come; raises Refusal."""
        self._listed(symbol).isolated = True

    def set_leverage(self, symbol: str, leverage: int) -> None:
        """For orders to come; raises Refusal."""
        listed = self._listed(symbol)
        if not 1 <= leverage <= listed.instrument.max_leverage:
            raise Refusal(wire.BAD_LEVERAGE, f"leverage {leverage} is not 1 to {listed.instrument.max_leverage}")
        listed.leverage = leverage

    # --- What happens to it -------------------------------------------------------------------------

    def set_top(self, symbol: str, bid: Decimal, ask: Decimal) -> None:
        """The market moved: whatever it trades through fills, all or part of it."""
        listed = self.listed[symbol]
        listed.bid, listed.ask = bid, ask
        if self._live and not listed.halted:
            for order in [o for o in self._live.values() if o.symbol == symbol and listed.crosses(o)]:
                self.fill(order, self._drawn(order, listed), maker=True)

    def fill(self, order: Booked, size: Decimal, *, maker: bool, price: Decimal | None = None) -> None:
        """An execution: at `price`, else the order's own for a maker, else the top's. Reduce-only is capped by the position."""
        listed = self.listed[order.symbol]
        at = price or (order.price if maker else None) or listed.price(order.sign)
        if at is None or size <= 0:
            return
        if order.reduce_only:
            size = min(size, max(ZERO, -listed.position * order.sign))
            if not size:
                if order.live:
                    self._end(order, EXPIRED, "nothing to reduce")
                return
        elif not order.liquidation and self.faults.hits(Fault.OVERFILL, order.client_id):
            size = order.size * 2
        self._fills_made += 1
        fee = listed.instrument.maker_fee if maker else listed.instrument.taker_fee
        now_ns = self._clock.now_ns()
        done = FillRow(f"f{self._fills_made}", at, size, round_fee(size * at * fee), maker, now_ns)
        order.fills = [*order.fills, done]
        order.filled += size
        order.updated_ns = now_ns
        if order.filled >= order.size:
            order.status = FILLED
        elif order.live:
            order.status = PARTIAL
        if not order.live:
            self._live.pop(order.order_id, None)
        self.wallet += listed.book(order.sign * size, at) - done.fee
        self.tell(order, done)
        if self.faults.hits(Fault.DUPLICATE_FILL, order.client_id):
            self._later(self.faults.between(Fault.DUPLICATE_FILL, 0.0, 5.0), self.tell, order, done)

    def act(self, client_id: str, symbol: str, signed: Decimal, *, liquidation: bool = False) -> None:
        """Somebody else takes the market, without asking."""
        side = "BUY" if signed > 0 else "SELL"
        order = self._open(client_id, symbol, side, abs(signed), None, liquidation=liquidation)
        self.tell(order, None)
        self.fill(order, order.size, maker=False)

    def liquidate(self, client_id: str, symbol: str) -> None:
        """The venue closes a position, and takes the symbol's orders out before."""
        for order in [o for o in self._live.values() if o.symbol == symbol]:
            self._end(order, CANCELED, "liquidation")
        self.act(client_id, symbol, -self.position(symbol), liquidation=True)

    def expire(self, order: Booked) -> None:
        """The venue takes a live order out."""
        self._end(order, EXPIRED, "expired by the venue")

    def withdraw(self, order: Booked) -> None:
        """Somebody else cancels a live order."""
        self._end(order, CANCELED, "cancelled elsewhere")

    # --- Inside -------------------------------------------------------------------------------------

    def _listed(self, symbol: str) -> Listed:
        listed = self.listed.get(symbol)
        if listed is None:
            raise Refusal(wire.BAD_SYMBOL, f"no symbol {symbol}")
        return listed

    def _working(self, symbol: str, client_id: str) -> Booked:
        order = next((o for o in reversed(self.named(client_id)) if o.live and o.symbol == symbol), None)
        if order is None:
            raise Refusal(wire.UNKNOWN_ORDER, f"unknown order {client_id}")
        return order

    def _check(self, listed: Listed, sign: int, size: Decimal, price: Decimal | None, reduce_only: bool) -> None:
        spec = listed.instrument
        if size < spec.min_size or size % spec.step:
            raise Refusal(wire.BAD_STEP, f"size {size} is below {spec.min_size} or not a multiple of {spec.step}")
        if price is not None and (price <= 0 or price % listed.tick):
            raise Refusal(wire.BAD_TICK, f"price {price} is not a multiple of {listed.tick}")
        if reduce_only:
            if listed.position * sign >= 0:
                raise Refusal(wire.REDUCE_ONLY, f"nothing to reduce in {spec.symbol}")
            return
        at = price or listed.price(sign) or ZERO
        if size * at < spec.min_notional:
            raise Refusal(wire.MIN_NOTIONAL, f"{size * at} is below {spec.min_notional}")
        exposure = size if listed.position * sign >= 0 else max(ZERO, size - abs(listed.position))
        used = sum((abs(held.cost) / held.leverage for held in self.listed.values()), ZERO)
        if exposure * at / listed.leverage + used > self.wallet:
            raise Refusal(wire.MARGIN, f"margin is insufficient for {size} {spec.symbol}")

    def _open(
        self,
        client_id: str,
        symbol: str,
        side: str,
        size: Decimal,
        price: Decimal | None,
        *,
        reduce_only: bool = False,
        liquidation: bool = False,
    ) -> Booked:
        now_ns = self._clock.now_ns()
        number = len(self.orders) + 1
        order = Booked(
            number, client_id, symbol, side, size, price, reduce_only, now_ns, now_ns, liquidation=liquidation
        )
        self.orders.append(order)
        self._by_client.setdefault(client_id, []).append(order)
        self._live[number] = order
        return order

    def _match(self, order: Booked, listed: Listed, *, whole: bool) -> None:
        """What crosses fills now; in one piece or several."""
        if not listed.crosses(order):
            return
        drawn = self._drawn(order, listed)
        self.fill(order, drawn, maker=False)
        if whole and order.live:
            market = listed.price(order.sign)
            worse = market + order.sign * listed.tick if market is not None and order.price is None else None
            self.fill(order, order.remaining, maker=False, price=worse)

    def _drawn(self, order: Booked, listed: Listed) -> Decimal:
        step = listed.instrument.step
        if self._random.random() >= _PARTIAL_SHARE or order.remaining <= step:
            return order.remaining
        share = Decimal(self._random.randint(1, 9)) / 10
        return max(step, floor_to(order.remaining * share, step))

    def _fill_late(self, order: Booked) -> None:
        if order.remaining > 0:
            self.fill(order, self._drawn(order, self.listed[order.symbol]), maker=True)

    def _reject(self, order: Booked) -> None:
        if order.status == NEW:
            self._end(order, REJECTED, "risk check failed")

    def _end(self, order: Booked, status: str, reason: str) -> None:
        order.status, order.reason, order.updated_ns = status, reason, self._clock.now_ns()
        self._live.pop(order.order_id, None)
        self.tell(order, None)


def _tell_nobody(order: Booked, fill: FillRow | None) -> None:
    """No stream is open."""
