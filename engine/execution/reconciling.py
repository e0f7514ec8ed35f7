"""Reconciler: listens to the account's stream, and asks the venue what stands whenever something may have been missed."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress

from engine.clock import Clock
from engine.core.inputs import Note, OrderSaid, VenueStands
from engine.core.state import State
from engine.execution.attempts import Take, Untold
from engine.execution.line import Line, Rank
from engine.feeds.base import Backoff, explain
from engine.model.event import AlarmRaised
from engine.venues.base import Standing, Venue
from engine.venues.errors import VenueError

log = logging.getLogger(__name__)

MARGIN_NS = 60_000_000_000
"""How much further back than the last good moment is asked: the venue's clock is another one, and its reports are late."""
FAR_NS = 3_600_000_000_000
"""The same where positions differ: what hid it may be older than the last moment that looked good."""
ALARM_AFTER = 3
"""Rounds that fail before a person is told."""


class Reconciler:
    """Keeps one account in step with its venue: at the start, after every gap of the stream, and every `every_s`."""

    def __init__(
        self,
        venue: Venue,
        account: str,
        line: Line,
        take: Take,
        state: Callable[[], State],
        clock: Clock,
        dice: random.Random,
        stood: Callable[[Standing], None],
        *,
        since_ns: int,
        every_s: float,
    ) -> None:
        """`stood` hears what the venue stated, after the core."""
        self._venue = venue
        self._account = account
        self._line = line
        self._take = take
        self._state = state
        self._clock = clock
        self._dice = dice
        self._stood = stood
        self._every = every_s
        self._good_ns = since_ns
        """Nothing of before is missing, and what was heard of it is durable."""
        self._durable = 0
        self._proposed: tuple[int, int] | None = None
        """(seq, time): once that event is durable, that time is good."""
        self._gap = True
        self._failures = 0
        self._wake = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []
        """Under way since `start`; whoever started them cancels them."""

    def start(self) -> None:
        """Listen and ask from now on."""
        self.tasks = [
            asyncio.create_task(self._listen(), name="reports"),
            asyncio.create_task(self._watch(), name="reconciliation"),
        ]

    def soon(self) -> None:
        """Something differs: ask again now."""
        self._wake.set()

    def missed(self) -> None:
        """Reports may be missing."""
        self._gap = True
        self._wake.set()

    def committed(self, seq: int) -> None:
        """Everything up to `seq` is on the disk."""
        self._durable = seq
        if self._proposed is not None and self._proposed[0] <= seq:
            self._good_ns = self._proposed[1]
            self._proposed = None

    def dropped(self) -> None:
        """What was heard lately did not get to the disk."""
        self._proposed = None
        self.missed()

    # --- The stream ---------------------------------------------------------------------------------

    async def _listen(self) -> None:
        backoff = Backoff(self._dice)
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                async for said in self._venue.reports():
                    now_ns = self._clock.now_ns()
                    if said is None or not self._take(OrderSaid(now_ns, self._account, said)):
                        self.missed()
            except Exception:
                log.exception("the reports of %s broke off", self._venue.name)
            self.missed()
            backoff.lasted(loop.time() - began)
            await asyncio.sleep(backoff.next())

    # --- What stands --------------------------------------------------------------------------------

    async def _watch(self) -> None:
        backoff = Backoff(self._dice)
        while True:
            self._wake.clear()
            agreed = await self._round_told()
            if agreed:
                backoff.lasted(float("inf"))
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._every):
                        await self._wake.wait()
            else:
                await asyncio.sleep(min(self._every, backoff.next()))

    async def _round_told(self) -> bool:
        """A round, and a word to the operator where they keep failing."""
        try:
            agreed = await self._round()
        except (VenueError, Untold) as error:
            self._failed(explain(error))
            return False
        except Exception as error:
            log.exception("reconciliation failed")
            self._failed(repr(error))
            return False
        self._failures = 0
        return agreed

    async def _round(self) -> bool:
        """Ask and tell; true when nothing is missing and nothing differs."""
        if self._gap or self._differs():
            await self._catch_up()
        await self._line.free(Rank.RECONCILE)
        asked_ns = self._clock.now_ns()
        standing = await self._line.call(self._venue.standing())
        now_ns = self._clock.now_ns()
        if not self._take(VenueStands(now_ns, self._account, asked_ns, standing.orders, standing.positions)):
            raise Untold("what the venue stated was not recorded")
        self._stood(standing)
        if self._gap or self._differs():
            return False
        self._proposed = (self._state().seq, asked_ns)
        self.committed(self._durable)
        return True

    async def _catch_up(self) -> None:
        """What filled or ended while nobody heard it."""
        self._gap = False
        try:
            await self._line.free(Rank.RECONCILE)
            back_ns = FAR_NS if self._differs() else MARGIN_NS
            since_ns = min(self._good_ns, self._clock.now_ns()) - back_ns
            for said in await self._line.call(self._venue.orders_since(since_ns)):
                if not self._take(OrderSaid(self._clock.now_ns(), self._account, said)):
                    raise Untold("what happened in a gap was not recorded")
        except BaseException:
            self._gap = True
            raise

    def _differs(self) -> bool:
        return any(key.partition("|")[0] == self._account for key in self._state().differs)

    def _failed(self, reason: str) -> None:
        self._failures += 1
        log.warning("%s does not say what stands: %s", self._venue.name, reason)
        if self._failures == ALARM_AFTER:
            message = f"{self._venue.name} does not say what stands, asked {ALARM_AFTER} times: {reason}"
            self._take(Note(self._clock.now_ns(), AlarmRaised("RECONCILE", message)))
