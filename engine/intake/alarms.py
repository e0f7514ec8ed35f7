"""Alarms that a sender could repeat at will do not flood a person."""

from __future__ import annotations

import logging
from collections import OrderedDict, deque

from engine.intake.keys import masked
from engine.intake.port import IntakePort

log = logging.getLogger(__name__)

MOST_REMEMBERED = 512
AGAIN_NS = 3_600 * 1_000_000_000
"""After so long the same thing is told again."""
MOST_AN_HOUR = 60
"""Of one code: who has many addresses could fill the ledger otherwise, and bury what else a person must see."""


class Alarms:
    """Tells the engine, once an hour for each message, and of one code only so many an hour. Never raises."""

    def __init__(self, port: IntakePort) -> None:
        self._port = port
        self._told_ns: OrderedDict[tuple[str, str], int] = OrderedDict()
        """Of too many the oldest is forgotten."""
        self._last_ns: dict[str, deque[int]] = {}
        """When the last ones of a code were told."""

    def tell(self, code: str, message: str, now_ns: int) -> None:
        """Raise an alarm, its secrets masked."""
        told_ns = self._told_ns.pop((code, message), None)
        again = told_ns is None or now_ns - told_ns >= AGAIN_NS
        self._told_ns[code, message] = now_ns if told_ns is None or again else told_ns
        if len(self._told_ns) > MOST_REMEMBERED:
            self._told_ns.popitem(last=False)
        if not again:
            return
        last_ns = self._last_ns.setdefault(code, deque(maxlen=MOST_AN_HOUR))
        if len(last_ns) == MOST_AN_HOUR and now_ns - last_ns[0] < AGAIN_NS:
            return
        last_ns.append(now_ns)
        full = len(last_ns) == MOST_AN_HOUR and now_ns - last_ns[0] < AGAIN_NS
        more = f" (the {MOST_AN_HOUR}th within an hour; more of these are not told until it is over)" if full else ""
        self._raise(code, masked(message) + more)

    def _raise(self, code: str, message: str) -> None:
        try:
            self._port.alarm(code, message)
        except Exception as error:  # noqa: BLE001 - the answer to the sender must not depend on it; no trace, it may hold a body
            log.error("an alarm (%s) did not reach the engine: %s", code, type(error).__name__)
