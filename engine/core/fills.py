"""A fill becomes facts: split where it flips, PnL and margin computed, exits brought into line (semantics 1, 2, 5)."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from engine.core.alarm import raise_once
from engine.core.arming import arm_position
from engine.core.brackets import cap_reduce_only, follow_entry, opened_with_bracket, update_alternatives
from engine.core.closing import close_rest
from engine.core.kernel import Kernel, share
from engine.core.margin import with_liquidation
from engine.core.positions import Part, apply_fill, split_fill
from engine.core.state import ATTESTED
from engine.model import event as ev
from engine.model.account import Position
from engine.model.market import Top
from engine.model.money import ZERO, round_fee
from engine.model.order import Order, OrderStatus, Role

_UNSENT = frozenset({OrderStatus.CREATED, OrderStatus.HELD})


def record_fill(
    kernel: Kernel, order: Order, price: Decimal, size: Decimal, *, maker: bool, spare: Decimal = ZERO
) -> Decimal:
    """Record the next fill of an order that the paper book gave; `spare` and what is returned as in `apply_report`."""
    instrument = kernel.instrument(order.terms.instrument)
    rate = instrument.maker_fee if maker else instrument.taker_fee
    fee = round_fee(price * size * rate)
    fill_id = f"{order.terms.id}.{order.fills + 1}"
    return apply_report(kernel, order, fill_id, price, size, fee, maker=maker, spare=spare)


def apply_report(
    kernel: Kernel,
    order: Order,
    fill_id: str,
    price: Decimal,
    size: Decimal,
    fee: Decimal,
    *,
    maker: bool,
    spare: Decimal = ZERO,
) -> Decimal:
    """Record a reported fill, once per fill id: a second arrival is dropped, one with other fields is an alarm (P9).

    `spare` is margin that fills before it of the same walk through the book set free and did not lose; what of it is left
    after this one is returned.
    """
    known = order.applied.get(fill_id)
    if known is not None:
        if known != (price, size):
            first = f"{known[1]} @ {known[0]}"
            message = f"fill {fill_id} of {order.terms.id} came again as {size} @ {price}; {first} stays recorded"
            raise_once(kernel, order.terms.account, order.terms.instrument, "FILL_DIFFERS", message)
        return spare
    terms = order.terms
    if order.status in _UNSENT:
        message = f"fill {fill_id} names {order.status} order {terms.id}, which never left; it is not booked"
        kernel.journal.emit_order(order, ev.AlarmRaised("FOREIGN_FILL", message))
        return spare
    if terms.id not in kernel.state.orders:
        attested = order.applied.get(ATTESTED)
        if attested is not None and attested[1] > ZERO:
            covered = _cover(kernel, order, attested, fill_id, price, size)
            if covered == size:
                return spare
            size, fee = size - covered, fee - share(fee, covered, size)
        message = f"{order.status} order {terms.id} filled {size} @ {price} late"
        kernel.journal.emit_order(order, ev.AlarmRaised("LATE_FILL", message))
    if size > order.remaining:
        message = f"order {terms.id} of {order.size} filled {order.filled + size}: the position is what the venue says"
        kernel.journal.emit_order(order, ev.AlarmRaised("OVERFILL", message))
    position = kernel.state.position_of(terms.account, terms.instrument, terms.leg)
    top = kernel.top(terms.instrument)
    opened = ZERO
    for number, part in enumerate(split_fill(position, terms.side, size, fee)):
        position, spare = _record_part(kernel, order, fill_id, number, part, price, position, maker, top, spare)
        if not part.closing:
            opened += part.size
    assert position is not None
    if opened and terms.reduce_only:
        message = f"reduce-only order {terms.id} opened {opened}: the position is what the venue says"
        kernel.journal.emit_order(order, ev.AlarmRaised("REDUCE_ONLY_OPENED", message))
    arm_position(kernel, position)
    update_alternatives(kernel, order, size)
    if opened == size and not terms.reduce_only:
        opened_with_bracket(kernel, order, opened)
    else:
        if opened and not terms.reduce_only:
            follow_entry(kernel, order, opened)
        cap_reduce_only(kernel, terms.account, terms.instrument)
    if opened and terms.account in kernel.state.flattening:
        close_rest(kernel, terms.account)
    return spare


def _cover(
    kernel: Kernel, order: Order, attested: tuple[Decimal, Decimal], fill_id: str, price: Decimal, size: Decimal
) -> Decimal:
    """A late fill of an attested order: how much of it was booked by the attestation already."""
    terms = order.terms
    taken, left = attested
    covered = min(size, left)
    kernel.journal.emit_order(order, ev.FillCovered(terms.id, fill_id, price, covered))
    if price != taken:
        message = f"{covered} of {terms.id} was attested at {taken}, and the venue says {price} (fill {fill_id})"
        kernel.journal.emit_order(order, ev.AlarmRaised("ATTESTED_DIFFERS", message))
    return covered


def _record_part(
    kernel: Kernel,
    order: Order,
    fill_id: str,
    number: int,
    part: Part,
    price: Decimal,
    position: Position | None,
    maker: bool,
    top: Top | None,
    spare: Decimal,
) -> tuple[Position, Decimal]:
    terms = order.terms
    instrument = kernel.instrument(terms.instrument)
    if position is None or not position.size:
        if position is not None:
            arm_position(kernel, position)
        position = Position(
            f"P{kernel.state.positions_made + 1}",
            terms.account,
            terms.instrument,
            terms.leg,
            leverage=kernel.leverage(terms.account, terms.instrument),
        )
    signed = part.size * terms.side.sign
    after, realised = apply_fill(position, signed, price, part.fee, kernel.now, str(terms.role))
    lost = part.fee - realised
    insurance = ZERO
    if terms.role is Role.LIQUIDATION:
        # Fill by fill the whole margin is spent first: insurance pays only what the position loses beyond it.
        left = position.margin - lost
        insurance = max(ZERO, -left)
        margin = max(ZERO, left) if after.size else ZERO
        after = msgspec.structs.replace(after, insurance=after.insurance + insurance, margin=margin)
    elif part.closing:
        # Isolated: what a close loses beyond the margin it sets free is not the wallet's. One walk is one close.
        spare += position.margin - after.margin - lost
        if spare < ZERO:
            insurance, spare = -spare, ZERO
            after = msgspec.structs.replace(after, insurance=after.insurance + insurance)
    after = with_liquidation(instrument, after)
    body = ev.OrderFilled(
        terms.id,
        fill_id,
        price,
        part.size,
        part.fee,
        instrument.settle_asset,
        maker,
        after,
        realised,
        part.closing,
        insurance,
        number,
        top,
    )
    kernel.journal.emit_order(order, body)
    return after, spare
