"""Every key does what the help says; what can reach a venue shows a preview first and sends nothing by itself."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from textual.command import CommandPalette
from textual.widgets import Input

from engine.model.command import CancelAll, CancelOrder, ClosePosition, FlattenAll, PlaceOrder
from hoox_tui.keys import ACTIONS, PALETTE_HIDDEN, Scope
from hoox_tui.screens.desk import PANES, DeskScreen
from hoox_tui.screens.edit import EditScreen
from hoox_tui.screens.help import HelpScreen
from hoox_tui.screens.panic import PanicScreen
from hoox_tui.screens.preview import PreviewScreen
from hoox_tui.screens.quit import QuitScreen
from hoox_tui.screens.symbols import SymbolScreen
from tests.ui import seeds
from tests.ui.desk_host import SIZES, Desk, desk
from tests.ui.fake_link import FakeLink, empty_views, full_views
from widgets.book import BookPane

OPENS = {
    "trade.edit": EditScreen,
    "view.symbol": SymbolScreen,
    "help.keys": HelpScreen,
    "help.everywhere": HelpScreen,
    "help.palette": CommandPalette,
    "help.quit": QuitScreen,
}


async def back(at: Desk) -> None:
    """To the desk, with nothing maximized, the keys on the positions."""
    if at.app.screen is not at.app.desk:
        at.app.action_show_desk()
        await at.pilot.pause()
    if at.app.desk.maximized is not None:
        await at.app.desk.action_toggle_maximize()
    if at.app.focused is not at.app.desk.positions:
        at.app.desk.positions.focus()
        await at.pilot.pause()


async def test_every_key_of_the_registry_on_the_desk() -> None:
    async with desk(size=SIZES["80x24"]) as at:
        for action in ACTIONS:
            for key in action.keys.split(","):
                await back(at)
                await at.pilot.press(key)
                await at.pilot.pause()
                top = at.app.screen
                assert at.link.sent == [], action.id
                assert isinstance(top, PreviewScreen) == action.danger, action.id
                if action.id in OPENS:
                    assert isinstance(top, OPENS[action.id]), action.id


async def test_every_key_of_every_pane_sends_nothing() -> None:
    async with desk(size=SIZES["80x24"]) as at:
        for name in PANES:
            pane = at.app.desk.panes[name]
            for key in list(pane._bindings.key_to_bindings):
                if at.app.focused is not pane:
                    await back(at)
                    at.app.desk.action_focus_pane(PANES.index(name) + 1)
                    await at.pilot.pause()
                await at.pilot.press(key)
                assert at.link.sent == [], f"{name}: {key}"


async def test_every_key_with_nothing_open_sends_nothing_and_does_not_fail() -> None:
    async with desk(FakeLink(empty_views()), size=SIZES["80x24"]) as at:
        for action in ACTIONS:
            if action.id != "help.quit" and not action.id.startswith("view.pane"):
                await back(at)
                await at.pilot.press(action.keys.split(",")[0])
        assert at.link.sent == []


@pytest.mark.parametrize(
    ("pane", "keys", "said"),
    [
        ("positions", "xem", "No open position"),
        ("positions", "c", "No working order"),
        ("orders", "ce", "No working order"),
    ],
)
async def test_a_key_that_finds_nothing_to_work_on_says_so(pane: str, keys: str, said: str) -> None:
    async with desk(FakeLink(empty_views()), size=SIZES["80x24"]) as at:
        await at.pilot.press(str(PANES.index(pane) + 1))
        for key in keys:
            at.app.clear_notifications()
            await at.pilot.press(key)
            await at.pilot.pause()
            assert [note.message for note in at.app._notifications] == [said], key


@pytest.mark.parametrize(
    ("price", "side"), [("60000.0", "BUY"), ("61000.0", "BUY"), ("61000.5", "SELL"), ("61900.0", "SELL")]
)
async def test_a_price_of_the_ladder_becomes_an_order_that_rests_there(price: str, side: str) -> None:
    async with desk(size=SIZES["120x40"]) as at:
        at.app.desk.book.post_message(BookPane.PriceChosen(price))
        await at.pilot.pause()
        draft = at.app.desk.ticket.draft()
        assert (draft["side"], draft["type"], draft["price"]) == (side, "LIMIT", price)
        assert at.link.sent == []


async def test_cancel_all_and_flatten_all_from_every_text_field_and_modal() -> None:
    ways = ("3", "/", "e", "?", "Q", "x", "ctrl+p", "!")
    async with desk(size=SIZES["80x24"]) as at:
        for way in ways:
            await back(at)
            await at.pilot.press(way, "f8")
            assert isinstance(at.preview.chosen.command, CancelAll), way
            at.app.pop_screen()
            await at.pilot.press("f9")
            assert isinstance(at.preview.chosen.command, FlattenAll), way
        assert at.link.sent == []


async def test_the_panic_key_works_from_every_modal_that_has_no_text_field() -> None:
    async with desk(size=SIZES["80x24"]) as at:
        for way in ("x", "c", "C", "K", "?", "Q"):
            await back(at)
            await at.pilot.press(way, "!")
            assert isinstance(at.app.screen, PanicScreen), way
            assert isinstance(at.preview.chosen.command, CancelAll), way
        await back(at)
        await at.pilot.press("/", "!")
        assert isinstance(at.app.screen, SymbolScreen)
        assert at.app.screen.query_one(Input).value == "!"
        assert at.link.sent == []


async def test_the_panic_key_lies_over_an_open_preview_and_esc_goes_back_to_it() -> None:
    async with desk() as at:
        await at.press("x", "!", "escape")
        assert isinstance(at.preview.chosen.command, ClosePosition)


async def test_f8_and_f9_switch_an_open_sheet() -> None:
    async with desk() as at:
        await at.press("f8", "f9")
        assert isinstance(at.preview.chosen.command, FlattenAll)
        assert len(at.app.screen_stack) == 2


async def test_digits_in_the_ticket_are_digits() -> None:
    async with desk() as at:
        await at.press("b", "4", "5")
        assert at.app.focused is at.app.desk.ticket
        assert at.app.desk.ticket.draft()["size"] == "45"


@pytest.mark.parametrize("size", ["80x24", "120x40"])
async def test_every_pane_can_be_reached_by_its_number(size: str) -> None:
    async with desk(size=SIZES[size]) as at:
        for number, name in enumerate(PANES, 1):
            if name == "ticket":
                continue
            await at.pilot.press(str(number))
            await at.pilot.pause()
            assert at.app.focused is at.app.desk.panes[name]
            assert at.app.desk.panes[name].is_on_screen, name


async def test_help_names_the_focused_pane_first_and_every_binding() -> None:
    async with desk() as at:
        await at.press("5", "?")
        assert isinstance(at.app.screen, HelpScreen)
        said = at.said()
        assert said.index("orders") < said.index("this screen") < said.index("everywhere")
        for action in ACTIONS:
            # The pane's own c and e stand in for the desk's.
            if action.id not in ("trade.cancel", "trade.edit"):
                assert action.help in said, action.id


async def test_the_palette_has_every_action() -> None:
    async with desk() as at:
        titles = {command.title for command in at.app.get_system_commands(at.app.screen)}
    wanted = {f"{action.group}: {action.label}" for action in ACTIONS if action.id not in PALETTE_HIDDEN}
    assert wanted <= titles


async def test_a_palette_entry_for_an_order_opens_its_preview() -> None:
    async with desk() as at:
        await at.press("ctrl+p", *"trade: close")
        await at.pilot.app.workers.wait_for_complete()
        await at.press("enter")
        await at.press("enter") if isinstance(at.app.screen, CommandPalette) else None
        assert isinstance(at.app.screen, PreviewScreen)
        assert at.link.sent == []


async def test_no_key_is_one_a_terminal_may_swallow() -> None:
    for action in ACTIONS:
        for key in action.keys.split(","):
            assert key in ("ctrl+p", "ctrl+c") or "+" not in key, action.id


async def test_ids_are_unique_and_priority_is_for_everywhere() -> None:
    assert len({action.id for action in ACTIONS}) == len(ACTIONS)
    async with desk() as at:
        for bindings in at.app._bindings.key_to_bindings.values():
            for binding in bindings:
                scope = next(action.scope for action in ACTIONS if action.id == binding.id)
                assert binding.priority == (scope is Scope.EVERYWHERE), binding.id


async def test_arm_needs_the_hand_and_h_takes_it() -> None:
    async with desk(FakeLink(full_views(hand="screen-2"))) as at:
        await at.press("a")
        assert not at.app.seat.armed
        await at.press("H", "a")
        assert at.app.seat.armed
        await at.press("a")
        assert not at.app.seat.armed


async def test_who_loses_the_hand_is_told() -> None:
    async with desk() as at:
        at.link.change_status(hand="screen-2")
        await at.frames()
        assert "Another screen took the trading hand" in [note.message for note in at.app._notifications][-1]


async def test_an_order_nobody_has_looked_at_can_be_cancelled() -> None:
    async with desk(size=SIZES["80x24"]) as at:
        assert not at.app.desk.orders.is_on_screen
        await at.press("c")
        assert isinstance(at.preview.chosen.command, CancelOrder)


async def test_a_hand_nobody_holds_is_taken_at_the_start() -> None:
    async with desk(FakeLink(full_views(hand=""))) as at:
        assert at.app.seat.has_hand


async def test_symbol_search_takes_the_first_hit() -> None:
    other = "binance.perp:ETHUSDT"
    instruments = (seeds.INSTRUMENT, replace(seeds.INSTRUMENT, id=other, symbol="ETHUSDT", base="ETH"))
    async with desk(FakeLink(full_views(instruments=instruments))) as at:
        await at.press("/", *"eth", "enter")
        assert isinstance(at.app.screen, DeskScreen)
        assert f"book:{other}" in at.link.topics
        assert f"chart:{other}:5" in at.link.topics
        # Nothing came for it yet: prices of the last one would stand under its name.
        assert at.app.desk.book.border_title == "book ETHUSDT"
        assert "no book yet" in at.text()
        assert "no candles yet" in at.text()


@pytest.mark.parametrize("leave", [("escape",), ("4",)])
async def test_no_key_trades_another_symbol_than_the_title_names(leave: tuple[str, ...]) -> None:
    other = "binance.perp:ETHUSDT"
    instruments = (seeds.INSTRUMENT, replace(seeds.INSTRUMENT, id=other, symbol="ETHUSDT", base="ETH"))
    async with desk(FakeLink(full_views(instruments=instruments))) as at:
        await at.press("b", *"0.01", "escape", *leave, "/", *"ETH", "enter", "3")
        assert "ETHUSDT › ticket" in at.text()
        assert "BTC" not in "".join(str(line) for line in at.app.desk.ticket.draw(60, 20))
        await at.press("enter")
        assert isinstance(at.app.screen, DeskScreen)
        asked = len(at.link.asked)
        await at.frames(20)
        assert len(at.link.asked) == asked
        await at.press("b", "enter")
        command = at.preview.chosen.command
        assert isinstance(command, PlaceOrder)
        assert command.instrument == other


async def test_a_draft_survives_a_look_at_its_own_symbol() -> None:
    async with desk() as at:
        await at.press("b", *"0.02", "escape", "/", *"BTC", "enter", "3")
        assert at.app.desk.ticket.draft()["size"] == "0.02"


async def test_brackets_change_the_timeframe_from_any_pane() -> None:
    async with desk() as at:
        await at.press("4", "]")
        assert f"chart:{seeds.BTC}:15" in at.link.topics


async def test_maximized_chart_is_a_candle_study_and_z_restores() -> None:
    async with desk() as at:
        await at.press("2", "z")
        assert at.app.desk.maximized is not None
        assert at.app.desk.maximized.id == "study"
        await at.press("z")
        assert at.app.desk.maximized is None
        assert at.app.focused is at.app.desk.chart


async def test_a_row_is_copied_as_text() -> None:
    async with desk() as at:
        await at.press("4", "y")
        assert at.app.clipboard.startswith("P1\t")
