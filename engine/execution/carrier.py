"""Carrier: carries out at one venue what the core decided for one account, once it is on the disk. Decides nothing itself.

All it knows of its own is what is under way; what is due comes from the recorded state (core/outbox.py), so that neither
a crash nor a failed commit can lose it. Every outcome goes back to the core as a VenueInput.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from msgspec import Struct

from engine.clock import Clock
from engine.core.foreign import OWNER
from engine.core.inbox import SOURCE
from engine.core.inputs import Note
from engine.core.journal import text
from engine.core.outbox import Amend, Cancel, Query, Submit, Work, outbox
from engine.core.state import State
from engine.execution.attempts import Attempts, Effort, Halted, Take, Untold
from engine.execution.line import Line
from engine.execution.reconciling import Reconciler
from engine.feeds.base import Backoff
from engine.model import event as ev
from engine.model.event import Event
from engine.model.instrument import InstrumentId
from engine.venues.base import Standing, Venue

log = logging.getLogger(__name__)

ENTRY_PATIENCE_S = 60.0
SIGNAL_PATIENCE_S = 5.0
"""Of a signal's entry: what takes longer waits in the signals' own line, where it is seen and survives a restart."""
RECONCILE_S = 30.0
EXIT_WAITS_S, EXIT_AGAIN_S, EXIT_LOOK_S = 10.0, 600.0, 1.0
"""When a person is told of an exit that has not left, and told again; how often one that may have left is looked at."""
LAG_S = 2.0
"""How long after that a venue is asked whether an account is flat: its positions lag behind its fills."""
CLOSE_S = 2.0
"""How long a stop waits for answers that are on their way."""
PACE: dict[type[Work], tuple[float, float]] = {
    Submit: (0.25, 5.0),
    Cancel: (0.25, 5.0),
    Amend: (0.25, 5.0),
    Query: (1.0, 60.0),
}
"""First and longest delay between tries."""
ASKS: dict[type[ev.Body], type[Work]] = {
    ev.OrderSent: Submit,
    ev.CancelRequested: Cancel,
    ev.AmendRequested: Amend,
    ev.OrderUnknown: Query,
}
"""Events that ask for something, which waits until they are durable."""


class _Ask(Struct, frozen=True):
    seq: int
    kind: type[Work]
    order: str
    ours: bool
    """Not a stranger's, whose order the core only takes over."""


class Carrier:
    """A listener of the keeper. `start` when what its account starts with is durable, `close` before the keeper closes."""

    def __init__(
        self,
        venue: Venue,
        account: str,
        take: Take,
        state: Callable[[], State],
        clock: Clock,
        dice: random.Random,
        halted: Halted,
        *,
        since_ns: int,
        entry_patience_s: float = ENTRY_PATIENCE_S,
        reconcile_s: float = RECONCILE_S,
    ) -> None:
        """`since_ns`: the last recorded moment before this start; what happened at the venue since then is asked for."""
        self._account = account
        self._take = take
        self._state = state
        self._clock = clock
        self._dice = dice
        self._patience = entry_patience_s
        line = Line(venue.name, dice)
        self._attempts = Attempts(venue, line, take, state, clock, halted)
        self._reconciler = Reconciler(
            venue, account, line, take, state, clock, dice, self._stood, since_ns=since_ns, every_s=reconcile_s
        )
        self._asked: deque[_Ask] = deque()
        """What waits for the disk, by seq."""
        self._waiting: Counter[tuple[type[Work], str]] = Counter()
        """How often each piece of work is in there."""
        self._running: dict[tuple[type[Work], str], asyncio.Task[None]] = {}
        self._open = False
        self._closing = asyncio.Event()

    # --- What the keeper tells ----------------------------------------------------------------------

    def tell(self, events: Sequence[Event]) -> None:
        """Note what these events ask for."""
        for event in events:
            if event.account != self._account:
                continue
            body = event.body
            kind = ASKS.get(type(body))
            if kind is None:
                if isinstance(body, ev.PositionDiffers):
                    self._reconciler.soon()
                elif self._may_be_flat(body):
                    asyncio.get_running_loop().call_later(LAG_S, self._reconciler.soon)
                continue
            order: str = body.order  # type: ignore[union-attr]
            if kind is Query and (Query, order) in self._running:
                continue  # it is being asked for already
            self._asked.append(_Ask(event.seq, kind, order, event.owner != OWNER))
            self._waiting[kind, order] += 1

    def _may_be_flat(self, body: ev.Body) -> bool:
        """A flattening begins, or has closed a position: it ends when the venue says that nothing is left."""
        if isinstance(body, ev.OrderFilled):
            return not body.position.size and self._account in self._state().flattening
        return isinstance(body, ev.FlattenBegun)

    def committed(self, seq: int, committed_ns: int) -> None:
        """What was asked for up to `seq` may be done."""
        self._reconciler.committed(seq)
        asked: list[tuple[type[Work], str]] = []
        while self._asked and self._asked[0].seq <= seq:
            ask = self._asked.popleft()
            self._no_longer_waits(ask)
            asked.append((ask.kind, ask.order))
            if ask.kind is Submit and ask.ours:
                self._attempts.unsent.add(ask.order)
        # Only these: a commit must cost the same however many orders are live.
        for kind, order in asked:
            if self._open and self._ready(kind, order) and self._attempts.due(kind, order) is not None:
                self._begin(kind, order)

    def dropped(self, seq: int) -> None:
        """What was asked for after `seq` never left; what was heard since is asked for again."""
        while self._asked and self._asked[-1].seq > seq:
            self._no_longer_waits(self._asked.pop())
        self._reconciler.dropped()
        self._look()

    # --- Start and stop -----------------------------------------------------------------------------

    def start(self) -> None:
        """Ask for all that is not known, do all that is due, and keep in step with the venue from now on."""
        self._open = True
        self._look()
        self._reconciler.start()

    async def close(self) -> None:
        """Begin nothing more, wait shortly for answers that are on their way, then let go."""
        self._open = False
        self._closing.set()
        tasks = list(self._running.values())
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_S)
        await asyncio.gather(*self.abandon(), return_exceptions=True)

    def abandon(self) -> list[asyncio.Task[None]]:
        """Let go at once, as a process that is killed: not a step is taken any more. Returns what was let go."""
        self._open = False
        tasks = [*self._running.values(), *self._reconciler.tasks]
        for task in tasks:
            task.cancel()
        return tasks

    # --- Work ---------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Begin whatever is due, durable, and not under way."""
        if not self._open:
            return
        state = self._state()
        for work in outbox(state):
            if state.orders[work.order].terms.account == self._account and self._ready(type(work), work.order):
                self._begin(type(work), work.order)

    def _ready(self, kind: type[Work], order: str) -> bool:
        return (kind, order) not in self._waiting and (kind, order) not in self._running

    def _no_longer_waits(self, ask: _Ask) -> None:
        key = (ask.kind, ask.order)
        self._waiting[key] -= 1
        if not self._waiting[key]:
            del self._waiting[key]

    def _begin(self, kind: type[Work], order_id: str) -> None:
        effort = Effort(asyncio.get_running_loop().time())
        order = self._state().orders[order_id]
        before: list[asyncio.Task[None]] = []
        if kind in (Submit, Amend) and not order.terms.reduce_only:
            signalled = order.terms.owner.startswith(SOURCE)
            effort.until = effort.began + (min(self._patience, SIGNAL_PATIENCE_S) if signalled else self._patience)
        if kind is Submit and not order.terms.reduce_only:
            # An entry keeps its place behind all that left for its instrument; an exit waits for nobody.
            before.extend(self._submits(order.terms.instrument))
        elif kind in (Cancel, Amend) and (submit := self._running.get((Submit, order_id))) is not None:
            before.append(submit)
        work = self._carry(kind, order_id, effort, before)
        self._running[kind, order_id] = asyncio.create_task(work, name=f"{kind.__name__} {order_id}")

    def _submits(self, instrument: InstrumentId) -> Iterator[asyncio.Task[None]]:
        orders = self._state().orders
        for (kind, other), task in self._running.items():
            if kind is Submit and other in orders and orders[other].terms.instrument == instrument:
                yield task

    async def _carry(
        self, kind: type[Work], order_id: str, effort: Effort, before: Sequence[asyncio.Task[None]]
    ) -> None:
        """Try until it is no longer due. Nothing that goes wrong here ends another piece of work."""
        backoff = Backoff(self._dice, *PACE[kind])
        failed = False
        try:
            order = self._state().orders.get(order_id)
            if kind is Submit and order is not None and order.terms.reduce_only:
                self._watch_in(EXIT_WAITS_S, order_id, effort)
            if before:
                patience = effort.until - effort.began
                await asyncio.wait(before, timeout=patience if patience < math.inf else None)
            while self._open and (work := self._due(kind, order_id)) is not None:
                try:
                    await self._attempts.once(work, effort)
                except Untold as error:
                    log.warning("%s of %s: %s", kind.__name__, order_id, error)
                except Exception as error:
                    log.exception("%s of %s failed", kind.__name__, order_id)
                    if not failed:
                        failed = True
                        self._alarm(f"{kind.__name__} of {order_id} failed and is tried again: {error!r}")
                if self._due(kind, order_id) is not None:
                    await self._nap(backoff.next())
        finally:
            if effort.watch is not None:
                effort.watch.cancel()
            del self._running[kind, order_id]
            if kind is Submit and self._attempts.due(Submit, order_id) is None:
                self._attempts.unsent.discard(order_id)

    def _due(self, kind: type[Work], order_id: str) -> Work | None:
        """What is due and durable."""
        return None if (kind, order_id) in self._waiting else self._attempts.due(kind, order_id)

    def _stood(self, standing: Standing) -> None:
        """A round of reconciliation ended: nothing that is due may lie about."""
        self._attempts.hear_leverage(standing.positions)
        self._look()

    def _watch_in(self, seconds: float, order_id: str, effort: Effort) -> None:
        effort.watch = asyncio.get_running_loop().call_later(seconds, self._look_at_exit, order_id, effort)

    def _look_at_exit(self, order_id: str, effort: Effort) -> None:
        """Say what keeps an exit from leaving: only a person can close the position by another way."""
        why = self._attempts.what_keeps(order_id, effort)
        if why is not None:
            order = self._state().orders[order_id]
            symbol = self._state().instruments[order.terms.instrument].symbol
            waited = asyncio.get_running_loop().time() - effort.began
            self._alarm(
                f"exit {order_id}, {order.terms.side.lower()} {text(order.remaining)} {symbol}, has not left for "
                f"{waited:.0f} s: {why}; close it at the venue yourself if it cannot wait",
                "EXIT_WAITS",
            )
        self._watch_in(EXIT_LOOK_S if why is None else EXIT_AGAIN_S, order_id, effort)

    def _alarm(self, message: str, code: str = "EXECUTION") -> None:
        self._take(Note(self._clock.now_ns(), ev.AlarmRaised(code, message)))

    async def _nap(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()
