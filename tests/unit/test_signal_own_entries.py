"""A source's own working entries count as if they were open (sameSide, opposite); nobody else's do."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.model.signal import Opposite, SameSide, SourceMode
from tests.kit import BUY, SELL
from tests.signal_kit import EXECUTED, Inbox, policy

D = Decimal
REJECTS = policy(same_side=SameSide.REJECT, opposite=Opposite.REJECT)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox(balance="1000000")


def works(inbox: Inbox, action: str, **fields: str) -> None:
    """A LIMIT that rests."""
    price = "59000" if action == "LONG" else "61000"
    inbox.signal(action, "1.0", policy(opposite=Opposite.NET), type="LIMIT", price=price, **fields)
    inbox.wait()


@pytest.mark.parametrize(
    ("resting", "rules", "verdict"),
    [
        ("LONG", REJECTS, ("refused", "SAME_SIDE")),
        ("LONG", policy(same_side=SameSide.IGNORE), ("ignored", "SAME_SIDE")),
        ("SHORT", REJECTS, ("refused", "OPPOSITE")),
    ],
)
def test_an_entry_meets_the_source_s_own_order_that_rests(
    inbox: Inbox, resting: str, rules: object, verdict: tuple[str, str]
) -> None:
    works(inbox, resting)
    inbox.signal("LONG", "0.5", rules)  # type: ignore[arg-type]
    inbox.wait()
    assert inbox.verdict() == verdict
    assert "working order of tv" in inbox.record().message
    assert (inbox.size, len(inbox.live())) == (0, 1)


@pytest.mark.parametrize("resting", ["LONG", "SHORT"])
def test_orders_of_another_source_and_of_a_hand_do_not_count(inbox: Inbox, resting: str) -> None:
    works(inbox, resting, source="mail", key="m")
    inbox.limit(BUY if resting == "LONG" else SELL, "1.0", "59000" if resting == "LONG" else "61000")
    inbox.signal("LONG", "0.5", REJECTS)
    inbox.wait()
    assert inbox.verdict() == EXECUTED
    assert inbox.size == D("0.5")


def test_a_second_long_does_not_double_the_first_once_that_fills(inbox: Inbox) -> None:
    works(inbox, "LONG")
    inbox.signal("LONG", "1.0", REJECTS)
    inbox.trade("58999.9", "5", SELL)
    inbox.wait()
    assert inbox.size == 1


def test_close_cancels_it_as_the_refusal_says(inbox: Inbox) -> None:
    works(inbox, "SHORT")
    inbox.signal("LONG", "0.5", REJECTS)
    inbox.signal("CLOSE")
    inbox.wait()
    inbox.signal("LONG", "0.5", REJECTS)
    inbox.wait()
    assert inbox.verdict() == EXECUTED


@pytest.mark.parametrize("same", [SameSide.REJECT, SameSide.IGNORE])
def test_a_long_that_does_not_enter_withdraws_no_working_short(inbox: Inbox, same: SameSide) -> None:
    works(inbox, "SHORT")
    inbox.open(BUY, "1.0")
    inbox.signal("LONG", "0.5", policy(same_side=same, opposite=Opposite.REVERSE))
    inbox.wait()
    assert inbox.record().code == "SAME_SIDE"
    assert [o.cancel_requested for o in inbox.live()] == [False]


def test_what_rests_decides_when_an_approval_comes(inbox: Inbox) -> None:
    works(inbox, "LONG")
    inbox.signal("LONG", "0.5", policy(mode=SourceMode.APPROVE, same_side=SameSide.REJECT))
    assert inbox.verdict() == ("refused", "SAME_SIDE")


@pytest.mark.parametrize("held", [False, True])
def test_a_close_that_takes_away_an_order_says_so(inbox: Inbox, held: bool) -> None:
    works(inbox, "LONG")
    if held:
        inbox.open(BUY, "0.5")
    inbox.signal("CLOSE", test=True)
    closes = "would close 0.5 BTCUSDT long and withdraw" if held else "would withdraw"
    assert inbox.record().message == f"{closes} the working entries of tv"
    inbox.signal("CLOSE")
    inbox.wait()
    assert (inbox.size, inbox.live()) == (0, [])
    assert inbox.verdict() == (EXECUTED if held else ("ignored", "FLAT"))
    assert inbox.record().message.startswith("" if held else "withdrew the working entries of tv; no position")


def test_a_reversal_of_what_only_works_says_what_it_would_do(inbox: Inbox) -> None:
    works(inbox, "SHORT")
    inbox.signal("LONG", "0.5", policy(opposite=Opposite.REVERSE), test=True)
    assert inbox.record().message == "would withdraw the working entries of tv, then enter LONG"
