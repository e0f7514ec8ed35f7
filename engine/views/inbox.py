"""The shapes of signals: the inbox, one signal with all that is known of it, the health of their sources."""

from __future__ import annotations

from msgspec import Struct

from engine.views.base import ViewBase
from engine.views.stages import LatencyTrace


class SignalRow(Struct, frozen=True):
    """One signal. `status`: its verdict, else waiting or accepted."""

    id: str
    received_ns: int
    source: str
    mode: str
    """What its source's signals are for: log, approve, trade."""
    path: str
    action: str
    symbol: str
    quantity: str
    """With what it counts where that is not base units; empty of a CLOSE, which closes all there is."""
    status: str
    waits: str = ""
    """approval, flat, queue or retry."""
    until_ns: int = 0
    """When what it waits for is over, one way or the other; 0 where no time ends it."""
    attempt: int = 0
    """Tries that came to nothing."""
    code: str = ""
    message: str = ""
    took: float | None = None
    """From its first byte to the venue's first word, microseconds; as far as it came where it came to no order."""
    orders: tuple[str, ...] = ()
    entry: bool = False
    """It may add exposure: approving it needs the arm."""
    test: bool = False


class SourceRow(Struct, frozen=True):
    """How a source does since the engine's start, as far as is known."""

    name: str
    last_ns: int
    """When it was last heard, 0 for never."""
    per_minute: int
    """Signals recorded within the last 60 s."""
    accepted: int
    refused: int
    """By the intake, and by the rules after it."""
    quarantined_s: float = 0.0
    """Seconds until it is listened to again after too many wrong keys."""
    refusals: str = ""
    """Why, the most frequent first: code and count."""


class SignalsView(ViewBase, frozen=True):
    """Topic `signals`: the newest 200, newest first; then those that wait for a person beside them, at most 200."""

    rows: tuple[SignalRow, ...]
    total: int
    """Of which the rows are the newest."""
    approvals: int
    """How many wait for a person, shown or not."""
    sources: tuple[SourceRow, ...]


class SignalDetailView(ViewBase, frozen=True):
    """Topic `signal:<id>`: one signal with all that is known of it."""

    row: SignalRow
    key: str
    exchange: str
    terms: tuple[tuple[str, str], ...]
    """(label, value): leverage, type, price, exits, policy."""
    body: str
    """As it came, the secret masked."""
    checks: tuple[str, ...]
    trace: LatencyTrace | None
    orders: tuple[str, ...]
    """What it became: an order a line."""
    no_replay: str
    """Why it cannot be replayed here; empty where it can."""
