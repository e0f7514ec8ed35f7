"""What all views have in common."""

from __future__ import annotations

from msgspec import Struct


class ViewBase(Struct, frozen=True, tag=True):
    """Common to all views: the engine's time when it was built."""

    time_ns: int
