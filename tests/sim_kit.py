"""A small simulated venue for tests: exchange, endpoint, network and adapter wired as a world wires them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from msgspec import Struct

from engine.feeds.simulated.listing import LISTINGS, instrument_of
from engine.model.market import Side
from engine.model.order import OrderTerms, OrderType, TimeInForce
from engine.model.report import VenueOrder
from engine.sim.client import SimVenue
from engine.sim.endpoint import Endpoint
from engine.sim.exchange import Exchange
from engine.sim.faults import Fault, Faults, child
from engine.sim.loop import VirtualClock, run
from engine.sim.mischief import Mischief
from engine.sim.network import Network

T = TypeVar("T")
BTC = instrument_of(LISTINGS["BTCUSDT"])
ETH = instrument_of(LISTINGS["ETHUSDT"])


def dec(text: str) -> Decimal:
    """A decimal."""
    return Decimal(text)


class Venue(Struct):
    """The parts of one venue, and what its stream said."""

    faults: Faults
    exchange: Exchange
    endpoint: Endpoint
    network: Network
    client: SimVenue
    mischief: Mischief
    said: list[VenueOrder | None]

    def top(self, bid: str, ask: str) -> None:
        """The market stands here now."""
        self.exchange.set_top("BTCUSDT", dec(bid), dec(ask))

    async def listen(self) -> None:
        """Read the user stream from now on."""
        connected = len(self.said) + 1
        task = asyncio.create_task(self._read())
        while len(self.said) < connected:
            await asyncio.sleep(0.01)
            assert not task.done()

    async def _read(self) -> None:
        async for report in self.client.reports():
            self.said.append(report)

    @property
    def reports(self) -> list[VenueOrder]:
        """What its stream said of orders."""
        return [report for report in self.said if report is not None]


def venue(rates: Mapping[Fault, float] | None = None, seed: int = 1) -> Venue:
    """On the running virtual loop, with BTC quoted 60000.0 / 60000.1."""
    faults = Faults(seed, rates or {})
    exchange = Exchange([BTC, ETH], VirtualClock(), faults, child(seed, "exchange"), dec("100000"))
    endpoint = Endpoint(exchange)
    network = Network(endpoint, faults, child(seed, "network"))
    endpoint.push = network.push
    client = SimVenue(network, [BTC, ETH], child(seed, "venue"))
    made = Venue(faults, exchange, endpoint, network, client, Mischief(exchange, child(seed, "mischief")), [])
    made.top("60000.0", "60000.1")
    exchange.set_leverage("BTCUSDT", 10)
    return made


def play(
    story: Callable[[Venue], Coroutine[Any, Any, T]], rates: Mapping[Fault, float] | None = None, seed: int = 1
) -> T:
    """Tell a story at a venue, on virtual time."""

    async def main() -> T:
        return await story(venue(rates, seed))

    return run(main())


def order(
    client_id: str,
    side: Side = Side.BUY,
    *,
    reduce_only: bool = False,
    post_only: bool = False,
    tif: TimeInForce = TimeInForce.GTC,
    instrument: str = BTC.id,
) -> OrderTerms:
    """Terms of an order; size and price are given when it is submitted."""
    return OrderTerms(
        id=f"id-{client_id}",
        client_id=client_id,
        account="main",
        instrument=instrument,
        side=side,
        type=OrderType.LIMIT,
        size=dec("0.1"),
        reduce_only=reduce_only,
        post_only=post_only,
        tif=tif,
    )
