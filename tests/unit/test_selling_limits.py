"""A selling limit may fill far above its price: it is checked, and money set aside, for what it would get."""

from __future__ import annotations

import pytest

from engine.model import command as cmd
from engine.model import event as ev
from engine.model.account import RiskLimits
from engine.model.order import OrderStatus, OrderType
from tests.kit import BUY, SELL, Bench, D, bodies, refusal

LIMIT, STOP_LIMIT = OrderType.LIMIT, OrderType.STOP_LIMIT


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.market("60000")
    return made


def test_one_that_crosses_needs_the_margin_of_the_bid(bench: Bench) -> None:
    assert refusal(bench.place(SELL, "0.2", LIMIT, price="49000"))[0] == "MARGIN"
    bench.place(SELL, "0.1", LIMIT, price="49000")
    assert bench.last_order.reserve == D(6003)
    bench.wait()
    assert bench.size == D("-0.1")
    assert bench.free >= 0


def test_its_notional_is_that_of_the_bid() -> None:
    bench = Bench(limits=RiskLimits(max_order_notional=D(5_500)))
    bench.market("60000")
    assert refusal(bench.place(SELL, "0.1", LIMIT, price="49000"))[0] == "ORDER_NOTIONAL"


def test_the_band_is_still_that_of_its_own_price(bench: Bench) -> None:
    assert refusal(bench.place(SELL, "0.1", LIMIT, price="30000"))[0] == "PRICE_BAND"


def test_one_that_only_makes_needs_the_margin_of_its_price(bench: Bench) -> None:
    bench.place(SELL, "0.1", LIMIT, price="61000", post_only=True)
    assert bench.last_order.reserve == D("6103.05")


def test_one_set_off_by_a_trigger_needs_the_margin_of_that(bench: Bench) -> None:
    bench.place(SELL, "0.1", STOP_LIMIT, trigger="59000", price="50000")
    assert bench.last_order.reserve == D("5902.95")


def test_amending_one_below_the_bid_needs_the_margin_of_the_bid(bench: Bench) -> None:
    order = bench.limit(SELL, "0.16", "61000")
    bench.market("63000")
    small = bench.limit(SELL, "0.001", "64000")
    assert refusal(bench.ask(cmd.AmendOrder, order=small.id, price=D(51000), size=D("0.1")))[0] == "MARGIN"
    assert order.status is OrderStatus.FILLED
    assert bench.free >= 0


def test_amending_below_the_bid_reserves_what_it_will_take(bench: Bench) -> None:
    order = bench.limit(SELL, "0.1", "61000")
    events = bench.ask(cmd.AmendOrder, order=order.id, price=D(49000))
    (amended,) = bodies(events, ev.OrderAmended)
    assert amended.reserve == D(6003)
    assert bench.free >= 0


def test_one_that_meets_a_risen_market_is_rejected_where_its_money_is_not_there(bench: Bench) -> None:
    bench.place(SELL, "0.16", LIMIT, price="59000")
    bench.quote("70000", "70000.1")
    events = bench.wait()
    (rejected,) = bodies(events, ev.OrderRejected)
    assert rejected.code == "MARGIN"
    assert bench.free == D(10_000)


def test_a_buying_limit_takes_what_it_set_aside_at_most(bench: Bench) -> None:
    bench.place(BUY, "0.16", LIMIT, price="62000")
    bench.wait()
    assert bench.size == D("0.16")
    assert bench.free >= 0
