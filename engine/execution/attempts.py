"""Attempts: one try at one piece of work. What came of it goes to the core; what did not leave is simply due again."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from engine.clock import Clock
from engine.core.inputs import AmendRefused, Doubt, Input, NotSent, OrderSaid
from engine.core.outbox import Amend, Cancel, Query, Submit, Work, due_of, may_change, may_leave
from engine.core.state import State
from engine.execution.line import Line, Rank
from engine.execution.sorting import amend_failed, cancel_failed, never_left, query_failed, submit_failed
from engine.feeds.base import explain
from engine.model.instrument import InstrumentId
from engine.model.order import Order, OrderStatus, OrderTerms
from engine.model.report import VenuePosition
from engine.venues.base import Venue
from engine.venues.errors import RateLimited, Refused, VenueError

log = logging.getLogger(__name__)

Take = Callable[[Input], bool]
"""Tells the core; false when that was not written, and so did not happen."""
Halted = Callable[[], str]
"""Why the engine refuses entries at this moment; empty when it does not."""


class Untold(RuntimeError):
    """What the venue said could not be recorded."""


class Effort(Struct):
    """How one piece of work goes; times are the event loop's."""

    began: float
    until: float = math.inf
    """When it is given up."""
    last: VenueError | None = None
    """Why the last try did not leave."""
    watch: asyncio.TimerHandle | None = None
    """Looks whether it takes so long that a person must know."""


class Attempts:
    """Tries things at one venue, for one account."""

    def __init__(
        self, venue: Venue, line: Line, take: Take, state: Callable[[], State], clock: Clock, halted: Halted
    ) -> None:
        self._venue = venue
        self._line = line
        self._take = take
        self._state = state
        self._clock = clock
        self._halted = halted
        self.unsent: set[str] = set()
        """Orders that provably have not left: nothing else is ever submitted."""
        self._isolated: set[InstrumentId] = set()
        """Where the venue was told to isolate the margin."""
        self._leverage: dict[InstrumentId, int] = {}
        """What the venue was last told; nothing where it is not known."""

    def due(self, kind: type[Work], order_id: str) -> Work | None:
        """The work of this kind that the order still needs."""
        order = self._state().orders.get(order_id)
        return next((work for work in due_of(order) if type(work) is kind), None) if order is not None else None

    async def once(self, work: Work, effort: Effort) -> None:
        """Try. Raises Untold when the outcome could not be recorded."""
        match work:
            case Submit():
                await self._submit(work, effort)
            case Cancel():
                await self._cancel(work)
            case Amend():
                await self._amend(work, effort)
            case Query():
                await self._query(work, effort)

    def hear_leverage(self, positions: Sequence[VenuePosition]) -> None:
        """Where somebody else changed it, it is set again before the next order."""
        for position in positions:
            told = self._leverage.get(position.instrument)
            if position.leverage and told is not None and told != position.leverage:
                del self._leverage[position.instrument]

    def what_keeps(self, order_id: str, effort: Effort) -> str | None:
        """Why an order whose submit is due has not left; None where it may have."""
        if order_id not in self.unsent or self.due(Submit, order_id) is None:
            return None
        if effort.last is not None:
            return explain(effort.last)
        return f"{self._venue.name} takes no requests for now" if self._line.paused else "it was not tried yet"

    def tell(self, given: Input) -> None:
        """Tell the core; raises Untold."""
        if not self._take(given):
            raise Untold(f"{type(given).__name__} was not recorded")

    # --- Submit -------------------------------------------------------------------------------------

    async def _submit(self, work: Submit, effort: Effort) -> None:
        order = self._state().orders[work.order]
        terms = order.terms
        if work.order not in self.unsent:
            self.tell(Doubt(self._clock.now_ns(), work.order, "it may have left, and what came of it was not recorded"))
            return
        rank = Rank.EXIT if terms.reduce_only else Rank.ENTRY
        if not await self._in_time(rank, effort):
            self._not_sent(order, *_given_up(effort))
            return
        if not self._still_leaves(work):
            return
        if not terms.reduce_only:
            if not await self._prepared(order, effort) or not self._still_leaves(work):
                return
            order = self._state().orders[work.order]
        self.unsent.discard(work.order)
        try:
            said = await self._line.call(self._venue.submit(terms, order.size, order.price))
        except VenueError as error:
            if never_left(error):
                self.unsent.add(work.order)
            effort.last = error
            order = self._state().find_order(work.order) or order
            given = submit_failed(error, order, self._clock.now_ns())
            if given is not None:
                self.tell(given)
        else:
            self.tell(OrderSaid(self._clock.now_ns(), terms.account, said))

    def _still_leaves(self, work: Submit) -> bool:
        """Asked right before an attempt, with nothing awaited in between."""
        if self.due(Submit, work.order) is None:
            return False
        order = self._state().orders[work.order]
        refusal = may_leave(self._state(), work.order, self._halted())
        if refusal is not None:
            self._not_sent(order, refusal.code, refusal.message)
        return refusal is None

    async def _prepared(self, order: Order, effort: Effort) -> bool:
        """Margin mode, then leverage. False when one could not be set: then the order does not leave, now or at all."""
        terms = order.terms
        name = terms.instrument
        if name not in self._isolated:
            if not await self._set(order, effort, "MARGIN_MODE", "isolated margin", self._venue.isolate_margin(name)):
                return False
            self._isolated.add(name)
        # It may have been changed since the order was made, also while the venue is told, and holds for the whole position.
        while self._leverage.get(name) != (leverage := self._wanted(terms)):
            self._leverage.pop(name, None)
            told = self._venue.set_leverage(name, leverage)
            if not await self._set(order, effort, "LEVERAGE", f"leverage {leverage}x", told):
                return False
            self._leverage[name] = leverage
        return True

    def _wanted(self, terms: OrderTerms) -> int:
        return self._state().accounts[terms.account].leverage.get(terms.instrument, terms.leverage)

    async def _set(self, order: Order, effort: Effort, code: str, what: str, told: Awaitable[None]) -> bool:
        """Setting it twice is setting it once, so an answer that was lost is no reason to give up."""
        try:
            await self._line.call(told)
        except Refused as error:
            self._not_sent(order, code, f"{what} was refused: {explain(error)}")
        except VenueError as error:
            effort.last = error
        else:
            return True
        return False

    async def _in_time(self, rank: Rank, effort: Effort) -> bool:
        if _now() >= effort.until:
            return False
        if await self._line.free(rank, effort.until):
            return True
        effort.last = effort.last or RateLimited(f"{self._venue.name} takes no requests for now")
        return False

    def _not_sent(self, order: Order, code: str, reason: str) -> None:
        self.tell(NotSent(self._clock.now_ns(), order.terms.id, code, reason))
        self.unsent.discard(order.terms.id)

    # --- What is at the venue -----------------------------------------------------------------------

    async def _cancel(self, work: Cancel) -> None:
        await self._line.free(Rank.CANCEL)
        order = self._state().orders.get(work.order)
        if order is None:
            return
        try:
            said = await self._line.call(self._venue.cancel(order.terms))
        except VenueError as error:
            order = self._state().orders.get(work.order)
            given = cancel_failed(error, order, self._clock.now_ns()) if order is not None else None
            if given is not None:
                self.tell(given)
        else:
            self.tell(OrderSaid(self._clock.now_ns(), order.terms.account, said))

    async def _amend(self, work: Amend, effort: Effort) -> None:
        order = self._state().orders[work.order]
        terms = order.terms
        if order.status is OrderStatus.UNKNOWN:
            return
        rank = Rank.EXIT if terms.reduce_only else Rank.ENTRY
        in_time = await self._in_time(rank, effort)
        if self.due(Amend, work.order) != work:
            return
        order = self._state().orders[work.order]
        refusal = may_change(self._state(), work.order, self._halted())
        if refusal is not None or not in_time:
            why = refusal.message if refusal is not None else _given_up(effort)[1]
            self.tell(AmendRefused(self._clock.now_ns(), work.order, why))
            return
        try:
            said = await self._line.call(self._venue.amend(terms, work.price, work.size))
        except VenueError as error:
            effort.last = error
            if not never_left(error):
                effort.until = math.inf
            now_order = self._state().orders.get(work.order)
            given = amend_failed(error, now_order, self._clock.now_ns()) if now_order is not None else None
            if given is not None:
                self.tell(given)
        else:
            self.tell(OrderSaid(self._clock.now_ns(), terms.account, said))

    async def _query(self, work: Query, effort: Effort) -> None:
        await self._line.free(Rank.QUERY)
        order = self._state().orders.get(work.order)
        if order is None:
            return
        terms = order.terms
        # Asking begins when an attempt ended: from then on the venue has its grace.
        late = _now() - effort.began > self._venue.grace_s
        try:
            said = await self._line.call(self._venue.order(terms.client_id, terms.instrument))
        except VenueError as error:
            order = self._state().orders.get(work.order)
            if order is not None and self.due(Query, work.order) is not None:
                self.tell(query_failed(error, order, self._clock.now_ns(), late=late))
        else:
            self.tell(OrderSaid(self._clock.now_ns(), terms.account, said))


def _given_up(effort: Effort) -> tuple[str, str]:
    code = "RATE_LIMITED" if isinstance(effort.last, RateLimited) else "UNREACHABLE"
    why = explain(effort.last) if effort.last is not None else "what was sent before it is still under way"
    return code, f"given up after {_now() - effort.began:.0f} s: {why}"


def _now() -> float:
    return asyncio.get_running_loop().time()
