"""What can go wrong outside the engine: one function a kind, each undone after a while.

A fault is counted where it takes effect, some of them by the feed and the disk: what finds nothing to befall is none.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.model.market import StreamState
from tests.simulation.disk import POINTS
from tests.simulation.market import STREAMS

if TYPE_CHECKING:
    from tests.simulation.world import World

NOTICED_S = 2.0
"""A watchdog needs this long to miss a stream."""


# --- The market and its feed --------------------------------------------------------------------------


def _jump(world: World, draw: random.Random) -> None:
    reach = draw.choice((300, 1500, 4000, 12_000))
    world.market.move(draw.randint(-reach, reach))
    world.befell("jump")


def _bad_price(world: World, draw: random.Random) -> None:
    if world.feed is not None:
        world.note(world.feed.bad(draw))


def _gap(world: World, draw: random.Random) -> None:
    if world.feed is not None:
        world.feed.skip()


def _reordering(world: World, draw: random.Random) -> None:
    if world.feed is not None:
        world.feed.hold_back = True


def _silent_stream(world: World, draw: random.Random) -> None:
    _quieten(world, (draw.choice(STREAMS),), draw.uniform(0.5, 9), NOTICED_S, StreamState.SILENT)


def _line_lost(world: World, draw: random.Random) -> None:
    _quieten(world, STREAMS, draw.uniform(0.5, 9), 0.0, StreamState.DOWN)


def _quieten(world: World, streams: tuple[str, ...], for_s: float, noticed_s: float, state: StreamState) -> None:
    feed = world.feed
    if feed is None or feed.silent.issuperset(feed.brings(streams)):
        return
    world.befell("line lost" if state is StreamState.DOWN else "silent stream")
    feed.silent.update(streams)

    def notice() -> None:
        if feed is world.feed and feed.silent.issuperset(streams):
            feed.lost(streams, state)

    def again() -> None:
        feed.silent.difference_update(streams)
        if feed is world.feed:
            feed.snapshot()

    if for_s > noticed_s:
        world.later(noticed_s, notice)
    world.later(for_s, again)


# --- The engine and its machine -----------------------------------------------------------------------


def _kill(world: World, draw: random.Random) -> None:
    world.crash()


def _kill_in_a_commit(world: World, draw: random.Random) -> None:
    world.disk.doom = draw.choice(POINTS)
    world.note(f"in the next commit: {world.disk.doom}")


def _slow_disk(world: World, draw: random.Random) -> None:
    world.disk.slow_s = draw.choice((0.05, 0.5, 3.0))
    world.later(draw.uniform(1, 8), lambda: setattr(world.disk, "slow_s", 0.0))


def _full_disk(world: World, draw: random.Random) -> None:
    world.disk.full = True
    world.disk.room = draw.choice((0, 5, 50, 500))
    world.later(draw.uniform(1, 8), lambda: setattr(world.disk, "full", False))


def _writer_behind(world: World, draw: random.Random) -> None:
    world.disk.behind = True


def _clock_back(world: World, draw: random.Random) -> None:
    world.set_clock(-draw.choice((0.4, 1.5, 20.0, 3600.0)))
    world.befell("clock back")


def _clock_forward(world: World, draw: random.Random) -> None:
    world.set_clock(draw.choice((0.4, 1.5, 20.0, 3600.0)))
    world.befell("clock forward")


def _suspend(world: World, draw: random.Random) -> None:
    world.sleep(draw.choice((5, 30, 600, 7200)))
    world.befell("suspend")
    if world.outside is not None:
        world.outside.network.drop_streams()
    world.market.move(draw.randint(-2000, 2000))
    _quieten(world, STREAMS, draw.uniform(0.2, 1.5), 0.0, StreamState.DOWN)


FAULTS: dict[str, Callable[[World, random.Random], None]] = {
    "jump": _jump,
    "bad price": _bad_price,
    "gap": _gap,
    "reordering": _reordering,
    "silent stream": _silent_stream,
    "line lost": _line_lost,
    "kill": _kill,
    "kill in a commit": _kill_in_a_commit,
    "slow disk": _slow_disk,
    "full disk": _full_disk,
    "writer behind": _writer_behind,
    "clock back": _clock_back,
    "clock forward": _clock_forward,
    "suspend": _suspend,
}
