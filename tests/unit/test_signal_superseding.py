"""What a signal ends of those that wait: what it contradicts, and nothing where it comes to nothing itself."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from engine.model import command as cmd
from engine.model.account import RiskLimits
from engine.model.order import OrderStatus
from engine.model.signal import SourceMode
from tests.signal_kit import EXECUTED, AtVenue, Inbox, policy

D = Decimal
ASKS = policy(mode=SourceMode.APPROVE)

REFUSED: dict[str, dict[str, Any]] = {
    "MAX_NOTIONAL": {"rules": policy(max_notional=D(100))},
    "ORDERS_PER_HOUR": {"rules": policy(orders_per_hour=0)},
    "KILL_SWITCH": {},
    "ORDER_NOTIONAL": {"quantity": "20"},
    "MARGIN": {"quantity": "10"},
    "LEVERAGE": {"leverage": 500},
    "STOP_LOSS": {"stop_loss": "70000"},
}


@pytest.mark.parametrize("code", REFUSED)
def test_a_signal_that_is_refused_ends_nothing_that_waits(code: str) -> None:
    inbox = Inbox(balance="100000", limits=RiskLimits(max_order_notional=D(1_000_000)))
    inbox.signal("SHORT", "0.5", ASKS)
    if code == "KILL_SWITCH":
        inbox.ask(cmd.SetKill, on=True, reason="test")
    inbox.signal("LONG", **({"quantity": "0.5"} | REFUSED[code]))
    assert inbox.verdict() == ("refused", code)
    assert inbox.record("k1").waits == "approval"


def test_a_close_ends_what_waits_under_the_kill_switch_too() -> None:
    inbox = Inbox(balance="1000000")
    inbox.signal("SHORT", "0.5", ASKS)
    inbox.ask(cmd.SetKill, on=True, reason="test")
    inbox.signal("CLOSE")
    assert inbox.verdict("k1") == ("expired", "SUPERSEDED")


def test_a_signal_that_waits_for_its_account_after_a_start_ends_what_it_contradicts() -> None:
    venue = AtVenue()
    venue.signal("SHORT", "0.5", ASKS)
    Inbox.restart(venue)
    venue.signal("LONG", "0.5")
    assert venue.record().waits == "retry", "neither its account nor its price is known yet"
    assert venue.verdict("k1") == ("expired", "SUPERSEDED")


# --- What has left already ------------------------------------------------------------------------------


@pytest.fixture
def venue() -> AtVenue:
    """Three entries on their way, of which two turn out to have never left."""
    venue = AtVenue()
    venue.signal("LONG", "0.1")
    venue.signal("LONG", "0.2")
    venue.signal("LONG", "0.3")
    venue.not_sent(venue.order("k1"))
    venue.not_sent(venue.order("k2"))
    return venue


def test_an_entry_on_its_way_waits_for_nobody(venue: AtVenue) -> None:
    assert [venue.record(f"k{n}").waits for n in (1, 2, 3)] == ["retry", "queue", None]
    venue.fills(venue.order("k3"))
    assert venue.verdict("k3") == EXECUTED


def test_a_close_does_not_end_what_is_on_its_way_before_its_order_did(venue: AtVenue) -> None:
    venue.signal("CLOSE")
    assert [venue.verdict(f"k{n}") for n in (1, 2)] == [("expired", "SUPERSEDED")] * 2
    assert venue.record("k3").verdict is None
    venue.fills(venue.order("k3"))
    assert venue.verdict("k3") == EXECUTED
    venue.fills(venue.order("k4"))
    assert (venue.size, venue.verdict("k4")) == (0, EXECUTED)


def test_patience_does_not_end_what_is_on_its_way(venue: AtVenue) -> None:
    venue.later(29)
    venue.at_price("66000")
    venue.later(60, "66000")
    assert venue.record("k3").verdict is None
    venue.fills(venue.order("k3"))
    assert venue.verdict("k3") == EXECUTED


# --- Everything is flattened ----------------------------------------------------------------------------


def test_what_waits_to_enter_opens_nothing_after_everything_was_flattened() -> None:
    venue = AtVenue()
    venue.open_long("0.5")
    venue.queue()
    venue.signal("LONG", "0.4", ASKS)
    venue.ask(cmd.FlattenAll)
    assert [venue.verdict(f"k{n}") for n in (2, 3, 4)] == [("expired", "SUPERSEDED")] * 3
    assert "flattened" in venue.record("k2").message
    assert venue.record("k5").waits == "approval", "a person is asked before"
    venue.fills(venue.last_order)
    venue.reconciled()
    venue.later(60)
    assert (venue.state.flattening, venue.size, venue.live()) == ({}, 0, [])
    assert venue.replayed()


def test_a_reversal_that_closes_while_everything_is_flattened_does_not_enter() -> None:
    venue = AtVenue()
    venue.open_long("0.5")
    venue.signal("SHORT", "0.2")
    venue.ask(cmd.FlattenAll)
    assert venue.verdict() == ("expired", "SUPERSEDED")
    venue.fills(venue.order())
    venue.said(venue.last_order, OrderStatus.REJECTED, reason="reduce-only")
    venue.reconciled()
    venue.later(1)
    assert (venue.state.flattening, venue.size, venue.live()) == ({}, 0, [])


def test_a_close_goes_on_while_everything_is_flattened() -> None:
    venue = AtVenue()
    venue.open_long("0.5")
    venue.signal("CLOSE")
    venue.ask(cmd.FlattenAll)
    venue.fills(venue.order())
    assert venue.verdict() == EXECUTED
