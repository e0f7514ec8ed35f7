"""Tables a person can query, folded from events: the same events give the same rows, however they are batched."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

from msgspec import Struct

from engine.core import inbox
from engine.ledger.errors import LedgerBroken
from engine.ledger.rows import OrderRow, fill_columns, order_from, order_of, position_columns, trade_rows
from engine.ledger.schema import PROJECTIONS, Row
from engine.ledger.signal_rows import ACCEPTED, WAITING, SignalRow, signal_from, signal_of
from engine.model import event as ev
from engine.model.account import Position
from engine.model.money import ZERO
from engine.model.order import ENDED, TRANSITIONS, OrderStatus


class Stored(Protocol):
    """Rows of earlier batches, by key; None where there is none."""

    def order(self, order_id: str) -> Row | None:
        """The `orders` row."""
        ...

    def end_stated(self, order_id: str) -> bool:
        """Whether an event says how an order whose outcome is not known ended."""
        ...

    def signal(self, signal: str) -> Row | None:
        """The `signals` row by the signal's id."""
        ...

    def balance(self, account: str, asset: str) -> Row | None:
        """The `balances` row."""
        ...

    def settle_asset(self, instrument: str) -> str | None:
        """`instruments.settle`."""
        ...


class Changes(NamedTuple):
    """What a batch changes: rows to write by table, and ids in `trades` that a late fill made untrue."""

    rows: dict[str, list[Row]]
    stale_trades: list[str]


class _Balance(Struct):
    wallet: Decimal = ZERO
    deposited: Decimal = ZERO
    updated_ns: int = 0
    seq: int = 0


class Projector:
    """Collects the rows that a batch of events changes. An order that changes four times in a batch is one row."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored
        self._orders: dict[str, OrderRow] = {}
        self._balances: dict[tuple[str, str], _Balance] = {}
        self._settle: dict[str, str] = {}
        self._signals: dict[str, SignalRow] = {}
        self._changed_orders: dict[str, OrderRow] = {}
        self._changed_signals: dict[str, SignalRow] = {}
        self._changed_balances: set[tuple[str, str]] = set()
        self._changed_positions: dict[str, tuple[Position, str, int]] = {}
        self._changes = _no_changes()

    def add(self, event: ev.Event) -> None:
        """Take one event; raises LedgerBroken when a row it builds on is missing."""
        handler = _HANDLERS.get(type(event.body))
        if handler is not None:
            handler(self, event, event.body)

    def take(self) -> Changes:
        """What to write, and start a new batch. Live orders stay in memory, ended ones leave it."""
        changes = self._changes
        rows = changes.rows
        self._changes = _no_changes()
        for order in self._changed_orders.values():
            rows["orders"].append(order.columns())
            if order.status in ENDED:
                del self._orders[order.id]
        for signal in self._changed_signals.values():
            rows["signals"].append(signal.columns())
            if signal.ended:
                del self._signals[signal.request_id]
        rows["positions"].extend(position_columns(*entry) for entry in self._changed_positions.values())
        for account, asset in sorted(self._changed_balances):
            held = self._balances[account, asset]
            rows["balances"].append((account, asset, str(held.wallet), str(held.deposited), held.updated_ns, held.seq))
        self._changed_orders.clear()
        self._changed_signals.clear()
        self._changed_positions.clear()
        self._changed_balances.clear()
        return changes

    def _order(self, event: ev.Event, order_id: str) -> OrderRow:
        order = self._orders.get(order_id)
        if order is None:
            row = self._stored.order(order_id)
            if row is None:
                raise LedgerBroken("orders", f"event {event.seq} names order {order_id}, which has no row", event.seq)
            order = self._orders[order_id] = order_of(row)
        order.updated_ns = event.time_ns
        order.seq = event.seq
        self._changed_orders[order_id] = order
        return order

    def _signal(self, event: ev.Event, signal_id: str) -> SignalRow:
        signal = self._signals.get(signal_id)
        if signal is None:
            row = self._stored.signal(signal_id)
            if row is None:
                raise LedgerBroken(
                    "signals", f"event {event.seq} names signal {signal_id}, which has no row", event.seq
                )
            signal = self._signals[signal_id] = signal_of(row)
        self._changed_signals[signal_id] = signal
        return signal

    def _signal_goes_on(self, signal_id: str) -> None:
        row = None if signal_id in self._signals else self._stored.signal(signal_id)
        signal = signal_of(row) if row is not None else self._signals.get(signal_id)
        if signal is not None and signal.status == WAITING:
            signal.stands(ACCEPTED)
            self._signals[signal_id] = self._changed_signals[signal_id] = signal

    def _balance(self, event: ev.Event, asset: str) -> _Balance:
        key = (event.account, asset)
        held = self._balances.get(key)
        if held is None:
            row = self._stored.balance(*key)
            held = _Balance() if row is None else _Balance(Decimal(row[2]), Decimal(row[3]))
            self._balances[key] = held
        held.updated_ns = event.time_ns
        held.seq = event.seq
        self._changed_balances.add(key)
        return held

    def _settle_asset(self, event: ev.Event) -> str:
        asset = self._settle.get(event.instrument) or self._stored.settle_asset(event.instrument)
        if asset is None:
            raise LedgerBroken(
                "instruments", f"event {event.seq} names {event.instrument}, which has no row", event.seq
            )
        self._settle[event.instrument] = asset
        return asset

    def instrument_changed(self, event: ev.Event, body: ev.InstrumentChanged) -> None:
        """An instrument's row."""
        it = body.instrument
        self._settle[it.id] = it.settle_asset
        self._changes.rows["instruments"].append(
            (it.id, it.venue, it.product, it.symbol, it.base, it.quote, it.settle_asset)
        )

    def funds_moved(self, event: ev.Event, body: ev.FundsMoved) -> None:
        """Money came or went."""
        held = self._balance(event, body.asset)
        held.wallet += body.amount
        held.deposited += body.amount

    def position_changed(self, event: ev.Event, body: Any) -> None:
        """Any body that carries the position after it."""
        if body.position is not None:
            self._changed_positions[body.position.id] = (body.position, event.venue, event.seq)

    def funding_paid(self, event: ev.Event, body: ev.FundingPaid) -> None:
        """Funding changes the wallet and the position."""
        self._balance(event, self._settle_asset(event)).wallet += body.amount
        self.position_changed(event, body)

    def order_created(self, event: ev.Event, body: ev.OrderCreated) -> None:
        """A new order's row; the signal that it was made for waits no longer."""
        order = order_from(body.terms, event)
        self._orders[order.id] = self._changed_orders[order.id] = order
        if event.owner.startswith(inbox.SOURCE):
            self._signal_goes_on(inbox.signal_of(event.request_id))

    def signal_received(self, event: ev.Event, body: ev.SignalReceived) -> None:
        """A new signal's row."""
        signal = signal_from(event, body)
        self._signals[signal.request_id] = self._changed_signals[signal.request_id] = signal

    def signal_waits(self, event: ev.Event, body: ev.SignalWaits) -> None:
        """The signal's row says what it waits for."""
        self._signal(event, body.signal).stands(WAITING, str(body.reason))

    def signal_approved(self, event: ev.Event, body: ev.SignalApproved) -> None:
        """The signal goes on."""
        self._signal(event, body.signal).stands(ACCEPTED)

    def signal_ended(self, event: ev.Event, body: ev.SignalEnded) -> None:
        """The signal's verdict."""
        self._signal(event, body.signal).stands(str(body.status), body.code, body.message, event.time_ns)

    def order_moved(self, event: ev.Event, body: Any) -> None:
        """Any body that only changes the order's status."""
        order = self._order(event, body.order)
        order.status = _STATUS[type(body)]
        order.reason = getattr(body, "reason", "") or order.reason
        if order.status in ENDED:
            self._end(event, order)

    def order_unknown(self, event: ev.Event, body: ev.OrderUnknown) -> None:
        """Its outcome is not known; where the venue says how it ended, only fills of it are missing."""
        order = self._order(event, body.order)
        order.status = OrderStatus.UNKNOWN
        if body.ended is not None:
            order.end_stated = True

    def order_triggered(self, event: ev.Event, body: ev.OrderTriggered) -> None:
        """Its trigger was met at the venue, which may have given it an id by now."""
        order = self._order(event, body.order)
        order.status = OrderStatus.TRIGGERED
        order.venue_order_id = body.venue_order_id or order.venue_order_id

    def order_accepted(self, event: ev.Event, body: ev.OrderAccepted) -> None:
        """The venue's id is known."""
        order = self._order(event, body.order)
        order.status = OrderStatus.PARTIAL if order.filled else OrderStatus.ACCEPTED
        order.venue_order_id = body.venue_order_id

    def trigger_moved(self, event: ev.Event, body: ev.TriggerMoved) -> None:
        """A trailing stop's level."""
        self._order(event, body.order).trigger = body.trigger

    def order_changed(self, event: ev.Event, body: ev.OrderResized | ev.OrderAmended) -> None:
        """New size, price or trigger."""
        order = self._order(event, body.order)
        if body.size is not None:
            order.size = body.size
        if isinstance(body, ev.OrderAmended):
            order.price = order.price if body.price is None else body.price
            order.trigger = order.trigger if body.trigger is None else body.trigger

    def order_filled(self, event: ev.Event, body: ev.OrderFilled) -> None:
        """A fill: its own row, the order's sums, the position and the wallet."""
        order = self._order(event, body.order)
        late = order.status in ENDED
        if late:
            self._forget_trade(order)
        value = body.price * body.size
        order.filled += body.size
        order.value += value
        order.fees += body.fee
        if body.closing:
            order.closed += body.size
            order.closed_value += value
            order.closed_fees += body.fee
        # As core/fold.py has it, but a late fill leaves CANCELLED and EXPIRED as they are: nothing works any more.
        if order.filled >= order.size and TRANSITIONS[order.status]:
            order.status = OrderStatus.FILLED
        elif not late and not (order.status is OrderStatus.UNKNOWN and self._end_stated(order)):
            order.status = OrderStatus.PARTIAL
        self._changed_positions[body.position.id] = (body.position, event.venue, event.seq)
        self._balance(event, self._settle_asset(event)).wallet += body.realised - body.fee + body.insurance
        self._changes.rows["fills"].append(fill_columns(event, body, order.side))
        if late or order.status is OrderStatus.FILLED:
            self._end(event, order)

    def equity_sampled(self, event: ev.Event, body: ev.EquitySampled) -> None:
        """One point of the equity line."""
        wallet, unrealised = body.wallet, body.unrealised
        self._changes.rows["equity"].append(
            (
                event.seq,
                event.time_ns,
                event.account,
                body.asset,
                str(wallet),
                str(unrealised),
                str(wallet + unrealised),
            )
        )

    def latency_measured(self, event: ev.Event, body: ev.LatencyMeasured) -> None:
        """One row a stage."""
        self._changes.rows["latency"].extend(
            (event.seq, stage, body.order, event.time_ns, ns) for stage, ns in body.stages.items()
        )

    def _end_stated(self, order: OrderRow) -> bool:
        if order.end_stated is None:
            order.end_stated = self._stored.end_stated(order.id)
        return order.end_stated

    def _forget_trade(self, order: OrderRow) -> None:
        trades = self._changes.rows["trades"]
        trades[:] = [row for row in trades if row[0] != order.id]
        self._changes.stale_trades.append(order.id)

    def _end(self, event: ev.Event, order: OrderRow) -> None:
        self._changes.rows["trades"].extend(trade_rows(order, event.time_ns))


def _no_changes() -> Changes:
    return Changes({table: [] for table in PROJECTIONS}, [])


_STATUS: dict[type, OrderStatus] = {
    ev.OrderDenied: OrderStatus.DENIED,
    ev.OrderHeld: OrderStatus.HELD,
    ev.OrderSent: OrderStatus.SENT,
    ev.OrderRejected: OrderStatus.REJECTED,
    ev.OrderCancelled: OrderStatus.CANCELLED,
    ev.OrderExpired: OrderStatus.EXPIRED,
}

_HANDLERS: dict[type, Callable[[Projector, ev.Event, Any], None]] = {
    **dict.fromkeys(_STATUS, Projector.order_moved),
    ev.InstrumentChanged: Projector.instrument_changed,
    ev.FundsMoved: Projector.funds_moved,
    ev.LeverageChanged: Projector.position_changed,
    ev.MarginChanged: Projector.position_changed,
    ev.FundingPaid: Projector.funding_paid,
    ev.OrderCreated: Projector.order_created,
    ev.OrderAccepted: Projector.order_accepted,
    ev.OrderTriggered: Projector.order_triggered,
    ev.OrderUnknown: Projector.order_unknown,
    ev.TriggerMoved: Projector.trigger_moved,
    ev.OrderFilled: Projector.order_filled,
    ev.OrderResized: Projector.order_changed,
    ev.OrderAmended: Projector.order_changed,
    ev.EquitySampled: Projector.equity_sampled,
    ev.LatencyMeasured: Projector.latency_measured,
    ev.SignalReceived: Projector.signal_received,
    ev.SignalWaits: Projector.signal_waits,
    ev.SignalApproved: Projector.signal_approved,
    ev.SignalEnded: Projector.signal_ended,
}
