"""What a signal leaves: its source's own entries, and what of a position nobody closes yet."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from engine.core.inbox import owner_of
from engine.core.kernel import Kernel
from engine.core.lifecycle import live_entries, live_exits
from engine.core.state import SignalRecord
from engine.model.account import Position
from engine.model.market import Side
from engine.model.money import ZERO
from engine.model.order import AT_VENUE, Order


def own_entries(kernel: Kernel, record: SignalRecord, sides: Iterable[Side]) -> list[Order]:
    """Live entries of these sides that the signal's source has in its instrument."""
    owner = owner_of(record.signal.source)
    found = live_entries(kernel, record.account, record.instrument, sides)
    return [order for order in found if order.terms.owner == owner]


def unclosed(kernel: Kernel, record: SignalRecord, sides: frozenset[Side]) -> tuple[Position | None, Decimal]:
    """The position that one of these sides opened, and how much of it does not go to market yet, whoever asked for that.

    A limit does not count, fired or not: it may rest for ever.
    """
    position = kernel.state.position_of(record.account, record.instrument)
    if position is None or (Side.BUY if position.size > ZERO else Side.SELL) not in sides:
        return None, ZERO
    exits = live_exits(kernel, record.account, record.instrument)
    to_market = (o.remaining for o in exits if o.status in AT_VENUE and not o.terms.type.has_price)
    return position, abs(position.size) - sum(to_market, ZERO)
