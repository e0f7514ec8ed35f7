"""Alarms that a sender could repeat at will reach a person once."""

from __future__ import annotations

import logging
from collections import OrderedDict

from engine.intake.keys import masked
from engine.intake.port import IntakePort

log = logging.getLogger(__name__)

MOST_REMEMBERED = 512


class Alarms:
    """Tells the engine, once for each message; of too many the oldest is forgotten. Never raises."""

    def __init__(self, port: IntakePort) -> None:
        self._port = port
        self._told: OrderedDict[tuple[str, str], None] = OrderedDict()

    def tell(self, code: str, message: str) -> None:
        """Raise an alarm, its secrets masked."""
        if (code, message) in self._told:
            return
        self._told[code, message] = None
        if len(self._told) > MOST_REMEMBERED:
            self._told.popitem(last=False)
        try:
            self._port.alarm(code, masked(message))
        except Exception as error:  # noqa: BLE001 - the answer to the sender must not depend on it; no trace, it may hold a body
            log.error("an alarm (%s) did not reach the engine: %s", code, type(error).__name__)
