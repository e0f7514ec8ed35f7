"""What a transport hands over, and how far it came on its way through the checks."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct, field


class Request(Struct, frozen=True, kw_only=True):
    """What a transport read; nothing in it is believed yet."""

    address: str
    """Who called, behind proxies already resolved."""
    body: bytes
    source: str = ""
    """From the path, empty where it names none."""
    idempotency_key: str = ""
    timestamp: str = ""
    signature: str = ""
    internal_key: str = ""
    """X-Internal-Auth-Key."""
    probe: bool = False
    """Measure the path and take nothing."""
    receive_ns: int = 0
    """How long it took to arrive."""


class Tally(Struct):
    """What came from one source since the engine's start."""

    last_ns: int = 0
    received: int = 0
    taken: int = 0
    repeated: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    """By code."""
    quarantined_s: float = 0.0
    """Until its keys are looked at again from where none was right yet."""

    def refuse(self, code: str) -> None:
        """Count a refusal."""
        self.refused[code] = self.refused.get(code, 0) + 1


class Walk:
    """The checks passed, in order, and how long each stretch took by a monotonic clock, ns."""

    __slots__ = ("_at", "_mono", "checks", "stages")

    def __init__(self, mono: Callable[[], int], checks: tuple[str, ...] = (), receive_ns: int = 0) -> None:
        self.checks = list(checks)
        self.stages = {"receive": receive_ns}
        self._mono = mono
        self._at = mono()

    def passed(self, check: str) -> None:
        """A check was passed."""
        self.checks.append(check)

    def stage(self, name: str) -> None:
        """A stretch ends here."""
        now = self._mono()
        self.stages[name] = now - self._at
        self._at = now
