"""One life of the engine, from opening its ledger to its death: wired as engine.runtime.engine wires it, on virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.clock import Clock
from engine.core.desk import Desk
from engine.core.inputs import Input, Note, Start, Tick
from engine.core.state import State, encode_state
from engine.execution.carrier import Carrier
from engine.intake.pipeline import Pipeline
from engine.intake.sources import Registry
from engine.ledger.reserve import Reserve
from engine.ledger.store import Ledger
from engine.model.account import Execution, RiskLimits
from engine.model.event import EngineStopped, Event, MarksNoted
from engine.model.instrument import Instrument
from engine.model.market import MarketInput
from engine.runtime.keeper import Keeper, NotDurable
from engine.runtime.signals import SignalPort
from engine.runtime.timing import Timing
from engine.venues.base import Venue
from engine.views import Mode
from tests.simulation.disk import RESERVE_BYTES, Disk, Image, SimLedger, SimWriter, image_of
from tests.simulation.senders import Intake
from tests.simulation.witness import Witness

TICK_S = 1.0
SNAPSHOT_S = 10.0
LIMITS = RiskLimits(daily_loss=None)


class Ears:
    """The witness for as long as this life lasts: the dead tell nothing."""

    def __init__(self, witness: Witness) -> None:
        self.witness = witness
        self.deaf = False

    def tell(self, events: Sequence[Event]) -> None:
        """See Listener."""
        if not self.deaf:
            self.witness.tell(events)

    def committed(self, seq: int, committed_ns: int) -> None:
        """See Listener."""
        if not self.deaf:
            self.witness.committed(seq, committed_ns)

    def dropped(self, seq: int) -> None:
        """See Listener."""
        if not self.deaf:
            self.witness.dropped(seq)


class Untimed(Timing):
    """Takes no times: those are of the real machine, and a seed writes the same ledger on each."""

    def handed_over(self, signal: str) -> None:
        """See Timing."""


class Life:
    """Ledger, desk and keeper of one engine process, and the tasks it runs."""

    def __init__(
        self, path: Path, disk: Disk, now_ns: int, witness: Witness, on_killed: Callable[[Image], None]
    ) -> None:
        """Open the ledger and rebuild the state; raises LedgerError."""
        self.path = path
        self.disk = disk
        self.witness = witness
        self.ears = Ears(witness)
        self.ledger = SimLedger.open(path, env="sim", feed="simulated", now_ns=now_ns, reserve_bytes=RESERVE_BYTES)
        assert isinstance(self.ledger, SimLedger)
        self.ledger.disk = disk
        self.found = self.ledger.load()
        self.first = not self.found.state.seq
        self.began_ns = now_ns
        self.carrier: Carrier | None = None
        self.port: SignalPort | None = None
        self.intake: Intake | None = None
        self.on_killed = on_killed
        self.keeper: Keeper
        self.writer: SimWriter
        self.alive = True
        self._tasks: set[asyncio.Task[Any]] = set()
        self._snapshot_seq = 0

    @property
    def state(self) -> State:
        """Recorded state."""
        return self.keeper.desk.state

    def begin(self, clock: Clock, starts: Sequence[Start]) -> bool:
        """Take over the state; false where that cannot be written, and the engine is about to end."""

        def make_writer(
            ledger: Ledger, on_durable: Callable[[int, int], None], on_failed: Callable[[Exception], None]
        ) -> SimWriter:
            assert isinstance(ledger, SimLedger)
            self.writer = SimWriter(ledger, on_durable, on_failed, self.on_killed)
            return self.writer

        self.keeper = Keeper(self.ledger, Desk(self.found.state), clock, self.ears, make_writer)
        self.witness.desk = lambda: self.keeper.desk
        began = all(self.keeper.take(start) for start in starts)
        self.run(self._started(began, self.state.seq))
        if not self.ledger.reserve_held:
            self.keeper.exits_only()
        self.run(self._each(TICK_S, self._tick))
        self.run(self._each(SNAPSHOT_S, self._snapshot))
        return began

    async def _started(self, began: bool, seq: int) -> None:
        """An engine whose start is not on the disk ends; it is started again."""
        with suppress(NotDurable):
            if began:
                await self.keeper.durable(seq)
                return
        if self.alive:
            self.witness.note("its start is not on the disk: the engine ends")
            self.on_killed(image_of(self.path))

    def carry(self, venue: Venue, dice: random.Random) -> None:
        """Let a carrier take the orders to their venue, from when the start is durable."""
        keeper = self.keeper
        since_ns = self.found.state.time_ns
        carrier = self.carrier = Carrier(
            venue, "main", keeper.take, lambda: self.state, keeper, dice, keeper.halted,
            since_ns=self.began_ns if self.first else since_ns,
        )  # fmt: skip
        keeper.listeners.add(carrier)
        self.run(self._carry(carrier, self.state.seq))

    async def _carry(self, carrier: Carrier, seq: int) -> None:
        with suppress(NotDurable):
            await self.keeper.durable(seq)
            carrier.start()

    def listen(self, home: Path, clock: Clock, mono: Callable[[], int]) -> None:
        """Take signals of the sources that are registered in `home`."""
        self.port = SignalPort(self.keeper, self.path, Untimed(self.keeper))
        pipeline = Pipeline(self.port, Registry(home), clock=clock, mono=mono)
        self.intake = Intake(pipeline, lambda: self.alive, lambda: self.witness.durable)
        self.run(self.port.open())

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Something that ends with this life."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def market(self, item: MarketInput) -> None:
        """What the feed brings."""
        if self.alive:
            self.witness.shown.hear(item)
            self.keeper.market(item)
            self.witness.shown.input = None

    def decide(self, given: Input) -> Sequence[Event]:
        """What the engine itself notes; nothing where it is not written."""
        with suppress(NotDurable):
            return self.keeper.decide(given)
        return ()

    def die(self) -> None:
        """The process is gone: nothing of it runs on, nothing of it is told."""
        self.alive = False
        self.ears.deaf = True
        self._deafen()
        if self.carrier is not None:
            self.carrier.abandon()
        self.writer.die()
        self.keeper.look_only("killed")
        for task in list(self._tasks):
            task.cancel()
        self.ledger.close()

    async def close(self) -> None:
        """A clean stop, as Engine.stop."""
        self._deafen()
        if self.carrier is not None:
            await self.carrier.close()
        self.decide(Note(self.keeper.now_ns(), EngineStopped("done")))
        self._snapshot()
        self.keeper.close()
        self.alive = False
        for task in list(self._tasks):
            task.cancel()
        self.ledger.close()

    def _deafen(self) -> None:
        if self.port is not None:
            self.port.close()

    def _tick(self) -> None:
        keeper = self.keeper
        if keeper.mode is Mode.OK:
            self.decide(Tick(keeper.now_ns()))
        elif keeper.full and not self.disk.full and Reserve(self.path, RESERVE_BYTES).held:
            keeper.try_again()

    def _snapshot(self) -> None:
        keeper = self.keeper
        if keeper.mode is Mode.OK and self.state.seq != self._snapshot_seq:
            marks = keeper.desk.marks()
            if marks and marks != self.state.marks:
                self.decide(Note(keeper.now_ns(), MarksNoted(marks)))
            self._snapshot_seq = self.state.seq
            keeper.snapshot(encode_state(self.state))

    async def _each(self, seconds: float, work: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(seconds)
            work()


def start_of(
    state: State, now_ns: int, instrument: Instrument, seed: int, account: str, venue: str, execution: Execution
) -> Start:
    """The first input of a life."""
    return Start(
        now_ns, state.epoch + 1, "sim", "simulated", "0", seed, "", account, venue, "USDT",
        Decimal(10_000 if account == "main" else 3_000), (instrument,), LIMITS, execution=execution,
    )  # fmt: skip
