"""A terminal that is gone. Textual waits for its writer, and a writer whose terminal died never takes what waits for it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

LOOK_S = 1.0
PATIENCE_S = 3.0
"""How long a screen whose terminal is gone may take to leave; its engine is another process and goes on."""
HUNG_UP = 129


def terminal_gone() -> bool:
    """Standard input was a terminal and is none any more; no signal need have said so."""
    stdin = sys.__stdin__
    try:
        return stdin is not None and not stdin.closed and not os.isatty(stdin.fileno())
    except (OSError, ValueError):
        return True


def leave_anyway() -> None:
    """End the process in a while, whatever still stands in the way by then."""
    timer = threading.Timer(PATIENCE_S, os._exit, (HUNG_UP,))
    timer.daemon = True
    timer.start()


def watch_terminal(gone: Callable[[], object]) -> None:
    """Tell `gone`, from a thread, that the terminal is; and end the process in a while. Where there was none nothing can go.

    A loop that waits for a writer looks at nothing and hears no signal.
    """
    if terminal_gone():
        return

    def look() -> None:
        while not terminal_gone():
            pause.wait(LOOK_S)
        leave_anyway()
        gone()

    pause = threading.Event()
    threading.Thread(target=look, name="terminal-watch", daemon=True).start()
