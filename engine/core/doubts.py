"""Orders whose outcome is not known: how they get there, what is asked meanwhile, and what ends it (semantics 9, 10).

Only the venue's own statement of the order, its word that it never had it, or a person's recorded attestation ends it.
"""

from __future__ import annotations

from engine.core.alarm import raise_once
from engine.core.fills import apply_report
from engine.core.foreign import OWNER
from engine.core.inputs import AmendRefused, Asked, CancelRefused, Doubt, NoSuchOrder, NotSent
from engine.core.kernel import Due, Kernel
from engine.core.lifecycle import at_venue
from engine.core.reports import amended, protect_again, reject
from engine.core.rounding import Refusal
from engine.core.state import ATTESTED
from engine.core.unknown import live_order, unknown
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.account import Execution
from engine.model.money import ZERO, round_fee
from engine.model.order import Order, OrderStatus

SENT, UNKNOWN = OrderStatus.SENT, OrderStatus.UNKNOWN


def doubt(kernel: Kernel, given: Doubt) -> None:
    """An order may have left or changed, and nothing says what became of it."""
    order = _at_venue(kernel, given.order)
    if order is not None:
        lose(kernel, order, given.evidence)


def asked(kernel: Kernel, given: Asked) -> None:
    """The venue was asked in vain; it is counted, and decides nothing."""
    if given.order in kernel.state.unknown:
        kernel.journal.emit_order(kernel.state.orders[given.order], ev.OrderAsked(given.order, given.answer))


def no_such_order(kernel: Kernel, given: NoSuchOrder) -> None:
    """The venue's word ends an order that nothing shows to have been there; against what is known it proves nothing."""
    evidence = kernel.state.unknown.get(given.order)
    if evidence is None:
        return
    order = kernel.state.orders[given.order]
    if not (order.filled or order.venue_order_id or evidence.ended or evidence.filled or order.terms.owner == OWNER):
        reject(kernel, order, "NEVER_ARRIVED", given.answer)
        return
    kernel.journal.emit_order(order, ev.OrderAsked(order.id, given.answer))
    message = f"the venue had order {order.id} and now says: {given.answer}; look there, then attest what became of it"
    raise_once(kernel, order.terms.account, order.terms.instrument, "NO_SUCH_ORDER", message)


def not_sent(kernel: Kernel, given: NotSent) -> None:
    """It never left and will not: no venue has it."""
    order = kernel.state.orders.get(given.order)
    if order is None or order.status is not SENT:
        return
    if order.cancel_requested:
        kernel.journal.emit_order(order, ev.OrderCancelled(order.id, "cancelled before it left"))
    else:
        reject(kernel, order, given.code, given.reason)


def cancel_refused(kernel: Kernel, given: CancelRefused) -> None:
    """The venue would not cancel; the order goes on, unless its date has passed: then it is asked again."""
    order = _at_venue(kernel, given.order)
    if order is not None and order.cancel_requested:
        kernel.refuse(order.id)
        kernel.journal.emit_order(order, ev.CancelRejected(order.id, given.reason))
        date_ns = order.terms.expire_ns
        if date_ns is not None and date_ns <= kernel.clock:
            kernel.after(kernel.patience(order.id), Due.EXPIRE, order.id)


def amend_refused(kernel: Kernel, given: AmendRefused) -> None:
    """The venue would not amend; the order stands as it was."""
    order = _at_venue(kernel, given.order)
    if order is not None and order.amending is not None:
        kernel.journal.emit_order(order, ev.AmendRejected(order.id, given.reason))


def lose_what_was_sent(kernel: Kernel) -> None:
    """After a start nobody knows whether an order on its way got there (W7)."""
    for order in list(kernel.state.orders.values()):
        if order.status is SENT and kernel.state.accounts[order.terms.account].execution is Execution.VENUE:
            lose(kernel, order, "the engine restarted while it was on its way")


def attest(kernel: Kernel, account: str, command: cmd.AttestOrder) -> Refusal | None:
    """A person answers for an unknown order; it is recorded with the reason, booked, and ends the order."""
    order = live_order(kernel, account, command.order)
    if order is None:
        return unknown("order", command.order, kernel.state.orders)
    if refusal := not_attestable(kernel, order, command):
        return refusal
    filled, price = command.filled, command.price
    body = ev.OrderAttested(order.id, command.reason, filled, price)
    instrument = kernel.instrument(order.terms.instrument)
    kernel.journal.emit_account(account, body, instrument.id, command.owner, command.request_id)
    if order.amending is not None and order.remaining < filled <= order.at_worst:
        amended(kernel, order, *order.amending)  # nothing else made room for that much
    if filled and price is not None:
        fee = round_fee(price * filled * instrument.taker_fee)
        apply_report(kernel, order, ATTESTED, price, filled, fee, maker=False)
    kernel.told(order)
    if order.ended:
        return None
    rest = order.remaining
    if order.filled:
        kernel.journal.emit_order(order, ev.OrderCancelled(order.id, f"attested: {command.reason}"))
        protect_again(kernel, order, rest)
    else:
        reject(kernel, order, "ATTESTED", command.reason)
    return None


def not_attestable(kernel: Kernel, order: Order, command: cmd.AttestOrder) -> Refusal | None:
    """Why a person cannot answer for this order so; None where one can."""
    if order.status is not UNKNOWN:
        return Refusal("KNOWN", f"order: {order.id} is {order.status}; only one of unknown outcome can be attested")
    if not command.reason.strip():
        return Refusal("REASON", f"reason: say how you know what became of {order.id}; it is recorded")
    most = max(order.at_worst, kernel.state.unknown[order.id].filled - order.filled)
    if not ZERO <= command.filled <= most:
        return Refusal("FILLED", f"filled: {command.filled} is not within 0 and the {most} that may have been filled")
    if command.filled and (command.price is None or command.price <= ZERO):
        return Refusal("PRICE", f"price: {command.price}; give the average price at which {command.filled} was filled")
    return None


def lose(kernel: Kernel, order: Order, evidence: str) -> None:
    """Its outcome is not known any more; of one that was lost before, this is one more piece of evidence."""
    if order.status is UNKNOWN:
        kernel.journal.emit_order(order, ev.OrderAsked(order.id, evidence))
    else:
        kernel.journal.emit_order(order, ev.OrderUnknown(order.id, evidence))


def _at_venue(kernel: Kernel, order_id: str) -> Order | None:
    order = kernel.state.orders.get(order_id)
    return order if order is not None and at_venue(kernel, order) else None
