"""Is the terminal behind? The one place that touches Textual's private writer queue."""

from __future__ import annotations

from queue import Queue
from typing import Any

from textual.app import App

MAX_WAITING = 3
"""Writes that may wait before frames are skipped; at 30 Textual's writer blocks the event loop."""


def output_backlogged(app: App[Any]) -> bool:
    """True while more than MAX_WAITING writes wait for the terminal; False where that cannot be known."""
    writer = getattr(getattr(app, "_driver", None), "_writer_thread", None)
    queue = getattr(writer, "_queue", None)
    return isinstance(queue, Queue) and queue.qsize() > MAX_WAITING
