"""Exits inside a bar, where only open, high, low and close are known.

For cases S4 and S5 of semantics 4; the desk itself decides on ticks.
"""

from __future__ import annotations

from decimal import Decimal

from engine.model.market import Side
from engine.model.order import Role


def exit_in_bar(
    side: Side,
    entry: Decimal,
    take_profit: Decimal | None,
    stop_loss: Decimal | None,
    open: Decimal,  # noqa: A002 - the bar's own names
    high: Decimal,
    low: Decimal,
    close: Decimal,
) -> tuple[Role, Decimal] | None:
    """Which exit of a position opened by `side` at `entry` a bar meets, and at what price; None while it stays open.

    With both levels inside one bar the stop comes first. A bar that opens beyond a level exits at its open. Raises
    ValueError on a bar that cannot be, or a take profit on the loss side. (A stop may lock profit.)
    """
    if not low <= min(open, close) <= max(open, close) <= high:
        raise ValueError(f"bar: O{open} H{high} L{low} C{close} is not one; high and low must enclose open and close")
    sign = side.sign
    if take_profit is not None and (take_profit - entry) * sign <= 0:
        raise ValueError(
            f"take profit: {take_profit} is on the loss side of the entry at {entry}; choose another level"
        )
    worst, best = (low, high) if sign > 0 else (high, low)
    if stop_loss is not None and (worst - stop_loss) * sign <= 0:
        beyond = (open - stop_loss) * sign <= 0
        return Role.STOP_LOSS, open if beyond else stop_loss
    if take_profit is not None and (best - take_profit) * sign >= 0:
        beyond = (open - take_profit) * sign >= 0
        return Role.TAKE_PROFIT, open if beyond else take_profit
    return None
