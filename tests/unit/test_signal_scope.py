"""What holds a signal back: the rules of a hand, its source's mode, scope and limits, and symbols that nobody lists."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.state import KEEP_SIGNAL_ORDERS
from engine.intake.sources import Source, SourcesError, check
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.account import RiskLimits
from engine.model.market import StreamState
from engine.model.signal import SignalAction, SourceMode
from tests.kit import BUY, MS, SECOND, SELL, bodies, instrument
from tests.signal_kit import EXECUTED, Inbox, policy

D = Decimal


@pytest.fixture
def inbox() -> Inbox:
    return Inbox(balance="1000000")


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
