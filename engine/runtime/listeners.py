"""Who hears what the desk did, and when it is on the disk."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from engine.model.event import Event

log = logging.getLogger(__name__)


class Listener(Protocol):
    """Who is told what the desk did."""

    def tell(self, events: Sequence[Event]) -> None:
        """These events are folded and queued for the disk."""
        ...

    def committed(self, seq: int, committed_ns: int) -> None:
        """Everything up to `seq` is on the disk, since `committed_ns` (mono ns)."""
        ...

    def dropped(self, seq: int) -> None:
        """Whatever was told after `seq` did not happen."""
        ...


class Listeners:
    """Several listeners as one. What one of them fails on, the others hear all the same."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = list(listeners)

    def add(self, listener: Listener) -> None:
        """One more, from now on."""
        self._listeners.append(listener)

    def tell(self, events: Sequence[Event]) -> None:
        """See Listener."""
        self._each(lambda listener: listener.tell(events))

    def committed(self, seq: int, committed_ns: int) -> None:
        """See Listener."""
        self._each(lambda listener: listener.committed(seq, committed_ns))

    def dropped(self, seq: int) -> None:
        """See Listener."""
        self._each(lambda listener: listener.dropped(seq))

    def _each(self, say: Callable[[Listener], None]) -> None:
        for listener in self._listeners:
            try:
                say(listener)
            except Exception:  # what cannot be told is decided all the same
                log.exception("%s failed on what it was told", type(listener).__name__)
