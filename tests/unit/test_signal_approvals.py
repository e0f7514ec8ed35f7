"""How many signals of a source wait for a person at once."""

from __future__ import annotations

import pytest

from engine.core.scope import MOST_ASKED
from engine.model import command as cmd
from engine.model.signal import SourceMode
from tests.kit import SECOND
from tests.signal_kit import Inbox, policy

ASKS = policy(mode=SourceMode.APPROVE)


@pytest.fixture
def inbox() -> Inbox:
    """As many as may wait do."""
    inbox = Inbox(balance="1000000")
    for _ in range(MOST_ASKED):
        inbox.signal("LONG", "0.1", ASKS)
    return inbox


def test_no_more_of_a_source_wait_for_a_person_than_one_can_answer(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.1", ASKS)
    assert inbox.verdict() == ("refused", "APPROVALS")
    assert all(word in inbox.record().message for word in ("50 signals of tv", "inbox", "send it again"))


@pytest.mark.parametrize("answer", [cmd.ApproveSignal, cmd.DeclineSignal])
def test_each_answer_makes_room_for_another(inbox: Inbox, answer: type[cmd.ApproveSignal | cmd.DeclineSignal]) -> None:
    inbox.ask(answer, signal="s-tv-k7")
    inbox.signal("LONG", "0.1", ASKS)
    assert inbox.record().waits == "approval"


def test_time_makes_room_too_and_over_a_restart(inbox: Inbox) -> None:
    inbox.restart()
    inbox.market("60000")
    inbox.signal("LONG", "0.1", ASKS)
    assert inbox.verdict() == ("refused", "APPROVALS")
    inbox.wait(300 * SECOND)
    inbox.market("60000")
    inbox.signal("LONG", "0.1", ASKS)
    assert inbox.record().waits == "approval"


def test_another_source_is_asked_for_as_ever(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.1", ASKS, source="mail", key="m")
    assert inbox.state.signals["s-mail-m"].waits == "approval"


def test_a_crowd_of_entries_keeps_no_close_from_being_asked(inbox: Inbox) -> None:
    inbox.signal("CLOSE", rules=ASKS)
    assert inbox.record().waits == "approval"


def test_what_needs_no_person_is_not_counted(inbox: Inbox) -> None:
    inbox.signal("LONG", "0.1")
    inbox.wait()
    assert inbox.verdict() == ("executed", "")
