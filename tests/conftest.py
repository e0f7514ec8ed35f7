"""The suite does the same under nohup, and in the background of a script, where signals reach nobody."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """What is started by a test hears what a terminal would send it."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
