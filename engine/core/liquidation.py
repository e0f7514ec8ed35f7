"""A position whose mark met its liquidation price: its orders go, it is closed, and it never loses more than its margin."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from engine.core.brackets import client_id, next_order_id
from engine.core.fills import apply_report
from engine.core.kernel import Kernel
from engine.core.lifecycle import create, withdraw
from engine.core.margin import bankruptcy_price
from engine.model import event as ev
from engine.model.account import Position
from engine.model.instrument import LiquidationClose
from engine.model.market import Side
from engine.model.money import COST_PLACES, ZERO, round_fee
from engine.model.order import Order, OrderTerms, OrderType, Role, TimeInForce


def liquidate(kernel: Kernel, position: Position, mark: Decimal) -> None:
    """Cancel the position's orders and close it: at its bankruptcy price, or through the book, as the profile says."""
    journal = kernel.journal
    bankruptcy = bankruptcy_price(position)
    assert bankruptcy is not None
    assert position.liquidation is not None
    # Towards the loss side, so that rounding costs the margin and never the insurance a hidden gain.
    bankruptcy = bankruptcy.quantize(COST_PLACES, ROUND_FLOOR if position.size > 0 else ROUND_CEILING)
    body = ev.Liquidated(position.id, mark, position.liquidation, bankruptcy, kernel.top(position.instrument))
    journal.cause = journal.emit_account(position.account, body, position.instrument, "venue")
    for order in [o for o in kernel.state.orders.values() if _belongs(o, position)]:
        withdraw(kernel, order, "its position was liquidated")
    order = create(kernel, _closing_terms(kernel, position))
    journal.emit_order(order, ev.OrderSent(order.terms.id))
    instrument = kernel.instrument(position.instrument)
    if instrument.profile.liquidation_close is LiquidationClose.BOOK:
        market = kernel.market(position.instrument)
        arrival = market.matcher.arrive(
            order.terms.id, order.terms.side, order.size, None, TimeInForce.IOC, post_only=False
        )
        for number, take in enumerate(arrival.fills, 1):
            fee = round_fee(take.price * take.size * instrument.profile.liquidation_fee)
            apply_report(kernel, order, f"{order.terms.id}.{number}", take.price, take.size, fee, maker=False)
    if order.remaining > ZERO:
        # What the book could not take, and the whole in the worst case model, goes at the price of no equity.
        number = order.fills + 1
        apply_report(kernel, order, f"{order.terms.id}.{number}", bankruptcy, order.remaining, ZERO, maker=False)


def _belongs(order: Order, position: Position) -> bool:
    terms = order.terms
    return terms.instrument == position.instrument and terms.account == position.account and terms.leg == position.leg


def _closing_terms(kernel: Kernel, position: Position) -> OrderTerms:
    order_id = next_order_id(kernel)
    return OrderTerms(
        id=order_id,
        client_id=client_id(order_id, position.id),
        account=position.account,
        instrument=position.instrument,
        side=Side.SELL if position.size > 0 else Side.BUY,
        type=OrderType.MARKET,
        size=abs(position.size),
        role=Role.LIQUIDATION,
        leg=position.leg,
        position=position.id,
        owner="venue",
        created_ns=kernel.now,
        tif=TimeInForce.IOC,
        reduce_only=True,
        leverage=position.leverage,
    )
