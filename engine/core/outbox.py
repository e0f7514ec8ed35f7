"""What the world must still do for the recorded state: derived from it, so that a crash cannot lose it (DESIGN 4)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from msgspec import Struct

from engine.core.foreign import OWNER
from engine.core.rounding import Refusal
from engine.core.state import State
from engine.model.account import Execution
from engine.model.order import AT_VENUE, Order, OrderStatus


class Submit(Struct, frozen=True):
    """Place an order whose OrderSent is recorded. Carried out once; what may have left is never sent again blind."""

    order: str


class Cancel(Struct, frozen=True):
    """Take an order out of the venue's book."""

    order: str


class Amend(Struct, frozen=True):
    """Change a working order; None keeps."""

    order: str
    price: Decimal | None
    size: Decimal | None


class Query(Struct, frozen=True):
    """Ask for an order of unknown outcome by its client id, again and again until the venue's answer ends it."""

    order: str


Work = Submit | Cancel | Amend | Query


def outbox(state: State) -> Iterator[Work]:
    """All that is due now, oldest order first. The same state gives the same work."""
    for order in state.orders.values():
        if state.accounts[order.terms.account].execution is Execution.VENUE:
            yield from due_of(order)


def due_of(order: Order) -> Iterator[Work]:
    """What is due for one live order of an account whose venue carries its orders out."""
    if order.status is OrderStatus.SENT:
        yield Submit(order.terms.id)
    elif order.status is OrderStatus.UNKNOWN:
        yield Query(order.terms.id)
    if order.status not in AT_VENUE:
        return
    if order.cancel_requested:
        yield Cancel(order.terms.id)
    elif order.amending is not None:
        yield Amend(order.terms.id, *order.amending)


def may_leave(state: State, order_id: str, halted: str = "") -> Refusal | None:
    """Why an order whose Submit is due must not leave any more; asked right before every attempt (invariant 8).

    `halted`: why the engine refuses entries, as the desk was told by Halt. What reduces a position always may.
    """
    order = state.orders.get(order_id)
    if order is None or order.status is not OrderStatus.SENT or order.terms.owner == OWNER:
        return Refusal("NOT_DUE", f"order {order_id} is not on its way (any more)")
    if order.cancel_requested:
        return Refusal("CANCELLED", f"order {order_id} was cancelled before it left")
    return _entries_wait(state, order, halted)


def may_change(state: State, order_id: str, halted: str = "") -> Refusal | None:
    """Why an amend that is due must not leave any more: it could add exposure when entries are stopped."""
    order = state.orders.get(order_id)
    if order is None or order.amending is None:
        return Refusal("NOT_DUE", f"order {order_id} is not to be amended (any more)")
    return _entries_wait(state, order, halted)


def _entries_wait(state: State, order: Order, halted: str) -> Refusal | None:
    terms = order.terms
    if terms.reduce_only:
        return None
    if state.kill:
        return Refusal("KILL_SWITCH", "the kill switch came on before it left")
    if halted:
        return Refusal("HALTED", f"entries were halted before it left: {halted}")
    if terms.account in state.flattening:
        return Refusal("FLATTENING", f"everything of {terms.account} is being closed, since before it left")
    return None
