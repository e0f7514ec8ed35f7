"""SignalPort: the engine as its intake sees it. What it answers is durable; what cannot be made so is refused."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.core.inbox import SOURCE, signal_of
from engine.core.inputs import Note, SignalIn
from engine.core.state import KEEP_KEYS, SignalRecord, State, signal_key
from engine.core.translate import ENTERS
from engine.intake.port import ACCEPTED, Arrival, Known, Outcome
from engine.ledger.query import Reader
from engine.ledger.upcast import body_of
from engine.model import event as ev
from engine.model.event import Event
from engine.model.money import ZERO
from engine.model.signal import WaitsFor
from engine.runtime.keeper import Keeper, NotDurable
from engine.runtime.timing import Timing
from engine.views import Mode

LOOK_S = 0.01
MOST_LOOKS = 200
"""The first signals wait 2 s at most for prices; the intake gives a commit 2.5 s."""
MOST_EVENTS = 500
WAITING = "waiting"
_SHOWN = Decimal("1e-8")


class SignalPort:
    """Answers the intake from one keeper and its ledger. Everything runs on the engine's loop."""

    def __init__(self, keeper: Keeper, ledger: Path, timing: Timing) -> None:
        self._keeper = keeper
        self._timing = timing
        self._ledger = ledger
        self._reader: Reader | None = None
        self._priced = asyncio.Event()
        self._turn = asyncio.Lock()
        self._ahead: OrderedDict[str, int] = OrderedDict()
        """Signals of which something is not on the disk yet: id -> seq, by seq."""
        self._asking: dict[str, list[asyncio.Future[None]]] = {}
        """Signal -> who waits for its verdict."""
        keeper.listeners.add(self)

    async def open(self) -> None:
        """Take signals once there are prices to trade at, or after a while without: a start must not refuse what it could do."""
        for _ in range(MOST_LOOKS):
            if self._has_prices():
                break
            await asyncio.sleep(LOOK_S)
        self._priced.set()

    def close(self) -> None:
        """Let the ledger go."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    # --- IntakePort ---------------------------------------------------------------------------------

    def find(self, source: str, key: str) -> Known | None:
        """See IntakePort: from the state, else, where that forgets old ones, from the ledger."""
        state = self._keeper.desk.state
        found = state.signal_keys.get(signal_key(source, key))
        if found is None and len(state.signal_keys) < KEEP_KEYS:
            return None
        record = state.find_signal(found[0]) if found is not None else None
        if record is not None:
            return _known(record, self._outcome(record))
        if found is not None and found[0] in self._ahead:
            return Known(found[0], key, found[1], 0, Outcome(found[0], ACCEPTED))
        return self._recalled(self._read().signal(source, key))

    def find_body(self, source: str, body_hash: str) -> Known | None:
        """See IntakePort."""
        return self._recalled(self._read().signal_by_body(source, body_hash))

    async def take(self, arrival: Arrival) -> Outcome:
        """See IntakePort; raises NotDurable."""
        await self._priced.wait()
        async with self._turn:
            # One to a pass of the loop: a crowd of signals holds up no tick for longer than one of them takes.
            await asyncio.sleep(0)
            seq, outcome = self._decide(arrival)
        await self._keeper.durable(seq)
        return outcome

    def _decide(self, arrival: Arrival) -> tuple[int, Outcome]:
        """Hand a signal to the desk; the event to wait for, and what it has come to by then."""
        keeper, signal = self._keeper, arrival.signal
        if keeper.mode is Mode.EXITS_ONLY and signal.action in ENTERS:
            raise NotDurable(keeper.mode_reason)
        self._timing.handed_over(signal.id)
        given = SignalIn(keeper.now_ns(), signal, arrival.policy, arrival.body, arrival.checks, arrival.stages)
        events = keeper.decide(given)
        if not any(type(event.body) is ev.SignalReceived and event.request_id == signal.id for event in events):
            raise NotDurable(f"signal {signal.id} is recorded already")
        return events[-1].seq, _told(keeper.desk.state, _record(keeper.desk.state, signal.id))

    async def outcome(self, signal: str, wait_s: float) -> Outcome:
        """See IntakePort; raises NotDurable, KeyError."""
        if signal in self._keeper.desk.state.signals:
            verdict: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._asking.setdefault(signal, []).append(verdict)
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await verdict
            finally:
                self._forget(signal, verdict)
        state = self._keeper.desk.state
        outcome = _told(state, _record(state, signal))
        await self._keeper.durable(self._ahead.get(signal, 0))
        return outcome

    def closed(self) -> str:
        """See IntakePort. Where only exits are recorded a CLOSE is: the intake is open."""
        keeper = self._keeper
        return (keeper.mode_reason or "nothing is recorded") if keeper.mode is Mode.READ_ONLY else ""

    def entries_refused(self) -> str:
        """See IntakePort."""
        state = self._keeper.desk.state
        return (state.kill_reason or "the kill switch is on") if state.kill else ""

    def probed(self, source: str, stages: dict[str, int]) -> None:
        """See IntakePort."""
        self._timing.probed(source, stages)

    def alarm(self, code: str, message: str) -> None:
        """See IntakePort; raises NotDurable."""
        self._keeper.decide(Note(self._keeper.now_ns(), ev.AlarmRaised(code, message)))

    # --- What happened ------------------------------------------------------------------------------

    def tell(self, events: Sequence[Event]) -> None:
        """See Listener."""
        for event in events:
            signal = signal_of(event.request_id)
            if signal and (event.owner.startswith(SOURCE) or type(event.body) is ev.SignalApproved):
                self._ahead[signal] = event.seq
                self._ahead.move_to_end(signal)
            if type(event.body) is ev.SignalEnded:
                self._answer(self._asking.pop(signal, ()))

    def committed(self, seq: int, committed_ns: int) -> None:
        """See Listener."""
        ahead = self._ahead
        while ahead and next(iter(ahead.values())) <= seq:
            ahead.popitem(last=False)

    def dropped(self, seq: int) -> None:
        """See Listener."""
        self._ahead.clear()
        for asking in self._asking.values():
            self._answer(asking)
        self._asking.clear()

    def _forget(self, signal: str, verdict: asyncio.Future[None]) -> None:
        """Nobody waits for it any more; the verdict of an order that rests may be days away."""
        asking = self._asking.get(signal, [])
        if verdict in asking:
            asking.remove(verdict)
            if not asking:
                del self._asking[signal]

    @staticmethod
    def _answer(asking: Iterable[asyncio.Future[None]]) -> None:
        for verdict in asking:
            if not verdict.done():
                verdict.set_result(None)

    def _has_prices(self) -> bool:
        markets = [market for market in self._keeper.desk.kernel.markets.values() if market.carried]
        return bool(markets) and all(market.quote is not None for market in markets)

    # --- What became of it --------------------------------------------------------------------------

    def _outcome(self, record: SignalRecord) -> Outcome:
        """As far as it is durable: what runs ahead of the disk is told later."""
        signal = record.signal.id
        state = self._keeper.desk.state
        return Outcome(signal, ACCEPTED) if signal in self._ahead else _told(state, record)

    def _recalled(self, row: dict[str, Any] | None) -> Known | None:
        """What the ledger has of a signal that the state has forgotten."""
        if row is None:
            return None
        signal = str(row["request_id"])
        bodies = [
            body_of(event["type"], event["version"], event["payload"])
            for event in self._read().events_after(row["seq"] - 1, MOST_EVENTS, request_id=signal)
        ]
        made = {body.terms.id for body in bodies if isinstance(body, ev.OrderCreated) and not body.terms.parent}
        fills = [(b.price * b.size, b.size) for b in bodies if isinstance(b, ev.OrderFilled) and b.order in made]
        first = next((b.terms.id for b in bodies if isinstance(b, ev.OrderCreated) and b.terms.id in made), "")
        price, quantity = _average(fills)
        outcome = Outcome(signal, row["status"], row["code"], row["message"], first, price, quantity)
        return Known(signal, row["key"], row["body_hash"], row["time_ns"], outcome)

    def _read(self) -> Reader:
        """A connection kept for the next question; each reads what is committed by then."""
        if self._reader is None:
            self._reader = Reader(self._ledger)
        return self._reader


def _record(state: State, signal: str) -> SignalRecord:
    record = state.find_signal(signal)
    if record is None:
        raise KeyError(f"signal {signal} is not there")
    return record


def _known(record: SignalRecord, outcome: Outcome) -> Known:
    signal = record.signal
    return Known(signal.id, signal.key, signal.body_hash, record.received_ns, outcome)


def _told(state: State, record: SignalRecord) -> Outcome:
    """What became of a signal so far, with the fills of its orders."""
    signal = record.signal.id
    orders = [order for order in map(state.find_order, record.orders) if order is not None]
    price, quantity = _average((order.value, order.filled) for order in orders)
    first = record.orders[0] if record.orders else ""
    if record.verdict is not None:
        return Outcome(signal, str(record.verdict), record.code, record.message, first, price, quantity)
    if record.waits is not None and record.waits is not WaitsFor.FLAT:
        return Outcome(signal, WAITING, "", f"waits for {record.waits}", first, price, quantity)
    return Outcome(signal, ACCEPTED, "", "", first, price, quantity)


def _average(filled: Iterable[tuple[Decimal, Decimal]]) -> tuple[Decimal | None, Decimal | None]:
    """Average price and total size of (value, size) pairs; None without a fill."""
    value = size = ZERO
    for worth, units in filled:
        value += worth
        size += units
    if not size:
        return None, None
    price = value / size
    return (price if price == price.quantize(_SHOWN) else price.quantize(_SHOWN)), size
