"""A feed that fails is begun again, later each time."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from engine.clock import SteadyClock
from engine.runtime import player
from engine.views.candles import CandleBook


class Failing:
    """A feed that fails at once, and says when it was begun."""

    def __init__(self) -> None:
        self.clock = SteadyClock()
        self.begun: list[float] = []

    async def run(self, sink: object) -> None:
        self.begun.append(asyncio.get_running_loop().time())
        raise ValueError("a fault")


async def test_a_feed_that_fails_again_and_again_does_not_storm_its_venue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(player, "AGAIN_S", 0.02)
    monkeypatch.setattr(player, "LONGEST_S", 0.16)
    feed: Any = Failing()
    kernel = SimpleNamespace(markets={})
    keeper: Any = SimpleNamespace(market=None, now_ns=feed.clock.now_ns, desk=SimpleNamespace(kernel=kernel))
    status: Any = SimpleNamespace(ticks=0, ages=None, ended_ns=0)
    task = asyncio.create_task(player.Player(feed, keeper, status, CandleBook(), ages=False).run())
    await asyncio.wait([task], timeout=1.0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert 5 <= len(feed.begun) <= 16
    assert feed.begun[-1] - feed.begun[-2] >= 0.08
