"""IntakePort: what the intake asks of the engine. Everything about a signal that must last is behind it."""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol

from msgspec import Struct

from engine.model.signal import Policy, Signal, Verdict

ACCEPTED = "accepted"
WAITING = "waiting"
OPEN_STATUSES = frozenset({ACCEPTED, WAITING})
"""The verdict is still to come."""
REFUSED = str(Verdict.REFUSED)
KILL_SWITCH = "KILL_SWITCH"


class Arrival(Struct, frozen=True):
    """A signal that passed every check; the engine adds the time and records it as SignalReceived."""

    signal: Signal
    policy: Policy
    body: str
    """Raw text, the secret masked."""
    checks: tuple[str, ...]
    """Names of the checks passed, in order."""
    stages: dict[str, int]
    """ns: receive, authenticate (with reading the JSON), validate, dedup (the look-up; the commit is the engine's)."""


class Outcome(Struct, frozen=True, omit_defaults=True):
    """What became of a signal, as far as it is durable."""

    id: str
    status: str
    """accepted, waiting, or its Verdict."""
    code: str = ""
    message: str = ""
    order: str = ""
    """The first order it became; empty for none."""
    price: Decimal | None = None
    """Average price of its fills, quote asset."""
    quantity: Decimal | None = None
    """Filled, base units."""


class Known(Struct, frozen=True):
    """A signal recorded before under the same key."""

    id: str
    key: str
    body_hash: str
    received_ns: int
    """When it was recorded, ns UTC."""
    outcome: Outcome


class IntakePort(Protocol):
    """The engine, as the intake sees it. Whatever it raises, the sender is told 503 and nothing is assumed recorded."""

    def find(self, source: str, key: str) -> Known | None:
        """The signal recorded under a key, however long ago; raises when that cannot be told."""
        ...

    def find_body(self, source: str, body_hash: str) -> Known | None:
        """The last signal recorded with this body hash; asked for sources with weakDedup, for bodies new since the start."""
        ...

    async def take(self, arrival: Arrival) -> Outcome:
        """Record a signal and act on it; returns once SignalReceived is durable, raises when it is not.

        A key that is recorded already raises too: the intake asks `find` before, and holds the key meanwhile.
        """
        ...

    async def outcome(self, signal: str, wait_s: float) -> Outcome:
        """What became of a signal: at its final verdict, else as it stands after `wait_s` seconds."""
        ...

    def closed(self) -> str:
        """Why nothing can be recorded at the moment, not even a CLOSE; empty while signals are taken."""
        ...

    def entries_refused(self) -> str:
        """Why entries are refused by the kill switch; empty when they are not."""
        ...

    def probed(self, source: str, stages: dict[str, int]) -> None:
        """A request of a source measured the way, and nothing was recorded; ns by stage."""
        ...

    def alarm(self, code: str, message: str) -> None:
        """Tell a person; the message holds no secret."""
        ...
