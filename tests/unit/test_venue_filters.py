"""A venue takes whole ticks and steps, and so much at once: what leaves a position keeps to that, whatever it was made of."""

from __future__ import annotations

import pytest

from engine.core.inputs import Listed
from engine.model import command as cmd
from engine.model.account import Execution
from engine.model.order import Order, OrderStatus, OrderType
from tests.kit import BUY, SECOND, SELL, Bench, D, Replayed, fill, instrument

S = OrderStatus


@pytest.fixture
def bench() -> Bench:
    """Long 0.115."""
    bench = Bench(balance="100000", execution=Execution.VENUE)
    bench.market("60000")
    bench.stands()
    bench.place(BUY, "0.115")
    filled(bench)
    return bench


def filled(bench: Bench, order: Order | None = None) -> Order:
    """An order fills, without one the last."""
    order = order or bench.last_order
    bench.said(order, S.FILLED, str(order.size), fill(f"{order.id}f", "60000", str(order.remaining)))
    return order


def test_a_position_that_a_new_step_does_not_divide_is_closed_but_for_less_than_a_step(bench: Bench) -> None:
    bench.handle(Listed(bench.now, instrument(step=D("0.01"))))
    bench.ask(cmd.ClosePosition, position=bench.position.id)
    assert filled(bench).size == D("0.11")
    bench.ask(cmd.ClosePosition, position=bench.position.id)
    assert bench.last_order.size == D("0.005")


def test_a_flattening_closes_in_parts_what_is_too_much_at_once(bench: Bench) -> None:
    bench.handle(Listed(bench.now, instrument(max_size=D("0.05"))))
    bench.ask(cmd.FlattenAll)
    bench.wait(SECOND)
    assert bench.sizes(OrderType.MARKET) == [D("0.05"), D("0.05"), D("0.015")]
    for order in bench.live():
        filled(bench, order)
    bench.stands()
    assert (bench.size, bench.state.flattening) == (0, {})


def test_a_stop_fires_in_steps_and_ticks_that_hold_now(bench: Bench) -> None:
    bench.place(SELL, "0.115", OrderType.STOP_LIMIT, trigger="59000", price="58990.1", reduce_only=True)
    stop = bench.last_order
    bench.handle(Listed(bench.now, instrument(tick=D("0.5"), step=D("0.01"))))
    bench.market("58999")
    assert (stop.status, stop.size, stop.price) == (S.SENT, D("0.11"), D("58990.5"))
    assert bench.live() == [stop]


def test_a_stop_that_is_too_much_at_once_fires_in_parts(bench: Bench) -> None:
    bench.ask(cmd.SetProtection, position=bench.position.id, stop_loss=D(59000))
    bench.handle(Listed(bench.now, instrument(max_size=D("0.05"))))
    sizes = []
    for _ in range(3):
        bench.market("58990")
        assert sum(bench.sizes(OrderType.STOP)) == bench.size
        sizes += [filled(bench, order).size for order in bench.live() if order.status is S.SENT]
    assert bench.size == 0
    assert sizes == [D("0.05"), D("0.05"), D("0.015")]
    replayed = Replayed()
    replayed.read(bench.events)
    assert replayed.equals(bench.state)


def test_what_a_stop_leaves_for_later_outlives_the_fill_of_its_first_part(bench: Bench) -> None:
    """Also of a stop that has a group to itself: its entry filled more after the first one had fired."""
    bench.place(BUY, "0.05", stop_loss="59000")
    entry = bench.last_order
    bench.said(entry, S.PARTIAL, "0.01", fill("a", "60000", "0.01"))
    bench.market("58990")
    first = bench.live(OrderType.STOP)[0]
    bench.market("60000")
    bench.said(entry, S.FILLED, "0.05", fill("b", "60000", "0.04"))
    filled(bench, first)
    bench.handle(Listed(bench.now, instrument(max_size=D("0.03"))))
    bench.market("58990")
    (second,) = (order for order in bench.live() if order.status is S.SENT)
    filled(bench, second)
    assert bench.sizes(OrderType.STOP) == [D("0.01")]


def test_a_stop_entry_that_fires_in_other_steps_sets_aside_what_that_takes(bench: Bench) -> None:
    bench.place(BUY, "0.115", OrderType.STOP, trigger="61000")
    entry = bench.last_order
    aside = bench.account.reserves["USDT"]
    bench.handle(Listed(bench.now, instrument(step=D("0.01"))))
    bench.market("61001")
    assert (entry.status, entry.size) == (S.SENT, D("0.11"))
    assert bench.account.reserves["USDT"] == entry.reserve == aside * D("0.11") / D("0.115")
    assert bench.account.working(entry.terms.instrument, BUY) == D("0.11")
