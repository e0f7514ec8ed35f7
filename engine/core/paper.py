"""The paper venue: orders that reached its book are matched, queued, cancelled there (semantics 6)."""

from __future__ import annotations

from collections.abc import Iterable

from engine.core.brackets import cap_reduce_only, rearm_rest
from engine.core.fills import record_fill
from engine.core.kernel import Due, Kernel
from engine.core.lifecycle import at_venue, expire, request_cancel, resize, withdraw
from engine.core.margin import reserve
from engine.core.market import Market
from engine.core.matching import Arrival, MakerFill, Outcome
from engine.core.plan import sweep
from engine.core.positions import clip_reduce_only
from engine.model import event as ev
from engine.model.instrument import ReduceOnlyPolicy
from engine.model.market import StreamState
from engine.model.money import ZERO
from engine.model.order import Order, OrderStatus

RETRY_NS = 100_000_000
"""How long an order waits for a market that has no price yet."""
_DEAD = frozenset({StreamState.SILENT, StreamState.DOWN, StreamState.ENDED})
_MATCHED_WITHOUT = frozenset({"mark", "trade"})
"""Streams that a taker's fill does not come from."""


def arrive(kernel: Kernel, order_id: str) -> None:
    """An order reaches the book."""
    order = kernel.state.orders.get(order_id)
    if order is None or order.status is not OrderStatus.SENT:
        return
    terms = order.terms
    if not terms.reduce_only and terms.account in kernel.state.flattening:
        withdraw(kernel, order, "flatten all")
        return
    market = kernel.market(terms.instrument)
    if market.quote is None:
        kernel.after(RETRY_NS, Due.ARRIVE, order_id)
        return
    if not terms.reduce_only and (stale := _stale(kernel, market)):
        withdraw(kernel, order, stale)
        return
    if not (_fit_reduce_only(kernel, order) if terms.reduce_only else _affords(kernel, market, order)):
        return
    limit = order.price if terms.type.has_price else None
    arrival = market.matcher.arrive(terms.id, terms.side, order.remaining, limit, terms.tif, terms.post_only)
    if not arrival.fills and arrival.outcome is Outcome.RESTS:
        kernel.journal.emit_order(order, ev.OrderAccepted(terms.id, terms.id))
    _record_arrival(kernel, market, order, arrival)
    if terms.reduce_only and arrival.outcome is Outcome.RESTS:
        cap_reduce_only(kernel, terms.account, terms.instrument)


def amend_resting(kernel: Kernel, order: Order) -> None:
    """Bring a resting order's place in the book in line with its amended price and size; it may cross."""
    market = kernel.market(order.terms.instrument)
    if market.matcher.resting(order.terms.id) is not None:
        arrival = market.matcher.amend(order.terms.id, order.price, order.remaining)
        _record_arrival(kernel, market, order, arrival)


def _record_arrival(kernel: Kernel, market: Market, order: Order, arrival: Arrival) -> None:
    if arrival.fills and (stale := _stale(kernel, market)):
        message = f"{order.terms.id} fills on the last book that is known: {stale}; compare with the venue's price"
        kernel.journal.emit_order(order, ev.AlarmRaised("STALE_FILL", message))
    spare = ZERO
    for take in arrival.fills:
        # A fill may clip the order it belongs to, where another exit stands nearer to the market.
        if size := min(take.size, order.remaining if not order.ended else ZERO):
            spare = record_fill(kernel, order, take.price, size, maker=False, spare=spare)
    rest = order.remaining
    if arrival.outcome is Outcome.CANCELLED:
        withdraw(kernel, order, arrival.reason)
    elif arrival.outcome is Outcome.EXPIRED:
        expire(kernel, order, arrival.reason)
    if rest and arrival.outcome is Outcome.CANCELLED:
        rearm_rest(kernel, order, rest)
    market.set_band()


def cancel(kernel: Kernel, order_id: str) -> None:
    """A requested cancel reaches the book."""
    order = kernel.state.orders.get(order_id)
    if order is not None:
        withdraw(kernel, order, order.reason or "cancelled on request")


def expire_at(kernel: Kernel, order_id: str) -> None:
    """A good-till-date order's time has come."""
    order = kernel.state.orders.get(order_id)
    if order is None:
        return
    if at_venue(kernel, order):
        request_cancel(kernel, order, "good till date reached")
    else:
        expire(kernel, order, "good till date reached")


def record_makers(kernel: Kernel, market: Market, fills: Iterable[MakerFill]) -> None:
    """Resting orders were hit."""
    for fill in fills:
        order = kernel.state.orders.get(fill.order_id)
        if order is not None:
            record_fill(kernel, order, fill.price, fill.size, maker=True)
    market.set_band()


def put_back(kernel: Kernel, order: Order) -> None:
    """Put a recorded order back where it was after a restart: on its way, or at the back of its queue."""
    terms = order.terms
    market = kernel.market(terms.instrument)
    if order.status is OrderStatus.CREATED:
        withdraw(kernel, order, "not sent before the restart")
        return
    if at_venue(kernel, order):
        return  # the outbox holds what is still to be done for it
    if order.status is OrderStatus.SENT:
        kernel.after(kernel.latency(terms.instrument, terms.id), Due.ARRIVE, terms.id)
    elif order.price is not None:
        market.matcher.restore(order)
        market.set_band()
    if order.cancel_requested:
        kernel.after(kernel.latency(terms.instrument, f"{terms.id}/cancel"), Due.CANCEL, terms.id)


def _stale(kernel: Kernel, market: Market) -> str:
    """Why what the book shows may not be there any more; empty where it is fresh."""
    symbol = market.instrument.symbol
    for stream, state in market.streams.items() if market.broken else ():
        if state in _DEAD and stream not in _MATCHED_WITHOUT:
            return f"{stream} of {symbol} is {state}"
    age_ns = kernel.clock - market.quote.time_ns if market.quote is not None else 0
    if age_ns > kernel.state.limits.max_data_age_ns:
        return f"the price of {symbol} is {age_ns // 1_000_000_000} s old"
    return ""


def _affords(kernel: Kernel, market: Market, order: Order) -> bool:
    """An entry meets the market as it is now; what it takes must still be there, as a venue checks."""
    terms = order.terms
    instrument = market.instrument
    limit = order.price if terms.type.has_price else None
    taken, value, _ = sweep(market.book, terms.side, order.remaining, limit)
    if not taken or terms.post_only:
        return True
    leverage = kernel.leverage(terms.account, terms.instrument)
    needs = reserve(instrument, taken, value / taken, leverage)
    if limit is not None:
        needs += reserve(instrument, order.remaining - taken, limit, leverage)
    free = kernel.state.accounts[terms.account].free(instrument.settle_asset) + order.reserve
    if needs <= free:
        return True
    reason = (
        f"size: needs {needs:.2f} of margin and fees at the price it met, {free:.2f} is there; choose a smaller one"
    )
    kernel.journal.emit_order(order, ev.OrderRejected(terms.id, "MARGIN", reason))
    return False


def _fit_reduce_only(kernel: Kernel, order: Order) -> bool:
    terms = order.terms
    position = kernel.state.position_of(terms.account, terms.instrument, terms.leg)
    most = clip_reduce_only(position, terms.side, order.remaining)
    if most == order.remaining:
        return True
    policy = kernel.instrument(terms.instrument).profile.reduce_only
    if not most or policy is ReduceOnlyPolicy.REJECT:
        reason = (
            "nothing to reduce" if not most else f"reduce-only {order.remaining} is larger than the position {most}"
        )
        kernel.journal.emit_order(order, ev.OrderRejected(terms.id, "REDUCE_ONLY", reason))
        return False
    resize(kernel, order, order.filled + most, "clipped to the position")
    return True
