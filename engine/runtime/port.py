"""DeskPort: the engine as its screens see it."""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from engine.core.inputs import Input, Intent
from engine.core.rounding import Refusal
from engine.core.state import KEEP_REQUESTS
from engine.core.translate import ENTERS
from engine.ledger.errors import LedgerError
from engine.ledger.query import Reader
from engine.ledger.upcast import body_of
from engine.link.hub import is_exit
from engine.link.messages import PROTOCOL, Ack, Welcome
from engine.link.port import Permit
from engine.model import event as ev
from engine.model.command import (
    AmendOrder,
    AnyCommand,
    ApproveSignal,
    AttestOrder,
    DeclineSignal,
    Deposit,
    ReplaySignal,
    ResetAccount,
    SetKill,
    SetProtection,
)
from engine.model.event import Event
from engine.runtime.config import EngineConfig
from engine.runtime.durable_views import DurableViews
from engine.runtime.inbox import Inbox
from engine.runtime.keeper import Keeper, NotDurable
from engine.runtime.status import StatusSource
from engine.runtime.timing import Timing
from engine.views import LogLine, LogView, Mode, Preview, View, tables
from engine.views import format as fmt
from engine.views.candles import CandleBook
from engine.views.log import log_line
from engine.views.market import book_view, chart_lines
from engine.views.preview import preview
from engine.views.structs import ChartView

KEEP_ACKS = 10_000
LOG_LINES = 200
RATES = {"status": 4.0, "book": 20.0, "chart": 4.0, "latency": 2.0, "balance": 1.0}
OTHER_RATE = 4.0


class DeskPort:
    """Answers screens and commands from one keeper. Everything runs on the engine's loop."""

    def __init__(self, config: EngineConfig, ledger_id: str, epoch: int, candles: CandleBook) -> None:
        self._config = config
        self._ledger_id = ledger_id
        self._epoch = epoch
        self._candles = candles
        self._keeper: Keeper
        self.status: StatusSource
        self.timing: Timing
        self.inbox: Inbox
        self._acks: OrderedDict[str, Ack] = OrderedDict()
        self._reading = asyncio.Lock()
        self._lines: deque[LogLine] = deque(maxlen=LOG_LINES)
        self._views: DurableViews
        self.on_feed: Callable[[str, float], None]
        self.on_stop: Callable[[str], None]
        self.on_durable: Callable[[], None] = lambda: None

    def attach(self, keeper: Keeper, status: StatusSource) -> None:
        """Serve this keeper's desk."""
        self._keeper = keeper
        self._views = DurableViews(keeper, self._build)
        self.status = status
        self.timing = Timing(keeper)
        keeper.listeners.add(self.timing)
        keeper.desk.kernel.probe = self.timing.passed
        self.inbox = Inbox(keeper, self.timing.book, status, self._config.ledger, self._config.env)
        keeper.listeners.add(self.inbox)

    # --- What happened ------------------------------------------------------------------------------

    def tell(self, events: Sequence[Event]) -> None:
        """Take the events of one input into the log."""
        state = self._keeper.desk.state
        for event in events:
            line = log_line(state, event)
            if line is not None:
                self._lines.append(line)

    def committed(self, seq: int, committed_ns: int) -> None:
        """See Listener."""
        self.on_durable()

    def dropped(self, seq: int) -> None:
        """What followed `seq` did not happen: it is never shown."""
        self._views.dropped()
        while self._lines and self._lines[-1].seq > seq:
            self._lines.pop()

    def remember(self, lines: Sequence[LogLine]) -> None:
        """Begin with what an earlier engine left: the log, and what signals took."""
        self._lines.extend(lines)
        self.inbox.remember()

    # --- EnginePort ---------------------------------------------------------------------------------

    def welcome(self, screen: str) -> Welcome:
        """See EnginePort."""
        config = self._config
        return Welcome(PROTOCOL, screen, self._ledger_id, self._epoch, config.env, config.feed, os.getpid())

    def rate(self, topic: str) -> float:
        """See EnginePort."""
        return RATES.get(topic.partition(":")[0], OTHER_RATE)

    def durable_seq(self) -> int:
        """See EnginePort."""
        return self._keeper.durable_seq

    def view(self, topic: str) -> View | None:
        """See EnginePort."""
        return self._views.now(topic)

    def _build(self, topic: str) -> View | None:
        desk, now_ns = self._keeper.desk, self._keeper.now_ns()
        name, _, rest = topic.partition(":")
        match name:
            case "status":
                return self.status.view(self._keeper, now_ns)
            case "book":
                return book_view(desk, rest, now_ns)
            case "chart":
                instrument, _, seconds = rest.rpartition(":")
                return self._chart(instrument, seconds, now_ns)
            case "positions":
                return tables.positions_view(desk, now_ns)
            case "orders":
                return tables.orders_view(desk, now_ns)
            case "trades":
                return tables.trades_view(desk, now_ns)
            case "balance":
                return tables.balance_view(desk, now_ns)
            case "latency":
                return self.timing.book.view(now_ns)
            case "signals":
                return self.inbox.view(now_ns)
            case "signal":
                return self.inbox.detail(rest, now_ns)
            case "log":
                return LogView(now_ns, tuple(self._lines))
        return None

    def _chart(self, instrument: str, seconds: str, now_ns: int) -> ChartView | None:
        desk = self._keeper.desk
        market = desk.kernel.markets.get(instrument)
        if market is None or not seconds.isdecimal():
            return None
        mark = market.mark_price()
        return ChartView(
            time_ns=now_ns,
            instrument=instrument,
            symbol=market.instrument.symbol,
            seconds=int(seconds),
            price_places=fmt.places(market.instrument.tick),
            candles=self._candles.of(instrument, int(seconds)),
            lines=chart_lines(desk, instrument),
            mark=None if mark is None else float(mark),
            stale=tables.stale(desk.kernel, instrument, now_ns),
        )

    def known(self, request_id: str) -> bool:
        """See EnginePort."""
        try:
            return request_id in self._acks or self._taken_in(request_id) is not None
        except LedgerError:
            return False

    def _taken_in(self, request_id: str) -> int | None:
        """Seq of the intent of this request: from the state, else, where that forgets old ones, from the ledger.

        Raises LedgerError when it cannot be read.
        """
        requests = self._keeper.desk.state.requests
        first = requests.get(request_id)
        if first is not None or len(requests) < KEEP_REQUESTS:
            return first
        with Reader(self._config.ledger) as reader:
            return reader.intent_seq(request_id)

    async def submit(self, command: AnyCommand, *, entry: Permit, key_ns: int, received_ns: int) -> Ack:
        """See EnginePort."""
        keeper = self._keeper
        request_id = command.request_id
        ack = self._acks.get(request_id)
        if ack is not None:
            return ack
        try:
            first = self._taken_in(request_id)
        except LedgerError as error:
            first = None
            if not saves(command):
                message = f"nothing was done: whether {request_id} was asked before is not known: {error}"
                return Ack(request_id, False, "LEDGER", message)
        if first is not None:
            return await self._repeated(request_id, first)
        if not entry.allowed and adds_exposure(keeper, command):
            return Ack(request_id, False, entry.code, entry.message)
        if keeper.mode is Mode.EXITS_ONLY and not saves(command) and not closes(keeper, command):
            return Ack(request_id, False, "EXITS_ONLY", keeper.mode_reason)
        if (command.account or keeper.desk.account) not in keeper.desk.state.accounts:
            return Ack(request_id, False, "ACCOUNT", f"account: {command.account!r} is not there")
        self.timing.asked(request_id, key_ns, received_ns)
        given: Input | Refusal = Intent(keeper.now_ns(), command)
        if isinstance(command, ReplaySignal):
            given = self.inbox.replay(command)
        if isinstance(given, Refusal):
            return Ack(request_id, False, given.code, given.message)
        try:
            events = keeper.decide(given)
            ack = ack_of(request_id, events)
            await keeper.durable(events[-1].seq if events else 0)
        except NotDurable as error:
            return Ack(request_id, False, "NOT_DURABLE", f"nothing was done: {error}")
        self._acks[request_id] = ack
        if len(self._acks) > KEEP_ACKS:
            self._acks.popitem(last=False)
        return ack

    async def _repeated(self, request_id: str, first: int) -> Ack:
        """The first outcome of a request whose intent is event `first`: from memory, else from the ledger."""
        try:
            await self._keeper.durable(first)
        except NotDurable as error:
            return Ack(request_id, False, "NOT_DURABLE", f"nothing was done: {error}")
        ack = self._acks.get(request_id)
        if ack is not None:
            return ack
        try:
            with Reader(self._config.ledger) as reader:
                rows = reader.events_after(first - 1, 200)
        except LedgerError as error:
            return Ack(
                request_id, False, "LEDGER", f"{request_id} was taken in before, its outcome is not known: {error}"
            )
        mine = [row for row in rows if row["request_id"] == request_id]
        bodies = [body_of(row["type"], row["version"], row["payload"]) for row in mine]
        return ack_of_bodies(request_id, bodies)

    def preview(self, command: AnyCommand, *, entry: Permit) -> Preview:
        """See EnginePort."""
        shown = preview(self._keeper.desk, command, self._keeper.now_ns())
        errors = list(shown.errors)
        if shown.entry and not entry.allowed:
            errors.insert(0, entry.message)
        if self._keeper.mode is Mode.READ_ONLY:
            errors.insert(0, self._keeper.mode_reason)
        return replace(shown, errors=tuple(errors))

    async def query(self, name: str) -> Any:
        """See EnginePort: a view's topic, `config` for what it was started with, or `engine` for counters.

        `engine:5000`: ages of the last 5,000 ticks only.
        """
        if name == "config":
            return msgspec.to_builtins(self._config, enc_hook=str)
        if name == "engine":
            return self.status.counters(self._keeper)
        if name.startswith("engine:") and name[7:].isdecimal():
            return self.status.counters(self._keeper, int(name[7:]))
        return fmt.without_separators(msgspec.to_builtins(await self._views.soon(name)))

    async def why(self, name: str) -> Any:
        """See EnginePort; one at a time, in a thread."""
        from engine.ledger.why import why

        async with self._reading:
            try:
                return msgspec.to_builtins(await asyncio.to_thread(why, self._config.ledger, name))
            except LedgerError as error:
                raise KeyError(str(error)) from None

    def control_feed(self, action: str, value: float) -> None:
        """See EnginePort."""
        self.on_feed(action, value)

    def painted(self, order: str, time_ns: int) -> None:
        """See EnginePort."""
        self.timing.painted(order, time_ns)

    def request_stop(self, reason: str) -> None:
        """See EnginePort."""
        self.on_stop(reason)

    def session_changed(self, hand: str, armed: bool, screens: int) -> None:
        """See EnginePort."""
        self.status.session(hand, armed, screens)


def saves(command: AnyCommand) -> bool:
    """Whether a command may use the room kept back on a full disk: exits, protection, the kill switch."""
    return is_exit(command) or isinstance(command, SetKill | SetProtection | DeclineSignal)


def adds_exposure(keeper: Keeper, command: AnyCommand) -> bool:
    """Whether a command needs the hand and arm: everything but exits, protection, attestations, and changes of paper money.

    Approving or replaying a signal is as entering what it asks for; declining one only needs the hand.
    """
    if isinstance(command, AmendOrder):
        order = keeper.desk.state.orders.get(command.order)
        return order is not None and not order.terms.reduce_only
    if closes(keeper, command):
        return False
    return not is_exit(command) and not isinstance(
        command, SetKill | SetProtection | AttestOrder | DeclineSignal | Deposit | ResetAccount
    )


def closes(keeper: Keeper, command: AnyCommand) -> bool:
    """Whether a command lets a signal go that only closes."""
    if not isinstance(command, ApproveSignal | ReplaySignal):
        return False
    record = keeper.desk.state.find_signal(command.signal)
    return record is not None and record.signal.action not in ENTERS


def ack_of(request_id: str, events: Sequence[Event]) -> Ack:
    """The outcome of an intent in its events."""
    return ack_of_bodies(request_id, [event.body for event in events if event.request_id == request_id])


def ack_of_bodies(request_id: str, bodies: Sequence[ev.AnyBody]) -> Ack:
    """The outcome of an intent in what it led to."""
    orders = tuple(body.terms.id for body in bodies if isinstance(body, ev.OrderCreated))
    for body in bodies:
        if isinstance(body, ev.RiskRejected | ev.IntentRefused):
            return Ack(request_id, False, body.code, body.message, orders)
    return Ack(request_id, True, orders=orders)
