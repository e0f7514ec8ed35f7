"""The kill switch of an engine that is not running: a file beside the ledger that the next start obeys (DESIGN 9).

The runtime asks `left()` at start and now and then, switches the kill switch on with that reason, and calls `clear()` once that
is durable.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from engine.ledger.files import sync_folder


def kill_flag(ledger: Path) -> Path:
    """`sim.sqlite` -> `sim.sqlite.kill`, beside the file itself, whatever link leads to it."""
    file = ledger.resolve()
    return file.with_name(file.name + ".kill")


def leave(ledger: Path, reason: str) -> None:
    """Have the next start begin with the kill switch on; raises OSError. On a full disk the reason is left out: an empty flag counts."""
    flag = kill_flag(ledger)
    flag.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(flag, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with suppress(OSError):
            os.write(descriptor, f"{reason}\n".encode(errors="replace"))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(flag.parent)


def left(ledger: Path) -> str | None:
    """The reason that was left, None where there is no flag. A flag that cannot be read counts."""
    flag = kill_flag(ledger)
    try:
        return flag.read_text("utf-8", errors="replace").strip() or "left by hoox kill on"
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"{flag} is there but cannot be read: {error.strerror}"


def clear(ledger: Path) -> None:
    """It was obeyed, or taken back; raises OSError."""
    kill_flag(ledger).unlink(missing_ok=True)
