"""Leverage, margin and money of an account, as a person sets them."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from engine.core.arming import arm_position
from engine.core.kernel import Kernel
from engine.core.leverage import already_liquidated, plan_leverage, set_leverage
from engine.core.margin import with_liquidation
from engine.core.rounding import Refusal
from engine.core.unknown import open_position, unknown
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.account import Execution
from engine.model.money import COST_PLACES, ZERO, round_cost


def change_leverage(kernel: Kernel, account: str, command: cmd.SetLeverage) -> Refusal | None:
    """Set an instrument's leverage; an open position is re-margined, or it is refused if that cannot be paid.

    A venue is told with the next entry, so what is open there is not touched from here.
    """
    if command.instrument not in kernel.state.instruments:
        return unknown("instrument", command.instrument, kernel.state.instruments)
    instrument = kernel.instrument(command.instrument)
    state = kernel.state
    at_venue = state.accounts[account].execution is Execution.VENUE
    if at_venue and state.position_of(account, instrument.id) is not None:
        before = kernel.leverage(account, instrument.id)
        return Refusal(
            "AT_VENUE",
            f"leverage: the open position in {instrument.symbol} has {before}x at its venue; change it there, or with "
            "the next entry",
        )
    change = plan_leverage(kernel, account, instrument, command.leverage)
    if isinstance(change, Refusal):
        return change
    set_leverage(kernel, account, instrument, change, command.owner, command.request_id)
    return None


def adjust_margin(kernel: Kernel, account: str, command: cmd.AdjustMargin) -> Refusal | None:
    """Add isolated margin, or take out what lies above the initial margin."""
    position = open_position(kernel, account, command.position)
    if position is None:
        return unknown("position", command.position, kernel.state.positions)
    refusal = _paper(kernel, account) or _amount(command.amount)
    if refusal is not None:
        return refusal
    instrument = kernel.instrument(position.instrument)
    if instrument.is_spot:
        return Refusal(
            "SPOT", f"amount: {instrument.symbol} is spot and held whole; it has no margin to add to or take from"
        )
    free = kernel.state.accounts[account].free(instrument.settle_asset)
    if command.amount > free:
        return Refusal("MARGIN", f"amount: {command.amount} is more than the {free:.2f} that is free; add less")
    least = round_cost(abs(position.cost) / position.leverage)
    margin = position.margin + command.amount
    if command.amount < 0 and margin < least:
        return Refusal("MARGIN", f"amount: margin {margin:.2f} would be below the initial {least:.2f}; remove less")
    after = with_liquidation(instrument, msgspec.structs.replace(position, margin=margin))
    if refusal := already_liquidated(kernel, after):
        return refusal
    body = ev.MarginChanged(command.amount, after)
    kernel.journal.emit_account(account, body, position.instrument, command.owner, command.request_id)
    arm_position(kernel, after)
    return None


def deposit(kernel: Kernel, account: str, command: cmd.Deposit) -> Refusal | None:
    """Paper money in, or free money out."""
    refusal = _paper(kernel, account) or _asset(kernel, account, command.asset) or _amount(command.amount)
    if refusal is not None:
        return refusal
    free = kernel.state.accounts[account].free(command.asset)
    if command.amount < 0 and -command.amount > free:
        return Refusal(
            "AMOUNT", f"amount: {free} {command.asset} is free, {-command.amount} cannot be withdrawn; take less"
        )
    reason = "deposit" if command.amount > 0 else "withdrawal"
    body = ev.FundsMoved(command.asset, command.amount, reason)
    kernel.journal.emit_account(account, body, "", command.owner, command.request_id)
    return None


def reset(kernel: Kernel, account: str, command: cmd.ResetAccount) -> Refusal | None:
    """Start the paper account anew with a balance; nothing is deleted."""
    state = kernel.state
    open_positions = sum(p.account == account for p in state.positions.values())
    open_orders = sum(o.terms.account == account for o in state.orders.values())
    if open_positions or open_orders:
        return Refusal(
            "NOT_FLAT", f"still open: positions {open_positions}, orders {open_orders}; `hoox close --all` first"
        )
    refusal = _paper(kernel, account) or _asset(kernel, account, command.asset)
    if refusal is not None:
        return refusal
    if command.balance < 0 or round_cost(command.balance) != command.balance:
        return Refusal("BALANCE", f"balance: {command.balance}; start with 0 or more, to 8 places")
    held = state.accounts[account].balances.get(command.asset, ZERO)
    body = ev.FundsMoved(command.asset, command.balance - held, "reset")
    kernel.journal.emit_account(account, body, "", command.owner, command.request_id)
    return None


def _paper(kernel: Kernel, account: str) -> Refusal | None:
    if kernel.state.env == "live" or kernel.state.accounts[account].execution is Execution.VENUE:
        return Refusal("LIVE", "account: real money moves at the venue, not here; this is for paper accounts")
    return None


def _asset(kernel: Kernel, account: str, asset: str) -> Refusal | None:
    """Only what something trades in or the account holds: a slip would be money that nothing can use."""
    known = {i.settle_asset for i in kernel.state.instruments.values()} | kernel.state.accounts[account].balances.keys()
    return None if asset in known else unknown("asset", asset, dict.fromkeys(sorted(known)))


def _amount(amount: Decimal) -> Refusal | None:
    if amount == 0:
        return Refusal("AMOUNT", "amount: 0 moves nothing; type how much")
    if round_cost(amount) != amount:
        return Refusal("AMOUNT", f"amount: {amount} is finer than {COST_PLACES}; round it")
    return None
