"""How often a topic is asked for: at its pace, and at once when something it shows became durable."""

from __future__ import annotations

from engine.link.broadcast import Broadcast
from engine.views import PositionsView
from tests.small_engine import SmallEngine

SLOW_HZ = 1.0
SECOND = 1_000_000_000


class Slow(SmallEngine):
    """Every topic once a second."""

    def rate(self, topic: str) -> float:
        return SLOW_HZ


async def test_what_was_just_recorded_does_not_wait_for_its_topics_pace() -> None:
    engine = Slow()
    engine.shown = {"positions": PositionsView(1, ()), "book:X": PositionsView(1, ())}
    broadcast = Broadcast(engine)
    topics = ("positions", "book:X")
    broadcast.refresh(topics, SECOND)
    first = dict(broadcast.latest)
    engine.shown = {"positions": PositionsView(2, ()), "book:X": PositionsView(2, ())}
    broadcast.refresh(topics, SECOND + 50_000_000)
    assert dict(broadcast.latest) == first
    engine.seq = 1
    broadcast.refresh(topics, SECOND + 100_000_000)
    assert broadcast.latest["positions"] != first["positions"]
    assert broadcast.latest["book:X"] == first["book:X"]
