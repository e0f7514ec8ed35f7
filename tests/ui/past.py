"""A small ledger with a past to look back at, and waiting for a screen that reads one."""

from __future__ import annotations

from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from textual.pilot import Pilot

from engine.ledger.store import Ledger
from engine.model import event as ev
from engine.model.market import Side
from hoox_tui.screens.travel import TravelScreen
from tests.ledger_events import BTC, START_NS, Story

SECOND = 1_000_000_000


def write_past(path: Path) -> Path:
    """39 events, 20 seconds apart: a closed trade, an open long, a working order, an alarm, a second engine start."""
    story = Story()
    events = [
        *story.opening(),
        *story.create(size="0.05"),
        *story.send(),
        *story.fill("0.05"),
        story.event(ev.EquitySampled("USDT", Decimal("9998.475"), Decimal("-0.0025"))),
        *story.create(Side.SELL, "0.05", reduce_only=True),
        *story.send(),
        *story.fill("0.05", "61240.5"),
        story.event(ev.EquitySampled("USDT", Decimal("10008.96"), Decimal(0))),
        *story.create(size="0.02"),
        *story.send(),
        *story.fill("0.02"),
        story.event(ev.AlarmRaised("EXITS_BLIND", "quote of BTCUSDT is silent: what watches it sees no price")),
        story.event(ev.EngineStopped("the screen was closed")),
        story.event(ev.EngineStarted("sim", "simulated", "0.1.0", recovered="resumed: 1 position, 30 events")),
        *story.create(),
        *story.send(),
        story.event(ev.MarksNoted({BTC: Decimal("61180.0")})),
        *(story.event(ev.EquitySampled("USDT", Decimal("10008.35"), Decimal("3.6"))) for _ in range(6)),
    ]
    spread = [
        replace(event, time_ns=START_NS + event.seq * 20 * SECOND, epoch=1 if event.seq < 27 else 2) for event in events
    ]
    with closing(Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)) as ledger:
        ledger.append(spread)
    return path


async def arrived(pilot: Pilot[Any], seq: int | None = None) -> TravelScreen:
    """The screen of time travel, once it shows a moment (of this event) and has read all."""
    for _ in range(400):
        screen = next((one for one in pilot.app.screen_stack if isinstance(one, TravelScreen)), None)
        if screen is not None and "travel" in screen.link.views:
            view: Any = screen.link.views["travel"]
            if view.verified >= view.last_seq and seq in (None, view.seq):
                screen.beat()
                screen.draw_moment()
                await pilot.pause()
                return screen
        await pilot.pause(0.01)
    raise AssertionError(f"time travel did not show event {seq}")
