"""All that a venue has of an account is held against the ledger: what differs is found, said, asked for, and in the end adopted.

Only what stood still between the question and the answer is judged. The orders come first: a fill that was missed is
found with its order, and only what no order explains moves the position.
"""

from __future__ import annotations

from decimal import Decimal

from engine.core.alarm import raise_once
from engine.core.brackets import next_order_id
from engine.core.doubts import lose
from engine.core.fills import apply_report
from engine.core.foreign import OWNER, RECONCILED, SETTLE_NS, adopt, took_over
from engine.core.inputs import VenueStands
from engine.core.kernel import Kernel
from engine.core.leverage import set_leverage, work_out
from engine.core.lifecycle import create, send
from engine.core.reports import at_a_venue, hear, take_terms
from engine.core.state import pair_key
from engine.model import event as ev
from engine.model.account import Position
from engine.model.instrument import InstrumentId
from engine.model.market import Side
from engine.model.money import ZERO, round_cost
from engine.model.order import Order, OrderStatus, OrderTerms, OrderType, Role
from engine.model.report import VenueOrder, VenuePosition

SENT, UNKNOWN, REJECTED = OrderStatus.SENT, OrderStatus.UNKNOWN, OrderStatus.REJECTED
_STANDS = frozenset({OrderStatus.ACCEPTED, OrderStatus.TRIGGERED, OrderStatus.PARTIAL})


def stands(kernel: Kernel, given: VenueStands) -> None:
    """Hold the open orders, then the positions, against what the venue has."""
    account, asked_ns = given.account, given.asked_ns
    if not at_a_venue(kernel, account):
        return
    before = {o.id for o in kernel.state.orders.values() if o.terms.account == account and o.status in _STANDS}
    listed = set()
    for said in given.orders:
        order = hear(kernel, account, said)
        if order is not None:
            listed.add(order.id)
            _compare(kernel, order, said, asked_ns)
    for order in [o for o in kernel.state.orders.values() if o.id in before and o.id not in listed]:
        if order.status in _STANDS and kernel.heard.get(order.id, 0) < asked_ns:
            lose(kernel, order, "it is not among the venue's open orders")
    theirs: dict[InstrumentId, VenuePosition] = {}
    for position in given.positions:
        if position.instrument in kernel.state.instruments:
            theirs[position.instrument] = position
        else:
            message = f"{account} has {position.size} {position.instrument}, which is not known here; look at the venue"
            raise_once(kernel, account, "", "FOREIGN_INSTRUMENT", message)
    ours = {p.instrument for p in kernel.state.positions.values() if p.account == account}
    known = {i for i in kernel.state.instruments if pair_key(account, i) in kernel.state.differs}
    for instrument in sorted(ours | known | theirs.keys()):
        if _still(kernel, account, instrument, asked_ns):
            _hold_against(kernel, account, instrument, theirs.get(instrument), asked_ns)
    kernel.stood[account] = asked_ns


# --- Orders ------------------------------------------------------------------------------------------


def _compare(kernel: Kernel, order: Order, said: VenueOrder, asked_ns: int) -> None:
    """A listed order that the ledger holds otherwise, and that nothing was heard of since the question."""
    if kernel.heard.get(order.id, 0) >= asked_ns:
        return
    live = order.id in kernel.state.orders and order.status in _STANDS
    if live and order.amending is None and said.size > order.filled and _otherwise(order, said):
        take_terms(kernel, order, said)
    if live and said.filled > order.filled:
        lose(kernel, order, f"the venue says {said.filled} of it is filled, {order.filled} was reported")
    elif order.status is REJECTED and not order.filled:
        # It was taken as never arrived, and did: from now on it is one of those nobody here has sent.
        if adopt(kernel, order.terms.account, said) is not None:
            hear(kernel, order.terms.account, said)
    elif order.id not in kernel.state.orders:
        # Also one taken as never arrived that has fills: they are booked on it, and an adopted one would get them again.
        message = f"order {order.id} ended here, and the venue lists it as {said.status}; cancel it there"
        raise_once(kernel, order.terms.account, order.terms.instrument, "ENDED_HERE", message)


def _otherwise(order: Order, said: VenueOrder) -> bool:
    return said.size != order.size or (order.price is not None and said.price not in (None, order.price))


# --- Positions ---------------------------------------------------------------------------------------


def _still(kernel: Kernel, account: str, instrument: InstrumentId, asked_ns: int) -> bool:
    """Nothing is on its way or lost in this instrument, and nothing was heard of it since the question."""
    if kernel.heard.get(pair_key(account, instrument), 0) >= asked_ns:
        return False
    return not any(
        o.status in (SENT, UNKNOWN) and o.terms.instrument == instrument and o.terms.account == account
        for o in kernel.state.orders.values()
    )


def _hold_against(
    kernel: Kernel, account: str, instrument: InstrumentId, theirs: VenuePosition | None, asked_ns: int
) -> None:
    state, journal = kernel.state, kernel.journal
    position = state.position_of(account, instrument)
    ours = position.size if position is not None else ZERO
    stated = theirs.size if theirs is not None else ZERO
    key = pair_key(account, instrument)
    known = state.differs.get(key)
    if theirs is not None and theirs.leverage and theirs.leverage != kernel.leverage(account, instrument):
        _take_leverage(kernel, account, instrument, theirs.leverage)
    if ours == stated:
        if known is not None:
            journal.emit_account(account, ev.PositionAgreed(), instrument, OWNER)
    elif known is None or known.theirs - known.ours != stated - ours:
        message = f"{instrument} of {account}: the venue states {stated}, the ledger {ours}; asking what is missing"
        journal.emit_account(account, ev.PositionDiffers(ours, stated), instrument, OWNER)
        journal.emit_account(account, ev.AlarmRaised("POSITION_DIFFERS", message), instrument)
        kernel.heard[_asked_key(key)] = kernel.clock
    elif kernel.heard.get(_asked_key(key), 0) + SETTLE_NS <= asked_ns:
        price = _price(kernel, instrument, position, stated, theirs)
        if price is not None:
            _adjust(kernel, account, instrument, ours, stated, round_cost(price))
            journal.emit_account(account, ev.PositionAgreed(), instrument, OWNER)


def _asked_key(pair: str) -> str:
    return f"{pair}|differs"


def _take_leverage(kernel: Kernel, account: str, instrument: InstrumentId, leverage: int) -> None:
    before = kernel.state.accounts[account].leverage.get(instrument)
    known = kernel.instrument(instrument)
    set_leverage(kernel, account, known, work_out(kernel, account, known, leverage), OWNER)
    if before is None:
        return  # it was never known here
    message = f"leverage of {known.symbol} is {leverage}x at the venue, it was {before}x here; it is taken over"
    kernel.journal.emit_account(account, ev.AlarmRaised("LEVERAGE_CHANGED", message), instrument)


def _adjust(
    kernel: Kernel, account: str, instrument: InstrumentId, ours: Decimal, stated: Decimal, price: Decimal
) -> None:
    """Bring the position to what the venue says it is, by an order that nobody sent."""
    missing = stated - ours
    name = f"{RECONCILED}{kernel.state.seq}"
    terms = OrderTerms(
        id=next_order_id(kernel),
        client_id=name,
        account=account,
        instrument=instrument,
        side=Side.BUY if missing > ZERO else Side.SELL,
        type=OrderType.MARKET,
        size=abs(missing),
        role=Role.EXTERNAL,
        owner=OWNER,
        created_ns=kernel.now,
        leverage=kernel.leverage(account, instrument),
    )
    message = f"{instrument} of {account} is {stated} at the venue and was {ours} here; {missing} is booked at {price}"
    kernel.journal.emit_account(account, ev.AlarmRaised("POSITION_ADJUSTED", message), instrument)
    order = create(kernel, terms, top=kernel.top(instrument))
    send(kernel, order)
    apply_report(kernel, order, name, price, abs(missing), ZERO, maker=False)
    kernel.told(order)
    kernel.moved(pair_key(account, instrument))
    took_over(kernel, terms)


def _price(
    kernel: Kernel, instrument: InstrumentId, position: Position | None, stated: Decimal, theirs: VenuePosition | None
) -> Decimal | None:
    """What was opened elsewhere is booked at the venue's entry, what was closed elsewhere at the mark; else at our own entry."""
    entry = theirs.entry if theirs is not None and theirs.entry > ZERO else None
    mark = kernel.market(instrument).mark_price()
    if position is None:
        return entry or mark
    grew = stated * position.size > ZERO and abs(stated) > abs(position.size)
    if grew and entry is not None:
        # The price that makes the whole cost what the venue says it did.
        added = (stated * entry - position.cost) / (stated - position.size)
        return added if added > ZERO else entry
    flipped = stated * position.size < ZERO
    return (entry if flipped else None) or mark or position.entry
