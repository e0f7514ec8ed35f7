"""What screens are told of signals: rows, what approving one would do, and the words of the log."""

from __future__ import annotations

import pytest

from engine.core.scope import MOST_ASKED
from engine.model.command import ApproveSignal, DeclineSignal, ReplaySignal
from engine.model.market import Side
from engine.model.signal import Opposite, SourceMode
from engine.views import Preview, SignalRow
from engine.views.log import log_line
from engine.views.preview import preview
from engine.views.signals import ROWS, Heard, approvals, signals_view
from tests.signal_kit import Inbox, policy

ASKS = policy(mode=SourceMode.APPROVE)
LOGS = policy(mode=SourceMode.LOG)


def rows(inbox: Inbox) -> tuple[SignalRow, ...]:
    return signals_view(inbox.state, inbox.now, {}, {}).rows


def asked(inbox: Inbox, signal: str) -> Preview:
    return preview(inbox.desk, ApproveSignal(request_id="a", signal=signal), inbox.now)


def said(inbox: Inbox) -> list[tuple[str, str]]:
    lines = (log_line(inbox.state, event) for event in inbox.events)
    return [(line.level, line.text) for line in lines if line is not None and line.code.startswith("Signal")]


def test_the_newest_stands_first_and_many_are_counted() -> None:
    inbox = Inbox(balance="1000000")
    for _ in range(ROWS + 3):
        inbox.signal(rules=LOGS)
    view = signals_view(inbox.state, inbox.now, {}, {})
    assert (len(view.rows), view.total) == (ROWS, ROWS + 3)
    assert [row.id for row in view.rows[:2]] == [f"s-tv-k{ROWS + 3}", f"s-tv-k{ROWS + 2}"]


def test_what_waits_for_a_person_is_seen_however_much_came_since() -> None:
    inbox = Inbox(balance="1000000")
    inbox.signal(rules=ASKS)
    for _ in range(ROWS):
        inbox.signal(rules=LOGS)
    assert approvals(inbox.state) == 1
    assert [row.id for row in rows(inbox) if row.waits == "approval"] == ["s-tv-k1"]


def test_what_waits_for_a_person_is_bounded_and_all_of_it_is_counted() -> None:
    inbox = Inbox(balance="1000000")
    for number in range(10 * MOST_ASKED):
        inbox.signal(rules=ASKS, source=f"s{number // MOST_ASKED}")
        inbox.now += 1
    view = signals_view(inbox.state, inbox.now, {}, {})
    shown = [row.id.rpartition("-k")[2] for row in view.rows]
    assert (len(shown), view.approvals, view.total) == (2 * ROWS, 500, 500)
    assert {"1", "200", "301", "500"} <= set(shown), "the newest, and those that expire first"


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"quantity": "0.500"}, "0.5"),
        ({"quantity": "100", "unit": "quote"}, "100 USDT"),
        ({"quantity": "3", "unit": "contracts"}, "3 ct"),
        ({"action": "CLOSE", "quantity": "1"}, ""),
    ],
)
def test_a_quantity_says_what_it_counts(fields: dict[str, str], shown: str) -> None:
    inbox = Inbox(balance="1000000")
    inbox.signal(rules=LOGS, **fields)
    assert rows(inbox)[0].quantity == shown


def test_a_source_is_told_with_what_was_refused_before_and_after_it_was_a_signal() -> None:
    inbox = Inbox(balance="1000000")
    inbox.signal(symbol="DOGEUSDT")
    inbox.signal(rules=LOGS)
    heard = {"tv": Heard(5, {"BAD_KEY": 3}, 60.0), "": Heard(1, {"BAD_JSON": 9}), "quiet": Heard()}
    quiet, tv = signals_view(inbox.state, inbox.now, {}, heard).sources
    assert (tv.name, tv.accepted, tv.refused, tv.per_minute) == ("tv", 1, 4, 2)
    assert (tv.refusals, tv.quarantined_s) == ("BAD_KEY 3, UNKNOWN_SYMBOL 1", 60.0)
    assert tv.last_ns == rows(inbox)[0].received_ns
    assert (quiet.name, quiet.last_ns) == ("quiet", 0)


def test_approving_an_entry_shows_the_order_it_becomes() -> None:
    inbox = Inbox(balance="1000000")
    inbox.signal(rules=ASKS)
    shown = asked(inbox, "s-tv-k1")
    assert (shown.title, shown.entry, shown.errors) == ("APPROVE LONG BTCUSDT", True, ())
    assert dict(shown.rows)["becomes"] == "BUY 0.500 BTCUSDT  MARKET"
    assert dict(shown.rows)["position"].startswith("flat -> long 0.500")


def test_approving_a_close_shows_what_it_closes_and_is_no_entry() -> None:
    inbox = Inbox(balance="1000000")
    inbox.signal()
    inbox.wait()
    inbox.signal("CLOSE", rules=ASKS)
    shown = asked(inbox, "s-tv-k2")
    assert shown.entry is False
    assert "CLOSE" in dict(shown.rows)["becomes"]


def test_approving_a_reversal_says_that_it_enters_afterwards() -> None:
    inbox = Inbox(balance="1000000")
    inbox.signal()
    inbox.wait()
    inbox.signal("SHORT", rules=ASKS)
    shown = asked(inbox, "s-tv-k2")
    assert shown.entry is True
    assert dict(shown.rows)["then"] == "enter SHORT BTCUSDT, once that is closed"


def test_approving_a_close_shows_what_it_closes_not_what_it_leaves_alone() -> None:
    inbox = Inbox(balance="1000000")
    inbox.signal("SHORT", "1.0", policy(opposite=Opposite.NET), type="LIMIT", price="61000")
    inbox.open(Side.BUY, "0.5")
    inbox.signal("CLOSE_SHORT", rules=ASKS)
    assert dict(asked(inbox, "s-tv-k2").rows)["becomes"] == "no close: working entries of tv are cancelled"
    inbox.signal("CLOSE_SHORT", test=True)
    assert inbox.record().message == "would withdraw the working entries of tv"


def test_approving_what_would_be_refused_by_now_says_why() -> None:
    inbox = Inbox(balance="1000000")
    inbox.signal("SHORT", rules=policy(mode=SourceMode.APPROVE, opposite=Opposite.REJECT))
    inbox.open(Side.BUY, "0.5")
    shown = asked(inbox, "s-tv-k1")
    assert shown.errors[0].startswith("it would be refused: action: SHORT while long 0.5")


def test_what_does_not_wait_can_be_neither_approved_nor_declined() -> None:
    inbox = Inbox(balance="1000000")
    inbox.signal(rules=LOGS)
    assert "does not wait for approval" in asked(inbox, "s-tv-k1").errors[0]
    assert "does not wait for approval" in asked(inbox, "nobody").errors[0]
    decline = preview(inbox.desk, DeclineSignal(request_id="d", signal="s-tv-k1"), inbox.now)
    assert "waits for nothing" in decline.errors[0]


def test_a_preview_changes_nothing() -> None:
    inbox = Inbox(balance="1000000")
    inbox.signal(rules=ASKS)
    before = inbox.state.seq
    asked(inbox, "s-tv-k1")
    preview(inbox.desk, DeclineSignal(request_id="d", signal="s-tv-k1"), inbox.now)
    preview(inbox.desk, ReplaySignal(request_id="r", signal="s-tv-k1"), inbox.now)
    assert inbox.state.seq == before
    assert inbox.replayed()


def test_a_desk_without_an_engine_refuses_a_replay() -> None:
    inbox = Inbox(balance="1000000")
    inbox.signal(rules=LOGS)
    inbox.ask(ReplaySignal, signal="s-tv-k1")
    assert len(inbox.state.signal_keys) == 1


def test_the_log_has_a_line_for_each_verdict() -> None:
    inbox = Inbox(balance="1000000")
    inbox.signal(rules=ASKS)
    inbox.signal(symbol="DOGEUSDT")
    inbox.signal(rules=LOGS)
    inbox.ask(DeclineSignal, signal="s-tv-k1", reason="no")
    lines = said(inbox)
    assert ("warn", "APPROVE? LONG BTCUSDT of tv within 300 s: F4 shows it") in lines
    assert ("warn", "declined LONG BTCUSDT of tv: DECLINED: no") in lines
    assert any(
        level == "error" and text.startswith("refused LONG DOGEUSDT of tv: UNKNOWN_SYMBOL") for level, text in lines
    )
    assert any(
        level == "info" and text.startswith("logged LONG BTCUSDT of tv: LOGGED: would buy") for level, text in lines
    )
