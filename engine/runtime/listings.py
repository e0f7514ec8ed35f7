"""What a venue changes of its instruments while an engine runs: tick, filters, tiers, fees, a halt."""

from __future__ import annotations

import asyncio
import logging

from msgspec.structs import replace

from engine.core.inputs import Listed
from engine.feeds.base import Feed, FeedError
from engine.runtime.keeper import Keeper

log = logging.getLogger(__name__)

LOOK_S = 600.0


async def follow(feed: Feed, keeper: Keeper) -> None:
    """Ask the feed's venue now and then, and tell the desk what is not as it knows it, until cancelled."""
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            found = await feed.relisted()
        except FeedError as error:
            log.warning("%s; going on with the instruments as they were", error)
            continue
        except Exception:  # an answer that nobody foresaw is no reason to stop an engine with its stops
            log.exception("the instruments could not be read; going on with them as they were")
            continue
        for instrument in found:
            known = keeper.desk.state.instruments.get(instrument.id)
            if known is None:
                continue
            # How long an order travels is this engine's setting, not the venue's.
            profile = replace(instrument.profile, entry_latency_ns=known.profile.entry_latency_ns)
            now = replace(instrument, profile=profile)
            if now != known and keeper.take(Listed(keeper.now_ns(), now)):
                log.info("%s changed at its venue", instrument.id)
