"""A position never loses more than its margin and what it had paid in fees and funding, however it is closed."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.model import command as cmd
from engine.model import event as ev
from engine.model.account import Position
from engine.model.market import Side
from engine.model.order import TriggerSource
from tests.kit import BUY, SECOND, SELL, Bench, D, bodies


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.market("60000")
    return made


def wallet(bench: Bench) -> Decimal:
    return bench.account.balances["USDT"]


def closed(bench: Bench) -> Position:
    (position,) = bench.state.closed.values()
    return position


@pytest.mark.parametrize(("side", "gap"), [(BUY, "50000"), (SELL, "70000")])
def test_a_close_beyond_bankruptcy_takes_the_margin_and_no_more(bench: Bench, side: Side, gap: str) -> None:
    position = bench.open(side, "0.1", leverage=100)
    before = wallet(bench)
    bench.quote(gap, str(D(gap) + D("0.1")))
    bench.ask(cmd.ClosePosition, position=position.id)
    bench.wait()
    assert not bench.state.positions
    assert before - wallet(bench) == position.margin
    assert closed(bench).insurance > 0
    assert closed(bench).net == -position.margin - position.fees
    assert wallet(bench) == D(10_000) + closed(bench).net


def test_a_stop_that_fills_beyond_bankruptcy_takes_the_margin_and_no_more(bench: Bench) -> None:
    position = bench.open(BUY, "0.1", leverage=100, stop_loss="59800", bracket_source=TriggerSource.BID_ASK)
    before = wallet(bench)
    bench.quote("50000", "50000.1")
    bench.wait()
    assert not bench.state.positions
    assert before - wallet(bench) == position.margin


def test_a_part_closed_beyond_bankruptcy_takes_its_share_of_the_margin(bench: Bench) -> None:
    position = bench.open(BUY, "0.1", leverage=100)
    before = wallet(bench)
    bench.quote("50000", "50000.1")
    bench.ask(cmd.ClosePosition, position=position.id, fraction=D("0.5"))
    bench.wait()
    assert before - wallet(bench) == position.margin / 2
    assert bench.position.margin == position.margin / 2


def test_a_flip_beyond_bankruptcy_opens_the_new_lot_with_nothing_of_the_old_loss(bench: Bench) -> None:
    position = bench.open(BUY, "0.1", leverage=100)
    before = wallet(bench)
    bench.quote("50000", "50000.1")
    bench.place(SELL, "0.2")
    bench.wait()
    opened = bench.position
    assert opened.size == D("-0.1")
    assert opened.insurance == 0
    assert before - wallet(bench) == position.margin + opened.fees


def test_flattening_beyond_bankruptcy_takes_the_margin_and_no_more(bench: Bench) -> None:
    position = bench.open(BUY, "0.1", leverage=100)
    before = wallet(bench)
    bench.quote("50000", "50000.1")
    bench.ask(cmd.FlattenAll)
    bench.wait(SECOND)
    assert before - wallet(bench) == position.margin


def walk(bench: Bench, *, side: Side, first: str, second: str) -> list[ev.OrderFilled]:
    """Close a position of 2 at market through two levels of 1; the fills."""
    levels = ((first, "1"), (second, "1"))
    near = ("59900", "1") if side is SELL else ("60100", "1")
    bids, asks = (levels, (near,)) if side is BUY else ((near,), levels)
    bench.depth(bids, asks)
    bench.quote(bids[0][0], asks[0][0], "1", "1")
    return bodies(bench.ask(cmd.ClosePosition, position=bench.position.id) + bench.wait(), ev.OrderFilled)


@pytest.mark.parametrize(
    ("side", "first", "second", "insured"),
    [
        (BUY, "57000", "51100", False),
        (BUY, "57000", "51000", True),
        (SELL, "63000", "68900", False),
        (SELL, "63000", "69000", True),
    ],
)
def test_one_walk_through_the_book_spends_the_whole_margin_before_insurance_pays(
    side: Side, first: str, second: str, insured: bool
) -> None:
    """Bankruptcy at 54000 or 66000: the good half pays for the bad one, as in one fill at their average."""
    bench = Bench(balance="100000")
    bench.quote("60000", "60000")
    bench.mark("60000")
    position = bench.open(side, "2", leverage=10)
    before = wallet(bench)
    fills = walk(bench, side=side, first=first, second=second)
    assert len(fills) == 2
    lost = sum(f.fee - f.realised for f in fills)
    insurance = sum(f.insurance for f in fills)
    assert insurance == max(D(0), lost - position.margin)
    assert (insurance > 0) is insured
    assert before - wallet(bench) == lost - insurance <= position.margin
    assert closed(bench).insurance == insurance
    assert wallet(bench) == D(100_000) + closed(bench).net


def test_a_loss_within_the_margin_is_paid_whole(bench: Bench) -> None:
    position = bench.open(BUY, "0.1", leverage=10)
    events = bench.ask(cmd.ClosePosition, position=position.id) + bench.wait()
    (fill,) = bodies(events, ev.OrderFilled)
    assert fill.insurance == 0
