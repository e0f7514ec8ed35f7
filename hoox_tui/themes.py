"""Colour themes. Besides Textual's own, each sets `up down long short stale`, the three environment colours and that of time travel."""

from __future__ import annotations

from textual.theme import Theme

DEFAULT_THEME = "hoox-dark"

DEFAULTS: dict[str, str] = {
    "up": "ansi_green",
    "down": "ansi_red",
    "long": "ansi_green",
    "short": "ansi_red",
    "stale": "ansi_bright_black",
    "env-none": "ansi_bright_black",
    "env-sim": "ansi_blue",
    "env-paper": "ansi_yellow",
    "env-live": "ansi_red",
    "env-text": "ansi_bright_white",
    "travel": "ansi_magenta",
    "rule": "ansi_bright_black",
}
"""For themes that do not set them, such as ansi-dark: the terminal's own colours."""


def _theme(
    name: str, *, ground: tuple[str, str, str, str], text: str, up: str, down: str, stale: str, dark: bool
) -> Theme:
    """A theme from ground colours (background, surface, panel, rule), text, and the gain / loss pair."""
    background, surface, panel, rule = ground
    return Theme(
        name=name,
        primary="#5b9dff" if dark else "#1f5fbf",
        secondary="#8a7dff" if dark else "#5a49c8",
        accent="#35c4d7" if dark else "#0b7285",
        warning="#e8a33d" if dark else "#a15c00",
        error=down,
        success=up,
        foreground=text,
        background=background,
        surface=surface,
        panel=panel,
        dark=dark,
        variables={
            "up": up,
            "down": down,
            "long": up,
            "short": down,
            "stale": stale,
            "rule": rule,
            "env-none": stale,
            "env-sim": "#2f6fdb",
            "env-paper": "#b7791f",
            "env-live": "#c62f3b",
            "env-text": "#ffffff",
            "travel": "#8a3ffc",
            "block-cursor-foreground": text,
            "block-cursor-background": panel,
            "block-cursor-text-style": "none",
        },
    )


THEMES: tuple[Theme, ...] = (
    _theme(
        "hoox-dark",
        ground=("#0a0e13", "#0f151c", "#1a2430", "#263341"),
        text="#cdd6df",
        up="#2ecc8f",
        down="#f2616d",
        stale="#64717f",
        dark=True,
    ),
    _theme(
        "hoox-light",
        ground=("#f6f7f9", "#ffffff", "#e4e8ed", "#c3cbd4"),
        text="#1c2530",
        up="#0a7d4f",
        down="#c0293a",
        stale="#8b95a1",
        dark=False,
    ),
    # Blue against orange: told apart by every common kind of colour blindness.
    _theme(
        "hoox-cb",
        ground=("#0a0e13", "#0f151c", "#1a2430", "#263341"),
        text="#cdd6df",
        up="#4fa8ff",
        down="#ff9a3c",
        stale="#64717f",
        dark=True,
    ),
)
NAMES: tuple[str, ...] = (*(theme.name for theme in THEMES), "ansi-dark")
"""The themes that `t` walks through."""
