"""What a frame of the whole desk sends to the terminal; exact and repeatable, so it gates."""

from __future__ import annotations

import pytest

from engine.clock import ManualClock
from hoox_tui.app import DeskApp
from tests.ui import seeds
from tests.ui.desk_host import START_NS
from tests.ui.fake_link import FakeLink, full_views
from tests.ui.hosts import RecordingDriver

FRAMES = 20
ANSI, TRUECOLOR = 60_000, 90_000
"""Bytes a second a desk of 160x45 may send."""


@pytest.mark.parametrize(("theme", "budget"), [("ansi-dark", ANSI), ("hoox-dark", TRUECOLOR)])
async def test_a_busy_second_stays_within_its_budget(theme: str, budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    link = FakeLink(full_views())
    link.last_frame_ns = START_NS
    clock = ManualClock(START_NS)
    app = DeskApp(link, mono=clock.now_ns, theme=theme)
    app.driver_class = RecordingDriver
    async with app.run_test(size=(160, 45), headless=False) as pilot:
        driver = app._driver
        assert isinstance(driver, RecordingDriver)
        for _ in range(25):
            app.tick()
        await pilot.pause()
        driver.taken()
        for frame in range(FRAMES):
            link.views[f"book:{seeds.BTC}"] = seeds.book(seed=frame + 2, share=0.3)
            if frame % 5 == 0:
                link.views["positions"] = seeds.positions(2 - frame // 5 % 2)
                link.views["log"] = seeds.log(12 + frame)
                link.change_status(ticks_per_second=200 + frame)
            app.tick()
            await pilot.pause()
        assert 0 < driver.taken() < budget


async def test_an_idle_desk_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    link = FakeLink(full_views())
    link.last_frame_ns = START_NS
    app = DeskApp(link, mono=ManualClock(START_NS).now_ns)
    app.driver_class = RecordingDriver
    async with app.run_test(size=(160, 45), headless=False) as pilot:
        driver = app._driver
        assert isinstance(driver, RecordingDriver)
        for _ in range(25):
            app.tick()
        await pilot.pause()
        await pilot.pause()  # twice: a first drawing may ask for a second
        driver.taken()
        for _ in range(FRAMES):
            app.tick()
        await pilot.pause()
        assert driver.taken() == 0
