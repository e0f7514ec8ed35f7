"""What was decided reaches the venue once, after it is on the disk, and what came of it reaches the ledger (semantics 9, 10).

Longer than most files: one carrier against every answer and silence of a venue.
"""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import msgspec

from engine.ledger.store import Ledger
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.order import OrderStatus, OrderType, TriggerSource
from engine.runtime.recovery import recovery_line
from engine.venues.errors import Ambiguous, NotFound, RateLimited, Refused, Unreachable
from tests.carried import BTC, Carried, D, carried
from tests.kit import BUY, SELL

S = OrderStatus


@carried()
async def test_an_order_leaves_only_when_it_is_durable(desk: Carried) -> None:
    desk.disk.slow_s = 30.0
    order = desk.place(BUY, "0.01", "59000")
    sent = next(event for event in desk.events if isinstance(event.body, ev.OrderSent))
    while not desk.venue.times("submit"):
        assert not desk.venue.calls or desk.keeper.durable_seq < sent.seq
        await asyncio.sleep(0.001)
    assert desk.keeper.durable_seq >= sent.seq
    await asyncio.sleep(60)
    assert desk.status(order) is S.ACCEPTED


@carried()
async def test_an_order_whose_commit_fails_never_leaves(desk: Carried) -> None:
    order = desk.place(BUY, "0.01", "59000")
    desk.disk.full = True
    await asyncio.sleep(5)
    assert desk.state.find_order(order.id) is None
    assert desk.venue.times("submit") == []


@carried()
async def test_what_never_left_is_sent_again_under_the_same_id(desk: Carried) -> None:
    desk.venue.fails("submit", Unreachable("no route"), Unreachable("no route"))
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(10)
    assert len(desk.venue.times("submit", order.terms.client_id)) == 3
    assert desk.status(order) is S.ACCEPTED


@carried()
async def test_an_entry_that_cannot_leave_is_given_up_in_a_minute(desk: Carried) -> None:
    desk.venue.fails("submit", *[Unreachable("no route to told")] * 100)
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(70)
    assert desk.status(order) is S.REJECTED
    (rejected,) = desk.told(ev.OrderRejected)
    assert rejected.code == "UNREACHABLE"
    assert "no route to told" in rejected.reason
    tries = len(desk.venue.times("submit"))
    await asyncio.sleep(600)
    assert len(desk.venue.times("submit")) == tries


async def _long(desk: Carried) -> None:
    entry = desk.place(BUY, "0.01", "60000.1")
    await asyncio.sleep(1)
    await desk.venue.stream.put(desk.venue.fill(entry.terms.client_id, "0.01"))
    await asyncio.sleep(1)
    assert [p.size for p in desk.state.positions.values()] == [D("0.01")]


@carried()
async def test_an_exit_is_never_given_up(desk: Carried) -> None:
    await _long(desk)
    desk.venue.fails("submit", *[Unreachable("no route")] * 300)
    (position,) = desk.state.positions
    desk.ask(cmd.ClosePosition, position=position)
    await asyncio.sleep(900)
    assert len(desk.venue.orders) == 1
    await asyncio.sleep(900)
    assert len(desk.venue.orders) == 2


@carried()
async def test_a_refusal_rejects(desk: Carried) -> None:
    desk.venue.fails("submit", Refused("-2010", "insufficient balance"))
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(5)
    assert desk.status(order) is S.REJECTED
    assert "insufficient balance" in desk.order(order).reason


@carried()
async def test_w5_a_lost_answer_is_asked_for_and_nothing_is_sent_twice(desk: Carried) -> None:
    desk.venue.fails("submit", Ambiguous("no answer"), done=True)
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(0.5)
    assert [body.evidence for body in desk.told(ev.OrderUnknown)] == ["submit: no answer"]
    await asyncio.sleep(5)
    assert desk.status(order) is S.ACCEPTED
    assert len(desk.venue.times("submit")) == 1


@carried()
async def test_w6_silence_never_ends_an_unknown_order(desk: Carried) -> None:
    desk.venue.fails("submit", Ambiguous("no answer"), done=True)
    desk.venue.fails("order", *[Unreachable("no route")] * 1_000)
    desk.venue.fails("standing", *[Unreachable("no route")] * 1_000)
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(600)
    assert desk.status(order) is S.UNKNOWN
    evidence = desk.state.unknown[order.id]
    assert evidence.asked == len(desk.venue.times("order"))
    assert 10 <= evidence.asked <= 25
    assert evidence.last == "no route"
    desk.place(BUY, "0.01", "59000")
    assert "UNKNOWN_OUTCOME" in [body.code for body in desk.told(ev.RiskRejected)]


@carried()
async def test_no_such_order_counts_only_beyond_the_grace_of_the_venue(desk: Carried) -> None:
    desk.venue.fails("submit", Ambiguous("reset by peer"))
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(desk.venue.grace_s - 1)
    assert desk.status(order) is S.UNKNOWN
    assert desk.state.unknown[order.id].last == "-2013: no such order, within its grace"
    await asyncio.sleep(30)
    assert desk.status(order) is S.REJECTED
    assert max(desk.venue.times("order")) - desk.venue.times("submit")[0] > desk.venue.grace_s


@carried()
async def test_an_adapter_that_breaks_may_have_sent(desk: Carried) -> None:
    desk.venue.fails("submit", KeyError("orderId"), done=True)
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(5)
    assert "KeyError" in desk.told(ev.OrderUnknown)[0].evidence
    assert desk.status(order) is S.ACCEPTED


@carried()
async def test_a_venue_that_never_answers_is_not_waited_for_without_end(desk: Carried) -> None:
    desk.venue.hangs("submit")
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(60)
    assert "no answer within" in desk.told(ev.OrderUnknown)[0].evidence
    assert desk.status(order) is S.REJECTED


@carried()
async def test_entries_of_an_instrument_keep_their_order(desk: Carried) -> None:
    desk.venue.slow("submit", 5)
    orders = [desk.place(BUY, "0.01", f"5{n}000") for n in (9, 8, 7)]
    await asyncio.sleep(4)
    assert len(desk.venue.times("submit")) == 1
    await asyncio.sleep(4)
    assert [what for _, name, what in desk.venue.calls if name == "submit"] == [o.terms.client_id for o in orders]


@carried()
async def test_an_exit_waits_for_no_entry(desk: Carried) -> None:
    await _long(desk)
    desk.venue.slow("submit", 20)
    desk.place(BUY, "0.01", "59000")
    (position,) = desk.state.positions
    desk.ask(cmd.ClosePosition, position=position)
    await asyncio.sleep(1)
    assert len(desk.venue.times("submit")) == 3


@carried()
async def test_the_kill_switch_stops_an_entry_that_has_not_left(desk: Carried) -> None:
    desk.venue.fails("submit", *[Unreachable("no route")] * 3)
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(0.3)
    desk.ask(cmd.SetKill, on=True, reason="enough")
    await asyncio.sleep(10)
    assert desk.venue.orders == {}
    assert desk.order(order).ended


@carried()
async def test_an_order_cancelled_before_it_left_does_not_leave(desk: Carried) -> None:
    desk.venue.fails("submit", *[Unreachable("no route")] * 3)
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(0.3)
    desk.ask(cmd.CancelOrder, order=order.id)
    await asyncio.sleep(10)
    assert desk.venue.orders == {}
    assert desk.venue.times("cancel") == []
    assert desk.order(order).ended


@carried()
async def test_a_cancel_waits_for_the_answer_to_its_submit(desk: Carried) -> None:
    desk.venue.slow("submit", 5)
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(1)
    desk.ask(cmd.CancelOrder, order=order.id)
    await asyncio.sleep(10)
    assert desk.venue.times("cancel")[0] >= desk.venue.times("submit")[0] + 5
    assert desk.status(order) is S.CANCELLED


@carried()
async def test_a_cancel_is_never_given_up(desk: Carried) -> None:
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(1)
    desk.venue.fails("cancel", *[Unreachable("no route")] * 100)
    desk.ask(cmd.CancelOrder, order=order.id)
    await asyncio.sleep(900)
    assert desk.status(order) is S.CANCELLED


@carried()
async def test_a_cancel_the_venue_refuses_leaves_the_order_live(desk: Carried) -> None:
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(1)
    desk.venue.fails("cancel", Refused("-2011", "not now"))
    desk.ask(cmd.CancelOrder, order=order.id)
    await asyncio.sleep(1)
    assert [body.reason for body in desk.told(ev.CancelRejected)] == ["-2011: not now"]
    assert desk.status(order) is S.ACCEPTED


@carried()
async def test_a_cancel_of_an_order_the_venue_does_not_know_proves_nothing(desk: Carried) -> None:
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(1)
    desk.venue.fails("cancel", NotFound("-2011", "unknown order"))
    desk.venue.fill(order.terms.client_id, "0.01")
    desk.ask(cmd.CancelOrder, order=order.id)
    await asyncio.sleep(10)
    assert desk.told(ev.OrderUnknown)[0].evidence == "cancel: -2011: unknown order"
    assert desk.status(order) is S.FILLED
    assert [p.size for p in desk.state.positions.values()] == [D("0.01")]


@carried()
async def test_a_lost_answer_to_a_cancel_is_asked_for(desk: Carried) -> None:
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(1)
    desk.venue.fails("cancel", Ambiguous("no answer"), done=True)
    desk.ask(cmd.CancelOrder, order=order.id)
    await asyncio.sleep(10)
    assert desk.status(order) is S.CANCELLED


@carried()
async def test_an_amend_goes_to_the_venue_and_back(desk: Carried) -> None:
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(1)
    desk.ask(cmd.AmendOrder, order=order.id, price=D("58000"))
    assert desk.order(order).price == D("59000")
    await asyncio.sleep(1)
    assert desk.order(order).price == D("58000")
    assert desk.venue.orders[order.terms.client_id].price == D("58000")


@carried()
async def test_an_amend_the_venue_refuses_changes_nothing(desk: Carried) -> None:
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(1)
    desk.venue.fails("amend", Refused("-4028", "price out of band"))
    desk.ask(cmd.AmendOrder, order=order.id, price=D("58000"))
    await asyncio.sleep(1)
    assert [body.reason for body in desk.told(ev.AmendRejected)] == ["-4028: price out of band"]
    assert desk.order(order).price == D("59000")
    assert desk.order(order).amending is None


@carried()
async def test_a_lost_answer_to_an_amend_is_asked_for(desk: Carried) -> None:
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(1)
    desk.venue.fails("amend", Ambiguous("no answer"), done=True)
    desk.ask(cmd.AmendOrder, order=order.id, price=D("58000"))
    await asyncio.sleep(10)
    assert desk.status(order) is S.ACCEPTED
    assert desk.order(order).price == D("58000")


@carried()
async def test_while_the_venue_limits_its_rate_nobody_asks_and_exits_go_first(desk: Carried) -> None:
    await _long(desk)
    desk.venue.fails("submit", RateLimited("429", 20.0))
    desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(1)
    (position,) = desk.state.positions
    desk.ask(cmd.ClosePosition, position=position)
    begun = len(desk.venue.calls)
    await asyncio.sleep(18)
    assert len(desk.venue.calls) == begun
    await asyncio.sleep(5)
    sides = [order.side for order in desk.venue.orders.values()]
    assert sides == [BUY, SELL, BUY]


@carried()
async def test_a_signal_s_entry_that_cannot_leave_goes_back_to_its_own_line_in_seconds(desk: Carried) -> None:
    desk.venue.fails("submit", *[Unreachable("no route")] * 100)
    order = desk.place(BUY, "0.01", "59000", owner="source:tv")
    await asyncio.sleep(12)
    assert desk.status(order) is S.REJECTED
    assert desk.told(ev.OrderRejected)[0].code == "UNREACHABLE"


@carried()
async def test_an_entry_that_would_wait_too_long_for_a_rate_limit_is_given_up(desk: Carried) -> None:
    desk.venue.fails("submit", RateLimited("418: banned", 300.0))
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(5)
    assert desk.order(order).ended
    assert desk.told(ev.OrderRejected)[0].code == "RATE_LIMITED"
    await asyncio.sleep(400)
    assert desk.venue.orders == {}


@carried()
async def test_margin_mode_then_leverage_are_set_before_the_order_that_needs_them_and_once(desk: Carried) -> None:
    desk.place(BUY, "0.01", "59000")
    desk.place(BUY, "0.01", "58000")
    await asyncio.sleep(1)
    asked = [name for _, name, _ in desk.venue.calls if name in ("isolate_margin", "set_leverage", "submit")]
    assert asked == ["isolate_margin", "set_leverage", "submit", "submit"]


@carried()
async def test_an_order_whose_margin_mode_is_refused_does_not_leave(desk: Carried) -> None:
    desk.venue.fails("isolate_margin", Refused("-4047", "margin type cannot be changed if there exists open orders"))
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(5)
    assert desk.venue.times("set_leverage") == desk.venue.times("submit") == []
    assert desk.told(ev.OrderRejected)[0].code == "MARGIN_MODE"
    assert "there exists open orders" in desk.order(order).reason


@carried()
async def test_a_margin_mode_whose_answer_was_lost_is_set_again(desk: Carried) -> None:
    desk.venue.fails("isolate_margin", Ambiguous("no answer"))
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(5)
    assert len(desk.venue.times("isolate_margin")) == 2
    assert desk.status(order) is S.ACCEPTED


@carried()
async def test_a_leverage_that_was_changed_while_an_entry_was_held_is_the_one_it_leaves_with(desk: Carried) -> None:
    trigger = {"size": D("0.1"), "type": OrderType.STOP, "trigger": D(61000), "source": TriggerSource.BID_ASK}
    desk.ask(cmd.PlaceOrder, instrument=BTC.id, side=BUY, leverage=10, **trigger)
    desk.ask(cmd.SetLeverage, instrument=BTC.id, leverage=5)
    desk.quote("61000", "61000.1")
    await asyncio.sleep(1)
    assert [what for _, method, what in desk.venue.calls if method == "set_leverage"] == ["5"]
    assert len(desk.venue.times("submit")) == 1


@carried()
async def test_a_leverage_that_is_changed_while_the_venue_is_told_another_is_told_before_the_order_leaves(
    desk: Carried,
) -> None:
    desk.venue.slow("set_leverage", 1)
    desk.ask(cmd.PlaceOrder, instrument=BTC.id, side=BUY, size=D("0.1"), type=OrderType.MARKET, leverage=10)
    await asyncio.sleep(0.5)
    desk.ask(cmd.SetLeverage, instrument=BTC.id, leverage=5)
    await asyncio.sleep(3)
    asked = [(method, what) for _, method, what in desk.venue.calls if method in ("set_leverage", "submit")]
    assert [method for method, _ in asked] == ["set_leverage", "set_leverage", "submit"]
    assert [what for _, what in asked[:2]] == ["10", "5"]


@carried()
async def test_an_order_whose_leverage_is_refused_does_not_leave(desk: Carried) -> None:
    desk.venue.fails("set_leverage", Refused("-4028", "leverage 1 is not valid"))
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(5)
    assert desk.venue.times("submit") == []
    assert desk.told(ev.OrderRejected)[0].code == "LEVERAGE"
    assert "leverage 1 is not valid" in desk.order(order).reason


@carried()
async def test_a_leverage_whose_answer_was_lost_is_set_again(desk: Carried) -> None:
    desk.venue.fails("set_leverage", Ambiguous("no answer"))
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(5)
    assert len(desk.venue.times("set_leverage")) == 2
    assert desk.status(order) is S.ACCEPTED


@carried()
async def test_an_exit_asks_for_no_margin_mode_and_no_leverage(desk: Carried) -> None:
    await _long(desk)
    desk.venue.fails("isolate_margin", *[Unreachable("no route")] * 100)
    desk.venue.fails("set_leverage", *[Unreachable("no route")] * 100)
    desk.venue.positions = (msgspec.structs.replace(desk.venue.positions[0], leverage=20),)
    await asyncio.sleep(40)
    (position,) = desk.state.positions
    desk.ask(cmd.ClosePosition, position=position)
    await asyncio.sleep(1)
    assert len(desk.venue.orders) == 2


@carried()
async def test_what_a_failed_commit_forgot_is_asked_for(desk: Carried) -> None:
    desk.venue.slow("submit", 1)
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(0.5)
    desk.disk.full, desk.disk.room = True, 1_000
    await asyncio.sleep(10)
    assert desk.status(order) is S.ACCEPTED
    assert len(desk.venue.times("submit")) == 1
    assert "it may have left" in desk.told(ev.OrderUnknown)[0].evidence


@carried()
async def test_w7_after_a_crash_what_was_sent_is_asked_for_and_not_sent_again(desk: Carried) -> None:
    desk.venue.slow("submit", 100)
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(0.5)
    assert len(desk.venue.times("submit")) == 1
    desk.die()
    await asyncio.sleep(1)
    await desk.begin()
    assert desk.status(order) is S.UNKNOWN
    await asyncio.sleep(5)
    assert desk.status(order) is S.ACCEPTED
    assert len(desk.venue.times("submit")) == 1


@carried()
async def test_a_start_says_how_many_orders_are_of_unknown_outcome(desk: Carried) -> None:
    desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(1)
    desk.venue.hangs("submit")
    desk.place(BUY, "0.01", "58000")
    await asyncio.sleep(1)
    desk.die()
    with closing(Ledger.open(desk.path, env="sim", feed="simulated", now_ns=desk.clock.now_ns())) as ledger:
        line = recovery_line(ledger.load(), desk.path)
    assert "2 orders (1 of unknown outcome, being asked for)" in line
    await desk.begin()


@carried()
async def test_a_cancel_that_was_asked_for_outlives_a_crash(desk: Carried) -> None:
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(1)
    desk.venue.fails("cancel", *[Unreachable("no route")] * 3)
    desk.ask(cmd.CancelOrder, order=order.id)
    await asyncio.sleep(0.5)
    desk.die()
    desk.venue.next.clear()
    await desk.begin()
    await asyncio.sleep(5)
    assert desk.status(order) is S.CANCELLED


@carried()
async def test_a_close_waits_shortly_for_an_answer_that_is_on_its_way(desk: Carried) -> None:
    desk.venue.slow("submit", 1)
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(0.5)
    await desk.carrier.close()
    assert desk.status(order) is S.ACCEPTED


@carried()
async def test_a_close_begins_nothing_more(desk: Carried) -> None:
    desk.venue.fails("submit", *[Unreachable("no route")] * 2)
    order = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(0.1)
    await desk.carrier.close()
    await asyncio.sleep(60)
    assert desk.venue.orders == {}
    assert desk.status(order) is S.SENT


@carried()
async def test_what_fails_on_one_order_stops_no_other_and_is_tried_again(desk: Carried) -> None:
    resting = desk.place(BUY, "0.01", "58000")
    await asyncio.sleep(1)
    desk.breaks = True
    broken = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(1)
    assert desk.alarms == ["EXECUTION"]
    desk.ask(cmd.CancelOrder, order=resting.id)
    await asyncio.sleep(1)
    assert desk.status(resting) is S.CANCELLED
    desk.breaks = False
    await asyncio.sleep(6)
    assert desk.status(broken) is S.ACCEPTED


def test_the_same_dice_and_the_same_faults_give_the_same_calls(tmp_path: Path) -> None:
    def calls(folder: Path) -> list[tuple[float, str, str]]:
        made: list[tuple[float, str, str]] = []

        @carried()
        async def story(desk: Carried) -> None:
            desk.venue.fails("submit", Unreachable("no route"), Ambiguous("no answer"), RateLimited("429"))
            desk.venue.fails("order", Unreachable("no route"), Ambiguous("no answer"), NotFound("-2013", "none"))
            desk.venue.fails("standing", RateLimited("429"), Unreachable("no route"))
            for price in ("59000", "58000", "57000"):
                desk.place(BUY, "0.01", price)
            await asyncio.sleep(120)
            made.extend(desk.venue.calls)

        folder.mkdir()
        story(folder)
        return made

    first, second = calls(tmp_path / "a"), calls(tmp_path / "b")
    assert first == second
    assert len(first) > 10


@carried()
async def test_all_orders_are_cancelled_once_each(desk: Carried) -> None:
    orders = [desk.place(BUY, "0.001", f"{50_000 + n}") for n in range(150)]
    await asyncio.sleep(5)
    desk.ask(cmd.CancelAll)
    await asyncio.sleep(5)
    assert {desk.status(order) for order in orders} == {S.CANCELLED}
    assert len(desk.venue.times("cancel")) == len(orders)
