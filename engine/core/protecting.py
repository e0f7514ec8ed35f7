"""The take profit, stop loss and trailing stop of an open position (semantics 4, 5)."""

from __future__ import annotations

from decimal import Decimal

from engine.core.brackets import exit_terms
from engine.core.kernel import Kernel
from engine.core.lifecycle import create, hold, live_exits, withdraw
from engine.core.plan import check_protection, trail_distance
from engine.core.rounding import Refusal, round_stop, round_take_profit
from engine.core.unknown import open_position, unknown
from engine.model import command as cmd
from engine.model.account import Position
from engine.model.market import Side
from engine.model.money import ZERO
from engine.model.order import OrderStatus, OrderTerms, OrderType, TriggerSource


def protect(kernel: Kernel, account: str, command: cmd.SetProtection) -> Refusal | None:
    """Replace what protects a position; the new exits cover all of it and grow with it."""
    position = open_position(kernel, account, command.position)
    if position is None:
        return unknown("position", command.position, kernel.state.positions)
    instrument = kernel.instrument(position.instrument)
    closing = Side.SELL if position.size > 0 else Side.BUY
    take_profit, stop_loss = command.take_profit, command.stop_loss
    if take_profit is not None:
        take_profit = round_take_profit(instrument, closing, take_profit)
    if stop_loss is not None:
        stop_loss = round_stop(instrument, closing, stop_loss)
    if command.trail_bps is not None and not ZERO < command.trail_bps < 10_000:
        return Refusal("TRAIL", f"trail: {command.trail_bps} bps is not between 0 and 10000; 50 is half a percent")
    now = kernel.market(position.instrument).price_of(command.source, closing)
    if refusal := trail_distance(instrument, now, command.trail_bps):
        return refusal
    if take_profit is not None or stop_loss is not None:
        refusal = protection_refusal(kernel, position, command.source, take_profit, stop_loss)
        if refusal is not None:
            return refusal
    for order in live_exits(kernel, account, position.instrument):
        if order.status is OrderStatus.HELD and order.terms.leg == position.leg:
            withdraw(kernel, order, "replaced")
    base = OrderTerms(
        id="",
        client_id="",
        account=account,
        instrument=position.instrument,
        side=closing.opposite,
        type=OrderType.MARKET,
        size=abs(position.size),
        leg=position.leg,
        owner=command.owner,
        request_id=command.request_id,
        leverage=position.leverage,
    )
    group = f"{command.request_id}.x"
    for kind, trigger, trail in (
        (OrderType.STOP, stop_loss, None),
        (OrderType.TAKE_PROFIT, take_profit, None),
        (OrderType.TRAILING_STOP, None, command.trail_bps),
    ):
        if trigger is not None or trail is not None:
            size = abs(position.size)
            terms = exit_terms(kernel, base, kind, size, group, trigger=trigger, trail_bps=trail, source=command.source)
            hold(kernel, create(kernel, terms))
    return None


def protection_refusal(
    kernel: Kernel, position: Position, source: TriggerSource, take_profit: Decimal | None, stop_loss: Decimal | None
) -> Refusal | None:
    """Whether these levels may protect this position now."""
    for field, level in (("take profit", take_profit), ("stop loss", stop_loss)):
        if level is not None and level <= 0:
            return Refusal("PRICE", f"{field}: {level} is not above 0; type a price")
    closing = Side.SELL if position.size > 0 else Side.BUY
    price = kernel.market(position.instrument).price_of(source, closing)
    if price is None:
        return Refusal("NO_PRICE", f"no {source} price of {position.instrument} to check the levels against yet")
    return check_protection(kernel.instrument(position.instrument), position, price, take_profit, stop_loss)
