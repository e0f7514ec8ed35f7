"""Alarms that a sender could repeat at will do not flood a person."""

from __future__ import annotations

import logging
from collections import OrderedDict

from engine.intake.keys import masked
from engine.intake.port import IntakePort

log = logging.getLogger(__name__)

MOST_REMEMBERED = 512
AGAIN_NS = 3_600 * 1_000_000_000
"""After so long the same thing is told again."""


class Alarms:
    """Tells the engine, once an hour for each message; of too many the oldest is forgotten. Never raises."""

    def __init__(self, port: IntakePort) -> None:
        self._port = port
        self._told_ns: OrderedDict[tuple[str, str], int] = OrderedDict()

    def tell(self, code: str, message: str, now_ns: int) -> None:
        """Raise an alarm, its secrets masked."""
        told_ns = self._told_ns.pop((code, message), None)
        again = told_ns is None or now_ns - told_ns >= AGAIN_NS
        self._told_ns[code, message] = now_ns if told_ns is None or again else told_ns
        if len(self._told_ns) > MOST_REMEMBERED:
            self._told_ns.popitem(last=False)
        if again:
            self._raise(code, masked(message))

    def _raise(self, code: str, message: str) -> None:
        try:
            self._port.alarm(code, message)
        except Exception as error:  # noqa: BLE001 - the answer to the sender must not depend on it; no trace, it may hold a body
            log.error("an alarm (%s) did not reach the engine: %s", code, type(error).__name__)
