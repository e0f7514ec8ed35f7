"""Where a change of a level's size leaves an order in its queue (semantics 6)."""

from __future__ import annotations

from decimal import Decimal

from engine.model.instrument import QueueModel, VenueProfile
from engine.model.money import ONE, ZERO


def ahead_after_change(
    profile: VenueProfile, ahead: Decimal, before: Decimal, now: Decimal, traded: Decimal
) -> Decimal:
    """Size ahead of us after a level went from `before` to `now`, `traded` of it already taken off `ahead` (Q2, Q3).

    Needs ahead <= before.
    """
    cancelled = before - now - traded
    if cancelled <= 0 or profile.queue_model is QueueModel.CONSERVATIVE:
        return min(ahead, now)
    behind = _share_behind(profile, ahead, before - ahead)
    # What cannot have been behind us was ahead: never more than `now` covers that case too.
    return max(min(ahead - (ONE - behind) * cancelled, now), ZERO)


def _share_behind(profile: VenueProfile, front: Decimal, back: Decimal) -> Decimal:
    """Share of the cancelled size that stood behind us."""
    if profile.queue_model is QueueModel.LOG:
        front, back = (ONE + front).ln(), (ONE + back).ln()
    else:
        front, back = front**profile.queue_power, back**profile.queue_power
    return back / (back + front) if back + front else ONE
