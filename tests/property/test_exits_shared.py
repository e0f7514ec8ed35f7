"""Exits share a position the same way whether or not the work is saved where they fit (B5, B6)."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from engine.core import brackets, fills
from engine.core.desk import Desk
from engine.core.state import encode_state
from engine.model import command as cmd
from engine.model.account import RiskLimits
from engine.model.order import OrderType
from tests.kit import BUY, SELL, Bench

LIMIT, STOP, TARGET = OrderType.LIMIT, OrderType.STOP, OrderType.TAKE_PROFIT


class Never(set[tuple[str, str]]):
    """Remembers nothing."""

    def add(self, pair: tuple[str, str]) -> None:
        pass


def act(bench: Bench, dice: random.Random) -> None:
    price = dice.randint(59_800, 60_200)
    size = str(Decimal(dice.randint(1, 6)) / 100)
    side = dice.choice((BUY, BUY, BUY, SELL))
    lower, upper = str(price - dice.randint(20, 300)), str(price + dice.randint(20, 300))
    stop, target = (lower, upper) if side is BUY else (upper, lower)
    bracket = {"stop_loss": dice.choice((stop, None)), "take_profit": dice.choice((target, None))}
    match dice.randrange(10):
        case 0 | 1 | 2 | 3:
            bench.place(side, size, OrderType.MARKET, leverage=10, **bracket)
        case 4:
            bench.place(side.opposite, size, LIMIT, price=upper, reduce_only=True)
        case 5:
            bench.place(SELL, size, STOP, trigger=lower, reduce_only=True)
        case 6 if bench.state.positions:
            trail = Decimal(dice.randint(5, 60)) if dice.random() < 0.5 else None
            levels = {name: Decimal(level) for name, level in bracket.items() if level is not None}
            bench.ask(cmd.SetProtection, position=bench.position.id, trail_bps=trail, **levels)
        case 7 if bench.live():
            bench.ask(cmd.AmendOrder, order=dice.choice(bench.live()).id, size=Decimal(size))
        case 8 if bench.live():
            bench.ask(cmd.CancelOrder, order=dice.choice(bench.live()).id)
        case _:
            bench.market(str(price))
    if dice.random() < 0.7:
        bench.wait()


def play(seed: int) -> Bench:
    bench = Bench(balance="1000000", limits=RiskLimits(daily_loss=None))
    bench.market("60000")
    dice = random.Random(seed)
    for _ in range(120):
        act(bench, dice)
    return bench


@pytest.mark.parametrize("seed", range(12))
def test_what_is_skipped_where_exits_fit_changes_nothing(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = play(seed)
    original = Desk.__init__

    def slow_desk(self: Desk, *given: object) -> None:
        original(self, *given)  # type: ignore[arg-type]
        self.kernel.fitting = Never()

    monkeypatch.setattr(Desk, "__init__", slow_desk)
    monkeypatch.setattr(brackets, "_fit", lambda exits, closing, room: False)
    slow = play(seed)
    assert [event.body for event in quick.events] == [event.body for event in slow.events]
    assert encode_state(quick.state) == encode_state(slow.state)


def test_a_bracketed_lot_opens_without_sharing_out_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(balance="1000000")
    bench.market("60000")
    bench.open(BUY, "0.01", stop_loss="59000", take_profit="61000")
    shared = []
    for module in (brackets, fills):
        monkeypatch.setattr(module, "cap_reduce_only", lambda kernel, *pair: shared.append(pair))
    for _ in range(5):
        bench.open(BUY, "0.01", stop_loss="59000", take_profit="61000")
    assert shared == []
    assert bench.sizes(STOP) == bench.sizes(TARGET) == [Decimal("0.01")] * 6
