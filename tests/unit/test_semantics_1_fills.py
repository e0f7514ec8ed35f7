"""What the desk makes of fills, its own and reported ones, semantics 1."""
# ruff: noqa: N802 - tests are named for the numbered cases

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.model import command as cmd
from engine.model import event as ev
from engine.model.order import OrderStatus, OrderType
from tests.kit import BUY, SELL, Bench, Replayed, alarms, bodies, instrument

D = Decimal


@pytest.fixture
def bench() -> Bench:
    bench = Bench(balance="100000")
    bench.market("60000")
    return bench


def test_P9_a_fill_that_comes_three_times_counts_once(bench: Bench) -> None:
    order = bench.limit(BUY, "1", "59000", leverage=10)
    events = [event for _ in range(3) for event in bench.report(order.id, "v1", "59000", "0.4", "10")]
    assert len(bodies(events, ev.OrderFilled)) == 1
    assert not alarms(events)
    assert bench.size == D("0.4")


def test_P9_two_of_three_deliveries_come_after_a_restart(bench: Bench) -> None:
    order = bench.limit(BUY, "1", "59000", leverage=10)
    events = bench.report(order.id, "v1", "59000", "0.4", "10")
    bench.restart()
    events += bench.report(order.id, "v1", "59000", "0.4", "10") + bench.report(order.id, "v1", "59000", "0.4", "10")
    assert len(bodies(events, ev.OrderFilled)) == 1
    assert not alarms(events)
    assert (bench.size, bench.position.fees) == (D("0.4"), D(10))


@pytest.mark.parametrize(("price", "size"), [("58999", "0.4"), ("59000", "0.5")])
def test_P9_the_same_fill_with_other_fields_is_an_alarm_and_no_fill(bench: Bench, price: str, size: str) -> None:
    order = bench.limit(BUY, "1", "59000", leverage=10)
    bench.report(order.id, "v1", "59000", "0.4")
    events = bench.report(order.id, "v1", price, size)
    assert alarms(events) == ["FILL_DIFFERS"]
    assert bench.size == D("0.4")


def test_P9_a_fill_that_flipped_is_known_when_it_comes_again(bench: Bench) -> None:
    bench.open(BUY, "0.1", leverage=10)
    order = bench.limit(SELL, "0.3", "61000")
    bench.report(order.id, "v1", "61000", "0.3", "9")
    assert not bench.report(order.id, "v1", "61000", "0.3", "9")
    assert bench.size == D("-0.2")


def test_a_flip_is_two_rows_two_lots_and_a_split_fee(bench: Bench) -> None:
    first = bench.open(BUY, "0.1", leverage=10)
    order = bench.limit(SELL, "0.3", "61000")
    closing, opening = bodies(bench.report(order.id, "v1", "61000", "0.3", "9"), ev.OrderFilled)
    assert (closing.part, closing.closing, closing.size, closing.fee) == (0, True, D("0.1"), D(3))
    assert (opening.part, opening.closing, opening.size, opening.fee) == (1, False, D("0.2"), D(6))
    assert closing.position.id == first.id
    assert closing.position.size == 0
    assert opening.position.id != first.id
    assert (opening.position.size, opening.position.entry) == (D("-0.2"), D(61000))
    assert bench.state.closed[first.id].exit_reason == "entry"
    assert order.status is OrderStatus.FILLED
    assert bench.account.margins["USDT"] == opening.position.margin == D(1220)


def test_a_fill_after_its_cancel_is_booked_with_an_alarm(bench: Bench) -> None:
    order = bench.limit(BUY, "1", "59000", stop_loss="58000", leverage=10)
    bench.ask(cmd.CancelOrder, order=order.id)
    bench.wait()
    events = bench.report(order.id, "v1", "59000", "0.4")
    assert alarms(events) == ["LATE_FILL"]
    assert order.status is OrderStatus.PARTIAL
    assert bench.size == D("0.4")
    assert bench.sizes(OrderType.STOP) == [D("0.4")]
    assert bench.account.reserves["USDT"] == 0
    assert alarms(bench.report(order.id, "v2", "59000", "0.6")) == ["LATE_FILL"]
    assert order.status is OrderStatus.FILLED


def test_a_fill_beyond_the_order_is_what_the_venue_says_with_an_alarm(bench: Bench) -> None:
    order = bench.limit(BUY, "1", "59000", leverage=10)
    assert alarms(bench.report(order.id, "v1", "59000", "1.5")) == ["OVERFILL"]
    assert bench.size == D("1.5")
    assert order.status is OrderStatus.FILLED
    assert alarms(bench.report(order.id, "v2", "59000", "0.5")) == ["LATE_FILL", "OVERFILL"]
    assert bench.size == 2


def test_a_fill_of_a_refused_order_is_believed_and_its_state_stays(bench: Bench) -> None:
    bench.place(BUY, "500", leverage=10)
    denied = bench.last_order
    assert denied.status is OrderStatus.DENIED
    assert alarms(bench.report(denied.id, "v1", "60000", "0.1")) == ["LATE_FILL"]
    assert denied.status is OrderStatus.DENIED
    assert bench.size == D("0.1")


def test_a_fill_of_an_order_that_never_left_is_an_alarm_only(bench: Bench) -> None:
    bench.place(BUY, "0.1", OrderType.STOP, trigger="61000")
    events = bench.report(bench.last_order.id, "v1", "61000", "0.1")
    assert alarms(events) == ["FOREIGN_FILL"]
    assert not bench.state.positions


def test_a_fill_of_an_unknown_order_is_an_alarm_only(bench: Bench) -> None:
    assert alarms(bench.report("O99", "v1", "61000", "0.1")) == ["FOREIGN_FILL"]
    assert not bench.state.positions


@pytest.mark.parametrize(
    ("price", "size", "fee"),
    [
        ("0", "1", "0"),
        ("60000", "0", "0"),
        ("60000", "-1", "0"),
        ("NaN", "1", "0"),
        ("1", "Infinity", "0"),
        ("1", "1", "sNaN"),
    ],
)
def test_a_fill_that_cannot_be_is_an_alarm_only(bench: Bench, price: str, size: str, fee: str) -> None:
    order = bench.limit(BUY, "1", "59000", leverage=10)
    assert alarms(bench.report(order.id, "v1", price, size, fee)) == ["BAD_FILL"]
    assert not bench.state.positions


def test_reserve_turns_into_margin_fill_by_fill(bench: Bench) -> None:
    order = bench.limit(BUY, "1", "59000", leverage=10)
    whole = order.reserve
    assert whole == D(5900) + D("29.5")
    bench.report(order.id, "v1", "59000", "0.25")
    assert order.reserve == whole * 3 / 4
    assert bench.position.margin == D(1475)
    bench.report(order.id, "v2", "59000", "0.75")
    assert bench.account.reserves["USDT"] == 0
    assert bench.position.margin == D(5900)


@pytest.mark.parametrize(("maker_fee", "last_fee"), [("0.0002", "4.200035"), ("-0.0001", "-2.1000175")])
def test_M4_what_crossed_pays_the_taker_s_fee_and_the_rest_the_maker_s_or_gets_a_rebate(
    maker_fee: str, last_fee: str
) -> None:
    bench = Bench(instrument(tick=D("0.5"), maker_fee=D(maker_fee)), balance="1000000")
    bench.depth((("59999.5", "0.55"),), (("60000.0", "0.40"), ("60000.5", "0.75"), ("60001.0", "1.20")))
    bench.quote("59999.5", "60000.0", "0.55", "0.40")
    order = bench.limit(BUY, "1.5", "60000.5", leverage=10)
    assert (order.status, order.remaining) == (OrderStatus.PARTIAL, D("0.35"))
    bench.trade("60000.0", "0.2", SELL)
    bench.trade("60000.0", "0.15", SELL)
    fills = bodies(bench.events, ev.OrderFilled)
    assert [(f.price, f.size, f.maker) for f in fills] == [
        (D("60000.0"), D("0.40"), False),
        (D("60000.5"), D("0.75"), False),
        (D("60000.5"), D("0.20"), True),
        (D("60000.5"), D("0.15"), True),
    ]
    assert [f.fee for f in fills[:2]] == [D(12), D("22.5001875")]
    assert fills[2].fee + fills[3].fee == D(last_fee)
    assert bench.account.balances["USDT"] == 1_000_000 - D("34.5001875") - D(last_fee)
    assert bench.account.reserves["USDT"] == 0


def test_every_fill_carries_the_market_it_met(bench: Bench) -> None:
    bench.place(BUY, "0.1", leverage=10)
    (fill,) = bodies(bench.wait(), ev.OrderFilled)
    assert fill.top is not None
    assert (fill.top.bid, fill.top.ask, fill.top.mark) == ("60000", "60000.1", "60000")
    assert fill.fee_asset == "USDT"
    assert fill.fee == D("3.000005")


def test_reports_in_any_order_and_number_fold_to_the_same_money(bench: Bench) -> None:
    order = bench.limit(BUY, "1", "59000", leverage=10)
    for fill in ("v2", "v1", "v2", "v3", "v1"):
        bench.report(order.id, fill, "59000", {"v1": "0.2", "v2": "0.3", "v3": "0.5"}[fill], "1")
    assert bench.size == 1
    assert bench.position.fees == 3
    replayed = Replayed()
    replayed.read(bench.events)
    assert replayed.equals(bench.state)
