"""How signals are tried again: what never left, until it is flat, and what a restart leaves of what waits."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from engine.core.inputs import Listed
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.order import OrderStatus
from engine.model.report import VenuePosition
from tests.kit import BUY, SECOND, SELL, alarms, bodies
from tests.signal_kit import ASKS, EXECUTED, TRADES, AtVenue, Inbox, policy

D = Decimal


@pytest.fixture
def inbox() -> Inbox:
    return Inbox(balance="1000000")


@pytest.fixture
def venue() -> AtVenue:
    return AtVenue()


# --- Trying again ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["UNREACHABLE", "RATE_LIMITED"])
def test_an_entry_that_never_left_is_tried_again_as_a_new_order_of_the_same_signal(venue: AtVenue, code: str) -> None:
    venue.signal("LONG", "0.1")
    first = venue.order()
    venue.not_sent(first, code)
    waits = venue.record()
    assert (waits.waits, waits.attempt, waits.until_ns) == ("retry", 1, venue.now + 30 * SECOND)
    venue.later(30)
    second = venue.order()
    assert second.id != first.id
    assert (second.terms.request_id, second.terms.owner) == ("s-tv-k1/2", "source:tv")
    assert second.terms.client_id != first.terms.client_id
    venue.fills(second)
    assert venue.verdict() == EXECUTED
    assert venue.record().orders == (first.id, second.id)


@pytest.mark.parametrize("status", [OrderStatus.REJECTED])
def test_what_the_venue_refused_is_never_tried_again(venue: AtVenue, status: OrderStatus) -> None:
    venue.signal("LONG", "0.1")
    venue.said(venue.order(), status, reason="margin is insufficient")
    assert venue.verdict() == ("refused", "REJECTED")
    assert "margin is insufficient" in venue.record().message
    venue.later(120)
    assert len(bodies(venue.events, ev.OrderSent)) == 1


def test_what_was_stopped_before_it_left_is_refused_and_not_tried_again(venue: AtVenue) -> None:
    venue.signal("LONG", "0.1")
    venue.not_sent(venue.order(), "KILL_SWITCH")
    assert venue.verdict() == ("refused", "KILL_SWITCH")


def test_an_unknown_outcome_is_waited_for_and_never_tried_again(venue: AtVenue) -> None:
    venue.signal("LONG", "0.1")
    venue.restart()
    venue.at_price("60000")
    assert venue.order().status is OrderStatus.UNKNOWN
    venue.later(600)
    assert len(bodies(venue.events, ev.OrderSent)) == 1
    assert venue.record().verdict is None
    venue.fills(venue.order())
    assert venue.verdict() == EXECUTED


def test_it_gives_up_where_the_next_try_would_come_after_its_patience(venue: AtVenue) -> None:
    venue.signal("LONG", "0.1")
    venue.not_sent(venue.order())
    venue.later(30)
    events = venue.not_sent(venue.order())
    assert venue.verdict() == ("expired", "PATIENCE")
    assert "SIGNAL_EXPIRED" in alarms(events)


def test_the_waits_follow_the_policy_of_its_source(venue: AtVenue) -> None:
    rules = policy(retry_s=(2, 5), entry_patience_s=3_600)
    venue.signal("LONG", "0.1", rules)
    waited = []
    for _ in range(4):
        began = venue.now
        venue.not_sent(venue.order())
        waited.append((venue.record().until_ns - began) // SECOND)
        venue.later(waited[-1])
    assert waited == [2, 5, 5, 5]


def test_it_is_not_tried_again_after_the_price_has_moved(venue: AtVenue) -> None:
    venue.signal("LONG", "0.1")
    venue.not_sent(venue.order())
    events = venue.later(31, "59600")
    assert venue.verdict() == ("expired", "DRIFT")
    assert "SIGNAL_EXPIRED" in alarms(events)
    assert len(bodies(venue.events, ev.OrderSent)) == 1


def test_a_retry_counts_once_against_the_orders_an_hour(venue: AtVenue) -> None:
    rules = policy(orders_per_hour=2)
    venue.signal("LONG", "0.1", rules)
    venue.not_sent(venue.order())
    venue.later(30)
    venue.fills(venue.order())
    assert venue.verdict() == EXECUTED
    venue.signal("LONG", "0.1", rules)
    assert venue.order().status is OrderStatus.SENT


def test_a_close_that_never_left_is_tried_until_flat(venue: AtVenue) -> None:
    rules = policy(retry_s=(30, 60))
    venue.signal("LONG", "0.1")
    venue.fills(venue.order())
    venue.signal("CLOSE", rules=rules)
    for wait_s in (30, 60, 60, 60):
        venue.not_sent(venue.order())
        assert venue.record().until_ns == venue.now + wait_s * SECOND
        venue.later(wait_s)
    assert venue.order().size == D("0.1")
    venue.fills(venue.order())
    assert venue.verdict() == EXECUTED
    assert venue.size == 0


def test_a_close_that_the_venue_refuses_is_tried_ever_more_slowly(venue: AtVenue) -> None:
    venue.signal("LONG", "0.1")
    venue.fills(venue.order())
    venue.signal("CLOSE")
    waited = []
    for _ in range(7):
        venue.said(venue.order(), OrderStatus.REJECTED, reason="no")
        waited.append((venue.record().until_ns - venue.now) // SECOND)
        venue.later(waited[-1])
    assert waited == [1, 2, 4, 8, 16, 32, 32]
    assert alarms(venue.events).count("SIGNAL_NOT_CLOSED") == 1


def test_a_reversal_that_does_not_get_flat_in_time_expires(venue: AtVenue) -> None:
    venue.signal("SHORT", "0.1")
    venue.fills(venue.order())
    venue.signal("LONG", "0.2")
    assert venue.record().waits == "flat"
    assert "SIGNAL_EXPIRED" in alarms(venue.later(60))
    assert venue.verdict() == ("expired", "PATIENCE")


def test_a_reversal_whose_close_is_tried_late_still_expires_in_time(venue: AtVenue) -> None:
    venue.signal("SHORT", "0.1")
    venue.fills(venue.order())
    venue.signal("LONG", "0.2", policy(retry_s=(300,)))
    received_ns = venue.record().received_ns
    venue.not_sent(venue.order())
    assert (venue.record().waits, venue.record().until_ns) == ("retry", received_ns + 60 * SECOND)


def test_a_close_after_a_reversal_has_begun_leaves_it_flat(venue: AtVenue) -> None:
    venue.signal("SHORT", "0.1")
    venue.fills(venue.order())
    venue.signal("LONG", "0.2")
    venue.signal("CLOSE")
    assert venue.verdict("k2") == ("expired", "SUPERSEDED")
    assert not venue.record("k3").orders, "what closes it is on its way already"
    venue.fills(venue.order("k2"))
    assert venue.size == 0
    assert venue.verdict("k3") == ("ignored", "FLAT")


def test_a_live_account_s_venue_is_named_by_its_own_name() -> None:
    venue = AtVenue(env="live")
    venue.signal("LONG", "0.1", exchange="binance")
    assert venue.verdict() == ("refused", "EXCHANGE")
    assert "sim" in venue.record().message
    venue.signal("LONG", "0.1", exchange="sim")
    assert venue.order().status is OrderStatus.SENT


def test_a_rehearsal_takes_any_exchange(venue: AtVenue) -> None:
    venue.signal("LONG", "0.1", exchange="binance")
    assert venue.order().status is OrderStatus.SENT


# --- Restarts -------------------------------------------------------------------------------------------


def test_a_restart_keeps_the_countdown_of_a_retry(venue: AtVenue) -> None:
    venue.signal("LONG", "0.1")
    venue.not_sent(venue.order())
    until_ns = venue.record().until_ns
    venue.restart()
    venue.at_price("60000")
    assert (venue.record().waits, venue.record().until_ns) == ("retry", until_ns)
    venue.later(29)
    assert len(venue.record().orders) == 1
    venue.later(2)
    assert venue.order().status is OrderStatus.SENT
    assert len(venue.record().orders) == 2


def test_a_restart_keeps_the_order_of_the_queue(venue: AtVenue) -> None:
    venue.queue()
    venue.restart()
    venue.at_price("60000")
    assert [venue.record(f"k{n}").waits for n in (1, 2, 3)] == ["retry", "queue", "queue"]
    venue.later(30)
    assert [venue.order(f"k{n}").id for n in (1, 2, 3)] == ["O2", "O3", "O4"]


def test_a_restart_waits_for_the_feed_before_it_places_what_waited(venue: AtVenue) -> None:
    venue.signal("LONG", "0.1")
    venue.not_sent(venue.order())
    venue.restart()
    venue.wait(35 * SECOND)
    assert venue.record().waits == "retry"
    assert len(venue.record().orders) == 1
    venue.at_price("60000")
    venue.later(2)
    assert venue.order().status is OrderStatus.SENT


def test_what_waited_goes_on_waiting_while_its_symbol_is_halted(venue: AtVenue) -> None:
    """As the refusal of an entry says: entries wait until it trades."""
    venue.signal("LONG", "0.1", policy(entry_patience_s=600))
    venue.not_sent(venue.order())
    listed = venue.instruments[0]
    venue.handle(Listed(venue.now, msgspec.structs.replace(listed, halted=True)))
    venue.later(31)
    assert venue.record().waits == "retry"
    assert len(venue.record().orders) == 1
    venue.handle(Listed(venue.now, listed))
    venue.later(31)
    assert venue.order().status is OrderStatus.SENT


@pytest.mark.parametrize("fresh", [True, False])
def test_after_a_start_an_entry_waits_until_the_account_was_held_against_its_venue(venue: AtVenue, fresh: bool) -> None:
    if not fresh:
        venue.queue()
    sent = len(bodies(venue.events, ev.OrderSent))
    Inbox.restart(venue)
    venue.at_price("60000")
    if fresh:
        venue.signal("LONG", "0.1")
    venue.later(35)
    assert venue.record("k1").waits == "retry"
    assert len(bodies(venue.events, ev.OrderSent)) == sent
    venue.reconciled()
    venue.later(1)
    assert venue.order("k1").status is OrderStatus.SENT


def test_a_close_waits_for_no_reconciliation(venue: AtVenue) -> None:
    venue.signal("LONG", "0.1")
    venue.fills(venue.order())
    Inbox.restart(venue)
    venue.signal("CLOSE")
    assert venue.order().status is OrderStatus.SENT


@pytest.mark.parametrize("restarts", [True, False])
@pytest.mark.parametrize("ours", ["0", "0.1"])
def test_a_close_goes_by_what_the_venue_states_beyond_the_ledger(venue: AtVenue, ours: str, restarts: bool) -> None:
    if D(ours):
        venue.signal("LONG", ours)
        venue.fills(venue.order())
    theirs = VenuePosition(venue.instruments[0].id, D("0.5"), D(60000))
    if restarts:
        Inbox.restart(venue)
        venue.at_price("60000")
    else:
        venue.stands(theirs)
    venue.signal("CLOSE", key="close")
    if D(ours):
        rest = VenuePosition(theirs.instrument, theirs.size - D(ours), D(60000))
        venue.fills(venue.order("close"))
        theirs = rest
    assert (venue.record("close").waits, venue.record("close").verdict) == ("retry", None)
    for _ in range(4):
        venue.later(6)
        if not venue.size:
            venue.stands(theirs)
    venue.later(40)
    assert venue.order("close").size == theirs.size
    venue.fills(venue.order("close"))
    assert venue.size == 0
    assert venue.verdict("close") == EXECUTED


def test_a_close_that_the_venue_confirms_to_be_flat_is_ignored(venue: AtVenue) -> None:
    Inbox.restart(venue)
    venue.at_price("60000")
    venue.signal("CLOSE")
    assert venue.record().waits == "retry"
    venue.reconciled()
    venue.later(1)
    assert venue.verdict() == ("ignored", "FLAT")


def test_what_waited_for_a_feed_that_does_not_come_expires(venue: AtVenue) -> None:
    venue.signal("LONG", "0.1")
    venue.not_sent(venue.order())
    venue.restart()
    assert "SIGNAL_EXPIRED" in alarms(venue.wait(61 * SECOND))
    assert venue.verdict() == ("expired", "PATIENCE")


def test_a_reversal_goes_on_after_a_restart() -> None:
    inbox = Inbox(balance="1000000")
    inbox.open(SELL, "1.0", leverage=10)
    inbox.signal("LONG", "0.5")
    inbox.restart()
    inbox.market("60000")
    inbox.wait(2 * SECOND)
    assert inbox.verdict() == EXECUTED
    assert inbox.size == D("0.5")


def test_a_close_goes_on_after_a_restart() -> None:
    inbox = Inbox(balance="1000000")
    inbox.open(BUY, "0.5")
    inbox.signal("CLOSE")
    inbox.restart()
    inbox.wait(SECOND)
    inbox.market("60000")
    inbox.wait(SECOND)
    assert inbox.verdict() == EXECUTED
    assert inbox.size == 0


def test_a_limit_entry_that_rests_is_followed_after_a_restart(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.5", type="LIMIT", price="59000")
    inbox.wait()
    inbox.restart()
    inbox.market("60000")
    inbox.trade("58999.9", "50", SELL)
    assert inbox.verdict() == EXECUTED


def test_all_that_waits_is_replayed_byte_for_byte(venue: AtVenue) -> None:
    venue.signal("LONG", "0.1")
    venue.not_sent(venue.order())
    venue.signal("LONG", "0.2")
    venue.signal("LONG", "0.3", ASKS)
    venue.restart()
    venue.at_price("60000")
    venue.ask(cmd.ApproveSignal, signal="s-tv-k3")
    venue.later(40)
    venue.signal("CLOSE", rules=TRADES)
    venue.later(5)
    assert venue.replayed()


def test_a_quote_costs_nothing_more_while_no_timer_is_due(venue: AtVenue) -> None:
    venue.signal("LONG", "0.1")
    venue.not_sent(venue.order())
    assert venue.quote("60000", "60000.1") == []
    assert venue.desk.next_due() == venue.record().until_ns


# --- How often it was tried -----------------------------------------------------------------------------


def test_a_close_that_was_refused_before_is_tried_again_as_soon_as_any_other_that_never_left(venue: AtVenue) -> None:
    venue.open_long("0.1")
    venue.signal("CLOSE")
    for wait_s in (1, 2, 4):
        venue.said(venue.order(), OrderStatus.REJECTED, reason="no")
        venue.later(wait_s)
    for wait_s in (30, 60):
        venue.not_sent(venue.order())
        assert venue.record().until_ns == venue.now + wait_s * SECOND
        venue.later(wait_s)


def test_a_reversal_whose_close_was_refused_tries_its_entry_again_as_soon_as_any_other(venue: AtVenue) -> None:
    venue.open_long("0.1")
    venue.signal("SHORT", "0.1")
    for wait_s in (1, 2):
        venue.said(venue.order(), OrderStatus.REJECTED, reason="no")
        venue.later(wait_s)
    venue.fills(venue.order())
    venue.not_sent(venue.order())
    assert venue.record().until_ns == venue.now + 30 * SECOND
    venue.later(30)
    venue.fills(venue.order())
    assert (venue.size, venue.verdict()) == (D("-0.1"), EXECUTED)
