"""What a person, a signal or a program asks becomes orders, or a refusal that says why. One intent, one request id."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from engine.core.amending import amend
from engine.core.brackets import client_id, next_order_id
from engine.core.cancelling import cancel, cancel_all
from engine.core.closing import close_at_market, flatten, taken_at_once
from engine.core.doubts import attest
from engine.core.funds import adjust_margin, change_leverage, deposit, reset
from engine.core.kernel import Kernel
from engine.core.leverage import set_leverage
from engine.core.lifecycle import create, hold, send
from engine.core.plan import Plan, plan_order
from engine.core.protecting import protect
from engine.core.risk import not_carried
from engine.core.rounding import Refusal, round_size
from engine.core.sanity import LONGEST_ID, malformed
from engine.core.unknown import open_position, unknown
from engine.core.waiting import approve, decline
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.account import Position
from engine.model.market import Top
from engine.model.money import ZERO
from engine.model.order import OrderTerms, Role

ENTRY, CLOSE = Role.ENTRY, Role.CLOSE


def take_in(kernel: Kernel, command: cmd.AnyCommand, default: str) -> None:
    """Record the intent and carry it out; a request id that was taken in before does nothing. Never raises on what it is asked."""
    state, journal = kernel.state, kernel.journal
    if command.request_id in state.requests:
        return
    account = account_of(kernel, command, default)
    instrument = getattr(command, "instrument", "")
    known = state.accounts.get(account)
    venue = known.venue if known is not None else ""
    refusal = malformed(command)
    if refusal is None:
        top = kernel.top(instrument) if instrument else None
        body = ev.IntentCreated(command, top)
        journal.cause = journal.emit(body, account, venue, instrument, command.owner, command.request_id)
        refusal = (
            unknown("account", account, state.accounts)
            if known is None
            else _HANDLERS[type(command)](kernel, account, command)
        )
    if refusal is not None:
        refused = ev.IntentRefused(refusal.code, refusal.message)
        journal.emit(refused, account, venue, instrument, command.owner, command.request_id[:LONGEST_ID])


def account_of(kernel: Kernel, command: cmd.AnyCommand, default: str) -> str:
    """The account a command means: the one it says, else that of the position or order it names, else the default."""
    if command.account:
        return command.account
    if isinstance(command, cmd.PlaceOrder):
        return default
    if isinstance(command, cmd.ClosePosition | cmd.SetProtection | cmd.AdjustMargin):
        position = kernel.state.positions.get(command.position)
        return position.account if position is not None else default
    if isinstance(command, cmd.CancelOrder | cmd.AmendOrder | cmd.AttestOrder):
        order = kernel.state.orders.get(command.order)
        return order.terms.account if order is not None else default
    return default


# --- Entering -----------------------------------------------------------------------------------------


def _place(kernel: Kernel, account: str, command: cmd.PlaceOrder) -> Refusal | None:
    if command.instrument not in kernel.state.instruments:
        return unknown("instrument", command.instrument, kernel.state.instruments)
    plan = plan_order(kernel, account, command)
    kernel.probe("risk", command.request_id)
    top = kernel.top(command.instrument)
    refusal, checks = plan.refusal, tuple(plan.checks)
    verdict: ev.AnyBody = (
        ev.RiskApproved(checks, top) if refusal is None else ev.RiskRejected(refusal.code, refusal.message, checks, top)
    )
    venue = kernel.state.accounts[account].venue
    kernel.journal.emit(verdict, account, venue, command.instrument, command.owner, command.request_id)
    if refusal is not None:
        _deny(kernel, account, command, plan, refusal, top)
        return None
    if plan.remargin is not None:
        set_leverage(
            kernel, account, kernel.instrument(command.instrument), plan.remargin, command.owner, command.request_id
        )
    order = create(kernel, _terms(kernel, account, command, plan), plan.reserve, top)
    kernel.probe("order", command.request_id)
    if command.type.waits:
        hold(kernel, order)
    else:
        send(kernel, order)
    return None


def _deny(kernel: Kernel, account: str, command: cmd.PlaceOrder, plan: Plan, refusal: Refusal, top: Top | None) -> None:
    """A refused order is an order too, ended before it left; one without a size is none."""
    if plan.size > ZERO:
        order = create(kernel, _terms(kernel, account, command, plan), ZERO, top)
        kernel.probe("order", command.request_id)
        kernel.journal.emit_order(order, ev.OrderDenied(order.id, refusal.code, refusal.message))


def _terms(kernel: Kernel, account: str, command: cmd.PlaceOrder, plan: Plan) -> OrderTerms:
    order_id = next_order_id(kernel)
    # By position, in the order of the fields: names cost more than all the rules together.
    return OrderTerms(
        order_id,
        client_id(order_id, command.request_id),
        account,
        command.instrument,
        command.side,
        command.type,
        plan.size,
        CLOSE if plan.reduce_only else ENTRY,
        "NET",
        "",
        command.owner,
        command.request_id,
        kernel.journal.now,
        plan.price,
        plan.trigger,
        plan.activate_above,
        command.source,
        command.trail_bps,
        command.trail_offset,
        command.tif,
        command.expire_ns,
        command.post_only,
        plan.reduce_only,
        plan.leverage,
        plan.take_profit,
        plan.stop_loss,
        command.bracket_source,
    )


# --- Leaving ------------------------------------------------------------------------------------------


def _close(kernel: Kernel, account: str, command: cmd.ClosePosition) -> Refusal | None:
    position = open_position(kernel, account, command.position)
    if position is None:
        return unknown("position", command.position, kernel.state.positions)
    if refusal := not_carried(kernel, account, kernel.market(position.instrument)):
        return refusal
    if not ZERO < command.fraction <= 1:
        return Refusal("FRACTION", f"fraction: {command.fraction} is not within 0 and 1; 0.25 closes a quarter")
    size = closing_size(kernel, position, command.fraction)
    if size <= ZERO:
        step = kernel.instrument(position.instrument).step
        return Refusal(
            "BELOW_STEP", f"fraction: {command.fraction} of {abs(position.size)} is below the step {step}; close more"
        )
    close_at_market(kernel, position, size, CLOSE, command.owner, command.request_id)
    return None


def closing_size(kernel: Kernel, position: Position, fraction: Decimal) -> Decimal:
    """Size that closes a share of a position; a whole close takes the whole, dust below a step included.

    At a venue it takes as much as one order may.
    """
    whole = abs(position.size)
    size = whole if fraction == 1 else round_size(kernel.instrument(position.instrument), whole * fraction)
    return taken_at_once(kernel, position.account, position.instrument, size)


def _flatten(kernel: Kernel, account: str, command: cmd.FlattenAll) -> Refusal | None:
    flatten(kernel, account, command.owner, command.request_id)
    return None


def _kill(kernel: Kernel, account: str, command: cmd.SetKill) -> Refusal | None:
    if kernel.state.kill != command.on:
        body = ev.KillChanged(command.on, command.reason)
        kernel.journal.emit(body, account, owner=command.owner, request_id=command.request_id)
    return None


def _not_here(kernel: Kernel, account: str, command: cmd.ReplaySignal) -> Refusal | None:
    """What came with a signal is not in the state: the engine reads it and brings the signal in anew."""
    return Refusal("REPLAY", f"signal: {command.signal} is replayed by an engine, not by its desk")


_HANDLERS: dict[type, Callable[[Kernel, str, Any], Refusal | None]] = {
    cmd.PlaceOrder: _place,
    cmd.ClosePosition: _close,
    cmd.FlattenAll: _flatten,
    cmd.SetProtection: protect,
    cmd.CancelOrder: cancel,
    cmd.CancelAll: cancel_all,
    cmd.AmendOrder: amend,
    cmd.AttestOrder: attest,
    cmd.ApproveSignal: approve,
    cmd.DeclineSignal: decline,
    cmd.ReplaySignal: _not_here,
    cmd.SetKill: _kill,
    cmd.SetLeverage: change_leverage,
    cmd.AdjustMargin: adjust_margin,
    cmd.Deposit: deposit,
    cmd.ResetAccount: reset,
}
