"""Funding and liquidation through the desk, semantics 2 and 3."""
# ruff: noqa: N802 - tests are named for the numbered cases

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.margin import bankruptcy_price
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.instrument import LiquidationClose, MarginModel, MarkSource, VenueProfile, tiers_from
from engine.model.market import Mark, Side
from engine.model.money import ceil_to, floor_to
from tests.kit import BUY, SECOND, SELL, TIERS, Bench, alarms, bodies, instrument

D = Decimal
HOUR = 3_600 * SECOND
T = 8 * HOUR
BOOK = VenueProfile(liquidation_close=LiquidationClose.BOOK, liquidation_fee=D("0.001"))
FRACTION = VenueProfile(margin_model=MarginModel.FRACTION, mark_source=MarkSource.EXIT_SIDE)


def opened(profile: VenueProfile | None = None, balance: str = "1000000") -> Bench:
    bench = Bench(instrument(profile=profile), balance=balance)
    bench.at(7 * HOUR)
    bench.market("60000")
    return bench


# --- Funding --------------------------------------------------------------------------------------


def test_F5_funding_is_charged_on_what_was_held_just_before() -> None:
    """Long 2, sell 1 a second before, buy 1 at the very instant: pays on 1."""
    bench = opened()
    bench.open(BUY, "2", leverage=10)
    bench.at(T - SECOND)
    bench.market("60000")
    bench.open(SELL, "1")
    order = bench.limit(BUY, "1", "59000")
    bench.at(T)
    (paid,) = bodies(bench.funding(T, "0.0001", "60000"), ev.FundingPaid)
    bench.report(order.id, "v1", "59000", "1")
    assert paid.amount == D("-6")
    assert bench.size == 2


def test_F5_funding_settles_before_a_fill_stamped_the_same_time() -> None:
    bench = opened()
    bench.open(BUY, "1", leverage=10)
    bench.place(BUY, "1")
    arrives = bench.desk.next_due()
    assert arrives is not None
    bench.at(arrives)
    (paid,) = bodies(bench.funding(arrives, "0.0001", "60000"), ev.FundingPaid)
    bench.wait()
    assert paid.amount == D("-6")
    assert bench.size == 2


def test_a_position_opened_at_the_instant_does_not_pay_and_one_closed_at_it_does() -> None:
    bench = opened()
    order = bench.limit(BUY, "1", "59000", leverage=10)
    bench.at(T)
    bench.report(order.id, "v1", "59000", "1")
    assert not bodies(bench.funding(T, "0.0001", "60000"), ev.FundingPaid)
    assert bodies(bench.funding(T + HOUR, "0.0001", "60000"), ev.FundingPaid)


def told(bench: Bench, now_ns: int, next_ns: int) -> list[ev.Event]:
    """A mark that says when funding is due."""
    bench.at(now_ns)
    bench.market("60000")
    return bench.handle(Mark(bench.instruments[0].id, bench.now, bench.now, D(60_000), None, D("0.0001"), next_ns))


def test_F5_a_settlement_told_later_is_charged_on_what_was_held_at_its_time() -> None:
    """The first mark after the time comes half a second after it; an add, and a whole lot, came in between."""
    bench = opened()
    bench.open(BUY, "0.1", leverage=10)
    told(bench, T - SECOND, T)
    bench.at(T)
    bench.market("60000")
    bench.place(BUY, "0.1")
    bench.wait()
    (paid,) = bodies(bench.funding(T, "0.0001", "60000"), ev.FundingPaid)
    assert paid.amount == D("-0.6")
    assert bench.position.size == D("0.2")
    assert bench.position.funding == D("-0.6")


@pytest.mark.parametrize("restarted", [False, True])
def test_F5_what_was_closed_or_flipped_since_pays_and_what_was_opened_since_does_not(restarted: bool) -> None:
    bench = opened()
    lot = bench.open(BUY, "0.1", leverage=10)
    told(bench, T - SECOND, T)
    bench.at(T)
    bench.market("60000")
    bench.place(SELL, "0.3")
    bench.wait()
    assert bench.size == D("-0.2")
    if restarted:
        bench.restart()
        bench.market("60000")
    before = bench.account.balances["USDT"]
    events = bench.funding(T, "0.0001", "60000") + bench.funding(T, "0.0001", "60000")
    (paid,) = bodies(events, ev.FundingPaid)
    assert (paid.amount, paid.position.id) == (D("-0.6"), lot.id)
    assert bench.state.closed[lot.id].funding == D("-0.6")
    assert bench.position.funding == 0
    assert bench.account.balances["USDT"] == before - D("0.6")
    identity(bench)


def test_F5_an_order_that_arrives_at_the_very_instant_fills_after_the_sizes_are_noted() -> None:
    bench = opened()
    bench.open(BUY, "1", leverage=10)
    bench.market("60000")
    bench.place(BUY, "1")
    arrives = bench.desk.next_due()
    assert arrives is not None
    bench.handle(Mark(bench.instruments[0].id, bench.now, bench.now, D(60_000), None, D("0.0001"), arrives))
    (due,) = bodies(bench.wait(), ev.FundingDue)
    assert list(due.sizes.values()) == [D(1)]
    assert bench.size == 2
    (paid,) = bodies(bench.funding(arrives, "0.0001", "60000"), ev.FundingPaid)
    assert paid.amount == D("-6")


def test_F6_a_time_that_nobody_saw_is_charged_on_what_is_held_after_it() -> None:
    """The mark of 07:00 names 08:00; the engine is away until 17:00, and 16:00 was missed too."""
    bench = opened()
    bench.open(BUY, "2", leverage=10)
    told(bench, 7 * HOUR + SECOND, T)
    bench.at(17 * HOUR)
    bench.restart()
    events = bench.funding(T, "0.0001", "60000") + bench.funding(16 * HOUR, "-0.0002", "61000")
    assert [(p.due_ns, p.amount) for p in bodies(events, ev.FundingPaid)] == [(T, D(-12)), (16 * HOUR, D("24.4"))]


@pytest.mark.parametrize("restarted", [True, False], ids=["restarted", "asleep"])
def test_F6_what_a_stop_closes_before_the_missed_times_are_told_pays_for_them(restarted: bool) -> None:
    """Down, or asleep, 07:50-17:00: the first price fires the stop, and the venue's history comes a second later."""
    bench = opened()
    lot = bench.open(BUY, "2", leverage=10, stop_loss="59000")
    told(bench, T - 600 * SECOND, T)
    bench.at(17 * HOUR)
    if restarted:
        bench.restart()
    bench.market("58900")
    bench.wait(SECOND)
    assert not bench.state.positions
    before = bench.account.balances["USDT"]
    events = bench.funding(T, "0.0001", "60000") + bench.funding(16 * HOUR, "-0.0002", "61000")
    assert [(p.due_ns, p.amount) for p in bodies(events, ev.FundingPaid)] == [(T, D(-12)), (16 * HOUR, D("24.4"))]
    assert bench.state.closed[lot.id].funding == bench.account.balances["USDT"] - before == D("12.4")
    identity(bench)


def test_F6_what_is_added_before_the_missed_times_are_told_does_not_pay_for_them() -> None:
    bench = opened()
    bench.open(BUY, "2", leverage=10)
    bench.at(17 * HOUR)
    bench.restart()
    bench.market("60000")
    bench.open(BUY, "3")
    events = bench.funding(T, "0.0001", "60000") + bench.funding(16 * HOUR, "-0.0002", "61000")
    assert [(p.due_ns, p.amount) for p in bodies(events, ev.FundingPaid)] == [(T, D(-12)), (16 * HOUR, D("24.4"))]
    told(bench, 23 * HOUR, 24 * HOUR)
    bench.at(24 * HOUR + 1)
    (paid,) = bodies(bench.funding(24 * HOUR, "0.0001", "60000"), ev.FundingPaid)
    assert paid.amount == D(-30)


def test_F6_a_commit_that_fails_after_a_rest_takes_nothing_from_what_was_held_through_it() -> None:
    bench = opened()
    lot = bench.open(BUY, "2", leverage=10)
    bench.at(17 * HOUR)
    bench.market("60000")
    bench.ask(cmd.ClosePosition, position=lot.id)
    bench.wait(SECOND)
    bench.desk = bench.desk.on(bench.state)
    bench.desk.resume()
    events = bench.funding(T, "0.0001", "60000") + bench.funding(16 * HOUR, "-0.0002", "61000")
    assert [p.amount for p in bodies(events, ev.FundingPaid)] == [D(-12), D("24.4")]


def test_F6_a_rest_before_the_clock_was_set_back_says_nothing_of_the_times_after_it() -> None:
    bench = opened()
    bench.open(BUY, "2", leverage=10)
    bench.at(12 * HOUR)
    bench.market("60000")
    bench.at(9 * HOUR)
    bench.market("60000")
    bench.open(BUY, "3")
    bench.at(9 * HOUR + 6 * SECOND)
    (paid,) = bodies(bench.funding(9 * HOUR + 5 * SECOND, "0.0001", "60000"), ev.FundingPaid)
    assert paid.amount == D(-30)


def test_two_times_told_late_are_both_charged_on_what_was_held_by_the_later_one() -> None:
    bench = opened()
    lot = bench.open(BUY, "2", leverage=10)
    told(bench, T - SECOND, T)
    told(bench, T + SECOND, T + 2 * SECOND)
    bench.at(T + 2 * SECOND)
    bench.market("60000")
    bench.ask(cmd.ClosePosition, position=lot.id, fraction=D("0.5"))
    bench.wait()
    events = bench.funding(T, "0.0001", "60000") + bench.funding(T + 2 * SECOND, "0.0001", "60000")
    assert [p.amount for p in bodies(events, ev.FundingPaid)] == [D(-12), D(-12)]


def test_a_funding_time_with_nothing_open_leaves_no_trace() -> None:
    bench = opened()
    told(bench, T - SECOND, T)
    bench.at(T)
    assert not bodies(bench.wait(), ev.FundingDue)
    bench.market("60000")
    bench.open(BUY, "0.1", leverage=10)
    assert not bodies(bench.funding(T, "0.0001", "60000"), ev.FundingPaid)


def test_F6_what_fell_due_while_the_engine_was_down_is_booked_in_order_with_its_own_date() -> None:
    bench = opened()
    bench.open(BUY, "2", leverage=10)
    bench.at(17 * HOUR)
    bench.restart()
    events = bench.funding(T, "0.0001", "60000") + bench.funding(16 * HOUR, "-0.0002", "61000")
    paid = bodies(events, ev.FundingPaid)
    assert [(p.due_ns, p.amount) for p in paid] == [(T, D(-12)), (16 * HOUR, D("24.4"))]
    assert bench.position.funding == D("12.4")
    again = bench.funding(T, "0.0001", "60000") + bench.funding(16 * HOUR, "-0.0002", "61000")
    assert not bodies(again, ev.FundingPaid)


def test_L11_funding_that_the_wallet_cannot_pay_moves_the_liquidation_price() -> None:
    flat = tiers_from([(D(0), None, D("0.004"), 125)])
    bench = Bench(instrument(tiers=flat, taker_fee=D(0), maker_fee=D(0)), balance="2000")
    bench.at(7 * HOUR)
    bench.market("20000")
    order = bench.limit(BUY, "1", "20000", leverage=10)
    bench.report(order.id, "v1", "20000", "1")
    assert bench.position.liquidation is not None
    assert round(bench.position.liquidation, 6) == D("18072.289157")
    assert bench.free == 0
    bench.at(T)
    bench.funding(T, "0.0006", "20000")
    assert bench.position.margin == D(1988)
    assert bench.position.liquidation is not None
    assert round(bench.position.liquidation, 6) == D("18084.337349")
    assert not bodies(bench.mark("18084.4"), ev.Liquidated)
    assert bodies(bench.mark("18084.3"), ev.Liquidated)
    assert bench.account.balances["USDT"] == 0


def test_L1_and_L10_added_margin_moves_the_liquidation_price_down_to_the_limit_of_what_can_be_taken_out() -> None:
    bench = Bench(instrument(taker_fee=D(0), maker_fee=D(0)))
    bench.market("20000")
    order = bench.limit(BUY, "1", "20000", leverage=10)
    bench.report(order.id, "v1", "20000", "1")
    for amount, level in ((None, "18072.289157"), (D(500), "17570.281124"), (D(-500), "18072.289157")):
        if amount is not None:
            bench.ask(cmd.AdjustMargin, position=bench.position.id, amount=amount)
        assert bench.position.liquidation is not None
        assert round(bench.position.liquidation, 6) == D(level)
    (refused,) = bodies(
        bench.ask(cmd.AdjustMargin, position=bench.position.id, amount=D("-0.00000001")), ev.IntentRefused
    )
    assert refused.code == "MARGIN"
    assert not bodies(bench.mark("18072.3"), ev.Liquidated)
    (liquidated,) = bodies(bench.mark("18072.2"), ev.Liquidated)
    assert liquidated.bankruptcy == 18000
    assert bench.account.balances["USDT"] == 8000


# --- Liquidation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("profile", [VenueProfile(), BOOK, FRACTION], ids=["bankruptcy", "book", "fraction"])
def test_the_market_liquidates_a_100x_position_at_its_price(profile: VenueProfile, side: Side) -> None:
    """And it never loses more than its margin and what it had paid."""
    bench = opened(profile, balance="2000")
    bench.place(side, "0.1", leverage=100)
    bench.wait()
    bench.limit(side, "0.05", "55000" if side is BUY else "65000")
    position = bench.position
    level, before = position.liquidation, bench.account.balances["USDT"]
    assert level is not None
    tick = D("0.1")
    met = floor_to(level, tick) if side is BUY else ceil_to(level, tick)
    safe = met + side.sign * tick
    assert not liquidations(bench, safe, side)
    (liquidated,) = liquidations(bench, met, side)
    assert liquidated.level == level
    assert liquidated.bankruptcy - (bankruptcy_price(position) or 0) < D("1E-7")
    assert not bench.state.positions
    assert not bench.state.orders
    closed = bench.state.closed[position.id]
    assert closed.exit_reason == "liquidation"
    lost = before - bench.account.balances["USDT"]
    assert D(0) < lost <= position.margin
    if profile is not BOOK:
        assert lost == position.margin
    identity(bench)


def liquidations(bench: Bench, price: Decimal, side: Side) -> list[ev.Liquidated]:
    """Mark and exit side at a price."""
    bid, ask = (price, price + 1) if side is BUY else (price - 1, price)
    return bodies(bench.quote(str(bid), str(ask)) + bench.mark(str(price)), ev.Liquidated)


def identity(bench: Bench) -> None:
    account = bench.account
    lots = [*bench.state.closed.values(), *bench.state.positions.values()]
    assert account.balances["USDT"] == account.deposited["USDT"] + sum(p.net for p in lots)
    assert account.margins["USDT"] == sum(p.margin for p in bench.state.positions.values())


@pytest.mark.parametrize(
    ("bids", "insured"),
    [
        ((("59000", "0.05"), ("58000", "0.2")), True),
        ((("59550", "0.05"), ("59500", "0.2")), False),
        ((("59550", "0.05"),), False),
    ],
)
def test_a_book_walk_through_the_margin_is_paid_by_insurance_to_the_last_digit(
    bids: tuple[tuple[str, str], ...], insured: bool
) -> None:
    """Good fills spend the margin before insurance pays for bad ones."""
    bench = opened(BOOK, balance="2000")
    position = bench.open(BUY, "0.1", leverage=100)
    before = bench.account.balances["USDT"]
    bench.depth(bids, (("59900", "1"),))
    bench.quote(bids[0][0], "59900", bids[0][1], "1")
    fills = bodies(bench.mark("59000"), ev.OrderFilled)
    lost = sum(f.fee - f.realised for f in fills)
    insurance = sum(f.insurance for f in fills)
    assert insurance == max(D(0), lost - position.margin)
    assert (insurance > 0) is insured
    assert before - bench.account.balances["USDT"] == lost - insurance <= position.margin
    assert not bench.state.positions
    identity(bench)


def test_a_5_percent_rule_position_is_judged_at_the_side_it_could_exit_at() -> None:
    """L13 through the market: LP = EP * (1 - 0.95 / L)."""
    bench = opened(FRACTION)
    order = bench.limit(BUY, "1", "50000", leverage=10)
    bench.report(order.id, "v1", "50000", "1")
    assert bench.position.liquidation == D(45250)
    bench.mark("40000")
    assert bench.size == 1
    bench.quote("45250.1", "45300")
    assert bench.size == 1
    assert bodies(bench.quote("45250", "45300"), ev.Liquidated)


def test_a_liquidation_takes_an_order_on_its_way_along() -> None:
    bench = opened(balance="2000")
    position = bench.open(BUY, "0.1", leverage=100)
    bench.ask(cmd.ClosePosition, position=position.id)
    bench.mark("50000")
    events = bench.wait()
    assert not bodies(events, ev.OrderFilled)
    assert not alarms(events)
    assert not bench.state.orders


def test_new_tiers_move_the_liquidation_price_of_what_is_open() -> None:
    bench = opened()
    before = bench.open(BUY, "0.1", leverage=10).liquidation
    harsher = tiers_from([(D(0), None, D("0.02"), 125)])
    bench.instruments = (instrument(tiers=harsher),)
    bench.restart()
    after = bench.position.liquidation
    assert before is not None
    assert after is not None
    assert after > before
    bench.quote("60000", "60000.1")
    assert bodies(bench.mark(str(after.quantize(D("0.1")) - 1)), ev.Liquidated)


def test_two_accounts_are_liquidated_each_at_its_own_price() -> None:
    bench = opened(balance="2000")
    bench.start("other", "2000")
    bench.start("main")
    bench.market("60000")
    bench.place(BUY, "0.1", leverage=100)
    bench.place(BUY, "0.1", leverage=50, account="other")
    bench.wait()
    assert len(bodies(bench.mark("59500"), ev.Liquidated)) == 1
    (left,) = bench.state.positions.values()
    assert left.account == "other"


def test_the_tiers_of_the_cases_are_those_of_semantics() -> None:
    assert [t.cum for t in TIERS[:4]] == [0, 50, 1300, 16300]
