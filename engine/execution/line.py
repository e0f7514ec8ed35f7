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
from engine.venues.errors import Ambiguous, RateLimited, VenueError

log = logging.getLogger(__name__)

STAGGER_S = 0.2
"""When a pause ends, each rank waits this much longer than the one before it."""
CALL_S = 30.0
"""An adapter answers much sooner, or says why not; with this a broken one is given up."""
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

    async def free(self, rank: Rank, until: float = math.inf) -> bool:
        """Wait while the venue wants no requests; false, at once, when that lasts beyond `until`."""
        loop = asyncio.get_running_loop()
        while (opens := self._opens + rank * STAGGER_S) > loop.time():
            if opens > until:
                return False
            await asyncio.sleep(opens - loop.time())
        return True

    async def call(self, asked: Awaitable[T]) -> T:
        """The venue's answer; raises VenueError and nothing else. What an adapter broke on may have left."""
        try:
            async with asyncio.timeout(CALL_S):
                answer = await asked
        except RateLimited as error:
            self._pause(error.wait_s)
            raise
        except VenueError:
            raise
        except TimeoutError as error:
            raise Ambiguous(f"{self._name} gave no answer within {CALL_S:g} s") from error
        except Exception as error:
            log.exception("the adapter of %s failed", self._name)
            raise Ambiguous(f"the adapter of {self._name} failed: {error!r}") from error
        self._backoff.lasted(math.inf)
        return answer

    def _pause(self, wait_s: float | None) -> None:
        now = asyncio.get_running_loop().time()
        if wait_s is not None:
            self._opens = max(self._opens, now + wait_s)
        elif self._opens <= now:
            self._opens = now + self._backoff.next()
