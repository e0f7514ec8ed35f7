"""The frame clock: one tick that draws what is due, new and seen. Market speed never changes what a frame costs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.views import View

TICK = 0.05
"""Seconds; 20 Hz."""
LADDER, TALL_LADDER, NORMAL, LATENCY, CLOCK = 1, 2, 5, 10, 20
"""Ticks between frames: 20, 10, 4, 2 and 1 Hz."""
PROMPT = 2
"""Ticks between frames of what was just recorded."""
BLURRED = 5
"""While the terminal does not have the focus only every fifth tick draws: 4 Hz."""


@dataclass(slots=True)
class Slot:
    """A pane's place in the clock. `ageing` panes are drawn again when due though their view is the same: they show ages.
    `prompt` ones show what was just recorded before their turn: the engine sends it at once, and the rest at their pace.
    """

    topic: str
    every: int
    draw: Callable[[Any, int], None]
    seen: Callable[[], bool]
    ageing: bool = False
    prompt: bool = False
    due: int = 0
    early: int = 0
    """The tick from which a prompt one may be drawn again."""
    drawn: View | None = field(default=None, repr=False)

    def retarget(self, topic: str) -> None:
        """Draw another topic from the next tick on."""
        self.topic = topic
        self.renew()

    def renew(self) -> None:
        """Draw at the next tick, whether the view is new or not."""
        self.drawn = None
        self.due = 0


class FrameClock:
    """Counts ticks and draws the slots that are due; `convert` sees a view before its pane does."""

    def __init__(self, convert: Callable[[View], View], slots: list[Slot]) -> None:
        self._convert = convert
        self._slots = slots
        self.ticks = 0
        self.frames = 0
        """Panes drawn since the start."""

    def renew(self) -> None:
        """Draw every pane at the next tick."""
        for slot in self._slots:
            slot.renew()

    def hurry(self, topics: Collection[str]) -> None:
        """Somebody waits for these: draw them as soon as they are new, whatever their pace."""
        for slot in self._slots:
            if slot.topic in topics:
                slot.due = 0

    def tick(self, views: Mapping[str, View], now_ns: int, *, blurred: bool = False) -> list[str]:
        """Draw what is due; returns the topics drawn. `now_ns` is the engine's time."""
        self.ticks += 1
        if blurred and self.ticks % BLURRED:
            return []
        drawn = []
        for slot in self._slots:
            view = views.get(slot.topic)
            if not self._is_due(slot, view) or not slot.seen():
                continue
            slot.due = self.ticks + slot.every
            slot.early = self.ticks + PROMPT
            if view is not slot.drawn:
                drawn.append(slot.topic)
            slot.drawn = view
            slot.draw(self._convert(views[slot.topic]), now_ns)
        self.frames += len(drawn)
        return drawn

    def _is_due(self, slot: Slot, view: View | None) -> bool:
        if view is None:
            return False
        if self.ticks < slot.due:
            return slot.prompt and view is not slot.drawn and self.ticks >= slot.early
        return slot.ageing or view is not slot.drawn
