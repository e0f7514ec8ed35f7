"""How a command ends when it cannot do what was asked: one message on stderr, one exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

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
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


@contextmanager
def told() -> Iterator[None]:
    """What is known to go wrong becomes a message and SystemExit with its code; anything else is a bug and keeps its traceback."""
    try:
        yield
    except Problem as problem:
        _say(str(problem))
        raise SystemExit(problem.code) from None
    except (RuntimeError, OSError, ValueError) as error:
        code = _known(error)
        if code is None:
            raise
        _say(str(error))
        raise SystemExit(code) from None


def _known(error: Exception) -> int | None:
    from engine.intake.sources import SourcesError
    from engine.ledger.errors import LedgerError
    from engine.link.base import LinkLost
    from hoox_tui.settings import SettingsError

    if isinstance(error, SettingsError):
        return USAGE
    return FAILED if isinstance(error, LedgerError | LinkLost | SourcesError | OSError) else None


def _say(message: str) -> None:
    note("\n".join(f"hoox: {line}" for line in message.splitlines()))
