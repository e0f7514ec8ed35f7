"""A signal's leverage is for what it opens: never for what is open or works there already, and never left over from before."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.model import command as cmd
from engine.model import event as ev
from engine.model.signal import Opposite, SourceMode
from tests.kit import BUY, SECOND, SELL, bodies, instrument
from tests.signal_kit import EXECUTED, Inbox, policy

D = Decimal
NETS = policy(opposite=Opposite.NET)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox(balance="1000000")


def leverage(inbox: Inbox) -> int | None:
    return inbox.account.leverage.get(inbox.instruments[0].id)


# --- What is there already ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "fields"),
    [("LONG", {}), ("LONG", {"type": "LIMIT", "price": "59000"}), ("SHORT", {}), ("LONG", {"unit": "contracts"})],
)
def test_a_signal_never_changes_the_leverage_of_an_open_position(
    inbox: Inbox, action: str, fields: dict[str, str]
) -> None:
    before = inbox.open(BUY, "5", leverage=2)
    events = inbox.signal(action, "0.01", NETS, leverage=50, **fields)
    inbox.wait()
    assert inbox.verdict() == ("refused", "LEVERAGE")
    assert not bodies(events, ev.LeverageChanged)
    assert inbox.position == before


def test_the_refusal_names_both_leverages_and_the_remedy(inbox: Inbox) -> None:
    inbox.open(BUY, "5", leverage=2)
    inbox.signal("LONG", "0.01", leverage=50)
    assert all(word in inbox.record().message for word in ("50x", "2x", "BTCUSDT", "send 2", "CLOSE"))


def test_a_small_signal_does_not_get_a_hand_s_position_liquidated(inbox: Inbox) -> None:
    inbox.open(BUY, "5", leverage=2)
    inbox.signal("LONG", "0.001", policy(max_notional=D(100)), leverage=50)
    inbox.wait()
    inbox.market("58900")
    inbox.wait()
    assert inbox.size == 5


@pytest.mark.parametrize("given", [2, None])
def test_a_signal_adds_at_the_leverage_that_counts_there(inbox: Inbox, given: int | None) -> None:
    inbox.open(BUY, "1", leverage=2)
    inbox.signal("LONG", "0.5", leverage=given)
    inbox.wait()
    assert inbox.verdict() == EXECUTED
    assert (inbox.position.leverage, inbox.size) == (2, D("1.5"))


@pytest.mark.parametrize("owner", ["hand", "source:mail"])
@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_signal_never_changes_the_leverage_of_another_s_working_entry(inbox: Inbox, owner: str, side: str) -> None:
    price = "59000" if side is BUY else "61000"
    order = inbox.limit(side, "1", price, leverage=3, owner=owner)  # type: ignore[arg-type]
    before = order.reserve
    inbox.signal("LONG", "0.01", NETS, leverage=50)
    inbox.wait()
    assert inbox.verdict() == ("refused", "LEVERAGE")
    assert all(word in inbox.record().message for word in ("50x", "3x", "works", "cancel"))
    assert (order.reserve, leverage(inbox)) == (before, 3)


def test_a_source_may_change_the_leverage_of_its_own_entries_alone(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.1", leverage=5, type="LIMIT", price="59000")
    inbox.wait()
    inbox.signal("LONG", "0.1", leverage=10)
    inbox.wait()
    assert inbox.verdict() == EXECUTED
    assert inbox.position.leverage == 10


@pytest.mark.parametrize("fields", [{"test": True}, {"rules": policy(mode=SourceMode.APPROVE)}])
def test_a_test_and_an_approval_say_that_the_leverage_would_be_refused(inbox: Inbox, fields: dict[str, object]) -> None:
    inbox.open(BUY, "5", leverage=2)
    inbox.signal("LONG", "0.01", leverage=50, **fields)  # type: ignore[arg-type]
    assert inbox.verdict() == ("refused", "LEVERAGE")


# --- Without a leverage ---------------------------------------------------------------------------------


def left_behind(inbox: Inbox) -> None:
    """Nothing is open, and the instrument's leverage is what somebody had it at."""
    inbox.ask(cmd.SetLeverage, instrument=inbox.instruments[0].id, leverage=50)


def test_a_signal_without_a_leverage_enters_at_one(inbox: Inbox) -> None:
    left_behind(inbox)
    inbox.signal("LONG", "0.5")
    inbox.wait()
    assert inbox.verdict() == EXECUTED
    assert (inbox.position.leverage, inbox.position.margin) == (1, D("30000.05"))


def test_money_without_a_leverage_is_the_margin_that_is_taken(inbox: Inbox) -> None:
    left_behind(inbox)
    inbox.signal("LONG", "6000", unit="quote")
    inbox.wait()
    assert D(5900) < inbox.position.margin <= 6000


def test_money_without_a_leverage_takes_less_than_the_margin_asked_where_a_higher_one_counts(inbox: Inbox) -> None:
    inbox.open(BUY, "0.1", leverage=10)
    before = inbox.position.margin
    inbox.signal("LONG", "6000", unit="quote")
    inbox.wait()
    assert inbox.size == D("0.199")
    assert inbox.position.margin - before < 600


def test_the_leverage_of_its_own_working_entry_counts_for_the_next_one_without(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.1", leverage=5, type="LIMIT", price="59000")
    inbox.wait()
    inbox.signal("LONG", "0.1")
    inbox.wait()
    assert inbox.position.leverage == 5


def test_the_order_after_a_reversal_enters_at_one_too(inbox: Inbox) -> None:
    inbox.open(SELL, "0.1", leverage=20)
    inbox.signal("LONG", "0.5")
    inbox.wait(SECOND)
    assert inbox.verdict() == EXECUTED
    assert inbox.position.leverage == 1


def test_spot_has_no_leverage_to_set() -> None:
    inbox = Inbox(instrument(id="sim.spot:BTCUSDT", product="spot"), balance="1000000")
    events = inbox.signal("LONG", "0.1")
    inbox.wait()
    assert inbox.verdict() == EXECUTED
    assert not bodies(events, ev.LeverageChanged)
