"""Venue: one account at one exchange, behind one interface. Adapters translate; they decide nothing and remember nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Protocol

from msgspec import Struct

from engine.model.instrument import InstrumentId
from engine.model.order import OrderTerms
from engine.model.report import VenueOrder, VenuePosition


class Standing(Struct, frozen=True):
    """All open orders and open positions of the account at one moment."""

    orders: tuple[VenueOrder, ...]
    positions: tuple[VenuePosition, ...]


class Venue(Protocol):
    """Every method raises engine.venues.errors.VenueError: Refused, NotFound, RateLimited, Unreachable or Ambiguous."""

    name: str
    grace_s: float
    """For so long after a submit a direct query may answer "no such order" although it arrives yet."""

    async def submit(self, terms: OrderTerms, size: Decimal, price: Decimal | None) -> VenueOrder:
        """Place an order under its client id; returns what the venue states at once (accepted, or filled already).

        "Duplicate client id" is Ambiguous and never Refused: an earlier try has arrived, and what became of it is asked for.
        """
        ...

    async def cancel(self, terms: OrderTerms) -> VenueOrder:
        """Take an order out; returns its last state. Refused: it is not cancelled, for a reason. NotFound: ask for it."""
        ...

    async def amend(self, terms: OrderTerms, price: Decimal | None, size: Decimal | None) -> VenueOrder:
        """Change a working order; None keeps."""
        ...

    async def order(self, client_id: str, instrument: InstrumentId) -> VenueOrder:
        """One order with all its fills, by client id. NotFound is the venue's own word that it has none."""
        ...

    async def standing(self) -> Standing:
        """Open orders and positions."""
        ...

    async def orders_since(self, since_ns: int) -> tuple[VenueOrder, ...]:
        """Every order that filled or ended after `since_ns`, with its fills, other people's too: what a gap may have hidden."""
        ...

    async def isolate_margin(self, instrument: InstrumentId) -> None:
        """Isolated margin for orders to come, the one mode the desk counts in; no error where it is so already, or spot."""
        ...

    async def set_leverage(self, instrument: InstrumentId, leverage: int) -> None:
        """Leverage for orders to come."""
        ...

    def reports(self) -> AsyncIterator[VenueOrder | None]:
        """The account's own stream. None says that it was (re)connected: what happened before may be missing.

        Ends never; reconnects by itself, with backoff. Reports may come late, twice, and in any order.
        """
        ...
