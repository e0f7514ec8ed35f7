"""One table of order states, enforced: semantics 10, one test per arrow."""

from __future__ import annotations

from decimal import Decimal
from itertools import product

import pytest

from engine.core.fold import fold, move
from engine.core.state import State
from engine.model import event as ev
from engine.model.account import Account
from engine.model.event import Event
from engine.model.order import (
    AT_VENUE,
    ENDED,
    TRANSITIONS,
    IllegalTransition,
    Order,
    OrderStatus,
    OrderTerms,
    OrderType,
)
from tests.kit import BUY, SELL, Bench

S = OrderStatus
D = Decimal
ARROWS = """
CREATED -> DENIED HELD SENT CANCELLED
HELD -> SENT CANCELLED EXPIRED
SENT -> ACCEPTED REJECTED UNKNOWN TRIGGERED PARTIAL FILLED CANCELLED EXPIRED
ACCEPTED -> TRIGGERED PARTIAL FILLED CANCELLED EXPIRED REJECTED UNKNOWN
TRIGGERED -> TRIGGERED PARTIAL FILLED CANCELLED EXPIRED REJECTED UNKNOWN
PARTIAL -> PARTIAL FILLED CANCELLED EXPIRED UNKNOWN
UNKNOWN -> SENT ACCEPTED TRIGGERED PARTIAL FILLED CANCELLED EXPIRED REJECTED
CANCELLED -> PARTIAL FILLED
EXPIRED -> PARTIAL FILLED
FILLED ->
REJECTED ->
DENIED ->
"""
ALLOWED = {
    (S(before.strip()), S(after))
    for before, afters in (line.split("->") for line in ARROWS.strip().splitlines())
    for after in afters.split()
}


def order_in(status: OrderStatus) -> Order:
    terms = OrderTerms("O1", "c1", "main", "sim.perp:BTCUSDT", BUY, OrderType.LIMIT, D(1), price=D(60000))
    return Order(terms, status=status, size=D(1), price=D(60000))


@pytest.mark.parametrize(("before", "after"), sorted(ALLOWED), ids=str)
def test_an_arrow_of_the_table_is_allowed(before: OrderStatus, after: OrderStatus) -> None:
    order = order_in(before)
    move(order, after)
    assert order.status is after


@pytest.mark.parametrize(("before", "after"), sorted(set(product(S, S)) - ALLOWED), ids=str)
def test_every_other_move_is_an_error_and_changes_nothing(before: OrderStatus, after: OrderStatus) -> None:
    order = order_in(before)
    with pytest.raises(IllegalTransition, match=f"O1: {before} -> {after} is not allowed"):
        move(order, after)
    assert order.status is before


def test_the_table_is_whole() -> None:
    assert {(before, after) for before, afters in TRANSITIONS.items() for after in afters} == ALLOWED
    assert set(TRANSITIONS) == set(S)
    assert set(S) == ENDED | AT_VENUE | {S.CREATED, S.HELD}


def body_to(status: OrderStatus) -> ev.AnyBody:
    return {
        S.DENIED: ev.OrderDenied("O1", "CODE", "why"),
        S.HELD: ev.OrderHeld("O1"),
        S.SENT: ev.OrderSent("O1"),
        S.ACCEPTED: ev.OrderAccepted("O1", "v1"),
        S.REJECTED: ev.OrderRejected("O1", "CODE", "why"),
        S.CANCELLED: ev.OrderCancelled("O1", "why"),
        S.EXPIRED: ev.OrderExpired("O1", "why"),
        S.UNKNOWN: ev.OrderUnknown("O1", "timeout"),
    }[status]


@pytest.mark.parametrize(
    ("before", "after"),
    sorted(arrow for arrow in product(S, S) if arrow[1] not in (S.CREATED, S.TRIGGERED, S.PARTIAL, S.FILLED)),
    ids=str,
)
def test_events_move_orders_by_the_table_alone(before: OrderStatus, after: OrderStatus) -> None:
    order = order_in(before)
    state = State(accounts={"main": Account("main", "sim")})
    (state.ended if before in ENDED else state.orders)["O1"] = order
    event = Event(1, 5, "main", "sim", order.terms.instrument, "hand", "r1", 0, 1, body_to(after))
    if (before, after) not in ALLOWED:
        with pytest.raises(IllegalTransition):
            fold(state, event)
        assert state.seq == 0
        return
    fold(state, event)
    assert order.status is after
    assert ("O1" in state.ended) is (after in ENDED)
    assert ("O1" in state.orders) is (after not in ENDED)


def test_an_order_is_created_sent_accepted_part_filled_and_filled() -> None:
    bench = Bench()
    bench.market("60000")
    bench.place(BUY, "0.1", OrderType.LIMIT, price="59990", leverage=10)
    order = bench.last_order
    seen = [order.status]
    bench.wait()
    seen.append(order.status)
    for _ in range(2):
        bench.trade("59989", "0.05", SELL)
        seen.append(order.status)
    assert seen == [S.SENT, S.ACCEPTED, S.PARTIAL, S.FILLED]


def test_sent_is_recorded_with_created_before_anything_can_leave() -> None:
    bench = Bench()
    bench.market("60000")
    types = [event.type for event in bench.place(BUY, "0.01", leverage=10)]
    assert types[-2:] == ["OrderCreated", "OrderSent"]


def test_an_order_that_was_never_sent_ends_at_a_restart() -> None:
    """CREATED is provably unsent."""
    bench = Bench()
    bench.market("60000")
    bench.place(BUY, "0.01", OrderType.LIMIT, price="59000", leverage=10)
    created = next(e for e in bench.events if e.type == "OrderCreated")
    state = State()
    for event in bench.events[: bench.events.index(created) + 1]:
        fold(state, event)
    bench.desk = type(bench.desk)(state)
    bench.start()
    assert bench.state.ended["O1"].status is S.CANCELLED
    assert bench.account.reserves["USDT"] == 0
