"""How a command ends when it cannot do what was asked: one message on stderr, one exit code."""

from __future__ import annotations

from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

FAILED = 1
USAGE = 2
NO_ENGINE = 3


class Problem(Exception):
    """The command cannot go on; the message says why and what to do."""

    code = FAILED


class NoEngine(Problem):
    """It needs a running engine and there is none."""

    code = NO_ENGINE


def note(text: str) -> None:
    """A line for the person, beside the output."""
    typer.echo(text, err=True)


class Group(TyperGroup):
    """Turns what is known to go wrong into a message and an exit code; anything else is a bug and keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except Problem as problem:
            _end(str(problem), problem.code)
        except (RuntimeError, OSError, ValueError) as error:
            code = _known(error)
            if code is None:
                raise
            _end(str(error), code)


def _known(error: Exception) -> int | None:
    from engine.ledger.errors import LedgerError
    from engine.link.base import LinkLost
    from hoox_tui.settings import SettingsError

    if isinstance(error, SettingsError):
        return USAGE
    return FAILED if isinstance(error, LedgerError | LinkLost | OSError) else None


def _end(message: str, code: int) -> NoReturn:
    note("\n".join(f"hoox: {line}" for line in message.splitlines()))
    raise typer.Exit(code)
