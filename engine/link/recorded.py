"""RecordedLink: an EngineLink over a ledger file. It shows the desk as it was at a moment, and nothing in it trades.

Events are read, verified and folded in a thread of its own; the loop gets finished views.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from engine.clock import mono_ns
from engine.ledger.errors import LedgerBroken, LedgerError
from engine.ledger.history import GivenUp, History, Point
from engine.ledger.why import why
from engine.link.base import LinkLost, LinkState
from engine.link.messages import PROTOCOL, Ack, Welcome
from engine.model.command import AnyCommand
from engine.model.event import Event
from engine.views import Preview, TravelView, View, tables
from engine.views import recorded as at

T = TypeVar("T")
Move = Callable[[History, Point], Point | None]
"""Where to from a moment; None stays."""

REFUSED = "time travel: nothing here trades; go back to the live desk first"
LONG_NS = 500_000_000
"""Work that takes longer says how far it is, and can be broken off."""
LINES = 200
"""Events of the log."""
GRAIN = 1_000
"""Places on the bar at which marks are told apart."""
KINDS: dict[str, tuple[str, ...]] = {
    "fill": ("OrderFilled",),
    "trigger": ("TriggerFired", "Liquidated"),
    "alarm": ("AlarmRaised", "Liquidated", "KillChanged"),
    "refusal": ("RiskRejected", "IntentRefused", "OrderRejected", "OrderDenied"),
    "unknown": ("OrderUnknown", "OrderAttested", "PositionDiffers"),
    "start": ("EngineStarted",),
}
"""Kinds of event one can go on to."""


class RecordedLink:
    """See EngineLink. `until` is the event or the time (ns) to begin at; without either the last event."""

    def __init__(self, path: Path, *, until_seq: int | None = None, until_ns: int | None = None) -> None:
        self.path = path
        self.state = LinkState.CONNECTING
        self.detail = ""
        self.welcome: Welcome | None = None
        self.views: dict[str, View] = {}
        self.last_frame_ns = 0
        """A recording has no heartbeat."""
        self._begin = (until_seq, until_ns)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="time-travel")
        self._history: History | None = None
        self._point = Point(0, 0)
        self._moves: list[Move] = []
        self._since = 0
        """When the work under way began (mono ns); 0 while there is none."""
        self._work: asyncio.Task[str] | None = None
        self._marks: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
        self._marked = 0
        """The end of the bar they were made for."""
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the file and go to where it begins; a ledger that cannot be read is said in `detail`, state LOST."""
        try:
            await self._there(self._open)
        except (LedgerError, OSError, sqlite3.Error) as error:
            self.state, self.detail = LinkState.LOST, str(error)
            return
        if self.state is LinkState.CLOSED:
            return
        self.state = LinkState.CONNECTED
        until_seq, until_ns = self._begin
        if until_seq is not None:
            await self.to_seq(until_seq)
        elif until_ns is not None:
            await self.to_time(until_ns)
        else:
            await self.to_last()
        self._reading = asyncio.create_task(self._read_all(), name="time-travel")

    async def close(self) -> None:
        """Close the file, also one that is only being opened."""
        if self.state is LinkState.CLOSED:
            return
        self.state = LinkState.CLOSED
        tasks = [task for task in (self._reading, self._work) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._history is not None:
            self._history.give_up()
        await self._there(self._shut)
        self._thread.shutdown()

    def subscribe(self, topics: tuple[str, ...]) -> None:
        """All there is, is made at every moment: nothing to choose."""

    # --- moving ---

    @property
    def point(self) -> Point:
        """The moment shown."""
        return self._point

    async def step(self, events: int) -> str:
        """Events on, or back."""
        return await self.go(lambda history, point: history.at_seq(point.seq + events))

    async def by(self, ns: int) -> str:
        """Time on, or back."""
        return await self.go(lambda history, point: history.at_time(point.time_ns + ns))

    async def to_seq(self, seq: int) -> str:
        """The moment of an event."""
        return await self.go(lambda history, _: history.at_seq(seq))

    async def to_time(self, time_ns: int) -> str:
        """A time."""
        return await self.go(lambda history, _: history.at_time(time_ns))

    async def to_first(self) -> str:
        """The first event."""
        return await self.go(lambda history, _: history.first)

    async def to_last(self) -> str:
        """The last event, also when an engine wrote on meanwhile."""
        return await self.go(lambda history, _: history.last)

    async def to_next(self, kind: str, forward: bool = True) -> str:
        """The nearest event of a kind (see KINDS)."""
        types = KINDS[kind]
        return await self.go(lambda history, point: history.next_of(types, point.seq, forward))

    @property
    def busy(self) -> str:
        """How far a long way has been gone; empty when nobody waits."""
        if self._history is None or not self._since or mono_ns() - self._since < LONG_NS:
            return ""
        return f"reading: event {self._history.position:,} of {self._point.seq:,}"

    async def go(self, move: Move) -> str:
        """Make a move and show where it leads; returns what there is to say of it.

        Moves that come meanwhile add up; one that comes during a long way does not wait for its end.
        """
        self._moves.append(move)
        if self._history is not None and self.busy:
            self._history.give_up()
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._go())
        return await asyncio.shield(self._work)

    async def _go(self) -> str:
        said = ""
        while self._moves and self._history is not None:
            moves, self._moves = self._moves, []
            self._since = mono_ns()
            try:
                self.views, said = await self._there(partial(self._look, self._history, moves))
            except GivenUp:
                continue
            except (LedgerError, sqlite3.Error) as error:
                said = f"the ledger cannot be read there: {error}"
            finally:
                self._since = 0
        return said

    # --- in the thread ---

    async def _there(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _open(self) -> None:
        self._history = History(self.path)

    def _shut(self) -> None:
        if self._history is not None:
            self._history.close()
            self._history = None

    def _mark(self, history: History) -> None:
        """Where fills and engine starts lie on the bar; anew when its end moved."""
        last = history.last.seq
        if last == self._marked:
            return
        self._marked = last
        span = max(last - 1, 1)
        try:
            began = history.starts()
        except LedgerBroken:
            began = []  # an event is missing, which is said once the reading comes to it
        fills, starts = (
            tuple(dict.fromkeys((seq - 1) * GRAIN // span / GRAIN for seq in seqs if seq <= last))
            for seqs in (history.fills(), began)
        )
        self._marks = fills, starts

    async def _read_all(self) -> None:
        """Fold from the first event on, a little at a time: what a person asks for goes first."""
        with suppress(LedgerError, sqlite3.Error):
            more = True
            while self._history is not None and more:
                with suppress(GivenUp):
                    more = await self._there(self._history.go_on)
        if self._history is not None and self._history.damage:
            await self.go(lambda history, point: history.at_seq(min(point.seq, history.last.seq)))
        else:
            self._tell_verified()

    def _tell_verified(self) -> None:
        view = self.views.get("travel")
        if isinstance(view, TravelView) and self._history is not None:
            self.views = {**self.views, "travel": msgspec.structs.replace(view, verified=self._history.verified)}

    def _look(self, history: History, moves: list[Move]) -> tuple[dict[str, View], str]:
        point, said = self._point, ""
        for move in moves:
            moved = move(history, point)
            if moved is None or moved.seq >= history.last.seq:
                # At the end of what was known: an engine may have written on meanwhile.
                history.renew()
                moved = move(history, point)
            said = "" if moved is not None else "there is none"
            point = moved or point
        self._point = point
        folded, events = history.folded(point.seq), history.events(point.seq, LINES)
        while history.damage and point.seq > history.last.seq:
            # Found on the way: what follows is not trusted.
            point = self._point = history.last
            folded, events = history.folded(point.seq), history.events(point.seq, LINES)
        self._mark(history)
        now = point.time_ns
        desk = at.desk_at(folded.state, folded.prices)
        self.welcome = Welcome(PROTOCOL, "", str(self.path), folded.state.epoch, folded.state.env, folded.state.feed, 0)
        return {
            "status": at.status_view(desk, folded.prices, now, self.path.name),
            "positions": at.positions_view(desk, folded.prices, now),
            "orders": tables.orders_view(desk, now),
            "trades": tables.trades_view(desk, now),
            "balance": at.balance_view(desk, folded.prices, now),
            "log": at.log_view(folded.state, events, now),
            "prices": at.prices_view(desk, folded.prices, now),
            "travel": self._travel_view(history, point, events[-1], at.valued_ns(desk, folded.prices)),
        }, said

    def _travel_view(self, history: History, point: Point, last: Event, valued_ns: int | None) -> TravelView:
        return TravelView(
            time_ns=point.time_ns,
            seq=point.seq,
            event_ns=last.time_ns,
            event=f"{last.type} {last.instrument.partition(':')[2]}".strip(),
            epoch=last.epoch,
            valued_ns=valued_ns,
            first_ns=history.first.time_ns,
            last_seq=history.last.seq,
            last_ns=history.last.time_ns,
            fills=self._marks[0],
            starts=self._marks[1],
            verified=history.verified,
            damage=history.damage,
        )

    # --- what an engine would do ---

    async def submit(self, command: AnyCommand, key_ns: int = 0) -> Ack:
        """Refused."""
        return Ack(command.request_id, False, "TIME_TRAVEL", REFUSED)

    async def preview(self, command: AnyCommand) -> Preview:
        """Refused."""
        return Preview(type(command).__name__, (), (REFUSED,))

    async def query(self, name: str) -> Any:
        """A topic's view as plain data, or with `why:NAME` the chain of a row as it was at the moment shown.

        Raises LinkLost before there are any, RuntimeError for another name.
        """
        if self.state is not LinkState.CONNECTED:
            raise LinkLost(self.detail or "the ledger is not open")
        kind, _, row = name.partition(":")
        if kind == "why":
            return msgspec.to_builtins(await self._there(partial(why, self.path, row, self._point.seq)))
        if name not in self.views:
            raise RuntimeError(f"nothing is recorded of {name!r}; there are {', '.join(self.views)}")
        return msgspec.to_builtins(self.views[name])

    def take_hand(self) -> None:
        """There is no hand to take."""

    def set_armed(self, on: bool) -> None:
        """There is nothing to arm."""

    def control_feed(self, action: str, value: float = 0.0) -> None:
        """There is no feed."""

    def painted(self, order: str, time_ns: int) -> None:
        """Nobody measures."""

    def stop_engine(self, reason: str) -> None:
        """There is no engine; one that runs on the same ledger is left alone."""
