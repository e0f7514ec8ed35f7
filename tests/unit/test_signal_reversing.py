"""A reversal closes nothing unless its entry can be placed: what would refuse that refuses it before, and says so."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from engine.core.state import encode_state
from engine.model import event as ev
from engine.model.account import RiskLimits
from engine.model.signal import SourceMode
from tests.kit import SECOND, SELL, bodies
from tests.signal_kit import EXECUTED, Inbox, policy

D = Decimal


def short_of_one(balance: str = "1000000", **more: Any) -> Inbox:
    inbox = Inbox(balance=balance, **more)
    inbox.open(SELL, "1.0", leverage=10)
    return inbox


IMPOSSIBLE = {
    "LEVERAGE": {"leverage": 500},
    "BELOW_STEP": {"quantity": "0.0001"},
    "STOP_LOSS": {"stop_loss": "70000"},
    "TAKE_PROFIT": {"take_profit": "50000"},
    "ORDER_NOTIONAL": {"quantity": "100"},
    "PRICE_BAND": {"type": "LIMIT", "price": "90000"},
    "MAX_NOTIONAL": {"rules": policy(max_notional=D(100))},
    "ORDERS_PER_HOUR": {"rules": policy(orders_per_hour=0)},
    "MARGIN": {"quantity": "16.6"},
}


@pytest.mark.parametrize("code", IMPOSSIBLE)
def test_a_reversal_whose_entry_cannot_be_placed_closes_nothing(code: str) -> None:
    inbox = short_of_one("100000" if code == "MARGIN" else "1000000")
    fields = {"quantity": "0.5"} | IMPOSSIBLE[code]
    events = inbox.signal("LONG", **fields)  # type: ignore[arg-type]
    events += inbox.wait()
    assert inbox.verdict() == ("refused", code)
    assert inbox.size == D("-1.0")
    assert not bodies(events, ev.OrderSent)


@pytest.mark.parametrize("code", IMPOSSIBLE)
@pytest.mark.parametrize("asked", ["approval", "test"])
def test_an_approval_and_a_test_say_so_too(code: str, asked: str) -> None:
    inbox = short_of_one("100000" if code == "MARGIN" else "1000000")
    fields: dict[str, Any] = {"quantity": "0.5"} | IMPOSSIBLE[code]
    if asked == "test":
        fields["test"] = True
    else:
        limits = fields.pop("rules", policy())
        fields["rules"] = policy(
            mode=SourceMode.APPROVE, max_notional=limits.max_notional, orders_per_hour=limits.orders_per_hour
        )
    inbox.signal("LONG", **fields)
    assert inbox.verdict() == ("refused", code)


def test_a_reversal_that_only_closing_pays_for_goes_through() -> None:
    inbox = Inbox(balance="10000")
    inbox.open(SELL, "1.6", leverage=10)
    assert inbox.free < 1000
    inbox.signal("LONG", "1.5", leverage=10)
    inbox.wait(SECOND)
    assert inbox.verdict() == EXECUTED
    assert inbox.size == D("1.5")


def test_a_reversal_counts_what_closing_loses() -> None:
    inbox = Inbox(balance="10000")
    inbox.open(SELL, "1.0", leverage=10)
    inbox.market("65000")
    inbox.signal("LONG", "1.5", leverage=20)
    inbox.wait()
    assert inbox.verdict() == EXECUTED
    inbox = Inbox(balance="10000")
    inbox.open(SELL, "1.0", leverage=10)
    inbox.market("65000")
    inbox.signal("LONG", "1.0", leverage=10)
    inbox.wait()
    assert inbox.verdict() == ("refused", "MARGIN")
    assert inbox.size == D("-1.0")


def test_closing_beyond_bankruptcy_costs_the_margin_and_no_fee_beside_it() -> None:
    """970 less a margin of 600 leaves 370, and the entry needs 360."""
    inbox = Inbox(balance="1000")
    inbox.open(SELL, "1.0", leverage=100)
    inbox.quote("70000", "70000")
    inbox.signal("LONG", "0.49", leverage=100)
    inbox.wait(SECOND)
    assert inbox.verdict() == EXECUTED
    assert inbox.size == D("0.49")
    assert inbox.account.balances["USDT"] == 1000 - 30 - 600 - D("17.15")


def test_a_position_limit_holds_what_the_reversal_opens_and_not_what_it_closes() -> None:
    inbox = short_of_one(limits=RiskLimits(max_position_notional=D(61_000)))
    inbox.signal("LONG", "1.0")
    inbox.wait(SECOND)
    assert inbox.verdict() == EXECUTED
    assert inbox.size == 1


def test_the_source_s_own_entries_that_a_reversal_withdraws_free_their_money() -> None:
    inbox = Inbox(balance="10000")
    inbox.signal("SHORT", "1.5", leverage=10, type="LIMIT", price="61000")
    inbox.wait()
    assert inbox.free < 1000
    inbox.signal("LONG", "1.5", leverage=10)
    inbox.wait(SECOND)
    assert inbox.verdict() == EXECUTED
    assert (inbox.size, inbox.live()) == (D("1.5"), [])


def traded(inbox: Inbox) -> bytes:
    """The state without what is known of signals that ended."""
    return encode_state(msgspec.structs.replace(inbox.state, seq=0, time_ns=0, signals_ended={}, signal_keys={}))


def test_what_a_reversal_would_leave_is_looked_at_and_not_touched() -> None:
    inbox = short_of_one()
    inbox.signal("SHORT", "0.5", type="LIMIT", price="61000")
    inbox.wait()
    before = traded(inbox)
    inbox.signal("LONG", "0.5", policy(mode=SourceMode.LOG))
    inbox.signal("LONG", "500", policy(mode=SourceMode.LOG))
    assert (inbox.record("k2").code, inbox.record("k3").code) == ("LOGGED", "ORDER_NOTIONAL")
    assert traded(inbox) == before
