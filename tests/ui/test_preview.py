"""Everything that reaches a venue goes preview -> Enter -> answer."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from engine.model.command import CancelAll, ClosePosition, FlattenAll, PlaceOrder, SetKill, SetProtection
from engine.views import OrdersView
from hoox_tui.intents import EnterGuard
from hoox_tui.screens.desk import DeskScreen
from hoox_tui.screens.preview import Stage, _table
from tests.ui import seeds
from tests.ui.desk_host import MS, desk
from tests.ui.fake_link import FakeLink, full_views


async def test_arm_buy_size_enter_preview_enter_sends_one_market_order() -> None:
    async with desk() as at:
        await at.press("a", "b", "2", "enter")
        assert at.link.sent == []
        assert "Enter sends" in at.said()
        await at.press("enter")
        (order,) = at.link.sent
        assert isinstance(order, PlaceOrder)
        assert (order.side, order.type, order.size) == ("BUY", "MARKET", Decimal(2))
        assert isinstance(at.app.screen, DeskScreen)
        assert at.app.focused is at.app.desk.positions


async def test_close_sends_the_share_that_was_chosen() -> None:
    async with desk() as at:
        await at.press("x", "2", "enter")
        (close,) = at.link.sent
        assert isinstance(close, ClosePosition)
        assert (close.position, close.fraction) == ("P1", Decimal("0.5"))


async def test_close_shows_all_of_it_first() -> None:
    async with desk() as at:
        await at.press("x")
        assert "▸4 100%◂" in at.said()
        await at.press("enter")
        assert at.link.sent[0].fraction == 1  # type: ignore[union-attr]


async def test_long_values_wrap_beside_their_labels() -> None:
    rows = (("PnL", "word " * 12), ("margin back", "155.50 USDT"))
    assert _table(rows).splitlines() == [
        "PnL           " + "word " * 9 + "word",
        "              " + "word word",
        "margin back   155.50 USDT",
    ]


async def test_esc_goes_back_and_sends_nothing() -> None:
    async with desk() as at:
        await at.press("x", "escape")
        assert isinstance(at.app.screen, DeskScreen)
        assert at.link.sent == []


async def test_enter_is_ignored_for_200_ms_after_the_first_paint() -> None:
    async with desk() as at:
        await at.pilot.press("x")
        await at.settled()
        at.clock.advance(199 * MS)
        await at.pilot.press("enter")
        await at.settled()
        assert at.link.sent == []
        at.clock.advance(81 * MS)
        await at.pilot.press("enter")
        await at.settled()
        assert len(at.link.sent) == 1


def test_a_held_enter_never_gets_through() -> None:
    guard = EnterGuard()
    guard.paint(0)
    assert not any(guard.allows(now * MS) for now in range(0, 3_000, 33))
    assert guard.allows(3_100 * MS)


def test_enter_before_the_first_paint_does_nothing() -> None:
    assert not EnterGuard().allows(10_000 * MS)


async def test_sending_is_disabled_while_there_is_an_error() -> None:
    link = FakeLink(full_views())
    link.errors = ("free 12.40 USDT is below the margin 340.00 USDT",)
    async with desk(link) as at:
        await at.press("x", "enter")
        assert link.sent == []
        assert "free 12.40 USDT" in at.said()
        assert "Enter sends" not in at.said()


async def test_entries_wait_for_the_arm_and_a_arms_from_the_preview() -> None:
    async with desk() as at:
        await at.press("b", "1", "enter", "enter")
        assert at.link.sent == []
        assert "entries are disarmed: press a to arm" in at.said()
        await at.press("a")
        assert "press a to arm" not in at.said()
        await at.press("enter")
        assert len(at.link.sent) == 1


async def test_entries_need_the_hand() -> None:
    async with desk(FakeLink(full_views(hand="screen-2", armed=True))) as at:
        await at.press("b", "1", "enter", "enter")
        assert at.link.sent == []
        assert "press H to take it" in at.said()


async def test_exits_need_neither_arm_nor_hand() -> None:
    async with desk(FakeLink(full_views(hand="screen-2"))) as at:
        await at.press("x", "enter")
        assert len(at.link.sent) == 1


async def test_sending_is_shown_until_the_answer_comes() -> None:
    link = FakeLink(full_views())
    link.hold = asyncio.Event()
    async with desk(link) as at:
        await at.press("x", "enter")
        assert "sending…" in at.said()
        await at.press("enter", "enter")
        link.hold.set()
        await at.frames(2)
        assert len(link.sent) == 1
        assert isinstance(at.app.screen, DeskScreen)


async def test_a_refusal_stays_on_screen_and_in_the_log() -> None:
    link = FakeLink(full_views())
    link.refuse = ("REDUCE_ONLY", "nothing to reduce")
    async with desk(link, size=(160, 45)) as at:
        await at.press("x", "enter")
        assert "REDUCE_ONLY: nothing to reduce" in at.said()
        await at.press("enter")
        assert len(link.sent) == 1
        await at.press("escape")
        await at.frames(6)
        (line,) = (row for row in at.app.desk.log_pane.rows() if row.code == "REDUCE_ONLY")
        assert line.seq == 0
        assert link.sent[0].request_id in line.text


async def test_a_lost_answer_is_sent_again_under_the_same_id() -> None:
    link = FakeLink(full_views())
    link.lose_next = 1
    async with desk(link) as at:
        await at.press("x", "enter")
        assert "Not known whether it arrived: Enter sends the same request again" in at.said()
        await at.press("enter")
        first, second = link.sent
        assert first == second
        assert isinstance(at.app.screen, DeskScreen)


async def test_leaving_while_it_is_sent_does_not_lose_the_answer() -> None:
    link = FakeLink(full_views())
    link.hold = asyncio.Event()
    link.refuse = ("KILL_SWITCH", "the kill switch is on")
    async with desk(link, size=(160, 45)) as at:
        await at.press("x", "enter", "escape")
        link.hold.set()
        await at.settled()
        await at.frames(6)
        assert "KILL_SWITCH" in [row.code for row in at.app.desk.log_pane.rows()]


async def test_an_answer_that_comes_under_another_modal_closes_the_preview_later() -> None:
    link = FakeLink(full_views())
    link.hold = asyncio.Event()
    async with desk(link) as at:
        await at.press("x", "enter", "f9")
        link.hold.set()
        await at.frames(2)
        assert at.preview.stage is Stage.SHOWN
        await at.press("escape")
        assert isinstance(at.app.screen, DeskScreen)


@pytest.mark.parametrize(
    ("key", "command"),
    [("c", CancelAll), ("f", FlattenAll), ("k", SetKill)],
)
async def test_the_panic_sheet_sends_what_was_chosen(key: str, command: type) -> None:
    async with desk() as at:
        await at.press("!", key)
        assert at.link.sent == []
        await at.press("enter")
        assert [type(sent) for sent in at.link.sent] == [command]


async def test_the_kill_key_offers_the_other_way() -> None:
    async with desk(FakeLink(full_views(kill=True))) as at:
        await at.press("K", "enter")
        (kill,) = at.link.sent
        assert isinstance(kill, SetKill)
        assert kill.on is False


async def test_cancel_of_a_symbol_names_its_scope() -> None:
    async with desk() as at:
        await at.press("C")
        assert "▸a all◂" in at.said()
        await at.press("s", "enter")
        (cancel,) = at.link.sent
        assert isinstance(cancel, CancelAll)
        assert (cancel.scope, cancel.instrument) == ("stops", "binance.perp:BTCUSDT")


async def test_break_even_moves_the_stop_to_where_fees_are_paid_and_keeps_the_target() -> None:
    async with desk() as at:
        await at.press("m", "enter")
        (change,) = at.link.sent
        assert isinstance(change, SetProtection)
        assert (change.stop_loss, change.take_profit) == (Decimal("61001.0"), Decimal("61500.0"))


async def test_protection_is_edited_then_previewed() -> None:
    async with desk() as at:
        await at.press("e", "tab", *"60100", "enter")
        assert at.link.sent == []
        await at.press("enter")
        (change,) = at.link.sent
        assert isinstance(change, SetProtection)
        assert (change.take_profit, change.stop_loss) == (Decimal("61500.0"), Decimal(60100))


async def test_a_trailing_stop_is_not_frozen_by_an_edit_of_the_take_profit() -> None:
    link = FakeLink(full_views())
    trailing = seeds.order(1, role="trailing", type="TRAILING_STOP")
    link.views["orders"] = OrdersView(seeds.NOW, (trailing,), 1)
    async with desk(link) as at:
        await at.press("e")
        assert "will be replaced: type its distance again" in at.said()
        await at.press(*"62000", "enter", "enter")
        (change,) = at.link.sent
        assert isinstance(change, SetProtection)
        assert (change.take_profit, change.stop_loss, change.trail_bps) == (Decimal(62000), None, None)


async def test_a_wrong_number_is_named_with_its_field() -> None:
    async with desk() as at:
        await at.press("e", *"abc", "enter")
        assert "Take profit: 'abc' is not a number" in at.said()
        assert at.link.asked == []


async def test_two_presses_are_two_requests() -> None:
    async with desk() as at:
        await at.press("x", "enter", "x", "enter")
        first, second = (command.request_id for command in at.link.sent)
        assert first != second


async def test_the_engine_is_told_when_an_order_was_drawn() -> None:
    async with desk() as at:
        await at.press("x", "enter")
        at.link.views["positions"] = seeds.positions(1)
        await at.frames(6)
        assert at.link.drawn == ["O9"]


@pytest.mark.parametrize("keys", [("c", "enter"), ("e", "5", "enter", "enter")])
async def test_the_keys_stay_in_the_orders_after_an_order_was_changed(keys: tuple[str, ...]) -> None:
    async with desk() as at:
        await at.press("5", *keys)
        assert len(at.link.sent) == 1
        assert isinstance(at.app.screen, DeskScreen)
        assert at.app.focused is at.app.desk.orders


async def test_no_enter_after_a_panic_sends_what_lay_under_its_sheet() -> None:
    async with desk(FakeLink(full_views(armed=True))) as at:
        await at.press("b", *"0.01", "enter", "!", "enter", "enter", "enter")
        assert [type(command).__name__ for command in at.link.sent] == ["CancelAll"]
        assert isinstance(at.app.screen, DeskScreen)


async def test_an_enter_meant_for_what_lay_above_is_not_taken() -> None:
    async with desk(FakeLink(full_views(armed=True))) as at:
        await at.press("b", *"0.01", "enter", "!")
        await at.pilot.press("escape")
        await at.settled()
        at.clock.advance(150 * MS)
        await at.pilot.press("enter")
        await at.settled()
        assert at.link.sent == []
        at.clock.advance(100 * MS)
        await at.press("enter")
        assert len(at.link.sent) == 1
