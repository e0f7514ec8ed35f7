"""What a venue states of an order becomes facts, in whatever order and however often it is told (semantics 9, 10)."""

from __future__ import annotations

from decimal import Decimal

from engine.core.alarm import raise_once
from engine.core.arming import arm_order, role_of_exit
from engine.core.brackets import cap_reduce_only, stand_again
from engine.core.fills import apply_report
from engine.core.foreign import adopt, find
from engine.core.inputs import OrderSaid
from engine.core.journal import text
from engine.core.kernel import FIRST_NS, Due, Kernel, share
from engine.core.margin import reserve
from engine.core.state import pair_key
from engine.model import event as ev
from engine.model.account import Execution
from engine.model.money import ZERO
from engine.model.order import AT_VENUE, ENDED, Order, OrderStatus, Role
from engine.model.report import VenueFill, VenueOrder

ACCEPTED, TRIGGERED, PARTIAL = OrderStatus.ACCEPTED, OrderStatus.TRIGGERED, OrderStatus.PARTIAL
FILLED, REJECTED, EXPIRED = OrderStatus.FILLED, OrderStatus.REJECTED, OrderStatus.EXPIRED
SENT, UNKNOWN = OrderStatus.SENT, OrderStatus.UNKNOWN
STATED = frozenset({ACCEPTED, TRIGGERED, PARTIAL, FILLED, OrderStatus.CANCELLED, EXPIRED, REJECTED})
_UNSENT = frozenset({OrderStatus.CREATED, OrderStatus.HELD, OrderStatus.DENIED})


def order_said(kernel: Kernel, given: OrderSaid) -> None:
    """An order as its venue states it."""
    hear(kernel, given.account, given.order)


def hear(kernel: Kernel, account: str, said: VenueOrder) -> Order | None:
    """Take a statement in; a stranger's order is adopted first. Returns the order it is about, if the ledger has it."""
    if not at_a_venue(kernel, account):
        return None
    before = kernel.state.seq
    if message := _bad(said):
        raise_once(kernel, account, said.instrument, "BAD_REPORT", message)
        return None
    order = find(kernel, account, said) or adopt(kernel, account, said)
    if order is None:
        return None
    if order.status in _UNSENT:
        message = f"the venue states {order.status} order {order.id}, which never left, as {said.status}; look there"
        raise_once(kernel, account, said.instrument, "NEVER_LEFT", message)
        return order
    _answer_amend(kernel, order, said)
    # More filled than was asked for here, by an order that the venue has as that large: the rest of it works on.
    if order.amending is None and order.id in kernel.state.orders and order.size < said.filled <= said.size:
        take_terms(kernel, order, said)
    filled = order.filled
    for fill in said.fills:
        apply_report(kernel, order, fill.fill_id, fill.price, fill.size, fill.fee, maker=fill.maker)
    if order.filled != filled:
        kernel.moved(pair_key(account, said.instrument))
    _take_status(kernel, order, said)
    if kernel.state.seq > before:
        kernel.told(order)
    return order


def at_a_venue(kernel: Kernel, account: str) -> bool:
    """Whether there is such an account, and a venue carries out its orders."""
    known = kernel.state.accounts.get(account)
    return known is not None and known.execution is Execution.VENUE


def _take_status(kernel: Kernel, order: Order, said: VenueOrder) -> None:
    """What the status says beyond the fills; what is older than what is known says nothing. An ending is never undone."""
    if order.status not in AT_VENUE:
        return
    if order.id not in kernel.state.orders:
        _end_again(kernel, order, said)
        return
    filled, ended = said.filled, None
    if said.status in ENDED:
        ended = said.status
        filled = filled or (said.size if ended is FILLED else ZERO)
    known = kernel.state.unknown.get(order.id)
    if known is not None and known.ended is not None and not (ended is not None and _whole(said)):
        ended, filled = ended or known.ended, max(filled, known.filled)
    missing = filled - order.filled
    if ended is not None and missing > ZERO:
        if known is None or (known.ended, known.filled) != (ended, filled):
            evidence = f"the venue says {ended} with {filled} filled; {missing} of it was not reported yet"
            kernel.journal.emit_order(order, ev.OrderUnknown(order.id, evidence, ended, filled))
    elif ended is not None:
        _end(kernel, order, ended, said.reason)
    elif missing < ZERO:
        return
    elif missing and known is not None:
        if filled > known.filled:
            evidence = f"the venue says {filled} of it is filled; {missing} of it was not reported yet"
            kernel.journal.emit_order(order, ev.OrderUnknown(order.id, evidence, None, filled))
    elif said.status is TRIGGERED and not order.filled:
        if order.status is not TRIGGERED:
            kernel.journal.emit_order(order, ev.OrderTriggered(order.id, said.venue_order_id))
    elif order.status in (SENT, UNKNOWN):
        kernel.journal.emit_order(order, ev.OrderAccepted(order.id, said.venue_order_id))


def _whole(said: VenueOrder) -> bool:
    """It brings every fill it speaks of, as the answer to a direct query does."""
    return bool(said.fills) and sum(fill.size for fill in said.fills) == said.filled


def _end(kernel: Kernel, order: Order, status: OrderStatus, reason: str) -> None:
    """The venue ended it, and every fill is booked. What protected a position and did not close it stands again."""
    if status is REJECTED and not order.filled:
        if order.terms.reduce_only:
            kernel.refuse(pair_key(order.terms.account, order.terms.instrument))
        reject(kernel, order, "REJECTED", reason or "rejected by the venue")
        return
    rest = order.remaining
    if order.terms.reduce_only and order.price is None and not (order.filled or order.cancel_requested):
        kernel.refuse(pair_key(order.terms.account, order.terms.instrument))
    _emit_end(kernel, order, status, reason)
    if not order.cancel_requested:
        protect_again(kernel, order, rest)


def _end_again(kernel: Kernel, order: Order, said: VenueOrder) -> None:
    """A late fill was booked on an order that had ended here: nothing waits for it, and its rest is protected already.

    What is still missing shows in the position.
    """
    if said.status in ENDED:
        _emit_end(kernel, order, said.status, said.reason)


def _emit_end(kernel: Kernel, order: Order, status: OrderStatus, reason: str) -> None:
    reason = reason or f"{status.lower()} by the venue with {order.filled} of {order.size} filled"
    body = (ev.OrderExpired if status is EXPIRED else ev.OrderCancelled)(order.id, reason)
    kernel.journal.emit_order(order, body)


def reject(kernel: Kernel, order: Order, code: str, reason: str) -> None:
    """It did not come to anything."""
    kernel.told(order)
    kernel.journal.emit_order(order, ev.OrderRejected(order.id, code, reason))
    if not order.cancel_requested:
        protect_again(kernel, order, order.remaining)


def arm_again(kernel: Kernel, order_id: str) -> None:
    """A protection that stands again may fire from now on."""
    order = kernel.state.orders.get(order_id)
    if order is not None and order.status is OrderStatus.HELD:
        arm_order(kernel, order)


def protect_again(kernel: Kernel, order: Order, rest: Decimal) -> None:
    """No lot without its stop; but it fires again only after a while, so that a refusing venue is not run down."""
    if rest <= ZERO or (held := stand_again(kernel, order, rest)) is None or held.ended:
        return
    market = kernel.market(held.terms.instrument)
    market.triggers.disarm(held.id)
    market.set_band()
    wait_ns = kernel.patience(pair_key(held.terms.account, held.terms.instrument)) or FIRST_NS
    kernel.after(wait_ns, Due.REARM, held.id)
    if not order.filled:
        _say_unprotected(kernel, order, held, wait_ns)


def _say_unprotected(kernel: Kernel, order: Order, held: Order, wait_ns: int) -> None:
    """Once a position and kind, until something fills: a price beyond its stop, and nothing that closes it."""
    terms = held.terms
    kind = "take profit" if role_of_exit(terms.type) is Role.TAKE_PROFIT else "stop"
    told = kernel.unprotected.setdefault(pair_key(terms.account, terms.instrument), set())
    position = kernel.state.position_of(terms.account, terms.instrument, terms.leg)
    if position is None or kind in told:
        return
    told.add(kind)
    message = (
        f"{position.id}, {text(position.size)} {kernel.instrument(terms.instrument).symbol}, stands without its {kind} at "
        f"{text(held.trigger)}: {order.id} came to nothing, {order.reason}; it is tried again in {-(-wait_ns // FIRST_NS)} s "
        "while the price is there, close it by hand if that cannot wait"
    )
    kernel.journal.emit_order(order, ev.AlarmRaised("PROTECTION_REFUSED", message))


# --- Amending -----------------------------------------------------------------------------------------


def _answer_amend(kernel: Kernel, order: Order, said: VenueOrder) -> None:
    """The venue states what an amend asked for: that is its answer. It comes before the fills it made room for."""
    if order.amending is None or order.ended:
        return
    price, size = order.amending
    if (price is not None and said.price != price) or (size is not None and said.size != size):
        return
    amended(kernel, order, price, size)


def amended(kernel: Kernel, order: Order, price: Decimal | None, size: Decimal | None) -> None:
    """What was asked for has come about at the venue."""
    kernel.journal.emit_order(
        order, ev.OrderAmended(order.id, price, None, size, reserve_of(kernel, order, price, size))
    )
    if order.terms.reduce_only:
        cap_reduce_only(kernel, order.terms.account, order.terms.instrument)


def take_terms(kernel: Kernel, order: Order, said: VenueOrder) -> None:
    """It was amended at the venue, by somebody else or by the venue itself."""
    aside = reserve_of(kernel, order, said.price, said.size)
    kernel.journal.emit_order(order, ev.OrderAmended(order.id, said.price, None, said.size, aside))
    kernel.fitting.discard((order.terms.account, order.terms.instrument))
    message = (
        f"order {order.id} is {said.size} @ {said.price} at the venue: it was amended elsewhere, and is taken over"
    )
    raise_once(kernel, order.terms.account, order.terms.instrument, "AMENDED_ELSEWHERE", message)


def reserve_of(kernel: Kernel, order: Order, price: Decimal | None, size: Decimal | None) -> Decimal:
    """What is set aside for an amended entry: by its new price, or its share where only the size changed."""
    terms = order.terms
    left = max((order.size if size is None else size) - order.filled, ZERO)
    before = order.reserve if order.amending is None else order.unamended
    if terms.reduce_only or not before:
        return ZERO
    if price is None:
        return share(before, left, order.remaining)
    leverage = kernel.leverage(terms.account, terms.instrument)
    return reserve(kernel.instrument(terms.instrument), left, price, leverage)


# --- What cannot be --------------------------------------------------------------------------------------


def _bad(said: VenueOrder) -> str:
    """Why a statement cannot be taken; empty where it can."""
    numbers = (said.size, said.filled, *(() if said.price is None else (said.price,)))
    whole = (
        f"order {said.client_id or said.venue_order_id} as {said.status}, {said.filled} of {said.size} @ {said.price}"
    )
    if said.status not in STATED or not all(n.is_finite() and n >= ZERO for n in numbers):
        return f"{whole}: not a statement; ask the venue"
    for fill in said.fills:
        if not _sound(fill):
            return f"{whole}: fill {fill.fill_id} is {fill.size} @ {fill.price}, fee {fill.fee}; ask the venue"
    return ""


def _sound(fill: VenueFill) -> bool:
    numbers = (fill.price, fill.size, fill.fee)
    return all(n.is_finite() for n in numbers) and fill.price > ZERO and fill.size > ZERO and fill.fill_id != ""
