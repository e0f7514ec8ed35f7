"""Opening a ledger, damaged or not: derived tables are made again, a broken chain is opened to look at only."""

from __future__ import annotations

import logging

from msgspec import Struct

from engine.core.state import State
from engine.ledger.errors import LedgerBroken
from engine.ledger.lock import FileLock
from engine.ledger.rebuild import rebuild_projections
from engine.ledger.replay import replay
from engine.ledger.store import Ledger, Loaded
from engine.ledger.verify import verify
from engine.runtime.config import EngineConfig

log = logging.getLogger(__name__)


class Opened(Struct):
    """What there is to start from. Without a ledger it may only be looked at, and `damage` says why."""

    found: Loaded
    ledger: Ledger | None = None
    lock: FileLock | None = None
    """Held in the ledger's place, so that no second engine serves the same file."""
    damage: str = ""

    def close(self) -> None:
        """Let the next engine in. A first start that failed leaves no ledger behind: whatever was mistyped made it."""
        if self.ledger is not None:
            self.ledger.close(keep_unused=False)
        if self.lock is not None:
            self.lock.release()


def open_ledger(config: EngineConfig, now_ns: int) -> Opened:
    """The ledger and its state, or the state up to the last good event. Raises LedgerError where there is nothing to do."""
    try:
        return _open(config, now_ns)
    except LedgerBroken as broken:
        log.error("%s", broken)
        report = verify(config.ledger)
        if report.whole:
            kept = rebuild_projections(config.ledger)
            log.warning("projections were made again from the events; the damaged file is kept as %s", kept.name)
            return _open(config, now_ns)
        lock = FileLock(config.ledger)
        state = replay(config.ledger, until_seq=report.events) if report.events else State()
        return Opened(Loaded(state, 0, state.seq, ()), lock=lock, damage=damaged(str(broken)))


def damaged(finding: str) -> str:
    """Why a desk may only look, and what to do."""
    return f"READ ONLY, the ledger is damaged: {finding}; `hoox ledger verify` says more"


def _open(config: EngineConfig, now_ns: int) -> Opened:
    ledger = Ledger.open(config.ledger, env=config.env, feed=config.feed, now_ns=now_ns)
    try:
        return Opened(ledger.load(), ledger)
    except BaseException:
        ledger.close()
        raise
