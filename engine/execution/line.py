"""Line: the one way to a venue. Its rate limit is everybody's, and no call is waited for without end."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Awaitable
from enum import IntEnum
from typing import TypeVar

from engine.feeds.base import Backoff
from engine.venues.errors import Ambiguous, RateLimited, Refused, VenueError

log = logging.getLogger(__name__)

STAGGER_S = 0.2
"""When a pause ends, each rank waits this much longer than the one before it."""
CALL_S = 30.0
"""An adapter answers much sooner, or says why not; with this a broken one is given up."""
EXIT_S = 60.0
"""However long a venue wants no requests, one exit tries again after this, for all of them: a position must not be shut in."""
LOOK_S = 1.0
"""How often exits look whether that one got through."""
T = TypeVar("T")


class Rank(IntEnum):
    """Who goes first when the venue takes requests again."""

    EXIT = 0
    """Reduce-only orders."""
    CANCEL = 1
    """Behind the closes: a flattening may ask for a thousand."""
    QUERY = 2
    ENTRY = 3
    RECONCILE = 4


class Line:
    """Calls to one venue. Times are the event loop's."""

    def __init__(self, name: str, dice: random.Random) -> None:
        self._name = name
        self._backoff = Backoff(dice, base_s=1.0, cap_s=60.0)
        self._opens = -math.inf
        """When the venue takes requests again."""
        self._exits = -math.inf
        """When an exit tries all the same; from the moment on that one got through, all do."""
        self._paused = -math.inf
        """When the venue last said so."""

    @property
    def paused(self) -> bool:
        """The venue takes no requests for now."""
        return self._opens > asyncio.get_running_loop().time()

    async def free(self, rank: Rank, until: float = math.inf) -> bool:
        """Wait while the venue wants no requests; false, at once, when that lasts beyond `until`."""
        loop = asyncio.get_running_loop()
        while (opens := self._opens_for(rank)) > loop.time():
            if opens > until:
                return False
            wait = opens - loop.time()
            await asyncio.sleep(min(wait, LOOK_S) if rank is Rank.EXIT else wait)
        if rank is Rank.EXIT and self.paused and self._exits > -math.inf:
            self._exits = loop.time() + EXIT_S
        return True

    async def call(self, asked: Awaitable[T]) -> T:
        """The venue's answer; raises VenueError and nothing else. What an adapter broke on may have left."""
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(CALL_S):
                answer = await asked
        except RateLimited as error:
            self._pause(error.wait_s)
            raise
        except Refused:
            self._got_through(began)
            raise
        except VenueError:
            raise
        except TimeoutError as error:
            raise Ambiguous(f"{self._name} gave no answer within {CALL_S:g} s") from error
        except Exception as error:
            log.exception("the adapter of %s failed", self._name)
            raise Ambiguous(f"the adapter of {self._name} failed: {error!r}") from error
        self._backoff.lasted(math.inf)
        self._got_through(began)
        return answer

    def _opens_for(self, rank: Rank) -> float:
        opens = self._opens + rank * STAGGER_S
        return min(opens, self._exits) if rank is Rank.EXIT else opens

    def _got_through(self, began: float) -> None:
        if began > self._paused:
            self._exits = -math.inf

    def _pause(self, wait_s: float | None) -> None:
        now = self._paused = asyncio.get_running_loop().time()
        self._exits = now + EXIT_S
        if wait_s is not None:
            self._opens = max(self._opens, now + wait_s)
        elif self._opens <= now:
            self._opens = now + self._backoff.next()
