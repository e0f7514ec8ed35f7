"""A CLOSE ends flat: whatever rests as an exit, whatever fills although it is cancelled, and however many CLOSEs come."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.inputs import CancelRefused, Doubt, Listed
from engine.intake.answers import verdict
from engine.intake.port import Outcome
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.event import Event
from engine.model.order import OrderStatus, OrderType
from engine.model.report import VenueOrder
from engine.model.signal import WaitsFor
from tests.kit import BUY, SECOND, SELL, alarms, bodies, fill, instrument
from tests.signal_kit import ASKS, EXECUTED, AtVenue, Inbox

D = Decimal


@pytest.fixture
def inbox() -> Inbox:
    return Inbox(balance="1000000")


@pytest.fixture
def venue() -> AtVenue:
    return AtVenue()


# --- Exits that rest ------------------------------------------------------------------------------------


def resting_stop_limit(inbox: Inbox, size: str = "1.0") -> None:
    """A long of 1 whose stop limit has fired, and rests above the market."""
    inbox.open(BUY, "1.0", leverage=10)
    inbox.place(SELL, size, OrderType.STOP_LIMIT, price="58990", trigger="59000", reduce_only=True)
    inbox.market("58000")
    inbox.wait()
    assert [o.fired for o in inbox.live(OrderType.STOP_LIMIT)] == [True]


@pytest.mark.parametrize("size", ["0.4", "1.0"])
def test_a_close_closes_what_a_resting_stop_limit_waits_to_close(inbox: Inbox, size: str) -> None:
    resting_stop_limit(inbox, size)
    inbox.signal("CLOSE")
    assert [o.size for o in inbox.orders_of()] == [D("1.0")]
    inbox.wait()
    assert inbox.verdict() == EXECUTED
    assert (inbox.size, inbox.live()) == (0, [])


def test_a_reversal_closes_what_a_resting_stop_limit_waits_to_close(inbox: Inbox) -> None:
    resting_stop_limit(inbox)
    inbox.signal("SHORT", "0.5")
    inbox.wait()
    assert inbox.verdict() == EXECUTED
    assert inbox.size == D("-0.5")


def test_a_close_beside_a_resting_exit_never_turns_the_position_round(inbox: Inbox) -> None:
    resting_stop_limit(inbox)
    inbox.signal("CLOSE")
    inbox.market("59000")
    inbox.wait()
    assert inbox.size == 0
    assert "REDUCE_ONLY_OPENED" not in alarms(inbox.events)


def test_a_close_waits_for_a_stop_that_fired_and_goes_to_market(venue: AtVenue) -> None:
    venue.open_long("1.0")
    venue.place(SELL, "1.0", OrderType.STOP, trigger="59000", reduce_only=True)
    venue.market("58900")
    venue.signal("CLOSE")
    assert venue.orders_of() == []


# --- Entries that fill although they are cancelled ------------------------------------------------------


def test_an_entry_that_fills_although_a_close_cancels_it_is_closed_at_once_and_quietly(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.5")
    arrives_ns = inbox.desk.next_due()
    assert arrives_ns is not None
    inbox.wait(arrives_ns - inbox.now - 1)
    inbox.signal("CLOSE")
    events = inbox.wait()
    assert (inbox.size, alarms(events)) == (0, [])
    assert inbox.verdict("k1") == inbox.verdict("k2") == EXECUTED


def test_at_a_venue_too(venue: AtVenue) -> None:
    venue.signal("LONG", "0.1")
    venue.signal("CLOSE")
    events = venue.fills(venue.order("k1"))
    assert venue.order("k2").size == D("0.1")
    assert alarms(events) == []


def test_an_entry_that_fills_after_its_cancel_was_refused_is_closed_at_once(venue: AtVenue) -> None:
    venue.signal("LONG", "0.1", type="LIMIT", price="59000")
    resting = venue.order()
    venue.said(resting, OrderStatus.ACCEPTED)
    venue.signal("CLOSE")
    venue.handle(CancelRefused(venue.now, resting.id, "not now"))
    assert venue.record().waits is WaitsFor.RETRY
    venue.fills(resting)
    assert venue.order("k2").size == D("0.1")


def test_a_refused_cancel_is_asked_again_no_sooner_while_another_closes_the_position(venue: AtVenue) -> None:
    venue.signal("LONG", "0.1", type="LIMIT", price="59000")
    resting = venue.order()
    venue.said(resting, OrderStatus.ACCEPTED)
    venue.open_long("0.1")
    venue.ask(cmd.ClosePosition, position=venue.position.id)
    venue.signal("CLOSE")
    events = venue.handle(CancelRefused(venue.now, resting.id, "not now"))
    assert venue.record().waits is WaitsFor.RETRY
    assert not bodies(events, ev.CancelRequested)


def test_what_another_s_close_did_not_close_is_closed_at_once(venue: AtVenue) -> None:
    venue.open_long("0.1")
    venue.ask(cmd.ClosePosition, position=venue.position.id)
    venue.signal("CLOSE")
    assert venue.orders_of() == []
    events = venue.said(venue.last_order, OrderStatus.REJECTED, reason="no")
    assert venue.order().size == D("0.1")
    assert "SIGNAL_NOT_CLOSED" not in alarms(events)


def test_a_close_of_a_position_that_is_turned_round_since_closes_nothing_of_it(venue: AtVenue) -> None:
    venue.open_long("0.1")
    venue.ask(cmd.ClosePosition, position=venue.position.id)
    venue.handle(Doubt(venue.now, venue.last_order.id, "no answer"))
    sold = (fill("w1", "60000", "0.2"),)
    btc = venue.instruments[0].id
    venue.hear(VenueOrder("web-1", "v1", btc, SELL, OrderStatus.FILLED, D("0.2"), D("0.2"), fills=sold))
    assert venue.size == D("-0.1")
    venue.signal("CLOSE")
    assert (venue.order().terms.side, venue.order().size) == (BUY, D("0.1"))


def test_a_close_of_more_than_the_venue_takes_at_once_goes_on_part_by_part_and_quietly(venue: AtVenue) -> None:
    venue.open_long("1.0")
    venue.handle(Listed(venue.now, instrument(max_size=D("0.4"))))
    events = venue.signal("CLOSE")
    while venue.live():
        events += venue.later(3)
        for order in venue.live():
            assert order.size <= D("0.4")
            events += venue.fills(order)
    assert venue.size == 0
    assert venue.verdict() == EXECUTED
    assert alarms(events) == []


def dusty(venue: AtVenue, action: str, *size: str) -> list[Event]:
    """A long of 0.115 where a step is 0.01 by now, left by a signal; the venue closes no part of a step."""
    venue.open_long("0.115")
    venue.handle(Listed(venue.now, instrument(step=D("0.01"))))
    events = venue.signal(action, *size)
    events += venue.fills(venue.order("k2"))
    assert (venue.size, venue.last_order.size) == (D("0.005"), D("0.005"))
    return events + venue.said(venue.last_order, OrderStatus.REJECTED, reason="less than a step")


def test_a_close_ends_with_dust_that_the_venue_will_not_close_and_says_so(venue: AtVenue) -> None:
    events = dusty(venue, "CLOSE")
    assert venue.verdict() == EXECUTED
    assert alarms(events)[-1:] == ["DUST"]
    assert not bodies(venue.later(120), ev.OrderCreated)
    assert venue.live() == []
    venue.signal("CLOSE")
    assert venue.verdict() == ("ignored", "DUST")


def test_a_reversal_goes_on_from_dust(venue: AtVenue) -> None:
    dusty(venue, "SHORT", "0.2")
    assert (venue.last_order.terms.side, venue.last_order.size) == (SELL, D("0.2"))
    assert not venue.last_order.terms.reduce_only


# --- One CLOSE is enough --------------------------------------------------------------------------------


def closing(venue: AtVenue, action: str = "CLOSE", source: str = "tv") -> None:
    """A long that a CLOSE is closing."""
    venue.open_long("0.1")
    venue.signal(action, key="first", source=source)


def test_a_close_while_another_is_under_way_ends_at_once_naming_it(venue: AtVenue) -> None:
    closing(venue)
    venue.signal("CLOSE")
    assert venue.verdict() == ("ignored", "CLOSING")
    assert all(word in venue.record().message for word in ("CLOSE s-tv-first of tv", "BTCUSDT", "until that is flat"))
    venue.fills(venue.order("first"))
    assert venue.verdict("first") == EXECUTED
    venue.signal("CLOSE")
    assert venue.verdict() == ("ignored", "FLAT")


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        ("CLOSE", "CLOSE_LONG", "CLOSING"),
        ("CLOSE", "CLOSE_SHORT", "CLOSING"),
        ("CLOSE_LONG", "CLOSE_LONG", "CLOSING"),
        ("CLOSE_LONG", "CLOSE", "FLAT"),
        ("CLOSE_LONG", "CLOSE_SHORT", "OTHER_SIDE"),
    ],
)
def test_only_a_close_that_leaves_all_of_it_stands_for_another(
    venue: AtVenue, first: str, second: str, code: str
) -> None:
    closing(venue, first)
    venue.signal(second)
    assert (venue.record().verdict is None) is (code == "FLAT")
    venue.fills(venue.order("first"))
    assert venue.verdict() == ("ignored", code)


def test_a_close_that_only_waited_for_a_hand_s_does_not_say_that_it_withdrew_anything(venue: AtVenue) -> None:
    venue.open_long("0.1")
    venue.ask(cmd.ClosePosition, position=venue.position.id)
    venue.signal("CLOSE")
    assert venue.record().waits is WaitsFor.FLAT
    venue.fills(venue.last_order)
    assert venue.verdict() == ("ignored", "FLAT")
    assert venue.record().message.startswith("no position")


def test_a_close_that_is_enough_still_ends_the_entries_that_wait(venue: AtVenue) -> None:
    closing(venue)
    venue.signal("LONG", "0.2", key="between")
    assert venue.record("between").waits == "queue"
    venue.signal("CLOSE")
    assert venue.verdict() == ("ignored", "CLOSING")
    assert venue.verdict("between") == ("expired", "SUPERSEDED")
    venue.fills(venue.order("first"))
    assert (venue.size, venue.live()) == (0, [])


def test_a_close_of_another_source_is_enough_but_for_own_entries(venue: AtVenue) -> None:
    venue.signal("LONG", "0.3", key="rests", type="LIMIT", price="59000")
    venue.said(venue.order("rests"), OrderStatus.ACCEPTED)
    closing(venue, source="mail")
    venue.signal("CLOSE", key="own")
    assert venue.record("own").verdict is None
    venue.signal("CLOSE")
    assert venue.verdict() == ("ignored", "CLOSING")
    venue.signal("CLOSE", source="third", key="third")
    third = venue.state.find_signal("s-third-third")
    assert third is not None
    assert third.code == "CLOSING"


@pytest.mark.parametrize("first", ["CLOSE", "CLOSE_LONG"])
def test_a_close_withdraws_its_source_s_entries_at_once_whoever_closes_the_position_already(
    venue: AtVenue, first: str
) -> None:
    venue.signal("LONG", "0.3", key="rests", type="LIMIT", price="59000")
    resting = venue.order("rests")
    venue.said(resting, OrderStatus.ACCEPTED)
    closing(venue, first, source="mail")
    venue.handle(Doubt(venue.now, venue.last_order.id, "no answer"))
    venue.signal("CLOSE", key="own")
    assert resting.cancel_requested, "the close before it may not be known of for an hour"
    assert (venue.record("own").waits, venue.orders_of("own")) == (WaitsFor.FLAT, [])
    venue.said(resting, OrderStatus.CANCELLED)
    assert venue.record("own").verdict is None
    venue.fills(venue.last_order)
    assert (venue.size, venue.live()) == (0, [])
    assert venue.verdict("own") == ("ignored", "FLAT")
    assert "withdrew the working entries of tv" in venue.record("own").message


@pytest.mark.parametrize("silent", [True, False])
def test_a_thousand_closes_leave_one_that_works(venue: AtVenue, silent: bool) -> None:
    closing(venue)
    if not silent:
        venue.not_sent(venue.order("first"))
    for _ in range(1_000):
        assert len(venue.signal("CLOSE")) == 2
    assert list(venue.state.signals) == ["s-tv-first"]
    assert list(venue.desk.kernel.lines) == [("main", venue.instruments[0].id)]
    assert venue.replayed()


def test_after_a_restart_the_close_before_still_stands_for_another(venue: AtVenue) -> None:
    closing(venue)
    venue.restart()
    venue.signal("CLOSE")
    assert venue.verdict() == ("ignored", "CLOSING")


def test_an_approved_close_is_not_needed_while_another_is_under_way(venue: AtVenue) -> None:
    closing(venue)
    venue.signal("CLOSE", rules=ASKS)
    venue.ask(cmd.ApproveSignal, signal=venue.record().signal.id)
    assert venue.verdict() == ("ignored", "CLOSING")


def test_a_test_says_that_another_close_is_under_way(venue: AtVenue) -> None:
    closing(venue)
    venue.signal("CLOSE", test=True)
    assert "would do nothing: CLOSE s-tv-first of tv closes BTCUSDT already" in venue.record().message


def test_its_sender_is_told_that_nothing_is_left_to_do() -> None:
    told = verdict(Outcome("s1", "ignored", "CLOSING", "CLOSE s0 of tv closes it"), 200, "r1")
    assert (told.status, told.success, told.code, told.error) == (200, True, "CLOSING", None)
    assert told.result == {"status": "ignored", "signalId": "s1", "message": "CLOSE s0 of tv closes it"}


# --- More than one order closes it ----------------------------------------------------------------------


def test_what_an_entry_fills_while_its_first_part_is_closed_is_closed_at_once_and_quietly(venue: AtVenue) -> None:
    venue.signal("LONG", "0.5")
    entry = venue.order()
    venue.said(entry, OrderStatus.PARTIAL, "0.3", fill("f1", "60000", "0.3"))
    venue.signal("CLOSE", key="close")
    events = venue.said(entry, OrderStatus.FILLED, "0.5", fill("f2", "60000", "0.2"))
    assert ([o.size for o in venue.orders_of("close")], alarms(events)) == ([D("0.3"), D("0.2")], [])
    for order in venue.orders_of("close"):
        venue.fills(order)
    assert (venue.size, venue.verdict("close")) == (0, EXECUTED)


def test_a_position_larger_than_one_order_may_be_is_closed_order_by_order_quietly(venue: AtVenue) -> None:
    venue.open_long("1.0")
    venue.handle(Listed(venue.now, instrument(max_size=D("0.4"))))
    began = venue.now
    venue.signal("CLOSE", key="close")
    while venue.live():
        venue.fills(venue.live()[0])
    assert [o.size for o in venue.orders_of("close")] == [D("0.4"), D("0.4"), D("0.2")]
    assert (venue.size, venue.verdict("close"), alarms(venue.events)) == (0, EXECUTED, [])
    assert venue.now - began < SECOND


def test_closes_that_the_venue_refuses_are_tried_ever_more_slowly_also_where_there_are_two(venue: AtVenue) -> None:
    venue.open_long("1.0")
    venue.handle(Listed(venue.now, instrument(max_size=D("0.6"))))
    venue.signal("CLOSE", key="close")
    began = venue.now
    while venue.now - began < 60 * SECOND:
        for order in venue.live():
            venue.said(order, OrderStatus.REJECTED, reason="no")
        venue.later(1)
    assert len(venue.orders_of("close")) <= 14
    assert venue.record("close").waits is WaitsFor.RETRY
    assert alarms(venue.events).count("SIGNAL_NOT_CLOSED") == 1


# --- What no order can close ----------------------------------------------------------------------------


def test_less_than_a_step_that_the_venue_refuses_keeps_no_close_going_for_ever(venue: AtVenue) -> None:
    venue.open_long("0.5")
    venue.handle(Listed(venue.now, instrument(step=D("0.2"))))
    venue.signal("CLOSE", key="close")
    for _ in range(3):
        for order in venue.live():
            if order.size < D("0.2"):
                venue.said(order, OrderStatus.REJECTED, reason="less than a step")
            else:
                venue.fills(order)
        venue.later(2)
    assert venue.verdict("close") == EXECUTED
    assert all(word in venue.record("close").message for word in ("closed 0.4", "0.1 BTCUSDT stays open", "step"))
    assert (venue.size, alarms(venue.events).count("DUST")) == (D("0.1"), 1)
    venue.signal("CLOSE")
    assert venue.verdict() == ("ignored", "DUST")
    venue.signal("LONG", "0.4")
    assert venue.order().status is OrderStatus.SENT


def test_a_close_that_waited_for_the_venue_s_word_tells_a_person_that_it_does_not_close(venue: AtVenue) -> None:
    venue.place(BUY, "0.1")
    opens = venue.last_order
    Inbox.restart(venue)
    venue.at_price("60000")
    venue.signal("CLOSE")
    assert venue.record().waits is WaitsFor.RETRY
    venue.fills(opens)
    events = venue.said(venue.order(), OrderStatus.REJECTED, reason="no")
    assert alarms(events) == ["SIGNAL_NOT_CLOSED"]
    venue.later(60)
    for _ in range(3):
        venue.said(venue.order(), OrderStatus.REJECTED, reason="no")
        venue.later(60)
    assert alarms(venue.events).count("SIGNAL_NOT_CLOSED") == 1
