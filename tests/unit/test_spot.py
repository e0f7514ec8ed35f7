"""Spot: what is bought is held whole, nothing is lent, so nothing is sold that is not held and nothing is liquidated."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.model import command as cmd
from engine.model import event as ev
from engine.model.order import OrderStatus, OrderType
from tests.kit import BUY, SECOND, SELL, Bench, bodies, instrument, refusal

D = Decimal
LIMIT, STOP = OrderType.LIMIT, OrderType.STOP


@pytest.fixture
def bench() -> Bench:
    bench = Bench(instrument(product="spot", id="sim.spot:BTCUSDT"), balance="100000")
    bench.market("60000")
    return bench


def test_nothing_is_sold_that_is_not_held(bench: Bench) -> None:
    code, message = refusal(bench.place(SELL, "0.1"))
    assert code == "SPOT"
    assert "0.1 is larger than the 0 BTC held" in message
    bench.open(BUY, "0.1")
    for fields in ({"type": LIMIT, "price": "61000"}, {"type": STOP, "trigger": "59000"}, {}):
        assert refusal(bench.place(SELL, "0.2", **fields))[0] == "SPOT"
    bench.place(SELL, "0.1")
    bench.wait()
    assert bench.size == 0


def test_a_sell_that_works_never_sells_more_than_is_left(bench: Bench) -> None:
    position = bench.open(BUY, "0.2")
    order = bench.limit(SELL, "0.2", "61000")
    bench.ask(cmd.ClosePosition, position=position.id, fraction=D("0.5"))
    bench.wait()
    assert order.remaining == D("0.1")
    bench.ask(cmd.FlattenAll)
    bench.wait(SECOND)
    assert bench.size == 0
    assert order.status is OrderStatus.CANCELLED


def test_a_sell_of_what_is_held_is_an_exit(bench: Bench) -> None:
    bench.open(BUY, "0.1")
    bench.ask(cmd.SetKill, on=True)
    bench.place(SELL, "0.1")
    bench.wait()
    assert bench.size == 0


def test_nothing_is_lent(bench: Bench) -> None:
    code, message = refusal(bench.place(BUY, "0.1", leverage=2))
    assert code == "LEVERAGE"
    assert "1x" in message
    assert refusal(bench.ask(cmd.SetLeverage, instrument=bench.instruments[0].id, leverage=5))[0] == "LEVERAGE"
    position = bench.open(BUY, "0.1", leverage=1)
    assert position.margin == position.cost


def test_nothing_is_added_to_what_is_held_whole(bench: Bench) -> None:
    position = bench.open(BUY, "0.1")
    code, message = refusal(bench.ask(cmd.AdjustMargin, position=position.id, amount=D(100)))
    assert code == "SPOT"
    assert "held whole" in message
    assert bench.account.margins["USDT"] == position.cost


def test_nothing_is_liquidated(bench: Bench) -> None:
    position = bench.open(BUY, "1")
    assert position.liquidation is None
    bench.quote("1", "1.1")
    assert not bodies(bench.mark("1"), ev.Liquidated)
    assert bench.size == 1
