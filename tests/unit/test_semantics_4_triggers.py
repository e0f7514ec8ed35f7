"""Stops, targets and trailing stops through the desk, semantics 4.

Longer than most files: one numbered case after the other.
"""
# ruff: noqa: N802 - tests are named for the numbered cases

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.bars import exit_in_bar
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.instrument import MarkSource, VenueProfile
from engine.model.market import Side, StreamState
from engine.model.order import OrderStatus, OrderType, Role, TriggerSource
from tests.kit import BUY, LATENCY, SELL, Bench, alarms, bodies, instrument, refusal

D = Decimal
BID_ASK, LAST, MARK, INDEX = TriggerSource.BID_ASK, TriggerSource.LAST, TriggerSource.MARK, TriggerSource.INDEX


@pytest.fixture
def bench() -> Bench:
    bench = Bench(balance="100000")
    bench.market("60000")
    return bench


def fired(events: list[ev.Event]) -> list[str]:
    return [body.order for body in bodies(events, ev.TriggerFired)]


# --- Stops and targets ----------------------------------------------------------------------------


def test_S1_a_stop_on_the_bid_fires_when_the_bid_reaches_it(bench: Bench) -> None:
    bench.open(BUY, "0.5", stop_loss="59100", bracket_source=BID_ASK, leverage=5)
    assert not fired(bench.quote("59100.5", "59100.6"))
    assert len(fired(bench.quote("59100.0", "59100.1"))) == 1


def test_S2_a_stop_on_the_mark_ignores_the_last_price(bench: Bench) -> None:
    bench.open(BUY, "0.5", stop_loss="59100", leverage=5)
    bench.mark("59200")
    assert not fired(bench.trade("59000"))
    assert not fired(bench.quote("59000", "59000.1"))
    assert fired(bench.mark("59100"))


def test_S3_a_stop_fills_at_the_book_beyond_its_level(bench: Bench) -> None:
    bench.open(BUY, "0.5", stop_loss="59100", bracket_source=BID_ASK, leverage=5)
    bench.depth((("58950", "0.3"), ("58900", "1")), (("59200", "1"),))
    bench.quote("58950", "59200", "0.3", "1")
    fills = bodies(bench.wait(), ev.OrderFilled)
    assert [(f.size, f.price) for f in fills] == [(D("0.3"), D(58950)), (D("0.2"), D(58900))]
    assert sum(f.size * f.price for f in fills) / D("0.5") == 58930
    assert not bench.state.positions


def test_S4_with_both_levels_inside_a_bar_the_stop_comes_first() -> None:
    assert exit_in_bar(BUY, D(100), D(105), D(98), D(100), D(106), D(97), D(104)) == (Role.STOP_LOSS, D(98))
    assert exit_in_bar(SELL, D(100), D(95), D(102), D(100), D(103), D(94), D(96)) == (Role.STOP_LOSS, D(102))


def test_S5_a_bar_that_opens_beyond_the_stop_exits_at_its_open() -> None:
    assert exit_in_bar(BUY, D(100), D(105), D(98), D(96), D(99), D(95), D(97)) == (Role.STOP_LOSS, D(96))
    assert exit_in_bar(SELL, D(100), None, D(102), D(104), D(104), D(99), D(100)) == (Role.STOP_LOSS, D(104))


def test_a_bar_meets_its_target_or_nothing() -> None:
    assert exit_in_bar(BUY, D(100), D(105), D(98), D(100), D(105), D(99), D(104)) == (Role.TAKE_PROFIT, D(105))
    assert exit_in_bar(BUY, D(100), D(105), D(98), D(107), D(108), D(99), D(104)) == (Role.TAKE_PROFIT, D(107))
    assert exit_in_bar(SELL, D(100), D(95), None, D(100), D(101), D(95), D(96)) == (Role.TAKE_PROFIT, D(95))
    assert exit_in_bar(BUY, D(100), D(105), D(98), D(100), D(104), D(99), D(104)) is None
    assert exit_in_bar(BUY, D(100), None, None, D(100), D(200), D(1), D(104)) is None


def test_a_bar_or_target_that_cannot_be_is_an_error() -> None:
    with pytest.raises(ValueError, match="enclose open and close"):
        exit_in_bar(BUY, D(100), None, D(98), D(100), D(99), D(97), D(98))
    with pytest.raises(ValueError, match="loss side"):
        exit_in_bar(BUY, D(100), D(99), D(98), D(100), D(106), D(97), D(104))


@pytest.mark.parametrize(
    ("side", "stop", "target", "below", "met"),
    [
        (BUY, "59100", None, "59100.1", "59100.0"),
        (BUY, None, "61000", "60999.9", "61000.0"),
        (SELL, "60900", None, "60899.9", "60900.0"),
        (SELL, None, "59000", "59000.1", "59000.0"),
    ],
)
def test_a_level_is_inclusive(
    bench: Bench, side: Side, stop: str | None, target: str | None, below: str, met: str
) -> None:
    bench.open(side, "0.1", stop_loss=stop, take_profit=target, leverage=5)
    assert not fired(bench.mark(below))
    assert fired(bench.mark(met))


def test_a_short_on_bid_ask_is_judged_by_the_ask(bench: Bench) -> None:
    bench.open(SELL, "0.1", stop_loss="60900", take_profit="59000", bracket_source=BID_ASK, leverage=5)
    assert not fired(bench.quote("60899.8", "60899.9"))
    assert not fired(bench.quote("58999.9", "59000.1"))
    assert fired(bench.quote("58999.8", "59000.0"))


def test_the_index_is_a_source_of_its_own(bench: Bench) -> None:
    bench.mark("60000", index="60001")
    bench.open(BUY, "0.1", stop_loss="59100", bracket_source=INDEX, leverage=5)
    assert not fired(bench.mark("59000", index="59200"))
    assert fired(bench.mark("59000", index="59100"))


def test_the_mid_stands_for_a_mark_that_the_venue_does_not_stream() -> None:
    for source in (MarkSource.MID, MarkSource.EXIT_SIDE):
        bench = Bench(instrument(profile=VenueProfile(mark_source=source)))
        bench.quote("60000", "60000.2")
        bench.open(BUY, "0.1", stop_loss="59100", leverage=5)
        assert not fired(bench.quote("59100.0", "59100.2"))
        assert fired(bench.quote("59099.9", "59100.1"))


def test_what_fires_on_one_price_fires_in_order_of_priority(bench: Bench) -> None:
    """Liquidation, stop loss, trailing stop, take profit; then entries."""
    bench.open(BUY, "0.2", leverage=5)
    common = {"reduce_only": True, "source": LAST}
    bench.trade("60000")
    bench.place(SELL, "0.02", OrderType.STOP, trigger="59000", source=LAST)
    bench.place(SELL, "0.1", OrderType.TAKE_PROFIT, trigger="60500", **common)
    bench.place(SELL, "0.1", OrderType.TRAILING_STOP, trail_offset="100", **common)
    bench.place(SELL, "0.1", OrderType.STOP, trigger="59500", **common)
    entry, target, trail, stop = (f"O{n}" for n in range(2, 6))
    bench.trade("60400")
    assert fired(bench.trade("59000")) == [stop, trail, entry]
    assert target in bench.state.orders


def test_liquidation_comes_before_every_stop_on_the_same_price(bench: Bench) -> None:
    bench.open(BUY, "0.1", stop_loss="59900", take_profit="60500", leverage=50)
    events = bench.mark("58000")
    assert len(bodies(events, ev.Liquidated)) == 1
    assert not fired(events)
    assert not bench.state.positions
    assert not bench.state.orders


@pytest.mark.parametrize("source", [LAST, MARK, INDEX, BID_ASK])
@pytest.mark.parametrize("side", [BUY, SELL])
def test_of_two_alternatives_met_by_one_price_only_the_stop_leaves(
    bench: Bench, side: Side, source: TriggerSource
) -> None:
    def print_at(price: str) -> list[ev.Event]:
        return bench.quote(price, price) + bench.trade(price) + bench.mark(price, index=price)

    print_at("60000")
    bench.open(side, "0.1", leverage=5)
    away = 500 * side.sign
    bench.ask(cmd.SetProtection, position=bench.position.id, stop_loss=D(60_000 - away), trail_bps=D(50), source=source)
    print_at(str(60_000 + side.sign))
    (trail,) = bench.live(OrderType.TRAILING_STOP)
    (stop,) = bench.live(OrderType.STOP)
    events = print_at(str(60_000 - away - 100 * side.sign))
    assert fired(events) == [stop.id]
    assert [body.order for body in bodies(events, ev.OrderCancelled)] == [trail.id]
    bench.wait()
    assert not bench.state.positions
    assert not bench.state.orders


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"stop_loss": "60000.5"}, "STOP_LOSS", "stop loss: 60000.5 would trigger at once"),
        ({"take_profit": "59999"}, "TAKE_PROFIT", "take profit: 59999 would trigger at once"),
        ({"stop_loss": "58000", "leverage": 50}, "STOP_LOSS", "behind liquidation at 590"),
        ({"take_profit": "-5"}, "PRICE", "take profit: -5 is not above 0"),
    ],
)
def test_a_bracket_on_the_wrong_side_is_refused(bench: Bench, fields: dict[str, str], code: str, words: str) -> None:
    events = bench.place(BUY, "0.1", **fields)
    found, message = refusal(events)
    assert found == code
    assert words in message
    assert not bench.state.orders


def test_a_stop_on_the_bid_is_checked_against_the_bid(bench: Bench) -> None:
    """Between bid and ask it would fire on the next quote."""
    bench.quote("60000", "60010")
    code, _ = refusal(bench.place(BUY, "0.1", stop_loss="60005", bracket_source=BID_ASK))
    assert code == "STOP_LOSS"
    bench.place(BUY, "0.1", take_profit="60005", bracket_source=BID_ASK)
    assert bench.last_order.status is OrderStatus.SENT


def test_a_stop_by_hand_behind_liquidation_is_refused(bench: Bench) -> None:
    bench.open(BUY, "0.1", leverage=50)
    code, message = refusal(bench.place(SELL, "0.1", OrderType.STOP, trigger="58000", reduce_only=True))
    assert code == "STOP_LOSS"
    assert "trigger: 58000 lies behind liquidation" in message


@pytest.mark.parametrize(
    ("side", "kind", "trigger", "remedy"),
    [
        (BUY, OrderType.STOP, "59000", "above"),
        (SELL, OrderType.STOP, "61000", "below"),
        (BUY, OrderType.TAKE_PROFIT, "61000", "below"),
        (SELL, OrderType.TAKE_PROFIT, "60000", "above"),
    ],
)
def test_an_entry_trigger_already_met_is_refused(
    bench: Bench, side: Side, kind: OrderType, trigger: str, remedy: str
) -> None:
    code, message = refusal(bench.place(side, "0.1", kind, trigger=trigger))
    assert code == "TRIGGER"
    assert f"choose a level {remedy} it" in message


def test_a_trigger_without_a_price_to_compare_with_is_refused(bench: Bench) -> None:
    """It would wait for a stream that does not come."""
    for fields in (
        {"trigger": "61000", "source": INDEX, "type": OrderType.STOP},
        {"stop_loss": "59000", "bracket_source": INDEX},
    ):
        code, message = refusal(bench.place(BUY, "0.1", **fields))
        assert code == "NO_PRICE"
        assert "no index price" in message


def test_stale_data_never_fires(bench: Bench) -> None:
    """Time alone, a dead stream, a reconnect: nothing fires until a new price says so; the person is told."""
    bench.open(BUY, "0.1", stop_loss="59100", bracket_source=BID_ASK, leverage=5)
    events = bench.feed("quotes", StreamState.SILENT)
    assert alarms(events) == ["EXITS_BLIND"]
    events = bench.wait(3_600 * 10**9) + bench.feed("quotes", StreamState.LIVE)
    assert not fired(events)
    assert fired(bench.quote("59000", "59000.1"))


def test_a_feed_that_dies_with_nothing_armed_is_no_alarm(bench: Bench) -> None:
    assert not alarms(bench.feed("quotes", StreamState.DOWN))


def test_the_kill_switch_stops_a_held_entry_that_triggers(bench: Bench) -> None:
    bench.place(BUY, "0.1", OrderType.STOP, trigger="60500")
    order = bench.last_order
    bench.ask(cmd.SetKill, on=True)
    events = bench.mark("60500")
    assert not fired(events)
    assert order.status is OrderStatus.CANCELLED
    assert "kill switch" in order.reason
    assert bench.account.reserves["USDT"] == 0


def test_a_halted_engine_stops_a_held_entry_that_triggers(bench: Bench) -> None:
    bench.place(BUY, "0.1", OrderType.STOP, trigger="60500")
    bench.halt("the disk is full")
    bench.mark("60500")
    assert bench.last_order.status is OrderStatus.CANCELLED


def test_the_kill_switch_never_stops_an_exit(bench: Bench) -> None:
    bench.open(BUY, "0.1", stop_loss="59100", leverage=5)
    bench.ask(cmd.SetKill, on=True)
    bench.halt("the disk is full")
    bench.feed("depth", StreamState.DOWN)
    assert fired(bench.mark("59000"))
    bench.wait()
    assert not bench.state.positions


def test_a_stop_limit_waits_at_its_price(bench: Bench) -> None:
    bench.place(BUY, "0.1", OrderType.STOP_LIMIT, trigger="60500", price="60400")
    order = bench.last_order
    bench.quote("60499.9", "60500.0")
    assert fired(bench.mark("60500"))
    bench.wait()
    assert order.status is OrderStatus.ACCEPTED
    bench.trade("60399", aggressor=SELL)
    assert order.status is OrderStatus.FILLED
    assert order.average == D(60400)


# --- Trailing stops -------------------------------------------------------------------------------


def trail(bench: Bench, side: Side, prices: list[str], **fields: str) -> tuple[list[str], list[Decimal]]:
    """Prints of the last price after the order was placed; which of them fired it, and the levels it stood at."""
    bench.place(side, "0.01", OrderType.TRAILING_STOP, source=LAST, **fields)
    assert bench.last_order.status is OrderStatus.HELD
    firings, levels = [], []
    for price in prices:
        events = bench.trade(price)
        levels += [body.trigger for body in bodies(events, ev.TriggerMoved)]
        if fired(events):
            firings.append(price)
    return firings, levels


@pytest.fixture
def small() -> Bench:
    bench = Bench(instrument(min_notional=D("0.1")))
    bench.quote("100.9", "101.1")
    return bench


def test_S6_a_trailing_stop_starts_at_its_activation_and_only_tightens(small: Bench) -> None:
    small.trade("100")
    fires, levels = trail(
        small, SELL, ["101", "103", "105", "104.1", "106.5", "104.6", "104.5"], trail_offset="2", trigger="103"
    )
    assert levels == [D(101), D(103), D("104.5")]
    assert fires == ["104.5"]


@pytest.mark.parametrize(
    ("side", "prices", "fields", "fires"),
    [
        pytest.param(SELL, "40000 41500 39000 37000 41000 36900", ("39000", "1000"), "36900", id="S7"),
        pytest.param(BUY, "40000 37000 44000 46000 42000 44100", ("44000", "500"), "44100", id="S8"),
        pytest.param(BUY, "42000 38000 37000 39000 38000 40145", ("38000", "850"), "40145", id="S9"),
        pytest.param(SELL, "41500 39000 42000 45000 44000 46500 43012.5", ("42000", "750"), "43012.5", id="S10"),
        pytest.param(SELL, "40000 42000 39500 45500 42315", (None, "700"), "42315", id="S11"),
    ],
)
def test_S7_to_S11_the_exchange_s_published_trailing_stops(
    side: Side, prices: str, fields: tuple[str | None, str], fires: str
) -> None:
    first, *rest = prices.split()
    bench = Bench()
    bench.quote(first, str(D(first) + 1))
    bench.trade(first)
    trigger, bps = fields
    found, _ = trail(bench, side, rest if trigger is not None else [first, *rest], trigger=trigger, trail_bps=bps)  # type: ignore[arg-type]
    assert found == [fires]


@pytest.mark.parametrize(
    ("side", "prices", "levels"),
    [(SELL, ["104", "106", "104"], [D(102), D(104)]), (BUY, ["102", "100", "102"], [D(104), D(102)])],
)
def test_an_activation_at_the_price_of_the_moment_is_met(
    small: Bench, side: Side, prices: list[str], levels: list[Decimal]
) -> None:
    small.trade("103")
    assert trail(small, side, prices, trail_offset="2", trigger="103") == ([prices[-1]], levels)


def test_a_trailing_stop_moves_at_most_once_a_tick(small: Bench) -> None:
    small.trade("100")
    fires, levels = trail(small, SELL, ["100", "100", "100.1", "100.1", "100.05", "100.2"], trail_bps="100")
    assert not fires
    assert levels == sorted(set(levels))


@pytest.mark.parametrize(
    "fields", [{"trail_offset": "0.05"}, {"trail_bps": "0.001"}, {"trail_offset": "100000"}, {"trail_bps": "10000"}, {}]
)
def test_a_trailing_distance_that_cannot_work_is_refused(bench: Bench, fields: dict[str, str]) -> None:
    code, _ = refusal(bench.place(SELL, "0.1", OrderType.TRAILING_STOP, **fields))
    assert code == "TRAIL"


def test_an_active_trailing_stop_stands_where_it_stood_after_a_restart(bench: Bench) -> None:
    bench.open(BUY, "0.1", leverage=5)
    bench.ask(cmd.SetProtection, position=bench.position.id, trail_bps=D(100))
    bench.mark("60000")
    bench.mark("61000")
    (order,) = bench.live()
    assert order.trigger == D(60390)
    bench.restart()
    bench.quote("60500", "60500.1")
    assert bench.live()[0].trigger == D(60390)
    assert not fired(bench.mark("60390.1"))
    assert fired(bench.mark("60390"))
    bench.wait(LATENCY)
    assert not bench.state.positions


@pytest.mark.parametrize(("how", "words"), [("down", "a stream of BTCUSDT is not live"), ("old", "is 6 s old")])
def test_a_held_entry_that_triggers_needs_a_market_an_entry_may_meet(bench: Bench, how: str, words: str) -> None:
    """A mark still comes in while the quotes do not; the stop beside it leaves all the same."""
    bench.open(SELL, "0.1", leverage=10)
    bench.place(BUY, "0.1", OrderType.STOP, trigger="60100")
    entry = bench.last_order
    bench.place(BUY, "0.1", OrderType.STOP, trigger="60150", reduce_only=True)
    stop = bench.last_order
    if how == "down":
        bench.feed("depth", StreamState.DOWN)
    else:
        bench.at(bench.now + 6 * 10**9)
    bench.mark("60200")
    assert entry.status is OrderStatus.CANCELLED
    assert entry.reason.startswith("triggered, but ")
    assert words in entry.reason
    assert stop.status is OrderStatus.SENT


def test_a_trail_set_on_a_position_must_be_a_tick_away_like_any_other(bench: Bench) -> None:
    position = bench.open(BUY, "0.1", leverage=10, stop_loss="59000")
    code, message = refusal(bench.ask(cmd.SetProtection, position=position.id, trail_bps=D("0.001")))
    assert code == "TRAIL"
    assert "below one tick of 0.1; widen it" in message
    assert [o.terms.role for o in bench.live()] == [Role.STOP_LOSS]
    bench.market("60000")
    bench.market("59999.9")
    bench.wait()
    assert bench.size == D("0.1")
