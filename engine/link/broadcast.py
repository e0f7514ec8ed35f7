"""Broadcast: the latest frame of every wanted topic, encoded once for all viewers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.link.messages import Push, encode
from engine.link.port import EnginePort
from engine.link.wire import frame
from engine.views import View

MAX_HZ = 20.0
RECORDED = frozenset({"positions", "orders", "trades", "signals", "log"})
"""Topics that are asked for at once when an event became durable."""
_EARLY_NS = 5_000_000
"""A topic is due this much early, so that a late tick does not halve its rate."""
_UNKNOWN_NS = 250_000_000
FAILED_NS = 5_000_000_000
"""A view that raised is asked for again after this: the others go on."""


class Broadcast:
    """Asks the engine for views no faster than each topic's rate. Times are mono ns."""

    def __init__(self, port: EnginePort) -> None:
        self._port = port
        self._views: dict[str, View] = {}
        self._frames: dict[str, bytes] = {}
        self._due: dict[str, int] = {}
        self._seq = 0

    @property
    def latest(self) -> Mapping[str, bytes]:
        """Ready frames by topic; a frame's identity changes when its view does."""
        return self._frames

    def refresh(self, topics: Iterable[str], now: int) -> bool:
        """Bring the frames of these topics up to date and forget all others; true when something was recorded meanwhile."""
        wanted = set(topics)
        for topic in self._due.keys() - wanted:
            del self._due[topic]
            self._views.pop(topic, None)
            self._frames.pop(topic, None)
        seq = self._port.durable_seq()
        recorded = seq != self._seq
        if recorded:
            # A person waits for what was just recorded, not for the topic's pace.
            self._seq = seq
            for topic in RECORDED & wanted:
                self._due[topic] = 0
        for topic in wanted:
            if self._due.get(topic, 0) <= now + _EARLY_NS:
                self._ask(topic, now)
        return recorded

    def _ask(self, topic: str, now: int) -> None:
        self._due[topic] = now + FAILED_NS
        view = self._port.view(topic)
        if view is None:
            self._due[topic] = now + _UNKNOWN_NS
            return
        self._due[topic] = now + round(1e9 / min(self._port.rate(topic), MAX_HZ))
        if view is not self._views.get(topic):
            self._frames[topic] = frame(encode(Push(topic, view)))
            self._views[topic] = view
