"""Flags that several commands share, and the settings they lead to."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from hoox_tui.settings import Loaded, Settings

Env = Annotated[str | None, typer.Option("--env", help="sim, paper or live.", show_default="sim")]
Feed = Annotated[str | None, typer.Option("--feed", help="simulated, recording:FILE, backpack or binance.")]
Symbols = Annotated[str | None, typer.Option("--symbols", help="Symbols, separated by commas.")]
LedgerFile = Annotated[
    str | None, typer.Option("--ledger", metavar="FILE", help="The ledger, instead of the environment's own.")
]
Record = Annotated[str | None, typer.Option("--record", metavar="FILE", help="Write what the feed says to a file.")]
Seed = Annotated[str | None, typer.Option("--seed", metavar="N", help="Seed of the simulated market.")]
Rate = Annotated[str | None, typer.Option("--rate", metavar="N", help="Simulated quotes a second, 1 to 5000.")]
Speed = Annotated[str | None, typer.Option("--speed", metavar="X", help="How fast a recording plays: 1, 10, max.")]
Rehearse = Annotated[
    bool | None, typer.Option("--rehearse", help="Orders go over a bad line to a simulated exchange; env sim only.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


given_before: ContextVar[dict[str, Any]] = ContextVar("given_before", default={})  # noqa: B039 - set whole, never changed
"""Flags that stood before the command's name."""


def load_settings(**flags: Any) -> Loaded:
    """Settings with these flags on top; flags given before the command's name count too. Raises SettingsError."""
    from hoox_tui.settings import load

    return load({**given_before.get(), **{key: value for key, value in flags.items() if value is not None}})


def settings_for(env: str | None, feed: str | None, ledger: str | None) -> Settings:
    """Settings of a command that only needs to know the ledger."""
    return load_settings(env=env, feed=feed, ledger=ledger).settings
