"""What a person, a signal or a program asks becomes orders, or a refusal that says why. One intent, one request id."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from engine.core.arming import arm_order, arm_position
from engine.core.brackets import client_id, exit_terms, next_order_id
from engine.core.kernel import Kernel, share
from engine.core.lifecycle import create, hold, live_exits, request_cancel, send, withdraw
from engine.core.margin import max_leverage, with_liquidation
from engine.core.paper import amend_resting
from engine.core.plan import Plan, check_protection, plan_order
from engine.core.rounding import Refusal, check_size, round_limit, round_size, round_stop, round_take_profit
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.account import Position
from engine.model.market import Side
from engine.model.money import ZERO, round_cost
from engine.model.order import Order, OrderStatus, OrderTerms, OrderType, Role, TimeInForce, TriggerSource


def take_in(kernel: Kernel, command: cmd.AnyCommand, account: str) -> None:
    """Record the intent and carry it out; a request id that was taken in before does nothing."""
    if command.request_id in kernel.state.requests:
        return
    journal = kernel.journal
    instrument = getattr(command, "instrument", "")
    top = kernel.top(instrument) if instrument else None
    venue = kernel.state.accounts[account].venue
    body = ev.IntentCreated(command, top)
    journal.cause = journal.emit(body, account, venue, instrument, command.owner, command.request_id)
    refusal = _HANDLERS[type(command)](kernel, account, command)
    if refusal is not None:
        refused = ev.IntentRefused(refusal.code, refusal.message)
        journal.emit(refused, account, venue, instrument, command.owner, command.request_id)


# --- Entering -----------------------------------------------------------------------------------------


def _place(kernel: Kernel, account: str, command: cmd.PlaceOrder) -> Refusal | None:
    if command.instrument not in kernel.state.instruments:
        return _unknown("instrument", command.instrument, kernel.state.instruments)
    if command.leverage is not None and not command.reduce_only:
        refusal = _change_leverage(kernel, account, command.instrument, command.leverage, command)
        if refusal is not None:
            return refusal
    plan = plan_order(kernel, account, command)
    kernel.probe("risk")
    top = kernel.top(command.instrument)
    venue = kernel.state.accounts[account].venue
    verdict: ev.AnyBody = (
        ev.RiskApproved(tuple(plan.checks), top)
        if plan.refusal is None
        else ev.RiskRejected(plan.refusal.code, plan.refusal.message, tuple(plan.checks), top)
    )
    kernel.journal.emit(verdict, account, venue, command.instrument, command.owner, command.request_id)
    if plan.refusal is not None and plan.size <= ZERO:
        return None
    order = create(kernel, _terms(kernel, account, command, plan), plan.reserve if plan.refusal is None else ZERO, top)
    kernel.probe("order")
    if plan.refusal is not None:
        kernel.journal.emit_order(order, ev.OrderDenied(order.id, plan.refusal.code, plan.refusal.message))
    elif command.type.waits:
        hold(kernel, order)
    else:
        send(kernel, order)
    return None


def _terms(kernel: Kernel, account: str, command: cmd.PlaceOrder, plan: Plan) -> OrderTerms:
    order_id = next_order_id(kernel)
    return OrderTerms(
        id=order_id,
        client_id=client_id(order_id, command.request_id),
        account=account,
        instrument=command.instrument,
        side=command.side,
        type=command.type,
        size=plan.size,
        role=Role.CLOSE if command.reduce_only else Role.ENTRY,
        owner=command.owner,
        request_id=command.request_id,
        created_ns=kernel.now,
        price=plan.price,
        trigger=plan.trigger,
        activate_above=plan.activate_above,
        source=command.source,
        trail_bps=command.trail_bps,
        trail_offset=command.trail_offset,
        tif=command.tif,
        expire_ns=command.expire_ns,
        post_only=command.post_only,
        reduce_only=command.reduce_only,
        leverage=plan.leverage,
        take_profit=plan.take_profit,
        stop_loss=plan.stop_loss,
        bracket_source=command.bracket_source,
    )


# --- Leaving ------------------------------------------------------------------------------------------


def _close(kernel: Kernel, account: str, command: cmd.ClosePosition) -> Refusal | None:
    position = kernel.state.positions.get(command.position)
    if position is None:
        return _unknown("position", command.position, kernel.state.positions)
    if not ZERO < command.fraction <= 1:
        return Refusal("FRACTION", f"fraction: {command.fraction} is not within 0 and 1; 0.25 closes a quarter")
    size = closing_size(kernel, position, command.fraction)
    if size <= ZERO:
        step = kernel.instrument(position.instrument).step
        return Refusal(
            "BELOW_STEP", f"fraction: {command.fraction} of {abs(position.size)} is below the step {step}; close more"
        )
    _close_at_market(kernel, position, size, command, Role.CLOSE)
    return None


def closing_size(kernel: Kernel, position: Position, fraction: Decimal) -> Decimal:
    """Size that closes a share of a position; a whole close takes the whole, dust below a step included."""
    whole = abs(position.size)
    return whole if fraction == 1 else round_size(kernel.instrument(position.instrument), whole * fraction)


def _close_at_market(kernel: Kernel, position: Position, size: Decimal, command: cmd.Command, role: Role) -> None:
    order_id = next_order_id(kernel)
    terms = OrderTerms(
        id=order_id,
        client_id=client_id(order_id, command.request_id),
        account=position.account,
        instrument=position.instrument,
        side=Side.SELL if position.size > 0 else Side.BUY,
        type=OrderType.MARKET,
        size=size,
        role=role,
        leg=position.leg,
        position=position.id,
        owner=command.owner,
        request_id=command.request_id,
        created_ns=kernel.now,
        tif=TimeInForce.IOC,
        reduce_only=True,
        leverage=position.leverage,
    )
    send(kernel, create(kernel, terms, top=kernel.top(position.instrument)))


def _flatten(kernel: Kernel, account: str, command: cmd.FlattenAll) -> Refusal | None:
    for order in [o for o in kernel.state.orders.values() if o.terms.account == account]:
        if order.terms.role is not Role.FLATTEN:
            request_cancel(kernel, order, "flatten all")
    for position in [p for p in kernel.state.positions.values() if p.account == account]:
        _close_at_market(kernel, position, abs(position.size), command, Role.FLATTEN)
    return None


# --- Protecting ---------------------------------------------------------------------------------------


def _protect(kernel: Kernel, account: str, command: cmd.SetProtection) -> Refusal | None:
    position = kernel.state.positions.get(command.position)
    if position is None:
        return _unknown("position", command.position, kernel.state.positions)
    instrument = kernel.instrument(position.instrument)
    closing = Side.SELL if position.size > 0 else Side.BUY
    take_profit, stop_loss = command.take_profit, command.stop_loss
    if take_profit is not None:
        take_profit = round_take_profit(instrument, closing, take_profit)
    if stop_loss is not None:
        stop_loss = round_stop(instrument, closing, stop_loss)
    if command.trail_bps is not None and not ZERO < command.trail_bps < 10_000:
        return Refusal("TRAIL", f"trail: {command.trail_bps} bps is not between 0 and 10000; 50 is half a percent")
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
    closing = Side.SELL if position.size > 0 else Side.BUY
    price = kernel.market(position.instrument).price_of(source, closing)
    if price is None:
        return Refusal("NO_PRICE", f"no {source} price of {position.instrument} to check the levels against yet")
    return check_protection(kernel.instrument(position.instrument), position, price, take_profit, stop_loss)


# --- Working orders -----------------------------------------------------------------------------------


def _cancel(kernel: Kernel, account: str, command: cmd.CancelOrder) -> Refusal | None:
    order = kernel.state.orders.get(command.order)
    if order is None:
        return _unknown("order", command.order, kernel.state.orders)
    request_cancel(kernel, order, "cancelled on request")
    return None


def in_scope(order: Order, command: cmd.CancelAll, account: str) -> bool:
    """Whether a CancelAll means this order."""
    terms = order.terms
    if terms.account != account or (command.instrument and terms.instrument != command.instrument):
        return False
    return command.scope == "all" or (command.scope == "stops") is terms.type.waits


def _cancel_all(kernel: Kernel, account: str, command: cmd.CancelAll) -> Refusal | None:
    if command.scope not in ("limits", "stops", "all"):
        return Refusal("SCOPE", f"scope: {command.scope!r} is not known; choose limits, stops or all")
    for order in [o for o in kernel.state.orders.values() if in_scope(o, command, account)]:
        request_cancel(kernel, order, f"cancel {command.scope}")
    return None


def _amend(kernel: Kernel, account: str, command: cmd.AmendOrder) -> Refusal | None:
    order = kernel.state.orders.get(command.order)
    if order is None:
        return _unknown("order", command.order, kernel.state.orders)
    terms = order.terms
    instrument = kernel.instrument(terms.instrument)
    if order.status is OrderStatus.SENT:
        return Refusal("IN_FLIGHT", f"order {terms.id} is on its way to the venue; amend it once it is there")
    if command.trigger is not None and (order.status is not OrderStatus.HELD or terms.type.trails):
        return Refusal("TRIGGER", f"trigger: order {terms.id} has none to change")
    if command.price is not None and not terms.type.has_price:
        return Refusal("PRICE", f"price: a {terms.type} order has none to change")
    price = round_limit(instrument, terms.side, command.price) if command.price is not None else None
    size = round_size(instrument, command.size) if command.size is not None else None
    if size is not None:
        refusal = check_size(instrument, size, price or order.price or order.trigger, terms.reduce_only, False)
        if refusal is not None or size <= order.filled:
            return refusal or Refusal("SIZE", f"size: {order.filled} is filled already; ask for more or cancel")
    reserve = share(order.reserve, (size or order.size) - order.filled, order.remaining)
    if price is not None and order.price:
        reserve = reserve * price / order.price
    free = kernel.state.accounts[account].free(instrument.settle_asset)
    if reserve - order.reserve > free:
        return Refusal("MARGIN", f"size, price: needs {reserve - order.reserve:.2f} more, {free:.2f} is free")
    trigger = command.trigger
    if trigger is not None:
        round_it = (
            round_take_profit if terms.type in (OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT) else round_stop
        )
        trigger = round_it(instrument, terms.side, trigger)
    kernel.journal.emit_order(order, ev.OrderAmended(terms.id, price, trigger, size, reserve))
    if order.status is OrderStatus.HELD:
        arm_order(kernel, order)
    else:
        amend_resting(kernel, order)
    return None


# --- The account --------------------------------------------------------------------------------------


def _kill(kernel: Kernel, account: str, command: cmd.SetKill) -> Refusal | None:
    if kernel.state.kill != command.on:
        body = ev.KillChanged(command.on, command.reason)
        kernel.journal.emit(body, account, owner=command.owner, request_id=command.request_id)
    return None


def _leverage(kernel: Kernel, account: str, command: cmd.SetLeverage) -> Refusal | None:
    if command.instrument not in kernel.state.instruments:
        return _unknown("instrument", command.instrument, kernel.state.instruments)
    return _change_leverage(kernel, account, command.instrument, command.leverage, command)


def _change_leverage(
    kernel: Kernel, account: str, instrument_id: str, leverage: int, command: cmd.Command
) -> Refusal | None:
    """Set an instrument's leverage; an open position is re-margined, or it is refused if that cannot be paid."""
    if kernel.leverage(account, instrument_id) == leverage:
        return None
    instrument = kernel.instrument(instrument_id)
    position = kernel.state.position_of(account, instrument_id)
    notional = abs(position.cost) if position is not None else ZERO
    most = min(instrument.max_leverage, max_leverage(instrument, notional))
    if not 1 <= leverage <= most:
        return Refusal("LEVERAGE", f"leverage: {leverage}x is not within 1x and {most}x for {instrument.symbol}")
    after = None
    if position is not None:
        margin = round_cost(notional / leverage)
        more = margin - position.margin
        free = kernel.state.accounts[account].free(instrument.settle_asset)
        if more > free:
            return Refusal(
                "MARGIN",
                f"leverage: {leverage}x needs {more:.2f} more margin for the open position, {free:.2f} is free",
            )
        after = with_liquidation(instrument, msgspec.structs.replace(position, leverage=leverage, margin=margin))
        if refusal := _already_liquidated(kernel, after):
            return refusal
    body = ev.LeverageChanged(leverage, after)
    kernel.journal.emit_account(account, body, instrument_id, command.owner, command.request_id)
    if after is not None:
        arm_position(kernel, after)
    return None


def _adjust_margin(kernel: Kernel, account: str, command: cmd.AdjustMargin) -> Refusal | None:
    position = kernel.state.positions.get(command.position)
    if position is None:
        return _unknown("position", command.position, kernel.state.positions)
    instrument = kernel.instrument(position.instrument)
    free = kernel.state.accounts[account].free(instrument.settle_asset)
    if command.amount > free:
        return Refusal("MARGIN", f"amount: {command.amount} is more than the {free:.2f} that is free")
    least = abs(position.cost) / position.leverage
    margin = position.margin + command.amount
    if command.amount < 0 and margin < least:
        return Refusal("MARGIN", f"amount: margin {margin:.2f} would be below the initial {least:.2f}; remove less")
    after = with_liquidation(instrument, msgspec.structs.replace(position, margin=margin))
    if refusal := _already_liquidated(kernel, after):
        return refusal
    body = ev.MarginChanged(command.amount, after)
    kernel.journal.emit_account(account, body, position.instrument, command.owner, command.request_id)
    arm_position(kernel, after)
    return None


def _already_liquidated(kernel: Kernel, position: Position) -> Refusal | None:
    """A change that would put the liquidation price on the wrong side of the mark is refused."""
    mark = kernel.market(position.instrument).value_price(position.size > 0)
    level = position.liquidation
    if mark is not None and level is not None and (mark - level) * position.sign <= 0:
        return Refusal(
            "LIQUIDATION", f"the position would be liquidated at once at {level:.2f}; use less leverage or more margin"
        )
    return None


def _deposit(kernel: Kernel, account: str, command: cmd.Deposit) -> Refusal | None:
    free = kernel.state.accounts[account].free(command.asset)
    if command.amount == 0:
        return Refusal("AMOUNT", "amount: 0 moves nothing; type how much")
    if command.amount < 0 and -command.amount > free:
        return Refusal("AMOUNT", f"amount: {free} {command.asset} is free, {-command.amount} cannot be withdrawn")
    reason = "deposit" if command.amount > 0 else "withdrawal"
    body = ev.FundsMoved(command.asset, command.amount, reason)
    kernel.journal.emit_account(account, body, "", command.owner, command.request_id)
    return None


def _reset(kernel: Kernel, account: str, command: cmd.ResetAccount) -> Refusal | None:
    state = kernel.state
    open_positions = sum(p.account == account for p in state.positions.values())
    open_orders = sum(o.terms.account == account for o in state.orders.values())
    if open_positions or open_orders:
        return Refusal(
            "NOT_FLAT", f"{open_positions} positions and {open_orders} orders are open; `hoox close --all` first"
        )
    if command.balance < 0:
        return Refusal("BALANCE", f"balance: {command.balance} is below 0; start with 0 or more")
    held = state.accounts[account].balances.get(command.asset, ZERO)
    body = ev.FundsMoved(command.asset, command.balance - held, "reset")
    kernel.journal.emit_account(account, body, "", command.owner, command.request_id)
    return None


def _unknown(field: str, value: str, known: dict[str, Any]) -> Refusal:
    names = ", ".join(list(known)[:8]) or "none"
    return Refusal("UNKNOWN", f"{field}: {value!r} is not there (any more); there are: {names}")


_HANDLERS: dict[type, Callable[[Kernel, str, Any], Refusal | None]] = {
    cmd.PlaceOrder: _place,
    cmd.ClosePosition: _close,
    cmd.FlattenAll: _flatten,
    cmd.SetProtection: _protect,
    cmd.CancelOrder: _cancel,
    cmd.CancelAll: _cancel_all,
    cmd.AmendOrder: _amend,
    cmd.SetKill: _kill,
    cmd.SetLeverage: _leverage,
    cmd.AdjustMargin: _adjust_margin,
    cmd.Deposit: _deposit,
    cmd.ResetAccount: _reset,
}
