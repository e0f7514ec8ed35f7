"""The event log as this screen shows it: the engine's lines and its own, in the order they arrived."""

from __future__ import annotations

from collections import deque
from itertools import takewhile

from engine.views import LogLine, LogView

LINES = 1_000


class MergedLog:
    """Own lines have seq 0: they are not in the ledger. Order is by arrival, so that a line never slips in unseen above."""

    def __init__(self) -> None:
        self._lines: deque[LogLine] = deque(maxlen=LINES)
        self._seen: LogView | None = None
        self._last: LogLine | None = None
        self._own = False
        self._view: LogView | None = None

    def note(self, line: LogLine) -> None:
        """Add a line of this screen's own."""
        self._lines.append(line)
        self._own = True
        self._view = None

    def merge(self, view: LogView) -> LogView:
        """All lines known by now; the same object while nothing was added."""
        if view is not self._seen:
            self._seen = view
            fresh = list(takewhile(lambda line: line != self._last, reversed(view.lines)))
            if fresh:
                self._lines.extend(reversed(fresh))
                self._last = fresh[0]
                self._view = None
        if not self._own:
            return view
        if self._view is None:
            self._view = LogView(view.time_ns, tuple(self._lines))
        return self._view
