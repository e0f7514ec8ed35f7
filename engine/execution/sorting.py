"""What a failed call means for the order it was about: told to the core, or None when it is simply tried again."""

from __future__ import annotations

from engine.core.inputs import (
    AmendRefused,
    Asked,
    CancelRefused,
    Doubt,
    NoSuchOrder,
    OrderSaid,
    VenueInput,
)
from engine.feeds.base import explain
from engine.model.order import Order, OrderStatus
from engine.model.report import VenueOrder
from engine.venues.errors import NotFound, RateLimited, Refused, Unreachable, VenueError


def never_left(error: VenueError) -> bool:
    """The venue provably has not taken it up: the same may be sent again."""
    return isinstance(error, Unreachable | RateLimited)


def submit_failed(error: VenueError, order: Order, now_ns: int) -> VenueInput | None:
    """A refusal rejects what nobody has heard of; where the stream told of the order meanwhile, it does not."""
    terms, sent = order.terms, order.status is OrderStatus.SENT
    if never_left(error):
        return None
    if isinstance(error, Refused):
        if not sent:
            return Doubt(now_ns, terms.id, f"the submit was refused although the venue has it: {explain(error)}")
        said = VenueOrder(
            client_id=terms.client_id,
            venue_order_id="",
            instrument=terms.instrument,
            side=terms.side,
            status=OrderStatus.REJECTED,
            size=order.size,
            price=order.price,
            reduce_only=terms.reduce_only,
            reason=explain(error),
        )
        return OrderSaid(now_ns, terms.account, said)
    return Doubt(now_ns, terms.id, f"submit: {explain(error)}") if sent else None


def cancel_failed(error: VenueError, order: Order, now_ns: int) -> VenueInput | None:
    """Of an order that is unknown already, only a query tells; its cancel goes on."""
    if never_left(error) or order.status is OrderStatus.UNKNOWN:
        return None
    if isinstance(error, Refused) and not isinstance(error, NotFound):
        return CancelRefused(now_ns, order.terms.id, explain(error))
    return Doubt(now_ns, order.terms.id, f"cancel: {explain(error)}")


def amend_failed(error: VenueError, order: Order, now_ns: int) -> VenueInput | None:
    """As a cancel, except that a refusal ends it whatever the order is."""
    if never_left(error):
        return None
    if isinstance(error, Refused) and not isinstance(error, NotFound):
        return AmendRefused(now_ns, order.terms.id, explain(error))
    unknown = order.status is OrderStatus.UNKNOWN
    return None if unknown else Doubt(now_ns, order.terms.id, f"amend: {explain(error)}")


def query_failed(error: VenueError, order: Order, now_ns: int, *, late: bool) -> VenueInput:
    """Only the venue's own "no such order", too late for it to be on its way still, says that there is none."""
    if not isinstance(error, NotFound):
        return Asked(now_ns, order.terms.id, explain(error))
    if late:
        return NoSuchOrder(now_ns, order.terms.id, explain(error))
    return Asked(now_ns, order.terms.id, f"{explain(error)}, within its grace")
