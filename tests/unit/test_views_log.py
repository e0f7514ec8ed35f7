"""The words of the log for orders."""

from __future__ import annotations

from engine.model import event as ev
from engine.model.account import Execution
from engine.model.order import OrderStatus, OrderType
from engine.views.log import log_line
from tests.kit import BUY, Bench


def said(at: Bench) -> list[str]:
    """What the log says of accepted orders, each while its order is known."""
    lines = []
    for event in at.events:
        if isinstance(event.body, ev.OrderAccepted):
            line = log_line(at.desk.state, event)
            assert line is not None
            lines.append(line.text)
    return lines


def test_only_an_order_with_a_price_is_called_resting() -> None:
    at = Bench(execution=Execution.VENUE)
    at.market("61000")
    at.place(BUY, "0.01")
    at.said(at.last_order, OrderStatus.ACCEPTED)
    at.place(BUY, "0.01", OrderType.LIMIT, price="50000")
    at.said(at.last_order, OrderStatus.ACCEPTED)
    market, limit = said(at)
    assert market.startswith("accepted ")
    assert limit.startswith("resting ")
