"""Armed price levels: the band in which nothing happens is exact, and what a quote costs does not grow with them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.desk import NOTHING
from engine.core.triggers import COMPACT, INF, Kind, Levels, Triggers, Watched
from engine.model.market import Quote, quote
from engine.model.order import OrderType, TriggerSource
from tests.kit import BUY, MS, SELL, Bench

D = Decimal
BID, MARK = Watched.BID, Watched.MARK


def ids(crossed: list[tuple[Kind, int, str]]) -> list[str]:
    return [owner for _, _, owner in crossed]


@pytest.fixture
def triggers() -> Triggers:
    triggers = Triggers()
    triggers.arm(BID, 110.0, True, Kind.TAKE_PROFIT, "up")
    triggers.arm(BID, 120.0, True, Kind.TAKE_PROFIT, "higher")
    triggers.arm(BID, 90.0, False, Kind.STOP_LOSS, "down")
    triggers.arm(BID, 80.0, False, Kind.STOP_LOSS, "lower")
    return triggers


def test_the_band_is_bounded_by_the_nearest_levels(triggers: Triggers) -> None:
    levels = triggers.levels[BID]
    assert (levels.below, levels.above) == (90.0, 110.0)
    assert (triggers.levels[MARK].below, triggers.levels[MARK].above) == (-INF, INF)


@pytest.mark.parametrize(
    ("price", "crossed"),
    [
        (110.0, ["up"]),
        (109.99, []),
        (90.0, ["down"]),
        (90.01, []),
        (125.0, ["up", "higher"]),
        (80.0, ["down", "lower"]),
    ],
)
def test_a_price_takes_exactly_what_it_reaches(triggers: Triggers, price: float, crossed: list[str]) -> None:
    assert ids(triggers.levels[BID].take(price)) == crossed
    assert not triggers.levels[BID].take(price)


def test_what_is_taken_widens_the_band(triggers: Triggers) -> None:
    triggers.levels[BID].take(110.0)
    assert triggers.levels[BID].above == 120.0
    assert "up" not in {owner for _, owner in triggers.armed.values()}


def test_a_disarmed_level_is_gone_from_the_band_and_never_taken(triggers: Triggers) -> None:
    triggers.disarm("up")
    triggers.disarm("lower")
    triggers.disarm("never armed")
    assert (triggers.levels[BID].below, triggers.levels[BID].above) == (90.0, 120.0)
    assert ids(triggers.levels[BID].take(70.0)) == ["down"]


def test_priority_comes_before_the_order_of_arming() -> None:
    triggers = Triggers()
    for kind in reversed(Kind):
        triggers.arm(MARK, 100.0, False, kind, kind.name)
    assert ids(triggers.levels[MARK].take(99.0)) == [kind.name for kind in Kind]


def test_equal_levels_of_a_kind_go_in_order_of_arming() -> None:
    triggers = Triggers()
    for number in range(5):
        triggers.arm(MARK, 100.0 - number, False, Kind.STOP_LOSS, f"s{number}")
    assert ids(triggers.levels[MARK].take(50.0)) == [f"s{number}" for number in range(5)]


def test_an_order_with_two_levels_loses_both_at_once() -> None:
    triggers = Triggers()
    triggers.arm(MARK, 100.0, False, Kind.TRAIL_FIRE, "trail")
    triggers.arm(MARK, 110.0, True, Kind.TRAIL_MOVE, "trail")
    assert ids(triggers.levels[MARK].take(100.0)) == ["trail"]
    triggers.disarm("trail")
    assert not triggers.armed
    assert (triggers.levels[MARK].below, triggers.levels[MARK].above) == (-INF, INF)


def test_levels_that_move_for_ever_keep_the_heap_bounded() -> None:
    """A trailing stop re-arms with every move: disarmed levels must not pile up."""
    triggers = Triggers()
    for number in range(20_000):
        triggers.disarm("trail")
        triggers.arm(MARK, 100.0 + number, False, Kind.TRAIL_FIRE, "trail")
        triggers.arm(MARK, 500_000.0 - number, True, Kind.TRAIL_MOVE, "trail")
    levels = triggers.levels[MARK]
    assert len(levels._up) + len(levels._down) <= COMPACT + 2
    assert len(triggers.armed) == 2
    assert (levels.below, levels.above) == (20_099.0, 480_001.0)


class Counted(float):
    """A price that counts how often it is compared."""

    compares = 0

    def __lt__(self, other: float) -> bool:
        Counted.compares += 1
        return float(self) < other

    def __gt__(self, other: float) -> bool:
        Counted.compares += 1
        return float(self) > other


def counted(bench: Bench, bid: str, ask: str) -> Quote:
    plain = quote(bench.instruments[0].id, bench.now + MS, bid, "5", ask, "5")
    return Quote(
        plain.instrument, plain.time_ns, 0, 0, Counted(plain.bid), Counted(plain.ask), bid, "5", ask, "5"
    )  # fmt: skip


@pytest.mark.parametrize("orders", [10, 20_000])
def test_a_quote_that_fires_nothing_costs_the_same_whatever_is_armed(
    orders: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(balance="1000000000")
    bench.market("60000")
    sides = ((BUY, 1), (SELL, -1))
    for number in range(orders):
        side, sign = sides[number % 2]
        trigger = str(D(60_000) + sign * (D(100) + D(number) / 10))
        bench.place(side, "0.001", OrderType.STOP, trigger=trigger, source=TriggerSource.BID_ASK)
    assert len(bench.state.orders) == orders

    def take(levels: Levels, price: float) -> list[tuple[Kind, int, str]]:
        raise AssertionError("a quote inside the band looked at the armed levels")

    monkeypatch.setattr(Levels, "take", take)
    inside = counted(bench, "60010.0", "60010.1")
    Counted.compares = 0
    assert bench.desk.handle(inside) is NOTHING
    assert Counted.compares == 4
    assert bench.desk.handle(inside) is NOTHING
    with pytest.raises(AssertionError, match="inside the band"):
        bench.desk.handle(quote(bench.instruments[0].id, bench.now + MS, "60099.9", "5", "60100.0", "5"))
    assert not NOTHING
