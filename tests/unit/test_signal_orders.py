"""What becomes of a signal at the desk: its orders, its answer, its one verdict (DESIGN 7; semantics B8, W1 to W4)."""
# ruff: noqa: N802 - tests are named for the numbered cases

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from engine.model import command as cmd
from engine.model import event as ev
from engine.model.order import OrderStatus, OrderType
from engine.model.signal import Opposite, SameSide
from tests.kit import BUY, SECOND, SELL, alarms, bodies, instrument
from tests.signal_kit import EXECUTED, Inbox, policy, signal

D = Decimal


@pytest.fixture
def inbox() -> Inbox:
    return Inbox(balance="1000000")


# --- One order, once ------------------------------------------------------------------------------------


def test_a_long_buys_under_its_source_and_its_own_id(inbox: Inbox) -> None:
    events = inbox.signal("LONG", "0.5")
    assert [e.type for e in events] == ["SignalReceived", "IntentCreated", "RiskApproved", "OrderCreated", "OrderSent"]
    assert {(e.owner, e.request_id) for e in events} == {("source:tv", "s-tv-k1")}
    assert all(e.causation for e in events[1:])
    inbox.wait()
    assert inbox.size == D("0.5")
    assert inbox.verdict() == EXECUTED
    assert "0.5 BTCUSDT at 60000.1" in inbox.record().message


def test_W1_the_same_signal_four_times_is_one_order(inbox: Inbox) -> None:
    sent = signal("LONG", "0.5", key="bar 1")
    first = inbox.take(sent)
    for _ in range(3):
        inbox.at(inbox.now + 5 * SECOND)
        assert not bodies(inbox.take(sent), ev.SignalReceived)
    inbox.wait()
    assert bodies(first, ev.SignalReceived)
    assert inbox.size == D("0.5")
    assert len(bodies(inbox.events, ev.OrderCreated)) == 1
    assert inbox.verdict("bar 1") == EXECUTED


def test_W2_the_same_body_with_a_new_key_is_another_order(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.5", key="bar 1", body_hash="same")
    inbox.signal("LONG", "0.5", key="bar 2", body_hash="same")
    inbox.wait()
    assert inbox.size == D(1)


@pytest.mark.parametrize("restarts", [False, True])
def test_W3_a_resend_counts_once_however_late_and_over_a_restart(inbox: Inbox, restarts: bool) -> None:
    sent = signal("LONG", "0.5", key="bar 1")
    inbox.take(sent)
    inbox.wait(600 * SECOND)
    if restarts:
        inbox.restart()
        inbox.market("60000")
    assert not bodies(inbox.take(sent), ev.SignalReceived)
    inbox.wait()
    assert inbox.size == D("0.5")


def test_W4_a_known_key_with_another_body_makes_no_order(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.5", key="bar 1")
    assert not bodies(inbox.signal("LONG", "0.7", key="bar 1", body_hash="another"), ev.SignalReceived)
    inbox.wait()
    assert inbox.size == D("0.5")
    assert inbox.state.signal_keys["tv|bar 1"] == ("s-tv-bar 1", "hash of bar 1")


def test_a_known_key_under_another_id_makes_no_order(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.5", key="bar 1")
    assert inbox.take(msgspec.structs.replace(signal("LONG", "0.5", key="bar 1"), id="another")) == []


def test_the_same_key_of_another_source_is_another_signal(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.5", key="bar 1")
    inbox.signal("LONG", "0.5", key="bar 1", source="mail")
    inbox.wait()
    assert inbox.size == D(1)


# --- Opposite and same side -----------------------------------------------------------------------------


def short_of_one(opposite: str) -> tuple[Inbox, list[str]]:
    inbox = Inbox(balance="1000000")
    inbox.open(SELL, "1.0", leverage=10)
    events = inbox.signal("LONG", "0.5", policy(opposite=Opposite(opposite)))
    events += inbox.wait()
    return inbox, [e.type for e in events]


def test_B8_reverse_closes_reduce_only_confirms_flat_and_opens(inbox: Inbox) -> None:
    inbox, types = short_of_one("reverse")
    close, opening = inbox.orders_of()
    assert (close.terms.side, close.filled, close.terms.reduce_only) == (BUY, D("1.0"), True)
    assert (opening.terms.side, opening.filled, opening.terms.reduce_only) == (BUY, D("0.5"), False)
    assert inbox.size == D("0.5")
    assert types.index("OrderFilled") < types.index("IntentCreated")
    assert inbox.verdict() == EXECUTED
    assert "1.0 was closed before" in inbox.record().message


def test_B8_reverse_waits_until_it_is_flat() -> None:
    inbox = Inbox(balance="1000000")
    inbox.open(SELL, "1.0", leverage=10)
    inbox.signal("LONG", "0.5")
    assert [o.terms.reduce_only for o in inbox.orders_of()] == [True]
    assert (inbox.record().waits, inbox.record().until_ns) == ("flat", inbox.now + 60 * SECOND)


def test_B8_net_trades_through_the_position() -> None:
    inbox, _ = short_of_one("net")
    assert inbox.size == D("-0.5")
    assert [o.terms.reduce_only for o in inbox.orders_of()] == [False]
    assert inbox.verdict() == EXECUTED


def test_B8_reject_does_nothing_and_says_so() -> None:
    inbox, types = short_of_one("reject")
    assert inbox.size == D("-1.0")
    assert types == ["SignalReceived", "SignalEnded"]
    assert inbox.verdict() == ("refused", "OPPOSITE")


def test_a_reversal_that_could_not_open_closes_nothing() -> None:
    inbox = Inbox(balance="1000000")
    inbox.open(SELL, "1.0", leverage=10)
    inbox.ask(cmd.SetKill, on=True, reason="test")
    inbox.signal("LONG", "0.5")
    inbox.wait()
    assert inbox.verdict() == ("refused", "KILL_SWITCH")
    assert inbox.size == D("-1.0")


@pytest.mark.parametrize("action", ["LONG", "SHORT"])
@pytest.mark.parametrize("does", ["reject", "ignore"])
def test_under_the_kill_switch_an_entry_is_told_that_first(action: str, does: str) -> None:
    inbox = Inbox(balance="1000000")
    inbox.open(SELL, "1.0", leverage=10)
    inbox.ask(cmd.SetKill, on=True, reason="test")
    inbox.signal(action, "0.5", policy(same_side=SameSide(does), opposite=Opposite.REJECT))
    assert inbox.verdict() == ("refused", "KILL_SWITCH")
    inbox.signal("CLOSE")
    inbox.wait()
    assert inbox.verdict() == EXECUTED
    assert inbox.size == 0


def test_a_reversal_that_is_stopped_half_way_says_what_it_closed() -> None:
    inbox = Inbox(balance="1000000")
    inbox.open(SELL, "1.0", leverage=10)
    inbox.signal("LONG", "0.5")
    inbox.ask(cmd.SetKill, on=True, reason="test")
    events = inbox.wait()
    assert inbox.verdict() == ("refused", "KILL_SWITCH")
    assert "1.0 was closed before" in inbox.record().message
    assert "SIGNAL_HALF_DONE" in alarms(events)
    assert inbox.size == 0


@pytest.mark.parametrize(
    ("same", "size", "verdict"),
    [
        ("add", "1.0", EXECUTED),
        ("ignore", "0.5", ("ignored", "SAME_SIDE")),
        ("reject", "0.5", ("refused", "SAME_SIDE")),
    ],
)
def test_a_second_long_does_what_the_source_says_of_the_same_side(
    inbox: Inbox, same: str, size: str, verdict: tuple[str, str]
) -> None:
    inbox.open(BUY, "0.5")
    inbox.signal("LONG", "0.5", policy(same_side=SameSide(same)))
    inbox.wait()
    assert inbox.size == D(size)
    assert inbox.verdict() == verdict


# --- Closing --------------------------------------------------------------------------------------------


def test_a_close_takes_the_whole_open_exposure_whoever_opened_it() -> None:
    inbox = Inbox(balance="1000000")
    inbox.open(BUY, "0.3")
    inbox.signal("LONG", "0.2")
    inbox.wait()
    inbox.signal("CLOSE", "0.001")
    inbox.wait()
    assert inbox.size == 0
    (order,) = inbox.orders_of()
    assert (order.filled, order.terms.reduce_only) == (D("0.5"), True)
    assert inbox.verdict() == EXECUTED


def test_a_close_leaves_no_residue_below_a_step() -> None:
    fine = instrument(step=D("0.0001"), min_size=D("0.0001"))
    inbox = Inbox(fine, balance="1000000")
    inbox.open(BUY, "0.0107")
    inbox.instruments = (msgspec.structs.replace(fine, step=D("0.001"), min_size=D("0.001")),)
    inbox.restart()
    inbox.market("60000")
    inbox.signal("CLOSE")
    inbox.wait()
    assert not inbox.state.positions
    assert inbox.verdict() == EXECUTED


def test_a_close_when_flat_is_accepted_and_does_nothing(inbox: Inbox) -> None:
    events = inbox.signal("CLOSE")
    assert [e.type for e in events] == ["SignalReceived", "SignalEnded"]
    assert inbox.verdict() == ("ignored", "FLAT")


@pytest.mark.parametrize(("action", "left"), [("CLOSE_LONG", "-0.5"), ("CLOSE_SHORT", "0")])
def test_a_close_of_one_side_leaves_the_other_alone(action: str, left: str) -> None:
    inbox = Inbox(balance="1000000")
    inbox.open(SELL, "0.5")
    inbox.signal(action)
    inbox.wait()
    assert inbox.size == D(left)
    assert inbox.verdict() == (("ignored", "OTHER_SIDE") if D(left) else EXECUTED)


def test_a_close_withdraws_the_source_s_own_entries_and_nobody_else_s(inbox: Inbox) -> None:
    by_hand = inbox.limit(BUY, "0.1", "59000")
    inbox.signal("LONG", "0.1", type="LIMIT", price="59000")
    inbox.signal("LONG", "0.1", type="LIMIT", price="59000", source="mail")
    inbox.wait()
    inbox.signal("CLOSE")
    inbox.wait()
    assert inbox.verdict("k1") == ("expired", "CANCELLED")
    assert inbox.record("k1").orders[0] not in inbox.state.orders
    assert inbox.state.find_signal("s-mail-k2") is inbox.state.signals["s-mail-k2"]
    assert by_hand.status is OrderStatus.ACCEPTED


def test_a_close_goes_on_until_flat_where_the_book_is_thin(inbox: Inbox) -> None:
    inbox.open(BUY, "0.5")
    asks = (("60000", "50"),)
    inbox.depth((("59999.9", "0.2"),), asks)
    inbox.signal("CLOSE")
    events = inbox.wait()
    assert inbox.size == D("0.3")
    assert (inbox.record().waits, inbox.record().attempt) == ("retry", 1)
    assert "SIGNAL_NOT_CLOSED" in alarms(events)
    for more in range(9):
        inbox.depth((("59999.9", f"0.1{more}"),), asks)
        inbox.wait(SECOND)
    assert inbox.size == 0
    assert inbox.verdict() == EXECUTED


def test_a_close_waits_for_one_that_is_on_its_way_already(inbox: Inbox) -> None:
    inbox.open(BUY, "0.5")
    inbox.ask(cmd.ClosePosition, position=inbox.position.id)
    inbox.signal("CLOSE")
    assert inbox.orders_of() == []
    inbox.wait()
    assert inbox.size == 0
    assert inbox.verdict() == ("ignored", "FLAT")


# --- What the order carries -----------------------------------------------------------------------------


def test_money_with_leverage_sets_the_leverage_first_and_then_buys(inbox: Inbox) -> None:
    events = inbox.signal("LONG", "100", unit="quote", leverage=10)
    types = [e.type for e in events]
    assert types.index("LeverageChanged") < types.index("OrderCreated")
    inbox.wait()
    assert inbox.account.leverage[inbox.instruments[0].id] == 10
    assert inbox.size == D("0.016")


def test_a_leverage_that_cannot_be_set_makes_no_order(inbox: Inbox) -> None:
    events = inbox.signal("LONG", "0.5", leverage=200)
    assert not bodies(events, ev.OrderSent)
    assert inbox.verdict() == ("refused", "LEVERAGE")


def test_take_profit_and_stop_loss_protect_what_it_opens(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.5", take_profit="66000", stop_loss="57000")
    inbox.wait()
    assert inbox.sizes(OrderType.TAKE_PROFIT) == [D("0.5")]
    assert inbox.sizes(OrderType.STOP) == [D("0.5")]
    assert inbox.verdict() == EXECUTED
    assert inbox.record().orders == ("O1",)


def test_a_limit_entry_is_executed_when_it_fills_and_not_before(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.5", type="LIMIT", price="59000")
    inbox.wait(600 * SECOND)
    assert (inbox.record().verdict, inbox.record().waits) == (None, None)
    inbox.trade("58999.9", "0.2", SELL)
    assert inbox.record().verdict is None
    inbox.trade("58999.9", "5", SELL)
    assert inbox.verdict() == EXECUTED


def test_a_limit_entry_that_is_cancelled_without_a_fill_expires_with_an_alarm(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.5", type="LIMIT", price="59000")
    inbox.wait()
    inbox.ask(cmd.CancelOrder, order=inbox.record().orders[0])
    assert "SIGNAL_EXPIRED" in alarms(inbox.wait())
    assert inbox.verdict() == ("expired", "CANCELLED")


def test_a_limit_entry_that_filled_in_part_and_was_cancelled_is_executed_and_says_how_much(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.5", type="LIMIT", price="59000")
    inbox.wait()
    inbox.trade("58999.9", "0.2", SELL)
    inbox.ask(cmd.CancelOrder, order=inbox.record().orders[0])
    inbox.wait()
    assert inbox.verdict() == EXECUTED
    assert "0.2 of 0.5" in inbox.record().message


def test_an_entry_that_rests_does_not_hold_up_those_after_it(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.5", type="LIMIT", price="59000")
    inbox.wait()
    inbox.signal("LONG", "0.2")
    inbox.wait()
    assert inbox.verdict() == EXECUTED
    assert inbox.size == D("0.2")
