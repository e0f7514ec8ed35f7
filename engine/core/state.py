"""Recorded state: what fold builds from events, what snapshots hold, what is byte-equal after a replay."""

from __future__ import annotations

from decimal import Decimal
from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct

from engine.model.account import Account, Position, RiskLimits
from engine.model.instrument import Instrument, InstrumentId
from engine.model.money import ZERO
from engine.model.order import Order, OrderStatus
from engine.model.signal import Policy, Signal, Verdict, WaitsFor

KEEP_ENDED = 500
"""Ended orders kept for late fills and for screens; older ones live in the ledger's projections."""
KEEP_CLOSED = 500
KEEP_REQUESTS = 10_000
KEEP_EQUITY = 1_440
KEEP_SIGNALS = 500
"""Ended signals kept for screens and for who asks what became of one."""
KEEP_KEYS = 10_000
"""Keys of signals; older ones are found in the ledger."""
KEEP_SIGNAL_ORDERS = 10_000
"""Times of a source's orders: no limit an hour can be higher."""
ATTESTED = "attested"
"""Fill id of what a person attested; its size is what no reported fill has covered yet."""


class Flattening(Struct, frozen=True):
    """Who asked for an account to be flattened, and when."""

    begun_ns: int
    owner: str
    request_id: str


class Evidence(Struct, frozen=True):
    """What is known of an order whose outcome is not: shown to a person, and never taken as an answer."""

    since_ns: int
    """When its outcome was lost."""
    first: str
    """What lost it."""
    asked: int = 0
    """How often the venue was asked and gave nothing that decides."""
    last_ns: int = 0
    last: str = ""
    ended: OrderStatus | None = None
    """How the venue says it ended, where fills of it are still missing."""
    filled: Decimal = ZERO
    """What the venue says is filled of it, where fills of it are missing."""


class Difference(Struct, frozen=True):
    """A position that the venue states otherwise; signed sizes."""

    since_ns: int
    ours: Decimal
    theirs: Decimal


class SignalRecord(Struct, gc=False):
    """What is known of a signal; recorded state, changed only by fold."""

    signal: Signal
    policy: Policy
    account: str
    instrument: InstrumentId
    """Empty where nothing of its symbol is known."""
    seq: int
    """Of its SignalReceived."""
    received_ns: int
    since_ns: int
    """When it was received or, later, approved: what its patience counts from."""
    price: Decimal | None
    """What an entry would have met then; None where that is not known, or of a CLOSE."""
    approved: bool = False
    waits: WaitsFor | None = None
    until_ns: int = 0
    """When it is looked at again or expires; 0 where only what it waits for ends that."""
    attempt: int = 0
    """How many tries came to nothing."""
    orders: tuple[str, ...] = ()
    """The orders it became, the last ones where there are many."""
    entry: str = ""
    """The last order it entered with."""
    exit: str = ""
    """The last order it closed with."""
    counted: bool = False
    """It counted against its source's orders an hour."""
    opened: Decimal = ZERO
    """Filled of its entries, base units."""
    closed: Decimal = ZERO
    """Filled of what it closed, base units."""
    verdict: Verdict | None = None
    code: str = ""
    message: str = ""
    ended_ns: int = 0


class State(Struct):
    """Everything that survives a crash."""

    seq: int = 0
    time_ns: int = 0
    epoch: int = 0
    env: str = ""
    feed: str = ""
    seed: int = 0
    kill: bool = False
    kill_reason: str = ""
    flattening: dict[str, Flattening] = {}
    """Accounts that are being flattened."""
    limits: RiskLimits = RiskLimits()
    instruments: dict[InstrumentId, Instrument] = {}
    accounts: dict[str, Account] = {}
    orders: dict[str, Order] = {}
    """Live orders by id."""
    ended: dict[str, Order] = {}
    unknown: dict[str, Evidence] = {}
    """Live orders whose outcome is not known, by id."""
    differs: dict[str, Difference] = {}
    """account|instrument -> where the venue's position is not ours."""
    positions: dict[str, Position] = {}
    """Open positions by id."""
    closed: dict[str, Position] = {}
    requests: dict[str, int] = {}
    """Request id -> seq of its intent."""
    funded: dict[str, int] = {}
    """account|instrument -> last funding time booked, ns."""
    funding_due: dict[InstrumentId, tuple[int, dict[str, Decimal]]] = {}
    """Last funding time that came, ns, and what was held then: position id -> signed size."""
    marks: dict[InstrumentId, Decimal] = {}
    """Marks last noted, for the simulated market to resume from."""
    equity: dict[str, list[tuple[int, str]]] = {}
    """account|asset -> (time_ns, equity) samples for the equity line."""
    day: dict[str, int] = {}
    """account|asset -> UTC day of `day_equity`, days since the epoch."""
    day_equity: dict[str, Decimal] = {}
    """account|asset -> equity at the first sample of the day, moved by deposits since: what the day's PnL is measured from."""
    alarms: list[tuple[int, str, str]] = []
    """(time_ns, code, message), newest last."""
    signals: dict[str, SignalRecord] = {}
    """Signals that have not ended, by id, in the order in which they take their turn."""
    signals_ended: dict[str, SignalRecord] = {}
    signal_keys: dict[str, tuple[str, str]] = {}
    """source|key -> (signal id, body hash)."""
    signal_orders: dict[str, list[int]] = {}
    """Source -> when its signals sent an entry, ns, oldest first."""
    orders_made: int = 0
    positions_made: int = 0

    def find_order(self, order_id: str) -> Order | None:
        """A live order, or one that ended not long ago."""
        return self.orders.get(order_id) or self.ended.get(order_id)

    def find_signal(self, signal: str) -> SignalRecord | None:
        """A live signal, or one that ended not long ago."""
        return self.signals.get(signal) or self.signals_ended.get(signal)

    def position_of(self, account: str, instrument: InstrumentId, leg: str = "NET") -> Position | None:
        """The open position of a key; None when flat."""
        for position in self.positions.values():
            if position.instrument == instrument and position.account == account and position.leg == leg:
                return position
        return None


def bound(entries: dict[str, Any], keep: int) -> None:
    """Drop the oldest entries beyond `keep`, once there are an eighth more."""
    # An eighth at once: a dict walks over what was deleted at its front, so one at a time costs more the longer it is.
    if len(entries) > keep + keep // 8:
        for oldest in list(islice(entries, len(entries) - keep)):
            del entries[oldest]


def signal_key(source: str, key: str) -> str:
    """The key of what is kept for each key of each source."""
    return f"{source}|{key}"


def money_key(account: str, asset: str) -> str:
    """The key of what is kept for each asset of each account."""
    return f"{account}|{asset}"


def pair_key(account: str, instrument: InstrumentId) -> str:
    """The key of what is kept for each instrument of each account."""
    return f"{account}|{instrument}"


_encoder = msgspec.msgpack.Encoder(decimal_format="string")
_decoder = msgspec.msgpack.Decoder(State)


def encode_state(state: State) -> bytes:
    """Canonical bytes: equal states give equal bytes."""
    return _encoder.encode(state)


def decode_state(data: bytes) -> State:
    """Inverse of encode_state; raises msgspec.ValidationError on foreign bytes."""
    return _decoder.decode(data)
