"""A change of leverage re-margins what is open and keeps what somebody put in beside it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.model import command as cmd
from tests.kit import BUY, SELL, Bench

D = Decimal


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("leverage", [9, 5, 20])
def test_added_margin_stays_and_less_leverage_never_moves_liquidation_closer(side: object, leverage: int) -> None:
    bench = Bench()
    bench.market("60000")
    position = bench.open(side, "0.1", leverage=10)  # type: ignore[arg-type]
    bench.ask(cmd.AdjustMargin, position=position.id, amount=D(500))
    before = bench.position
    bench.ask(cmd.SetLeverage, instrument=bench.instruments[0].id, leverage=leverage)
    after = bench.position
    assert after.margin == round(abs(after.cost) / leverage, 8) + 500
    assert before.liquidation is not None
    assert after.liquidation is not None
    farther = (before.liquidation - after.liquidation) * after.sign > 0
    assert farther is (leverage < 10)
    assert bench.account.margins["USDT"] == after.margin


def test_margin_that_funding_ate_is_filled_up_and_no_more() -> None:
    bench = Bench()
    bench.market("60000")
    position = bench.open(BUY, "0.1", leverage=10)
    bench.at(position.opened_ns + 1)
    bench.ask(cmd.Deposit, asset="USDT", amount=-bench.free)
    bench.funding(position.opened_ns + 1, "0.001", "60000")
    assert bench.position.margin < position.margin
    bench.ask(cmd.Deposit, asset="USDT", amount=D(10_000))
    bench.ask(cmd.SetLeverage, instrument=bench.instruments[0].id, leverage=5)
    assert bench.position.margin == round(abs(position.cost) / 5, 8)
