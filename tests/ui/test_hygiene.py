"""Start-up stays cheap: what is not needed is not imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCREENS = ("textual", "plotext", "textual_plotext")


def imported(statement: str, names: tuple[str, ...]) -> list[str]:
    """Which of some packages a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint([name for name in {names!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return eval(run.stdout.strip().splitlines()[-1])  # noqa: S307


@pytest.mark.parametrize(
    "statement",
    [
        "import hoox_tui.cli",
        "import engine.core, engine.model, engine.link.base, engine.link.messages, engine.views",
        "import hoox_tui.seat, hoox_tui.intents, hoox_tui.frame, hoox_tui.loglines",
    ],
)
def test_commands_and_the_engine_know_no_screens(statement: str) -> None:
    assert imported(statement, SCREENS) == []


def test_version_imports_no_screens() -> None:
    code = (
        "import sys; sys.argv = ['hoox', '--version']\n"
        "from hoox_tui.cli import main\n"
        "try: main()\nexcept SystemExit: pass"
    )
    assert imported(code, SCREENS) == []


def test_the_desk_imports_plotext_only_for_a_study() -> None:
    assert imported("import hoox_tui.app", ("plotext", "textual_plotext")) == []


def test_the_desk_brings_the_core_and_the_ledger_along_only_for_who_looks_back() -> None:
    assert imported("import hoox_tui.app", ("engine.core.desk", "engine.ledger.history", "sqlite3")) == []
