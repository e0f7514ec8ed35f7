"""An outcome that is not known is a state of its own; only evidence or an attestation ends it (semantics 9, 10).

Longer than most files: one state and every way into it and out of it.
"""

from __future__ import annotations

import pytest

from engine.core.inputs import AmendRefused, Asked, CancelRefused, Doubt, NoSuchOrder, NotSent
from engine.core.outbox import Amend, Cancel, Query, Submit, may_leave, outbox
from engine.core.state import encode_state
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.account import Execution
from engine.model.money import ZERO
from engine.model.order import Order, OrderStatus, OrderType, TimeInForce
from tests.kit import BUY, SECOND, SELL, Bench, D, Replayed, alarms, bodies, fill, instrument, refusal

S = OrderStatus
BTC, ETH = instrument(), instrument("ETHUSDT")


@pytest.fixture
def bench() -> Bench:
    bench = Bench(BTC, ETH, balance="100000", execution=Execution.VENUE)
    bench.market("60000")
    bench.quote("3000", "3000.1", of=ETH)
    bench.mark("3000", of=ETH)
    return bench


def sent(bench: Bench, size: str = "1", price: str = "59000") -> Order:
    bench.place(BUY, size, OrderType.LIMIT, price=price)
    return bench.last_order


def lost(bench: Bench, size: str = "1") -> Order:
    order = sent(bench, size)
    bench.handle(Doubt(bench.now, order.id, "submit: no answer in 5 s"))
    return order


def opened(bench: Bench, size: str = "1", **fields: str) -> Order:
    """A long position taken at 60000.1."""
    bench.place(BUY, size, **fields)
    order = bench.last_order
    bench.said(order, S.FILLED, size, fill(f"{order.id}f", "60000.1", size))
    return order


def blocked(bench: Bench, order_id: str, halted: str = "") -> str:
    refused = may_leave(bench.state, order_id, halted)
    return "" if refused is None else refused.code


def last_bought(bench: Bench) -> list[ev.Event]:
    return bench.place(BUY, "0.1")


# --- Losing sight of an order, and finding it again ------------------------------------------------------


def test_w5_a_lost_submit_is_unknown_asked_for_and_found_partly_filled(bench: Bench) -> None:
    order = lost(bench)
    assert order.status is S.UNKNOWN
    assert list(outbox(bench.state)) == [Query(order.id)]
    bench.said(order, S.PARTIAL, "0.4", fill("f1", "59000", "0.4"))
    assert (order.status, bench.size) == (S.PARTIAL, D("0.4"))
    assert list(outbox(bench.state)) == []
    assert bench.state.orders_made == 1


def test_w6_silence_for_ten_minutes_leaves_it_unknown_at_its_worst_case(bench: Bench) -> None:
    order = lost(bench)
    since, free = bench.now, bench.free
    for _ in range(20):
        bench.wait(30 * SECOND)
        bench.handle(Asked(bench.now, order.id, "no route to the venue"))
    assert order.status is S.UNKNOWN
    evidence = bench.state.unknown[order.id]
    assert (evidence.since_ns, evidence.first) == (since, "submit: no answer in 5 s")
    assert (evidence.asked, evidence.last, evidence.last_ns) == (20, "no route to the venue", bench.now)
    assert bench.free == free < D(100000)
    assert bench.account.working(BTC.id, BUY) == 1
    bench.market("60000")
    code, message = refusal(last_bought(bench))
    assert code == "UNKNOWN_OUTCOME"
    assert message == (
        "what became of O1 (buy 1) is not known since 00:00:01 UTC; entries wait until the venue states it or you "
        "attest it, closes still work"
    )


def test_w7_a_restart_asks_for_every_order_that_was_on_its_way_before_any_other_leaves(bench: Bench) -> None:
    order, other = sent(bench, "0.5"), lost(bench, "0.5")
    bench.restart()
    assert [o.status for o in bench.live()] == [S.UNKNOWN, S.UNKNOWN]
    assert list(outbox(bench.state)) == [Query(order.id), Query(other.id)]
    assert bench.state.unknown[order.id].first == "the engine restarted while it was on its way"
    bench.market("60000")
    assert refusal(last_bought(bench))[0] == "UNKNOWN_OUTCOME"


def test_a_restart_keeps_what_was_asked_of_the_venue(bench: Bench) -> None:
    order, other = sent(bench, "0.5"), sent(bench, "0.5")
    for each in (order, other):
        bench.said(each, S.ACCEPTED)
    bench.ask(cmd.CancelOrder, order=order.id)
    bench.ask(cmd.AmendOrder, order=other.id, price=D(58000))
    bench.restart()
    assert list(outbox(bench.state)) == [Cancel(order.id), Amend(other.id, D(58000), None)]


@pytest.mark.parametrize("status", [S.ACCEPTED, S.TRIGGERED, S.CANCELLED, S.EXPIRED, S.REJECTED])
def test_what_the_venue_states_ends_the_not_knowing(bench: Bench, status: OrderStatus) -> None:
    order = lost(bench)
    bench.said(order, status)
    assert order.status is status
    assert not bench.state.unknown
    assert not bodies(last_bought(bench), ev.RiskRejected)


def test_a_cancel_answered_unknown_order_though_it_filled(bench: Bench) -> None:
    order = sent(bench)
    bench.said(order, S.ACCEPTED)
    bench.ask(cmd.CancelOrder, order=order.id)
    bench.handle(Doubt(bench.now, order.id, "cancel: -2011 unknown order"))
    assert order.status is S.UNKNOWN
    assert Query(order.id) in outbox(bench.state)
    bench.said(order, S.FILLED, "1", fill("f1", "59000", "1"))
    assert (order.status, bench.size) == (S.FILLED, D(1))


def test_a_doubt_about_what_is_unknown_already_is_one_more_piece_of_evidence(bench: Bench) -> None:
    order = lost(bench)
    bench.handle(Doubt(bench.now, order.id, "cancel: no answer"))
    evidence = bench.state.unknown[order.id]
    assert (evidence.first, evidence.last) == ("submit: no answer in 5 s", "cancel: no answer")


def test_a_doubt_about_what_has_ended_says_nothing(bench: Bench) -> None:
    order = sent(bench)
    bench.said(order, S.FILLED, "1", fill("f1", "59000", "1"))
    assert bench.handle(Doubt(bench.now, order.id, "submit: no answer")) == []


def test_the_venue_never_had_it(bench: Bench) -> None:
    order = lost(bench)
    (rejected,) = bodies(bench.handle(NoSuchOrder(bench.now, order.id, "-2013 no such order")), ev.OrderRejected)
    assert (rejected.code, rejected.reason) == ("NEVER_ARRIVED", "-2013 no such order")
    assert (bench.free, bench.state.unknown) == (D(100000), {})


@pytest.mark.parametrize("known", ["fill", "ack", "ending"])
def test_no_such_order_proves_nothing_against_what_the_venue_said_before(bench: Bench, known: str) -> None:
    order = sent(bench)
    if known == "fill":
        bench.said(order, S.PARTIAL, "0.4", fill("f1", "59000", "0.4"))
    elif known == "ack":
        bench.said(order, S.ACCEPTED)
    else:
        bench.said(order, S.CANCELLED, "0.4")
    bench.handle(Doubt(bench.now, order.id, "cancel: no answer"))
    told = [bench.handle(NoSuchOrder(bench.now, order.id, "-2013 no such order")) for _ in range(2)]
    assert order.status is S.UNKNOWN
    assert [alarms(events) for events in told] == [["NO_SUCH_ORDER"], []]
    assert bench.state.unknown[order.id].last == "-2013 no such order"


def test_what_never_left_is_rejected_with_its_reason(bench: Bench) -> None:
    order = sent(bench)
    bench.handle(NotSent(bench.now, order.id, "KILL_SWITCH", "the kill switch came on before it left"))
    assert (order.status, order.reason) == (S.REJECTED, "the kill switch came on before it left")
    assert bench.free == D(100000)


def test_what_was_cancelled_before_it_left_is_cancelled(bench: Bench) -> None:
    order = sent(bench)
    bench.ask(cmd.CancelOrder, order=order.id)
    assert list(outbox(bench.state)) == [Submit(order.id), Cancel(order.id)]
    refused = may_leave(bench.state, order.id)
    assert refused is not None
    bench.handle(NotSent(bench.now, order.id, refused.code, refused.message))
    assert order.status is S.CANCELLED


# --- Blocked entries -----------------------------------------------------------------------------------


def test_an_unknown_outcome_blocks_its_own_instrument_only_and_never_a_close(bench: Bench) -> None:
    opened(bench, "0.1")
    lost(bench, "0.1")
    assert refusal(last_bought(bench))[0] == "UNKNOWN_OUTCOME"
    assert not bodies(bench.place(BUY, "1", instrument=ETH.id), ev.RiskRejected)
    bench.ask(cmd.ClosePosition, position=bench.position.id)
    assert bench.last_order.status is S.SENT
    assert may_leave(bench.state, bench.last_order.id) is None


def test_the_sizes_compared_are_recorded_with_the_refusal(bench: Bench) -> None:
    lost(bench)
    (rejected,) = bodies(last_bought(bench), ev.RiskRejected)
    assert rejected.checks == (("size of unknown outcome", D(1), ZERO),)


def test_a_stop_entry_that_triggers_while_an_outcome_is_unknown_is_withdrawn(bench: Bench) -> None:
    bench.place(BUY, "0.1", OrderType.STOP, trigger="61000")
    stop = bench.last_order
    lost(bench)
    bench.market("61001")
    assert stop.status is S.CANCELLED
    assert "is not known since" in stop.reason


# --- Cancels and amends in flight (semantics 10) ---------------------------------------------------------


def test_a_cancel_is_a_request_until_the_venue_answers(bench: Bench) -> None:
    order = sent(bench)
    bench.said(order, S.ACCEPTED)
    events = bench.ask(cmd.CancelOrder, order=order.id)
    assert [e.type for e in events] == ["IntentCreated", "CancelRequested"]
    assert list(outbox(bench.state)) == [Cancel(order.id)]
    bench.wait(10 * SECOND)
    assert order.status is S.ACCEPTED
    bench.said(order, S.CANCELLED)
    assert order.status is S.CANCELLED


def test_a_refused_cancel_leaves_the_order_working(bench: Bench) -> None:
    order = sent(bench)
    bench.said(order, S.ACCEPTED)
    bench.ask(cmd.CancelOrder, order=order.id)
    events = bench.handle(CancelRefused(bench.now, order.id, "too late"))
    assert [e.type for e in events] == ["CancelRejected"]
    assert (order.status, list(outbox(bench.state))) == (S.ACCEPTED, [])


def test_an_amend_is_a_request_until_the_venue_states_the_new_terms(bench: Bench) -> None:
    order = sent(bench)
    bench.said(order, S.ACCEPTED)
    events = bench.ask(cmd.AmendOrder, order=order.id, price=D(58000), size=D("0.5"))
    assert [e.type for e in events] == ["IntentCreated", "AmendRequested"]
    assert list(outbox(bench.state)) == [Amend(order.id, D(58000), D("0.5"))]
    assert bench.said(order, S.ACCEPTED) == []
    (amended,) = bodies(bench.said(order, S.ACCEPTED, price=D(58000), size=D("0.5")), ev.OrderAmended)
    assert (order.price, order.size, order.amending) == (D(58000), D("0.5"), None)
    assert amended.reserve == order.reserve == D("29014.5")


def test_fills_that_an_amend_made_room_for_are_no_overfill(bench: Bench) -> None:
    order = sent(bench, "0.1")
    bench.said(order, S.ACCEPTED)
    bench.ask(cmd.AmendOrder, order=order.id, size=D("0.3"))
    events = bench.said(order, S.PARTIAL, "0.2", fill("f1", "59000", "0.2"), size=D("0.3"))
    assert alarms(events) == []
    assert (order.status, order.remaining) == (S.PARTIAL, D("0.1"))


def test_a_refused_amend_leaves_the_order_as_it_was(bench: Bench) -> None:
    order = sent(bench)
    bench.said(order, S.ACCEPTED)
    bench.ask(cmd.AmendOrder, order=order.id, price=D(58000))
    events = bench.handle(AmendRefused(bench.now, order.id, "would cross"))
    assert [e.type for e in events] == ["AmendRejected"]
    assert (order.price, order.amending) == (D(59000), None)


def test_an_order_that_is_being_amended_is_not_amended_again(bench: Bench) -> None:
    order = sent(bench)
    bench.said(order, S.ACCEPTED)
    bench.ask(cmd.AmendOrder, order=order.id, price=D(58000))
    assert refusal(bench.ask(cmd.AmendOrder, order=order.id, price=D(57000)))[0] == "IN_FLIGHT"


def test_good_till_date_is_a_cancel_asked_for_at_its_time(bench: Bench) -> None:
    bench.place(BUY, "0.1", OrderType.LIMIT, price="59000", tif=TimeInForce.GTD, expire_ns=bench.now + 5 * SECOND)
    order = bench.last_order
    bench.said(order, S.ACCEPTED)
    bench.wait(6 * SECOND)
    assert (order.status, order.cancel_requested) == (S.ACCEPTED, True)


def test_a_cancel_at_its_date_that_the_venue_refuses_is_asked_for_ever_more_slowly(bench: Bench) -> None:
    bench.place(BUY, "0.1", OrderType.LIMIT, price="59000", tif=TimeInForce.GTD, expire_ns=bench.now + 5 * SECOND)
    order = bench.last_order
    bench.said(order, S.ACCEPTED)
    asked = len(bodies(bench.wait(6 * SECOND), ev.CancelRequested))
    for _ in range(60):
        if order.cancel_requested:
            bench.handle(CancelRefused(bench.now, order.id, "not now"))
        asked += len(bodies(bench.wait(SECOND), ev.CancelRequested))
    assert 4 <= asked <= 8


# --- Attesting -----------------------------------------------------------------------------------------


def attest(
    bench: Bench, order: Order, filled: str = "0", price: str | None = None, reason: str = "statement"
) -> list[ev.Event]:
    at = D(price) if price is not None else None
    return bench.ask(cmd.AttestOrder, order=order.id, reason=reason, filled=D(filled), price=at)


def test_a_person_attests_that_it_never_arrived(bench: Bench) -> None:
    order = lost(bench)
    events = attest(bench, order, reason="not in the venue's history")
    assert [e.type for e in events] == ["IntentCreated", "OrderAttested", "OrderRejected"]
    assert order.status is S.REJECTED
    assert bench.free == D(100000)
    assert not bodies(last_bought(bench), ev.RiskRejected)


def test_a_person_attests_that_a_part_filled(bench: Bench) -> None:
    order = lost(bench)
    events = attest(bench, order, "0.4", "59010")
    assert [e.type for e in events][1:] == ["OrderAttested", "OrderFilled", "OrderCancelled"]
    assert (order.status, bench.size, order.average) == (S.CANCELLED, D("0.4"), D(59010))


def test_a_person_attests_that_all_of_it_filled(bench: Bench) -> None:
    order = lost(bench)
    attest(bench, order, "1", "59010")
    assert (order.status, bench.size) == (S.FILLED, D(1))


def test_a_fill_told_after_an_attestation_uses_it_up_first(bench: Bench) -> None:
    order = lost(bench)
    attest(bench, order, "0.4", "59000")
    events = bench.said(order, S.PARTIAL, "0.3", fill("f1", "59000", "0.3"))
    assert [e.type for e in events] == ["FillCovered"]
    events = bench.said(order, S.PARTIAL, "0.6", fill("f2", "59005", "0.3", "3"))
    assert alarms(events) == ["ATTESTED_DIFFERS", "LATE_FILL"]
    (booked,) = bodies(events, ev.OrderFilled)
    assert (booked.size, booked.price, booked.fee) == (D("0.2"), D(59005), D(2))
    assert bench.size == D("0.6")
    assert bench.said(order, S.PARTIAL, "0.6", fill("f1", "59000", "0.3"), fill("f2", "59005", "0.3", "3")) == []


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"reason": "  "}, "REASON"),
        ({"filled": "1.1", "price": "59000"}, "FILLED"),
        ({"filled": "-0.1", "price": "59000"}, "FILLED"),
        ({"filled": "0.1"}, "PRICE"),
        ({"filled": "0.1", "price": "0"}, "PRICE"),
    ],
)
def test_an_attestation_that_says_too_little_or_too_much_is_refused(
    bench: Bench, fields: dict[str, str], code: str
) -> None:
    order = lost(bench)
    assert refusal(attest(bench, order, **fields))[0] == code
    assert order.status is S.UNKNOWN


def test_more_than_its_size_is_attested_where_the_venue_itself_says_so(bench: Bench) -> None:
    order = lost(bench)
    bench.said(order, S.FILLED, "1.5")
    assert order.status is S.UNKNOWN
    assert refusal(attest(bench, order, "1.6", "59000"))[0] == "FILLED"
    assert alarms(attest(bench, order, "1.5", "59000")) == ["OVERFILL"]
    assert (order.status, bench.size) == (S.FILLED, D("1.5"))


def test_only_an_unknown_order_is_attested(bench: Bench) -> None:
    assert refusal(attest(bench, sent(bench)))[0] == "KNOWN"


# --- Protection ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["rejected", "not sent", "never arrived", "expired"])
def test_a_fired_stop_that_came_to_nothing_stands_again_and_fires_a_second_later(bench: Bench, how: str) -> None:
    opened(bench, "1", stop_loss="59000")
    (stop,) = bench.live(OrderType.STOP)
    bench.market("58999")
    assert stop.status is S.SENT
    if how == "rejected":
        bench.said(stop, S.REJECTED)
    elif how == "not sent":
        bench.handle(NotSent(bench.now, stop.id, "UNREACHABLE", "no route"))
    elif how == "expired":
        bench.said(stop, S.EXPIRED)
    else:
        bench.handle(Doubt(bench.now, stop.id, "no answer"))
        bench.handle(NoSuchOrder(bench.now, stop.id, "none"))
    (again,) = bench.live(OrderType.STOP)
    assert (again.status, again.trigger, again.remaining) == (S.HELD, D(59000), D(1))
    bench.market("58998")
    assert again.status is S.HELD
    bench.wait(2 * SECOND)
    bench.market("58997")
    assert again.status is S.SENT


def test_a_position_whose_stop_the_venue_refuses_is_told_once_until_a_fill_comes(bench: Bench) -> None:
    opened(bench, "1", stop_loss="59000")

    def refuse(reason: str) -> list[str]:
        (stop,) = bench.live(OrderType.STOP)
        bench.wait(40 * SECOND)
        bench.market("58999")
        said = bench.said(stop, S.REJECTED, reason=reason)
        return [body.message for body in bodies(said, ev.AlarmRaised) if body.code == "PROTECTION_REFUSED"]

    (message,) = refuse("too many orders")
    assert message == (
        "P1, 1 BTCUSDT, stands without its stop at 59000: O2 came to nothing, too many orders; it is tried again in 1 s "
        "while the price is there, close it by hand if that cannot wait"
    )
    assert refuse("still too many") == []
    bench.place(SELL, "0.4", reduce_only=True)
    bench.said(bench.last_order, S.FILLED, "0.4", fill("c1", "59000", "0.4"))
    (message,) = refuse("again too many")
    assert message.startswith("P1, 0.6 BTCUSDT, stands without")


@pytest.mark.parametrize("how", ["never arrived", "expired", "taken out"])
def test_a_stop_that_comes_to_nothing_in_any_way_is_told(bench: Bench, how: str) -> None:
    opened(bench, "1", stop_loss="59000")
    (stop,) = bench.live(OrderType.STOP)
    bench.market("58999")
    if how == "never arrived":
        bench.handle(Doubt(bench.now, stop.id, "no answer"))
        events = bench.handle(NoSuchOrder(bench.now, stop.id, "none"))
    else:
        events = bench.said(stop, S.EXPIRED if how == "expired" else S.CANCELLED)
    assert alarms(events) == ["PROTECTION_REFUSED"]


def test_a_stop_that_fills_in_parts_is_on_its_way_and_no_alarm(bench: Bench) -> None:
    opened(bench, "1", stop_loss="59000")
    (stop,) = bench.live(OrderType.STOP)
    bench.market("58999")
    assert alarms(bench.said(stop, S.EXPIRED, "0.3", fill("s1", "58990", "0.3"))) == []
    assert [o.remaining for o in bench.live(OrderType.STOP)] == [D("0.7")]


@pytest.mark.parametrize("level", ["58000", "59500"])
def test_a_stop_that_came_to_nothing_does_not_stand_again_beside_one_set_since(bench: Bench, level: str) -> None:
    opened(bench, "1", stop_loss="59000")
    bench.market("58990")
    (stop,) = bench.live()
    bench.handle(Doubt(bench.now, stop.id, "no answer"))
    bench.market("60000")
    bench.ask(cmd.SetProtection, position=bench.position.id, stop_loss=D(level))
    bench.handle(NoSuchOrder(bench.now, stop.id, "no such order"))
    assert [(o.trigger, o.remaining) for o in bench.live()] == [(D(level), D(1))]


def test_a_stop_that_a_person_cancelled_does_not_stand_again(bench: Bench) -> None:
    opened(bench, "1", stop_loss="59000")
    (stop,) = bench.live(OrderType.STOP)
    bench.market("58999")
    bench.ask(cmd.CancelOrder, order=stop.id)
    bench.said(stop, S.CANCELLED)
    assert not bench.live()


def test_exits_at_the_venue_are_asked_to_cancel_when_nothing_is_left_to_reduce(bench: Bench) -> None:
    opened(bench, "1")
    bench.place(SELL, "1", OrderType.LIMIT, price="62000", reduce_only=True)
    resting = bench.last_order
    bench.said(resting, S.ACCEPTED)
    bench.ask(cmd.ClosePosition, position=bench.position.id)
    close = bench.last_order
    bench.said(close, S.PARTIAL, "0.4", fill("c1", "60000", "0.4"))
    assert (resting.size, resting.cancel_requested) == (D(1), False)
    bench.said(close, S.FILLED, "1", fill("c2", "60000", "0.6"))
    assert resting.cancel_requested
    assert resting.status is S.ACCEPTED


def test_a_flatten_goes_on_after_its_close_was_rejected(bench: Bench) -> None:
    opened(bench, "1")
    bench.ask(cmd.FlattenAll)
    first = bench.last_order
    bench.said(first, S.REJECTED)
    bench.wait(2 * SECOND)
    second = bench.last_order
    assert second is not first
    bench.said(second, S.FILLED, "1", fill("x", "60000", "1"))
    bench.stands()
    assert not bench.state.flattening


def test_closes_that_the_venue_keeps_rejecting_come_ever_more_slowly(bench: Bench) -> None:
    """It rejects them where it has no such position, and that is found only while none is on its way."""
    opened(bench, "1")
    bench.ask(cmd.FlattenAll)
    waits = []
    for _ in range(8):
        began = bench.now
        bench.said(bench.last_order, S.REJECTED)
        made = bench.state.orders_made
        while bench.state.orders_made == made:
            bench.wait(SECOND // 4)
        waits.append((bench.now - began) // SECOND)
    assert waits == [1, 2, 4, 8, 16, 32, 32, 32]


# --- Invariant 8: no order leaves while the kill switch is on, except reduce-only ------------------------


def test_invariant_8_what_waits_in_the_outbox_must_not_leave_any_more(bench: Bench) -> None:
    opened(bench, "0.1")
    entry = sent(bench, "0.1")
    bench.ask(cmd.ClosePosition, position=bench.position.id)
    close = bench.last_order
    assert may_leave(bench.state, entry.id) is None
    assert blocked(bench, entry.id, "the disk is full") == "HALTED"
    bench.ask(cmd.SetKill, on=True)
    assert blocked(bench, entry.id) == "KILL_SWITCH"
    assert may_leave(bench.state, close.id, "the disk is full") is None
    bench.ask(cmd.SetKill, on=False)
    bench.ask(cmd.FlattenAll)
    assert blocked(bench, entry.id) == "CANCELLED"


def test_an_order_that_is_not_on_its_way_must_not_leave(bench: Bench) -> None:
    order = lost(bench)
    for order_id in (order.id, "O99"):
        assert blocked(bench, order_id) == "NOT_DUE"


def test_what_was_lost_and_found_folds_to_the_same_bytes(bench: Bench) -> None:
    """Invariant 2."""
    order = lost(bench)
    bench.handle(Asked(bench.now, order.id, "silence"))
    attest(bench, order, "0.4", "59000")
    bench.said(order, S.FILLED, "1", fill("f1", "59000", "1"))
    other = sent(bench, "0.2")
    bench.said(other, S.ACCEPTED)
    bench.ask(cmd.AmendOrder, order=other.id, price=D(58000))
    bench.ask(cmd.CancelOrder, order=other.id)
    bench.restart()
    replayed = Replayed()
    replayed.read(bench.events)
    assert encode_state(replayed.state) == encode_state(bench.state)
