"""Views as they may be seen: what runs ahead of the disk is held back until it is durable; prices go on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from engine.clock import mono_ns
from engine.runtime.keeper import Keeper, NotDurable
from engine.views import View
from engine.views.structs import BookView, ChartView, StatusView

PATIENCE_NS = 250_000_000
"""A commit that takes longer does not hold back the prices."""
AGO_NS = 2_000_000_000
"""What nobody looked at for so long is of then, and is not kept; topics are asked for once a second and oftener."""


class _Held(NamedTuple):
    """A view that waits for the commit of event `seq`, since then (mono ns)."""

    seq: int
    view: View
    since: int


class _Shown(NamedTuple):
    """A view of all up to event `seq`, and the same without its time."""

    seq: int
    view: View
    plain: View


class DurableViews:
    """The newest view of each topic whose events are on the disk; `build(topic)` makes one of this moment."""

    def __init__(self, keeper: Keeper, build: Callable[[str], View | None]) -> None:
        self._keeper = keeper
        self._build = build
        self._shown: dict[str, _Shown] = {}
        self._held: dict[str, _Held] = {}
        self._looked: dict[str, int] = {}
        """Topic -> when it was last asked for, mono ns."""

    def now(self, topic: str) -> View | None:
        """What may be shown at once; None when there is no such topic, or nothing of it is durable yet."""
        keeper, now = self._keeper, self._look(topic)
        held = self._held.get(topic)
        late = held is not None and now - held.since > PATIENCE_NS
        if held is not None and keeper.durable_seq >= held.seq:
            del self._held[topic]
            self._show(topic, held.view, held.seq)
            held = None
        seq = keeper.desk.state.seq
        if held is None or late:
            built = self._build(topic)
            if built is None:
                return None
            if keeper.durable_seq >= seq:
                self._show(topic, built, seq)
                return self._latest(topic)
            if held is None:
                self._held[topic] = _Held(seq, built, now)
            if late:
                # Prices never go back: those of a view that was held for long are older than what was shown meanwhile.
                shown = self._shown.get(topic)
                part = durable_part(built, self._latest(topic), keeper.waits_for(seq - keeper.durable_seq))
                self._show(topic, part, 0 if shown is None else shown.seq)
        return self._latest(topic)

    async def soon(self, topic: str) -> View:
        """All that was decided before it was asked for, once it is durable; on a slow disk all that is durable.

        Raises KeyError when there is no such topic, or no view of just what is durable.
        """
        keeper = self._keeper
        seq, built = keeper.desk.state.seq, self._build(topic)
        if built is None:
            raise KeyError(f"the engine knows no query {topic!r}")
        try:
            async with asyncio.timeout(PATIENCE_NS / 1e9):
                await keeper.durable(seq)
            return built
        except (TimeoutError, NotDurable):
            built = self._build(topic)
        pending = keeper.desk.state.seq - keeper.durable_seq
        if built is not None and pending <= 0:
            return built
        shown = self._shown.get(topic)
        # One that lacks what was answered as done long ago would read as what is.
        before = shown.view if shown is not None and shown.seq >= keeper.durable_seq else None
        why = keeper.waits_for(pending)
        view = (durable_part(built, before, why) if built is not None else None) or before
        if view is None:
            raise KeyError(f"{why}; ask again")
        return view

    def dropped(self) -> None:
        """What was held back did not happen: it is never shown."""
        self._held.clear()

    def _look(self, topic: str) -> int:
        """Forget what nobody looks at any more; the time."""
        now = mono_ns()
        if now - self._looked.get(topic, 0) > AGO_NS:
            for name in [name for name, looked in self._looked.items() if now - looked > AGO_NS]:
                del self._looked[name]
                self._shown.pop(name, None)
                self._held.pop(name, None)
        self._looked[topic] = now
        return now

    def _latest(self, topic: str) -> View | None:
        shown = self._shown.get(topic)
        return shown.view if shown is not None else None

    def _show(self, topic: str, view: View | None, seq: int) -> None:
        if view is None:
            return
        plain = replace(view, time_ns=0)
        shown = self._shown.get(topic)
        if topic != "status" and shown is not None and shown.plain == plain:
            view = shown.view
        self._shown[topic] = _Shown(seq, view, plain)


def durable_part(view: View, before: View | None, why: str) -> View | None:
    """What may be shown while a commit takes long, and `why`: prices, and of what is recorded only what was shown before."""
    match view:
        case BookView():
            bids, asks = (tuple(replace(row, own="") for row in rows) for rows in (view.bids, view.asks))
            return replace(view, bids=bids, asks=asks)
        case ChartView():
            return replace(view, lines=before.lines if isinstance(before, ChartView) else ())
        case StatusView() if isinstance(before, StatusView):
            return replace(
                before,
                time_ns=view.time_ns,
                mode_reason=view.mode_reason or why,
                durable_seq=view.durable_seq,
                seq=view.seq,
                streams=view.streams,
                ticks_per_second=view.ticks_per_second,
            )
    return None
