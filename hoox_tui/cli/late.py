"""Settings that only a start obeys, given to an engine that runs already: they are named, not silently ignored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hoox_tui.cli.ask import with_engine
from hoox_tui.cli.problems import Problem, note

if TYPE_CHECKING:
    from hoox_tui.settings import Loaded

SCREENS = frozenset({"home", "theme", "feed", "ledger"})
"""What an engine need not be asked about: the screen's own, what leads to the engine, and the feed, which is compared before."""
ELSEWHERE = {
    "latency_ms": "latency_ns",
    "risk.max_data_age_ms": "limits.max_data_age_ns",
    "webhook_rate": "intake.address_rate",
}
INTAKE = ("webhook", "behind_proxy", "mail", "mail_password_file", "mail_authserv")


def say_late(loaded: Loaded) -> None:
    """One line that names what the running engine does not obey; nothing where it does, or none runs."""
    late = late_settings(loaded)
    if late:
        note(f"the engine was running already: {', '.join(late)} changed nothing; the next start obeys")


def late_settings(loaded: Loaded) -> list[str]:
    """What was given and differs from what the running engine was started with, spelled as where it was given."""
    from hoox_tui.cli.launch import engine_config
    from hoox_tui.settings import spelled

    given = [key for key in loaded.sources if key not in SCREENS]
    if not given:
        return []
    try:
        running: dict[str, Any] = with_engine(loaded.settings, lambda link: link.query("config"))
    except (Problem, OSError, RuntimeError):
        # None runs, it is ending, or it is of a version that cannot say: nothing else depends on it.
        return []
    wanted = engine_config(loaded.settings)
    differ = (key for key in given if _at(wanted, key) != _at(running, key) and _counts(wanted, key))
    return [spelled(loaded.sources[key], key) for key in differ]


def place(key: str) -> str:
    """Where a setting stands in an engine's configuration."""
    if key in ELSEWHERE:
        return ELSEWHERE[key]
    if key in INTAKE:
        return f"intake.{key}"
    if key.startswith("webhook_"):
        return f"intake.{key.removeprefix('webhook_')}"
    return key.replace("risk.", "limits.")


def _at(config: Mapping[str, Any], key: str) -> Any:
    group, _, name = place(key).rpartition(".")
    value = ((config.get(group) or {}) if group else config).get(name)
    return None if value == "" else value


def _counts(wanted: Mapping[str, Any], key: str) -> bool:
    """How signals are taken says nothing where none are."""
    return key in ("webhook", "mail") or wanted["intake"] is not None or not place(key).startswith("intake.")
