"""A terminal that is gone. Textual waits for its writer, and a writer whose terminal died never takes what waits for it."""

from __future__ import annotations

import os
import sys
import threading

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
