"""The whole ledger is verified beside a running engine: all of a small one, the chain of a large one."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from engine.ledger.errors import LedgerError
from engine.ledger.rebuild import rebuild_projections
from engine.ledger.verify import Report, verify, verify_events

log = logging.getLogger(__name__)

VERIFY_ALL_BELOW = 16 * 1024 * 1024
"""Bytes of a ledger whose derived tables every start compares with the events, too."""
LAST_S = 1.0
"""How long a stop waits for a verification that may be nearly done."""


class Verification:
    """One pass over the file in a thread of its own; `found` is told on the loop what is wrong, if anything is."""

    def __init__(self, ledger: Path, found: Callable[[Report], None]) -> None:
        self.thread = threading.Thread(target=self._work, name="verification", daemon=True)
        self.repair = False
        """Derived tables are wrong, and can be made again once nobody writes."""
        self._ledger = ledger
        self._found = found
        self._loop = asyncio.get_running_loop()
        self.thread.start()

    def end(self) -> None:
        """Do not wait for its end, unless it is near."""
        self.thread.join(LAST_S)

    def put_right(self) -> None:
        """Make derived tables again where they were found wrong. Call it when the ledger is closed."""
        if self.repair:
            try:
                log.warning("the damaged ledger is kept as %s", rebuild_projections(self._ledger).name)
            except LedgerError as error:
                log.error("the ledger could not be put right: %s", error)

    def _work(self) -> None:
        try:
            check = verify if self._ledger.stat().st_size <= VERIFY_ALL_BELOW else verify_events
            report = check(self._ledger)
        except (LedgerError, OSError) as error:
            log.warning("the ledger could not be verified: %s", error)
            return
        if not report.ok:
            with suppress(RuntimeError):  # the loop is over
                self._loop.call_soon_threadsafe(self._found, report)
