"""Time travel on its own: the screen over a ledger file, without an engine."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.screen import Screen

from engine.clock import mono_ns
from engine.link.recorded import RecordedLink
from hoox_tui import themes
from hoox_tui.frame import NORMAL, TICK
from hoox_tui.screens.help import HelpScreen, help_text
from hoox_tui.screens.modal import Beats
from hoox_tui.screens.travel import TravelScreen
from hoox_tui.themed import ThemedApp


class PastApp(ThemedApp[None], inherit_bindings=False):
    """A ledger to look back in."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "quit", "Leave", id="past.quit", tooltip="Leave"),
        Binding("?,f1", "open_help", "Help", id="help.keys", tooltip="What the keys do here"),
        Binding("t", "next_theme", "Theme", id="past.theme", tooltip="Next colour theme"),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self, link: RecordedLink, *, env: str, theme: str = themes.DEFAULT_THEME, mono: Callable[[], int] = mono_ns
    ) -> None:
        """`env` is what the ledger is stamped with."""
        self._env = env
        super().__init__(theme)
        self.travel = TravelScreen(link, mono, self.exit)

    @property
    def environment(self) -> str:
        """The ledger's."""
        return self._env

    def get_default_screen(self) -> Screen[None]:
        """There is no desk to go back to."""
        return self.travel

    def on_mount(self) -> None:
        """Look four times a second for what the background found."""
        self.set_interval(TICK * NORMAL, self.beat)

    def beat(self) -> None:
        """Pass it on to every screen."""
        for screen in self.screen_stack:
            if isinstance(screen, Beats):
                screen.beat()

    def action_open_help(self) -> None:
        """What the keys do here."""
        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.travel.seat, help_text(self.screen)))


def run_past(link: RecordedLink, *, env: str, theme: str) -> None:
    """Look back until the person leaves."""
    remote = bool(os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY"))
    PastApp(link, env=env, theme=theme).run(mouse=not remote)
