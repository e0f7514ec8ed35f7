"""The rows of semantics 11, one function each. A row gets our own books and the event or state to judge, and says what is wrong.

Rows 2, 3, 10 and 15 speak of whole runs: their functions are called where a run restarts or ends. Row 13 (children of TWAP, VWAP and
iceberg orders) has nothing to judge until there are such orders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from engine.core.state import State
from engine.model import event as ev
from engine.model.account import Position
from engine.model.event import Event
from engine.model.instrument import Instrument, MarginModel, MarkSource
from engine.model.market import Side
from engine.model.order import ENDED, Order, OrderType, Role
from tests.simulation import signal_rows
from tests.simulation.books import ZERO, Books, Shown

D = Decimal
SLACK = D("0.000001")


class Broken(AssertionError):
    """An invariant does not hold; `row` is its number in semantics 11, 0 for what stands above them all."""

    def __init__(self, row: int, text: str) -> None:
        super().__init__(f"row {row} ({ROWS[row]}): {text}")
        self.row = row
        self.text = text


ROWS = {
    0: "the engine's rules do not fail, and alarms are not raised for nothing",
    1: "money is conserved by every fill",
    2: "a replay from the first event, or from any snapshot, gives the same state",
    3: "what is delivered again changes nothing",
    4: "an order fills no more than its size",
    5: "reduce-only never raises a position",
    6: "what is protected is what is held",
    7: "equity is what was put in plus what was made",
    8: "no entry leaves under the kill switch",
    9: "no two live orders share a client id",
    10: "a restart converges, loses nothing that was told and opens nothing",
    11: "trailing stops never loosen",
    12: "the liquidation price solves its equation",
    13: "children of an algorithm sum to their parent",
    14: "paper fills no more than was displayed or traded",
    15: "two runs of a seed write equal ledgers",
}
NOT_BUILT = {13: "there are no TWAP, VWAP or iceberg orders yet"}


class Scene(NamedTuple):
    """What a row may look at beside the event."""

    books: Books
    shown: Shown
    venue: bool


# --- Before an event is booked ------------------------------------------------------------------------


def row_03_nothing_twice(scene: Scene, event: Event) -> str | None:
    """A request is taken in once, a fill booked once, a funding time paid once."""
    books, body = scene.books, event.body
    if isinstance(body, ev.IntentCreated) and event.request_id in books.requests:
        return f"request {event.request_id} was taken in again, after event {books.requests[event.request_id]}"
    if isinstance(body, ev.OrderFilled) and (event.account, body.order, body.fill_id, body.part) in books.fills:
        return f"fill {body.fill_id} of {body.order} was booked again"
    if isinstance(body, ev.FundingPaid) and (event.account, event.instrument, body.due_ns) in books.paid:
        return f"funding of {body.due_ns} was paid again by {event.account}"
    return None


def row_04_within_its_size(scene: Scene, event: Event) -> str | None:
    """Sum of fills of an order <= its size, else an alarm came first."""
    body = event.body
    if not isinstance(body, ev.OrderFilled):
        return None
    line = scene.books.orders[body.order]
    if line.filled + body.size > line.size and "OVERFILL" not in scene.books.accused:
        return f"{body.order} of {line.size} filled {line.filled + body.size}"
    if not line.sent:
        return f"{body.order} filled and never left"
    if not line.live and not body.part and "LATE_FILL" not in scene.books.accused:
        return f"{body.order} filled after it had ended"
    return None


def row_05_reduces(scene: Scene, event: Event) -> str | None:
    """A reduce-only fill makes the position smaller, else an alarm follows."""
    body = event.body
    if not isinstance(body, ev.OrderFilled) or not scene.books.orders[body.order].reduce_only:
        return None
    if scene.venue and not body.closing:
        return None  # the venue's word; the alarm that must follow is looked for in the outcome
    held = scene.books.held.get((event.account, event.instrument), ZERO)
    if abs(body.position.size) >= abs(held):
        return f"{body.order} took the position from {held} to {body.position.size}"
    return None


def row_08_kill_switch(scene: Scene, event: Event) -> str | None:
    """No order leaves while the kill switch is on, except reduce-only."""
    body = event.body
    if not isinstance(body, ev.OrderSent) or not scene.books.kill:
        return None
    terms = scene.books.orders[body.order].terms
    if not terms.reduce_only and terms.role is not Role.EXTERNAL:
        return f"{body.order} left under the kill switch"
    return None


def row_09_client_ids(scene: Scene, event: Event) -> str | None:
    """A new order's client id is nobody else's."""
    body = event.body
    if isinstance(body, ev.OrderCreated) and body.terms.client_id in scene.books.clients:
        return (
            f"{body.terms.id} has the client id of {scene.books.clients[body.terms.client_id]}: {body.terms.client_id}"
        )
    return None


def row_10_unknown_blocks(scene: Scene, event: Event) -> str | None:
    """While an order's outcome is not known, no entry of its instrument leaves (semantics W6)."""
    body = event.body
    if not isinstance(body, ev.OrderSent):
        return None
    terms = scene.books.orders[body.order].terms
    lost = scene.books.unknown.get((terms.account, terms.instrument))
    if lost and not terms.reduce_only and terms.role is not Role.EXTERNAL:
        return f"{body.order} left while {', '.join(lost)} is of unknown outcome"
    return None


def row_11_trails_tighten(scene: Scene, event: Event) -> str | None:
    """Every move of a trailing stop is towards the market."""
    body = event.body
    if not isinstance(body, ev.TriggerMoved):
        return None
    line = scene.books.orders[body.order]
    if line.trigger is not None and (body.trigger - line.trigger) * line.terms.side.sign >= 0:
        return f"{body.order} ({line.terms.side}) went from {line.trigger} to {body.trigger}"
    return None


def row_14_was_there(scene: Scene, event: Event) -> str | None:
    """Takers get what was displayed, makers what was traded or crossed them."""
    body = event.body
    if scene.venue or not isinstance(body, ev.OrderFilled):
        return None
    terms = scene.books.orders[body.order].terms
    if terms.role is Role.LIQUIDATION:
        return None  # what the book cannot take goes at the bankruptcy price (semantics 2)
    if body.maker:
        got, most = scene.shown.make(terms.side, body.price, body.size)
        where = "came"
    else:
        got, most = scene.shown.take(terms.side.opposite, body.price, body.size)
        where = "was displayed"
    return f"{body.order} got {got} @ {body.price}, {most} {where}" if got > most else None


# --- After an event is booked -------------------------------------------------------------------------


def row_01_conserved(scene: Scene, event: Event) -> str | None:
    """R + (Q*M - C) == -sum(dQ*px) + Q*M: R - C is what flowed, whatever M is; and Q is the sum of fills."""
    books, body = scene.books, event.body
    if not isinstance(body, ev.OrderFilled):
        return None
    money = books.money[event.account]
    lots = [p for p in books.lots.values() if p.account == event.account]
    cost = sum((p.cost for p in lots), ZERO)
    if money.realised - cost != money.flow:
        return f"{event.account}: realised {money.realised} - cost {cost} is not the {money.flow} that flowed"
    held = books.held[event.account, event.instrument]
    stated = sum((p.size for p in lots if p.instrument == event.instrument), ZERO)
    return f"{event.account}: fills sum to {held}, the position is {stated}" if held != stated else None


def row_07_equity_samples(scene: Scene, event: Event) -> str | None:
    """A sampled equity is the wallet and the positions at the marks of the moment."""
    books, body = scene.books, event.body
    if not isinstance(body, ev.EquitySampled):
        return None
    wallet = books.money[event.account].wallet
    if body.wallet != wallet:
        return f"{event.account}: wallet sampled as {body.wallet}, put in and made {wallet}"
    worth = ZERO
    for lot in books.lots.values():
        if lot.account == event.account:
            price = _value(books.instruments[lot.instrument], scene.shown, long=lot.size > 0)
            if price is None:
                return f"{event.account}: sampled without a mark of {lot.instrument}"
            worth += lot.size * price - lot.cost
    return f"unrealised sampled as {body.unrealised}, is {worth}" if worth != body.unrealised else None


def row_12_liquidation(scene: Scene, event: Event) -> str | None:
    """equity(LP) = maintenance(LP) + |Q|*LP*f to 1e-6; at an opening a long has BP < LP < EP."""
    position = getattr(event.body, "position", None)
    if not isinstance(position, Position) or not position.size:
        return None
    instrument = scene.books.instruments[position.instrument]
    profile, price = instrument.profile, position.liquidation
    size, cost, margin = position.size, position.cost, position.margin
    if price is None:
        # There is none only where a long is not liquidated at any price above 0.
        return None if size > 0 and margin - cost >= -SLACK else f"{position.id} of {size} has no liquidation price"
    equity = margin + size * price - cost
    if profile.margin_model is MarginModel.FRACTION:
        kept = profile.fraction * abs(cost) / position.leverage
        return f"{position.id}: {equity} at {price}, kept {kept}" if abs(equity - kept) > SLACK else None
    need = kept_at(instrument, abs(size) * price) + abs(size) * price * profile.fee_reserve
    if abs(equity - need) > SLACK:
        return f"{position.id}: equity {equity} at {price}, maintenance {need}"
    opened = isinstance(event.body, ev.OrderFilled) and position.entered == abs(size) and not profile.fee_reserve
    entry = cost / size
    if opened and margin > kept_at(instrument, abs(cost)):
        sign = position.sign
        bankrupt = entry - sign * margin / abs(size)
        if not (bankrupt - price) * sign < 0 < (entry - price) * sign:
            return f"{position.id}: bankrupt at {bankrupt}, liquidated at {price}, entered at {entry}"
    return None


def kept_at(instrument: Instrument, notional: Decimal) -> Decimal:
    """Maintenance margin as the area under the rates: needs no `cum`."""
    total = ZERO
    for tier in instrument.tiers:
        upper = notional if tier.cap is None else min(notional, tier.cap)
        if upper > tier.floor:
            total += (upper - tier.floor) * tier.mmr
    return total


def _value(instrument: Instrument, shown: Shown, *, long: bool) -> Decimal | None:
    bid, ask = shown.price(Side.BUY), shown.price(Side.SELL)
    source = instrument.profile.mark_source
    if source is MarkSource.VENUE and shown.mark is not None:
        return shown.mark
    if bid is None or ask is None:
        return None
    if source is MarkSource.EXIT_SIDE:
        return bid if long else ask
    return (bid + ask) / 2


BEFORE: dict[int, Callable[[Scene, Event], str | None]] = {
    3: row_03_nothing_twice,
    4: row_04_within_its_size,
    5: row_05_reduces,
    8: row_08_kill_switch,
    9: row_09_client_ids,
    10: row_10_unknown_blocks,
    11: row_11_trails_tighten,
    14: row_14_was_there,
}
AFTER: dict[int, Callable[[Scene, Event], str | None]] = {
    1: row_01_conserved,
    7: row_07_equity_samples,
    12: row_12_liquidation,
}


# --- The state after an outcome -----------------------------------------------------------------------


def row_04_orders_as_booked(books: Books, state: State, venue: bool) -> str | None:
    """The live orders are those the events leave, filled as the fills sum."""
    live = {line.terms.id: line.filled for line in books.orders.values() if line.live}
    found = {order.id: order.filled for order in state.orders.values()}
    if live != found:
        return f"live orders by events {live}, in the state {found}"
    for order in state.orders.values():
        if order.status in ENDED or not ZERO <= order.filled < order.size:
            return f"{order.id} is {order.status} with {order.filled} of {order.size} filled"
    return None


def row_05_exits_fit(books: Books, state: State, venue: bool) -> str | None:
    """Exits exist for a position, on its closing side, and none is larger than it."""
    for order in state.orders.values():
        terms = order.terms
        if not terms.reduce_only or order.status == "SENT" or (venue and order.status != "HELD"):
            continue
        held = books.held.get((terms.account, terms.instrument), ZERO)
        if held * terms.side.sign >= 0:
            return f"{order.id} would {terms.side} on a position of {held}"
        if order.remaining > abs(held):
            return f"{order.id} would close {order.remaining} of {held}"
    return None


def row_05_said(books: Books, state: State, venue: bool) -> str | None:
    """A reduce-only order that opened all the same is said aloud."""
    return books.opened if books.opened and "REDUCE_ONLY_OPENED" not in books.accused else None


def row_06_covered(books: Books, state: State, venue: bool) -> str | None:
    """Where every lot came with a stop, the stops cover the position, and no more unless one is on its way."""
    for lot in books.lots.values():
        if not books.covered.get(lot.id, False):
            continue
        groups: dict[str, Decimal] = {}
        fired = False
        for order in state.orders.values():
            terms = order.terms
            if terms.group and (terms.account, terms.instrument) == (lot.account, lot.instrument):
                if terms.type in (OrderType.STOP, OrderType.TRAILING_STOP) and order.trigger is not None:
                    groups[terms.group] = max(groups.get(terms.group, ZERO), order.remaining)
                fired = fired or order.fired
        total = sum(groups.values(), ZERO)
        if total < abs(lot.size):
            return f"{lot.id} of {lot.size} has stops for {total}"
        if total > abs(lot.size) and not fired:
            return f"{lot.id} of {lot.size} has stops for {total} and none fired"
    return None


def row_07_money(books: Books, state: State, venue: bool) -> str | None:
    """Wallet, margins, reserves and working sizes are what events and orders say, to the last digit."""
    for name in books.touched & state.accounts.keys():
        account, wallet = state.accounts[name], books.money[name].wallet
        if account.balances["USDT"] != wallet:
            return f"{name}: wallet {account.balances['USDT']}, put in and made {wallet}"
        orders = [o for o in state.orders.values() if o.terms.account == name]
        reserved = sum((o.reserve for o in orders), ZERO)
        if account.reserves.get("USDT", ZERO) != reserved:
            return f"{name}: {account.reserves.get('USDT')} set aside, orders sum to {reserved}"
        if wrong := [o for o in orders if o.reserve < 0 or (o.reserve and o.terms.reduce_only)]:
            return f"{wrong[0].id} sets {wrong[0].reserve} aside"
        lots = [p for p in books.lots.values() if p.account == name]
        margins = sum((p.margin for p in lots), ZERO)
        if account.margins.get("USDT", ZERO) != margins or any(p.margin < 0 for p in lots):
            return f"{name}: margins {account.margins.get('USDT')}, positions sum to {margins}"
        if text := _working(books, name, orders, state):
            return text
    return None


def _working(books: Books, name: str, orders: Sequence[Order], state: State) -> str | None:
    for instrument in books.instruments:
        for side in Side:
            entries = [o for o in orders if o.terms.side is side and not o.terms.reduce_only]
            size = sum((o.at_worst for o in entries if o.terms.instrument == instrument), ZERO)
            if state.accounts[name].working(instrument, side) != size:
                return f"{name}: {state.accounts[name].working(instrument, side)} works to {side}, orders sum to {size}"
    return None


def row_08_none_waits(books: Books, state: State, venue: bool) -> str | None:
    """Nothing stands ready to leave under the kill switch."""
    ready = [o.id for o in state.orders.values() if state.kill and o.status == "CREATED"]
    return f"{ready} wait to be sent under the kill switch" if ready else None


STANDS: dict[int, tuple[Callable[[Books, State, bool], str | None], ...]] = {
    4: (row_04_orders_as_booked,),
    5: (row_05_exits_fit, row_05_said),
    6: (row_06_covered,),
    7: (row_07_money,),
    8: (row_08_none_waits,),
    10: (signal_rows.row_10_signals_as_booked,),
}


def judge_event(scene: Scene, event: Event) -> None:
    """Every row on one event, which is booked in between; raises Broken."""
    for row, before in BEFORE.items():
        if text := before(scene, event):
            raise Broken(row, f"{text} (event {event.seq})")
    for row, signals in signal_rows.BEFORE:
        if text := signals(scene.books, event):
            raise Broken(row, f"{text} (event {event.seq})")
    scene.books.take(event)
    for row, after in AFTER.items():
        if text := after(scene, event):
            raise Broken(row, f"{text} (event {event.seq})")


def judge_state(books: Books, state: State, venue: bool) -> None:
    """Every row on the state after an outcome; raises Broken."""
    for row, rules in STANDS.items():
        for rule in rules:
            if text := rule(books, state, venue):
                raise Broken(row, f"{text} (after event {state.seq})")


def judge_alarms(codes: Iterable[str], allowed: frozenset[str]) -> None:
    """Only alarms that what happened explains; FAULT says that a rule raised."""
    wrong = sorted(set(codes) - allowed)
    if wrong:
        raise Broken(0, f"alarm {', '.join(wrong)}")
