"""The world beyond the wire: the fake exchange, the faulty network to it, what others do there, and the truth to compare with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from decimal import Decimal

import msgspec

from engine.clock import Clock
from engine.core.state import State
from engine.model.instrument import Instrument, InstrumentId
from engine.model.order import OrderTerms
from engine.model.report import VenueOrder
from engine.sim.booking import Booked
from engine.sim.client import SimVenue
from engine.sim.endpoint import Endpoint
from engine.sim.exchange import Exchange
from engine.sim.faults import USUAL, Fault, Faults, child, weather
from engine.sim.mischief import Mischief
from engine.sim.network import Network
from engine.sim.protocol import REJECTED
from engine.venues.base import Standing
from engine.venues.errors import RateLimited, Unreachable

ZERO = Decimal(0)
_NOT_HERE = ("market_", "price_")
_MACHINE = (Fault.KILL, Fault.SLOW_FSYNC, Fault.FULL_DISK, Fault.CLOCK_BACK, Fault.CLOCK_FORWARD, Fault.SUSPEND)
_SELDOM = {
    Fault.FILL_AFTER_CANCEL: 4, Fault.CANCEL_UNKNOWN_FILLED: 4, Fault.OVERFILL: 4, Fault.LATE_REJECT: 4, Fault.MISSING_FROM_OPEN: 10,
}  # fmt: skip
"""A seed has few occasions for these: so much likelier."""
RATES = {
    f: rate * _SELDOM.get(f, 1) for f, rate in USUAL.items() if not f.value.startswith(_NOT_HERE) and f not in _MACHINE
}
"""What the network, the exchange and others there do; the market and the machine have steps of their own (plan.py)."""
OTHERS = ("web-", "autoclose-")
"""How the client ids of those begin who trade there beside us."""


class Outside:
    """One account's exchange and everything between; outlives the engines."""

    def __init__(
        self,
        seed: int,
        instrument: Instrument,
        clock: Clock,
        without: frozenset[str],
        told: Callable[[Fault, str], None],
    ) -> None:
        rates = {f: rate for f, rate in weather(seed, RATES).items() if f.value not in without}
        self.faults = Faults(seed, rates, told)
        self.symbol = instrument.symbol
        self.instrument = instrument
        self.exchange = Exchange([instrument], clock, self.faults, child(seed, "exchange"), Decimal(100_000))
        endpoint = Endpoint(self.exchange)
        self.network = Network(endpoint, self.faults, child(seed, "network"))
        endpoint.push = self.network.push
        self.mischief = Mischief(self.exchange, child(seed, "mischief"))
        self.mischief.start()
        self._seed = seed
        self._left: dict[str, int] = {}
        """Client id -> submits that may have arrived."""

    def client(self, life: int, watch: Watch) -> WatchedVenue:
        """The adapter of one life of the engine."""
        venue = SimVenue(self.network, [self.instrument], child(self._seed, f"client/{life}"))
        return WatchedVenue(venue, self._left, watch)

    def listing(self) -> Instrument:
        """The instrument as the exchange lists it now."""
        listed = self.exchange.listed[self.symbol]
        if listed.tick == self.instrument.tick and not listed.halted:
            return self.instrument
        return msgspec.structs.replace(self.instrument, tick=listed.tick, halted=listed.halted)

    def contradicts(self, client_id: str, ended: str) -> str:
        """Why an order of ours cannot have ended so here; empty where the exchange does not object."""
        named = self.exchange.named(client_id)
        if not named or not (named[-1].live or (ended == "OrderRejected" and named[-1].status != REJECTED)):
            return ""
        return f"{client_id} is taken as {ended}, and is {named[-1].status} at the exchange"

    def ours(self) -> list[Booked]:
        """Every order that we ever placed there."""
        return [order for order in self.exchange.orders if not order.client_id.startswith(OTHERS)]

    def doubled(self) -> str:
        """An order that is there more than once for one intent; empty where there is none."""
        for order in self.ours():
            if len(self.exchange.named(order.client_id)) > 1:
                return f"{order.client_id} is at the exchange {len(self.exchange.named(order.client_id))} times"
        return ""

    def differs(self, state: State) -> str:
        """Where the ledger is not what the exchange is; empty where they agree."""
        held = sum((p.size for p in state.positions.values()), ZERO)
        theirs = self.exchange.position(self.symbol)
        if held != theirs:
            return f"our position is {held}, the exchange's {theirs}"
        if state.differs:
            return f"the ledger says that {', '.join(state.differs)} differs"
        if state.unknown:
            return f"unknown: {', '.join(state.unknown)}"
        sent = (o for o in state.orders.values() if o.status not in ("HELD", "CREATED"))
        here = {o.terms.client_id: (o.filled, o.size, o.price) for o in sent}
        there = {o.client_id: (o.filled, o.size, o.price) for o in self.exchange.live_orders()}
        return f"live here {here}, at the exchange {there}" if here != there else ""

    def unbooked(self, filled: dict[str, Decimal]) -> str:
        """An order of ours whose fills the ledger has otherwise."""
        for order in self.ours():
            if filled.get(order.client_id, ZERO) != order.filled:
                return f"{order.client_id} filled {order.filled}, the ledger has {filled.get(order.client_id)}"
        return ""


Watch = Callable[[OrderTerms, bool], None]
"""Looks at an order in the moment it leaves, and whether it may have left before."""


class WatchedVenue:
    """The adapter, with somebody who looks at everything that leaves."""

    def __init__(self, venue: SimVenue, left: dict[str, int], watch: Watch) -> None:
        self._venue = venue
        self._left = left
        self._watch = watch
        self.name = venue.name
        self.grace_s = venue.grace_s

    async def submit(self, terms: OrderTerms, size: Decimal, price: Decimal | None) -> VenueOrder:
        """See Venue. What may have arrived is never sent again."""
        self._watch(terms, bool(self._left.get(terms.client_id)))
        self._left[terms.client_id] = 1
        try:
            return await self._venue.submit(terms, size, price)
        except (Unreachable, RateLimited):
            self._left[terms.client_id] = 0
            raise

    async def cancel(self, terms: OrderTerms) -> VenueOrder:
        """See Venue."""
        return await self._venue.cancel(terms)

    async def amend(self, terms: OrderTerms, price: Decimal | None, size: Decimal | None) -> VenueOrder:
        """See Venue."""
        return await self._venue.amend(terms, price, size)

    async def order(self, client_id: str, instrument: InstrumentId) -> VenueOrder:
        """See Venue."""
        return await self._venue.order(client_id, instrument)

    async def standing(self) -> Standing:
        """See Venue."""
        return await self._venue.standing()

    async def orders_since(self, since_ns: int) -> tuple[VenueOrder, ...]:
        """See Venue."""
        return await self._venue.orders_since(since_ns)

    async def isolate_margin(self, instrument: InstrumentId) -> None:
        """See Venue."""
        await self._venue.isolate_margin(instrument)

    async def set_leverage(self, instrument: InstrumentId, leverage: int) -> None:
        """See Venue."""
        await self._venue.set_leverage(instrument, leverage)

    def reports(self) -> AsyncIterator[VenueOrder | None]:
        """See Venue."""
        return self._venue.reports()
