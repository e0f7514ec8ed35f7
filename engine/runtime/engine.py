"""Engine: start order, tasks, shutdown order. Ledger, state, feed, desk, link; and back."""

from __future__ import annotations

import asyncio
import logging
import math
import shutil
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.clock import WallClock
from engine.core.desk import Desk, Intent, Note, Start, Tick
from engine.core.state import State, encode_state
from engine.feeds.base import Feed, FeedError
from engine.feeds.capture import Recorder
from engine.feeds.factory import make_feed
from engine.ledger.errors import LedgerError
from engine.ledger.query import Reader
from engine.ledger.store import Ledger, Loaded
from engine.ledger.verify import verify_events
from engine.link import killflag
from engine.link.hub import Hub
from engine.link.server import LinkServer
from engine.model import event as ev
from engine.model.command import SetKill
from engine.model.event import Event, decode_body
from engine.model.instrument import Instrument
from engine.model.market import MarketInput, Quote, Trade
from engine.runtime.config import VERSION, EngineConfig, StartError
from engine.runtime.damage import DamagedLedger, open_ledger
from engine.runtime.keeper import Keeper, NotDurable
from engine.runtime.port import DeskPort
from engine.runtime.status import StatusSource
from engine.views import LogLine, Mode
from engine.views.candles import CandleBook
from engine.views.log import log_line

log = logging.getLogger(__name__)

ACCOUNT = "main"
SNAPSHOT_S = 10.0
TICK_S = 1.0
ROOM = 64 * 1024 * 1024
"""Free bytes at which a full disk counts as having room again."""


class Engine:
    """One running engine. `start`, then `wait` until somebody stops it, then `stop`."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.candles = CandleBook()
        self._stopping = asyncio.Event()
        self._stop_reason = ""
        self._tasks: list[asyncio.Task[None]] = []
        self._server: LinkServer | None = None
        self._recorder: Recorder | None = None
        self._snapshot_seq = 0
        self._ledger: Ledger | None = None
        self.hub: Hub
        self.keeper: Keeper
        self.port: DeskPort

    # --- Start --------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take the ledger, rebuild the state, connect the feed, let screens in. Raises StartError."""
        config = self.config
        clock = WallClock()
        try:
            config.ledger.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._ledger, damaged = open_ledger(config, clock.now_ns())
            found = _found(self._ledger, damaged)
            self._feed = self._make_feed(found.state)
            instruments = await self._feed.instruments()
            if self._ledger is not None:
                self._ledger.check_feed(found.state, self._feed.identity)
        except (LedgerError, FeedError, OSError) as error:
            raise StartError(str(error)) from error
        state = found.state
        desk = Desk(state)
        epoch = state.epoch + 1
        self.port = DeskPort(
            config, self._ledger.ledger_id if self._ledger is not None else "damaged", epoch, self.candles
        )
        status = StatusSource(config, self._feed.identity, self._feed.stats)
        status.recovery = recovery_line(found, _clean(config.ledger, state.seq))
        self.keeper = Keeper(self._ledger, desk, self._feed.clock, self.port.tell, self.port.committed)
        self.port.attach(self.keeper, status)
        self.port.on_feed = self._control_feed
        self.port.on_stop = self.request_stop
        if damaged is None:
            self.port.remember(_old_lines(state, config.ledger))
            await self._take_over(instruments, epoch, found.warnings)
            self._run(self._verify(), "verification")
        else:
            self.keeper.look_only(damaged.reason)
            desk.show(instruments)
        if config.record is not None:
            self._start_recording(config.record, instruments)
        self.hub = Hub(self.port)
        if config.socket is not None:
            self._server = LinkServer(config.socket, self.hub)
            await self._server.start()
        self._run(self._play(), "feed")
        self._run(self._each(SNAPSHOT_S, self._snapshot), "snapshots")
        self._run(self._each(TICK_S, self._tick), "ticks")

    def _make_feed(self, state: State) -> Feed:
        config = self.config
        prices = {i.partition(":")[2]: price for i, price in state.marks.items()}
        return make_feed(
            config.feed,
            config.symbols,
            clock=WallClock(),
            seed=config.seed + state.epoch,
            rate=config.rate,
            speed=config.speed or math.inf,
            volatility=config.volatility,
            prices=prices,
        )

    async def _take_over(self, instruments: Sequence[Instrument], epoch: int, warnings: Sequence[str]) -> None:
        """The first events of this epoch; nobody is let in before they are durable."""
        config, keeper = self.config, self.keeper
        profiled = tuple(_with_latency(instrument, config.latency_ns) for instrument in instruments)
        start = Start(
            time_ns=keeper.now_ns(),
            epoch=epoch,
            env=config.env,
            feed=self._feed.identity,
            version=VERSION,
            seed=config.seed,
            recovered=self.port.status.recovery,
            account=ACCOUNT,
            venue="paper",
            asset=_settle(instruments, config.asset),
            balance=config.start_balance,
            instruments=profiled,
            limits=config.limits,
        )
        events = list(keeper.decide(start))
        for warning in warnings:
            events.extend(keeper.decide(Note(keeper.now_ns(), ev.AlarmRaised("LEDGER", warning))))
        reason = killflag.left(config.ledger)
        if reason is not None:
            await self._obey_kill_flag(reason, epoch)
        try:
            await keeper.durable(keeper.desk.state.seq)
        except NotDurable as error:
            raise StartError(f"{config.ledger}: the start could not be written: {error}") from error

    async def _obey_kill_flag(self, reason: str, epoch: int) -> None:
        command = SetKill(request_id=f"kill-flag-{epoch}", on=True, reason=reason, owner="flag")
        self.keeper.decide(Intent(self.keeper.now_ns(), command))
        await self.keeper.durable(self.keeper.desk.state.seq)
        killflag.clear(self.config.ledger)

    def _start_recording(self, path: Path, instruments: Sequence[Instrument]) -> None:
        try:
            self._recorder = Recorder(
                path, self._feed.identity, list(instruments), self.keeper.now_ns(), self._recording_stopped
            )
        except FeedError as error:
            raise StartError(str(error)) from error
        self.port.status.recording = path.name

    def _recording_stopped(self, reason: str) -> None:
        self.port.status.recording = ""
        self._recorder = None
        with suppress(NotDurable):
            self.keeper.decide(Note(self.keeper.now_ns(), ev.AlarmRaised("RECORDING", reason)))

    # --- Running ------------------------------------------------------------------------------------

    def _sink(self) -> Callable[[MarketInput], None]:
        """What the feed calls for every input; the hot path, so everything it needs is local."""
        keeper_market = self.keeper.market
        status, candles = self.port.status, self.candles
        ages = status.ages if self.config.feed == "simulated" else None
        now_ns = self._feed.clock.now_ns

        def take(item: MarketInput) -> None:
            keeper_market(item)
            kind = type(item)
            if kind is Quote:
                status.ticks += 1
                candles.quote(item)  # type: ignore[arg-type]
                if ages is not None:
                    ages.append(now_ns() - item.venue_ns)  # type: ignore[union-attr]
            elif kind is Trade:
                candles.trade(item)  # type: ignore[arg-type]
            if self._recorder is not None:
                self._recorder.write(item)

        return take

    async def _verify(self) -> None:
        """The whole chain, off the loop; a start has only looked at its end."""
        report = await asyncio.to_thread(verify_events, self.config.ledger)
        if not report.ok:
            reason = f"READ ONLY, the ledger is damaged: {report.findings[0].text}; `hoox ledger verify` says more"
            log.error("%s", reason)
            self.keeper.look_only(reason)

    async def _play(self) -> None:
        await self._feed.run(self._sink())

    def _tick(self) -> None:
        if self.keeper.mode is Mode.OK:
            self.keeper.decide(Tick(self.keeper.now_ns()))
        elif self.keeper.full and shutil.disk_usage(self.config.ledger.parent).free > ROOM:
            self.keeper.try_again()

    def _snapshot(self) -> None:
        state = self.keeper.desk.state
        if state.seq != self._snapshot_seq:
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

    async def _each(self, seconds: float, work: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                work()
            except NotDurable as error:
                log.warning("%s", error)

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
        """Screens first, then the feed, then the last events, a snapshot, the file."""
        if self._server is not None:
            await self._server.stop(reason)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.keeper.mode is not Mode.READ_ONLY:
            with suppress(NotDurable):
                self.keeper.decide(Note(self.keeper.now_ns(), ev.EngineStopped(reason)))
                self._snapshot()
        self.keeper.close()
        if self._recorder is not None:
            self._recorder.close()
        if self._ledger is not None:
            self._ledger.close()


def _found(ledger: Ledger | None, damaged: DamagedLedger | None) -> Loaded:
    """What there is to start from."""
    if ledger is not None:
        return ledger.load()
    state = damaged.state if damaged is not None else State()
    return Loaded(state, 0, state.seq, ())


def recovery_line(found: Loaded, clean: bool) -> str:
    """One line about what a start found; empty at a first start or after a clean stop with nothing open."""
    state = found.state
    if state.seq == 0 or (clean and not state.positions and not state.orders):
        return ""
    resting = sum(order.status in ("ACCEPTED", "PARTIAL") for order in state.orders.values())
    back = f" ({resting} resting at the back of their queues)" if resting else ""
    how = "resumed" if clean else "recovered after a crash"
    return (
        f"{how}: {len(state.positions)} positions, {len(state.orders)} orders{back}, "
        f"{state.seq} events (snapshot at {found.snapshot_seq}, {found.tail_events} after it)"
    )


def _clean(path: Path, seq: int) -> bool:
    if not seq:
        return True
    with Reader(path) as reader:
        rows = reader.events_before(None, 1)
    return bool(rows) and rows[0]["type"] == "EngineStopped"


def _old_lines(state: State, path: Path) -> list[LogLine]:
    """The log's last lines from an earlier engine."""
    with Reader(path) as reader:
        rows = reader.events_before(None, 100)
    lines: list[LogLine] = []
    for row in reversed(rows):
        columns = {name: row[name] for name in Event.__struct_fields__ if name != "body"}
        event = Event(**columns, body=decode_body(row["payload"]))
        with suppress(KeyError):
            line = log_line(state, event)
            if line is not None:
                lines.append(line)
    return lines


def _with_latency(instrument: Instrument, latency_ns: int) -> Instrument:
    profile = msgspec.structs.replace(instrument.profile, entry_latency_ns=latency_ns)
    return msgspec.structs.replace(instrument, profile=profile)


def _settle(instruments: Sequence[Instrument], asset: str) -> str:
    """The asset to fund: what the instruments settle in, when the chosen one is none of theirs."""
    assets = [instrument.settle_asset for instrument in instruments]
    return asset if asset in assets or not assets else assets[0]


async def serve(config: EngineConfig) -> None:
    """Run an engine until it is told to stop; SIGTERM and SIGINT tell it."""
    engine = Engine(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, engine.request_stop, signal.Signals(number).name)
    await engine.start()
    reason = await engine.wait()
    await engine.stop(reason)


def run_engine(config: EngineConfig) -> None:
    """Run an engine in this process; raises StartError."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(config))
    else:
        uvloop.run(serve(config))
