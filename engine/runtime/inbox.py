"""Inbox: the views of signals, with what their records do not hold: how long they took, how they came, who sends them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from engine.core.inputs import SignalIn
from engine.core.rounding import Refusal
from engine.core.state import KEEP_SIGNALS, SignalRecord
from engine.ledger.errors import LedgerError
from engine.ledger.query import Reader
from engine.ledger.upcast import body_of
from engine.model import event as ev
from engine.model.command import ReplaySignal
from engine.model.event import Event
from engine.runtime.keeper import Keeper
from engine.runtime.status import StatusSource
from engine.views.inbox import SignalDetailView, SignalsView
from engine.views.latency import TOTAL, LatencyBook
from engine.views.signals import Heard, detail_view, signals_view

ONLY_SIM = "replay trades for real there: only in env sim can a signal be replayed"


class Inbox:
    """Builds SignalsView and SignalDetailView from one keeper; hears what its desk does."""

    def __init__(self, keeper: Keeper, book: LatencyBook, status: StatusSource, ledger: Path, env: str) -> None:
        self._keeper = keeper
        self._book = book
        self._ledger = ledger
        self._env = env
        self._status = status
        self._took: OrderedDict[str, float] = OrderedDict()
        """Microseconds, by signal."""
        self._received: OrderedDict[str, ev.SignalReceived] = OrderedDict()

    def remember(self) -> None:
        """Take over from the ledger how long the signals took that an earlier engine was sent."""
        state = self._keeper.desk.state
        if not (state.signals or state.signals_ended):
            return
        with suppress(LedgerError), Reader(self._ledger) as reader:
            for signal, took_ns in reader.signals_took(2 * KEEP_SIGNALS).items():
                _keep(self._took, signal, took_ns / 1_000)

    # --- Listener -----------------------------------------------------------------------------------

    def tell(self, events: Sequence[Event]) -> None:
        """See Listener."""
        for event in events:
            match event.body:
                case ev.SignalReceived(signal=signal) as body:
                    _keep(self._received, signal.id, body)
                    _keep(self._took, signal.id, sum(body.stages.values()) / 1_000)
                case ev.LatencyMeasured(order=name, stages=stages) if name in self._took and TOTAL in stages:
                    self._took[name] = stages[TOTAL] / 1_000

    def committed(self, seq: int, committed_ns: int) -> None:
        """See Listener."""

    def dropped(self, seq: int) -> None:
        """See Listener: views show only what is in the desk's state."""

    # --- Views --------------------------------------------------------------------------------------

    def view(self, now_ns: int) -> SignalsView:
        """The list."""
        heard = {name: _heard(tally) for name, tally in self._status.senders().items()}
        return signals_view(self._keeper.desk.state, now_ns, self._took, heard)

    def detail(self, signal: str, now_ns: int) -> SignalDetailView | None:
        """One signal; None where it is not known (any more), or how it came cannot be read."""
        state = self._keeper.desk.state
        record = state.find_signal(signal)
        received = self.received(record) if record is not None else None
        if record is None or received is None:
            return None
        trace = self._book.trace(signal) or self._book.arrival(signal, record.signal.source, received.stages)
        return detail_view(state, now_ns, record, received, trace, self.no_replay())

    def no_replay(self) -> str:
        """Why nothing can be replayed here; empty where it can."""
        return "" if self._env == "sim" else ONLY_SIM

    def replay(self, command: ReplaySignal) -> SignalIn | Refusal:
        """A recorded signal as a new one; the same request gives the same one."""
        record = self._keeper.desk.state.find_signal(command.signal)
        received = self.received(record) if record is not None else None
        if reason := self.no_replay():
            return Refusal("NOT_SIM", reason)
        if record is None or received is None:
            return Refusal("UNKNOWN_SIGNAL", f"signal: {command.signal} is not known (any more)")
        # Only who replays pays for the import.
        from engine.intake.identity import signal_id
        from engine.intake.schema import DERIVED

        old, key = record.signal, f"{DERIVED}replay:{command.request_id}"
        signal = replace(old, id=signal_id(old.source, key), key=key, path="replay", alert_ns=None)
        return SignalIn(self._keeper.now_ns(), signal, record.policy, received.body, received.checks, {})

    def received(self, record: SignalRecord) -> ev.SignalReceived | None:
        """How a signal came: from memory, else from the ledger."""
        name = record.signal.id
        if name not in self._received:
            try:
                with Reader(self._ledger) as reader:
                    rows = reader.events_after(record.seq - 1, 1, kind="SignalReceived")
            except LedgerError:
                return None
            for row in rows:
                body = body_of(row["type"], row["version"], row["payload"])
                if isinstance(body, ev.SignalReceived) and body.signal.id == name:
                    _keep(self._received, name, body)
        return self._received.get(name)


def _keep(kept: OrderedDict[str, Any], name: str, value: object) -> None:
    kept[name] = value
    if len(kept) > 2 * KEEP_SIGNALS:
        kept.popitem(last=False)


def _heard(tally: Any) -> Heard:
    return Heard(tally.last_ns, tally.refused, tally.quarantined_s)
