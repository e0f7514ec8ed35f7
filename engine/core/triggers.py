"""Armed price levels of one instrument, ordered by price: a quote that fires nothing costs two compares per price.

Lazy heaps: a level that is disarmed stays in its heap until it comes to the top. Levels are compared as floats, which
keep the order of decimals; whoever acts on a crossing compares again in decimals.
"""

from __future__ import annotations

import heapq
from enum import IntEnum, StrEnum

INF = float("inf")
COMPACT = 1_024
COMPACT_SHARE = 4
"""A heap is rebuilt when it is long and mostly disarmed levels, so its size stays bounded by what is armed."""


class Watched(StrEnum):
    """The prices a level may be compared with."""

    BID = "bid"
    ASK = "ask"
    LAST = "last"
    MARK = "mark"
    INDEX = "index"


class Kind(IntEnum):
    """What a crossing means; the order is the priority of semantics 4."""

    LIQUIDATE = 0
    STOP_LOSS = 1
    TRAIL_FIRE = 2
    TAKE_PROFIT = 3
    ENTRY = 4
    TRAIL_MOVE = 5


class Levels:
    """Levels on one watched price. `above` and `below` bound the band in which nothing happens (both exclusive)."""

    __slots__ = ("_down", "_index", "_up", "above", "below")

    def __init__(self, index: Triggers) -> None:
        self._index = index
        self._up: list[tuple[float, int]] = []
        self._down: list[tuple[float, int]] = []
        self.above = INF
        self.below = -INF

    def push(self, level: float, upward: bool, token: int) -> None:
        """Arm a level; `upward` fires at price >= level, else at price <= level."""
        if upward:
            heapq.heappush(self._up, (level, token))
            if level < self.above:
                self.above = level
        else:
            heapq.heappush(self._down, (-level, token))
            if level > self.below:
                self.below = level

    def settle(self) -> None:
        """Drop disarmed levels from the tops and set the band anew."""
        armed = self._index.armed
        up, down = self._up, self._down
        if len(up) + len(down) > COMPACT and len(up) + len(down) > COMPACT_SHARE * len(armed):
            up[:] = [item for item in up if item[1] in armed]
            down[:] = [item for item in down if item[1] in armed]
            heapq.heapify(up)
            heapq.heapify(down)
        while up and up[0][1] not in armed:
            heapq.heappop(up)
        while down and down[0][1] not in armed:
            heapq.heappop(down)
        self.above = up[0][0] if up else INF
        self.below = -down[0][0] if down else -INF

    def take(self, price: float) -> list[tuple[Kind, int, str]]:
        """Disarm and return what a price crosses, as (kind, token, id) in order of priority, then of arming."""
        index = self._index
        armed = index.armed
        crossed: list[tuple[Kind, int, str]] = []
        for heap, limit in ((self._up, price), (self._down, -price)):
            while heap and heap[0][0] <= limit:
                token = heapq.heappop(heap)[1]
                entry = armed.pop(token, None)
                if entry is not None:
                    index.forget(entry[1], token)
                    crossed.append((entry[0], token, entry[1]))
        self.settle()
        if len(crossed) > 1:
            crossed.sort()
        return crossed


class Triggers:
    """All armed levels of one instrument. An id (order or position) may have several."""

    __slots__ = ("_next", "_tokens", "armed", "ask", "bid", "index", "last", "levels", "mark")

    def __init__(self) -> None:
        self.armed: dict[int, tuple[Kind, str]] = {}
        self._tokens: dict[str, tuple[int, ...]] = {}
        self.bid = Levels(self)
        self.ask = Levels(self)
        self.last = Levels(self)
        self.mark = Levels(self)
        self.index = Levels(self)
        self.levels = {
            Watched.BID: self.bid,
            Watched.ASK: self.ask,
            Watched.LAST: self.last,
            Watched.MARK: self.mark,
            Watched.INDEX: self.index,
        }
        self._next = 0

    def arm(self, watched: Watched, level: float, upward: bool, kind: Kind, owner: str) -> None:
        """Arm a level for an order or position id."""
        token = self._next
        self._next = token + 1
        self.armed[token] = (kind, owner)
        self._tokens[owner] = (*self._tokens.get(owner, ()), token)
        self.levels[watched].push(level, upward, token)

    def disarm(self, owner: str) -> None:
        """Forget every level of an id; unknown ids are fine."""
        tokens = self._tokens.pop(owner, None)
        if tokens is None:
            return
        for token in tokens:
            self.armed.pop(token, None)
        for levels in self.levels.values():
            levels.settle()

    def forget(self, owner: str, token: int) -> None:
        """A token of an id was taken."""
        tokens = self._tokens.pop(owner)
        if len(tokens) > 1:
            self._tokens[owner] = tuple(t for t in tokens if t != token)
