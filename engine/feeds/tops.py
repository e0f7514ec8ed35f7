"""The best prices of a book as its depth stream tells it: enough to see that a diff made it impossible. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from engine.feeds.sequence import Levels
from engine.model.market import Depth

_INFINITY = float("inf")


class BookTop:
    """Prices of one book without their sizes. Depths are applied in sequence; levels must be sane."""

    def __init__(self) -> None:
        self._bids: set[float] = set()
        self._asks: set[float] = set()
        self.bid = 0.0
        """Best bid; 0 without one."""
        self.ask = _INFINITY
        """Best ask; infinite without one."""

    def apply(self, depth: Depth) -> None:
        """Take a snapshot, or a diff that follows."""
        if depth.snapshot:
            self._bids.clear()
            self._asks.clear()
            self.bid, self.ask = 0.0, _INFINITY
        self.bid = _applied(self._bids, depth.bids, self.bid, max, 0.0)
        self.ask = _applied(self._asks, depth.asks, self.ask, min, _INFINITY)


def _applied(
    side: set[float], levels: Levels, best: float, better: Callable[[Iterable[float]], float], none: float
) -> float:
    """Put the levels into the side and return its best price; all of it is looked at only when the best one is gone."""
    for text, size in levels:
        price = float(text)
        if float(size):
            side.add(price)
            best = better((best, price))
        else:
            side.discard(price)
    return best if best in side else better(side) if side else none
