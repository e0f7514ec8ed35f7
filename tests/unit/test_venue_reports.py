"""An account whose venue carries its orders out: what the venue states becomes facts, once, in any order (semantics 9, 10)."""

from __future__ import annotations

from itertools import permutations

import pytest

from engine.core.inputs import Doubt
from engine.core.outbox import Submit, may_leave, outbox
from engine.core.state import encode_state
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.account import Execution
from engine.model.order import Order, OrderStatus, OrderType
from engine.model.report import VenueOrder
from tests.kit import BUY, SELL, Bench, D, Replayed, alarms, bodies, fill

S = OrderStatus


@pytest.fixture
def bench() -> Bench:
    bench = Bench(balance="100000", execution=Execution.VENUE)
    bench.market("60000")
    return bench


def sent(bench: Bench, size: str = "1", price: str = "59000") -> Order:
    bench.place(BUY, size, OrderType.LIMIT, price=price)
    return bench.last_order


def test_an_order_is_sent_through_the_outbox_and_nothing_here_fills_it(bench: Bench) -> None:
    bench.place(BUY, "0.1")
    order = bench.last_order
    assert list(outbox(bench.state)) == [Submit(order.id)]
    bench.wait(10**10)
    assert order.status is S.SENT
    assert not bench.state.positions


def test_accepted_then_filled_in_parts(bench: Bench) -> None:
    order = sent(bench)
    bench.said(order, S.ACCEPTED)
    assert (order.status, order.venue_order_id) == (S.ACCEPTED, "vO1")
    bench.said(order, S.PARTIAL, "0.4", fill("f1", "59000", "0.4", "1.5"))
    assert order.status is S.PARTIAL
    bench.said(order, S.FILLED, "1", fill("f2", "58999", "0.6", "2"))
    assert order.status is S.FILLED
    assert (bench.size, order.fees) == (D(1), D("3.5"))


def test_an_ack_after_the_fill_changes_nothing(bench: Bench) -> None:
    order = sent(bench)
    bench.said(order, S.PARTIAL, "0.4", fill("f1", "59000", "0.4"))
    assert bench.said(order, S.ACCEPTED) == []
    assert order.status is S.PARTIAL


def test_p9_a_fill_told_three_times_is_one_fill(bench: Bench) -> None:
    order = sent(bench)
    for _ in range(3):
        bench.said(order, S.PARTIAL, "0.4", fill("f1", "59000", "0.4"))
    assert (bench.size, order.fills) == (D("0.4"), 1)


def test_a_fill_told_again_otherwise_is_one_alarm_however_often(bench: Bench) -> None:
    order = sent(bench)
    bench.said(order, S.PARTIAL, "0.4", fill("f1", "59000", "0.4"))
    told = [bench.said(order, S.PARTIAL, "0.4", fill("f1", "59000", "0.5")) for _ in range(2)]
    assert [alarms(events) for events in told] == [["FILL_DIFFERS"], []]
    assert bench.size == D("0.4")


def test_a_fill_after_the_cancel_is_booked_with_an_alarm(bench: Bench) -> None:
    order = sent(bench)
    bench.said(order, S.CANCELLED)
    events = bench.said(order, S.PARTIAL, "0.4", fill("f1", "59000", "0.4"))
    assert alarms(events) == ["LATE_FILL"]
    assert (order.status, bench.size) == (S.PARTIAL, D("0.4"))
    assert order.id in bench.state.ended


def test_filled_without_its_fills_is_unknown_until_they_come(bench: Bench) -> None:
    order = sent(bench)
    bench.said(order, S.FILLED, "1", fill("f2", "59000", "0.6"))
    assert order.status is S.UNKNOWN
    evidence = bench.state.unknown[order.id]
    assert evidence.first == "the venue says FILLED with 1 filled; 0.4 of it was not reported yet"
    assert (evidence.ended, evidence.filled) == (S.FILLED, D(1))
    bench.said(order, S.PARTIAL, "0.4", fill("f1", "59001", "0.4"))
    assert order.status is S.FILLED
    assert not bench.state.unknown


def test_cancelled_with_fills_that_are_missing_is_unknown_until_they_come(bench: Bench) -> None:
    order = sent(bench)
    bench.said(order, S.ACCEPTED)
    bench.said(order, S.CANCELLED, "0.7")
    bench.said(order, S.PARTIAL, "0.3", fill("f1", "59000", "0.3"))
    assert order.status is S.UNKNOWN
    bench.said(order, S.PARTIAL, "0.7", fill("f2", "59000", "0.4"))
    assert order.status is S.CANCELLED
    assert bench.size == D("0.7")


def test_a_whole_answer_is_believed_over_a_sum_that_was_told_before(bench: Bench) -> None:
    order = sent(bench)
    bench.said(order, S.CANCELLED, "0.7")
    assert order.status is S.UNKNOWN
    bench.said(order, S.CANCELLED, "0.4", fill("f1", "59000", "0.4"))
    assert (order.status, bench.size) == (S.CANCELLED, D("0.4"))


def test_a_lost_order_stays_lost_while_fills_of_it_are_missing(bench: Bench) -> None:
    order = sent(bench)
    bench.handle(Doubt(bench.now, order.id, "no answer"))
    assert [e.type for e in bench.said(order, S.PARTIAL, "0.4")] == ["OrderUnknown"]
    assert order.status is S.UNKNOWN
    bench.said(order, S.PARTIAL, "0.4", fill("f1", "59000", "0.4"))
    assert order.status is S.PARTIAL


def test_an_overfill_by_a_lot_is_booked_as_the_venue_says(bench: Bench) -> None:
    order = sent(bench, "0.1")
    events = bench.said(order, S.FILLED, "5", fill("f1", "59000", "5"))
    assert alarms(events) == ["OVERFILL"]
    assert (order.status, bench.size) == (S.FILLED, D(5))


def test_an_order_made_larger_elsewhere_works_on_when_it_filled_more_than_was_asked_for_here(bench: Bench) -> None:
    order = sent(bench)
    bench.said(order, S.ACCEPTED)
    events = bench.said(order, S.PARTIAL, "1.2", fill("f1", "59000", "1.2"), size=D(2))
    assert alarms(events) == ["AMENDED_ELSEWHERE"]
    assert (order.status, order.remaining, bench.account.working(order.terms.instrument, BUY)) == (
        S.PARTIAL,
        D("0.8"),
        D("0.8"),
    )
    assert alarms(bench.said(order, S.FILLED, "2", fill("f2", "59000", "0.8"), size=D(2))) == []
    assert (order.status, bench.size) == (S.FILLED, D(2))


def test_a_venue_that_made_a_close_smaller_ends_it_there(bench: Bench) -> None:
    order = sent(bench)
    bench.said(order, S.FILLED, "0.6", fill("f1", "59000", "0.6"), size=D("0.6"))
    assert order.status is S.CANCELLED
    assert order.reason == "filled by the venue with 0.6 of 1 filled"


@pytest.mark.parametrize("status", [S.REJECTED, S.CANCELLED, S.EXPIRED])
def test_what_the_venue_ends_gives_its_money_back(bench: Bench, status: OrderStatus) -> None:
    order = sent(bench, "0.1")
    assert order.reserve > 0
    bench.said(order, status, reason="no")
    assert (order.status, order.reason) == (status, "no")
    assert bench.free == D(100000)
    assert bench.account.working(order.terms.instrument, BUY) == 0


def test_a_rejection_that_comes_after_a_fill_cancels_the_rest(bench: Bench) -> None:
    order = sent(bench)
    bench.said(order, S.PARTIAL, "0.4", fill("f1", "59000", "0.4"))
    bench.said(order, S.REJECTED, reason="too late")
    assert (order.status, order.filled) == (S.CANCELLED, D("0.4"))


def test_a_trigger_met_at_the_venue_is_said_once(bench: Bench) -> None:
    order = sent(bench)
    bench.said(order, S.ACCEPTED)
    assert len(bodies(bench.said(order, S.TRIGGERED), ev.OrderTriggered)) == 1
    assert order.status is S.TRIGGERED
    assert bench.said(order, S.TRIGGERED) == []
    assert bench.said(order, S.ACCEPTED) == []


@pytest.mark.parametrize("number", ["NaN", "-1", "Infinity"])
def test_a_statement_with_a_number_that_is_none_is_an_alarm_and_changes_nothing(bench: Bench, number: str) -> None:
    order = sent(bench)
    told = [
        bench.said(order, S.PARTIAL, number),
        bench.said(order, S.PARTIAL, "1", fill("f", number, "1")),
        bench.said(order, S.PARTIAL, "1", fill("f", "59000", number)),
    ]
    assert [alarms(events) for events in told] == [["BAD_REPORT"]] * 3
    assert (order.status, bench.size) == (S.SENT, D(0))


ARROWS = {
    S.SENT: (S.ACCEPTED, S.TRIGGERED, S.PARTIAL, S.FILLED, S.CANCELLED, S.EXPIRED, S.REJECTED, S.UNKNOWN),
    S.ACCEPTED: (S.TRIGGERED, S.PARTIAL, S.FILLED, S.CANCELLED, S.EXPIRED, S.REJECTED, S.UNKNOWN),
    S.TRIGGERED: (S.TRIGGERED, S.PARTIAL, S.FILLED, S.CANCELLED, S.EXPIRED, S.REJECTED, S.UNKNOWN),
    S.PARTIAL: (S.PARTIAL, S.FILLED, S.CANCELLED, S.EXPIRED, S.UNKNOWN),
    S.UNKNOWN: (S.ACCEPTED, S.TRIGGERED, S.PARTIAL, S.FILLED, S.CANCELLED, S.EXPIRED, S.REJECTED),
    S.CANCELLED: (S.PARTIAL,),
    S.EXPIRED: (S.PARTIAL,),
}


@pytest.mark.parametrize(("before", "after"), [(b, a) for b, found in ARROWS.items() for a in found], ids=str)
def test_every_arrow_that_a_venue_can_cause(bench: Bench, before: OrderStatus, after: OrderStatus) -> None:
    """Semantics 10."""
    order = sent(bench)
    filled = D(0)

    def go(status: OrderStatus, number: str) -> None:
        nonlocal filled
        fills = ()
        if status in (S.PARTIAL, S.FILLED):
            size = D("0.25") if status is S.PARTIAL else order.remaining
            filled += size
            fills = (fill(number, "59000", str(size)),)
        if status is S.UNKNOWN:
            bench.handle(Doubt(bench.now, order.id, "silence"))
        elif status is not S.SENT:
            bench.said(order, status, str(filled), *fills)

    go(before, "f1")
    assert order.status is before
    go(after, "f2")
    assert order.status is after


@pytest.mark.parametrize("late", [S.ACCEPTED, S.TRIGGERED, S.CANCELLED, S.REJECTED])
def test_what_is_filled_rejected_or_denied_is_final(bench: Bench, late: OrderStatus) -> None:
    filled, rejected = sent(bench, "0.1"), sent(bench, "0.1")
    bench.said(filled, S.FILLED, "0.1", fill("f1", "59000", "0.1"))
    bench.said(rejected, S.REJECTED)
    assert bench.said(filled, late) == []
    assert bench.said(rejected, late) == []
    assert (filled.status, rejected.status) == (S.FILLED, S.REJECTED)


def test_invariant_4_more_fills_than_size_are_an_alarm(bench: Bench) -> None:
    order = sent(bench, "0.3")
    for number in range(2):
        assert alarms(bench.said(order, S.PARTIAL, "0.2", fill(f"f{number}", "59000", "0.15"))) == []
    assert alarms(bench.said(order, S.FILLED, "0.4", fill("f9", "59000", "0.1"))) == ["LATE_FILL", "OVERFILL"]


def test_invariant_5_a_reduce_only_order_that_opened_at_the_venue_is_an_alarm(bench: Bench) -> None:
    bench.said(sent(bench, "0.3"), S.FILLED, "0.3", fill("f1", "59000", "0.3"))
    bench.place(SELL, "0.3", reduce_only=True)
    events = bench.said(bench.last_order, S.FILLED, "0.5", fill("f2", "59000", "0.5"))
    assert alarms(events) == ["OVERFILL", "REDUCE_ONLY_OPENED"]
    assert bench.size == D("-0.2")


def test_invariant_9_no_two_live_orders_share_a_client_id(bench: Bench) -> None:
    for _ in range(3):
        bench.place(BUY, "0.1", stop_loss="50000", take_profit="70000")
        order = bench.last_order
        bench.said(order, S.FILLED, "0.1", fill(order.id, "60000", "0.1"))
    sent(bench, "0.1")
    bench.market("49999")
    names = [o.terms.client_id for o in bench.live()]
    assert len(names) == 7
    assert len(set(names)) == 7


def test_reports_in_any_order_and_twice_give_the_same_fills_and_position() -> None:
    """Invariant 3."""
    results = set()
    for order_of in permutations(range(4)):
        bench = Bench(balance="100000", execution=Execution.VENUE)
        bench.market("60000")
        order = sent(bench)
        say = [
            lambda b=bench, o=order: b.said(o, S.ACCEPTED),
            lambda b=bench, o=order: b.said(o, S.PARTIAL, "0.3", fill("f1", "59000", "0.3", "1")),
            lambda b=bench, o=order: b.said(o, S.PARTIAL, "0.7", fill("f2", "58990", "0.4", "1")),
            lambda b=bench, o=order: b.said(o, S.CANCELLED, "0.7", fill("f2", "58990", "0.4", "1")),
        ]
        for number in order_of * 2:
            say[number]()
        position = bench.position
        fills = tuple(sorted(order.applied.items()))
        results.add((position.size, position.cost, position.fees, fills, order.status, bench.account.balances["USDT"]))
        assert order.id in bench.state.ended
        assert not bench.state.unknown
    assert len({result[:4] + result[5:] for result in results}) == 1
    assert {result[4] for result in results} <= {S.CANCELLED, S.PARTIAL}


def test_what_was_said_folds_to_the_same_bytes(bench: Bench) -> None:
    """Invariant 2."""
    order = sent(bench)
    bench.said(order, S.CANCELLED, "0.7")
    bench.said(order, S.PARTIAL, "0.7", fill("f1", "59000", "0.7"))
    bench.place(SELL, "0.7", reduce_only=True)
    bench.said(bench.last_order, S.FILLED, "0.7", fill("g1", "59900", "0.7"))
    replayed = Replayed()
    replayed.read(bench.events)
    assert encode_state(replayed.state) == encode_state(bench.state)


def test_what_a_stranger_opens_behind_a_fired_stop_gets_an_exit_that_really_leaves(bench: Bench) -> None:
    entry = sent(bench, price="59900")
    bench.said(entry, S.FILLED, "1", fill("f1", "59900", "1"))
    bench.ask(cmd.SetProtection, position=bench.position.id, stop_loss=D(59_500))
    stop = bench.last_order
    bench.market("59400")
    assert stop.status is S.SENT
    theirs = fill("w1", "59400", "0.2")
    bench.hear(VenueOrder("web-1", "v9", stop.terms.instrument, BUY, S.FILLED, D("0.2"), D("0.2"), fills=(theirs,)))
    behind = bench.last_order
    assert (behind.terms.type, behind.size, behind.terms.owner) == (OrderType.STOP, D("0.2"), "hand")
    bench.market("59300")
    assert Submit(behind.id) in list(outbox(bench.state))
    assert may_leave(bench.state, behind.id) is None
