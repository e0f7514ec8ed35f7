"""The world of one seed: market, machine, trader and engine on virtual time, until the plan is done and everything has settled."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from engine.clock import SteadyClock
from engine.core.inputs import Intent, Listed
from engine.feeds.base import FeedStats
from engine.model import command as cmd
from engine.model.account import Execution
from engine.model.market import MarketInput
from engine.model.order import OrderTerms
from engine.runtime.keeper import NotDurable
from engine.sim.faults import Fault, child
from engine.sim.loop import START_NS
from tests.kit import instrument
from tests.simulation.books import Shown
from tests.simulation.disk import Disk, Image, image_of, put_back
from tests.simulation.ends import judge_restart, judge_start
from tests.simulation.faults import FAULTS
from tests.simulation.invariants import Broken
from tests.simulation.life import Life, start_of
from tests.simulation.market import Feed, Market, price_of, price_text
from tests.simulation.plan import Plan, Step
from tests.simulation.profiles import PROFILES
from tests.simulation.senders import Intake, Senders
from tests.simulation.settle import settle
from tests.simulation.trader import Trader
from tests.simulation.venue import Outside
from tests.simulation.witness import Witness, shown


class Line(NamedTuple):
    """One line of a trace: when, and what."""

    at_s: float
    text: str


class TrueClock:
    """A clock that shows what it is told."""

    def __init__(self, show: Callable[[], int]) -> None:
        self.now_ns = show


class World:
    """One seed, run once. `omit` are steps and `without` kinds of faults that are left out."""

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        omit: frozenset[int] = frozenset(),
        without: frozenset[str] = frozenset(),
    ) -> None:
        self.plan = plan
        self.folder = folder
        self.omit = omit
        self.without = without
        self.last_hash = b""
        self.faults: Counter[str] = Counter()
        self.trace: list[Line] = []
        self.instrument = instrument(profile=PROFILES[plan.profile])
        self.disk = Disk(child(plan.seed, "disk"), self.befell)
        self.witness = Witness(plan.venue, self.note)
        self.lives = 0
        self.life: Life | None = None
        self.feed: Feed | None = None
        self.outside: Outside | None = None
        self.senders: Senders | None = None
        self.acked: dict[str, int] = {}
        """Requests whose sender was told that they are durable: id -> seq of the intent."""
        self.asked: list[cmd.AnyCommand] = []
        self._asks_listing = False
        self._dead: list[Life] = []
        """What they still wait for never comes; the end of the loop takes it away."""
        self._wall_offset_ns = 0
        self._slept_ns = 0
        self._over: asyncio.Event
        self.loop: asyncio.AbstractEventLoop
        self.market: Market

    # --- Time -------------------------------------------------------------------------------------

    def mono_ns(self) -> int:
        """The machine's steady clock: stands still while it sleeps."""
        return round(self.loop.time() * 1e9)

    def true_ns(self) -> int:
        """What the time really is."""
        return START_NS + self.mono_ns() + self._slept_ns

    def wall_ns(self) -> int:
        """What the machine's clock shows."""
        return self.true_ns() + self._wall_offset_ns

    def note(self, text: str) -> None:
        """A line for the trace."""
        self.trace.append(Line(self.loop.time(), text))

    # --- The run ----------------------------------------------------------------------------------

    async def play(self) -> None:
        """All of it; raises Broken."""
        self.loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self.witness.on_broken = self._over.set
        self.market = Market(child(self.plan.seed, "market"), START_NS)
        if self.plan.venue:
            self.outside = Outside(
                self.plan.seed, self.instrument, TrueClock(self.true_ns), self.without, self._befell_outside
            )
            self.witness.contradicts = self.outside.contradicts
        if self.plan.sources:
            home = self.folder / "home"
            self.senders = Senders(
                self.plan.seed, self.plan.sources, home, lambda: self.witness.books, self.witness.check
            )
        self._birth(None)
        market = self.loop.create_task(self._market())
        try:
            for step in self.plan.steps:
                if step.number not in self.omit and step.kind not in self.without:
                    await self._until(step.at_s)
                    self._do(step)
            await settle(self)
        finally:
            market.cancel()
            if self.life is not None and self.life.alive:
                self.life.die()
            await asyncio.gather(market, return_exceptions=True)

    async def _until(self, at_s: float) -> None:
        await self.wait(at_s - self.loop.time())

    async def wait(self, seconds: float) -> None:
        """Let time pass; raises Broken as soon as a row does not hold."""
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self._over.wait()
            except TimeoutError:
                pass
        if self.witness.broken is not None:
            raise self.witness.broken

    async def _market(self) -> None:
        draw = child(self.plan.seed, "ticks")
        while True:
            await asyncio.sleep(draw.choice((0.05, 0.3, 0.3, 0.8)))
            self.market.walk()
            self.market.fund(self.true_ns())
            if self.outside is not None:
                ask = Decimal(price_text(self.market.bid + self.market.spread))
                self.outside.exchange.set_top(self.instrument.symbol, self.market.price, ask)
                self._look_at_listing()
            if self.life is not None and self.feed is not None:
                self.feed.tick(draw)
                if draw.random() < 0.4:
                    self.feed.snapshot()

    def _look_at_listing(self) -> None:
        """An engine that asks its exchange for its instruments now and then hears of a change a little later."""
        if self.life is None or self.outside is None or self._asks_listing:
            return
        if self.life.state.instruments[self.instrument.id] != self.outside.listing():
            self._asks_listing = True
            draw = child(self.plan.seed, f"listed/{self.loop.time()}")
            self.later(draw.choice((0.0, 0.5, 3.0)), self._tell_listing)

    def _tell_listing(self) -> None:
        self._asks_listing = False
        if self.life is not None and self.outside is not None:
            self.life.decide(Listed(self.life.keeper.now_ns(), self.outside.listing()))

    # --- Lives ------------------------------------------------------------------------------------

    def _birth(self, image: Image | None) -> None:
        self.lives += 1
        path = self.folder / f"{self.lives}.sqlite"
        if image is not None:
            put_back(image, path)
        self.disk.doom = ""
        life = Life(path, self.disk, self.wall_ns(), self.witness, self._killed)
        state = life.found.state
        self.witness.shown = Shown()
        try:
            judge_restart(self.witness, life, self.acked)
        except Broken:
            life.ledger.close()
            raise
        clock = SteadyClock(state.time_ns, self.wall_ns, self.mono_ns) if self.plan.steady else TrueClock(self.wall_ns)
        accounts = ["main"]
        if self.plan.second and (self.lives == 1):
            accounts = ["other", "main"]
        self.life = life
        listed = self.outside.listing() if self.outside is not None else self.instrument
        execution = Execution.VENUE if self.plan.venue else Execution.PAPER
        starts = [start_of(state, clock.now_ns(), listed, self.plan.seed, name, "sim", execution) for name in accounts]
        left = [order.id for order in state.orders.values() if order.status == "SENT"]
        began = life.begin(clock, starts)
        if began and self.plan.venue:
            judge_start(self.witness, life, left)
        if self.outside is not None:
            life.carry(self.outside.client(self.lives, self._leaves), child(self.plan.seed, f"carrier/{self.lives}"))
        if self.senders is not None:
            life.listen(self.senders.home, TrueClock(self.wall_ns), self.mono_ns)
        self.feed = Feed(
            self.instrument, self.market, clock, self._heard, state.marks, self.befell, depth=self.plan.depth
        )
        self.feed.snapshot()

    def _leaves(self, terms: OrderTerms, again: bool) -> None:
        """An order is about to leave: it must be on the disk, and the kill switch must not forbid it."""
        assert self.life is not None
        check, state = self.witness.check, self.life.state
        sent = self.witness.books.sent.get(terms.id, 0)
        check(
            10,
            0 < sent <= self.witness.durable,
            f"{terms.id} leaves at event {sent}, durable is {self.witness.durable}",
        )
        check(10, not again, f"{terms.client_id} is sent again, although it may have arrived")
        check(8, terms.reduce_only or not state.kill, f"{terms.id} leaves under the kill switch")
        assert self.outside is not None
        isolated = self.outside.exchange.listed[self.instrument.symbol].isolated
        check(0, terms.reduce_only or isolated, f"{terms.id} leaves before its margin is isolated")

    def _befell_outside(self, fault: Fault, where: str) -> None:
        self.befell(fault.value)
        self.note(f"{fault.value} {where}")

    def _killed(self, image: Image) -> None:
        assert self.life is not None
        self.note("the engine is killed")
        self.witness.happened["killed"] += 1
        self.life.die()
        self._dead.append(self.life)
        self.life = self.feed = None
        draw = child(self.plan.seed, f"dead/{self.lives}")
        self.loop.call_later(draw.choice((0.0, 0.3, 3.0)), self._reborn, image)

    def _reborn(self, image: Image) -> None:
        if self.witness.broken is None:
            self.note("the engine starts again")
            try:
                self._birth(image)
            except Broken as broken:
                self.witness.check(broken.row, False, broken.text)

    def _heard(self, item: MarketInput) -> None:
        """What the feed lets through to the engine."""
        price = price_of(item)
        if price is not None and not self.market.price / 2 < price < self.market.price * 2:
            self.witness.check(0, not self.life or not self.life.state.marks, f"a price of {price} reached the engine")
        if self.life is not None:
            self.life.market(item)

    # --- Steps ------------------------------------------------------------------------------------

    def _do(self, step: Step) -> None:
        draw = child(self.plan.seed, f"step/{step.number}")
        if step.kind in FAULTS:
            self.note(f"[{step.number}] {step.kind}")
            FAULTS[step.kind](self, draw)
        elif step.kind == "alert":
            self._alert(draw, step.number)
        elif step.kind == "same again":
            if self.asked:
                self.send(draw.choice(self.asked[-8:]), step.number)
        elif self.life is not None:
            state = self.life.state
            trader = Trader(draw, state, self.market.price, self.life.keeper.now_ns(), f"r{step.number}", self.look)
            command = trader.wish(step.kind)
            self.asked.append(command)
            self.send(command, step.number)

    def _alert(self, draw: random.Random, number: int) -> None:
        if self.senders is not None:
            said = self.senders.alert(draw, self.market.price, self.wall_ns() // 1_000_000, self.intake)
            self.note(f"[{number}] {said}")

    def intake(self) -> Intake | None:
        """The way in for signals, where an engine lives."""
        return self.life.intake if self.life is not None else None

    def look(self, client_id: str) -> tuple[Decimal, Decimal | None]:
        """What the venue's website shows of an order: filled size, and its average price."""
        named = self.outside.exchange.named(client_id) if self.outside is not None else []
        filled = sum((fill.size for order in named for fill in order.fills), Decimal(0))
        value = sum((fill.size * fill.price for order in named for fill in order.fills), Decimal(0))
        return filled, (value / filled).quantize(Decimal("0.0001")) if filled else None

    def send(self, command: cmd.AnyCommand, number: int) -> None:
        """Ask the engine that lives, if one does."""
        life = self.life
        if life is not None:
            self.note(f"[{number}] {shown(command)}")
            life.run(self._deliver(life, command))

    async def _deliver(self, life: Life, command: cmd.AnyCommand) -> None:
        """As the port does: an answer only when what was decided is durable."""
        keeper, request = life.keeper, command.request_id
        try:
            events = keeper.decide(Intent(keeper.now_ns(), command))
            seq = life.state.requests.get(request, 0)
            await keeper.durable(events[-1].seq if events else seq)
        except NotDurable as error:
            self.note(f"{request} was not taken: {error}")
            return
        if seq:
            self.acked[request] = seq

    # --- Faults -----------------------------------------------------------------------------------

    def befell(self, fault: str) -> None:
        """A fault took effect."""
        self.faults[fault] += 1

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        """Undo a fault, or let it be noticed."""
        self.loop.call_later(seconds, work)

    def stats(self) -> FeedStats:
        """What the feed counted in this life."""
        return self.feed.stats if self.feed is not None else FeedStats()

    def crash(self) -> None:
        """The process dies where it stands."""
        if self.life is not None:
            self.befell("kill")
            self._killed(image_of(self.life.path))

    def sleep(self, seconds: int) -> None:
        """The machine sleeps, the world goes on."""
        self._slept_ns += seconds * 1_000_000_000
        self.market.fund(self.true_ns())

    def set_clock(self, seconds: float) -> None:
        """Somebody sets the machine's clock."""
        self._wall_offset_ns += round(seconds * 1e9)
