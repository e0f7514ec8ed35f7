"""Recorded state: what fold builds from events, what snapshots hold, what is byte-equal after a replay."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec import Struct

from engine.model.account import Account, Position, RiskLimits
from engine.model.instrument import Instrument, InstrumentId
from engine.model.money import ZERO
from engine.model.order import Order, OrderStatus

KEEP_ENDED = 500
"""Ended orders kept for late fills and for screens; older ones live in the ledger's projections."""
KEEP_CLOSED = 500
KEEP_REQUESTS = 10_000
KEEP_EQUITY = 1_440
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
    """What the venue says is filled of it, where it ended."""


class Difference(Struct, frozen=True):
    """A position that the venue states otherwise; signed sizes."""

    since_ns: int
    ours: Decimal
    theirs: Decimal


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
    orders_made: int = 0
    positions_made: int = 0

    def find_order(self, order_id: str) -> Order | None:
        """A live order, or one that ended not long ago."""
        return self.orders.get(order_id) or self.ended.get(order_id)

    def position_of(self, account: str, instrument: InstrumentId, leg: str = "NET") -> Position | None:
        """The open position of a key; None when flat."""
        for position in self.positions.values():
            if position.instrument == instrument and position.account == account and position.leg == leg:
                return position
        return None


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
