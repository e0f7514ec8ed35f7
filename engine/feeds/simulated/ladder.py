"""One side of a simulated book: levels in integer ticks and steps, best first, and what changed since it was last shown."""

from __future__ import annotations

import random

LEVELS = 20
_SIZES = 1024


class Ladder:
    """A side; `away` is the direction of worse prices: -1 for bids, +1 for asks."""

    def __init__(self, rng: random.Random, away: int, best: int, median_size: float) -> None:
        self._random = rng.random
        self._away = away
        # Drawn beforehand: at 5,000 quotes a second the drawing would cost more than all the rest.
        self._sizes = [median_size * rng.lognormvariate(0.0, 0.9) for _ in range(_SIZES)]
        self.ticks: list[int] = []
        self.sizes: list[int] = []
        self.changed: dict[int, int] = {}
        """tick -> size now; 0 where the level is gone."""
        self.move_to(best)

    @property
    def best(self) -> int:
        """The best tick; a side is never empty."""
        return self.ticks[0]

    def move_to(self, best: int) -> None:
        """Make `best` the best level: better ones are pulled, a missing one is added; the side has LEVELS levels after."""
        ticks, away = self.ticks, self._away
        while ticks and (ticks[0] - best) * away < 0:
            self._remove(0)
        if not ticks or ticks[0] != best:
            self._insert(0, best)
        while len(ticks) < LEVELS:
            # Most gaps are one tick, a few are wide.
            gap = 1 if self._random() < 0.75 else 1 + int(self._random() * 5)
            self._insert(len(ticks), ticks[-1] + away * gap)
        while len(ticks) > LEVELS:
            self._remove(len(ticks) - 1)

    def resize(self, index: int) -> None:
        """Orders came and went at a level: draw its size anew, never the same."""
        size = self._draw(index)
        if size == self.sizes[index]:
            size += 1
        self.sizes[index] = self.changed[self.ticks[index]] = size

    def take(self, size: int, worst: int) -> list[tuple[int, int]]:
        """An aggressor takes up to `size` steps down to price `worst`; returns (tick, steps) fills. The last level stays."""
        fills: list[tuple[int, int]] = []
        while size > 0 and len(self.ticks) > 1 and (self.ticks[0] - worst) * self._away <= 0:
            tick, there = self.ticks[0], self.sizes[0]
            taken = min(size, there)
            fills.append((tick, taken))
            size -= taken
            if taken == there:
                self._remove(0)
            else:
                self.sizes[0] = self.changed[tick] = there - taken
        return fills

    def _insert(self, index: int, tick: int) -> None:
        size = self._draw(index)
        self.ticks.insert(index, tick)
        self.sizes.insert(index, size)
        self.changed[tick] = size

    def _remove(self, index: int) -> None:
        self.changed[self.ticks.pop(index)] = 0
        del self.sizes[index]

    def _draw(self, index: int) -> int:
        # Deeper levels hold more; sizes are lognormal as they are on real books.
        return 1 + int(self._sizes[int(self._random() * _SIZES)] * (0.6 + 0.08 * index))
