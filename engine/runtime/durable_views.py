"""Views as they may be seen: what runs ahead of the disk is held back until it is durable; prices go on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec.structs import replace

from engine.clock import mono_ns
from engine.runtime.keeper import Keeper, NotDurable
from engine.views import View
from engine.views.structs import BookView, ChartView, StatusView

PATIENCE_NS = 250_000_000
"""A commit that takes longer does not hold back the prices."""


class DurableViews:
    """The newest view of each topic whose events are on the disk; `build(topic)` makes one of this moment."""

    def __init__(self, keeper: Keeper, build: Callable[[str], View | None]) -> None:
        self._keeper = keeper
        self._build = build
        self._shown: dict[str, tuple[View, View]] = {}
        """Topic -> (view, the same without its time)."""
        self._held: dict[str, tuple[int, View, int]] = {}
        """Topic -> (seq, view that waits for its commit, since when, mono ns)."""

    def now(self, topic: str) -> View | None:
        """What may be shown at once; None when there is no such topic, or nothing of it is durable yet."""
        keeper = self._keeper
        held = self._held.get(topic)
        if held is not None and keeper.durable_seq >= held[0]:
            del self._held[topic]
            self._show(topic, held[1])
            held = None
        seq = keeper.desk.state.seq
        if held is None or mono_ns() - held[2] > PATIENCE_NS:
            built = self._build(topic)
            if built is None:
                return None
            if keeper.durable_seq >= seq:
                self._show(topic, built)
            elif held is None:
                self._held[topic] = (seq, built, mono_ns())
            else:
                self._show(topic, durable_part(built, self._latest(topic), seq - keeper.durable_seq))
        return self._latest(topic)

    async def soon(self, topic: str) -> View:
        """All that was decided before it was asked for, once it is durable; on a slow disk what may be shown at once.

        Raises KeyError when there is no such topic, or nothing of it is durable yet.
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
            view = self.now(topic)
        if view is None:
            raise KeyError(f"{keeper.desk.state.seq - keeper.durable_seq} events wait for a slow disk; ask again")
        return view

    def dropped(self) -> None:
        """What was held back did not happen: it is never shown."""
        self._held.clear()

    def _latest(self, topic: str) -> View | None:
        shown = self._shown.get(topic)
        return shown[0] if shown is not None else None

    def _show(self, topic: str, view: View | None) -> None:
        if view is None:
            return
        plain = replace(view, time_ns=0)
        shown = self._shown.get(topic)
        if topic == "status" or shown is None or shown[1] != plain:
            self._shown[topic] = (view, plain)


def durable_part(view: View, before: View | None, pending: int) -> View | None:
    """What may be shown while a commit takes long: prices, and of what is recorded only what was shown before."""
    match view:
        case BookView():
            bids, asks = (tuple(replace(row, own="") for row in rows) for rows in (view.bids, view.asks))
            return replace(view, bids=bids, asks=asks)
        case ChartView():
            return replace(view, lines=before.lines if isinstance(before, ChartView) else ())
        case StatusView() if isinstance(before, StatusView):
            slow = f"the disk is slow: {pending} events wait for it"
            return replace(
                before,
                time_ns=view.time_ns,
                mode_reason=view.mode_reason or slow,
                durable_seq=view.durable_seq,
                seq=view.seq,
                streams=view.streams,
                ticks_per_second=view.ticks_per_second,
            )
    return None
