"""The steps of a signal whose turn it is: leave, wait until flat, enter, try again, give up (DESIGN 7, semantics 9).

An entry's LIMIT order that rests ends the signal only with the order: executed once any of it filled.
"""

from __future__ import annotations

import msgspec

from engine.core.closing import close_at_market, is_stuck, say_stuck
from engine.core.inbox import owner_of
from engine.core.intents import take_in
from engine.core.journal import text
from engine.core.kernel import FIRST_NS, MOST_NS, Kernel
from engine.core.leaving import closing_already, once_left, own_entries, unclosed, withdrew
from engine.core.lifecycle import request_cancel
from engine.core.plan import plan_order
from engine.core.positions import is_dust
from engine.core.risk import may_enter, not_killed, outcomes_known
from engine.core.rounding import Refusal
from engine.core.scope import elsewhere, leverage_of, over_limits
from engine.core.state import SignalRecord, pair_key
from engine.core.translate import ENTERS, LEAVES, Enter, Leave, Nothing, Step, translate
from engine.core.waiting import SECOND_NS, alarm, end, expire, refuse, wait
from engine.model import event as ev
from engine.model.account import Execution
from engine.model.command import PlaceOrder
from engine.model.market import Side
from engine.model.money import ZERO
from engine.model.order import Order, OrderStatus, OrderType, Role
from engine.model.signal import Opposite, SameSide, Verdict, WaitsFor

UNSENT_CODES = frozenset({"UNREACHABLE", "RATE_LIMITED"})
"""Of orders that provably never left (NotSent): only these are tried again."""
DOUBLINGS = (MOST_NS // FIRST_NS).bit_length() - 1
_PASSING = frozenset({"NO_PRICE", "STALE", "FEED_DOWN", "HALTED", "SYMBOL_HALTED"})
_REFUSED = frozenset({OrderStatus.REJECTED, OrderStatus.DENIED})
_ON_ITS_WAY = frozenset({OrderStatus.CREATED, OrderStatus.SENT, OrderStatus.UNKNOWN})


def expires_ns(record: SignalRecord) -> int:
    """When an entry is not worth placing any more; 0 for a CLOSE, which always is."""
    if record.signal.action not in ENTERS:
        return 0
    return record.since_ns + record.policy.entry_patience_s * SECOND_NS


def on_its_way(kernel: Kernel, record: SignalRecord) -> bool:
    """The signal holds its queue: its entry is not placed yet, or is not known to rest in the book or to have ended."""
    order = kernel.state.find_order(record.entry)
    if order is None:
        return False
    if order.ended:
        return order.code in UNSENT_CODES
    return order.status in _ON_ITS_WAY or order.terms.type is OrderType.MARKET


def placed(kernel: Kernel, record: SignalRecord) -> bool:
    """Its entry may have left: only what became of that ends it, whoever is before it."""
    order = kernel.state.find_order(record.entry)
    return bool(record.entry) and not (order is not None and order.ended and order.code in UNSENT_CODES)


def translated(kernel: Kernel, record: SignalRecord) -> Step:
    """What the signal means for the position and the market as they are."""
    market, signal = kernel.market(record.instrument), record.signal
    position = kernel.state.position_of(record.account, record.instrument)
    held = position.size if position is not None and not is_stuck(kernel, position) else ZERO
    side = ENTERS.get(signal.action)
    best = market.taker_price(side) if side is not None else None
    working = frozenset(order.terms.side for order in own_entries(kernel, record, _minded(record)))
    return translate(signal, record.policy, market.instrument, held, working, best)


def _minded(record: SignalRecord) -> frozenset[Side]:
    """Sides whose own working entries decide something: a book full of others is not searched for nothing."""
    side, policy = ENTERS.get(record.signal.action), record.policy
    if side is None:
        return LEAVES[record.signal.action]
    minded = {side.opposite: policy.opposite is not Opposite.NET, side: policy.same_side is not SameSide.ADD}
    return frozenset(each for each, does in minded.items() if does)


def foresee(kernel: Kernel, record: SignalRecord) -> Refusal | str:
    """What would be done now, in words, or why it would be refused."""
    step = closing_already(kernel, record) or due_step(kernel, record)
    if isinstance(step, Refusal):
        return step
    symbol = record.signal.symbol
    if isinstance(step, Nothing):
        return f"would do nothing: {step.message}"
    if isinstance(step, Leave):
        return _what_leaves(kernel, record, step)
    plan = plan_order(kernel, record.account, entry_command(record, step))
    if plan.refusal is not None:
        return plan.refusal
    return f"would {step.side.lower()} {text(plan.size)} {symbol} at about {text(plan.expected)}"


def _what_leaves(kernel: Kernel, record: SignalRecord, step: Leave) -> str:
    parts = []
    position, _ = unclosed(kernel, record, step.sides)
    if position is not None:
        side = "long" if position.size > ZERO else "short"
        parts.append(f"close {text(abs(position.size))} {record.signal.symbol} {side}")
    if own_entries(kernel, record, step.sides):
        parts.append(f"withdraw the working entries of {record.signal.source}")
    then = f", then enter {record.signal.action}" if step.reverses else ""
    return f"would {' and '.join(parts)}{then}"


def refused_now(kernel: Kernel, record: SignalRecord) -> bool:
    """It comes to nothing as things stand; what would only have to wait does not count."""
    seen = foresee(kernel, record)
    return isinstance(seen, Refusal) and not (seen.code in _PASSING and _cannot_enter_yet(kernel, record))


def advance(kernel: Kernel, record: SignalRecord) -> None:
    """Take the next step, if there is one to take now."""
    kernel.journal.cause = record.seq
    if record.entry and not _tried_in_vain(kernel, record):
        return
    if expired := _expired(kernel, record):
        give_up(kernel, record, *expired)
        return
    if record.waits is WaitsFor.RETRY and kernel.clock < record.until_ns and not _opened_meanwhile(kernel, record):
        return
    if _cannot_enter_yet(kernel, record):
        wait(kernel, record, WaitsFor.RETRY, min(kernel.clock + SECOND_NS, expires_ns(record)), record.attempt)
        return
    kernel.probe("queue", record.signal.id)
    step = due_step(kernel, record)
    kernel.probe("translate", record.signal.id)
    if isinstance(step, Refusal):
        _refuse_rest(kernel, record, step)
    elif isinstance(step, Nothing) and _venue_may_hold(kernel, record):
        # Ever more slowly, and no try: nothing was sent that could have failed.
        waited_ns = kernel.clock - record.since_ns
        until_ns = kernel.clock + min(max(waited_ns, FIRST_NS), MOST_NS)
        wait(kernel, record, WaitsFor.RETRY, until_ns, record.attempt)
    elif isinstance(step, Nothing):
        _end_closed(kernel, record, step)
    elif isinstance(step, Leave):
        _leave(kernel, record, step)
    else:
        _enter(kernel, record, step)


def give_up(kernel: Kernel, record: SignalRecord, code: str, message: str) -> None:
    """End what waits as expired, and say what became of it so far."""
    expire(kernel, record, code, message + _so_far(record))


# --- What may be done -----------------------------------------------------------------------------------


def due_step(kernel: Kernel, record: SignalRecord) -> Step:
    """The step that is due; an entry or a reversal that could not enter anyway is refused before anything is closed.

    Under the kill switch that is told first, whatever else its source does not let it do.
    """
    if record.signal.action in ENTERS and not record.exit and (killed := not_killed(kernel)):
        return killed
    step = translated(kernel, record)
    if isinstance(step, Enter):
        return _entering(kernel, record, step)
    if isinstance(step, Leave) and step.reverses and not record.exit:
        return _unenterable(kernel, record, step) or step
    return step


def _entering(kernel: Kernel, record: SignalRecord, step: Enter) -> Enter | Refusal:
    """An entry within its source's limits, with the leverage that it sets first."""
    leverage = leverage_of(kernel, record)
    if isinstance(leverage, Refusal):
        return leverage
    return over_limits(kernel, record, step) or msgspec.structs.replace(step, leverage=leverage)


def _unenterable(kernel: Kernel, record: SignalRecord, step: Leave) -> Refusal | None:
    """Why a reversal could not enter once it has left: nothing is closed for an entry that cannot be placed."""
    if unknown := outcomes_known(kernel, record.account, record.instrument, []):
        return unknown
    after = once_left(kernel, record, step.sides)
    then = due_step(after, record)
    if isinstance(then, Enter):
        return plan_order(after, record.account, entry_command(record, then)).refusal
    return then if isinstance(then, Refusal) else None


def _expired(kernel: Kernel, record: SignalRecord) -> tuple[str, str] | None:
    """Why an entry that had to wait is not worth placing any more."""
    until_ns, policy = expires_ns(record), record.policy
    if not until_ns or record.waits is None:
        return None
    if kernel.clock >= until_ns:
        return "PATIENCE", f"it could not be placed within {policy.entry_patience_s} s"
    now = kernel.market(record.instrument).taker_price(ENTERS[record.signal.action])
    if now is None or not record.price:
        return None
    drift = abs(now - record.price) / record.price
    if drift > policy.entry_drift:
        moved = f"the price moved by {drift:.2%}, from {text(record.price)} to {text(now)}"
        return "DRIFT", f"{moved}, more than {policy.entry_drift:.2%}"
    return None


def _opened_meanwhile(kernel: Kernel, record: SignalRecord) -> bool:
    """A CLOSE that had nothing to close when it was last looked at has something now."""
    sides = LEAVES.get(record.signal.action)
    return sides is not None and not record.exit and unclosed(kernel, record, sides)[1] > ZERO


def _cannot_enter_yet(kernel: Kernel, record: SignalRecord) -> bool:
    """After a start an entry waits until its account was held against its venue (DESIGN 9).

    One that had to wait, perhaps over a restart, waits for the feed too; one that just came is refused.
    """
    if record.signal.action not in ENTERS:
        return False
    account = kernel.state.accounts[record.account]
    if account.execution is Execution.VENUE and account.id not in kernel.stood:
        return True
    blocked = may_enter(kernel, kernel.market(record.instrument)) if record.waits is not None else None
    return blocked is not None and blocked.code in _PASSING


def _venue_may_hold(kernel: Kernel, record: SignalRecord) -> bool:
    """Nothing is left to close by the ledger, and the venue has not said so yet, or states another position."""
    account = kernel.state.accounts[record.account]
    if record.signal.action not in LEAVES or account.execution is not Execution.VENUE:
        return False
    return account.id not in kernel.stood or pair_key(account.id, record.instrument) in kernel.state.differs


# --- Leaving --------------------------------------------------------------------------------------------


def _leave(kernel: Kernel, record: SignalRecord, step: Leave) -> None:
    """Withdraw and close what is there, or see what became of that."""
    entries = own_entries(kernel, record, step.sides)
    position, rest = unclosed(kernel, record, step.sides)
    if record.waits is WaitsFor.FLAT:
        if rest <= ZERO and all(order.cancel_requested for order in entries):
            return
        if is_dust(kernel.instrument(record.instrument), rest) and record.exit in kernel.state.orders:
            return  # a venue may refuse that alone: once what is on its way is through
        short = _fell_short(kernel, record)
        if rest <= ZERO or short is not None:
            _try_later(kernel, record, short)
            return
    for order in entries:
        request_cancel(kernel, order, f"{record.signal.action} of {record.signal.source}")
    if position is not None and rest > ZERO:
        close_at_market(kernel, position, rest, Role.CLOSE, owner_of(record.signal.source), record.signal.id)
    wait(kernel, record, WaitsFor.FLAT, expires_ns(record), record.attempt)


def _fell_short(kernel: Kernel, record: SignalRecord) -> Order | None:
    """A close of the signal that ended short of its size, unless another was sent since; that more came to be open is none."""
    exits = _orders(kernel, record, closing=True)
    since_ns = exits[-1].terms.created_ns if exits else 0
    ended = (order for order in exits if order.ended and order.status is not OrderStatus.FILLED)
    return next((order for order in ended if order.updated_ns >= since_ns), None)


def _try_later(kernel: Kernel, record: SignalRecord, short: Order | None) -> None:
    """What was tried did not make it flat. What never left is tried again at the policy's times, the rest ever more slowly."""
    attempt = record.attempt + 1
    wait_ns = FIRST_NS << min(attempt - 1, DOUBLINGS)
    if short is not None and short.code in UNSENT_CODES:
        wait_ns = _retry_ns(kernel, record, closing=True)
    if attempt == 1:
        why = short.reason if short is not None else "its entries could not be cancelled"
        alarm(kernel, record, "SIGNAL_NOT_CLOSED", f"did not close all, and tries again: {why}")
    until_ns = kernel.clock + wait_ns
    wait(kernel, record, WaitsFor.RETRY, min(until_ns, expires_ns(record) or until_ns), attempt)


def _end_closed(kernel: Kernel, record: SignalRecord, step: Nothing) -> None:
    dust = _left_over(kernel, record)
    if record.closed:
        end(
            kernel,
            record,
            Verdict.EXECUTED,
            "",
            f"closed {text(record.closed)} {record.signal.symbol}{dust and '; '}{dust}",
        )
    elif dust:
        end(kernel, record, Verdict.IGNORED, "DUST", dust)
    elif moved := elsewhere(kernel, record):
        refuse(kernel, record, moved)
    else:
        before = ""
        if record.waits is WaitsFor.FLAT and withdrew(kernel, record):
            before = f"withdrew the working entries of {record.signal.source}; "
        end(kernel, record, Verdict.IGNORED, step.code, before + step.message)


def _left_over(kernel: Kernel, record: SignalRecord) -> str:
    """What stays open because no order can close it, which a person is told; empty where that is nothing (P7)."""
    left = kernel.state.position_of(record.account, record.instrument)
    if left is None or not is_stuck(kernel, left):
        return ""
    say_stuck(kernel, left)
    return (
        f"{text(abs(left.size))} {record.signal.symbol} stays open, less than a step, which the venue refused to close"
    )


# --- Entering -------------------------------------------------------------------------------------------


def entry_command(record: SignalRecord, step: Enter) -> PlaceOrder:
    signal = record.signal
    tries = "" if not record.attempt else f"/{record.attempt + 1}"
    return PlaceOrder(
        request_id=signal.id + tries,
        owner=owner_of(signal.source),
        account=record.account,
        instrument=record.instrument,
        side=step.side,
        type=signal.type,
        size=step.size,
        price=signal.price,
        leverage=step.leverage,
        take_profit=signal.take_profit,
        stop_loss=signal.stop_loss,
    )


def _enter(kernel: Kernel, record: SignalRecord, step: Enter) -> None:
    """Place the entry, through the same plan and risk as a hand's."""
    before, events = record.entry, len(kernel.journal.events)
    take_in(kernel, entry_command(record, step), record.account)
    kernel.journal.cause = record.seq
    for event in kernel.journal.events[events:]:
        if isinstance(event.body, ev.RiskRejected | ev.IntentRefused):
            _refuse_rest(kernel, record, Refusal(event.body.code, event.body.message))
            return
    if record.entry == before:
        _refuse_rest(
            kernel, record, Refusal("REQUEST_ID", f"request id: {record.signal.id} was used for another intent")
        )


def _tried_in_vain(kernel: Kernel, record: SignalRecord) -> bool:
    """Follow the entry that was placed; true where it never left and its next try may be due."""
    order = kernel.state.find_order(record.entry)
    if order is not None and not order.ended:
        return False
    signal = record.signal
    if record.opened:
        asked = f" of {text(order.size)}" if order is not None and order.filled < order.size else ""
        at = f" at {text(order.average)}" if order is not None else ""
        done = f"{signal.action} {text(record.opened)}{asked} {signal.symbol}{at}{_so_far(record)}"
        end(kernel, record, Verdict.EXECUTED, "", done)
    elif order is None:
        expire(kernel, record, "CANCELLED", "its order ended without a fill")
    elif order.code in UNSENT_CODES:
        return record.waits is not None or _retry(kernel, record)
    elif order.status in _REFUSED:
        _refuse_rest(kernel, record, Refusal(order.code, order.reason))
    else:
        give_up(kernel, record, str(order.status), order.reason or "its order ended without a fill")
    return False


def _retry(kernel: Kernel, record: SignalRecord) -> bool:
    """Wait for the next try of an entry that never left, or give up where that would come too late."""
    until_ns = kernel.clock + _retry_ns(kernel, record, closing=False)
    if until_ns >= expires_ns(record):
        order = kernel.state.find_order(record.entry)
        why = order.reason if order is not None else ""
        late = f"the next try would come after its {record.policy.entry_patience_s} s"
        tries = _unsent(kernel, record, closing=False)
        give_up(kernel, record, "PATIENCE", f"not sent in {tries} tries ({why}), and {late}")
    else:
        wait(kernel, record, WaitsFor.RETRY, until_ns, record.attempt + 1)
    return False


def _retry_ns(kernel: Kernel, record: SignalRecord, *, closing: bool) -> int:
    """How long the next try waits: by those that never left alone, whatever else was waited for before."""
    waits = record.policy.retry_s
    return waits[max(1, min(_unsent(kernel, record, closing=closing), len(waits))) - 1] * SECOND_NS


def _unsent(kernel: Kernel, record: SignalRecord, *, closing: bool) -> int:
    return sum(order.code in UNSENT_CODES for order in _orders(kernel, record, closing=closing))


def _orders(kernel: Kernel, record: SignalRecord, *, closing: bool) -> list[Order]:
    """The orders that it became, as far as they are known: those that close, or its entries."""
    found = (kernel.state.find_order(order) for order in record.orders)
    return [order for order in found if order is not None and bool(order.terms.position) is closing]


def _refuse_rest(kernel: Kernel, record: SignalRecord, refusal: Refusal) -> None:
    """Refused; what a reversal closed before that stays closed, and that is an alarm."""
    refuse(kernel, record, Refusal(refusal.code, refusal.message + _so_far(record)))
    if record.exit:
        alarm(kernel, record, "SIGNAL_HALF_DONE", f"is half done: {refusal.message}{_so_far(record)}")


def _so_far(record: SignalRecord) -> str:
    return f"; {text(record.closed)} was closed before" if record.closed else ""
