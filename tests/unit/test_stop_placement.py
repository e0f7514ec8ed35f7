"""The stop of an entry lies before the liquidation of what the entry would make of the position (semantics 4)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.model.market import Side
from engine.model.order import OrderType
from tests.kit import BUY, SELL, Bench, refusal

D = Decimal


@pytest.fixture
def bench() -> Bench:
    bench = Bench(balance="100000")
    bench.market("60000")
    return bench


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("leverage", [None, 9])
def test_the_stop_of_an_added_lot_must_lie_before_the_liquidation_of_the_whole(
    bench: Bench, side: Side, leverage: int | None
) -> None:
    """Alone it would be liquidated farther away; together they are where the entries meet."""
    bench.open(side, "0.5", leverage=10)
    price = 60_000 - 5_000 * side.sign
    bench.market(str(price))
    behind, before = (str(price - side.sign * distance) for distance in (4_800, 2_800))
    code, message = refusal(bench.place(side, "0.5", stop_loss=behind, leverage=leverage))
    assert code == "STOP_LOSS"
    assert "lies behind liquidation" in message
    bench.place(side, "0.5", stop_loss=before, leverage=leverage)
    bench.wait()
    (stop,) = bench.live(OrderType.STOP)
    level = bench.position.liquidation
    assert level is not None
    assert stop.trigger is not None
    assert (stop.trigger - level) * side.sign > 0 > (D(behind) - level) * side.sign


def test_the_stop_of_an_order_that_only_reduces_is_judged_as_that_of_a_lot_of_its_own(bench: Bench) -> None:
    bench.open(SELL, "0.5", leverage=10)
    assert refusal(bench.place(BUY, "0.2", stop_loss="54000"))[0] == "STOP_LOSS"
    bench.place(BUY, "0.2", stop_loss="55000")
    bench.wait()
    assert bench.size == D("-0.3")
