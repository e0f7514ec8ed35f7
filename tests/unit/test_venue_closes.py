"""Closing at a venue needs no prices of ours: the venue has its own book (semantics 5; promise 4)."""

from __future__ import annotations

import pytest

from engine.core.foreign import SETTLE_NS
from engine.core.inputs import CancelRefused, Doubt
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.account import Execution
from engine.model.order import Order, OrderStatus, OrderType, Role
from engine.model.report import VenueOrder, VenuePosition
from engine.views.preview import preview
from tests.kit import BUY, SECOND, SELL, Bench, D, alarms, bodies, fill, instrument, refusal

S = OrderStatus
ETH = instrument("ETHUSDT")


@pytest.fixture
def bench() -> Bench:
    """Long ETHUSDT at its venue."""
    made = Bench(instrument(), ETH, balance="100000", execution=Execution.VENUE)
    made.market("60000")
    made.quote("3000", "3000.1", of=ETH)
    made.mark("3000", of=ETH)
    made.place(BUY, "1", instrument=ETH.id)
    made.said(made.last_order, S.FILLED, "1", fill("t1", "3000", "1"))
    return made


@pytest.fixture(params=["no price yet", "not carried"])
def blind(bench: Bench, request: pytest.FixtureRequest) -> Bench:
    """Started again, without a price of it."""
    if request.param == "not carried":
        bench.instruments = bench.instruments[:1]
    bench.restart()
    return bench


def test_flattening_closes_without_a_price(blind: Bench) -> None:
    events = blind.ask(cmd.FlattenAll)
    assert alarms(events) == []
    assert blind.last_order.terms.role is Role.FLATTEN
    assert blind.last_order.status is S.SENT


def test_closing_by_hand_works_without_a_price(blind: Bench) -> None:
    assert not preview(blind.desk, cmd.ClosePosition(request_id="c", position=blind.position.id), blind.now).errors
    for events in (
        blind.ask(cmd.ClosePosition, position=blind.position.id),
        blind.place(SELL, "1", instrument=ETH.id, reduce_only=True),
        blind.place(SELL, "1", OrderType.LIMIT, instrument=ETH.id, price="3100", reduce_only=True),
    ):
        assert len(bodies(events, ev.OrderSent)) == 1


def test_a_stop_that_nothing_would_watch_is_refused(bench: Bench) -> None:
    bench.instruments = bench.instruments[:1]
    bench.restart()
    events = bench.place(SELL, "1", OrderType.STOP, instrument=ETH.id, trigger="2900", reduce_only=True)
    assert refusal(events)[0] == "NOT_CARRIED"


def test_a_venue_that_fills_nothing_is_not_run_down_by_a_flattening(bench: Bench) -> None:
    bench.ask(cmd.FlattenAll)
    made = bench.state.orders_made
    for _ in range(240):
        for order in bench.live():
            bench.said(order, S.EXPIRED)
        bench.wait(SECOND // 4)
    assert 3 <= bench.state.orders_made - made <= 8


def test_a_cancel_that_the_venue_refuses_is_asked_for_ever_more_slowly_while_flattening(bench: Bench) -> None:
    bench.place(BUY, "1", OrderType.LIMIT, instrument=ETH.id, price="2900")
    entry = bench.last_order
    bench.said(entry, S.ACCEPTED)
    asked = len(bodies(bench.ask(cmd.FlattenAll), ev.CancelRequested))
    for _ in range(240):
        if entry.cancel_requested:
            bench.handle(CancelRefused(bench.now, entry.id, "not now"))
        asked += len(bodies(bench.wait(SECOND // 4), ev.CancelRequested))
    assert 4 <= asked <= 8


def flat(bench: Bench) -> None:
    """ETHUSDT is sold, and the venue has nothing else."""
    bench.ask(cmd.ClosePosition, position=bench.position.id)
    bench.said(bench.last_order, S.FILLED, "1", fill("t2", "3000", "1"))
    bench.stands()


def test_a_flattening_closes_what_the_venue_holds_and_the_ledger_does_not_have_yet(bench: Bench) -> None:
    flat(bench)
    held = VenuePosition(ETH.id, D("0.4"), D(3000))
    bench.stands(held)
    bench.ask(cmd.FlattenAll)
    bench.wait(SETTLE_NS)
    bench.stands(held)
    bench.wait(SECOND)
    close = bench.last_order
    assert (close.terms.role, close.terms.side, close.size) == (Role.FLATTEN, SELL, D("0.4"))
    bench.said(close, S.FILLED, "0.4", fill("t3", "3000", "0.4"))
    bench.stands()
    assert not bench.state.flattening


def test_less_than_a_step_that_the_venue_refuses_to_close_keeps_no_flattening_open(bench: Bench) -> None:
    bench.ask(cmd.ClosePosition, position=bench.position.id)
    bench.said(bench.last_order, S.EXPIRED, "0.9996", fill("t2", "3000", "0.9996"))
    dust = VenuePosition(ETH.id, D("0.0004"), D(3000))
    bench.stands(dust)
    bench.ask(cmd.FlattenAll)
    close = bench.last_order
    assert (close.terms.role, close.size) == (Role.FLATTEN, D("0.0004"))
    assert bench.state.flattening
    bench.said(close, S.REJECTED)
    events = [*bench.wait(SECOND), *bench.stands(dust), *bench.wait(SECOND)]
    assert alarms(events) == ["DUST"]
    assert not bench.state.flattening
    assert bodies(bench.place(BUY, "0.001", instrument=bench.instruments[0].id), ev.OrderSent)


def test_a_flattening_ends_by_what_the_venue_says_after_all_that_was_heard(bench: Bench) -> None:
    bench.stands(VenuePosition(ETH.id, D(1), D(3000)))
    bench.ask(cmd.FlattenAll)
    close, asked_ns = bench.last_order, bench.now + 1  # after it began, and before the fill
    bench.said(close, S.FILLED, "1", fill("t2", "3000", "1"))
    bench.stands(asked_ns=asked_ns)
    assert bench.state.flattening
    held = VenuePosition(ETH.id, D("0.4"), D(3000))
    bench.stands(held)
    bench.wait(SETTLE_NS)
    bench.stands(held)
    bench.wait(SECOND)
    assert (bench.last_order.terms.role, bench.last_order.size) == (Role.FLATTEN, D("0.4"))


def test_a_flattening_of_nothing_asks_the_venue_first(bench: Bench) -> None:
    flat(bench)
    bench.ask(cmd.FlattenAll)
    assert bench.state.flattening
    bench.stands()
    assert not bench.state.flattening


def test_a_flattening_after_the_clock_was_set_back_is_not_ended_by_what_the_venue_said_before(bench: Bench) -> None:
    bench.at(100 * SECOND)
    flat(bench)
    bench.at(40 * SECOND)
    bench.ask(cmd.FlattenAll)
    assert bench.state.flattening
    bench.stands()
    assert not bench.state.flattening


def test_a_flattening_after_a_start_waits_for_what_the_venue_holds(bench: Bench) -> None:
    flat(bench)
    bench.restart()
    bench.ask(cmd.FlattenAll)
    assert bench.state.flattening
    bench.stands()
    assert not bench.state.flattening


def test_a_close_of_unknown_outcome_keeps_no_position_open_that_others_turned_round(bench: Bench) -> None:
    bench.ask(cmd.FlattenAll)
    lost = bench.last_order
    bench.handle(Doubt(bench.now, lost.id, "no answer"))
    sold = fill("w1", "3000", "3")
    bench.hear(VenueOrder("web-1", "v1", ETH.id, SELL, S.FILLED, D(3), D(3), fills=(sold,)))
    assert bench.size == D(-2)
    bench.wait(SECOND)
    assert lost.status is S.UNKNOWN
    assert (bench.last_order.terms.side, bench.last_order.size) == (BUY, D(2))


def test_a_flattening_is_not_ended_by_what_could_not_be_compared_for_an_order_of_unknown_outcome(bench: Bench) -> None:
    """A stranger closed it here; the venue has what the lost close sold beyond that."""
    bench.ask(cmd.FlattenAll)
    lost = bench.last_order
    bench.handle(Doubt(bench.now, lost.id, "no answer"))
    sold = fill("w1", "3000", "1")
    bench.hear(VenueOrder("web-1", "v1", ETH.id, SELL, S.FILLED, D(1), D(1), fills=(sold,)))
    bench.stands(VenuePosition(ETH.id, D(-1), D(3000)))
    assert (bench.state.positions, lost.status) == ({}, S.UNKNOWN)
    assert bench.state.flattening


def resting_entry(bench: Bench) -> Order:
    bench.place(BUY, "1", OrderType.LIMIT, instrument=ETH.id, price="2900")
    bench.said(bench.last_order, S.ACCEPTED)
    return bench.last_order


def test_a_flattening_that_a_person_asks_for_waits_for_nothing_that_was_refused_before(bench: Bench) -> None:
    entry = resting_entry(bench)
    for _ in range(6):
        bench.place(SELL, "1", instrument=ETH.id, reduce_only=True)
        bench.said(bench.last_order, S.REJECTED)
        bench.ask(cmd.CancelOrder, order=entry.id)
        bench.handle(CancelRefused(bench.now, entry.id, "not now"))
    bench.ask(cmd.FlattenAll)
    assert bench.last_order.terms.role is Role.FLATTEN
    assert entry.cancel_requested
