"""How a command ends when it cannot do what was asked: one message on stderr, one exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from select import poll

FAILED = 1
USAGE = 2
NO_ENGINE = 3


class Problem(Exception):
    """The command cannot go on; the message says why and what to do."""

    code = FAILED


class NoEngine(Problem):
    """It needs a running engine and there is none."""

    code = NO_ENGINE


class Stopped(Problem):
    """The person pressed Ctrl-C."""

    code = 130


def note(text: str) -> None:
    """Lines for the person, beside the output."""
    for line in text.split("\n"):
        sys.stderr.write(f"{cleaned(line)}\n")
    sys.stderr.flush()


@contextmanager
def told() -> Iterator[None]:
    """What is known to go wrong becomes a message and SystemExit with its code; anything else is a bug and keeps its traceback."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError as error:
        if not nobody_reads():
            _say(str(error))
            raise SystemExit(FAILED) from None
        raise SystemExit(0) from None
    except Problem as problem:
        _say(str(problem))
        raise SystemExit(problem.code) from None
    except (RuntimeError, OSError, ValueError) as error:
        if isinstance(error, UnicodeEncodeError):
            bad = error.object[error.start : error.end]
            _say(f"{bad!r} is no text that can be written as {error.encoding}: give it, or set LANG, as UTF-8")
            raise SystemExit(FAILED) from None
        code = _known(error)
        if code is None:
            raise
        _say(_words(error))
        raise SystemExit(code) from None


def nobody_reads() -> bool:
    """`| head` has had enough, and gets no more; else it was another pipe that broke."""
    asked = poll()
    asked.register(sys.stdout.fileno(), 0)
    if not asked.poll(0):
        return False
    # What Python still holds back for it goes nowhere.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _known(error: Exception) -> int | None:
    from engine.intake.sources import SourcesError
    from engine.ledger.errors import LedgerError
    from engine.link.base import LinkLost
    from hoox_tui.settings import SettingsError

    if isinstance(error, SettingsError):
        return USAGE
    return FAILED if isinstance(error, LedgerError | LinkLost | SourcesError | OSError) else None


def _words(error: Exception) -> str:
    """Without the number of what the system reports, which means nothing to a person."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def cleaned(line: str) -> str:
    """Without control characters: what others wrote must not reach the terminal as more than text."""
    if line.isprintable():
        return line
    # Only what is not plain pays for the import.
    from engine.views.format import clean

    return clean(line)


def _say(message: str) -> None:
    note("\n".join(f"hoox: {line}" for line in message.splitlines()))
