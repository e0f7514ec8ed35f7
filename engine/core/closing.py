"""Closing at market, and flattening an account: it goes on, over restarts, until nothing is open or could open."""

from __future__ import annotations

from decimal import Decimal

from engine.core.brackets import client_id, next_order_id
from engine.core.journal import text
from engine.core.kernel import Due, Kernel
from engine.core.lifecycle import create, live_exits, request_cancel, send
from engine.core.positions import is_dust
from engine.core.rounding import round_size
from engine.core.state import pair_key
from engine.model import event as ev
from engine.model.account import Execution, Position
from engine.model.instrument import InstrumentId
from engine.model.market import Side
from engine.model.money import ZERO
from engine.model.order import OrderStatus, OrderTerms, OrderType, Role, TimeInForce

RETRY_NS = 250_000_000
"""How often what is still open is looked at."""
_MOVING = frozenset({OrderStatus.SENT, OrderStatus.UNKNOWN})
"""While there is an order of these no position is held against its venue's."""


def close_at_market(kernel: Kernel, position: Position, size: Decimal, role: Role, owner: str, request_id: str) -> None:
    """Send a market order that closes this much of a position, or as much of it as its venue takes at once."""
    order_id = next_order_id(kernel)
    terms = OrderTerms(
        id=order_id,
        client_id=client_id(order_id, request_id),
        account=position.account,
        instrument=position.instrument,
        side=_closing(position),
        type=OrderType.MARKET,
        size=taken_at_once(kernel, position.account, position.instrument, size),
        role=role,
        leg=position.leg,
        position=position.id,
        owner=owner,
        request_id=request_id,
        created_ns=kernel.now,
        tif=TimeInForce.IOC,
        reduce_only=True,
        leverage=position.leverage,
    )
    send(kernel, create(kernel, terms, top=kernel.top(position.instrument)))


def taken_at_once(kernel: Kernel, account: str, instrument: InstrumentId, size: Decimal) -> Decimal:
    """As much of a size as one order may ask a venue for: whole steps, up to its largest. Less than a step is tried as it is."""
    if kernel.state.accounts[account].execution is Execution.PAPER:
        return size
    filters = kernel.instrument(instrument)
    most = size if filters.max_size is None else min(size, filters.max_size)
    return round_size(filters, most) or size


def flatten(kernel: Kernel, account: str, owner: str, request_id: str) -> None:
    """Cancel every entry and close every position at market. What protects a position stays until that is closed."""
    state = kernel.state
    if account not in state.flattening:
        kernel.journal.emit_account(account, ev.FlattenBegun(), "", owner, request_id)
        kernel.after(RETRY_NS, Due.FLATTEN, account)
        kernel.heard[_begun_key(account)] = kernel.clock
    # Who asks now waits for nothing that the venue refused before.
    for instrument in state.instruments:
        kernel.refused.pop(pair_key(account, instrument), None)
    for order in state.orders.values():
        if order.terms.account == account:
            kernel.refused.pop(order.id, None)
    cancel_openers(kernel, account)
    close_rest(kernel, account)


def cancel_openers(kernel: Kernel, account: str) -> None:
    """Cancel what could open a position: also what was adopted since, and what a venue would not cancel before."""
    state = kernel.state
    for order in [o for o in state.orders.values() if o.terms.account == account]:
        terms = order.terms
        opens = not terms.reduce_only or state.position_of(account, terms.instrument, terms.leg) is None
        if opens and not kernel.patience(order.id):
            request_cancel(kernel, order, "flatten all")


def go_on(kernel: Kernel, account: str) -> None:
    """Look again at what a flattening left open: a late fill, a close that found too little in the book."""
    if account in kernel.state.flattening:
        cancel_openers(kernel, account)
        close_rest(kernel, account)
        kernel.after(RETRY_NS, Due.FLATTEN, account)


def close_rest(kernel: Kernel, account: str) -> None:
    """Close what is open and not being closed yet; where the book offers nothing, wait for it."""
    state = kernel.state
    ask = state.flattening[account]
    for position in [p for p in state.positions.values() if p.account == account]:
        way = (Role.FLATTEN, _closing(position), position.leg)
        exits = live_exits(kernel, account, position.instrument)
        sent = (o.remaining for o in exits if (o.terms.role, o.terms.side, o.terms.leg) == way)
        size = abs(position.size) - sum(sent, ZERO)
        if size <= ZERO or _refused(kernel, position):
            continue
        if _offered(kernel, position):
            close_at_market(kernel, position, size, Role.FLATTEN, ask.owner, ask.request_id)
        else:
            _say_waiting(kernel, position, ask.begun_ns)


def end_flattened(kernel: Kernel) -> None:
    """Flattening ends when the account has no position, no entry that could still open one, and its venue agrees.

    What its venue refuses to close for being less than a step does not keep the account from entries for ever.
    """
    state = kernel.state
    for account in list(state.flattening):
        left = [p for p in state.positions.values() if p.account == account]
        if (
            all(is_stuck(kernel, position) for position in left)
            and not any(o.terms.account == account and not o.terms.reduce_only for o in state.orders.values())
            and not _venue_may_hold(kernel, account)
        ):
            for position in left:
                say_stuck(kernel, position)
            kernel.journal.emit_account(account, ev.FlattenEnded())


def is_stuck(kernel: Kernel, position: Position) -> bool:
    """It is less than a step, and its venue would not close that."""
    refused = kernel.refused.get(pair_key(position.account, position.instrument), 0)
    return refused > 0 and is_dust(kernel.instrument(position.instrument), position.size)


def say_stuck(kernel: Kernel, position: Position) -> None:
    """A person should know what stays open, and where it can be closed."""
    instrument = kernel.instrument(position.instrument)
    message = (
        f"{text(position.size)} {instrument.symbol} of {position.account} stays open: it is less than a step of "
        f"{text(instrument.step)}, and the venue refused to close it; close it there"
    )
    kernel.journal.emit_account(position.account, ev.AlarmRaised("DUST", message), position.instrument)


def _venue_may_hold(kernel: Kernel, account: str) -> bool:
    """The venue has not said yet, asked since the flattening began and after all that was heard, that it has what the ledger has."""
    state = kernel.state
    if state.accounts[account].execution is not Execution.VENUE:
        return False
    asked_ns = kernel.stood.get(account)
    pairs = [pair_key(account, instrument) for instrument in state.instruments]
    return (
        asked_ns is None
        or any(kernel.heard.get(key, 0) >= asked_ns for key in (_begun_key(account), *pairs))
        or any(pair in state.differs for pair in pairs)
        or any(o.terms.account == account and o.status in _MOVING for o in state.orders.values())
    )


def _begun_key(account: str) -> str:
    return f"{account}|flatten"


def _closing(position: Position) -> Side:
    return Side.SELL if position.size > 0 else Side.BUY


def _refused(kernel: Kernel, position: Position) -> bool:
    """The venue rejected the last close, so the next one waits a while."""
    if kernel.state.accounts[position.account].execution is Execution.PAPER:
        return False
    return kernel.patience(pair_key(position.account, position.instrument)) > 0


def _offered(kernel: Kernel, position: Position) -> bool:
    """There is something to close it with. A venue has a book of its own, whatever is seen of it here."""
    if kernel.state.accounts[position.account].execution is Execution.VENUE:
        return True
    market = kernel.market(position.instrument)
    return market.quote is not None and any(market.book.available(_closing(position).opposite, None))


def _say_waiting(kernel: Kernel, position: Position, begun_ns: int) -> None:
    symbol = kernel.instrument(position.instrument).symbol
    message = f"{symbol} of {position.account} stays open: the book offers nothing to close it yet"
    known = (at >= begun_ns and code == "FLATTEN_WAITS" and said == message for at, code, said in kernel.state.alarms)
    if not any(known):
        body = ev.AlarmRaised("FLATTEN_WAITS", message)
        kernel.journal.emit_account(position.account, body, position.instrument)
