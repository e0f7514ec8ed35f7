"""Exits over any course of fills: brackets grow and shrink with what they protect, reduce-only stays within the position (5)."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.fold import fold
from engine.core.state import State, decode_state, encode_state
from engine.model import command as cmd
from engine.model.market import Side
from engine.model.order import Order, OrderType
from tests.kit import BUY, MS, SELL, Bench

D = Decimal
sides = st.sampled_from((BUY, SELL))
thousandths = st.integers(1, 400).map(lambda n: D(n).scaleb(-3))
prints = st.lists(thousandths, min_size=1, max_size=8)


def entered(side: Side, size: Decimal) -> tuple[Bench, Order]:
    """A bracketed limit entry that rests at the head of its queue."""
    bench = Bench(balance="1000000")
    bench.quote("59999.9", "60000", "0.001", "0.001")
    bench.mark("60000")
    away = D(10) * side.opposite.sign
    order = bench.limit(
        side, str(size), str(D(60_000) + away), leverage=10,
        take_profit=str(60_000 + 3_000 * side.sign), stop_loss=str(60_000 - 2_000 * side.sign),
    )  # fmt: skip
    return bench, order


def trade_through(bench: Bench, order: Order, size: Decimal) -> None:
    """Somebody trades this much a tick beyond the order's price."""
    assert order.price is not None
    beyond = order.price - bench.instruments[0].tick * order.terms.side.sign
    bench.trade(str(beyond), str(size), order.terms.side.opposite)


def legs(bench: Bench) -> tuple[Decimal, Decimal]:
    """Unfilled size of the stops and of the targets."""
    return tuple(sum(bench.sizes(kind), D(0)) for kind in (OrderType.STOP, OrderType.TAKE_PROFIT))  # type: ignore[return-value]


@given(sides, prints)
def test_a_bracket_is_as_large_as_what_its_entry_has_filled(side: Side, trades: list[Decimal]) -> None:
    """B1: every partial fill is protected at once, all of it, and by no more."""
    bench, order = entered(side, sum(trades, D(0)))
    for size in trades:
        trade_through(bench, order, size)
        assert abs(bench.size) == order.filled
        assert legs(bench) == (order.filled, order.filled)
    assert order.status == "FILLED"


@given(sides, prints, st.integers(0, 7))
def test_what_filled_stays_protected_when_the_rest_is_cancelled(side: Side, trades: list[Decimal], filled: int) -> None:
    """B3."""
    bench, order = entered(side, sum(trades, D(1)))
    for size in trades[: filled + 1]:
        trade_through(bench, order, size)
    bench.ask(cmd.CancelOrder, order=order.id)
    bench.wait()
    assert order.status == "CANCELLED"
    assert legs(bench) == (abs(bench.size), abs(bench.size))


@given(sides, thousandths, st.lists(thousandths, min_size=1, max_size=5))
def test_a_close_by_hand_leaves_each_leg_as_large_as_the_rest(
    side: Side, extra: Decimal, closes: list[Decimal]
) -> None:
    """B2, B7: what leaves is not protected any more, what stays is."""
    size = sum(closes, extra)
    bench, order = entered(side, size)
    trade_through(bench, order, size)
    bench.quote("59999.9", "60000", "50", "50")
    for close in closes:
        bench.place(side.opposite, str(close), reduce_only=True)
        bench.wait()
        assert legs(bench) == (abs(bench.size), abs(bench.size))
    assert abs(bench.size) == extra


@settings(max_examples=60)
@given(
    sides,
    thousandths,
    st.lists(st.tuples(thousandths, st.integers(1, 30)), min_size=1, max_size=6),
    st.lists(thousandths, max_size=4),
)
def test_reduce_only_orders_never_sum_to_more_than_the_position(
    side: Side, size: Decimal, exits: list[tuple[Decimal, int]], closes: list[Decimal]
) -> None:
    """B4, B5, B6: whatever rests to reduce, and however the position shrinks, nothing of it can flip or add."""
    bench = Bench(balance="1000000")
    bench.market("60000")
    bench.open(side, str(size), leverage=10)
    for wanted, distance in exits:
        price = 60_000 + distance * 10 * side.sign
        bench.place(side.opposite, str(wanted), OrderType.LIMIT, price=str(price), reduce_only=True)
        bench.wait(50 * MS)
        assert sum(bench.sizes(OrderType.LIMIT), D(0)) <= abs(bench.size)
    for close in closes:
        bench.place(side.opposite, str(close), reduce_only=True)
        bench.wait()
        resting = [o for o in bench.live() if o.terms.reduce_only]
        assert sum((o.remaining for o in resting), D(0)) <= abs(bench.size)
        assert bench.size * side.sign >= 0
    kept = sorted(bench.live(OrderType.LIMIT), key=lambda o: abs((o.price or D(0)) - 60_000))
    if kept and closes:
        # The nearest to the market keeps its place: only the farthest of what is left may be smaller than asked.
        assert all(o.size - o.filled == o.terms.size for o in kept[:-1])


@settings(max_examples=40)
@given(sides, prints, st.data())
def test_a_replay_from_any_snapshot_gives_the_state_byte_for_byte(
    side: Side, trades: list[Decimal], data: st.DataObject
) -> None:
    """2: fold(snapshot, the rest) is the live state, wherever the snapshot was taken."""
    bench, order = entered(side, sum(trades, D(0)))
    for size in trades:
        trade_through(bench, order, size)
    bench.ask(cmd.SetProtection, position=bench.position.id, trail_bps=D(50))
    for price in ("60100", "59800", "60400"):
        bench.market(price)
    bench.ask(cmd.FlattenAll)
    bench.wait()
    cut = data.draw(st.integers(0, len(bench.events)), "snapshot after event")
    before = State()
    for event in bench.events[:cut]:
        fold(before, event)
    state = decode_state(encode_state(before))
    for event in bench.events[cut:]:
        fold(state, event)
    assert encode_state(state) == encode_state(bench.state)
