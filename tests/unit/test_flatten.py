"""Flatten all: it goes on until the account is flat, and nothing is left unprotected on the way."""

from __future__ import annotations

import pytest

from engine.core.inputs import Listed
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.order import OrderStatus, OrderType, Role
from engine.views.log import log_line
from tests.kit import BUY, LATENCY, SECOND, SELL, Bench, D, Replayed, alarms, bodies, instrument, refusal

STOP = OrderType.STOP


def thin(bench: Bench, size: str) -> None:
    """A book with this much to sell into."""
    bench.depth((("60000", size),), (("60000.1", "50"),))
    bench.quote("60000", "60000.1", size, "50")


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.market("60000")
    return made


@pytest.mark.parametrize("orders_before", range(0, 40, 3))
def test_an_entry_on_its_way_opens_nothing(bench: Bench, orders_before: int) -> None:
    """Its cancel and the entry each take their own time; whichever is there first."""
    for _ in range(orders_before):
        bench.place(BUY, "0.01", OrderType.LIMIT, price="50000", leverage=10)
    bench.place(BUY, "0.1", leverage=10)
    events = bench.ask(cmd.FlattenAll) + bench.wait(SECOND)
    assert not bodies(events, ev.OrderFilled)
    assert not bench.state.orders
    assert not bench.state.flattening


def test_a_resting_entry_hit_before_its_cancel_is_closed_at_once(bench: Bench) -> None:
    bench.limit(BUY, "0.1", "59990", leverage=10)
    bench.ask(cmd.FlattenAll)
    bench.trade("59980", "5", SELL)
    assert bench.last_order.terms.role is Role.FLATTEN
    bench.wait(SECOND)
    assert not bench.state.positions
    assert not bench.state.orders


def test_what_the_book_could_not_take_keeps_its_stop_and_is_closed_when_the_book_can(bench: Bench) -> None:
    bench.open(BUY, "1", leverage=10, stop_loss="59000")
    thin(bench, "0.1")
    events = bench.ask(cmd.FlattenAll) + bench.wait(SECOND)
    assert "FLATTEN_WAITS" in alarms(events)
    assert str(bench.size) == "0.9"
    assert bench.sizes(STOP) == [bench.size]
    thin(bench, "5")
    bench.wait(SECOND)
    assert not bench.state.positions
    assert not bench.state.orders
    assert not bench.state.flattening


def test_an_empty_book_makes_no_flood_of_orders_or_alarms(bench: Bench) -> None:
    bench.open(BUY, "1", leverage=10)
    thin(bench, "0.1")
    bench.ask(cmd.FlattenAll)
    bench.wait(60 * SECOND)
    made, said = bench.state.orders_made, len(bench.state.alarms)
    bench.wait(60 * SECOND)
    assert (bench.state.orders_made, len(bench.state.alarms)) == (made, said)


def test_a_restart_goes_on_flattening(bench: Bench) -> None:
    bench.open(BUY, "1", leverage=10, stop_loss="59000")
    bench.limit(BUY, "0.1", "59990")
    thin(bench, "0.1")
    bench.ask(cmd.FlattenAll)
    bench.wait(LATENCY)
    bench.restart()
    assert bench.state.flattening
    bench.market("60000")
    bench.wait(SECOND)
    assert not bench.state.positions
    assert not bench.state.orders


def test_a_replay_flattens_alike(bench: Bench) -> None:
    bench.open(BUY, "1", leverage=10)
    thin(bench, "0.1")
    bench.ask(cmd.FlattenAll)
    bench.wait(SECOND)
    replayed = Replayed()
    replayed.read(bench.events)
    assert replayed.equals(bench.state)


def test_entries_are_refused_until_it_is_flat(bench: Bench) -> None:
    bench.open(BUY, "1", leverage=10)
    bench.ask(cmd.FlattenAll)
    assert refusal(bench.place(BUY, "0.1"))[0] == "FLATTENING"
    bench.wait(SECOND)
    bench.open(BUY, "0.1", leverage=10)
    assert bench.size


def test_another_account_is_left_alone() -> None:
    bench = Bench()
    bench.start("other", "3000")
    bench.start("main")
    bench.market("60000")
    bench.open(BUY, "0.01", leverage=10, account="other")
    bench.place(BUY, "0.1", leverage=10)
    bench.wait()
    bench.ask(cmd.FlattenAll)
    bench.wait(SECOND)
    assert [p.account for p in bench.state.positions.values()] == ["other"]


def test_several_positions_are_flattened() -> None:
    btc, eth = instrument(), instrument("ETHUSDT")
    bench = Bench(btc, eth)
    bench.market("60000")
    bench.quote("3000", "3000.1", of=eth)
    bench.mark("3000", of=eth)
    bench.place(BUY, "0.1", leverage=10)
    bench.place(SELL, "1", instrument=eth.id, leverage=10)
    bench.wait()
    assert len(bench.state.positions) == 2
    bench.ask(cmd.FlattenAll)
    bench.wait(SECOND)
    assert not bench.state.positions


def test_the_log_says_when_it_begins_and_ends(bench: Bench) -> None:
    bench.open(BUY, "0.1", leverage=10)
    events = bench.ask(cmd.FlattenAll) + bench.wait(SECOND)
    told = [line.text for e in events if (line := log_line(bench.state, e)) is not None]
    assert any("flattening main" in text for text in told)
    assert any("main is flat" in text for text in told)


def test_an_order_is_ended_with_its_reason(bench: Bench) -> None:
    order = bench.limit(BUY, "0.1", "59000", leverage=10)
    bench.ask(cmd.FlattenAll)
    bench.wait()
    assert bench.state.ended[order.id].status is OrderStatus.CANCELLED


def test_less_than_a_step_is_closed_on_paper_without_a_word(bench: Bench) -> None:
    bench.open(BUY, "0.0150", leverage=10)
    bench.handle(Listed(bench.now, instrument(step=D("0.1"))))
    events = bench.ask(cmd.FlattenAll)
    assert bench.state.flattening
    events += bench.wait(SECOND)
    assert (bench.size, bench.state.flattening, alarms(events)) == (0, {}, [])
