"""What a signal leaves: its source's own entries, what of a position nobody closes yet, and how the desk would be after that."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from decimal import Decimal

import msgspec

from engine.core.inbox import owner_of
from engine.core.kernel import Kernel
from engine.core.lifecycle import live_entries, live_exits
from engine.core.state import SignalRecord
from engine.core.translate import LEAVES, Nothing
from engine.model.account import Position
from engine.model.market import Side
from engine.model.money import ZERO
from engine.model.order import AT_VENUE, Order, OrderStatus


def own_entries(kernel: Kernel, record: SignalRecord, sides: Iterable[Side]) -> list[Order]:
    """Live entries of these sides that the signal's source has in its instrument."""
    owner = owner_of(record.signal.source)
    found = live_entries(kernel, record.account, record.instrument, sides)
    return [order for order in found if order.terms.owner == owner]


def withdrew(kernel: Kernel, record: SignalRecord) -> bool:
    """Whether entries of its source were cancelled since the signal came, or was approved."""
    wanted = (record.account, record.instrument, owner_of(record.signal.source), "")
    return any(
        order.status is OrderStatus.CANCELLED and order.cancel_requested and order.updated_ns >= record.since_ns
        for order in kernel.state.ended.values()
        if (order.terms.account, order.terms.instrument, order.terms.owner, order.terms.position) == wanted
    )


def unclosed(kernel: Kernel, record: SignalRecord, sides: frozenset[Side]) -> tuple[Position | None, Decimal]:
    """The position that one of these sides opened, and how much of it does not go to market yet, whoever asked for that.

    A limit does not count, fired or not: it may rest for ever.
    """
    position = kernel.state.position_of(record.account, record.instrument)
    if position is None or (Side.BUY if position.size > ZERO else Side.SELL) not in sides:
        return None, ZERO
    exits = [o for o in live_exits(kernel, record.account, record.instrument) if o.terms.side.sign * position.size < 0]
    to_market = (o.remaining for o in exits if o.status in AT_VENUE and not o.terms.type.has_price)
    return position, abs(position.size) - sum(to_market, ZERO)


def closing_already(kernel: Kernel, record: SignalRecord) -> Nothing | None:
    """A CLOSE has nothing to do while one before it leaves all that it would: that one goes on until flat.

    One of another source withdraws none of its own entries.
    """
    sides = LEAVES.get(record.signal.action)
    line = kernel.lines.get((record.account, record.instrument))
    if sides is None or line is None:
        return None
    for name, action in line.closes.items():
        other = kernel.state.signals.get(name)
        if other is None or other is record or not sides <= LEAVES[action]:
            continue
        if other.signal.source == record.signal.source or not own_entries(kernel, record, sides):
            what = f"{action} {name} of {other.signal.source} closes {record.signal.symbol} already"
            return Nothing("CLOSING", f"{what}, and goes on until that is flat")
    return None


def once_left(kernel: Kernel, record: SignalRecord, sides: frozenset[Side]) -> Kernel:
    """The desk as it would be once a signal has left, at the prices of this moment: to plan with, never to act on."""
    state, account = kernel.state, kernel.state.accounts[record.account]
    instrument = kernel.instrument(record.instrument)
    asset, name = instrument.settle_asset, instrument.id
    position, _ = unclosed(kernel, record, sides)
    withdrawn = own_entries(kernel, record, sides)
    buying, selling = (
        account.working(name, side) - sum((o.at_worst for o in withdrawn if o.terms.side is side), ZERO)
        for side in (Side.BUY, Side.SELL)
    )
    made, margin = _made(kernel, position) if position is not None else (ZERO, ZERO)
    after = msgspec.structs.replace(
        account,
        balances=account.balances | {asset: account.balances.get(asset, ZERO) + made},
        margins=account.margins | {asset: account.margins.get(asset, ZERO) - margin},
        reserves=account.reserves
        | {asset: account.reserves.get(asset, ZERO) - sum((o.reserve for o in withdrawn), ZERO)},
        buying=account.buying | {name: buying},
        selling=account.selling | {name: selling},
    )
    gone = {order.id for order in withdrawn}
    then = copy(kernel)
    then.state = msgspec.structs.replace(
        state,
        accounts=state.accounts | {account.id: after},
        positions={key: held for key, held in state.positions.items() if held is not position},
        orders={key: order for key, order in state.orders.items() if key not in gone} if gone else state.orders,
    )
    return then


def _made(kernel: Kernel, position: Position) -> tuple[Decimal, Decimal]:
    """What closing a position at the best price would bring or cost, its margin at most with the fee, and the margin it frees."""
    market = kernel.market(position.instrument)
    price = market.taker_price(Side.SELL if position.size > ZERO else Side.BUY)
    if price is None:
        return ZERO, position.margin
    fee = abs(position.size) * price * market.instrument.taker_fee
    return max(position.unrealised(price) - fee, -position.margin), position.margin
