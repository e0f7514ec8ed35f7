"""Names that a command may get wrong: the refusal says which are there."""

from __future__ import annotations

from itertools import islice
from typing import Any

from engine.core.kernel import Kernel
from engine.core.rounding import Refusal
from engine.model.account import Position
from engine.model.order import Order

NAMED = 8
SHOWN = 60


def unknown(field: str, value: str, known: dict[str, Any]) -> Refusal:
    """Nothing of this name is there; the first few that are."""
    names = ", ".join(islice(known, NAMED)) or "none"
    return Refusal("UNKNOWN", f"{field}: {value[:SHOWN]!r} is not there (any more); there are: {names}")


def open_position(kernel: Kernel, account: str, position_id: str) -> Position | None:
    """An open position of this account."""
    position = kernel.state.positions.get(position_id)
    return position if position is not None and position.account == account else None


def live_order(kernel: Kernel, account: str, order_id: str) -> Order | None:
    """A live order of this account."""
    order = kernel.state.orders.get(order_id)
    return order if order is not None and order.terms.account == account else None
