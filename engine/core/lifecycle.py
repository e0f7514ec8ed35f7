"""Moves of a single order: created, held, sent, resized, cancelled, expired. Every move is an event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from engine.core.arming import arm_order
from engine.core.kernel import Due, Kernel, share
from engine.model import event as ev
from engine.model.account import Execution
from engine.model.market import Side, Top
from engine.model.money import ZERO
from engine.model.order import AT_VENUE, Order, OrderTerms

ARRIVE, VENUE = Due.ARRIVE, Execution.VENUE
BOTH = tuple(Side)


def create(kernel: Kernel, terms: OrderTerms, reserve: Decimal = ZERO, top: Top | None = None) -> Order:
    """Make the order a fact; provably unsent."""
    journal = kernel.journal
    venue = kernel.state.accounts[terms.account].venue
    body = ev.OrderCreated(terms, reserve, top)
    journal.emit(body, terms.account, venue, terms.instrument, terms.owner, terms.request_id)
    if terms.reduce_only:
        kernel.note_exit(terms)
    if terms.expire_ns is not None:
        kernel.at(terms.expire_ns, Due.EXPIRE, terms.id)
    return kernel.state.orders[terms.id]


def hold(kernel: Kernel, order: Order) -> None:
    """Keep the order here until its trigger fires."""
    kernel.journal.emit_order(order, ev.OrderHeld(order.terms.id))
    kernel.fitting.discard((order.terms.account, order.terms.instrument))
    arm_order(kernel, order)


def send(kernel: Kernel, order: Order) -> None:
    """The order leaves: through the outbox, or for the paper book, where it arrives after its latency."""
    terms = order.terms
    kernel.journal.emit_order(order, ev.OrderSent(terms.id))
    if terms.reduce_only:
        kernel.fitting.discard((terms.account, terms.instrument))
    if kernel.state.accounts[terms.account].execution is not VENUE:
        kernel.after(kernel.latency(terms.instrument, terms.id), ARRIVE, terms.id)


def at_venue(kernel: Kernel, order: Order) -> bool:
    """A real venue has it, or may have: what becomes of it is asked for there and never decided here."""
    return order.status in AT_VENUE and kernel.state.accounts[order.terms.account].execution is VENUE


def request_cancel(kernel: Kernel, order: Order, reason: str) -> None:
    """Cancel on request: a held order at once, one at the venue after the way there. Repeats do nothing."""
    if order.status not in AT_VENUE:
        withdraw(kernel, order, reason)
    elif not order.cancel_requested:
        terms = order.terms
        kernel.journal.emit_order(order, ev.CancelRequested(terms.id))
        if kernel.state.accounts[terms.account].execution is not VENUE:
            kernel.after(kernel.latency(terms.instrument, f"{terms.id}/cancel"), Due.CANCEL, terms.id)


def let_go(kernel: Kernel, order: Order, reason: str) -> None:
    """It has nothing left to do: a venue is asked to cancel it, any other ends at once."""
    if at_venue(kernel, order):
        request_cancel(kernel, order, reason)
    else:
        withdraw(kernel, order, reason)


def withdraw(kernel: Kernel, order: Order, reason: str) -> None:
    """End an order at once: a held one, or one the venue itself takes out."""
    if not order.ended:
        _take_out(kernel, order)
        kernel.journal.emit_order(order, ev.OrderCancelled(order.terms.id, reason))


def expire(kernel: Kernel, order: Order, reason: str) -> None:
    """Its time in force ended it."""
    if not order.ended:
        _take_out(kernel, order)
        kernel.journal.emit_order(order, ev.OrderExpired(order.terms.id, reason))


def resize(kernel: Kernel, order: Order, size: Decimal, reason: str) -> None:
    """Change the whole size asked for, keeping the place in the queue when it shrinks; one with nothing left is let go.

    One at a venue stays as large as it is: the venue itself keeps reduce-only within the position.
    """
    if size <= order.filled:
        let_go(kernel, order, reason)
        return
    if size == order.size or at_venue(kernel, order):
        return
    kernel.fitting.discard((order.terms.account, order.terms.instrument))
    reserve = share(order.reserve, size - order.filled, order.remaining)
    kernel.journal.emit_order(order, ev.OrderResized(order.terms.id, size, reason, reserve))
    market = kernel.market(order.terms.instrument)
    if market.matcher.resting(order.terms.id) is not None:
        market.matcher.amend(order.terms.id, None, order.remaining)
        market.set_band()


def live_exits(kernel: Kernel, account: str, instrument: str) -> list[Order]:
    """Live reduce-only orders of an instrument, oldest first."""
    ids = kernel.exits.get((account, instrument))
    if not ids:
        return []
    orders = kernel.state.orders
    live = [orders[order_id] for order_id in ids if order_id in orders]
    if len(live) < len(ids):
        for order_id in [order_id for order_id in ids if order_id not in orders]:
            key = (account, instrument, ids.pop(order_id))
            siblings = kernel.siblings[key]
            del siblings[order_id]
            if not siblings:
                del kernel.siblings[key]
    return live


def live_entries(kernel: Kernel, account: str, instrument: str, sides: Iterable[Side] = BOTH) -> Iterator[Order]:
    """Live orders of these sides that may open or add, oldest first; looked for only where some are known to work."""
    known = kernel.state.accounts[account]
    sides, mine = [side for side in sides if known.working(instrument, side)], (account, False)
    if sides:
        for order in kernel.state.orders.values():
            terms = order.terms
            if terms.instrument == instrument and terms.side in sides and (terms.account, terms.reduce_only) == mine:
                yield order


def exits_of(kernel: Kernel, account: str, instrument: str, parent: str) -> list[Order]:
    """The live ones of one entry's bracket, oldest first; without a parent, those set on the position or by hand."""
    orders = kernel.state.orders
    return [
        orders[order_id] for order_id in kernel.siblings.get((account, instrument, parent), ()) if order_id in orders
    ]


def alternatives(kernel: Kernel, order: Order) -> list[Order]:
    """The other live orders of its group, oldest first."""
    terms = order.terms
    if not terms.group:
        return []
    exits = exits_of(kernel, terms.account, terms.instrument, terms.parent)
    return [other for other in exits if other.terms.group == terms.group and other is not order]


def _take_out(kernel: Kernel, order: Order) -> None:
    market = kernel.market(order.terms.instrument)
    market.triggers.disarm(order.terms.id)
    market.matcher.cancel(order.terms.id)
    market.set_band()
