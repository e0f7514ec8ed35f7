"""How signals wait for a person and for their turn, and what ends that."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.inputs import CancelRefused
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.order import OrderStatus
from engine.model.signal import Opposite, SourceMode
from tests.kit import BUY, SECOND, SELL, alarms, bodies, refusal
from tests.signal_kit import ASKS, EXECUTED, ONCE, AtVenue, Inbox, policy

D = Decimal


@pytest.fixture
def inbox() -> Inbox:
    return Inbox(balance="1000000")


@pytest.fixture
def venue() -> AtVenue:
    return AtVenue()


# --- Approval -------------------------------------------------------------------------------------------


def test_it_waits_for_a_person_with_a_countdown_and_no_order(inbox: Inbox) -> None:
    events = inbox.signal("LONG", "0.5", ASKS)
    assert [e.type for e in events] == ["SignalReceived", "SignalWaits"]
    assert (inbox.record().waits, inbox.record().until_ns) == ("approval", inbox.now + 300 * SECOND)


def test_approved_it_trades(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.5", ASKS)
    events = inbox.ask(cmd.ApproveSignal, signal="s-tv-k1")
    (approved,) = [e for e in events if e.type == "SignalApproved"]
    assert (approved.owner, approved.request_id) == ("hand", "s-tv-k1")
    inbox.wait()
    assert inbox.size == D("0.5")
    assert inbox.verdict() == EXECUTED


def test_it_passes_the_same_checks_again_when_it_is_approved(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.5", ASKS)
    inbox.ask(cmd.SetKill, on=True, reason="test")
    inbox.ask(cmd.ApproveSignal, signal="s-tv-k1")
    assert inbox.verdict() == ("refused", "KILL_SWITCH")


def test_what_the_position_has_become_decides_when_it_is_approved(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.5", policy(mode=SourceMode.APPROVE, opposite=Opposite.REJECT))
    inbox.open(SELL, "0.1")
    inbox.ask(cmd.ApproveSignal, signal="s-tv-k1")
    assert inbox.verdict() == ("refused", "OPPOSITE")


def test_a_person_is_not_asked_for_what_would_be_refused(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.5", ASKS, leverage=200)
    assert inbox.verdict() == ("refused", "LEVERAGE")


def test_what_ends_at_its_approval_stands_in_no_line_any_more(inbox: Inbox) -> None:
    inbox.open(BUY, "1.0", leverage=10)
    inbox.signal("CLOSE", rules=ASKS)
    inbox.signal("CLOSE")
    inbox.ask(cmd.ApproveSignal, signal="s-tv-k1")
    assert inbox.verdict("k1") == ("ignored", "CLOSING")
    inbox.wait()
    assert inbox.size == 0
    assert inbox.desk.kernel.lines == {}


def test_declined_it_ends_with_the_reason(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.5", ASKS)
    events = inbox.ask(cmd.DeclineSignal, signal="s-tv-k1", reason="too late")
    assert bodies(events, ev.SignalDeclined) == [ev.SignalDeclined("s-tv-k1", "too late")]
    assert inbox.verdict() == ("declined", "DECLINED")
    assert inbox.record().message == "too late"


@pytest.mark.parametrize("restarts", [False, True])
def test_nobody_answers_and_it_expires_with_an_alarm(inbox: Inbox, restarts: bool) -> None:
    inbox.signal("LONG", "0.5", ASKS)
    if restarts:
        inbox.restart()
    inbox.wait(299 * SECOND)
    assert inbox.record().verdict is None
    assert "SIGNAL_EXPIRED" in alarms(inbox.wait(SECOND))
    assert inbox.verdict() == ("expired", "NOT_APPROVED")
    assert refusal(inbox.ask(cmd.ApproveSignal, signal="s-tv-k1"))[0] == "UNKNOWN"


def test_what_does_not_wait_for_approval_cannot_be_approved(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.5")
    assert refusal(inbox.ask(cmd.ApproveSignal, signal="s-tv-k1"))[0] == "NOT_WAITING"
    assert refusal(inbox.ask(cmd.DeclineSignal, signal="s-tv-k1", request_id="d"))[0] == "NOT_WAITING"


def test_its_patience_counts_from_the_approval(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.5", ASKS)
    inbox.wait(200 * SECOND)
    inbox.market("66000")
    inbox.ask(cmd.ApproveSignal, signal="s-tv-k1")
    inbox.wait()
    assert inbox.verdict() == EXECUTED


# --- The queue ------------------------------------------------------------------------------------------


def test_entries_of_an_instrument_take_turns_in_the_order_they_came(venue: AtVenue) -> None:
    venue.queue()
    assert [venue.record(f"k{n}").waits for n in (1, 2, 3)] == ["retry", "queue", "queue"]
    venue.later(30)
    assert [venue.order(f"k{n}").id for n in (1, 2, 3)] == ["O2", "O3", "O4"]
    for n in (1, 2, 3):
        venue.fills(venue.order(f"k{n}"))
        assert venue.verdict(f"k{n}") == EXECUTED
    assert venue.size == D("0.6")


def test_entries_to_the_same_side_of_a_source_that_adds_need_not_wait_for_each_other(venue: AtVenue) -> None:
    for size in ("0.1", "0.2", "0.3"):
        venue.signal("LONG", size)
    assert [venue.order(f"k{n}").status for n in (1, 2, 3)] == ["SENT"] * 3


def test_a_source_that_does_not_add_waits_for_what_is_on_its_way(venue: AtVenue) -> None:
    venue.signal("LONG", "0.1", ONCE)
    venue.signal("LONG", "0.2", ONCE)
    assert venue.record().waits == "queue"
    venue.fills(venue.order("k1"))
    assert venue.verdict() == ("refused", "SAME_SIDE")


def test_the_next_one_goes_when_the_one_before_rests(venue: AtVenue) -> None:
    venue.signal("LONG", "0.1", type="LIMIT", price="59000")
    venue.signal("SHORT", "0.2", policy(opposite=Opposite.NET))
    assert venue.record().waits == "queue"
    venue.said(venue.order("k1"), OrderStatus.ACCEPTED)
    assert venue.order("k2").status is OrderStatus.SENT
    assert venue.record("k1").verdict is None


def test_what_waits_for_its_turn_expires_with_an_alarm(venue: AtVenue) -> None:
    venue.signal("LONG", "0.1")
    venue.signal("LONG", "0.2", ONCE)
    assert venue.record().until_ns == venue.now + 60 * SECOND
    assert "SIGNAL_EXPIRED" in alarms(venue.later(60))
    assert venue.verdict() == ("expired", "PATIENCE")
    assert venue.record("k1").verdict is None


def test_its_turn_comes_too_late_when_the_price_has_moved(venue: AtVenue) -> None:
    venue.signal("LONG", "0.1")
    venue.signal("LONG", "0.2", ONCE)
    venue.at_price("60310")
    events = venue.fills(venue.order("k1"))
    assert venue.verdict() == ("expired", "DRIFT")
    assert "0.52%" in venue.record().message
    assert "SIGNAL_EXPIRED" in alarms(events)


def test_what_the_position_has_become_decides_when_its_turn_comes(venue: AtVenue) -> None:
    venue.signal("LONG", "0.1")
    venue.signal("SHORT", "0.2", policy(opposite=Opposite.REJECT))
    assert venue.record().waits == "queue"
    venue.fills(venue.order("k1"))
    assert venue.verdict() == ("refused", "OPPOSITE")


def test_a_close_ends_queued_entries_and_runs_at_once(venue: AtVenue) -> None:
    venue.signal("LONG", "0.1")
    venue.fills(venue.order("k1"))
    venue.signal("LONG", "0.2")
    venue.signal("LONG", "0.3", ONCE)
    events = venue.signal("CLOSE")
    assert venue.verdict("k3") == ("expired", "SUPERSEDED")
    assert "SIGNAL_EXPIRED" in alarms(events)
    assert venue.order("k4").size == D("0.1")
    assert venue.order("k2").cancel_requested
    venue.fills(venue.order("k4"))
    assert venue.record().verdict is None, "the entry on its way may still open"
    venue.fills(venue.order("k2"))
    assert venue.order("k4").size == D("0.2")
    venue.fills(venue.order("k4"))
    assert venue.verdict() == EXECUTED
    assert venue.size == 0


def test_an_opposite_signal_ends_queued_entries(venue: AtVenue) -> None:
    venue.signal("LONG", "0.1")
    venue.not_sent(venue.order())
    assert venue.record().waits == "retry"
    venue.signal("SHORT", "0.3")
    assert venue.verdict("k1") == ("expired", "SUPERSEDED")
    assert venue.order().terms.side is SELL


def test_an_opposite_signal_that_is_refused_ends_nothing(venue: AtVenue) -> None:
    venue.signal("LONG", "0.1")
    venue.fills(venue.order())
    venue.signal("LONG", "0.2")
    venue.not_sent(venue.order())
    venue.signal("SHORT", "0.3", policy(opposite=Opposite.REJECT))
    assert venue.record("k2").waits == "retry"


def test_a_close_ends_an_earlier_entry_that_waits_for_approval(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.5", ASKS)
    inbox.signal("CLOSE")
    assert inbox.verdict("k1") == ("expired", "SUPERSEDED")
    inbox.signal("LONG", "0.5", ASKS)
    assert inbox.record().waits == "approval"


def test_a_close_leaves_alone_what_came_after_it(inbox: Inbox) -> None:
    inbox.signal("CLOSE", rules=ASKS)
    inbox.signal("LONG", "0.5", ASKS)
    inbox.ask(cmd.ApproveSignal, signal="s-tv-k1")
    assert inbox.verdict("k1") == ("ignored", "FLAT")
    assert inbox.record("k2").waits == "approval"


def test_after_a_restart_a_close_still_ends_what_waits_for_approval(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.5", ASKS)
    inbox.restart()
    inbox.signal("CLOSE")
    assert inbox.verdict("k1") == ("expired", "SUPERSEDED")


def test_a_close_asks_again_for_a_cancel_that_the_venue_refused(venue: AtVenue) -> None:
    venue.signal("LONG", "0.1", type="LIMIT", price="59000")
    resting = venue.order()
    venue.said(resting, OrderStatus.ACCEPTED)
    venue.signal("CLOSE")
    venue.handle(CancelRefused(venue.now, resting.id, "not now"))
    assert (venue.record().waits, resting.cancel_requested) == ("retry", False)
    venue.later(1)
    assert resting.cancel_requested
    venue.said(resting, OrderStatus.CANCELLED)
    assert venue.verdict() == ("ignored", "FLAT")


def test_entries_that_come_while_a_close_is_under_way_follow_it(venue: AtVenue) -> None:
    venue.signal("LONG", "0.1")
    venue.fills(venue.order())
    venue.signal("CLOSE")
    venue.signal("SHORT", "0.2", policy(opposite=Opposite.REJECT))
    assert venue.record().waits == "queue"
    venue.fills(venue.order("k2"))
    venue.fills(venue.order("k3"))
    assert venue.verdict("k3") == EXECUTED
    assert venue.size == D("-0.2")


def test_what_waits_can_be_declined(venue: AtVenue) -> None:
    venue.signal("LONG", "0.1")
    venue.signal("LONG", "0.2", ONCE)
    venue.ask(cmd.DeclineSignal, signal="s-tv-k2")
    assert venue.verdict() == ("declined", "DECLINED")
    venue.fills(venue.order("k1"))
    assert venue.size == D("0.1")
