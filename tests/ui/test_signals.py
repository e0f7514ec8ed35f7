"""The signals screen: what came and what waits is seen, and what waits is decided through a preview."""

from __future__ import annotations

import msgspec
import pytest

from engine.model.command import ApproveSignal, DeclineSignal, ReplaySignal
from hoox_tui.app import FOLLOW
from hoox_tui.frame import NORMAL
from hoox_tui.keys import SIGNALS
from hoox_tui.screens.desk import DeskScreen
from hoox_tui.screens.preview import PreviewScreen
from hoox_tui.screens.signals import SignalsScreen
from hoox_tui.screens.signals_detail import SignalScreen
from hoox_tui.screens.why import WhyScreen
from tests.ui import signals_seed as seed
from tests.ui.desk_host import SIZES, Desk, desk
from tests.ui.fake_link import SCREEN, FakeLink, full_views
from widgets.signals import SignalsPane


def inbox(**status: object) -> FakeLink:
    views = full_views(**{"approvals": 1, "hand": SCREEN, **status})
    views["signals"] = seed.signals()
    for row in seed.ROWS:
        views[f"signal:{row.id}"] = seed.detail(row)
    return FakeLink(views)


async def opened(at: Desk) -> SignalsScreen:
    await at.press("f4")
    screen = at.app.screen
    assert isinstance(screen, SignalsScreen)
    return screen


async def test_the_desk_says_that_a_signal_waits_for_approval() -> None:
    async with desk(inbox(), size=SIZES["80x24"]) as at:
        assert "F4 APPROVE 1" in at.text()
        at.link.change_status(approvals=0)
        await at.frames()
        assert "APPROVE" not in at.text()


async def test_what_waits_for_approval_and_is_not_shown_is_counted() -> None:
    link = inbox()
    link.views["signals"] = msgspec.structs.replace(seed.signals(), total=400, approvals=8)
    async with desk(link, size=SIZES["80x24"]) as at:
        screen = await opened(at)
        assert screen.query_one(SignalsPane).count() == f"{len(seed.ROWS)} of 400, 7 more to approve"


async def test_f4_shows_the_inbox_and_asks_for_it_only_while_it_is_open() -> None:
    async with desk(inbox()) as at:
        assert "signals" not in at.link.topics
        await opened(at)
        assert "signals" in at.link.topics
        assert "status" in at.link.topics
        await at.press("escape")
        assert isinstance(at.app.screen, DeskScreen)
        assert "signals" not in at.link.topics


@pytest.mark.parametrize("size", list(SIZES))
async def test_each_signal_shows_its_verdict_at_every_size(size: str) -> None:
    async with desk(inbox(), size=SIZES[size]) as at:
        await opened(at)
        text = at.text()
        for said in (
            "APPROVE? 4:32",
            "retry 0:12 #2",
            "flat",
            "executed",
            "refused",
            "expired",
            "ignored",
            "UNKNOWN_SYMBOL",
        ):
            assert said in text
        assert "\x1b" not in text


async def test_a_countdown_runs_without_a_new_view() -> None:
    async with desk(inbox(), size=SIZES["80x24"]) as at:
        await opened(at)
        at.clock.advance(30 * seed.SECOND)
        at.link.last_frame_ns = at.clock.now_ns()
        await at.frames(6)
        assert "APPROVE? 4:0" in at.text()


async def test_the_health_of_each_source_is_told_the_quarantined_first() -> None:
    async with desk(inbox(), size=SIZES["120x40"]) as at:
        await opened(at)
        lines = [line for line in at.text().splitlines() if "accepted" in line]
        assert "grid-bot" in lines[0]
        assert "QUARANTINED 840 s" in lines[0]
        assert "BAD_KEY 6" in lines[0]
        assert "never heard" in lines[2]


async def test_a_search_narrows_down_and_escape_shows_all_again() -> None:
    async with desk(inbox()) as at:
        screen = await opened(at)
        await at.press("slash", *"sol ign")
        assert [row.symbol for row in screen.pane.rows()] == ["SOLUSDT"]
        await at.press("enter")
        assert screen.focused is screen.pane
        await at.press("escape")
        assert len(screen.pane.rows()) == len(seed.ROWS)
        assert at.app.screen is screen


async def test_a_search_without_hits_says_so() -> None:
    async with desk(inbox()) as at:
        await opened(at)
        await at.press("slash", *"xyz")
        assert "no signal matches 'xyz'" in at.text()


async def test_enter_shows_the_body_the_checks_the_stages_and_the_order() -> None:
    async with desk(inbox(), size=SIZES["120x40"]) as at:
        screen = await opened(at)
        screen.pane.select(3)
        await at.press("enter")
        assert isinstance(at.app.screen, SignalScreen)
        assert "signal:s04" in at.link.topics
        text = at.text()
        for said in ('"apiKey":"***"', "json ✓ key ✓", "venue", "2.4ms", "O7  buy 0.0016 BTCUSDT", "executed"):
            assert said in text
        await at.press("escape")
        assert at.app.screen_stack[-1] is screen
        assert "signal:s04" not in at.link.topics


async def test_the_detail_scrolls_to_its_end_at_80x24() -> None:
    async with desk(inbox(), size=SIZES["80x24"]) as at:
        await opened(at)
        await at.press("enter", "G")
        assert "quantityUnit" in at.text()


@pytest.mark.parametrize("from_detail", [False, True])
async def test_approval_is_sent_through_a_preview_only(from_detail: bool) -> None:
    async with desk(inbox(armed=True)) as at:
        await opened(at)
        await at.press(*(["enter"] if from_detail else []), "A")
        assert isinstance(at.app.screen, PreviewScreen)
        assert at.link.sent == []
        assert isinstance(at.link.asked[-1], ApproveSignal)
        await at.press("enter")
        (sent,) = at.link.sent
        assert isinstance(sent, ApproveSignal)
        assert sent.signal == "s01"


@pytest.mark.parametrize("from_detail", [False, True])
async def test_a_decline_is_sent_through_a_preview_only(from_detail: bool) -> None:
    async with desk(inbox()) as at:
        await opened(at)
        await at.press(*(["enter"] if from_detail else []), "D")
        assert at.link.sent == []
        await at.press("enter")
        (sent,) = at.link.sent
        assert isinstance(sent, DeclineSignal)
        assert sent.signal == "s01"


async def test_what_waits_for_nothing_can_be_neither_approved_nor_declined() -> None:
    async with desk(inbox()) as at:
        screen = await opened(at)
        screen.pane.select(3)
        await at.press("A", "D")
        assert at.app.screen is screen
        assert at.link.sent == []


async def test_a_watcher_is_told_that_declining_needs_the_hand() -> None:
    async with desk(inbox(hand="other")) as at:
        screen = await opened(at)
        await at.press("D")
        assert at.app.screen is screen
        assert any("press H" in note.message for note in at.app._notifications)


async def test_a_replay_is_offered_in_sim_only() -> None:
    async with desk(inbox(env="paper")) as at:
        screen = await opened(at)
        await at.press("R")
        assert at.app.screen is screen
        assert any("env sim only" in note.message for note in at.app._notifications)
    async with desk(inbox(env="sim")) as at:
        await opened(at)
        await at.press("R", "enter")
        (sent,) = at.link.sent
        assert isinstance(sent, ReplaySignal)


@pytest.mark.parametrize("row", [0, 3])
async def test_w_tells_the_whole_way_of_a_signal_with_an_order_and_without(row: int) -> None:
    async with desk(inbox()) as at:
        screen = await opened(at)
        screen.pane.select(row)
        assert screen.pane.selected is not None
        await at.press("w")
        assert isinstance(at.app.screen, WhyScreen)
        assert at.app.screen.name_asked == f"signal:{screen.pane.selected.id}"


async def test_every_key_of_the_signals_screen_sends_nothing_by_itself() -> None:
    async with desk(inbox(env="sim"), size=SIZES["80x24"]) as at:
        for action in SIGNALS:
            for key in action.keys.split(","):
                at.app.action_show_desk()
                await at.pilot.pause()
                await at.press("f4", key)
                assert at.link.sent == [], action.id
                assert isinstance(at.app.screen, PreviewScreen) == (action.danger or key == "D"), action.id


async def test_panic_keys_work_over_the_inbox() -> None:
    async with desk(inbox()) as at:
        await opened(at)
        await at.press("f9")
        assert isinstance(at.app.screen, PreviewScreen)


async def test_an_empty_inbox_says_how_signals_come() -> None:
    link = inbox(approvals=0)
    link.views["signals"] = seed.signals(())
    async with desk(link, size=SIZES["80x24"]) as at:
        await opened(at)
        assert "no signal yet" in at.text()
        assert "hoox source add" in at.text()
        await at.press("enter", "A", "D", "R", "w", "y")
        assert isinstance(at.app.screen, SignalsScreen)


@pytest.mark.parametrize("size", list(SIZES))
async def test_the_last_line_ends_with_the_way_to_the_help(size: str) -> None:
    async with desk(inbox(), size=SIZES[size]) as at:
        await opened(at)
        assert at.text().splitlines()[-1].rstrip(" ▐▌█").endswith("? help")


async def test_what_comes_is_drawn_at_the_next_tick_but_one() -> None:
    link = inbox(approvals=0)
    link.views["signals"] = seed.signals(())
    async with desk(link) as at:
        await opened(at)
        for _ in range(2 * NORMAL):
            link.views["signals"] = seed.signals(()) if link.views["signals"].rows else seed.signals()  # type: ignore[union-attr]
            await at.frames(FOLLOW)
            assert ("SOLUSDT" in at.text()) == bool(link.views["signals"].rows)  # type: ignore[union-attr]


async def test_a_decline_is_done_not_accepted() -> None:
    async with desk(inbox(), size=SIZES["120x40"]) as at:
        await opened(at)
        await at.press("D", "enter")
        said = [note.message for note in at.app._notifications][-1]
    assert "accepted" not in said
    assert said.endswith(": done")
