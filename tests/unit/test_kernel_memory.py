"""What a kernel keeps of orders is bounded by those that are live, however many there were."""

from __future__ import annotations

from engine.core.kernel import KEEP_HEARD
from engine.model.account import Execution
from engine.model.order import OrderStatus, OrderType
from tests.kit import BUY, Bench


def test_cancels_that_a_venue_refused_are_forgotten_with_their_orders() -> None:
    at = Bench(execution=Execution.VENUE)
    at.market("61000")
    at.place(BUY, "0.01", OrderType.LIMIT, price="50000")
    at.said(at.last_order, OrderStatus.ACCEPTED)
    live, kernel = at.last_order.terms.id, at.desk.kernel
    for number in range(2 * KEEP_HEARD):
        kernel.refuse(f"gone-{number}")
    kernel.refuse(live)
    kernel.told(kernel.state.orders[live])
    assert len(kernel.heard) + len(kernel.refused) < 10
    assert kernel.patience(live) > 0
