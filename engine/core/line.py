"""Line: which signals take turns in one instrument of an account, and which of them wait for a person before that."""

from __future__ import annotations

from collections.abc import Iterable

from engine.core.translate import LEAVES
from engine.model.signal import SignalAction


class Line:
    """Ids of live signals with their actions, in the order of their turns; volatile, rebuilt from recorded state."""

    __slots__ = ("_counts", "asked", "closes", "turns")

    def __init__(self) -> None:
        self.turns: dict[str, SignalAction] = {}
        self.asked: dict[str, SignalAction] = {}
        """Those that wait for approval."""
        self.closes: dict[str, SignalAction] = {}
        """Those of the turns that close."""
        self._counts: dict[SignalAction, int] = {}

    def __bool__(self) -> bool:
        return bool(self.turns or self.asked)

    def ask(self, signal: str, action: SignalAction) -> None:
        """It waits for approval."""
        self.drop(signal)
        self.asked[signal] = action
        self._count(action, 1)

    def join(self, signal: str, action: SignalAction) -> None:
        """It takes its turn behind all that are there."""
        self.drop(signal)
        self.turns[signal] = action
        if action in LEAVES:
            self.closes[signal] = action
        self._count(action, 1)

    def drop(self, signal: str) -> None:
        """It is through, or has ended."""
        action = self.turns.pop(signal, None) or self.asked.pop(signal, None)
        self.closes.pop(signal, None)
        if action is not None:
            self._count(action, -1)

    def holds(self, actions: Iterable[SignalAction]) -> bool:
        """Whether there is any of these."""
        return any(self._counts.get(action) for action in actions)

    def among(self, actions: frozenset[SignalAction]) -> list[str]:
        """Those of these actions."""
        return [signal for held in (self.turns, self.asked) for signal, action in held.items() if action in actions]

    def _count(self, action: SignalAction, more: int) -> None:
        self._counts[action] = self._counts.get(action, 0) + more
