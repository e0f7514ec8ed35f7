"""A trailing stop against the words of semantics 4, over any path of prints, gaps through several levels included."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.model import event as ev
from engine.model.market import Side
from engine.model.money import ceil_to, floor_to
from engine.model.order import OrderType, TriggerSource
from tests.kit import BUY, SELL, Bench, bodies, instrument

D = Decimal
TICK = D("0.1")
START = D(1000)
prints = st.lists(st.integers(-3000, 3000).map(lambda n: START + n * TICK), min_size=1, max_size=40)
distances = st.one_of(
    st.integers(10, 900).map(lambda bps: {"trail_bps": D(bps)}),
    st.integers(1, 3000).map(lambda ticks: {"trail_offset": ticks * TICK}),
)
activations = st.one_of(st.none(), st.integers(-500, 500).map(lambda ticks: START + ticks * TICK))


def behind(side: Side, extremum: Decimal, distance: dict[str, Decimal]) -> Decimal:
    """The trigger for an extremum, rounded towards it."""
    off = distance.get("trail_offset", extremum * distance.get("trail_bps", D(0)) / 10_000)
    return ceil_to(extremum - off, TICK) if side is SELL else floor_to(extremum + off, TICK)


def expected(
    side: Side, activation: Decimal | None, distance: dict[str, Decimal], path: list[Decimal]
) -> tuple[list[Decimal], Decimal | None]:
    """The levels it stands at, each tighter than the one before, and the print that fires it."""
    levels: list[Decimal] = []
    extremum = None
    for price in path:
        if levels and (price <= levels[-1] if side is SELL else price >= levels[-1]):
            return levels, price
        if extremum is None:
            if activation not in (None, START) and not (
                price >= activation if activation > START else price <= activation
            ):
                continue
            extremum = price
        extremum = max(extremum, price) if side is SELL else min(extremum, price)
        level = behind(side, extremum, distance)
        if not levels or (level > levels[-1] if side is SELL else level < levels[-1]):
            levels.append(level)
    return levels, None


@pytest.mark.parametrize("side", [BUY, SELL])
@given(prints, distances, activations)
@settings(max_examples=60, deadline=None)
def test_a_trailing_stop_follows_its_extremum_and_fires_on_the_first_print_behind_it(
    side: Side, path: list[Decimal], distance: dict[str, Decimal], activation: Decimal | None
) -> None:
    bench = Bench(instrument(), balance="1000000")
    bench.quote(str(START), str(START + TICK))
    bench.trade(str(START))
    bench.place(side, "1", OrderType.TRAILING_STOP, source=TriggerSource.LAST, trigger=activation, **distance)
    levels, fires = expected(side, activation, distance, path)
    seen: list[Decimal] = []
    fired = None
    for price in path:
        events = bench.trade(str(price))
        seen += [body.trigger for body in bodies(events, ev.TriggerMoved)]
        if bodies(events, ev.TriggerFired):
            fired = price
            break
    assert (seen, fired) == (levels, fires)
