"""What an engine does with a damaged ledger: derived tables are made again, a broken chain is opened to look at only."""

from __future__ import annotations

import logging

from msgspec import Struct

from engine.core.state import State
from engine.ledger.errors import LedgerBroken
from engine.ledger.rebuild import rebuild_projections
from engine.ledger.replay import replay
from engine.ledger.store import Ledger
from engine.ledger.verify import verify
from engine.runtime.config import EngineConfig

log = logging.getLogger(__name__)


class DamagedLedger(Struct):
    """The state up to the last event that can be trusted, and why no more is."""

    state: State
    reason: str


def open_ledger(config: EngineConfig, now_ns: int) -> tuple[Ledger | None, DamagedLedger | None]:
    """The ledger, or what of it can still be shown. Raises LedgerError where there is nothing to do."""
    try:
        return _open(config, now_ns), None
    except LedgerBroken as broken:
        log.error("%s", broken)
        report = verify(config.ledger)
        if report.rebuildable:
            kept = rebuild_projections(config.ledger)
            log.warning("projections were made again from the events; the damaged file is kept as %s", kept.name)
            return _open(config, now_ns), None
        seq = broken.seq if broken.seq is not None else report.events + 1
        reason = f"READ ONLY, the ledger is damaged: {broken}; `hoox ledger verify` says more"
        return None, DamagedLedger(replay(config.ledger, until_seq=seq - 1) if seq > 1 else State(), reason)


def _open(config: EngineConfig, now_ns: int) -> Ledger:
    return Ledger.open(config.ledger, env=config.env, feed=config.feed, now_ns=now_ns)
