"""The fake exchange's HTTP surface and user stream: bytes to the exchange and back, and how its answers may mislead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from msgspec import Struct

from engine.sim import protocol as wire
from engine.sim.booking import Booked
from engine.sim.exchange import Exchange, Refusal
from engine.sim.faults import Fault
from engine.sim.network import Reply, Response
from engine.sim.protocol import FillRow, OrderRow, PositionRow

HIDDEN_S = 1.5
"""A new order may not be found for so long."""
_JSON = {"content-type": "application/json"}
_encode = msgspec.json.Encoder().encode
_place = msgspec.json.Decoder(wire.Place).decode
_change = msgspec.json.Decoder(wire.Change).decode
_remove = msgspec.json.Decoder(wire.Remove).decode
_isolate_margin = msgspec.json.Decoder(wire.IsolateMargin).decode
_set_leverage = msgspec.json.Decoder(wire.SetLeverage).decode
_STATUS = {wire.NO_SUCH_ORDER: 404, wire.HALTED: 403}


class _Held(Struct, frozen=True):
    """An answer and how long it waits."""

    content: object
    hold_s: float = 0.0


class Endpoint:
    """Speaks for an exchange. `push` is where its stream goes: a network's."""

    def __init__(self, exchange: Exchange) -> None:
        """Takes over the exchange's `tell`."""
        self.push: Callable[[bytes], None] = _push_nowhere
        self._exchange = exchange
        self._faults = exchange.faults
        self._loop = asyncio.get_running_loop()
        self._hidden: dict[int, float] = {}
        exchange.tell = self._tell

    def handle(self, method: str, path: str, body: bytes) -> Reply:
        """Answer a request."""
        try:
            held = self._answer(method, path, body)
        except Refusal as refusal:
            status = _STATUS.get(refusal.code, 400)
            return Reply(Response(status, _JSON, _encode(wire.ErrorRow(refusal.code, refusal.message))))
        except (msgspec.DecodeError, ValueError, ArithmeticError) as error:
            return Reply(Response(400, _JSON, _encode(wire.ErrorRow(wire.BAD_REQUEST, str(error)))))
        return Reply(Response(200, _JSON, _encode(held.content)), held.hold_s)

    def _answer(self, method: str, path: str, body: bytes) -> _Held:
        exchange = self._exchange
        match method, path.split("/")[1:]:
            case "POST", ["orders"]:
                return self._placed(_place(body))
            case "DELETE", ["orders"]:
                asked = _remove(body)
                self._visible(asked.client_id, wire.UNKNOWN_ORDER)
                return _Held(_row(exchange.cancel(asked)))
            case "PUT", ["orders"]:
                change = _change(body)
                self._visible(change.client_id, wire.UNKNOWN_ORDER)
                return _Held(_row(exchange.amend(change)))
            case "GET", ["order", symbol, client_id]:
                self._visible(client_id, wire.NO_SUCH_ORDER)
                return _Held(_row(found := exchange.find(symbol, client_id), found.fills))
            case "GET", ["orders", "open"]:
                return _Held([_row(order, order.fills) for order in exchange.live_orders() if self._is_listed(order)])
            case "GET", ["orders", "since", since]:
                return _Held([_row(o, o.fills) for o in exchange.since(int(since)) if not self._is_hidden(o)])
            case "GET", ["positions"]:
                return _Held(self._positions())
            case "PUT", ["margin-mode"]:
                exchange.isolate_margin(_isolate_margin(body).symbol)
                return _Held({})
            case "PUT", ["leverage"]:
                wanted = _set_leverage(body)
                exchange.set_leverage(wanted.symbol, wanted.leverage)
                return _Held({})
            case "GET", ["instruments"]:
                return _Held(self._instruments())
        raise Refusal(wire.BAD_REQUEST, f"no route {method} {path}")

    def _placed(self, asked: wire.Place) -> _Held:
        order = self._exchange.place(asked)
        faults = self._faults
        if faults.hits(Fault.NOT_FOUND_IN_GRACE, asked.client_id):
            hidden_s = faults.between(Fault.NOT_FOUND_IN_GRACE, 0.1, HIDDEN_S)
            self._hidden[order.order_id] = self._loop.time() + hidden_s
        # Some venues state fills in the answer, some only on the stream: every other order here.
        row = _row(order, order.fills if order.order_id % 2 else [])
        if order.fills and faults.hits(Fault.FILL_BEFORE_ACK, asked.client_id):
            return _Held(row, faults.between(Fault.FILL_BEFORE_ACK, 0.1, 1.5))
        return _Held(row)

    def _visible(self, client_id: str, code: str) -> None:
        named = self._exchange.named(client_id)
        if named and self._is_hidden(named[-1]):
            raise Refusal(code, f"no order {client_id}")

    def _is_hidden(self, order: Booked) -> bool:
        return self._hidden.get(order.order_id, 0.0) > self._loop.time() and not self._faults.stopped

    def _is_listed(self, order: Booked) -> bool:
        return not self._is_hidden(order) and not self._faults.hits(Fault.MISSING_FROM_OPEN, order.client_id)

    def _positions(self) -> list[PositionRow]:
        return [
            PositionRow(symbol, held.position, held.entry, held.leverage)
            for symbol, held in self._exchange.listed.items()
            if held.position
        ]

    def _instruments(self) -> list[object]:
        return [msgspec.structs.replace(held.instrument, tick=held.tick) for held in self._exchange.listed.values()]

    def _tell(self, order: Booked, fill: FillRow | None) -> None:
        self.push(_encode(_row(order, [fill] if fill is not None else [])))


def _row(order: Booked, fills: list[FillRow] | None = None) -> OrderRow:
    return OrderRow(
        order.order_id,
        order.client_id,
        order.symbol,
        order.side,
        order.status,
        order.size,
        order.filled,
        order.price,
        order.reduce_only,
        order.reason,
        order.liquidation,
        fills or [],
    )


def _push_nowhere(data: bytes) -> None:
    """No network carries it yet."""
