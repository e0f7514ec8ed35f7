"""Setting an instrument's leverage: what it does to the open position and to the money set aside for working entries."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec import Struct

from engine.core.arming import arm_position
from engine.core.kernel import Kernel
from engine.core.margin import max_leverage, with_liquidation
from engine.core.rounding import Refusal
from engine.model import event as ev
from engine.model.account import Position
from engine.model.instrument import Instrument
from engine.model.market import Side
from engine.model.money import ONE, ZERO, round_cost


class Remargin(Struct, frozen=True):
    """A change of leverage, worked out: the position after it, (order, reserve) of the entries that work, the money it takes."""

    leverage: int
    position: Position | None = None
    reserves: tuple[tuple[str, Decimal], ...] = ()
    more: Decimal = ZERO


def plan_leverage(kernel: Kernel, account: str, instrument: Instrument, leverage: int) -> Remargin | Refusal:
    """What setting a leverage would do; refused where the venue's tiers or the free money do not allow it."""
    before = kernel.leverage(account, instrument.id)
    if before == leverage:
        return Remargin(leverage)
    state = kernel.state
    position = state.position_of(account, instrument.id)
    notional = abs(position.cost) if position is not None else ZERO
    most = max_leverage(instrument, max(notional, _reach(kernel, account, instrument, position)))
    if not 1 <= leverage <= most:
        return Refusal(
            "LEVERAGE",
            f"leverage: {leverage}x is not within 1x and {most}x for {instrument.symbol}; choose one of these",
        )
    change = work_out(kernel, account, instrument, leverage)
    if change.position is not None and (refusal := already_liquidated(kernel, change.position)):
        return refusal
    free = state.accounts[account].free(instrument.settle_asset)
    if change.more > max(free, ZERO):
        return Refusal(
            "MARGIN",
            f"leverage: {leverage}x needs {change.more:.2f} more for what is open and working, {free:.2f} is free; "
            "choose a higher one or cancel entries",
        )
    return change


def work_out(kernel: Kernel, account: str, instrument: Instrument, leverage: int) -> Remargin:
    """What another leverage makes of the open position and of the money set aside for working entries."""
    before = kernel.leverage(account, instrument.id)
    state = kernel.state
    position = state.position_of(account, instrument.id)
    more = ZERO
    if position is not None:
        notional = abs(position.cost)
        # What was added beyond the initial margin stays: it holds the liquidation price where somebody put it.
        added = max(position.margin - round_cost(notional / position.leverage), ZERO)
        margin = round_cost(notional / leverage) + added
        more = margin - position.margin
        position = with_liquidation(instrument, msgspec.structs.replace(position, leverage=leverage, margin=margin))
    fee = instrument.taker_fee
    ratio = (ONE / leverage + fee) / (ONE / before + fee)
    reserves = []
    for order in state.orders.values():
        if order.reserve and order.terms.instrument == instrument.id and order.terms.account == account:
            reserve = round_cost(order.reserve * ratio)
            more += reserve - order.reserve
            reserves.append((order.terms.id, reserve))
    return Remargin(leverage, position, tuple(reserves), more)


def _reach(kernel: Kernel, account: str, instrument: Instrument, position: Position | None) -> Decimal:
    """What the position would be worth now, had every entry of a side that works for it filled."""
    price = kernel.market(instrument.id).mark_price()
    if price is None:
        return ZERO
    held = position.size if position is not None else ZERO
    known = kernel.state.accounts[account]
    buys, sells = known.working(instrument.id, Side.BUY), known.working(instrument.id, Side.SELL)
    return max(abs(held + buys), abs(held - sells), buys, sells) * price


def set_leverage(
    kernel: Kernel, account: str, instrument: Instrument, change: Remargin, owner: str, request_id: str = ""
) -> None:
    """Make a planned change a fact."""
    if kernel.leverage(account, instrument.id) == change.leverage:
        return
    body = ev.LeverageChanged(change.leverage, change.position)
    kernel.journal.emit_account(account, body, instrument.id, owner, request_id)
    for order_id, reserve in change.reserves:
        kernel.journal.emit_order(kernel.state.orders[order_id], ev.OrderAmended(order_id, reserve=reserve))
    if change.position is not None:
        arm_position(kernel, change.position)


def already_liquidated(kernel: Kernel, position: Position) -> Refusal | None:
    """A change that would put the liquidation price on the wrong side of the mark is refused."""
    mark = kernel.market(position.instrument).value_price(position.size > 0)
    level = position.liquidation
    if mark is not None and level is not None and (mark - level) * position.sign <= 0:
        return Refusal(
            "LIQUIDATION", f"the position would be liquidated at once at {level:.2f}; use less leverage or more margin"
        )
    return None
