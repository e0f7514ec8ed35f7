"""Quit: no engine is stopped that somebody would miss, and every way out says what stops and what stays open."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from hoox_tui.cli.show import farewell
from hoox_tui.screens.desk import DeskScreen
from hoox_tui.screens.quit import Leaving, QuitScreen
from tests.ui.desk_host import desk
from tests.ui.fake_link import FakeLink, full_views

FLAT: dict[str, Any] = {"open_positions": 0, "open_orders": 0}


def mine() -> bool:
    """This screen started the engine."""
    return True


async def test_quit_with_something_open_asks_and_says_what_stops() -> None:
    async with desk() as at:
        await at.press("Q")
        assert "2 open positions, 4 working orders." in at.said()
        assert "do NOT fire" in at.said()
        await at.press("escape")
        assert isinstance(at.app.screen, DeskScreen)
        await at.press("Q", "d")
        assert at.app.return_value is Leaving.DETACH
        assert at.link.stopped == []


async def test_quit_can_stop_the_engine() -> None:
    async with desk(owns_engine=mine) as at:
        await at.press("Q", "s")
        assert at.app.return_value is Leaving.STOP
        assert at.link.stopped == ["quit"]
    assert at.link.closed


async def test_quit_with_nothing_open_stops_its_own_engine_at_once() -> None:
    async with desk(FakeLink(full_views(**FLAT)), owns_engine=mine) as at:
        await at.press("Q")
        assert at.app.return_value is Leaving.STOP


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"webhook": "127.0.0.1:8787"}, "takes signals at 127.0.0.1:8787"),
        ({"mailbox": True}, "reads signals from a mailbox"),
        ({"waiting": 1, "approvals": 1}, "1 signal waits"),
        ({"waiting": 2}, "2 signals wait"),
        ({"differs": ("BTCUSDT venue says +0.010, ledger +0.000",)}, "venue says +0.010"),
        ({"open_orders": 1}, "0 open positions, 1 working order."),
    ],
)
async def test_its_own_engine_is_not_stopped_unasked_where_it_would_be_missed(
    changes: dict[str, Any], said: str
) -> None:
    async with desk(FakeLink(full_views(**{**FLAT, **changes})), owns_engine=mine) as at:
        await at.press("Q")
        assert isinstance(at.app.screen, QuitScreen)
        assert said in at.said()
        assert at.link.stopped == []


@pytest.mark.parametrize("changes", [{}, {"webhook": "127.0.0.1:8787", "mailbox": True, "waiting": 3, "approvals": 1}])
async def test_an_attached_screen_with_nothing_open_detaches(changes: dict[str, Any]) -> None:
    async with desk(FakeLink(full_views(**FLAT, **changes))) as at:
        await at.press("Q")
        assert at.app.return_value is Leaving.DETACH
        assert at.link.stopped == []


async def test_an_engine_that_others_watch_is_not_stopped_unasked() -> None:
    async with desk(FakeLink(full_views(**FLAT, screens=2)), owns_engine=mine) as at:
        await at.press("Q")
        assert at.app.return_value is Leaving.DETACH
        assert at.link.stopped == []


async def test_an_engine_that_said_nothing_yet_is_not_stopped_unasked() -> None:
    link = FakeLink(full_views(**FLAT))
    del link.views["status"]
    async with desk(link, owns_engine=mine) as at:
        await at.press("Q")
        assert "has not said yet what is open" in at.said()
        assert at.link.stopped == []


async def test_a_lost_engine_cannot_be_told_to_stop_and_that_is_said() -> None:
    async with desk(owns_engine=mine) as at:
        at.link.lose()
        await at.press("Q", "s")
        assert at.app.return_value is None
        assert "lost" in [note.message for note in at.app._notifications][-1]
        await at.press("Q", "d")
        assert at.app.return_value is Leaving.DETACH


async def test_there_is_no_detaching_from_an_engine_in_the_same_process() -> None:
    link = FakeLink(full_views())
    assert link.welcome is not None
    link.welcome = replace(link.welcome, pid=os.getpid())
    async with desk(link, owns_engine=mine) as at:
        await at.press("Q")
        assert "detach" not in at.said()
        await at.press("d")
        assert isinstance(at.app.screen, QuitScreen)
        await at.press("s")
        assert at.app.return_value is Leaving.STOP


async def test_an_attached_screen_can_stop_the_engine_by_the_palette() -> None:
    async with desk(FakeLink(full_views(**FLAT))) as at:
        found = [one for one in at.app.get_system_commands(at.app.screen) if one.title == "help: Stop the engine"]
        found[0].callback()
        await at.pilot.pause()
        await at.press("s")
        assert at.link.stopped == ["quit"]


def test_what_became_of_the_engine_is_said_after_leaving() -> None:
    assert farewell("detach", Path("sim.sqlite"), 4711) == (
        "the engine goes on watching sim.sqlite; hoox attaches to it again, kill 4711 stops it"
    )
    assert "told to stop" in farewell("stop", Path("sim.sqlite"), 4711)
    assert "kill" not in farewell("detach", Path("sim.sqlite"), 0)


async def test_an_engine_that_says_nothing_any_more_is_not_stopped_unasked() -> None:
    link = FakeLink(full_views(**FLAT))
    async with desk(link, owns_engine=mine) as at:
        link.last_frame_ns = at.clock.now_ns()
        at.clock.advance(60_000_000_000)
        await at.press("Q")
        assert isinstance(at.app.screen, QuitScreen)
        assert link.stopped == []


async def test_an_engine_in_this_process_that_others_watch_is_asked_about() -> None:
    link = FakeLink(full_views(**FLAT, screens=2))
    assert link.welcome is not None
    link.welcome = replace(link.welcome, pid=os.getpid())
    async with desk(link, owns_engine=mine) as at:
        await at.press("Q")
        assert isinstance(at.app.screen, QuitScreen)


def test_an_engine_that_is_gone_is_not_said_to_watch() -> None:
    said = farewell("detach", Path("sim.sqlite"), 4711, there=False)
    assert "no engine answers on sim.sqlite: stops held there do not fire" in said
    assert "4711" not in said
