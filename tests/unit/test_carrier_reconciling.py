"""What a stream did not tell is found: at the start, after every gap, and every half minute (semantics 10, 11)."""

from __future__ import annotations

import asyncio

import msgspec

from engine.core.inputs import Note
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.order import OrderStatus
from engine.model.report import VenuePosition
from engine.venues.errors import Unreachable
from tests.carried import BTC, Carried, D, carried
from tests.kit import BUY, SECOND

S = OrderStatus


async def _resting(desk: Carried) -> str:
    """An order that the venue has, and nothing more to reconcile. Returns its client id."""
    order = desk.place(BUY, "0.02", "59000")
    await asyncio.sleep(1)
    assert desk.status(order) is S.ACCEPTED
    return order.terms.client_id


def _held(desk: Carried) -> list[object]:
    return [position.size for position in desk.state.positions.values()]


@carried()
async def test_what_stands_is_asked_for_at_the_start_and_every_half_minute(desk: Carried) -> None:
    await asyncio.sleep(100)
    assert len(desk.venue.times("standing")) == 4
    assert len(desk.venue.times("orders_since")) == 1


@carried()
async def test_a_report_of_the_stream_is_booked(desk: Carried) -> None:
    client_id = await _resting(desk)
    await desk.venue.stream.put(desk.venue.fill(client_id, "0.01", "59000"))
    await asyncio.sleep(0.1)
    assert _held(desk) == [D("0.01")]


@carried()
async def test_a_fill_in_a_gap_of_the_stream_is_asked_for_at_once(desk: Carried) -> None:
    client_id = await _resting(desk)
    desk.venue.fill(client_id, "0.02", "59000")
    await desk.venue.stream.put(None)
    await asyncio.sleep(1)
    assert _held(desk) == [D("0.02")]
    assert "POSITION_DIFFERS" not in desk.alarms


@carried()
async def test_a_fill_that_a_silent_stream_lost_is_found(desk: Carried) -> None:
    client_id = await _resting(desk)
    desk.venue.fill(client_id, "0.02", "59000")
    await asyncio.sleep(40)
    assert _held(desk) == [D("0.02")]
    assert desk.state.differs == {}


@carried()
async def test_an_order_that_ended_unheard_is_found(desk: Carried) -> None:
    client_id = await _resting(desk)
    desk.venue.change(client_id, S.EXPIRED)
    await asyncio.sleep(120)
    assert desk.state.orders == {}
    assert len(desk.told(ev.OrderExpired)) == 1


@carried()
async def test_in_the_end_the_position_is_what_the_venue_says(desk: Carried) -> None:
    desk.venue.positions = (VenuePosition(BTC.id, D("-0.5"), D(60_000)),)
    await asyncio.sleep(600)
    assert _held(desk) == [D("-0.5")]
    assert desk.state.differs == {}
    assert desk.alarms != []


@carried()
async def test_where_positions_differ_one_asks_further_back_before_the_venue_is_believed(desk: Carried) -> None:
    await asyncio.sleep(4_000)
    desk.venue.positions = (VenuePosition(BTC.id, D("-0.5"), D(60_000)),)
    before = len(desk.venue.since)
    await asyncio.sleep(60)
    asked = desk.venue.since[before:]
    assert asked
    assert all(desk.clock.now_ns() - since > 3_600 * SECOND for since in asked)
    assert _held(desk) == [D("-0.5")]


@carried()
async def test_after_a_restart_one_asks_for_what_happened_meanwhile(desk: Carried) -> None:
    client_id = await _resting(desk)
    desk.die()
    down_ns = desk.clock.now_ns()
    desk.venue.fill(client_id, "0.02", "59000")
    await asyncio.sleep(1_800)
    await desk.begin()
    await asyncio.sleep(2)
    assert desk.venue.since[-1] < down_ns
    assert _held(desk) == [D("0.02")]


@carried()
async def test_what_a_failed_commit_forgot_of_the_stream_is_asked_for(desk: Carried) -> None:
    client_id = await _resting(desk)
    desk.disk.full, desk.disk.room = True, 1_000
    await desk.venue.stream.put(desk.venue.fill(client_id, "0.02", "59000"))
    await asyncio.sleep(5)
    assert _held(desk) == [D("0.02")]
    assert len(desk.told(ev.OrderFilled)) == 1


@carried()
async def test_a_venue_that_does_not_say_what_stands_is_told_to_a_person_once(desk: Carried) -> None:
    desk.venue.fails("standing", *[Unreachable("no route to told")] * 20)
    await asyncio.sleep(300)
    told = [message for _, code, message in desk.state.alarms if code == "RECONCILE"]
    assert len(told) == 1
    assert "no route to told" in told[0]
    begun = len(desk.venue.times("standing"))
    await asyncio.sleep(300)
    assert len(desk.venue.times("standing")) > begun


@carried()
async def test_a_stream_that_breaks_is_listened_to_again(desk: Carried) -> None:
    client_id = await _resting(desk)
    usual = desk.venue.stream
    desk.venue.stream = None  # type: ignore[assignment]
    await usual.put(None)
    await asyncio.sleep(5)
    desk.venue.stream = usual
    await asyncio.sleep(60)
    await usual.put(desk.venue.fill(client_id, "0.02", "59000"))
    await asyncio.sleep(0.1)
    assert _held(desk) == [D("0.02")]


@carried()
async def test_a_stream_that_lasted_is_listened_to_again_at_once(desk: Carried) -> None:
    client_id = await _resting(desk)
    usual = desk.venue.stream
    desk.venue.stream = None  # type: ignore[assignment]
    await usual.put(None)
    await asyncio.sleep(90)
    desk.venue.stream = usual
    await asyncio.sleep(90)
    desk.venue.stream = None  # type: ignore[assignment]
    await usual.put(None)
    await asyncio.sleep(0)
    desk.venue.stream = usual
    await usual.put(desk.venue.fill(client_id, "0.02", "59000"))
    await asyncio.sleep(0.1)
    await asyncio.sleep(1.5)
    assert usual.empty()
    assert _held(desk) == [D("0.02")]


@carried()
async def test_a_leverage_changed_elsewhere_is_set_again_before_the_next_entry(desk: Carried) -> None:
    order = desk.place(BUY, "0.01", "60000.1")
    await asyncio.sleep(1)
    await desk.venue.stream.put(desk.venue.fill(order.terms.client_id, "0.01"))
    (held,) = desk.venue.positions
    desk.venue.positions = (msgspec.structs.replace(held, leverage=20),)
    await asyncio.sleep(35)
    desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(1)
    assert [what for _, name, what in desk.venue.calls if name == "set_leverage"] == ["1", "20"]


@carried()
async def test_the_clock_set_back_loses_no_report(desk: Carried) -> None:
    client_id = await _resting(desk)
    await asyncio.sleep(100)
    desk.clock.step(-3_600_000_000_000)
    desk.venue.fill(client_id, "0.02", "59000")
    await desk.venue.stream.put(None)
    await asyncio.sleep(1)
    assert desk.venue.since[-1] < desk.clock.now_ns()
    assert _held(desk) == [D("0.02")]


@carried()
async def test_the_operator_hears_nothing_where_all_is_well(desk: Carried) -> None:
    await _resting(desk)
    desk.keeper.decide(Note(desk.clock.now_ns(), ev.MarksNoted({})))
    await asyncio.sleep(600)
    assert desk.alarms == []


@carried()
async def test_a_flattening_asks_soon_whether_the_venue_is_flat(desk: Carried) -> None:
    client_id = await _resting(desk)
    desk.venue.fill(client_id, "0.02", "59000")
    await desk.venue.stream.put(None)
    await asyncio.sleep(1)
    desk.ask(cmd.FlattenAll)
    await asyncio.sleep(5)  # what the beginning had asked is answered
    (close,) = desk.state.orders.values()
    await desk.venue.stream.put(desk.venue.fill(close.terms.client_id, "0.02"))
    await asyncio.sleep(1)
    assert not desk.state.positions
    assert desk.state.flattening
    await asyncio.sleep(2)
    assert not desk.state.flattening
    assert desk.alarms == []


@carried()
async def test_a_flattening_of_nothing_asks_soon_too(desk: Carried) -> None:
    await asyncio.sleep(5)
    desk.ask(cmd.FlattenAll)
    await asyncio.sleep(1)
    assert desk.state.flattening
    await asyncio.sleep(2)
    assert not desk.state.flattening
