"""The whole desk over a fake engine and a clock that only moves when told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Static

from engine.clock import ManualClock
from hoox_tui.app import DeskApp
from hoox_tui.screens.preview import PreviewScreen
from tests.ui.fake_link import FakeLink, full_views

START_NS = 1_000_000_000_000
MS = 1_000_000
ASKS = ("preview", "send", "draft")
"""Workers that end by themselves."""
SIZES = {"80x24": (80, 24), "120x40": (120, 40), "160x45": (160, 45)}


class Desk:
    """What a test holds: the app, its pilot, its engine and its clock."""

    def __init__(self, app: DeskApp, link: FakeLink, clock: ManualClock, pilot: Pilot[Any]) -> None:
        self.app = app
        self.link = link
        self.clock = clock
        self.pilot = pilot

    async def frames(self, count: int = 25) -> None:
        """So many ticks of the frame clock, then everything that follows from them."""
        for _ in range(count):
            self.app.tick()
        await self.pilot.pause()

    async def press(self, *keys: str) -> None:
        """Press keys a person's distance apart: 300 ms."""
        for key in keys:
            await self.pilot.press(key)
            await self.settled()
            self.clock.advance(300 * MS)
        await self.frames(6)

    async def settled(self) -> None:
        """What the key changed is painted, and what it asked for is answered, however busy the machine is."""
        await self.pilot.pause()
        async with asyncio.timeout(20):
            while self._is_busy():
                await self.pilot.pause(0.01)

    def _is_busy(self) -> bool:
        top = self.app.screen
        unpainted = isinstance(top, PreviewScreen) and top._guard._painted is None
        asked = any(worker.group in ASKS and not worker.is_finished for worker in self.app.workers)
        return unpainted or (asked and self.link.hold is None)

    @property
    def preview(self) -> PreviewScreen:
        """The preview on top."""
        screen = self.app.screen
        assert isinstance(screen, PreviewScreen), f"{screen} is on top, not a preview"
        return screen

    def text(self) -> str:
        """What the top screen has drawn, without colours."""
        rows = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in row) for row in rows)

    def said(self) -> str:
        """What the texts of the top screen say, however they are wrapped."""
        return "\n".join(str(static.content) for static in self.app.screen.query(Static))


@asynccontextmanager
async def desk(
    link: FakeLink | None = None, *, size: tuple[int, int] = (120, 40), **options: Any
) -> AsyncIterator[Desk]:
    """A desk that has drawn its first frames."""
    link = link or FakeLink(full_views())
    clock = ManualClock(START_NS)
    link.last_frame_ns = START_NS
    app = DeskApp(link, mono=clock.now_ns, **options)
    async with app.run_test(size=size, notifications=True) as pilot:
        held = Desk(app, link, clock, pilot)
        await held.frames()
        yield held
