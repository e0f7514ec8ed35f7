"""Where the mid stands for the mark, a level that the exact mid meets fires, though the mid of two floats misses it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from engine.model import command as cmd
from engine.model.instrument import MarkSource, VenueProfile
from engine.model.market import Side
from tests.kit import BUY, SELL, Bench, D, instrument

PROFILE = VenueProfile(mark_source=MarkSource.MID)
TICK = D("0.0005")


def misses(above: bool) -> Iterator[tuple[Decimal, Decimal, Decimal]]:
    """(bid, ask, mid) whose mid of floats lies an ulp above, or below, the float of the exact mid."""
    for thousandths in range(10_000, 90_000):
        bid = D(thousandths) / 1000
        ask = bid + 2 * TICK
        mid, rough = (bid + ask) / 2, (float(bid) + float(ask)) / 2
        if rough > float(mid) if above else rough < float(mid):
            yield bid, ask, mid


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_stop_at_the_exact_mid_fires(side: Side) -> None:
    bid, ask, mid = next(misses(above=side is BUY))
    away = D("0.5") * side.sign
    bench = Bench(instrument(profile=PROFILE, tick=TICK, min_notional=D(0)))
    bench.quote(str(bid + away), str(ask + away))
    position = bench.open(side, "10", leverage=2)
    bench.ask(cmd.SetProtection, position=position.id, stop_loss=mid)
    (stop,) = bench.live()
    assert stop.trigger == mid
    bench.quote(str(bid), str(ask))
    bench.wait()
    assert not bench.state.positions
