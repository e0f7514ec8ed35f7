"""How signals become rows of `signals`: one each, from its receipt to its verdict."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from engine.ledger.schema import Row
from engine.model import event as ev

ACCEPTED, WAITING = "accepted", "waiting"
"""What stands as status until the verdict."""


class SignalRow(Struct):
    """A row of `signals` while its events arrive."""

    seq: int
    time_ns: int
    request_id: str
    source: str
    key: str
    body_hash: str
    account: str
    instrument: str
    exchange: str
    action: str
    symbol: str
    quantity: Decimal
    unit: str
    path: str
    mode: str
    status: str = ACCEPTED
    code: str = ""
    message: str = ""
    latency_ns: int = 0
    """What the intake took: from the first byte until it was ready to be recorded."""
    ended_ns: int = 0

    @property
    def ended(self) -> bool:
        """Its verdict is there."""
        return self.ended_ns > 0

    def stands(self, status: str, code: str = "", message: str = "", ended_ns: int = 0) -> None:
        """Take what is known of it now."""
        self.status, self.code, self.message, self.ended_ns = status, code, message, ended_ns

    def columns(self) -> Row:
        """As stored: the exact quantity in text."""
        return (
            self.seq,
            self.time_ns,
            self.request_id,
            self.source,
            self.key,
            self.body_hash,
            self.account,
            self.instrument,
            self.exchange,
            self.action,
            self.symbol,
            str(self.quantity),
            self.unit,
            self.path,
            self.mode,
            self.status,
            self.code,
            self.message,
            self.latency_ns,
            self.ended_ns,
        )


def signal_from(event: ev.Event, body: ev.SignalReceived) -> SignalRow:
    """The row of a signal just received."""
    it = body.signal
    return SignalRow(
        event.seq,
        event.time_ns,
        it.id,
        it.source,
        it.key,
        it.body_hash,
        event.account,
        event.instrument,
        it.exchange,
        str(it.action),
        it.symbol,
        it.quantity,
        str(it.unit),
        it.path,
        str(body.policy.mode),
        latency_ns=sum(ns for ns in body.stages.values() if ns > 0),
    )


def signal_of(row: Row) -> SignalRow:
    """Inverse of SignalRow.columns."""
    values = list(row)
    values[11] = Decimal(row[11])
    return SignalRow(*values)
