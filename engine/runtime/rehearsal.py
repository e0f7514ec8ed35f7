"""Rehearsal: orders go the way they would go to an exchange, over a bad line, to one that runs in this process."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from engine.execution.carrier import Carrier
from engine.model.account import Execution
from engine.model.market import MarketInput, Quote
from engine.runtime.config import VENUES, StartError
from engine.runtime.keeper import Keeper
from engine.sim.client import SimVenue
from engine.sim.endpoint import Endpoint
from engine.sim.exchange import Exchange
from engine.sim.faults import Fault, Faults, child
from engine.sim.memory import Memory
from engine.sim.network import Network

BAD_LINE = {
    Fault.CONNECT_REFUSED: 0.03,
    Fault.DNS_FAILURE: 0.02,
    Fault.HANG_BEFORE_SEND: 0.01,
    Fault.REQUEST_LOST: 0.02,
    Fault.LATE_DELIVERY: 0.02,
    Fault.HANG_AFTER_SEND: 0.02,
    Fault.ACCEPTED_NO_ANSWER: 0.03,
    Fault.TRUNCATED_JSON: 0.02,
    Fault.HTTP_5XX_AFTER: 0.02,
    Fault.HTTP_429: 0.02,
    Fault.OUTAGE: 0.002,
    Fault.STREAM_DROP: 0.02,
    Fault.STREAM_LOSS: 0.02,
    Fault.STREAM_DUPLICATE: 0.05,
    Fault.STREAM_REORDER: 0.05,
    Fault.STREAM_SILENT: 0.01,
    Fault.FILL_BEFORE_ACK: 0.10,
    Fault.CANCEL_UNKNOWN_FILLED: 0.05,
    Fault.NOT_FOUND_IN_GRACE: 0.10,
    Fault.MISSING_FROM_OPEN: 0.05,
}
"""By request, message or fill: about every eighth order is for a while of unknown outcome."""


class Rehearsal:
    """An exchange whose market is the feed's and whose memory is a file beside the ledger, and the carrier to it."""

    def __init__(
        self, memory: Path, keeper: Keeper, account: str, seed: str, *, wallet: Decimal, since_ns: int
    ) -> None:
        """On the running loop, when the start of `account` is durable.

        `wallet` is the money of an exchange without a memory, `since_ns` the last moment recorded before this start.
        Raises StartError.
        """
        state = keeper.desk.state
        instruments = list(state.instruments.values())
        faults = Faults(seed, BAD_LINE)
        self._exchange = Exchange(instruments, keeper, faults, child(seed, "exchange"), wallet)
        self._symbols = {instrument.id: instrument.symbol for instrument in instruments}
        endpoint = Endpoint(self._exchange)
        network = Network(endpoint, faults, child(seed, "network"))
        endpoint.push = network.push
        try:
            self._memory = Memory(self._exchange, memory)
        except (OSError, ValueError) as error:
            raise StartError(f"the rehearsal exchange cannot begin: {error}") from error
        self._carrier = Carrier(
            SimVenue(network, instruments, child(seed, "client"), VENUES[Execution.VENUE]),
            account,
            keeper.take,
            lambda: keeper.desk.state,
            keeper,
            child(seed, "carrier"),
            keeper.halted,
            since_ns=since_ns,
        )
        keeper.listeners.add(self._carrier)
        self._carrier.start()

    def hear(self, item: MarketInput) -> None:
        """The market moved, there as here."""
        if isinstance(item, Quote):
            self._exchange.set_top(self._symbols[item.instrument], item.bid_price, item.ask_price)

    async def close(self) -> None:
        """The process ends; the memory stays."""
        await self._carrier.close()
        self._memory.close()
