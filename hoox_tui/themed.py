"""What every application of Hoox looks like: themes, and the colour of the environment."""

from __future__ import annotations

from typing import TypeVar

from textual.app import App
from textual.notifications import SeverityLevel
from textual.types import AnimationLevel

from hoox_tui import themes

ResultT = TypeVar("ResultT")

ENVIRONMENTS = ("sim", "paper", "live")


class ThemedApp(App[ResultT], inherit_bindings=False):
    """Colours and toasts; `environment` says whose colour frames it."""

    TITLE = "Hoox"
    NOTIFICATION_TIMEOUT = 3
    CSS_PATH = ["styles/desk.tcss", "styles/modals.tcss", "styles/travel.tcss", "styles/signals.tcss"]

    def __init__(self, theme: str = themes.DEFAULT_THEME) -> None:
        super().__init__()
        self.animation_level: AnimationLevel = "none"
        for one in themes.THEMES:
            self.register_theme(one)
        self.theme = theme or themes.DEFAULT_THEME

    @property
    def environment(self) -> str:
        """sim, paper or live; anything else before it is known."""
        raise NotImplementedError

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """What themes of others do not set."""
        return themes.DEFAULTS

    def get_css_variables(self) -> dict[str, str]:
        """The theme's, and `env`: the colour of the environment."""
        variables = super().get_css_variables()
        env = self.environment if self.environment in ENVIRONMENTS else "none"
        return {**variables, "env": variables[f"env-{env}"]}

    def action_next_theme(self) -> None:
        """The next colour theme."""
        at = themes.NAMES.index(self.theme) if self.theme in themes.NAMES else -1
        self.theme = themes.NAMES[(at + 1) % len(themes.NAMES)]

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Say something over the line of keys; never as markup, which screens ask for unasked: what is said may hold brackets."""
        super().notify(message, title=title, severity=severity, timeout=timeout, markup=False)
