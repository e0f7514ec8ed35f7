"""All that a venue has is held against the ledger; in the end the position is what the venue says, with an alarm.

Longer than most files: everything a venue can list, each against the same ledger.
"""

from __future__ import annotations

import msgspec
import pytest

from engine.core.foreign import SETTLE_NS
from engine.core.inputs import Listed, NoSuchOrder
from engine.core.outbox import Cancel, Query, outbox
from engine.core.state import decode_state, encode_state
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.account import Execution
from engine.model.event import Event
from engine.model.market import Side
from engine.model.order import Order, OrderStatus, OrderType, Role
from engine.model.report import VenueFill, VenueOrder, VenuePosition
from tests.kit import (
    BUY,
    SECOND,
    SELL,
    Bench,
    D,
    Replayed,
    alarms,
    bodies,
    fill,
    instrument,
    refusal,
    statement,
)

S = OrderStatus
BTC = instrument()


@pytest.fixture
def bench() -> Bench:
    bench = Bench(balance="100000", execution=Execution.VENUE)
    bench.market("60000")
    return bench


def resting(bench: Bench, size: str = "1", side: Side = BUY, price: str = "59000") -> Order:
    bench.place(side, size, OrderType.LIMIT, price=price)
    order = bench.last_order
    bench.said(order, S.ACCEPTED)
    return order


def opened(bench: Bench, size: str = "1", **fields: str) -> Order:
    bench.place(BUY, size, **fields)
    order = bench.last_order
    bench.said(order, S.FILLED, size, fill(f"{order.id}f", "60000", size))
    return order


def foreign(
    status: OrderStatus, filled: str = "0", *fills: VenueFill, side: Side = BUY, size: str = "1", **more: object
) -> VenueOrder:
    given = {"price": D(59000), **more}
    return VenueOrder("web-77", "v77", BTC.id, side, status, D(size), D(filled), fills=fills, **given)  # type: ignore[arg-type]


def position(size: str, entry: str = "60000", leverage: int = 0) -> VenuePosition:
    return VenuePosition(BTC.id, D(size), D(entry), leverage)


# --- Orders of others --------------------------------------------------------------------------------


def test_a_stranger_s_order_is_found_again_after_a_restart(bench: Bench) -> None:
    bench.hear(foreign(S.PARTIAL, "0.4", fill("w1", "59000", "0.4")))
    bench.restart()
    bench.market("60000")
    made = bench.state.orders_made
    bench.hear(foreign(S.FILLED, "1", fill("w2", "59000", "0.6")))
    bench.restart()
    bench.hear(foreign(S.FILLED, "1", fill("w2", "59000", "0.6")))
    assert (bench.state.orders_made, bench.size) == (made, D(1))


def test_what_others_traded_before_the_account_was_opened_here_is_part_of_what_stood_then(bench: Bench) -> None:
    """The venue holds 0.6 @ 50000; of that, an hour ago, 0.4 more were sold."""
    old = VenueFill("w1", D(60000), D("0.4"), time_ns=SECOND // 2)
    bench.stands(position("0.6", "50000"))
    assert bench.hear(foreign(S.FILLED, "0.4", old, side=SELL, size="0.4")) == []
    bench.wait(2 * SETTLE_NS)
    bench.stands(position("0.6", "50000"))
    assert (bench.size, bench.position.entry, bench.position.realised) == (D("0.6"), D(50000), D(0))
    assert bench.account.balances["USDT"] == D(100000)
    newer = VenueFill("w2", D(60000), D("0.1"), time_ns=bench.now)
    bench.hear(msgspec.structs.replace(foreign(S.FILLED, "0.1", newer, side=SELL, size="0.1"), client_id="web-78"))
    assert bench.size == D("0.5")
    replayed = Replayed()
    replayed.read(bench.events)
    assert replayed.equals(bench.state)


def test_an_order_that_somebody_else_placed_is_adopted_once_and_counted_in(bench: Bench) -> None:
    events = bench.hear(foreign(S.ACCEPTED))
    assert [e.type for e in events] == ["AlarmRaised", "OrderCreated", "OrderSent", "OrderAccepted"]
    assert alarms(events) == ["FOREIGN_ORDER"]
    order = bench.last_order
    assert (order.terms.owner, order.terms.role, order.terms.client_id) == ("venue", Role.EXTERNAL, "web-77")
    assert bench.account.working(BTC.id, BUY) == 1
    assert order.reserve > 0
    bench.hear(foreign(S.PARTIAL, "0.4", fill("w1", "59000", "0.4")))
    bench.hear(foreign(S.FILLED, "1", fill("w2", "59000", "0.6")))
    assert (order.status, bench.size, bench.state.orders_made) == (S.FILLED, D(1), 1)


def test_an_adopted_order_is_never_sent_and_can_be_cancelled_from_here(bench: Bench) -> None:
    bench.hear(foreign(S.ACCEPTED))
    assert list(outbox(bench.state)) == []
    bench.ask(cmd.CancelOrder, order=bench.last_order.id)
    assert list(outbox(bench.state)) == [Cancel(bench.last_order.id)]


def test_a_strangers_order_that_ended_without_a_fill_is_nothing(bench: Bench) -> None:
    assert bench.hear(foreign(S.CANCELLED)) == []


def test_a_strangers_order_without_a_client_id_is_known_by_the_venues(bench: Bench) -> None:
    said = VenueOrder("", "v9", BTC.id, BUY, S.ACCEPTED, D(1), price=D(59000))
    bench.hear(said)
    bench.hear(said)
    assert (bench.last_order.terms.client_id, bench.state.orders_made) == ("v9", 1)


def test_a_liquidation_that_nobody_sent_closes_the_position(bench: Bench) -> None:
    opened(bench, "1", stop_loss="59000")
    events = bench.hear(foreign(S.FILLED, "1", fill("l1", "55000", "1"), side=SELL, liquidation=True, price=None))
    assert alarms(events) == ["LIQUIDATED_AT_VENUE"]
    assert bench.last_order.terms.role is Role.LIQUIDATION
    assert not bench.state.positions
    assert not bench.live()


def test_a_position_closed_by_hand_elsewhere_takes_its_exits_along(bench: Bench) -> None:
    opened(bench, "1", take_profit="65000", stop_loss="55000")
    bench.hear(foreign(S.FILLED, "1", fill("w1", "60100", "1"), side=SELL))
    assert not bench.state.positions
    assert not bench.live()


def test_an_order_in_an_instrument_nobody_knows_is_one_alarm(bench: Bench) -> None:
    said = msgspec.structs.replace(foreign(S.ACCEPTED), instrument="sim.perp:NEWUSDT")
    assert [alarms(bench.hear(said)) for _ in range(2)] == [["FOREIGN_INSTRUMENT"], []]


def test_what_is_said_of_an_order_let_go_of_long_ago_is_not_booked_again(bench: Bench) -> None:
    order = opened(bench, "0.1")
    del bench.state.ended[order.id]
    assert bench.said(order, S.FILLED, "0.1", fill(f"{order.id}f", "60000", "0.1")) == []
    assert bench.size == D("0.1")


def test_a_strangers_order_that_shows_up_while_all_is_flattened_is_cancelled_too(bench: Bench) -> None:
    opened(bench, "0.1")
    bench.ask(cmd.FlattenAll)
    bench.hear(foreign(S.ACCEPTED))
    bench.wait(SECOND)
    assert Cancel(bench.last_order.id) in outbox(bench.state)


# --- The venue's open orders ---------------------------------------------------------------------------


def test_an_order_that_is_not_listed_is_unknown_and_asked_for(bench: Bench) -> None:
    order = resting(bench)
    bench.stands()
    assert order.status is S.UNKNOWN
    assert bench.state.unknown[order.id].first == "it is not among the venue's open orders"
    assert list(outbox(bench.state)) == [Query(order.id)]
    bench.said(order, S.FILLED, "1", fill("f1", "59000", "1"))
    assert (order.status, bench.size) == (S.FILLED, D(1))


def test_a_list_that_was_asked_for_before_the_order_was_accepted_accuses_nobody(bench: Bench) -> None:
    asked = bench.now
    order = resting(bench)
    assert bench.stands(asked_ns=asked) == []
    assert order.status is S.ACCEPTED


def test_an_order_on_its_way_is_not_missed_in_the_list(bench: Bench) -> None:
    bench.place(BUY, "0.1")
    assert bench.stands() == []
    assert bench.last_order.status is S.SENT


def test_a_clock_that_was_set_back_does_not_blind_the_comparison(bench: Bench) -> None:
    order = resting(bench)
    bench.now -= 3_600 * SECOND
    bench.wait(SECOND)
    bench.stands()
    assert order.status is S.UNKNOWN


def test_a_listed_order_is_taken_as_stated(bench: Bench) -> None:
    bench.place(BUY, "0.1", OrderType.LIMIT, price="59000")
    order = bench.last_order
    bench.stands(orders=(statement(order, S.ACCEPTED), foreign(S.ACCEPTED)))
    assert order.status is S.ACCEPTED
    assert bench.last_order.terms.owner == "venue"


def test_a_listed_order_with_fills_nobody_reported_is_asked_for(bench: Bench) -> None:
    order = resting(bench)
    bench.stands(orders=(statement(order, S.PARTIAL, "0.4"),))
    assert order.status is S.UNKNOWN
    assert bench.state.unknown[order.id].first == "the venue says 0.4 of it is filled, 0 was reported"


def test_an_order_amended_elsewhere_is_taken_over(bench: Bench) -> None:
    order = resting(bench)
    events = bench.stands(orders=(statement(order, S.ACCEPTED, price=D(58000), size=D("0.5")),))
    assert alarms(events) == ["AMENDED_ELSEWHERE"]
    assert (order.price, order.size, order.reserve) == (D(58000), D("0.5"), D("29014.5"))


def test_an_order_listed_although_it_ended_here_is_one_alarm(bench: Bench) -> None:
    order = resting(bench)
    bench.said(order, S.CANCELLED)
    told = [bench.stands(orders=(statement(order, S.ACCEPTED),)) for _ in range(2)]
    assert [alarms(events) for events in told] == [["ENDED_HERE"], []]


def test_an_order_taken_as_never_arrived_that_is_listed_all_the_same_is_adopted(bench: Bench) -> None:
    bench.place(BUY, "0.1", OrderType.LIMIT, price="59000")
    order = bench.last_order
    bench.restart()
    bench.handle(NoSuchOrder(bench.now, order.id, "none"))
    bench.stands(orders=(statement(order, S.ACCEPTED),))
    adopted = bench.last_order
    assert (adopted.terms.owner, adopted.status) == ("venue", S.ACCEPTED)
    bench.said(order, S.FILLED, "0.1", fill("f1", "59000", "0.1"))
    assert (adopted.status, bench.size) == (S.FILLED, D("0.1"))


def test_a_strangers_order_attested_away_that_is_listed_all_the_same_is_adopted_anew(bench: Bench) -> None:
    bench.hear(foreign(S.ACCEPTED))
    first = bench.last_order
    bench.stands()
    bench.ask(cmd.AttestOrder, order=first.id, reason="seen on the website")
    bench.stands(orders=(foreign(S.ACCEPTED),))
    second = bench.last_order
    assert (first.status, second.status, second is first) == (S.REJECTED, S.ACCEPTED, False)
    for _ in range(2):
        bench.hear(foreign(S.FILLED, "1", fill("w1", "59000", "1")))
    assert (second.status, first.filled, bench.size) == (S.FILLED, D(0), D(1))


# --- Positions -----------------------------------------------------------------------------------------


def stays(bench: Bench, *positions: VenuePosition, orders: tuple[VenueOrder, ...] = ()) -> list[Event]:
    """The venue states this, and the same when it has lasted."""
    bench.stands(*positions, orders=orders)
    bench.now += SETTLE_NS
    return bench.stands(*positions, orders=orders)


def test_a_position_that_agrees_is_nothing(bench: Bench) -> None:
    opened(bench)
    assert bench.stands(position("1")) == []


def test_a_difference_blocks_entries_with_the_sizes_compared_until_it_is_gone(bench: Bench) -> None:
    opened(bench)
    events = bench.stands(position("0.4"))
    assert [e.type for e in events] == ["PositionDiffers", "AlarmRaised"]
    events = bench.place(BUY, "0.1")
    assert refusal(events)[0] == "POSITION_DIFFERS"
    assert bodies(events, ev.RiskRejected)[0].checks == (("position", D(1), D("0.4")),)
    bench.ask(cmd.ClosePosition, position=bench.position.id)
    assert bench.last_order.status is S.SENT
    bench.said(bench.last_order, S.CANCELLED)
    assert [e.type for e in bench.stands(position("1"))] == ["PositionAgreed"]
    assert not bodies(bench.place(BUY, "0.1"), ev.RiskRejected)


def test_a_difference_that_a_missed_fill_explains_goes_with_it(bench: Bench) -> None:
    order = resting(bench)
    bench.said(order, S.CANCELLED)
    bench.stands(position("1", "59000"))
    bench.said(order, S.FILLED, "1", fill("f1", "59000", "1"))
    assert [e.type for e in bench.stands(position("1", "59000"))] == ["PositionAgreed"]


def test_a_difference_that_stays_is_adopted_with_an_alarm(bench: Bench) -> None:
    opened(bench, "1", stop_loss="55000")
    events = stays(bench, position("0.4"))
    assert alarms(events) == ["POSITION_ADJUSTED"]
    order = bench.last_order
    assert (order.terms.role, order.terms.owner, order.status) == (Role.EXTERNAL, "venue", S.FILLED)
    assert (bench.size, order.average) == (D("0.4"), D(60000))
    assert [o.remaining for o in bench.live()] == [D("0.4")]
    assert bench.state.differs == {}
    assert bench.stands(position("0.4")) == []


def test_a_fill_elsewhere_that_is_told_after_its_position_was_taken_over_is_not_booked_again(bench: Bench) -> None:
    late = VenueFill("w1", D(60000), D("0.4"), time_ns=bench.now)
    stays(bench, position("0.4"))
    assert bench.hear(foreign(S.FILLED, "0.4", late, size="0.4")) == []
    assert bench.size == D("0.4")
    newer = VenueFill("w2", D(60000), D("0.1"), time_ns=bench.now)
    bench.hear(msgspec.structs.replace(foreign(S.FILLED, "0.1", newer, size="0.1"), client_id="web-78"))
    assert bench.size == D("0.5")


def test_a_restart_knows_which_fills_elsewhere_a_position_was_taken_over_with(bench: Bench) -> None:
    late = VenueFill("w1", D(60000), D("0.4"), time_ns=bench.now)
    stays(bench, position("0.4"))
    bench.restart()
    assert bench.hear(foreign(S.FILLED, "0.4", late, size="0.4")) == []
    assert bench.size == D("0.4")


def test_a_position_opened_elsewhere_is_booked_at_the_venues_entry(bench: Bench) -> None:
    stays(bench, position("-2", "61000"))
    assert (bench.size, bench.position.entry) == (D(-2), D(61000))


def test_a_position_enlarged_elsewhere_costs_what_the_venue_says(bench: Bench) -> None:
    opened(bench)
    stays(bench, position("3", "60500"))
    assert (bench.size, bench.position.cost) == (D(3), D(181500))


def test_a_position_turned_elsewhere_is_turned_here(bench: Bench) -> None:
    opened(bench)
    stays(bench, position("-1", "60200"))
    assert (bench.size, bench.position.entry) == (D(-1), D(60200))


def test_a_position_gone_at_the_venue_is_closed_at_the_mark(bench: Bench) -> None:
    opened(bench)
    bench.market("60700")
    stays(bench)
    assert not bench.state.positions
    (closed,) = bench.state.closed.values()
    assert closed.realised == D(700)


def test_a_stale_answer_after_a_fill_takes_no_stop_away(bench: Bench) -> None:
    """What a venue lists of positions lags behind what it fills, and a stop that is let go does not come back."""
    opened(bench, "1", stop_loss="55000")
    for _ in range(3):
        bench.now += SECOND
        bench.stands()
    bench.stands(position("1"))
    assert bench.size == 1
    assert bench.sizes(OrderType.STOP) == [D(1)]
    assert bench.state.differs == {}


def test_another_difference_is_asked_about_anew(bench: Bench) -> None:
    opened(bench)
    bench.stands(position("0.4"))
    events = bench.stands(position("0.3"))
    assert alarms(events) == ["POSITION_DIFFERS"]
    assert bench.size == 1


def test_a_difference_is_not_judged_by_an_answer_asked_for_before_it_was_found(bench: Bench) -> None:
    opened(bench)
    bench.stands(position("0.4"))
    assert bench.stands(position("0.4"), asked_ns=bench.now - SECOND) == []


@pytest.mark.parametrize("moving", ["on its way", "unknown", "filled meanwhile"])
def test_what_moves_is_not_judged(bench: Bench, moving: str) -> None:
    opened(bench, "0.5")
    asked = bench.now
    bench.place(BUY, "0.1", OrderType.LIMIT, price="59000")
    order = bench.last_order
    if moving == "unknown":
        bench.restart()
    elif moving == "filled meanwhile":
        bench.said(order, S.FILLED, "0.1", fill("m", "59000", "0.1"))
    events = bench.stands(position("0.7"), asked_ns=asked if moving == "filled meanwhile" else None)
    assert not bodies(events, ev.PositionDiffers)


def test_leverage_changed_elsewhere_is_taken_over(bench: Bench) -> None:
    opened(bench)
    margin = bench.position.margin
    assert alarms(bench.stands(position("1", leverage=5))) == []
    events = bench.stands(position("1", leverage=10))
    assert alarms(events) == ["LEVERAGE_CHANGED"]
    (changed,) = bodies(events, ev.LeverageChanged)
    assert changed.leverage == bench.account.leverage[BTC.id] == 10
    assert bench.position.margin == margin / 10
    assert bench.stands(position("1", leverage=10)) == []


# --- What a venue decides by itself ----------------------------------------------------------------------


def test_only_the_venue_liquidates(bench: Bench) -> None:
    bench.stands(position("0", leverage=0))
    opened(bench)
    bench.stands(position("1", leverage=20))
    assert bench.position.liquidation is not None
    bench.mark("50000")
    assert bench.size == 1


def test_only_the_venue_settles_funding(bench: Bench) -> None:
    opened(bench)
    assert bench.funding(bench.now, "0.0001", "60000") == []


@pytest.mark.parametrize(
    ("make", "fields"),
    [
        (cmd.SetLeverage, {"instrument": BTC.id, "leverage": 5}),
        (cmd.Deposit, {"asset": "USDT", "amount": D(5)}),
        (cmd.AdjustMargin, {"position": "P1", "amount": D(5)}),
    ],
)
def test_money_and_leverage_are_moved_at_the_venue_and_not_here(
    bench: Bench, make: type, fields: dict[str, object]
) -> None:
    opened(bench, "0.1")
    assert refusal(bench.ask(make, **fields))[0] in ("AT_VENUE", "LIVE")


def test_leverage_for_the_next_entry_is_set_here_and_told_with_it(bench: Bench) -> None:
    bench.ask(cmd.SetLeverage, instrument=BTC.id, leverage=5)
    opened(bench, "0.1")
    assert bench.last_order.terms.leverage == 5
    bench.place(BUY, "0.1", leverage=10)
    assert bench.last_order.terms.leverage == 10


# --- Instruments that change while the engine runs -------------------------------------------------------


def test_a_change_that_did_not_reach_the_disk_is_forgotten_whole(bench: Bench) -> None:
    written = encode_state(bench.state)
    bench.handle(Listed(bench.now, instrument(tick=D("0.5"), halted=True)))
    bench.desk = bench.desk.on(decode_state(written))
    bench.desk.resume()
    assert bench.desk.kernel.market(BTC.id).instrument == bench.state.instruments[BTC.id] == instrument()
    opened(bench)
    assert bench.size == 1


def test_a_new_tick_holds_for_new_orders_and_leaves_what_is_open(bench: Bench) -> None:
    opened(bench, "0.1")
    order = resting(bench, "0.1", price="59000.1")
    events = bench.handle(Listed(bench.now, instrument(tick=D("0.5"))))
    assert [e.type for e in events] == ["InstrumentChanged"]
    assert (bench.size, order.price) == (D("0.1"), D("59000.1"))
    bench.place(BUY, "0.1", OrderType.LIMIT, price="59000.4")
    assert bench.last_order.price == D("59000.0")
    assert bench.handle(Listed(bench.now, instrument(tick=D("0.5")))) == []


def test_a_halted_symbol_takes_no_entry_and_closes_are_tried(bench: Bench) -> None:
    opened(bench, "0.1")
    assert alarms(bench.handle(Listed(bench.now, instrument(halted=True)))) == ["SYMBOL_HALTED"]
    code, message = refusal(bench.place(BUY, "0.1"))
    assert (code, message[:17]) == ("SYMBOL_HALTED", "BTCUSDT is halted")
    bench.ask(cmd.ClosePosition, position=bench.position.id)
    assert bench.last_order.status is S.SENT
    bench.handle(Listed(bench.now, instrument()))
    assert not bodies(bench.place(BUY, "0.1"), ev.RiskRejected)


def test_what_was_reconciled_folds_to_the_same_bytes(bench: Bench) -> None:
    """Invariant 2."""
    opened(bench)
    resting(bench, "0.2")
    stays(bench, position("3", "60500", leverage=7), orders=(foreign(S.ACCEPTED),))
    bench.handle(Listed(bench.now, instrument(halted=True)))
    bench.restart()
    replayed = Replayed()
    replayed.read(bench.events)
    assert encode_state(replayed.state) == encode_state(bench.state)
