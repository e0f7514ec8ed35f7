"""What becomes of a signal at the desk: its orders, its answer, its one verdict (DESIGN 7; semantics B8, W1 to W4)."""
# ruff: noqa: N802 - tests are named for the numbered cases

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from engine.core.state import KEEP_SIGNAL_ORDERS
from engine.intake.sources import Source, SourcesError, check
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.account import RiskLimits
from engine.model.market import StreamState
from engine.model.order import OrderStatus, OrderType
from engine.model.signal import Opposite, SameSide, SignalAction, SourceMode
from tests.kit import BUY, MS, SECOND, SELL, alarms, bodies, instrument
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


# --- The same rules as for a hand -----------------------------------------------------------------------


def test_the_kill_switch_refuses_entries_and_lets_a_close_pass(inbox: Inbox) -> None:
    inbox.open(BUY, "0.5")
    inbox.ask(cmd.SetKill, on=True, reason="test")
    inbox.signal("LONG", "0.5")
    assert inbox.verdict() == ("refused", "KILL_SWITCH")
    inbox.signal("CLOSE")
    inbox.wait()
    assert inbox.verdict() == EXECUTED
    assert inbox.size == 0


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (RiskLimits(max_order_notional=D(1_000)), "ORDER_NOTIONAL"),
        (RiskLimits(max_position_notional=D(1_000)), "POSITION_NOTIONAL"),
    ],
)
def test_risk_limits_refuse_it_with_their_own_code(limits: RiskLimits, code: str) -> None:
    inbox = Inbox(balance="1000000", limits=limits)
    events = inbox.signal("LONG", "0.5")
    assert inbox.verdict() == ("refused", code)
    assert bodies(events, ev.OrderDenied)


def test_a_feed_that_is_down_refuses_an_entry_that_just_came(inbox: Inbox) -> None:
    inbox.feed("book", StreamState.DOWN)
    inbox.signal("LONG", "0.5")
    assert inbox.verdict() == ("refused", "FEED_DOWN")


def test_a_size_below_the_step_is_refused(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.0001")
    assert inbox.verdict()[0] == "refused"
    assert not bodies(inbox.events, ev.OrderSent)


# --- Mode and scope -------------------------------------------------------------------------------------


def test_a_source_that_is_off_is_refused_and_recorded(inbox: Inbox) -> None:
    events = inbox.signal("LONG", "0.5", policy(mode=SourceMode.OFF))
    assert [e.type for e in events] == ["SignalReceived", "SignalEnded"]
    assert inbox.verdict() == ("refused", "SOURCE_OFF")


@pytest.mark.parametrize(
    ("action", "said"), [("LONG", "would buy 0.5 BTCUSDT at about 60000.1"), ("CLOSE", "would do nothing")]
)
def test_a_source_that_is_logged_ends_with_what_it_would_have_done(inbox: Inbox, action: str, said: str) -> None:
    events = inbox.signal(action, "0.5", policy(mode=SourceMode.LOG))
    assert [e.type for e in events] == ["SignalReceived", "SignalEnded"]
    assert inbox.verdict() == ("logged", "LOGGED")
    assert said in inbox.record().message


def test_a_log_says_what_would_have_been_refused_and_why(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.5", policy(mode=SourceMode.LOG), leverage=200)
    assert inbox.verdict() == ("logged", "LEVERAGE")
    assert "would be refused: leverage: 200x" in inbox.record().message


def test_a_log_of_a_reversal_names_both_of_its_steps(inbox: Inbox) -> None:
    inbox.open(SELL, "0.4")
    inbox.signal("LONG", "0.5", policy(mode=SourceMode.LOG))
    assert "would close 0.4 BTCUSDT short, then enter LONG" in inbox.record().message


@pytest.mark.parametrize("mode", [SourceMode.TRADE, SourceMode.APPROVE])
def test_a_test_goes_as_far_as_the_plan_and_makes_no_order(inbox: Inbox, mode: SourceMode) -> None:
    events = inbox.signal("LONG", "0.5", policy(mode=mode), test=True)
    assert [e.type for e in events] == ["SignalReceived", "SignalEnded"]
    assert inbox.verdict() == ("logged", "TEST")
    assert "would buy 0.5" in inbox.record().message


def test_a_test_is_refused_where_the_real_one_would_be(inbox: Inbox) -> None:
    inbox.ask(cmd.SetKill, on=True, reason="test")
    inbox.signal("LONG", "0.5", test=True)
    assert inbox.verdict() == ("refused", "KILL_SWITCH")


@pytest.mark.parametrize(
    ("rules", "code", "words"),
    [
        ({"symbols": ("ETHUSDT",)}, "SCOPE", ("ETHUSDT", "BTCUSDT")),
        ({"actions": (SignalAction.CLOSE,)}, "SCOPE", ("CLOSE", "LONG")),
        ({"max_notional": D(1000)}, "MAX_NOTIONAL", ("30000.05", "1000")),
    ],
)
def test_what_is_beyond_the_source_s_scope_is_refused_with_the_numbers(
    inbox: Inbox, rules: dict[str, object], code: str, words: tuple[str, ...]
) -> None:
    inbox.signal("LONG", "0.5", policy(**rules))
    assert inbox.verdict() == ("refused", code)
    assert all(word in inbox.record().message for word in words), inbox.record().message


@pytest.mark.parametrize(
    ("action", "price", "bound", "code"),
    [
        ("SHORT", "48500", "50000", "MAX_NOTIONAL"),
        ("SHORT", "61000", "60500", "MAX_NOTIONAL"),
        ("SHORT", "48500", "60000", None),
        ("LONG", "59000", "59000", None),
        ("LONG", "61000", "60500", "MAX_NOTIONAL"),
    ],
)
def test_a_limit_order_is_worth_at_most_what_it_may_trade_for(
    inbox: Inbox, action: str, price: str, bound: str, code: str | None
) -> None:
    inbox.signal(action, "1", policy(max_notional=D(bound)), type="LIMIT", price=price)
    assert inbox.record().code == (code or "")
    assert bool(inbox.record().orders) is (code is None)


THIN = (("60000", "0.01"), ("66000", "50"))


@pytest.mark.parametrize(
    ("action", "bound", "code"),
    [("LONG", "32999", "MAX_NOTIONAL"), ("LONG", "33000", None), ("SHORT", "30000", None)],
)
def test_a_market_order_is_worth_what_it_would_cost_in_the_book(
    inbox: Inbox, action: str, bound: str, code: str | None
) -> None:
    inbox.quote("59999", "60000", ask_size="0.01")
    inbox.depth((("59999", "0.01"), ("54000", "50")), THIN)
    inbox.signal(action, "0.5", policy(max_notional=D(bound)))
    assert inbox.record().code == (code or "")
    if code:
        assert all(word in inbox.record().message for word in ("33000", bound))
    inbox.wait()
    assert all(order.value <= D(bound) for order in inbox.orders_of())


def test_a_close_is_not_held_to_limits_on_size_and_number(inbox: Inbox) -> None:
    inbox.open(BUY, "0.5")
    rules = policy(max_notional=D(1), orders_per_hour=1)
    inbox.signal("CLOSE", rules=rules)
    inbox.wait()
    inbox.open(BUY, "0.5")
    inbox.signal("CLOSE", rules=rules)
    inbox.wait()
    assert inbox.size == 0


@pytest.mark.parametrize("restarts", [False, True])
def test_orders_an_hour_are_counted_over_restarts_and_again_after_an_hour(inbox: Inbox, restarts: bool) -> None:
    rules = policy(orders_per_hour=2)
    for _ in range(2):
        inbox.signal("LONG", "0.1", rules)
        inbox.wait()
        assert inbox.verdict() == EXECUTED
    if restarts:
        inbox.restart()
        inbox.market("60000")
    inbox.signal("LONG", "0.1", rules)
    assert inbox.verdict() == ("refused", "ORDERS_PER_HOUR")
    assert "2 orders" in inbox.record().message
    inbox.signal("LONG", "0.1", rules, source="mail", key="m")
    inbox.wait(3_600 * SECOND)
    inbox.market("60000")
    inbox.signal("LONG", "0.1", rules)
    inbox.wait()
    assert inbox.verdict() == EXECUTED
    assert inbox.size == D("0.4")


@pytest.mark.parametrize("most", [0, KEEP_SIGNAL_ORDERS + 1])
def test_a_limit_an_hour_that_cannot_be_counted_is_refused_with_the_remedy(most: int) -> None:
    check(Source("tv", policy=policy(orders_per_hour=KEEP_SIGNAL_ORDERS)))
    with pytest.raises(SourcesError, match=f"'tv': orders_per_hour: {most}; write 1 to 10000"):
        check(Source("tv", policy=policy(orders_per_hour=most)))


def test_a_refused_entry_does_not_count_against_the_hour(inbox: Inbox) -> None:
    rules = policy(orders_per_hour=1)
    inbox.signal("LONG", "0.1", rules, leverage=200)
    inbox.signal("LONG", "0.1", rules)
    inbox.wait()
    assert inbox.verdict() == EXECUTED


# --- Symbols and exchanges ------------------------------------------------------------------------------


def test_an_unknown_symbol_is_refused_naming_what_is_there(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.5", symbol="DOGEUSDT")
    assert inbox.verdict() == ("refused", "UNKNOWN_SYMBOL")
    assert "DOGEUSDT" in inbox.record().message
    assert "BTCUSDT" in inbox.record().message


def test_a_perpetual_comes_before_spot_of_the_same_symbol() -> None:
    spot = instrument(id="sim.spot:BTCUSDT", product="spot")
    inbox = Inbox(instrument(id="sim.perp:BTC_USDT_PERP", symbol="BTC_USDT_PERP", base="BTC"), spot, balance="1000000")
    inbox.signal("LONG", "0.5")
    inbox.wait()
    assert inbox.position.instrument == "sim.perp:BTC_USDT_PERP"


def test_the_exchange_named_is_preferred_where_paper_fills() -> None:
    bybit = instrument(id="bybit.perp:BTCUSDT", venue="bybit")
    inbox = Inbox(instrument(), bybit, balance="1000000")
    inbox.quote("60000", "60000.1", of=bybit)
    inbox.signal("LONG", "0.5", exchange="bybit")
    inbox.wait()
    assert inbox.position.instrument == "bybit.perp:BTCUSDT"


def test_a_symbol_that_is_known_but_has_no_feed_is_refused_with_the_remedy(inbox: Inbox) -> None:
    inbox.open(BUY, "0.5")
    inbox.instruments = (instrument("ETHUSDT"),)
    inbox.restart()
    inbox.signal("CLOSE")
    assert inbox.verdict() == ("refused", "NOT_CARRIED")
    assert "--symbols" in inbox.record().message


def test_the_recorded_state_is_the_same_byte_for_byte_when_it_is_replayed(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.5", take_profit="66000")
    inbox.wait()
    inbox.signal("SHORT", "0.2")
    inbox.wait(20 * MS)
    inbox.signal("LONG", "0.1", type="LIMIT", price="59000")
    inbox.signal("CLOSE")
    inbox.signal("LONG", "0.1", policy(mode=SourceMode.APPROVE))
    inbox.wait()
    assert inbox.replayed()
