"""Time travel: the panes at any moment of the ledger, a banner that is not now, and no key that trades."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from textual.command import CommandPalette
from textual.pilot import Pilot

from engine.clock import ManualClock
from engine.link.recorded import KINDS as LINK_KINDS
from engine.link.recorded import RecordedLink
from engine.views import LogLine, LogView
from hoox_tui.keys import ACTIONS, TRAVEL
from hoox_tui.past import PastApp
from hoox_tui.screens.desk import DeskScreen
from hoox_tui.screens.help import HelpScreen
from hoox_tui.screens.moment import KINDS, GoToScreen, KindScreen
from hoox_tui.screens.trading import TradingScreen
from hoox_tui.screens.travel import TravelScreen
from hoox_tui.screens.why import WhyScreen
from tests.ui import seeds
from tests.ui.desk_host import SIZES, START_NS, Desk, desk
from tests.ui.fake_link import FakeLink, full_views
from tests.ui.past import arrived, write_past

LAST = 39


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return write_past(tmp_path / "sim.sqlite")


@asynccontextmanager
async def past(ledger: Path, size: str = "120x40") -> AsyncIterator[tuple[Desk, TravelScreen]]:
    """A desk over a fake engine, with time travel opened on a real ledger."""
    async with desk(FakeLink(full_views()), ledger=ledger, size=SIZES[size]) as at:
        await at.press("T")
        yield at, await arrived(at.pilot, LAST)


@asynccontextmanager
async def alone(ledger: Path, size: str = "120x40") -> AsyncIterator[tuple[Desk, TravelScreen]]:
    """Time travel without a desk underneath: all that concerns the screen itself, for half the time."""
    clock = ManualClock(START_NS)
    app: Any = PastApp(RecordedLink(ledger), env="sim", mono=clock.now_ns)
    async with app.run_test(size=SIZES[size], notifications=True) as pilot:
        yield Desk(app, FakeLink(), clock, pilot), await arrived(pilot, LAST)


def seq(screen: TravelScreen) -> int:
    return screen.link.point.seq


async def press(at: Desk, *keys: str) -> None:
    """Press keys, then wait until the moves they made have arrived."""
    for key in keys:
        await at.pilot.press(key)
        await at.pilot.pause()
    await at.app.workers.wait_for_complete([w for w in at.app.workers if w.group == "travel"])
    await at.pilot.pause()


async def test_it_opens_on_the_last_event_with_a_banner_that_cannot_be_taken_for_now(ledger: Path) -> None:
    async with past(ledger) as (at, screen):
        first, bar, event = at.text().splitlines()[:3]
        assert "TIME TRAVEL 2026-01-01 00:13:00.000 UTC · seq 39 of 39 · nothing here trades" in first
        assert "00:00:20" in bar
        assert bar.rstrip("▐ ").endswith("◆ 00:13:00")
        assert "SIM then" in event
        assert screen.styles.border_left[1] == screen.scrubber.styles.background.with_alpha(1), "a frame of its own"
        assert at.app.desk.styles.border_left[1] != screen.styles.border_left[1]


async def test_the_banner_fits_at_80_columns(ledger: Path) -> None:
    async with alone(ledger, "80x24") as (at, _):
        assert "TIME TRAVEL 2026-01-01 00:13:00.000 UTC" in at.text().splitlines()[0]
        assert "39 · nothing here trades" in at.text().splitlines()[0]


async def test_panes_show_what_was_there(ledger: Path) -> None:
    async with alone(ledger) as (at, screen):
        now = at.text()
        assert "10,011.95" in now, "equity as it was sampled"
        await press(at, "g", *"17", "enter")
        await arrived(at.pilot, 17)
        then = at.text()
        assert "seq 17 of 39" in then
        assert "no position was open" in then
        assert "61240.5" in then, "the closed trade"
        assert "filled o-2" in then
        assert "EXITS_BLIND" not in then, "what had not happened yet"
        await press(at, "home")
        assert seq(screen) == 1
        assert "no price was recorded by then" in at.text()
        assert "no order book and no candles are kept in a ledger" in at.text()


async def test_keys_move_by_event_minute_and_hour_to_the_ends_and_from_kind_to_kind(ledger: Path) -> None:
    async with alone(ledger) as (at, screen):
        for keys, arrives in (
            (("left", "left", "h"), 36),
            (("right",), 37),
            (("l",), 38),
            (("pageup",), 35),
            (("pagedown",), 38),
            (("shift+left",), 1),
            ((">",), LAST),
            (("<",), 1),
            (("slash", "f"), 10),
            (("n",), 17),
            (("n", "N"), 17),
            (("slash", "a"), 25),
            (("slash", "s"), 27),
            (("g", *"00:02:00", "enter"), 6),
            (("g", *"-1m", "enter"), 36),
            (("end",), LAST),
        ):
            await press(at, *keys)
            assert seq(screen) == arrives, keys


async def test_where_there_is_no_such_event_it_says_so_and_stays(ledger: Path) -> None:
    async with alone(ledger) as (at, screen):
        await press(at, "slash", "t")
        assert seq(screen) == LAST
        assert "no trigger after this" in at.text()
        await press(at, "left")
        assert "no trigger after this" not in at.text()


async def test_a_moment_that_is_none_is_named_with_the_ways_to_write_one(ledger: Path) -> None:
    async with alone(ledger) as (at, _):
        await press(at, "g", *"noon", "enter")
        assert isinstance(at.app.screen, GoToScreen)
        assert "'noon' is none; write an event's number" in at.said()
        await press(at, "escape")
        assert isinstance(at.app.screen, TravelScreen)


async def test_no_key_trades_in_it_and_each_that_would_says_so(ledger: Path) -> None:
    async with past(ledger) as (at, screen):
        for action in ACTIONS:
            if action.group != "trade":
                continue
            for key in action.keys.split(","):
                at.app.clear_notifications()
                await at.pilot.press(key)
                await at.pilot.pause()
                assert at.app.screen is screen, action.id
                said = [note.message for note in at.app._notifications]
                assert said == [f"{action.label}: TIME TRAVEL: nothing here trades. Esc goes to the live desk"], key
        assert (at.link.sent, at.link.asked) == ([], [])
        assert not at.app.seat.armed


async def test_every_key_of_the_panes_that_trade_on_the_desk_asks_the_engine_nothing(ledger: Path) -> None:
    async with past(ledger, "80x24") as (at, screen):
        for pane in (screen.panes["positions"], screen.panes["orders"]):
            for key in list(pane._bindings.key_to_bindings):
                screen.set_focus(pane)
                await at.pilot.press(key)
                await at.pilot.pause()
                if isinstance(at.app.screen, GoToScreen | KindScreen):
                    await at.pilot.press("escape")
                assert at.app.screen is screen, key
        assert (at.link.sent, at.link.asked) == ([], [])


async def test_flatten_all_is_refused_over_its_dialogs_too(ledger: Path) -> None:
    async with past(ledger) as (at, screen):
        for way in ("g", "slash", "?", "ctrl+p"):
            await at.pilot.press(way)
            await at.pilot.pause()
            for key in ("f8", "f9"):
                at.app.clear_notifications()
                await at.pilot.press(key)
                await at.pilot.pause()
                assert "nothing trades in time travel" in [note.message for note in at.app._notifications][-1], way
            await at.pilot.press("escape")
            await at.pilot.pause()
            assert at.app.screen is screen, way
        assert (at.link.sent, at.link.asked) == ([], [])


async def test_the_palette_moves_in_time_and_offers_no_order(ledger: Path) -> None:
    async with past(ledger) as (at, screen):
        titles = [command.title for command in at.app.get_system_commands(screen)]
        assert not [title for title in titles if title.startswith("trade")]
        assert {f"travel: {action.label}" for action in TRAVEL} <= set(titles)
        await at.press("ctrl+p", *"travel: first")
        await at.app.workers.wait_for_complete()
        await at.press("enter")
        await at.press("enter") if isinstance(at.app.screen, CommandPalette) else None
        await arrived(at.pilot, 1)


def test_it_stands_on_no_trading_screen() -> None:
    assert not issubclass(TravelScreen, TradingScreen)
    assert not [name for name in dir(TravelScreen) if name.startswith("action_") and "order" in name]


def test_every_kind_of_event_is_one_the_link_knows() -> None:
    assert {kind for kind, _ in KINDS.values()} == set(LINK_KINDS)


@pytest.mark.parametrize("key", ["escape", "Q", "f2"])
async def test_the_way_back_leads_to_the_live_desk(ledger: Path, key: str) -> None:
    async with past(ledger) as (at, screen):
        await at.press(key)
        assert isinstance(at.app.screen, DeskScreen)
        assert at.app.is_running
        assert screen.link.state == "closed"
        await at.press("x")
        assert at.preview is not None, "keys trade again"


async def test_the_live_desk_goes_on_underneath(ledger: Path) -> None:
    async with past(ledger) as (at, _):
        at.link.views["positions"] = replace(seeds.positions(1), rows=(seeds.position(size="0.777"),))
        await at.frames(60)
        await at.press("escape")
        assert "0.777" in at.text()


async def test_an_alarm_on_the_live_desk_is_one_line(ledger: Path) -> None:
    async with past(ledger) as (at, _):
        assert "LIVE NOW" not in at.text()
        line = LogLine(500, seeds.NOW, "error", "AlarmRaised", "EXITS_BLIND: quote of BTCUSDT is down")
        at.link.views["log"] = LogView(seeds.NOW, (*seeds.log(12).lines, line))
        await at.frames()
        assert "LIVE NOW: EXITS_BLIND: quote of BTCUSDT is down   (Esc goes there)" in at.text()


@pytest.mark.parametrize("size", ["80x24", "120x40"])
async def test_the_moment_stays_in_sight_whatever_is_said_of_the_live_desk(ledger: Path, size: str) -> None:
    async with past(ledger, size=size) as (at, _):
        at.link.change_status(ended_ns=seeds.NOW)
        await at.frames()
        for keys in ((), ("z",), ("z", "g"), ("escape", "slash")):
            await at.press(*keys)
            await at.frames()
            text = at.text()
            assert "TIME TRAVEL 20" in text, keys
            assert "LIVE NOW: RECORDING ENDED" in text, keys


async def test_the_end_of_a_recording_hides_no_alarm(ledger: Path) -> None:
    async with past(ledger) as (at, _):
        at.link.change_status(ended_ns=seeds.NOW)
        await at.frames()
        assert "LIVE NOW: RECORDING ENDED" in at.text()
        line = LogLine(500, seeds.NOW, "error", "AlarmRaised", "EXITS_BLIND: quote of BTCUSDT is down")
        at.link.views["log"] = LogView(seeds.NOW, (*seeds.log(12).lines, line))
        await at.frames()
        assert "LIVE NOW: EXITS_BLIND" in at.text()


async def test_a_lost_engine_is_said_in_time_travel_too(ledger: Path) -> None:
    async with past(ledger) as (at, _):
        at.link.lose()
        await at.frames()
        assert "LIVE NOW: ENGINE LOST" in at.text()


async def test_what_is_not_recorded_says_so(ledger: Path) -> None:
    async with alone(ledger) as (at, screen):
        await press(at, "2")
        assert "a ledger keeps decisions and their prices" in [note.message for note in at.app._notifications][-1]
        await press(at, "9")
        assert at.app.focused is screen.panes["log"]


async def test_at_80_columns_every_pane_can_be_reached_by_the_number_it_has_on_the_desk(ledger: Path) -> None:
    async with alone(ledger, "80x24") as (at, screen):
        for number, name in ((1, "prices"), (4, "positions"), (5, "orders"), (6, "trades"), (7, "balance"), (9, "log")):
            await press(at, str(number))
            assert at.app.focused is screen.panes[name]
            assert screen.panes[name].is_on_screen, name


async def test_help_names_the_keys_that_move_and_says_which_are_refused(ledger: Path) -> None:
    async with alone(ledger) as (at, _):
        await press(at, "?")
        assert isinstance(at.app.screen, HelpScreen)
        said = at.said()
        for action in TRAVEL:
            assert action.help in said, action.id
        assert "Refused: nothing trades in time travel" in said


async def test_a_desk_that_does_not_know_its_ledger_names_the_command() -> None:
    async with desk() as at:
        await at.press("T")
        assert isinstance(at.app.screen, DeskScreen)
        assert "hoox ledger travel" in [note.message for note in at.app._notifications][-1]


async def test_a_ledger_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    async with desk(ledger=tmp_path / "none.sqlite") as at:
        await at.press("T")
        await at.frames()
        assert "there is no ledger at" in at.text()
        await at.press("escape")
        assert isinstance(at.app.screen, DeskScreen)


async def test_w_tells_why_a_row_was_there_with_nothing_that_came_later(ledger: Path) -> None:
    async with alone(ledger) as (at, screen):
        await press(at, "g", *"9", "enter")
        await arrived(at.pilot, 9)
        await at.pilot.press("5", "w")
        await at.app.workers.wait_for_complete()
        await at.frames(0)
        assert isinstance(at.app.screen, WhyScreen)
        assert "Order o-1, as it was after event 9" in at.text()
        assert "o-1 made: buy 0.05 BTCUSDT market" in at.text()
        assert "filled" not in at.text()
        await at.pilot.press("escape")
        await press(at, "end")
        await at.pilot.press("9", "w")
        await at.app.workers.wait_for_complete()
        assert isinstance(at.app.screen, WhyScreen)
        assert at.app.screen.name_asked.startswith("seq:")
        assert seq(screen) == LAST


@pytest.mark.parametrize("hole", [2, 20, 38])
async def test_a_ledger_that_lacks_an_event_says_which_and_the_desk_goes_on(ledger: Path, hole: int) -> None:
    with closing(sqlite3.connect(ledger)) as db:
        db.execute("DROP TRIGGER events_are_never_deleted")
        db.execute("DELETE FROM events WHERE seq = ?", (hole,))
        db.commit()
    async with desk(FakeLink(full_views()), ledger=ledger, size=SIZES["120x40"]) as at:
        await at.press("T")
        screen = await arrived(at.pilot, hole - 1)
        assert f"LEDGER DAMAGED: events: event {hole} is missing" in at.text()
        await press(at, "pageup", "end", "g", *"00:02:00", "enter", "left", "right")
        assert seq(screen) < hole
        await at.press("escape")
        assert isinstance(at.app.screen, DeskScreen)


async def test_the_screen_alone_needs_no_engine_and_esc_leaves_it(ledger: Path) -> None:
    app = PastApp(RecordedLink(ledger, until_seq=17), env="sim")
    async with app.run_test() as pilot:
        screen = await arrived(pilot, 17)
        await pilot.press("b", "f9", "x")
        assert app.screen is screen
        await pilot.press("escape")
        await pilot.pause()
        assert not app.is_running


Compare = Callable[..., bool]


@pytest.mark.parametrize("size", ["80x24", "120x40"])
def test_picture(snap_compare: Compare, ledger: Path, size: str) -> None:
    app = PastApp(RecordedLink(ledger, until_seq=33), env="sim", mono=ManualClock(START_NS).now_ns)

    async def drive(pilot: Pilot[Any]) -> None:
        await arrived(pilot, 33)

    assert snap_compare(app, run_before=drive, terminal_size=SIZES[size])
