"""Reduce-only, brackets and alternatives through the desk, semantics 5."""
# ruff: noqa: N802 - tests are named for the numbered cases

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.model import command as cmd
from engine.model import event as ev
from engine.model.instrument import ReduceOnlyPolicy, VenueProfile
from engine.model.order import OrderStatus, OrderType, TriggerSource
from tests.kit import BUY, LATENCY, SELL, Bench, alarms, bodies, instrument, refusal

D = Decimal
STOP, TARGET = OrderType.STOP, OrderType.TAKE_PROFIT


@pytest.fixture
def bench() -> Bench:
    bench = Bench(balance="1000000")
    bench.market("60000")
    return bench


def entry(bench: Bench, size: str = "10", filled: str = "") -> None:
    """A bracketed limit buy at the bid, filled so far by a trade through it."""
    bench.limit(BUY, size, "60000", take_profit="61000", stop_loss="59000", leverage=10)
    if filled:
        bench.trade("59999.9", filled, SELL)


def protected(bench: Bench) -> tuple[list[Decimal], list[Decimal]]:
    """Sizes of the live stops and of the live targets."""
    return bench.sizes(STOP), bench.sizes(TARGET)


def test_B1_the_bracket_follows_each_fill_of_its_entry(bench: Bench) -> None:
    entry(bench, filled="4")
    assert protected(bench) == ([D(4)], [D(4)])
    bench.trade("59999.9", "6", SELL)
    assert protected(bench) == ([D(10)], [D(10)])


def test_B2_a_fill_of_one_leg_reduces_the_other(bench: Bench) -> None:
    entry(bench, filled="10")
    bench.quote("61000", "61000.1", bid_size="1")
    bench.depth((("61000", "1"),), (("61000.1", "50"),))
    bench.mark("61000")
    bench.wait()
    assert bench.size == 9
    assert protected(bench) == ([D(9)], [D(9)])


def test_B3_a_cancelled_entry_leaves_the_exits_of_its_filled_part(bench: Bench) -> None:
    entry(bench, filled="4")
    bench.ask(cmd.CancelOrder, order="O1")
    bench.wait()
    assert bench.state.ended["O1"].status is OrderStatus.CANCELLED
    assert protected(bench) == ([D(4)], [D(4)])


def test_B4_a_reduce_only_order_is_clipped_to_the_position(bench: Bench) -> None:
    bench.open(BUY, "1", leverage=10)
    bench.place(SELL, "1.5", reduce_only=True)
    assert bench.last_order.size == 1
    bench.wait()
    assert not bench.state.positions


def test_B4_the_profile_may_refuse_it_instead() -> None:
    bench = Bench(instrument(profile=VenueProfile(reduce_only=ReduceOnlyPolicy.REJECT)), balance="100000")
    bench.market("60000")
    bench.open(BUY, "1", leverage=10)
    code, message = refusal(bench.place(SELL, "1.5", reduce_only=True))
    assert code == "REDUCE_ONLY"
    assert "larger than the position of 1" in message


def resting_exits(bench: Bench) -> None:
    bench.open(BUY, "1", leverage=10)
    bench.limit(SELL, "0.6", "61000", reduce_only=True)
    bench.limit(SELL, "0.6", "62000", reduce_only=True)


def test_B5_resting_exits_share_the_position_the_farthest_gives_way(bench: Bench) -> None:
    resting_exits(bench)
    assert [(o.price, o.remaining) for o in bench.live()] == [(D(61000), D("0.6")), (D(62000), D("0.4"))]


@pytest.mark.parametrize("reduce_only", [True, False])
def test_B6_a_smaller_position_takes_the_farthest_exit_away(bench: Bench, reduce_only: bool) -> None:
    resting_exits(bench)
    bench.place(SELL, "0.7", reduce_only=reduce_only)
    bench.wait()
    assert bench.size == D("0.3")
    assert [(o.price, o.remaining) for o in bench.live()] == [(D(61000), D("0.3"))]


def test_B7_the_stop_keeps_what_a_first_target_left(bench: Bench) -> None:
    bench.open(BUY, "0.17", stop_loss="59000", leverage=10)
    bench.limit(SELL, "0.09", "61000", reduce_only=True)
    assert bench.sizes(STOP) == [D("0.17")]
    bench.trade("61000.1", "0.09")
    bench.trade("61000.1", "0.09")
    assert bench.size == D("0.08")
    assert bench.sizes(STOP) == [D("0.08")]


def test_B8_net_a_buy_against_a_short_reduces_it(bench: Bench) -> None:
    bench.open(SELL, "1", leverage=10)
    bench.open(BUY, "0.5")
    assert bench.size == D("-0.5")
    assert len(bench.state.positions) == 1


# --- Exits stay with what they protect ------------------------------------------------------------


@pytest.mark.parametrize("side", [BUY, SELL])
def test_no_exit_outlives_its_position(bench: Bench, side: object) -> None:
    up = side is BUY
    levels = {"take_profit": "61000" if up else "59000", "stop_loss": "59000" if up else "61000"}
    bench.open(BUY if up else SELL, "1", leverage=10, **levels)
    bench.place(SELL if up else BUY, "1", OrderType.TRAILING_STOP, trail_bps="50", reduce_only=True)
    bench.limit(SELL if up else BUY, "1", "61500" if up else "58500", reduce_only=True)
    bench.ask(cmd.ClosePosition, position=bench.position.id)
    bench.wait()
    assert not bench.state.positions
    assert not bench.state.orders


def test_a_flip_takes_the_exits_of_the_old_side_and_brings_its_own(bench: Bench) -> None:
    bench.open(BUY, "1", stop_loss="59000", leverage=10)
    bench.open(SELL, "1.5", stop_loss="60500")
    assert bench.size == D("-0.5")
    (stop,) = bench.live()
    assert (stop.terms.side, stop.remaining) == (BUY, D("0.5"))


def test_a_position_on_two_brackets_is_covered_once(bench: Bench) -> None:
    bench.open(BUY, "1", stop_loss="59000", leverage=10)
    bench.open(BUY, "2", stop_loss="59500")
    bench.ask(cmd.ClosePosition, position=bench.position.id, fraction=D("0.5"))
    bench.wait()
    assert [(o.trigger, o.remaining) for o in bench.live(STOP)] == [(D(59500), D("1.5"))]


def test_a_target_by_hand_never_takes_a_lot_from_its_stop(bench: Bench) -> None:
    bench.open(BUY, "1", stop_loss="59000", leverage=10)
    bench.limit(SELL, "0.8", "60100", reduce_only=True)
    bench.place(SELL, "1", OrderType.TRAILING_STOP, trigger="65000", trail_bps="50", reduce_only=True)
    bench.place(SELL, "1", STOP, trigger="59900", reduce_only=True)
    bench.ask(cmd.ClosePosition, position=bench.position.id, fraction=D("0.1"))
    bench.wait()
    assert [o.remaining for o in bench.live(STOP) if o.terms.group] == [D("0.9")]
    assert bench.sizes(OrderType.TRAILING_STOP) == [D("0.9")]


def test_replaced_protection_covers_the_position_whole(bench: Bench) -> None:
    position = bench.open(BUY, "1", stop_loss="59000", take_profit="61000", leverage=10)
    bench.ask(cmd.SetProtection, position=position.id, stop_loss=D(59500), take_profit=D(62000))
    assert [(o.trigger, o.remaining) for o in bench.live()] == [(D(59500), D(1)), (D(62000), D(1))]
    bench.ask(cmd.SetProtection, position=position.id)
    assert not bench.live()


def test_protection_set_on_a_position_grows_with_it(bench: Bench) -> None:
    position = bench.open(BUY, "1", leverage=10)
    bench.ask(cmd.SetProtection, position=position.id, stop_loss=D(59500), trail_bps=D(200))
    bench.open(BUY, "0.5")
    assert bench.sizes(STOP) == [D("1.5")]
    assert bench.sizes(OrderType.TRAILING_STOP) == [D("1.5")]


def test_an_entry_with_its_own_stop_keeps_it_beside_the_position_s(bench: Bench) -> None:
    position = bench.open(BUY, "1", leverage=10)
    bench.ask(cmd.SetProtection, position=position.id, stop_loss=D(59900), trail_bps=D(10))
    bench.open(BUY, "3", stop_loss="59500")
    assert [(o.trigger, o.remaining) for o in bench.live(STOP)] == [(D(59900), D(1)), (D(59500), D(3))]
    assert bench.sizes(OrderType.TRAILING_STOP) == [D(1)]
    bench.mark("59900")
    bench.wait()
    assert bench.size == 3
    assert [(o.trigger, o.remaining) for o in bench.live()] == [(D(59500), D(3))]


def test_a_target_takes_away_the_stop_of_its_own_bracket_not_another_s(bench: Bench) -> None:
    bench.open(BUY, "1", stop_loss="59500", take_profit="60500", leverage=10)
    bench.open(BUY, "2", stop_loss="59000", take_profit="62000")
    bench.mark("60500")
    bench.wait()
    assert [(o.trigger, o.remaining) for o in bench.live()] == [(D(59000), D(2)), (D(62000), D(2))]


def test_protection_on_the_wrong_side_keeps_what_there_was(bench: Bench) -> None:
    position = bench.open(BUY, "1", stop_loss="59000", leverage=10)
    for fields, code in (
        ({"stop_loss": D(60500)}, "STOP_LOSS"),
        ({"take_profit": D(59000)}, "TAKE_PROFIT"),
        ({"stop_loss": D(50000)}, "STOP_LOSS"),
        ({"stop_loss": D(-1)}, "PRICE"),
        ({"trail_bps": D(20000)}, "TRAIL"),
    ):
        assert refusal(bench.ask(cmd.SetProtection, position=position.id, **fields))[0] == code
    assert [o.trigger for o in bench.live()] == [D(59000)]


def test_a_stop_that_met_an_exhausted_book_stands_again_for_the_rest(bench: Bench) -> None:
    bench.open(BUY, "1", stop_loss="59000", take_profit="61000", leverage=10)
    bench.depth((("58990", "0.3"),), (("59100", "1"),))
    bench.quote("58990", "59100", "0.3", "1")
    bench.mark("59000")
    bench.wait()
    assert bench.size == D("0.7")
    assert protected(bench) == ([D("0.7")], [D("0.7")])
    bench.depth((("58950", "5"),), (("59100", "1"),))
    bench.quote("58950", "59100", "5", "1")
    bench.mark("58960")
    bench.wait()
    assert not bench.state.positions
    assert not bench.state.orders


def test_an_entry_that_fills_behind_its_fired_stop_is_covered_too(bench: Bench) -> None:
    entry(bench, filled="4")
    bench.mark("59000")
    bench.trade("59999.9", "6", SELL)
    assert bench.size == 10
    assert sum(bench.sizes(STOP)) == 10
    bench.wait()
    assert bench.size == 6
    assert bench.sizes(STOP) == [D(6)]


# --- Races ----------------------------------------------------------------------------------------


def test_both_legs_fire_before_either_fills_the_second_finds_nothing(bench: Bench) -> None:
    bench.open(BUY, "1", stop_loss="59000", take_profit="61000", leverage=10)
    bench.mark("61000")
    bench.mark("59000")
    assert [o.status for o in bench.live()] == [OrderStatus.SENT, OrderStatus.SENT]
    events = bench.wait()
    assert sum(f.size for f in bodies(events, ev.OrderFilled)) == 1
    assert not alarms(events)
    assert not bench.state.positions
    assert not bench.state.orders


def test_a_venue_that_fills_both_legs_is_believed_and_raises_an_alarm(bench: Bench) -> None:
    bench.open(BUY, "1", stop_loss="59000", take_profit="61000", leverage=10)
    bench.mark("61000")
    bench.mark("59000")
    stop, target = bench.live()
    bench.report(target.id, "v1", "61000", "1")
    events = bench.report(stop.id, "v2", "59000", "1")
    assert alarms(events) == ["LATE_FILL", "REDUCE_ONLY_OPENED"]
    assert bench.size == -1


def test_closing_twice_at_once_closes_once(bench: Bench) -> None:
    position = bench.open(BUY, "1", stop_loss="59000", leverage=10)
    for _ in range(3):
        bench.ask(cmd.ClosePosition, position=position.id)
    events = bench.wait()
    assert sum(f.size for f in bodies(events, ev.OrderFilled)) == 1
    assert not bench.state.positions
    assert not bench.state.orders


def test_a_close_beside_a_firing_stop_closes_once(bench: Bench) -> None:
    position = bench.open(BUY, "1", stop_loss="59000", leverage=10)
    bench.mark("59000")
    bench.ask(cmd.ClosePosition, position=position.id, fraction=D("0.5"))
    bench.wait()
    assert not bench.state.positions
    assert not bench.state.orders


def test_a_cancel_that_races_a_fill_loses_or_wins_but_never_both(bench: Bench) -> None:
    order = bench.limit(BUY, "1", "60000", stop_loss="59000", leverage=10)
    bench.ask(cmd.CancelOrder, order=order.id)
    assert order.cancel_requested
    bench.trade("59999.9", "0.4", SELL)
    bench.wait()
    assert order.status is OrderStatus.CANCELLED
    assert bench.size == D("0.4")
    assert bench.sizes(STOP) == [D("0.4")]
    assert bench.account.reserves["USDT"] == 0


def test_flatten_leaves_nothing_behind(bench: Bench) -> None:
    bench.open(BUY, "1", stop_loss="59000", take_profit="61000", leverage=10)
    bench.limit(SELL, "0.5", "61500", reduce_only=True)
    bench.limit(BUY, "0.5", "58000")
    bench.ask(cmd.FlattenAll)
    bench.ask(cmd.FlattenAll)
    bench.wait()
    assert not bench.state.positions
    assert not bench.state.orders


def test_an_exit_below_the_minimum_notional_still_closes_dust(bench: Bench) -> None:
    bench.open(BUY, "0.001", leverage=10)
    bench.ask(cmd.ClosePosition, position=bench.position.id)
    bench.wait()
    assert not bench.state.positions
    bench.open(BUY, "0.001")
    code, _ = refusal(bench.ask(cmd.ClosePosition, position=bench.position.id, fraction=D("0.5")))
    assert code == "BELOW_STEP"


def test_a_stop_of_one_account_leaves_the_other_alone() -> None:
    bench = Bench(balance="100000")
    bench.start("other", "100000")
    bench.start("main")
    bench.market("60000")
    bench.place(BUY, "0.1", stop_loss="59000", leverage=10)
    bench.place(BUY, "0.2", stop_loss="58000", leverage=10, account="other")
    bench.wait()
    bench.mark("59000")
    bench.wait(LATENCY)
    (position,) = bench.state.positions.values()
    assert (position.account, position.size) == ("other", D("0.2"))
    (stop,) = bench.live()
    assert (stop.terms.account, stop.remaining, stop.status) == ("other", D("0.2"), OrderStatus.HELD)


def test_a_bracket_watches_the_source_it_was_given(bench: Bench) -> None:
    bench.open(BUY, "1", stop_loss="59000", bracket_source=TriggerSource.BID_ASK, leverage=10)
    assert [o.terms.source for o in bench.live()] == [TriggerSource.BID_ASK]


def test_a_trailing_stop_that_activates_shares_the_position_with_the_stops_there_are(bench: Bench) -> None:
    bench.market("60000")
    bench.open(BUY, "0.5")
    bench.ask(cmd.SetProtection, position=bench.position.id, trail_bps=D(50), source=TriggerSource.LAST)
    bench.open(BUY, "0.5", stop_loss="59000")
    bench.ask(cmd.ClosePosition, position=bench.position.id, fraction=D("0.25"))
    bench.wait()
    bench.trade("60000")
    (trail,) = bench.live(OrderType.TRAILING_STOP)
    assert trail.trigger is not None
    assert sum(bench.sizes(OrderType.TRAILING_STOP) + bench.sizes(OrderType.STOP)) == bench.size == D("0.75")
