"""What a venue still tells of an order that ended here: its fills are booked, once, and nothing else comes of it."""

from __future__ import annotations

import pytest

from engine.core.inputs import Doubt, NoSuchOrder
from engine.core.outbox import outbox
from engine.core.state import KEEP_ENDED
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.account import Execution
from engine.model.order import Order, OrderStatus, OrderType
from engine.model.report import VenueFill, VenueOrder, VenuePosition
from tests.kit import BUY, SECOND, SELL, Bench, D, Replayed, alarms, bodies, fill, statement

S = OrderStatus


@pytest.fixture
def bench() -> Bench:
    bench = Bench(balance="100000", execution=Execution.VENUE)
    bench.market("60000")
    return bench


def ended(bench: Bench) -> Order:
    bench.place(BUY, "1", OrderType.LIMIT, price="59000")
    order = bench.last_order
    bench.said(order, S.ACCEPTED)
    bench.said(order, S.CANCELLED)
    return order


def test_a_lost_fill_of_an_ended_order_leaves_nothing_that_nobody_asks_for(bench: Bench) -> None:
    order = ended(bench)
    events = bench.said(order, S.CANCELLED, "0.3", fill("t2", "59000", "0.2"))
    assert alarms(events) == ["LATE_FILL"]
    assert bench.size == D("0.2")
    assert order.status is S.CANCELLED
    assert bench.state.unknown == {}
    assert list(outbox(bench.state)) == []
    assert bodies(bench.place(BUY, "0.1"), ev.RiskApproved)


def test_the_lost_fill_of_an_ended_order_is_booked_when_it_comes(bench: Bench) -> None:
    order = ended(bench)
    bench.said(order, S.CANCELLED, "0.3", fill("t2", "59000", "0.2"))
    bench.said(order, S.CANCELLED, "0.3", fill("t1", "59000", "0.1"), fill("t2", "59000", "0.2"))
    assert bench.size == D("0.3")
    assert order.status is S.CANCELLED
    replayed = Replayed()
    replayed.read(bench.events)
    assert replayed.equals(bench.state)


def test_an_order_that_was_attested_and_lives_is_said_and_not_lost_again(bench: Bench) -> None:
    bench.place(BUY, "1", OrderType.LIMIT, price="59000")
    order = bench.last_order
    bench.handle(Doubt(bench.now, order.id, "timed out"))
    bench.ask(cmd.AttestOrder, order=order.id, reason="seen", filled=D("0.2"), price=D(59000))
    bench.said(order, S.PARTIAL, "0.2", fill("t1", "59000", "0.2"))
    bench.said(order, S.PARTIAL, "0.3", fill("t2", "59000", "0.1"))
    bench.now += SECOND
    here = VenuePosition(order.terms.instrument, D("0.4"), D(59000))
    events = bench.stands(here, orders=(statement(order, S.PARTIAL, "0.4"),))
    assert alarms(events) == ["ENDED_HERE", "POSITION_DIFFERS"]
    assert bench.state.unknown == {}


def test_a_late_fill_of_a_stop_does_not_set_a_second_one(bench: Bench) -> None:
    bench.place(BUY, "1", stop_loss="59000")
    bench.said(bench.last_order, S.FILLED, "1", fill("t1", "60000", "1"))
    bench.market("58990")
    (stop,) = bench.live()
    bench.said(stop, S.CANCELLED)
    assert bench.sizes(OrderType.STOP) == [D(1)]
    bench.said(stop, S.CANCELLED, "0.1", fill("t2", "58990", "0.1"))
    assert bench.size == D("0.9")
    assert bench.sizes(OrderType.STOP) == [D("0.9")]


def test_a_fill_of_an_order_that_never_arrived_is_booked_once_although_it_is_listed_too(bench: Bench) -> None:
    bench.place(BUY, "1", OrderType.LIMIT, price="59000")
    order = bench.last_order
    bench.handle(Doubt(bench.now, order.id, "timed out"))
    bench.handle(NoSuchOrder(bench.now, order.id, "no such order"))
    assert order.status is S.REJECTED
    whole = statement(order, S.PARTIAL, "0.3", fill("t1", "59000", "0.3"))
    bench.hear(whole)
    here = VenuePosition(order.terms.instrument, D("0.3"), D(59000))
    told = []
    for _ in range(3):
        bench.now += SECOND
        told += alarms(bench.stands(here, orders=(whole,)))
        assert bench.size == D("0.3")
    assert told == ["ENDED_HERE"]


def test_an_order_the_venue_stated_as_filled_is_not_taken_as_never_arrived(bench: Bench) -> None:
    """A list of open orders says how much is filled and brings no fills."""
    bench.place(BUY, "1", OrderType.LIMIT, price="59000")
    order = bench.last_order
    bench.handle(Doubt(bench.now, order.id, "timed out"))
    bench.said(order, S.PARTIAL, "0.3")
    assert bench.said(order, S.PARTIAL, "0.3") == []
    assert alarms(bench.handle(NoSuchOrder(bench.now, order.id, "no such order"))) == ["NO_SUCH_ORDER"]
    assert order.status is S.UNKNOWN
    bench.said(order, S.PARTIAL, "0.3", fill("t1", "59000", "0.3"))
    assert (order.status, bench.size) == (S.PARTIAL, D("0.3"))


# --- Orders that are let go of ---------------------------------------------------------------------------


def end_others(bench: Bench, most: int) -> None:
    """Orders that are denied, until so many are kept."""
    bench.now += SECOND
    while len(bench.state.ended) < most:
        bench.place(BUY, "1000")


def test_a_strangers_order_let_go_of_is_not_booked_again(bench: Bench) -> None:
    fills = (VenueFill("w1", D(60000), D("0.4"), time_ns=bench.now),)
    web = VenueOrder("web-1", "v1", bench.instruments[0].id, BUY, S.FILLED, D("0.4"), D("0.4"), fills=fills)
    bench.hear(web)
    end_others(bench, KEEP_ENDED * 9 // 8)
    bench.place(BUY, "1000")
    assert len(bench.state.ended) == KEEP_ENDED
    assert bench.hear(web) == []
    assert bench.size == D("0.4")
    newer = (VenueFill("w2", D(60000), D("0.1"), time_ns=bench.now),)
    bench.hear(VenueOrder("web-2", "v2", bench.instruments[0].id, BUY, S.FILLED, D("0.1"), D("0.1"), fills=newer))
    assert bench.size == D("0.5")


def test_late_fills_of_the_oldest_order_kept_are_booked_although_they_end_others(bench: Bench) -> None:
    bench.place(BUY, "0.1", OrderType.LIMIT, price="59000")
    order = bench.last_order
    bench.place(SELL, "0.04")
    short = bench.last_order
    bench.said(order, S.CANCELLED)
    bench.said(short, S.FILLED, "0.04", fill("s1", "60000", "0.04"))
    bench.place(BUY, "0.04", OrderType.STOP, trigger="61000", reduce_only=True)
    end_others(bench, KEEP_ENDED * 9 // 8)
    assert next(iter(bench.state.ended)) == order.id
    bench.said(order, S.CANCELLED, "0.1", fill("b1", "59000", "0.04"), fill("b2", "59000", "0.06"))
    assert bench.size == D("0.06")
    assert len(bench.state.ended) == KEEP_ENDED
    replayed = Replayed()
    replayed.read(bench.events)
    assert replayed.equals(bench.state)
