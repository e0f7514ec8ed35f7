"""The kill switch of somebody who found no engine: obeyed by the next start, and by one that runs all the same.

An engine that is on its way, or whose socket is out of somebody's reach, is not found.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from engine.core.inputs import Intent
from engine.link import killflag
from engine.model.command import SetKill
from engine.runtime.keeper import Keeper, NotDurable

log = logging.getLogger(__name__)

LOOK_S = 1.0


async def obey(ledger: Path, keeper: Keeper) -> bool:
    """Whether there was a flag; the kill switch is then on, durably. Raises NotDurable, or OSError where it cannot be removed."""
    reason = killflag.left(ledger)
    if reason is None:
        return False
    now_ns = keeper.now_ns()
    keeper.decide(Intent(now_ns, SetKill(request_id=f"kill-flag-{now_ns}", on=True, reason=reason, owner="flag")))
    await keeper.durable(keeper.desk.state.seq)
    killflag.clear(ledger)
    return True


async def follow(ledger: Path, keeper: Keeper) -> None:
    """Look for a flag now and then, until cancelled."""
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            if await obey(ledger, keeper):
                log.warning("the kill switch is on: %s was found", killflag.kill_flag(ledger))
        except NotDurable:
            continue
        except OSError as error:
            log.error("the kill switch is on; its flag cannot be removed, the next start obeys it again: %s", error)
            return
