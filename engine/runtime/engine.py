"""Engine: start order, tasks, shutdown order. Ledger, state, feed, desk, link; and back."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, cast

import msgspec

from engine.clock import SteadyClock, wall_ns
from engine.core.desk import Desk
from engine.core.inputs import Note, Start, Tick
from engine.core.state import State, encode_state
from engine.feeds.base import Feed, FeedError
from engine.feeds.factory import make_feed
from engine.ledger.errors import LedgerError
from engine.ledger.log import LONG, log_bytes
from engine.ledger.reserve import Reserve
from engine.ledger.verify import Report
from engine.link.hub import Hub
from engine.link.server import LinkServer
from engine.model import event as ev
from engine.model.instrument import Instrument
from engine.runtime import flag, listings
from engine.runtime.config import VENUES, VERSION, EngineConfig, IntakeConfig, StartError, check_execution
from engine.runtime.damage import Opened, damaged, open_ledger
from engine.runtime.keeper import Keeper, NotDurable
from engine.runtime.player import Player
from engine.runtime.port import DeskPort
from engine.runtime.recovery import old_lines, recovery_line
from engine.runtime.status import StatusSource
from engine.runtime.verification import Verification
from engine.views import Mode
from engine.views.candles import CandleBook

if TYPE_CHECKING:
    from engine.feeds.recording import RecordingFeed
    from engine.runtime.intake import Intake
    from engine.runtime.rehearsal import Rehearsal

log = logging.getLogger(__name__)

ACCOUNT = "main"
SNAPSHOT_S = 10.0
TICK_S = 1.0
STEP_NS = 2_000_000_000
"""How far the system's clock may lie behind before it is told."""


class Engine:
    """One running engine. `start`, then `wait` until somebody stops it, then `stop`."""

    def __init__(self, config: EngineConfig) -> None:
        # Lock, HEAD, reserve and flag lie beside the file itself, whatever link led to it.
        config = msgspec.structs.replace(config, ledger=config.ledger.expanduser().resolve())
        self.config = config
        self.candles = CandleBook()
        self._stopping = asyncio.Event()
        self._stop_reason = ""
        self._tasks: list[asyncio.Task[None]] = []
        self._opened: Opened | None = None
        self._server: LinkServer | None = None
        self._player: Player | None = None
        self._rehearsal: Rehearsal | None = None
        self._intake: Intake | None = None
        self._verification: Verification | None = None
        self.recorded = config.feed.startswith("recording:")
        self._snapshot_seq = 0
        self._clock: SteadyClock
        self._stepped = False
        self._long_log = False
        self._feed: Feed
        self.hub: Hub
        self.keeper: Keeper | None = None
        self.port: DeskPort

    # --- Start --------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take the ledger, rebuild the state, connect the feed, let screens in. Raises StartError, and leaves nothing open."""
        try:
            await self._start()
        except (LedgerError, FeedError, NotDurable, OSError) as error:
            await self.stop(f"could not start: {error}")
            raise StartError(str(error)) from error
        except BaseException:
            await self.stop("could not start")
            raise

    async def _start(self) -> None:
        config = self.config
        config.ledger.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        opened = self._opened = open_ledger(config, wall_ns())
        ledger, state = opened.ledger, opened.found.state
        self._clock = SteadyClock(state.time_ns)
        self._feed = self._make_feed(state)
        instruments = await self._instruments(state)
        if ledger is not None:
            ledger.check_feed(state, self._feed.identity)
        check_execution(config, state)
        epoch, recorded_ns = state.epoch + 1, state.time_ns
        self.port = DeskPort(config, ledger.ledger_id if ledger is not None else "damaged", epoch, self.candles)
        self.keeper = Keeper(ledger, Desk(state), self._feed.clock, self.port)
        status = StatusSource(config, self._feed.identity, self._feed.stats)
        status.asset = _settle(instruments, config.asset)
        status.carried = frozenset(instrument.id for instrument in instruments)
        self.port.attach(self.keeper, status)
        self.port.on_feed = self._control_feed
        self.port.on_stop = self.request_stop
        if ledger is not None:
            status.recovery = recovery_line(opened.found, config.ledger)
            self.port.remember(old_lines(state, config.ledger))
            await self._take_over(self.keeper, instruments, epoch, opened.found.warnings)
            if not ledger.reserve_held:
                self.keeper.exits_only()
            if config.rehearse:
                self._rehearse(ledger.ledger_id, self.keeper, recorded_ns)
            self._verification = Verification(config.ledger, partial(self._mistrust, self.keeper))
        else:
            self.keeper.look_only(opened.damage)
            self.keeper.desk.show(instruments)
        simulated = config.feed == "simulated"
        since_ns = state.time_ns if self.recorded else 0
        also = self._rehearsal.hear if self._rehearsal is not None else None
        self._player = Player(
            self._feed, self.keeper, status, self.candles, ages=simulated, since_ns=since_ns, also=also
        )
        if config.record is not None:
            try:
                self._player.record(config.record, list(instruments))
            except FeedError as error:
                self._go_without(self.keeper, error)
        self.hub = Hub(self.port)
        if config.intake is not None:
            try:
                await self._listen(config.intake, self.keeper, status)
            except StartError as error:
                self._go_without(self.keeper, error)
        if config.socket is not None:
            self._server = LinkServer(config.socket, self.hub)
            await self._server.start()
            self.port.on_durable = self._server.hurry
            log.info("serving %s on %s", config.ledger, config.socket)
        self._run(self._player.run(), "feed")
        self._run(_each(SNAPSHOT_S, self._snapshot), "snapshots")
        self._run(_each(TICK_S, self._tick), "ticks")
        self._run(_each(TICK_S, self._look), "status")
        self._run(listings.follow(self._feed, self.keeper), "listings")
        self._run(flag.follow(config.ledger, self.keeper), "kill flag")

    def _make_feed(self, state: State) -> Feed:
        config = self.config
        prices = {i.partition(":")[2]: price for i, price in state.marks.items()}
        feed = make_feed(
            config.feed,
            config.symbols,
            clock=self._clock,
            seed=config.seed + state.epoch,
            rate=config.rate,
            speed=config.speed or math.inf,
            volatility=config.volatility,
            prices=prices,
            since_ns=state.time_ns,
        )
        if self.recorded:
            # A recording goes on where the ledger stands; one that was played to its end may begin again in a flat one.
            cast("RecordingFeed", feed).begin(state.time_ns, again=not state.positions and not state.orders)
        return feed

    async def _instruments(self, state: State) -> list[Instrument]:
        """What the feed carries; when the venue cannot be asked, what the ledger knows: exits must not wait for it."""
        try:
            return await self._feed.instruments()
        except FeedError as error:
            symbols, venue = self.config.symbols, self.config.feed
            known = [i for i in state.instruments.values() if i.venue == venue and (not symbols or i.symbol in symbols)]
            if not known or len(known) < len(symbols):
                raise
            log.warning("%s; going on with the instruments the ledger knows", error)
            return known

    async def _take_over(
        self, keeper: Keeper, instruments: Sequence[Instrument], epoch: int, warnings: Sequence[str]
    ) -> None:
        """The first events of this epoch; nobody is let in before they are durable."""
        config = self.config
        start = Start(
            time_ns=keeper.now_ns(),
            epoch=epoch,
            env=config.env,
            feed=self._feed.identity,
            version=VERSION,
            seed=config.seed,
            recovered=self.port.status.recovery,
            account=ACCOUNT,
            venue=VENUES[config.execution],
            asset=self.port.status.asset,
            balance=config.start_balance,
            instruments=tuple(_with_latency(instrument, config.latency_ns) for instrument in instruments),
            limits=config.limits,
            execution=config.execution,
        )
        try:
            await _begin(keeper, start, warnings)
        except NotDurable:
            if keeper.mode is not Mode.EXITS_ONLY:
                raise
            # The disk is full, and the reserve has just been freed: this is what it is for.
            await _begin(keeper, start, warnings)
        await flag.obey(config.ledger, keeper)

    def _rehearse(self, ledger_id: str, keeper: Keeper, recorded_ns: int) -> None:
        from engine.runtime.rehearsal import Rehearsal

        config = self.config
        memory = config.ledger.with_name(f"{config.ledger.name}.exchange-{ledger_id[:8]}")
        seed = f"{config.seed}/{keeper.desk.state.epoch}"
        since_ns = recorded_ns or keeper.now_ns()
        self._rehearsal = Rehearsal(memory, keeper, ACCOUNT, seed, wallet=config.start_balance, since_ns=since_ns)

    async def _listen(self, config: IntakeConfig, keeper: Keeper, status: StatusSource) -> None:
        from engine.runtime.intake import Intake

        self._intake = Intake(config, keeper, self.config.ledger, self.port.timing, self._clock)
        status.webhook = await self._intake.start()
        status.mailbox = bool(config.mail)
        status.senders = self._intake.senders

    @staticmethod
    def _go_without(keeper: Keeper, error: FeedError | StartError) -> None:
        """What is open must be guarded now; recordings and signals can wait until somebody mends this. Else it is a refusal."""
        if not (keeper.desk.state.positions or keeper.desk.state.orders):
            raise error
        text = f"{error}. Something is open, so the engine runs without it: mend it, then start the engine again"
        keeper.decide(Note(keeper.now_ns(), ev.AlarmRaised("NOT_STARTED", text)))

    # --- Running ------------------------------------------------------------------------------------

    def _mistrust(self, keeper: Keeper, report: Report) -> None:
        """Derived tables can wait until the engine stops; events that were changed cannot."""
        text = "; ".join(report.lines[1:])
        log.error("%s", text)
        if not report.whole:
            keeper.look_only(damaged(text))
            return
        if report.rebuildable:
            assert self._verification is not None
            self._verification.repair = True
            text = f"{text}; put right when the engine stops"
        with suppress(NotDurable):
            keeper.decide(Note(keeper.now_ns(), ev.AlarmRaised("LEDGER", text)))

    def _tick(self) -> None:
        assert self.keeper is not None
        if self.keeper.mode is Mode.OK:
            self.keeper.decide(Tick(self.keeper.now_ns()))
            self._watch_clock(self.keeper)
            self._watch_log(self.keeper)
        # Looking takes for a moment what is left of a quota: nothing may be on its way to the disk meanwhile.
        elif self.keeper.full and self.keeper.settled and Reserve(self.config.ledger).held:
            self.keeper.try_again()

    def _look(self) -> None:
        """Whoever comes while the disk hangs is shown a status that is not old."""
        self.port.view("status")

    def _watch_clock(self, keeper: Keeper) -> None:
        """The engine's time goes on when the system's is set back; a person should know, once."""
        stepped = self._clock.step_ns > STEP_NS
        if stepped and not self._stepped and not self.recorded:
            seconds = self._clock.step_ns // 1_000_000_000
            text = (
                f"the system's clock is {seconds} s behind what is recorded: times here run ahead until it catches up"
            )
            keeper.decide(Note(keeper.now_ns(), ev.AlarmRaised("CLOCK", text)))
        self._stepped = stepped

    def _watch_log(self, keeper: Keeper) -> None:
        """Who reads the ledger without end has it fill the disk; a person should know, once."""
        size = log_bytes(self.config.ledger)
        if size > LONG and not self._long_log:
            text = f"{self.config.ledger.name}-wal has {size >> 20} MB and grows: another program reads the ledger and does not end; close it"
            keeper.decide(Note(keeper.now_ns(), ev.AlarmRaised("LEDGER", text)))
        self._long_log = size > LONG

    @staticmethod
    def _note_marks(keeper: Keeper) -> None:
        """A crash must not throw the simulated market far back."""
        marks = keeper.desk.marks()
        if marks and marks != keeper.desk.state.marks:
            keeper.decide(Note(keeper.now_ns(), ev.MarksNoted(marks)))

    def _snapshot(self) -> None:
        assert self.keeper is not None
        state = self.keeper.desk.state
        if self.keeper.mode is Mode.OK and (state.positions or state.seq != self._snapshot_seq):
            self._note_marks(self.keeper)
            self._snapshot_seq = state.seq
            self.keeper.snapshot(encode_state(state))

    def _control_feed(self, action: str, value: float) -> None:
        if action == "pause":
            self._feed.pause()
            self.port.status.paused = True
        elif action == "resume":
            self._feed.resume()
            self.port.status.paused = False
        elif action == "speed" and hasattr(self._feed, "speed") and value >= 0:
            self._feed.speed = value or math.inf
        else:
            raise ValueError(f"the feed cannot do {action!r} {value}")

    def _run(self, work: object, name: str) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work, name=name)  # type: ignore[arg-type]
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            return
        log.error("%s failed", task.get_name(), exc_info=task.exception())
        self.request_stop(f"{task.get_name()} failed: {task.exception()}")

    # --- Stop ---------------------------------------------------------------------------------------

    def request_stop(self, reason: str) -> None:
        """Begin a clean stop."""
        self._stop_reason = self._stop_reason or reason or "asked to"
        self._stopping.set()

    async def wait(self) -> str:
        """Until somebody asks to stop; returns the reason."""
        await self._stopping.wait()
        return self._stop_reason

    async def stop(self, reason: str) -> None:
        """Senders first, then screens, the feed, the last events, a snapshot, the file."""
        if self.keeper is not None:
            self.keeper.hurry()
        if self._intake is not None:
            await self._intake.stop()
        if self._server is not None:
            await self._server.stop(reason)
        if self._rehearsal is not None:
            await self._rehearsal.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.keeper is not None:
            with suppress(NotDurable):
                self._note_marks(self.keeper)
                self.keeper.decide(Note(self.keeper.now_ns(), ev.EngineStopped(reason)))
                self._snapshot()
            self.keeper.close()
        if self._player is not None:
            self._player.close()
        if self._verification is not None:
            self._verification.end()
        if self._opened is not None:
            self._opened.close()
        if self._verification is not None:
            self._verification.put_right()


async def _begin(keeper: Keeper, start: Start, warnings: Sequence[str]) -> None:
    """Record a start and what was found at it; raises NotDurable."""
    keeper.decide(start)
    for warning in warnings:
        keeper.decide(Note(keeper.now_ns(), ev.AlarmRaised("LEDGER", warning)))
    await keeper.durable(keeper.desk.state.seq)


def _with_latency(instrument: Instrument, latency_ns: int) -> Instrument:
    profile = msgspec.structs.replace(instrument.profile, entry_latency_ns=latency_ns)
    return msgspec.structs.replace(instrument, profile=profile)


def _settle(instruments: Sequence[Instrument], asset: str) -> str:
    """The asset to fund: what the instruments settle in, when the chosen one is none of theirs."""
    assets = [instrument.settle_asset for instrument in instruments]
    return asset if asset in assets or not assets else assets[0]


async def _each(seconds: float, work: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            work()
        except NotDurable as error:
            log.warning("%s", error)
        except Exception:  # the desk goes on without it
            log.exception("%s failed", work.__name__)
