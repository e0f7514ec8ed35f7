"""What a venue tells, and the rule that hears it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.core.doubts import amend_refused, asked, cancel_refused, doubt, no_such_order, not_sent
from engine.core.inputs import (
    AmendRefused,
    Asked,
    CancelRefused,
    Doubt,
    NoSuchOrder,
    NotSent,
    OrderSaid,
    VenueStands,
)
from engine.core.kernel import Kernel
from engine.core.reconcile import stands
from engine.core.reports import order_said

VENUE_RULES: dict[type, Callable[[Kernel, Any], None]] = {
    OrderSaid: order_said,
    Doubt: doubt,
    Asked: asked,
    NoSuchOrder: no_such_order,
    NotSent: not_sent,
    CancelRefused: cancel_refused,
    AmendRefused: amend_refused,
    VenueStands: stands,
}
