"""Cancelling what works."""

from __future__ import annotations

from engine.core.kernel import Kernel
from engine.core.lifecycle import request_cancel
from engine.core.rounding import Refusal
from engine.core.unknown import live_order, unknown
from engine.model import command as cmd
from engine.model.order import Order


def cancel(kernel: Kernel, account: str, command: cmd.CancelOrder) -> Refusal | None:
    """Cancel one order."""
    order = live_order(kernel, account, command.order)
    if order is None:
        return unknown("order", command.order, kernel.state.orders)
    request_cancel(kernel, order, "cancelled on request")
    return None


def in_scope(order: Order, command: cmd.CancelAll, account: str) -> bool:
    """Whether a CancelAll means this order."""
    terms = order.terms
    if terms.account != account or (command.instrument and terms.instrument != command.instrument):
        return False
    return command.scope == "all" or (command.scope == "stops") is terms.type.waits


def cancel_all(kernel: Kernel, account: str, command: cmd.CancelAll) -> Refusal | None:
    """Cancel what is in scope."""
    if command.scope not in ("limits", "stops", "all"):
        return Refusal("SCOPE", f"scope: {command.scope!r} is not known; choose limits, stops or all")
    if command.instrument and command.instrument not in kernel.state.instruments:
        return unknown("instrument", command.instrument, kernel.state.instruments)
    for order in [o for o in kernel.state.orders.values() if in_scope(o, command, account)]:
        request_cancel(kernel, order, f"cancel {command.scope}")
    return None
