"""Any row is explained from the ledger: who asked, what risk compared, what the market showed, what became of it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from engine.core.inputs import Asked, Doubt, Note
from engine.ledger.why import why
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.account import Execution, RiskLimits
from engine.model.order import OrderStatus, OrderType
from engine.model.report import VenueOrder, VenuePosition
from engine.views import tables
from engine.views.why import Answer, OriginKind, duration, lines
from tests.kit import BUY, MS, SECOND, SELL, Bench, fill
from tests.why_kit import Asker, said, step, types

D = Decimal


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.market("60000")
    return made


@pytest.fixture
def ask(tmp_path: Path) -> Asker:
    return Asker(tmp_path)


class TestTheChain:
    def test_a_market_order_from_the_person_to_the_position(self, bench: Bench, ask: Asker) -> None:
        bench.open(BUY, "0.1", leverage=10)
        answer = ask(bench.events, "O1")
        assert types(answer) == [
            "IntentCreated", "RiskApproved", "LeverageChanged", "OrderCreated", "OrderSent", "OrderFilled",
        ]  # fmt: skip
        assert (answer.origin.kind, answer.origin.who) == (OriginKind.PERSON, "hand")
        numbers = dict(step(answer, "OrderFilled").facts)
        assert numbers["P1 then"] == "long 0.1 @ 60000.1, 10x"
        assert numbers["margin"].startswith("600.001, liquidation ")
        assert "fee 3.000005 USDT" in numbers["fill"]

    def test_the_market_at_each_decision_and_the_time_between_them(self, bench: Bench, ask: Asker) -> None:
        bench.at(bench.now + 40 * MS)
        bench.open(BUY, "0.1")
        answer = ask(bench.events, "O1")
        intent, filled = step(answer, "IntentCreated"), step(answer, "OrderFilled")
        assert intent.top is not None
        assert (intent.top.bid, intent.top.ask, intent.top.mark) == ("60000", "60000.1", "60000")
        assert intent.top.age_ns == 41 * MS
        assert sum(s.after_ns for s in answer.steps) == filled.time_ns - intent.time_ns > 0

    def test_every_number_that_risk_compared(self, bench: Bench, ask: Asker) -> None:
        bench.open(BUY, "0.1", leverage=10)
        checks = {check.rule: check for check in step(ask(bench.events, "O1"), "RiskApproved").checks}
        leverage = checks["leverage"]
        assert (leverage.value, leverage.relation, leverage.limit, leverage.by) == ("10", "<=", "125", "115")
        assert set(checks) == {"leverage", "order notional", "position notional", "free margin"}
        assert all(check.passed for check in checks.values())

    def test_a_refusal_says_by_how_much_it_failed(self, ask: Asker) -> None:
        bench = Bench(limits=RiskLimits(max_order_notional=D(5_000)))
        bench.market("60000")
        bench.place(BUY, "0.1")
        answer = ask(bench.events, "O1")
        (failed,) = (check for check in step(answer, "RiskRejected").checks if not check.passed)
        assert (failed.rule, failed.value, failed.limit, failed.by) == ("order notional", "6000.01", "5000", "1000.01")
        assert "6000.01 <= 5000, FAILED by 1000.01" in said(answer)
        assert types(answer)[-1] == "OrderDenied"

    def test_the_price_band_is_a_floor_for_a_sell(self, bench: Bench, ask: Asker) -> None:
        bench.place(SELL, "0.01", OrderType.LIMIT, price="40000")
        bench.place(SELL, "0.01", OrderType.LIMIT, price="59000")
        verdicts = [
            next(c for c in step(answer, kind).checks if c.rule == "price band")
            for answer, kind in ((ask(bench.events, "O1"), "RiskRejected"), (why(ask.path, "O2"), "RiskApproved"))
        ]
        assert [(v.relation, v.limit, v.passed, v.by) for v in verdicts] == [
            (">=", "48000", False, "8000"),
            (">=", "48000", True, "11000"),
        ]

    def test_a_cancel_names_who_asked_for_it(self, bench: Bench, ask: Asker) -> None:
        order = bench.limit(BUY, "0.1", "59000")
        bench.ask(cmd.CancelOrder, order=order.id, owner="source:tv")
        bench.wait()
        answer = ask(bench.events, order.id)
        assert types(answer)[-3:] == ["IntentCreated", "CancelRequested", "OrderCancelled"]
        assert "source tv asks (r2): cancel O1" in said(answer)
        assert answer.origin.kind is OriginKind.PERSON

    @pytest.mark.parametrize(
        ("owner", "kind", "words"),
        [
            ("hand", OriginKind.PERSON, "A person asked for it"),
            ("source:tv", OriginKind.SOURCE, "Source tv asked for it"),
            ("strategy:cross", OriginKind.STRATEGY, "Strategy cross asked for it"),
        ],
    )
    def test_who_is_at_its_beginning(self, bench: Bench, ask: Asker, owner: str, kind: OriginKind, words: str) -> None:
        bench.open(BUY, "0.1", owner=owner)
        origin = ask(bench.events, "O1").origin
        assert (origin.kind, origin.who) == (kind, owner)
        assert words in origin.text

    def test_what_an_intent_came_from_is_told_before_it(self, bench: Bench, ask: Asker) -> None:
        alarm = bench.handle(Note(bench.now, ev.AlarmRaised("SIGNAL", "buy, says a source")))[0]
        bench.open(BUY, "0.1", owner="source:tv")
        events = [
            msgspec.structs.replace(e, causation=alarm.seq) if isinstance(e.body, ev.IntentCreated) else e
            for e in bench.events
        ]
        assert types(ask(events, "O1"))[:2] == ["AlarmRaised", "IntentCreated"]
        assert types(why(ask.path, "r1"))[:2] == ["AlarmRaised", "IntentCreated"]

    def test_a_closed_position_ends_with_the_trades_result(self, bench: Bench, ask: Asker) -> None:
        position = bench.open(BUY, "0.1")
        bench.market("60100")
        bench.ask(cmd.ClosePosition, position=position.id)
        bench.wait()
        answer = ask(bench.events, "P1")
        net = bench.state.closed["P1"].net
        assert answer.title == f"Position P1: BTCUSDT, closed by close, net +{net.normalize():f}"
        assert f"net +{net.normalize():f}" in dict(answer.steps[-1].facts)["trade's result"]
        assert [s.type for s in answer.steps if s.type == "IntentCreated"] == ["IntentCreated"] * 2

    def test_a_position_that_was_traded_away_is_not_said_to_be_closed_by_an_entry(
        self, bench: Bench, ask: Asker
    ) -> None:
        bench.open(BUY, "0.05")
        bench.place(SELL, "0.05")
        bench.wait()
        assert "closed by an opposite order, net" in ask(bench.events, "P1").title
        (row,) = tables.trades_view(bench.desk, bench.now).rows
        assert row.reason == "opposite"

    def test_an_engine_that_was_started_in_between_is_told(self, bench: Bench, ask: Asker) -> None:
        order = bench.limit(BUY, "0.1", "59000")
        account = next(iter(bench.state.accounts))
        bench.desk.kernel.journal.epoch = 2
        bench.ask(cmd.CancelOrder, order=order.id, account=account)
        bench.wait()
        assert "start 2 of it; what is above was start 1" in said(ask(bench.events, order.id))


class TestNobodyAsked:
    def test_a_stop_walks_back_to_the_entry_that_brought_it(self, bench: Bench, ask: Asker) -> None:
        bench.open(BUY, "0.1", stop_loss="59900")
        bench.mark("59890")
        bench.wait()
        answer = ask(bench.events, "O2")
        assert types(answer)[0] == "IntentCreated"
        assert answer.origin.kind is OriginKind.PERSON
        assert "The market set it off: O2 fired: mark 59890 met its level 59900." in answer.origin.text
        assert "O2 made: sell 0.1 BTCUSDT stop, stop loss, for what O1 opened" in said(answer)
        assert types(answer)[-3:] == ["TriggerFired", "OrderSent", "OrderFilled"]

    def test_a_liquidation_was_done_by_the_market(self, bench: Bench, ask: Asker) -> None:
        position = bench.open(BUY, "0.1", leverage=100)
        assert position.liquidation is not None
        bench.mark("59000")
        answer = ask(bench.events, "O2")
        assert answer.origin.kind is OriginKind.MARKET
        assert answer.origin.text.startswith("Nobody asked, the market did it: mark 59000 met liquidation 596")
        assert answer.origin.text.endswith(" of P1.")
        assert types(answer)[0] == "IntentCreated", "how the position came about comes first"
        assert why(ask.path, "P1").origin.text.startswith("A person asked for it, request r1. The market did it: mark")

    def test_a_part_filled_stop_that_stands_again_follows_its_earlier_self(self, ask: Asker) -> None:
        bench = Bench()
        bench.market("60000")
        bench.open(BUY, "0.1", stop_loss="59900")
        bench.depth((("59890", "0.03"),), (("59890.1", "1"),))
        bench.quote("59890", "59890.1", bid_size="0.03")
        bench.mark("59890")
        bench.wait()
        answer = ask(bench.events, "O3")
        assert "stands again for what O2 left" in said(answer)
        assert [s.text.split()[0] for s in answer.steps if s.type == "OrderCreated"] == ["O1", "O2", "O3"]

    def test_funding_was_done_at_the_venue(self, bench: Bench, ask: Asker) -> None:
        bench.open(BUY, "0.1")
        paid = bench.funding(bench.now + SECOND, "0.0001", "60000")
        seq = next(e.seq for e in paid if isinstance(e.body, ev.FundingPaid))
        answer = ask(bench.events, f"seq:{seq}")
        assert answer.origin.kind is OriginKind.VENUE
        assert "P1 paid funding 0.6: rate 0.01 % at mark 60000" in said(answer)
        assert [s.asked for s in answer.steps if s.type == "FundingPaid"] == [True]


class TestAtAVenue:
    @pytest.fixture
    def bench(self) -> Bench:
        made = Bench(balance="100000", execution=Execution.VENUE)
        made.market("60000")
        return made

    def test_the_evidence_trail_of_an_unknown_order(self, bench: Bench, ask: Asker) -> None:
        bench.place(BUY, "0.1", OrderType.LIMIT, price="59000")
        bench.handle(Doubt(bench.now, "O1", "no answer within 5 s"))
        for number in range(1, 11):
            bench.at(bench.now + SECOND)
            bench.handle(Asked(bench.now, "O1", f"connection refused, try {number}"))
        bench.ask(cmd.AttestOrder, order="O1", reason="its page shows no such order")
        text = said(ask(bench.events, "O1"))
        assert "O1 UNKNOWN: no answer within 5 s" in text
        assert "9 more like it, the last: O1: the venue was asked, connection refused, try 10" in text
        assert "a person asks (r2): answers for O1, its page shows no such order" in text
        assert "a person attests O1: nothing of it filled, its page shows no such order" in text

    def test_a_fill_reported_after_it_was_attested_is_told(self, bench: Bench, ask: Asker) -> None:
        bench.place(BUY, "0.1", OrderType.LIMIT, price="59000")
        order = bench.last_order
        bench.handle(Doubt(bench.now, "O1", "no answer within 5 s"))
        bench.ask(cmd.AttestOrder, order="O1", reason="its page shows it", filled=D("0.1"), price=D("59000"))
        bench.said(order, OrderStatus.FILLED, "0.1", fill("x-771", "59000", "0.1"))
        answer = ask(bench.events, "O1")
        assert types(answer)[-3:] == ["OrderAttested", "OrderFilled", "FillCovered"]
        assert "O1: fill x-771, 0.1 @ 59000, is booked already" in said(answer)

    def test_a_fill_is_found_by_the_venues_own_id(self, bench: Bench, ask: Asker) -> None:
        bench.place(BUY, "0.1", OrderType.LIMIT, price="59000")
        bench.said(bench.last_order, OrderStatus.ACCEPTED)
        bench.said(bench.last_order, OrderStatus.FILLED, "0.1", fill("x-771", "59000", "0.1", "0.3"))
        answer = ask(bench.events, "x-771")
        assert answer.title.startswith("Fill x-771 of Order O1: buy 0.1 BTCUSDT limit, FILLED")
        assert why(ask.path, "vO1").id == "O1"

    def test_an_order_of_somebody_else_was_done_at_the_venue(self, bench: Bench, ask: Asker) -> None:
        venues = VenueOrder(
            "web-1", "v9", bench.instruments[0].id, SELL, OrderStatus.FILLED, D("0.2"), D("0.2"),
            fills=(fill("x-1", "60000", "0.2"),),
        )  # fmt: skip
        bench.hear(venues)
        answer = ask(bench.events, "O1")
        assert (answer.origin.kind, answer.origin.who) == (OriginKind.VENUE, "venue")
        assert types(answer) == ["AlarmRaised", "OrderCreated", "OrderSent", "OrderFilled"]
        assert "made at the venue by somebody else" in said(answer)
        assert why(ask.path, "P1").origin.kind is OriginKind.VENUE

    def test_a_position_brought_in_line_says_what_the_venue_stated(self, bench: Bench, ask: Asker) -> None:
        theirs = VenuePosition(bench.instruments[0].id, D("0.3"), D("60100"))
        for _ in range(2):
            bench.at(bench.now + 60 * SECOND)
            bench.stands(theirs)
        answer = ask(bench.events, "P1")
        assert answer.origin.kind is OriginKind.VENUE
        assert "is 0.3 at the venue and was 0 here; 0.3 is booked at 60100" in said(answer)
        differs = next(e.seq for e in bench.events if isinstance(e.body, ev.PositionDiffers))
        assert "the venue states 0.3 BTCUSDT, the ledger 0" in said(why(ask.path, f"seq:{differs}"))


class TestRuns:
    def test_like_events_in_a_row_are_counted(self, ask: Asker) -> None:
        bench = Bench()
        bench.market("60000")
        position = bench.open(BUY, "0.1")
        bench.ask(cmd.SetProtection, position=position.id, trail_bps=D(50))
        for up in range(20):
            bench.market(str(60_010 + up * 10))
        moves = [e for e in bench.events if isinstance(e.body, ev.TriggerMoved)]
        answer = ask(bench.events, "O2")
        told = [s for s in answer.steps if s.type == "TriggerMoved"]
        assert [s.count for s in told] == [1, len(moves) - 1]
        assert told[-1].seq == moves[-1].seq

    def test_a_crowd_of_fills_before_a_liquidation_is_one_step_with_their_sums(self, bench: Bench, ask: Asker) -> None:
        bench.open(BUY, "0.01", leverage=100)
        for _ in range(30):
            bench.open(BUY, "0.01")
        bench.mark("59000")
        answer = ask(bench.events, "O32")
        assert answer.origin.kind is OriginKind.MARKET
        assert max(s.count for s in answer.steps) == 29
        assert "29 more fills, 0.29 @ 600" in said(answer)

    def test_a_thousand_cancels_of_one_request_fit_a_screen(self, bench: Bench, ask: Asker) -> None:
        for _ in range(30):
            bench.limit(BUY, "0.001", "59000")
        bench.ask(cmd.CancelAll, request_id="all")
        answer = ask(bench.events, "all")
        assert len(answer.steps) == 3
        assert answer.steps[-1].count == 29


class TestALongLine:
    """A stop that its venue goes on refusing stands again and again: hundreds of orders, one after the other."""

    @pytest.fixture(scope="class")
    def line(self) -> Bench:
        bench = Bench(balance="100000", execution=Execution.VENUE)
        bench.market("60000")
        bench.place(BUY, "1", stop_loss="59000")
        bench.said(bench.last_order, OrderStatus.FILLED, "1", fill("t1", "60000", "1"))
        bench.market("58990")
        for _ in range(1_200):
            (stop,) = (order for order in bench.live() if order.terms.reduce_only)
            if stop.status is OrderStatus.HELD:
                bench.wait(120 * SECOND)
                bench.market("58990")
                (stop,) = (order for order in bench.live() if order.terms.reduce_only)
            bench.said(stop, OrderStatus.REJECTED, reason="no")
        return bench

    def test_is_explained_to_its_beginning_with_its_middle_as_one_step(self, line: Bench, ask: Asker) -> None:
        last = line.last_order.id
        answer = ask(line.events, last)
        assert answer.origin.text.startswith("A person asked for it, request r1.")
        assert len(answer.steps) < 60
        (crowd,) = (step for step in answer.steps if step.count > 100)
        made = [step.text.split()[0] for step in answer.steps if step.type == "OrderCreated"]
        assert crowd.count + len(made) == int(last[1:]), "every order is told or counted"
        assert "more that stood again, O4 to O" in crowd.text
        assert crowd.text.endswith("rejected, REJECTED: no")
        for name in ("P1", f"seq:{len(line.events)}", "O1"):
            assert len(why(ask.path, name).steps) < 60, name

    def test_an_order_of_its_middle_is_told_when_it_is_asked_for(self, line: Bench, ask: Asker) -> None:
        middle = f"O{int(line.last_order.id[1:]) // 2}"
        answer = ask(line.events, middle)
        assert answer.title.startswith(f"Order {middle}: ")
        assert f"{middle} made: sell 1 BTCUSDT stop" in said(answer)


class TestReading:
    @pytest.mark.parametrize("width", [60, 80, 104])
    def test_no_line_is_wider_than_the_terminal(self, bench: Bench, ask: Asker, width: int) -> None:
        bench.open(BUY, "0.1", leverage=7, take_profit="60500.3", stop_loss="59000.7", request_id="a" * 60)
        bench.mark("58990")
        bench.wait()
        for name in ("O1", "O2", "P1"):
            answer = ask(bench.events, name) if name == "O1" else why(ask.path, name)
            assert max(len(line.text) for line in lines(answer, width)) <= width

    def test_the_last_nanosecond_of_a_second_is_still_in_it(self, bench: Bench, ask: Asker) -> None:
        first = ask(bench.events, "1")
        late = msgspec.structs.replace(first.steps[0], time_ns=1_795_205_236_999_999_999)
        assert "20:07:16.999" in said(msgspec.structs.replace(first, steps=(late,)))

    def test_what_is_sent_over_a_link_is_the_same_answer(self, bench: Bench, ask: Asker) -> None:
        bench.open(BUY, "0.1")
        answer = ask(bench.events, "O1")
        assert msgspec.convert(msgspec.to_builtins(answer), Answer) == answer

    @pytest.mark.parametrize(
        ("ns", "text"),
        [(0, "0 ns"), (820, "820 ns"), (41_200, "41.2 µs"), (3_200_000, "3.20 ms"), (999_900_000, "1000 ms"),
         (7_050_000_000, "7.05 s"), (123_000_000_000, "2m 3s"), (14_700_000_000_000, "4h 5m"),
         (200_000_000_000_000, "2d 7h"), (-5_000, "-5.00 µs")],
    )  # fmt: skip
    def test_times_between_steps_are_in_a_persons_units(self, ns: int, text: str) -> None:
        assert duration(ns) == text
