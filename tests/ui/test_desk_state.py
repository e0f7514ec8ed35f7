"""The desk never pretends: environment, loss, age and pauses are on every screen."""

from __future__ import annotations

import os
import signal

import pytest

from engine.link.base import LinkState
from engine.views import Mode
from hoox_tui.screens.quit import Leaving
from tests.ui import seeds
from tests.ui.desk_host import MS, SIZES, desk
from tests.ui.fake_link import FakeLink, empty_views, full_views
from tests.ui.hosts import drawn


@pytest.mark.parametrize(("env", "keys"), [("sim", "xe/?Q!"), ("paper", "x"), ("live", "x")])
async def test_every_modal_is_framed_in_the_environment(env: str, keys: str) -> None:
    prices = "SIMULATED PRICES" if env == "sim" else ""
    async with desk(FakeLink(full_views(env=env, prices=prices))) as at:
        colour = at.app.get_css_variables()[f"env-{env}"]
        assert at.app.get_css_variables()["env"] == colour
        assert at.app.has_class(f"-{env}")
        for key in keys:
            await at.pilot.press("f2", key)
            frame = at.app.screen.query_one(".frame")
            assert str(frame.border_title).startswith(env.upper())
            assert frame.styles.border_top[1].hex.lower() == colour.lower()
            assert ("SIMULATED PRICES" in str(frame.border_title)) == (env == "sim")


async def test_the_frame_takes_its_colour_when_the_environment_becomes_known() -> None:
    link = FakeLink(empty_views())
    status = link.views.pop("status")
    link.welcome = None
    async with desk(link) as at:
        assert at.app.get_css_variables()["env"] == at.app.get_css_variables()["env-none"]
        link.views["status"] = status
        await at.frames()
        assert at.app.get_css_variables()["env"] == at.app.get_css_variables()["env-sim"]


async def test_a_lost_engine_is_said_everywhere_and_everything_is_old() -> None:
    async with desk() as at:
        at.link.lose()
        at.clock.advance(3_000 * MS)
        await at.frames(10)
        assert "ENGINE LOST 3 s: reconnecting" in at.text()
        assert at.app.desk.has_class("-old")
        assert "STALE" in at.text()
        await at.press("x")
        assert "ENGINE LOST 3 s: reconnecting" in at.said()
        await at.press("enter")
        assert at.link.sent == []
        assert "nothing can be sent" in at.said()


async def test_a_book_nothing_comes_for_goes_on_growing_old() -> None:
    async with desk() as at:
        at.link.lose()
        await at.frames()
        at.clock.advance(9_000 * MS)
        await at.frames()
        assert "STALE 9 s" in at.text()


async def test_a_returned_engine_is_drawn_afresh() -> None:
    async with desk() as at:
        at.link.lose()
        await at.frames(10)
        at.link.state = LinkState.CONNECTED
        await at.frames(10)
        assert "ENGINE LOST" not in at.text()
        assert not at.app.desk.has_class("-old")
        assert "STALE" not in at.text()


async def test_entries_cannot_be_armed_while_the_engine_is_lost() -> None:
    async with desk() as at:
        at.link.lose()
        await at.press("a")
        assert not at.app.seat.armed


async def test_a_silent_engine_is_not_taken_for_a_lively_one() -> None:
    async with desk() as at:
        at.clock.advance(6_000 * MS)
        await at.frames(6)
        assert "ENGINE SILENT 6 s" in at.text()
        assert "STALE" in at.text()
        assert at.app.desk.has_class("-old")


async def test_exits_only_is_across_the_screen() -> None:
    async with desk(FakeLink(full_views(mode=Mode.EXITS_ONLY, mode_reason="disk full"))) as at:
        assert "EXITS ONLY: disk full" in at.text()


async def test_pause_stops_the_display_and_says_for_how_long() -> None:
    async with desk() as at:
        await at.press("p")
        at.clock.advance(2_000 * MS)
        at.link.views["positions"] = seeds.positions(0)
        await at.frames(10)
        assert "DISPLAY PAUSED 2 s" in at.text()
        assert len(at.app.desk.positions.rows()) == 2
        await at.press("p")
        await at.frames(6)
        assert "PAUSED" not in at.text()
        assert len(at.app.desk.positions.rows()) == 0


async def test_an_order_ends_the_pause_so_that_its_result_shows() -> None:
    async with desk() as at:
        await at.press("p", "x", "enter")
        at.link.views["positions"] = seeds.positions(0)
        await at.frames()
        assert "PAUSED" not in at.text()
        assert len(at.app.desk.positions.rows()) == 0


@pytest.mark.parametrize("size", ["80x24", "120x40"])
async def test_the_end_of_a_recording_is_across_the_screen(size: str) -> None:
    async with desk(FakeLink(full_views(ended_ns=seeds.NOW)), size=SIZES[size]) as at:
        assert "RECORDING ENDED at 08:53:20 UTC" in at.text()
        assert "closes still work" in at.text()


@pytest.mark.parametrize("size", ["80x24", "120x40"])
async def test_a_rehearsal_is_marked_on_every_screen(size: str) -> None:
    async with desk(FakeLink(full_views(rehearsal=True)), size=SIZES[size]) as at:
        for key in ("f2", "x", "e", "slash", "question_mark", "Q", "!", "f4"):
            at.app.action_show_desk()
            await at.press(key)
            assert "REHEARSAL" in at.text(), key


async def test_a_hidden_pane_is_not_drawn_until_it_is_seen() -> None:
    async with desk(size=(80, 24)) as at:
        at.link.views["balance"] = seeds.balance(2)
        await at.frames()
        assert at.app.desk.balance._view is None
        await at.press("7")
        await at.frames()
        assert at.app.desk.balance._view is at.link.views["balance"]


async def test_nothing_new_draws_nothing() -> None:
    async with desk() as at:
        before = at.app.clock.frames
        await at.frames(60)
        assert at.app.clock.frames == before


async def test_the_tickets_figures_follow_the_market() -> None:
    async with desk() as at:
        await at.press("b", "2")
        before = len(at.link.asked)
        await at.frames(20)
        assert len(at.link.asked) > before
        assert at.link.asked[-1].request_id == "draft"
        assert at.link.sent == []


async def test_a_draft_that_cannot_be_read_shows_no_figures_of_the_one_before() -> None:
    async with desk() as at:
        await at.press("b", "2")
        await at.frames(20)
        shown = "\n".join(drawn(at.app.desk.ticket))
        assert "notional" in shown
        await at.press("up", "right")
        shown = "\n".join(drawn(at.app.desk.ticket))
        assert "type a price" in shown
        assert "notional" not in shown


async def test_a_blurred_terminal_gets_four_frames_a_second() -> None:
    async with desk() as at:
        at.app._blurred = True
        drawn = 0
        for seed in range(20):
            at.link.views[f"book:{seeds.BTC}"] = view = seeds.book(seed=seed)
            at.app.clock.tick(at.link.views, 0, blurred=True)
            drawn += at.app.desk.book._view is view
        assert drawn == 4


async def test_frames_are_skipped_while_the_terminal_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk() as at:
        monkeypatch.setattr("hoox_tui.app.output_backlogged", lambda _: True)
        at.link.views["positions"] = seeds.positions(0)
        await at.frames()
        assert len(at.app.desk.positions.rows()) == 2


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
async def test_a_lost_line_detaches(number: signal.Signals) -> None:
    async with desk() as at:
        os.kill(os.getpid(), number)
        await at.pilot.pause()
        assert at.app.return_value is Leaving.DETACH
        assert at.link.stopped == []


async def test_the_recovery_line_is_shown_once() -> None:
    async with desk(FakeLink(full_views(recovery="recovered 3 orders from seq 412"))) as at:
        assert [note.message for note in at.app._notifications] == ["recovered 3 orders from seq 412"]


async def test_what_was_recovered_is_one_line_at_80_columns() -> None:
    said = "recovered after a crash: 1 position, 0 orders, 28 events"
    async with desk(FakeLink(full_views(recovery=f"{said} (snapshot at 28, 0 after it)")), size=(80, 24)) as at:
        rows = at.text().splitlines()
        assert said in rows[-1]
        assert "recovered" not in rows[-2]


async def test_an_engine_that_came_back_after_a_crash_says_what_it_recovered() -> None:
    async with desk() as at:
        at.link.lose()
        await at.frames()
        at.link.state = LinkState.CONNECTED
        at.link.change_status(epoch=9, recovery="recovered: 1 position, 2 orders")
        await at.frames()
        assert "recovered: 1 position, 2 orders" in [note.message for note in at.app._notifications]


async def test_an_unknown_screen_is_refused_by_name() -> None:
    from hoox_tui.app import DeskApp

    with pytest.raises(ValueError, match="screen: 'ledger' is not there"):
        DeskApp(FakeLink(), screen="ledger")


async def test_a_banner_that_is_cut_says_so() -> None:
    async with desk(size=(80, 24)) as at:
        at.link.lose()
        at.link.detail = "no engine answers at /run/user/1000/hoox/7cd4ae9df1dca743.sock"
        await at.frames()
        (banner,) = [row for row in at.text().splitlines() if "ENGINE LOST" in row]
        assert "no engine answers at /run/u" in banner
        assert banner.rstrip(" ▐").endswith("…")


async def test_what_a_screen_says_may_hold_brackets() -> None:
    async with desk(size=(80, 24)) as at:
        at.app.desk.notify("[b]BTC[/i] is not known")
        await at.pilot.pause()
        assert "[b]BTC[/i] is not known" in at.text().splitlines()[-1]


@pytest.mark.parametrize("length", range(10, 64, 4))
async def test_what_is_said_leaves_no_half_key(length: int) -> None:
    async with desk(size=(80, 24)) as at:
        await at.press("4")
        whole = at.text().splitlines()[-1]
        at.app.notify("m" * length)
        await at.pilot.pause()
        await at.frames()
        line = at.text().splitlines()[-1]
        rest = line.partition("m" * length)[2].strip(" ▐")
        assert rest.endswith("? help")
        assert set(rest.split()) <= {*whole.split(), "b", "buy"}
        assert all((label in rest) == (f"{key} {label}" in rest) for key, label in (("x", "close"), ("e", "tp/sl")))
        at.app.clear_notifications()
        await at.pilot.pause()
        await at.frames()
        assert at.text().splitlines()[-1] == whole


async def test_what_is_said_hides_no_row_of_numbers() -> None:
    async with desk(size=(80, 24)) as at:
        at.app.notify("[x] first")
        at.app.notify("BUY 0.100 BTCUSDT  MARKET: accepted")
        await at.pilot.pause()
        rows = at.text().splitlines()
        assert "BUY 0.100 BTCUSDT  MARKET: accepted" in rows[-1]
        assert rows[-1].rstrip(" ▐").endswith("? help")
        assert "x close" in rows[-1]
        assert not any("[x] first" in row for row in rows)
        assert not any("accepted" in row for row in rows[:-1])
