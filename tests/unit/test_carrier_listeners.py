"""Several may hear what the desk did; what one of them fails on, the others hear all the same."""

from __future__ import annotations

from collections.abc import Sequence

from engine.model.event import Event
from engine.runtime.listeners import Listeners


class Ear:
    """Writes down what it hears, or fails on it."""

    def __init__(self, heard: list[str], name: str, broken: bool = False) -> None:
        self.heard, self.name, self.broken = heard, name, broken

    def tell(self, events: Sequence[Event]) -> None:
        self._hear(f"{len(events)} events")

    def committed(self, seq: int, committed_ns: int) -> None:
        self._hear(f"committed {seq}")

    def dropped(self, seq: int) -> None:
        self._hear(f"dropped {seq}")

    def _hear(self, what: str) -> None:
        if self.broken:
            raise RuntimeError(f"{self.name} cannot hear {what}")
        self.heard.append(f"{self.name}: {what}")


def test_a_listener_that_fails_keeps_nothing_from_the_others() -> None:
    heard: list[str] = []
    listeners = Listeners(Ear(heard, "broken", broken=True), Ear(heard, "first"))
    listeners.add(Ear(heard, "later"))
    listeners.tell([])
    listeners.committed(3, 0)
    listeners.dropped(2)
    expected = ["0 events", "committed 3", "dropped 2"]
    assert heard == [f"{name}: {what}" for what in expected for name in ("first", "later")]
