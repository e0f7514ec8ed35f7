"""Anything in a ledger is asked for by its id; what is not as it was written is never told as the truth."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.ledger.errors import LedgerBroken, LedgerError
from engine.ledger.why import why
from engine.ledger.why.names import SeveralMeant, UnknownId
from engine.model import command as cmd
from engine.model.account import Execution
from engine.model.order import OrderStatus, OrderType
from engine.model.report import VenueOrder
from engine.views.why import OriginKind, lines
from tests.kit import BUY, SELL, Bench, fill, instrument, statement
from tests.why_kit import Asker, said, step, types

D = Decimal
LEDGERS = Path(__file__).parents[1] / "fixtures" / "ledgers"


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.market("60000")
    return made


@pytest.fixture
def ask(tmp_path: Path) -> Asker:
    return Asker(tmp_path)


class TestNames:
    def test_a_fill_is_marked_in_its_orders_chain(self, bench: Bench, ask: Asker) -> None:
        bench.open(BUY, "0.1")
        answer = ask(bench.events, "O1.1")
        assert answer.kind == "fill"
        assert [s.type for s in answer.steps if s.asked] == ["OrderFilled"]

    def test_both_trades_of_a_flip(self, bench: Bench, ask: Asker) -> None:
        bench.open(BUY, "0.1", leverage=10)
        bench.open(SELL, "0.3")
        closing, opening = ask(bench.events, "O2/close"), why(ask.path, "O2/open")
        assert closing.title.startswith("Trade O2/close: CLOSE BTCUSDT, sell 0.1 @ 60000")
        assert opening.title.startswith("Trade O2/open: SHORT BTCUSDT, sell 0.2 @ 60000")
        (first,), (second,) = ([s for s in a.steps if s.asked] for a in (closing, opening))
        assert ("closes P1" in first.text, "opens P2" in second.text) == (True, True)

    def test_a_request_that_was_refused(self, bench: Bench, ask: Asker) -> None:
        bench.ask(cmd.CancelOrder, order="O77", request_id="mine")
        answer = ask(bench.events, "mine")
        assert types(answer) == ["IntentCreated", "IntentRefused"]
        assert "order: 'O77' is not there" in said(answer)

    def test_a_request_shows_what_became_of_its_orders(self, bench: Bench, ask: Asker) -> None:
        bench.open(BUY, "0.1", request_id="mine")
        assert types(ask(bench.events, "mine"))[-1] == "OrderFilled"

    def test_what_a_venue_calls_an_order_finds_it(self, bench: Bench, ask: Asker) -> None:
        bench.open(BUY, "0.1")
        assert ask(bench.events, "O1-r1").id == "O1"

    def test_an_event_of_the_engine_itself(self, bench: Bench, ask: Asker) -> None:
        answer = ask(bench.events, "1")
        assert answer.origin.kind is OriginKind.ENGINE
        assert answer.title == "Event 1, EngineStarted"

    @pytest.mark.parametrize(
        ("name", "nearest"), [("O99", "O1"), ("P7", "P1"), ("r0", "r1"), ("99999", "seq "), ("order:r1", "r1")]
    )
    def test_an_unknown_name_says_what_names_there_are_and_the_nearest(
        self, bench: Bench, ask: Asker, name: str, nearest: str
    ) -> None:
        bench.open(BUY, "0.1")
        if name == "order:r1":
            nearest = "ids there are"
        with pytest.raises(UnknownId, match="ids there are: an order") as refused:
            ask(bench.events, name)
        assert nearest in str(refused.value)


def numbered(number: str, *said: Any) -> VenueOrder:
    """What a venue states of an order that it gave a number of its own."""
    return replace(statement(*said), venue_order_id=number)


class TestAsItWas:
    """In time travel a row is told with nothing that came after the moment shown."""

    def test_an_order_before_its_fill_and_a_position_before_its_end(self, bench: Bench, ask: Asker) -> None:
        bench.open(BUY, "0.1", stop_loss="59900")
        filled = next(e.seq for e in bench.events if e.type == "OrderFilled")
        opened = len(bench.events)
        bench.mark("59890")
        bench.wait()
        ask.write(bench.events)
        before = why(ask.path, "O1", filled - 1)
        assert before.title == f"Order O1, as it was after event {filled - 1}"
        assert types(before)[-1] == "OrderSent"
        position = why(ask.path, "P1", opened)
        assert position.title == f"Position P1, as it was after event {opened}"
        assert max(s.seq for s in position.steps) <= opened
        assert "flat" not in said(position)
        for name in ("O1", "O2", "P1", f"seq:{filled}", "r1"):
            for until in range(opened, len(bench.events) + 1):
                assert max(s.seq for s in why(ask.path, name, until).steps) <= until, (name, until)
        assert why(ask.path, "P1", len(bench.events)) == why(ask.path, "P1")


class TestAnOlderFile:
    def test_from_before_signals_is_read_as_it_is(self, tmp_path: Path) -> None:
        path = tmp_path / "sim.sqlite"
        path.write_bytes(gzip.decompress((LEDGERS / "schema-1.gz").read_bytes()))
        assert why(path, "O1").damaged == ()
        for name in ("k", "tv/k", "signal:k", "venue:v", "fill:x"):
            with pytest.raises(UnknownId):
                why(path, name)


class TestWhatOthersNamed:
    @pytest.fixture
    def bench(self) -> Bench:
        """A venue with two markets, which number their orders and fills each by themselves."""
        one, two = instrument(), instrument("ETHUSDT")
        made = Bench(one, two, balance="100000", execution=Execution.VENUE)
        for market in (one, two):
            made.quote("60000", "60000.1", of=market)
            made.mark("60000", of=market)
            made.place(BUY, "0.1", OrderType.LIMIT, price="59000", instrument=market.id)
            made.hear(numbered("4", made.last_order, OrderStatus.ACCEPTED))
            made.hear(numbered("4", made.last_order, OrderStatus.FILLED, "0.1", fill("t-1", "59000", "0.1")))
        return made

    def test_a_number_that_an_event_has_too_answers_the_event_and_names_the_orders(
        self, bench: Bench, ask: Asker
    ) -> None:
        answer = ask(bench.events, "4")
        assert answer.title.startswith("Event 4, ")
        assert answer.also == (
            "order:O1 is order O1: buy 0.1 BTCUSDT, FILLED",
            "order:O2 is order O2: buy 0.1 ETHUSDT, FILLED",
        )
        assert "Not meant here: order:O1 is order O1" in said(answer)
        assert why(ask.path, "seq:4").also == ()

    def test_a_venues_number_of_two_orders_lists_them(self, bench: Bench, ask: Asker) -> None:
        with pytest.raises(SeveralMeant, match=r"ask for one of them\norder:O1 is order O1.*\norder:O2 is"):
            ask(bench.events, "venue:4")

    def test_a_venues_number_of_one_order_is_that_order(self, ask: Asker) -> None:
        bench = Bench(balance="100000", execution=Execution.VENUE)
        bench.market("60000")
        bench.place(BUY, "0.1", OrderType.LIMIT, price="59000")
        bench.hear(numbered("4", bench.last_order, OrderStatus.ACCEPTED))
        assert ask(bench.events, "4").also == ("venue:4 is order O1: buy 0.1 BTCUSDT, ACCEPTED",)
        assert why(ask.path, "venue:4").id == "O1"

    @pytest.mark.parametrize("name", ["t-1", "fill:t-1"])
    def test_a_fills_id_of_two_markets_lists_them(self, bench: Bench, ask: Asker, name: str) -> None:
        with pytest.raises(SeveralMeant) as several:
            ask(bench.events, name)
        assert "fill:O1/t-1 is fill t-1 of order O1: buy 0.1 BTCUSDT" in str(several.value)
        assert "fill:O2/t-1 is fill t-1 of order O2: buy 0.1 ETHUSDT" in str(several.value)

    @pytest.mark.parametrize("name", ["O2/t-1", "ETHUSDT/t-1", "sim.perp:ETHUSDT/t-1", "fill:sim.perp:ETHUSDT/t-1"])
    def test_a_fill_is_named_with_its_order_or_its_market(self, bench: Bench, ask: Asker, name: str) -> None:
        answer = ask(bench.events, name)
        assert answer.title.startswith("Fill t-1 of Order O2: buy 0.1 ETHUSDT")
        assert [s.type for s in answer.steps if s.asked] == ["OrderFilled"]


class TestDamage:
    """What is not as it was written is never told as the truth."""

    def test_a_changed_event_is_said_at_its_step_and_in_the_title(self, bench: Bench, ask: Asker) -> None:
        bench.open(BUY, "0.1")
        assert ask(bench.events, "O1").damaged == ()
        ask.change(
            """UPDATE events SET payload = replace(payload, '"size":"0.1"', '"size":"0.2"')
            WHERE type = 'OrderFilled'""",
        )
        answer = why(ask.path, "O1")
        filled = step(answer, "OrderFilled")
        assert answer.damaged == (filled.seq,)
        assert answer.title.startswith(f"DAMAGED, not all of this is what was written (event {filled.seq});")
        assert "its hash does not match: it, or the event before it, was changed" in filled.damage
        assert "DAMAGED, its hash does not match" in said(answer)
        assert [s.damage for s in answer.steps if s is not filled] == [""] * (len(answer.steps) - 1)
        assert {line.tone for line in lines(answer) if "DAMAGED" in line.text} == {"bad"}

    def test_a_changed_event_is_no_part_of_a_run(self, bench: Bench, ask: Asker) -> None:
        for _ in range(30):
            bench.limit(BUY, "0.001", "59000")
        bench.ask(cmd.CancelAll, request_id="all")
        ask.write(bench.events)
        seq = len(bench.events) - 10
        ask.change(f"UPDATE events SET time_ns = time_ns + 1 WHERE seq = {seq}")
        answer = why(ask.path, "all")
        assert seq in answer.damaged
        assert [s.seq for s in answer.steps if s.damage] == list(answer.damaged)

    def test_an_event_whose_predecessor_is_missing_cannot_be_vouched_for(self, bench: Bench, ask: Asker) -> None:
        ask.write(bench.events)
        ask.change("DELETE FROM events WHERE seq = 1")
        assert "DAMAGED, event 1 before it is missing. It says: " in said(why(ask.path, "seq:2"))

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE events SET causation = seq",
            "UPDATE events SET time_ns = 'noon' WHERE type = 'OrderFilled'",
            "UPDATE orders SET size = 'much', role = 'none'",
            "UPDATE positions SET size = 'much'",
            "UPDATE positions SET opened_ns = opened_ns + 1000000000000",
            "DELETE FROM orders",
            "UPDATE orders SET seq = 1",
            "DROP TABLE fills",
            "UPDATE events SET payload = '{}' WHERE type = 'OrderFilled'",
        ],
    )
    def test_whatever_was_changed_there_is_an_answer_that_says_so_or_a_sentence(
        self, bench: Bench, ask: Asker, change: str
    ) -> None:
        bench.open(BUY, "0.1", stop_loss="59900")
        ask.write(bench.events)
        ask.change(change)
        outcomes = set()
        for name in ("O1", "O2", "P1", "O1.1", "trade:O1", "r1", *(f"seq:{n + 1}" for n in range(len(bench.events)))):
            try:
                outcomes.add(bool(why(ask.path, name).damaged))
            except LedgerError:
                outcomes.add(True)
        assert True in outcomes

    def test_a_missing_event_is_a_sentence_that_names_it(self, bench: Bench, ask: Asker) -> None:
        for _ in range(3):
            bench.open(BUY, "0.01")
        ask.write(bench.events)
        ask.change(f"DELETE FROM events WHERE seq = {len(bench.events) // 2 + 1}")
        with pytest.raises(LedgerBroken, match=r"event \d+ is missing; hoox ledger verify says more"):
            why(ask.path, "O1")
