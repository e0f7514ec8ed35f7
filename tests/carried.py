"""A desk whose orders a venue carries out, on virtual time: real rules, ledger and carrier; the venue does as it is told."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from engine.core.desk import Desk
from engine.core.inputs import Intent, Start
from engine.core.state import State
from engine.execution.carrier import Carrier
from engine.ledger.store import Ledger
from engine.model import command as cmd
from engine.model.account import Execution, RiskLimits
from engine.model.event import Event
from engine.model.market import Side, quote
from engine.model.order import AT_VENUE, Order, OrderStatus, OrderTerms, OrderType
from engine.model.report import VenueFill, VenueOrder, VenuePosition
from engine.runtime.keeper import Keeper
from engine.sim.loop import VirtualClock, run
from engine.venues.base import Standing
from engine.venues.errors import NotFound
from tests.kit import instrument
from tests.simulation.disk import Disk, SimLedger, SimWriter

D = Decimal
B = TypeVar("B")
BTC = instrument()


class Outcome(msgspec.Struct, frozen=True):
    """How one call ends: done or not, after a while, with an error or the usual answer."""

    error: Exception | None = None
    done: bool = False
    after_s: float = 0.0


class ToldVenue:
    """Remembers orders as an exchange does. `next` holds, by method, how the coming calls end; then all goes well."""

    name = "told"
    grace_s = 10.0

    def __init__(self) -> None:
        self.next: dict[str, deque[Outcome]] = {}
        self.calls: list[tuple[float, str, str]] = []
        """(virtual seconds, method, what it was about)"""
        self.orders: dict[str, VenueOrder] = {}
        self.positions: tuple[VenuePosition, ...] = ()
        self.since: list[int] = []
        self.stream: asyncio.Queue[VenueOrder | None] = asyncio.Queue()
        self.under_way = 0

    def fails(self, method: str, *errors: Exception, done: bool = False, after_s: float = 0.0) -> None:
        """The coming calls end so, in this order."""
        outcomes = [Outcome(error, done, after_s) for error in errors]
        self.next.setdefault(method, deque()).extend(outcomes)

    def hangs(self, method: str) -> None:
        """The next call does nothing, and never ends."""
        self.next.setdefault(method, deque()).append(Outcome(after_s=1e6))

    def slow(self, method: str, seconds: float) -> None:
        """The next call takes that long."""
        self.next.setdefault(method, deque()).append(Outcome(None, True, seconds))

    def times(self, method: str, about: str = "") -> list[float]:
        """When a method was called."""
        return [at for at, name, what in self.calls if name == method and about in what]

    async def submit(self, terms: OrderTerms, size: Decimal, price: Decimal | None) -> VenueOrder:
        def place() -> VenueOrder:
            assert terms.client_id not in self.orders, f"{terms.client_id} was sent twice"
            said = VenueOrder(
                terms.client_id, f"V{len(self.orders)}", terms.instrument, terms.side, OrderStatus.ACCEPTED,
                size, price=price, reduce_only=terms.reduce_only,
            )  # fmt: skip
            self.orders[terms.client_id] = said
            return said

        return await self._call("submit", terms.client_id, place)

    async def cancel(self, terms: OrderTerms) -> VenueOrder:
        return await self._call("cancel", terms.client_id, lambda: self.change(terms.client_id, OrderStatus.CANCELLED))

    async def amend(self, terms: OrderTerms, price: Decimal | None, size: Decimal | None) -> VenueOrder:
        def change() -> VenueOrder:
            before = self._find(terms.client_id)
            return self._put(msgspec.structs.replace(before, price=price or before.price, size=size or before.size))

        return await self._call("amend", terms.client_id, change)

    async def order(self, client_id: str, instrument: str) -> VenueOrder:
        return await self._call("order", client_id, lambda: self._find(client_id))

    async def standing(self) -> Standing:
        def stand() -> Standing:
            return Standing(tuple(o for o in self.orders.values() if o.status in AT_VENUE), self.positions)

        return await self._call("standing", "", stand)

    async def orders_since(self, since_ns: int) -> tuple[VenueOrder, ...]:
        self.since.append(since_ns)
        return await self._call("orders_since", "", lambda: tuple(o for o in self.orders.values() if o.filled))

    async def isolate_margin(self, instrument: str) -> None:
        await self._call("isolate_margin", instrument, lambda: None)

    async def set_leverage(self, instrument: str, leverage: int) -> None:
        await self._call("set_leverage", f"{leverage}", lambda: None)

    async def reports(self) -> AsyncIterator[VenueOrder | None]:
        while True:
            yield await self.stream.get()

    def fill(self, client_id: str, size: str, price: str = "60000") -> VenueOrder:
        """The order fills; nobody is told."""
        before = self._find(client_id)
        filled = before.filled + D(size)
        status = OrderStatus.FILLED if filled >= before.size else OrderStatus.PARTIAL
        fill = VenueFill(f"F-{client_id}-{len(before.fills)}", D(price), D(size))
        sign = before.side.sign * D(size)
        held = sum((p.size for p in self.positions), D(0)) + sign
        self.positions = (VenuePosition(before.instrument, held, D(price)),) if held else ()
        return self._put(msgspec.structs.replace(before, status=status, filled=filled, fills=(*before.fills, fill)))

    def change(self, client_id: str, status: OrderStatus) -> VenueOrder:
        """The order becomes this; nobody is told."""
        return self._put(msgspec.structs.replace(self._find(client_id), status=status))

    def _find(self, client_id: str) -> VenueOrder:
        if client_id not in self.orders:
            raise NotFound("-2013", "no such order")
        return self.orders[client_id]

    def _put(self, said: VenueOrder) -> VenueOrder:
        self.orders[said.client_id] = said
        return said

    async def _call(self, method: str, about: str, do: Callable[[], Any]) -> Any:
        self.calls.append((asyncio.get_running_loop().time(), method, about))
        coming = self.next.get(method)
        outcome = coming.popleft() if coming else Outcome(None, True)
        self.under_way += 1
        try:
            answer = do() if outcome.done else None
            await asyncio.sleep(outcome.after_s)
        finally:
            self.under_way -= 1
        if outcome.error is not None:
            raise outcome.error
        return answer


class Carried:
    """One engine, from its start to its close."""

    def __init__(self, path: Path, venue: ToldVenue, **options: Any) -> None:
        self.path = path
        self.venue = venue
        self.disk = Disk(random.Random(1))
        self.clock = VirtualClock()
        self.options = options
        self.events: list[Event] = []
        self.made = 0
        self.breaks = False
        """A rule fails right before an order leaves."""

    async def begin(self) -> None:
        ledger = SimLedger.open(self.path, env="sim", feed="simulated", now_ns=self.clock.now_ns(), reserve_bytes=4096)
        assert isinstance(ledger, SimLedger)
        ledger.disk = self.disk
        self.ledger = ledger
        found = ledger.load().state
        self.keeper = Keeper(ledger, Desk(found), self.clock, self, self._make_writer)
        now_ns = self.clock.now_ns()
        self.carrier = Carrier(
            self.venue, "main", self.keeper.take, lambda: self.state, self.clock, random.Random(2), self.halted,
            since_ns=found.time_ns or now_ns, **self.options,
        )  # fmt: skip
        self.keeper.listeners.add(self.carrier)
        self.keeper.decide(
            Start(
                now_ns, found.epoch + 1, "sim", "simulated", "0", 7, "", "main", "told", "USDT", D(10_000),
                (BTC,), RiskLimits(daily_loss=None), execution=Execution.VENUE,
            )
        )  # fmt: skip
        await self.keeper.durable(self.state.seq)
        self.carrier.start()
        self.quote()

    async def end(self) -> None:
        await self.carrier.close()
        self.keeper.close()
        self.ledger.close()

    def die(self) -> None:
        """As kill -9: nothing is told any more."""
        self.carrier.abandon()
        self.writer.die()
        self.keeper.look_only("killed")
        self.ledger.close()

    # --- As a listener ----------------------------------------------------------------------------

    def tell(self, events: Sequence[Event]) -> None:
        self.events.extend(events)

    def committed(self, seq: int, committed_ns: int) -> None:
        pass

    def dropped(self, seq: int) -> None:
        self.events = [event for event in self.events if event.seq <= seq]

    # --- What a person does -----------------------------------------------------------------------

    def quote(self, bid: str = "60000", ask: str = "60000.1") -> None:
        self.keeper.market(quote(BTC.id, self.clock.now_ns(), bid, "50", ask, "50"))

    def ask(self, make: Callable[..., cmd.AnyCommand], **fields: Any) -> Sequence[Event]:
        self.made += 1
        self.quote()
        command = make(request_id=f"r{self.state.epoch}-{self.made}", **fields)
        return self.keeper.decide(Intent(self.clock.now_ns(), command))

    def place(self, side: Side, size: str, price: str | None = None, **fields: Any) -> Order:
        """Place an order: at market without a price."""
        kind = OrderType.LIMIT if price is not None else OrderType.MARKET
        at = D(price) if price is not None else None
        self.ask(cmd.PlaceOrder, instrument=BTC.id, side=side, size=D(size), type=kind, price=at, **fields)
        order = self.state.find_order(f"O{self.state.orders_made}")
        assert order is not None
        return order

    # --- What came of it --------------------------------------------------------------------------

    @property
    def state(self) -> State:
        return self.keeper.desk.state

    def order(self, order: Order) -> Order:
        """The order as it stands now."""
        found = self.state.find_order(order.id)
        assert found is not None
        return found

    def status(self, order: Order) -> OrderStatus:
        return self.order(order).status

    def told(self, kind: type[B]) -> list[B]:
        return [event.body for event in self.events if isinstance(event.body, kind)]

    @property
    def alarms(self) -> list[str]:
        return [code for _, code, _ in self.state.alarms]

    def halted(self) -> str:
        if self.breaks:
            raise ZeroDivisionError("a bug in the rules")
        return self.keeper.halted()

    def _make_writer(self, ledger: Ledger, durable: Callable[..., None], failed: Callable[..., None]) -> SimWriter:
        assert isinstance(ledger, SimLedger)
        self.writer = SimWriter(ledger, durable, failed, lambda image: None)
        return self.writer


Story = Callable[[Carried], Awaitable[None]]


def carried(**options: Any) -> Callable[[Story], Callable[[Path], None]]:
    """A test that is told an engine in front of a venue, on virtual time; what it left running fails it."""

    def make(story: Story) -> Callable[[Path], None]:
        def test(tmp_path: Path) -> None:
            async def main() -> None:
                desk = Carried(tmp_path / "venue.sqlite", ToldVenue(), **options)
                await desk.begin()
                try:
                    await story(desk)
                finally:
                    await desk.end()
                left = [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]
                assert left == [], f"left running: {left}"

            run(main(), limit_s=7_200)

        test.__name__, test.__doc__ = getattr(story, "__name__", "story"), story.__doc__
        return test

    return make
