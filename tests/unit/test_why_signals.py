"""Any signal is explained, and whatever came from one says how it was received, who approved it and how it ended."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.core.inputs import Note, NotSent
from engine.ledger.why import why
from engine.ledger.why.names import SeveralMeant, UnknownId
from engine.model import event as ev
from engine.model.account import Execution
from engine.model.command import ApproveSignal, ClosePosition, DeclineSignal
from engine.model.order import OrderStatus
from engine.model.signal import SourceMode
from engine.views.why import OriginKind
from tests.kit import SECOND, fill
from tests.signal_kit import Inbox, policy, signal
from tests.why_kit import Asker, said, types

ASKS = policy(mode=SourceMode.APPROVE)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox(balance="1000000")


@pytest.fixture
def ask(tmp_path: Path) -> Asker:
    return Asker(tmp_path)


class TestASignal:
    def test_that_traded_is_told_from_its_receipt_to_its_verdict(self, inbox: Inbox, ask: Asker) -> None:
        inbox.signal("LONG", "0.1", take_profit="61000")
        inbox.wait()
        answer = ask(inbox.events, "s-tv-k1")
        assert (answer.kind, answer.id) == ("signal", "s-tv-k1")
        assert answer.title.startswith("Signal s-tv-k1: LONG 0.1 base BTCUSDT market of tv, executed: LONG 0.1 BTCUSDT")
        assert (answer.origin.kind, answer.origin.who) == (OriginKind.SOURCE, "source:tv")
        assert answer.origin.text == "Source tv asked for it, signal s-tv-k1."
        assert types(answer)[:3] == ["SignalReceived", "IntentCreated", "RiskApproved"]
        assert {"OrderFilled", "SignalEnded"} <= set(types(answer))
        told = said(answer)
        for part in (
            "source tv signals by webhook: LONG 0.1 base BTCUSDT market",
            "signal s-tv-k1, key k1",
            "checks passed key",
            "intake took receive 1 ns",
            'body {"action": "..."}',
            "wanted binance's BTCUSDT, take profit 61000",
            "bid, ask 60000 × 50",
            "rules compared",
            "the signal ended executed: LONG 0.1",
        ):
            assert part in told, part

    @pytest.mark.parametrize(
        ("send", "verdict"),
        [
            (lambda i: i.signal(symbol="DOGEUSDT"), "refused, UNKNOWN_SYMBOL"),
            (lambda i: i.signal("CLOSE"), "ignored, FLAT: no position"),
            (lambda i: i.signal(rules=policy(mode=SourceMode.LOG)), "logged, LOGGED: would buy"),
        ],
    )
    def test_without_an_order_has_its_verdict_too(self, inbox: Inbox, ask: Asker, send: object, verdict: str) -> None:
        send(inbox)  # type: ignore[operator]
        answer = ask(inbox.events, "s-tv-k1")
        assert types(answer) == ["SignalReceived", "SignalEnded"]
        assert f"the signal ended {verdict}" in said(answer)

    def test_that_waits_says_for_what_and_how_long(self, inbox: Inbox, ask: Asker) -> None:
        inbox.signal(rules=ASKS)
        answer = ask(inbox.events, "s-tv-k1")
        assert answer.title.endswith("of tv, waits for a person to approve it")
        assert "the signal waits for a person to approve it" in said(answer)
        assert "5m 0s from then" in said(answer)

    def test_that_nobody_approved_expired(self, inbox: Inbox, ask: Asker) -> None:
        inbox.signal(rules=ASKS)
        inbox.wait(301 * SECOND)
        answer = ask(inbox.events, "s-tv-k1")
        assert types(answer) == ["SignalReceived", "SignalWaits", "SignalEnded", "AlarmRaised"]
        assert "expired, NOT_APPROVED: nobody approved it within 300 s" in said(answer)

    def test_that_was_declined_names_who_did(self, inbox: Inbox, ask: Asker) -> None:
        inbox.signal(rules=ASKS)
        inbox.ask(DeclineSignal, signal="s-tv-k1", reason="not today")
        answer = ask(inbox.events, "s-tv-k1")
        assert types(answer) == ["SignalReceived", "SignalWaits", "IntentCreated", "SignalDeclined", "SignalEnded"]
        assert "a person declines the signal: not today" in said(answer)
        assert answer.title.endswith("declined: not today")

    def test_that_was_approved_names_who_did_in_its_chain_and_in_those_of_what_came_of_it(
        self, inbox: Inbox, ask: Asker
    ) -> None:
        inbox.signal(rules=ASKS, stop_loss="59000")
        inbox.ask(ApproveSignal, signal="s-tv-k1", request_id="mine")
        inbox.wait()
        approval = ["SignalReceived", "SignalWaits", "IntentCreated", "SignalApproved"]
        first = ask(inbox.events, "s-tv-k1")
        for name in ("s-tv-k1", "O1", "O2", "O1.1", "trade:O1", "P1", "mine"):
            answer = first if name == "s-tv-k1" else why(ask.path, name)
            assert types(answer)[:4] == approval, name
            assert "SignalEnded" in types(answer), name
            if name != "mine":
                assert "Source tv asked for it, signal s-tv-k1. A person approved it." in answer.origin.text, name

    def test_that_was_tried_again_tells_every_try(self, ask: Asker) -> None:
        inbox = Inbox(balance="1000000", execution=Execution.VENUE)
        inbox.reconciled()
        inbox.signal("LONG", "0.1", exchange="sim")
        inbox.handle(NotSent(inbox.now, "O1", "UNREACHABLE", "connection refused"))
        for _ in range(31):
            inbox.wait(SECOND)
            inbox.quote("60000", "60000.1")
        inbox.said(inbox.last_order, OrderStatus.FILLED, "0.1", fill("x-1", "60000", "0.1"))
        answer = ask(inbox.events, "s-tv-k1")
        assert types(answer).count("IntentCreated") == 2
        assert "the signal waits for the next try, after 1 tries in vain" in said(answer)
        assert why(ask.path, "s-tv-k1/2").id == "s-tv-k1"
        assert types(why(ask.path, "O2")) == types(answer)

    def test_that_reversed_tells_how_the_closed_position_came_about_only_where_its_exit_is_asked(
        self, inbox: Inbox, ask: Asker
    ) -> None:
        for action in ("LONG", "SHORT", "LONG", "SHORT"):
            inbox.signal(action, "0.1")
            inbox.wait()
        last = ask(inbox.events, "s-tv-k4")
        assert types(last).count("SignalReceived") == 1
        exit_order = inbox.orders_of("k4")[0].terms.id
        assert types(why(ask.path, exit_order)).count("SignalReceived") == 2, "that of k3, which opened it"

    def test_whose_position_a_person_closed_is_told_with_the_position(self, inbox: Inbox, ask: Asker) -> None:
        inbox.signal("LONG", "0.1")
        inbox.wait()
        inbox.ask(ClosePosition, position="P1")
        inbox.wait()
        answer = ask(inbox.events, "P1")
        assert answer.origin.who == "source:tv"
        assert "a person asks" in said(answer)
        assert "the signal ended executed" in said(answer)

    def test_is_told_with_what_it_took(self, inbox: Inbox, ask: Asker) -> None:
        inbox.signal("CLOSE")
        inbox.handle(Note(inbox.now, ev.LatencyMeasured("s-tv-k1", {"receive": 200_000, "total": 1_660_000})))
        assert types(ask(inbox.events, "s-tv-k1"))[-1] == "LatencyMeasured"


class TestItsNames:
    def test_are_its_id_its_key_and_its_source_with_the_key(self, inbox: Inbox, ask: Asker) -> None:
        inbox.signal("CLOSE", key="alert 7")
        ask(inbox.events, "s-tv-alert 7")
        for name in ("alert 7", "tv/alert 7", "signal:alert 7", "signal:tv/alert 7", "signal:s-tv-alert 7"):
            assert why(ask.path, name).id == "s-tv-alert 7", name

    def test_a_key_of_two_sources_asks_for_one(self, inbox: Inbox, ask: Asker) -> None:
        inbox.signal("CLOSE", key="k")
        inbox.signal("CLOSE", key="k", source="mail")
        with pytest.raises(SeveralMeant) as several:
            ask(inbox.events, "k")
        assert "'k' is the name of several things; ask for one of them" in str(several.value)
        assert "signal:mail/k is signal s-mail-k" in str(several.value)
        assert why(ask.path, "mail/k").id == "s-mail-k"
        assert why(ask.path, "signal:tv/k").id == "s-tv-k"

    def test_a_key_that_is_an_events_number_answers_the_event_and_says_both(self, inbox: Inbox, ask: Asker) -> None:
        inbox.signal("CLOSE", key="2")
        answer = ask(inbox.events, "2")
        assert (answer.kind, answer.also) == ("event", ("signal:tv/2 is signal s-tv-2",))
        assert "Not meant here: signal:tv/2 is signal s-tv-2." in said(answer)

    def test_a_key_with_a_slash_is_one(self, inbox: Inbox, ask: Asker) -> None:
        inbox.take(replace(signal("CLOSE", key="a/b"), id="s-1"))
        assert ask(inbox.events, "a/b").id == why(ask.path, "tv/a/b").id == "s-1"

    def test_an_unknown_one_names_the_nearest(self, inbox: Inbox, ask: Asker) -> None:
        inbox.signal("CLOSE")
        with pytest.raises(UnknownId, match="the nearest: s-tv-k1"):
            ask(inbox.events, "s-tv-k0")
