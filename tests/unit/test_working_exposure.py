"""Limits on a position count what still works for it: entries that wait are not a way around them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.model import command as cmd
from engine.model.account import RiskLimits
from engine.model.market import Side
from engine.model.order import OrderType
from tests.kit import BUY, SECOND, SELL, Bench, refusal

D = Decimal
LIMIT, STOP = OrderType.LIMIT, OrderType.STOP


def limited(**limits: Decimal) -> Bench:
    bench = Bench(limits=RiskLimits(**limits), balance="1000000")
    bench.market("60000")
    return bench


def working(bench: Bench, side: Side) -> Decimal:
    return bench.account.working(bench.instruments[0].id, side)


def test_resting_entries_count_towards_the_position_limit() -> None:
    bench = Bench(balance="10000000")
    bench.market("60000")
    for _ in range(5):
        bench.limit(BUY, "15", "59900", leverage=1)
    code, message = refusal(bench.place(BUY, "15", LIMIT, price="59900"))
    assert code == "POSITION_NOTIONAL"
    assert "with what works" in message
    bench.trade("59000", "1000", SELL)
    assert bench.position.cost <= RiskLimits().max_position_notional


@pytest.mark.parametrize("kind", [LIMIT, STOP])
@pytest.mark.parametrize("arrived", [True, False])
def test_an_entry_counts_from_when_it_is_made(kind: OrderType, arrived: bool) -> None:
    bench = limited(max_position_notional=D(100_000))
    level = {"price": "59000"} if kind is LIMIT else {"trigger": "60500"}
    bench.place(BUY, "1", kind, leverage=10, **level)
    if arrived:
        bench.wait()
    assert refusal(bench.place(BUY, "1"))[0] == "POSITION_NOTIONAL"
    bench.place(SELL, "1", LIMIT, price="61000")
    assert bench.last_order.reason == ""


def test_what_works_far_from_the_market_does_not_make_dear_entries_cheap() -> None:
    bench = limited(max_position_notional=D(100_000))
    bench.limit(BUY, "1.5", "59900", leverage=10)
    assert refusal(bench.place(BUY, "1", LIMIT, price="30000"))[0] == "POSITION_NOTIONAL"


def test_working_entries_count_towards_the_tier_of_the_leverage() -> None:
    """250k and more allow 50x at most."""
    bench = limited()
    bench.limit(BUY, "2", "59900", leverage=100)
    bench.limit(BUY, "2", "59900")
    code, message = refusal(bench.place(BUY, "1", LIMIT, price="59900"))
    assert code == "LEVERAGE"
    assert "100x is not within 1x to 50x" in message
    bench.limit(BUY, "1", "59900", leverage=50)
    change = bench.ask(cmd.SetLeverage, instrument=bench.instruments[0].id, leverage=100)
    assert refusal(change)[0] == "LEVERAGE"


def test_an_amended_entry_does_not_count_itself_twice() -> None:
    bench = limited(max_position_notional=D(100_000))
    order = bench.limit(BUY, "1", "59900", leverage=10)
    bench.ask(cmd.AmendOrder, order=order.id, price=D(59_950))
    assert order.price == D(59_950)
    assert refusal(bench.ask(cmd.AmendOrder, order=order.id, size=D(2)))[0] == "POSITION_NOTIONAL"


def test_what_works_follows_fills_cuts_and_ends() -> None:
    bench = limited()
    order = bench.limit(BUY, "1", "59900", leverage=10)
    bench.limit(SELL, "0.5", "61000")
    assert (working(bench, BUY), working(bench, SELL)) == (D(1), D("0.5"))
    bench.report(order.id, "v1", "59900", "0.4")
    assert working(bench, BUY) == D("0.6")
    bench.ask(cmd.AmendOrder, order=order.id, size=D("0.7"))
    assert working(bench, BUY) == D("0.3")
    bench.restart()
    bench.market("60000")
    assert working(bench, BUY) == D("0.3")
    bench.ask(cmd.CancelAll)
    bench.wait(SECOND)
    assert (working(bench, BUY), working(bench, SELL)) == (D(0), D(0))
