"""The adapter of the fake exchange: a Venue as the real ones are, over a fake network."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from engine.feeds.base import Backoff
from engine.model.instrument import Instrument, InstrumentId
from engine.model.market import Side
from engine.model.order import OrderStatus, OrderTerms
from engine.model.report import VenueFill, VenueOrder, VenuePosition
from engine.sim import protocol as wire
from engine.sim.network import ConnectFailed, ConnectionLost, Network, TimedOut
from engine.sim.protocol import ErrorRow, FillRow, OrderRow, PositionRow
from engine.venues.base import Standing
from engine.venues.errors import Ambiguous
from engine.venues.http import Codes, sort_answer, unanswered, unreadable

T = TypeVar("T")

TIMEOUT_S = 2.0
GRACE_S = 6.0
"""More than the latest arrival (network.LATE_S) and the longest hiding (endpoint.HIDDEN_S) together."""
SILENCE_S = 12.0
_CODES = Codes(
    missing=frozenset({wire.NO_SUCH_ORDER, wire.UNKNOWN_ORDER}),
    unsure=frozenset({wire.DUPLICATE_ID}),
)
_STATUS = {
    wire.NEW: OrderStatus.ACCEPTED,
    wire.PARTIAL: OrderStatus.PARTIAL,
    wire.FILLED: OrderStatus.FILLED,
    wire.CANCELED: OrderStatus.CANCELLED,
    wire.EXPIRED: OrderStatus.EXPIRED,
    wire.REJECTED: OrderStatus.REJECTED,
}
_UNREADABLE = (msgspec.DecodeError, ValueError, KeyError, ArithmeticError)
_encode = msgspec.json.Encoder().encode
_error = msgspec.json.Decoder(ErrorRow).decode
_order: msgspec.json.Decoder[OrderRow] = msgspec.json.Decoder(OrderRow)
_orders: msgspec.json.Decoder[list[OrderRow]] = msgspec.json.Decoder(list[OrderRow])
_positions: msgspec.json.Decoder[list[PositionRow]] = msgspec.json.Decoder(list[PositionRow])
_instruments: msgspec.json.Decoder[list[Instrument]] = msgspec.json.Decoder(list[Instrument])
_nothing: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])


class SimVenue:
    """One account at the fake exchange."""

    grace_s = GRACE_S

    def __init__(
        self,
        network: Network,
        instruments: Iterable[Instrument],
        dice: random.Random,
        name: str = "sim",
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """`instruments` give symbols their ids."""
        self.name = name
        self._network = network
        self._ids = {i.symbol: i.id for i in instruments}
        self._symbols = {i: symbol for symbol, i in self._ids.items()}
        self._random = dice
        self._timeout_s = timeout_s

    async def submit(self, terms: OrderTerms, size: Decimal, price: Decimal | None) -> VenueOrder:
        """POST /orders."""
        asked = wire.Place(
            terms.client_id,
            self._symbols[terms.instrument],
            terms.side.value,
            size,
            price,
            terms.tif.value,
            terms.post_only,
            terms.reduce_only,
        )
        return await self._ask_order("POST", "/orders", terms.client_id, asked)

    async def cancel(self, terms: OrderTerms) -> VenueOrder:
        """DELETE /orders."""
        asked = wire.Remove(terms.client_id, self._symbols[terms.instrument])
        return await self._ask_order("DELETE", "/orders", terms.client_id, asked)

    async def amend(self, terms: OrderTerms, price: Decimal | None, size: Decimal | None) -> VenueOrder:
        """PUT /orders."""
        asked = wire.Change(terms.client_id, self._symbols[terms.instrument], price, size)
        return await self._ask_order("PUT", "/orders", terms.client_id, asked)

    async def order(self, client_id: str, instrument: InstrumentId) -> VenueOrder:
        """GET /order/SYMBOL/CLIENT_ID."""
        return await self._ask_order("GET", f"/order/{self._symbols[instrument]}/{client_id}", client_id)

    async def standing(self) -> Standing:
        """GET /orders/open, then /positions: two moments, as at most venues."""
        orders = await self._ask_orders("/orders/open")
        rows = await self._ask("GET", "/positions", None, _positions)
        return Standing(orders, tuple(self._position(row) for row in rows if row.symbol in self._ids))

    async def orders_since(self, since_ns: int) -> tuple[VenueOrder, ...]:
        """GET /orders/since/NS."""
        return await self._ask_orders(f"/orders/since/{since_ns}")

    async def isolate_margin(self, instrument: InstrumentId) -> None:
        """PUT /margin-mode."""
        await self._ask("PUT", "/margin-mode", wire.IsolateMargin(self._symbols[instrument]), _nothing)

    async def set_leverage(self, instrument: InstrumentId, leverage: int) -> None:
        """PUT /leverage."""
        asked = wire.SetLeverage(self._symbols[instrument], leverage)
        await self._ask("PUT", "/leverage", asked, _nothing)

    async def instruments(self) -> list[Instrument]:
        """GET /instruments: ticks may have changed."""
        return await self._ask("GET", "/instruments", None, _instruments)

    async def reports(self) -> AsyncIterator[VenueOrder | None]:
        """The user stream; broken or silent ones are left for a new one."""
        backoff = Backoff(self._random, base_s=0.5, cap_s=15.0)
        loop = asyncio.get_running_loop()
        while True:
            try:
                stream = await self._network.connect(self._timeout_s)
            except ConnectFailed:
                await asyncio.sleep(backoff.next())
                continue
            connected = loop.time()
            try:
                yield None
                while True:
                    raw = await stream.receive(SILENCE_S)
                    if raw:
                        yield self._stated(_order.decode(raw))
            except (TimedOut, ConnectionLost, *_UNREADABLE):
                pass  # what is missing shows after the next connection
            finally:
                stream.close()
            backoff.lasted(loop.time() - connected)
            await asyncio.sleep(backoff.next())

    # --- Asking -------------------------------------------------------------------------------------

    async def _ask_order(self, method: str, path: str, client_id: str, content: object = None) -> VenueOrder:
        order = await self._ask(method, path, content, _order)
        if order.client_id != client_id:
            raise Ambiguous(f"{method} {path}: asked for {client_id}, answered about {order.client_id}")
        return self._read(order)

    async def _ask_orders(self, path: str) -> tuple[VenueOrder, ...]:
        rows = await self._ask("GET", path, None, _orders)
        return tuple(self._read(row) for row in rows if row.symbol in self._ids)

    async def _ask(self, method: str, path: str, content: object, decoder: msgspec.json.Decoder[T]) -> T:
        """One request, its failure sorted; raises VenueError."""
        body = b"" if content is None else _encode(content)
        try:
            answer = await self._network.request(method, path, body, self._timeout_s)
        except ConnectFailed as error:
            raise unanswered(error, sent=False) from error
        except (TimedOut, ConnectionLost) as error:
            raise unanswered(error, sent=True) from error
        said = _refusal(answer.body) if answer.status >= 300 else ErrorRow()
        failure = sort_answer(answer.status, answer.headers, said.code, said.message, _CODES)
        if failure is not None:
            raise failure
        try:
            return decoder.decode(answer.body)
        except _UNREADABLE as error:
            raise unreadable(answer.status, answer.body, error) from error

    # --- Translating --------------------------------------------------------------------------------

    def _read(self, row: OrderRow) -> VenueOrder:
        """An answer's order; one that makes no sense proves nothing."""
        try:
            return self._stated(row)
        except _UNREADABLE as error:
            raise Ambiguous(f"order {row.client_id} is stated in words that are not known: {error}") from error

    def _stated(self, row: OrderRow) -> VenueOrder:
        return VenueOrder(
            row.client_id,
            str(row.order_id),
            self._ids[row.symbol],
            Side(row.side),
            _STATUS[row.status],
            row.size,
            row.filled,
            row.price,
            row.reduce_only,
            tuple(_fill(fill) for fill in row.fills),
            row.reason,
            row.liquidation,
        )

    def _position(self, row: PositionRow) -> VenuePosition:
        return VenuePosition(self._ids[row.symbol], row.size, row.entry, row.leverage)


def _fill(row: FillRow) -> VenueFill:
    return VenueFill(row.fill_id, row.price, row.size, row.fee, row.maker, row.time_ns)


def _refusal(body: bytes) -> ErrorRow:
    try:
        return _error(body)
    except msgspec.DecodeError:
        return ErrorRow()
