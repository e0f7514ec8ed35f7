"""Exits that follow what they protect: bracket children, one-updates-other, the reduce-only cap (semantics 5)."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from engine.core.arming import role_of_exit
from engine.core.kernel import Kernel
from engine.core.lifecycle import alternatives, create, exits_of, hold, let_go, live_exits, resize
from engine.model.market import Side
from engine.model.money import ZERO
from engine.model.order import Order, OrderStatus, OrderTerms, OrderType, Role, TriggerSource

HELD = OrderStatus.HELD


def next_order_id(kernel: Kernel) -> str:
    """Ids count up with the ledger, so a replay makes the same ones."""
    return f"O{kernel.state.orders_made + 1}"


def exit_terms(
    kernel: Kernel,
    base: OrderTerms,
    order_type: OrderType,
    size: Decimal,
    group: str,
    *,
    trigger: Decimal | None = None,
    trail_bps: Decimal | None = None,
    source: TriggerSource = TriggerSource.MARK,
) -> OrderTerms:
    """Terms of a held reduce-only exit that closes what `base` opened."""
    order_id = next_order_id(kernel)
    return OrderTerms(
        id=order_id,
        client_id=client_id(order_id, base.request_id),
        account=base.account,
        instrument=base.instrument,
        side=base.side.opposite,
        type=order_type,
        size=size,
        role=role_of_exit(order_type),
        leg=base.leg,
        owner=base.owner,
        request_id=base.request_id,
        created_ns=kernel.now,
        trigger=trigger,
        trail_bps=trail_bps,
        source=source,
        reduce_only=True,
        leverage=base.leverage,
        parent=base.id,
        group=group,
    )


def client_id(order_id: str, request_id: str) -> str:
    """What a venue knows the order by: the same for every attempt of one order; 36 characters at most."""
    return f"{order_id}-{request_id}"[:36]


def follow_entry(kernel: Kernel, entry: Order, opened: Decimal) -> None:
    """Grow the exits by what a fill opened, so that no lot is ever unprotected (B1, B3).

    An entry grows its own bracket; where it brings no level of a kind, the exits set on the position cover its lots.
    """
    terms = entry.terms
    closing = terms.side.opposite
    candidates = [e for parent in ("", terms.id) for e in exits_of(kernel, terms.account, terms.instrument, parent)]
    exits = [o for o in candidates if o.terms.group and o.terms.side is closing]
    for order_type, level in (
        (OrderType.STOP, terms.stop_loss),
        (OrderType.TAKE_PROFIT, terms.take_profit),
        (OrderType.TRAILING_STOP, None),
    ):
        if order_type.trails and terms.stop_loss is not None:
            break  # its lots have a stop of their own
        parent = "" if level is None else terms.id
        legs = [o for o in exits if o.terms.parent == parent and o.terms.type is order_type]
        leg = legs[-1] if legs else None
        if leg is not None and not leg.fired:
            resize(kernel, leg, leg.size + opened, "follows its entry")
        elif level is not None:
            _new_leg(kernel, terms, order_type, opened, level, terms.bracket_source, exits)
        elif leg is not None and leg.trigger is not None:
            # It fired for the lots before: what opens behind it leaves by the same level.
            kind = OrderType.STOP if order_type.trails else order_type
            # Whoever opened it, the exit is that of who set the leg: a stranger's orders are never sent from here.
            base = msgspec.structs.replace(terms, owner=leg.terms.owner, request_id=leg.terms.request_id)
            _new_leg(kernel, base, kind, opened, leg.trigger, leg.terms.source, exits)


def _new_leg(
    kernel: Kernel,
    base: OrderTerms,
    order_type: OrderType,
    size: Decimal,
    level: Decimal,
    source: TriggerSource,
    exits: list[Order],
) -> None:
    """An exit for what an entry opened. Once a leg has fired its group is done: what opens after that gets its own."""
    group = f"{base.id}.x"
    if any(o.terms.group == group and o.fired for o in exits):
        group = f"{next_order_id(kernel)}.x"
    terms = exit_terms(kernel, base, order_type, size, group, trigger=level, source=source)
    hold(kernel, create(kernel, terms))


def update_alternatives(kernel: Kernel, leg: Order, filled: Decimal) -> None:
    """A fill on one leg reduces the others of its group (B2, B7); a finished leg leaves nothing of them."""
    for other in alternatives(kernel, leg):
        resize(kernel, other, other.size - filled, "its alternative filled")


def cap_reduce_only(kernel: Kernel, account: str, instrument: str) -> None:
    """Keep reduce-only size within the position: the farthest from the market gives way, newest first (B5, B6).

    Working orders, held stops and held targets each share the position among themselves: they are alternatives, and an
    order that takes profit must not leave a lot without its stop.
    """
    pair = (account, instrument)
    kernel.fitting.discard(pair)
    exits = live_exits(kernel, account, instrument)
    if not exits:
        kernel.fitting.add(pair)
        return
    position = kernel.state.position_of(account, instrument)
    closing = None if position is None else Side.SELL if position.size > 0 else Side.BUY
    room = abs(position.size) if position is not None else ZERO
    if _fit(exits, closing, room):
        kernel.fitting.add(pair)
        return
    pools: dict[str, dict[str, list[Order]]] = {}
    for order in exits:
        if order.terms.side is not closing:
            let_go(kernel, order, "nothing left to reduce")
        else:
            groups = pools.setdefault(_pool(order), {})
            groups.setdefault(order.terms.group or order.terms.id, []).append(order)
    for groups in pools.values():
        _share_out(kernel, list(groups.values()), room)


def _fit(exits: list[Order], closing: Side | None, room: Decimal) -> bool:
    """All kinds fit even where alternatives are counted twice: nothing gives way."""
    sums: dict[str, Decimal] = {}
    for order in exits:
        if order.terms.side is not closing:
            return False
        left = order.size - order.filled
        if order.status is not HELD and order.price is None:
            if left > room:
                return False
            continue
        pool = _pool(order)
        sums[pool] = sums.get(pool, ZERO) + left
    return all(total <= room for total in sums.values())


def opened_with_bracket(kernel: Kernel, entry: Order, opened: Decimal) -> None:
    """A fill that did nothing but open: where it brings its own stop, what did fit still does.

    No kind of exit then grows by more than the position, so there is nothing to share out.
    """
    terms = entry.terms
    pair = (terms.account, terms.instrument)
    fitted = pair in kernel.fitting and terms.stop_loss is not None
    follow_entry(kernel, entry, opened)
    if fitted:
        kernel.fitting.add(pair)
    else:
        cap_reduce_only(kernel, *pair)


def _pool(order: Order) -> str:
    """Exits that compete for the position's size. Protection never gives way to an exit placed by hand, which may go.

    A trailing stop that is not active yet protects nothing and competes with nobody; a market order on its way finds
    out what is left when it arrives.
    """
    if order.status is not HELD:
        return "working" if order.price is not None else order.terms.id
    if order.trigger is None:
        return order.terms.id
    return _held_pool(order.terms)


def _held_pool(terms: OrderTerms) -> str:
    kind = "targets" if role_of_exit(terms.type) is Role.TAKE_PROFIT else "stops"
    return kind if terms.group else f"{kind} by hand"


def _share_out(kernel: Kernel, groups: list[list[Order]], room: Decimal) -> None:
    for legs in sorted(groups, key=lambda legs: min(_distance(kernel, leg) for leg in legs)):
        wanted = max(leg.remaining for leg in legs)
        for leg in legs:
            if leg.remaining > room:
                resize(kernel, leg, leg.filled + room, "larger than the position")
        room -= min(wanted, room)


def rearm_rest(kernel: Kernel, order: Order, rest: Decimal) -> None:
    """A stop whose market order found too little in the book stands again for the rest: no lot without its stop."""
    if not order.terms.type.has_price:
        stand_again(kernel, order, rest)


def stand_again(kernel: Kernel, order: Order, rest: Decimal, *, apart: bool = False) -> Order | None:
    """A protection that fired and leaves a rest is held again at its level, for what nothing of its kind protects meanwhile.

    Set `apart` it is no alternative to the exits of its group any more: the order that fired is still on its way.
    """
    terms = order.terms
    position = kernel.state.position_of(terms.account, terms.instrument, terms.leg)
    if position is None or not terms.reduce_only or not terms.type.waits:
        return None
    if (position.size > 0) is (terms.side is Side.BUY):
        return None
    exits = live_exits(kernel, terms.account, terms.instrument)
    kept = (o.remaining for o in exits if o.terms.side is terms.side and _pool(o) == _held_pool(terms))
    size = min(rest, abs(position.size) - sum(kept, ZERO))
    if size <= ZERO:
        return None
    order_id = next_order_id(kernel)
    level = order.trigger
    order_type = OrderType.STOP if terms.type.trails else terms.type
    again = msgspec.structs.replace(
        terms,
        id=order_id,
        client_id=client_id(order_id, terms.request_id),
        size=size,
        type=order_type,
        price=order.price,
        trigger=level,
        trail_bps=None,
        trail_offset=None,
        created_ns=kernel.now,
        group=f"{order_id}.x" if terms.group and apart else terms.group,
    )
    held = create(kernel, again)
    hold(kernel, held)
    cap_reduce_only(kernel, terms.account, terms.instrument)
    return held


def _distance(kernel: Kernel, order: Order) -> Decimal:
    """How far the market is from an exit; one on its way is there already."""
    level = order.price if order.price is not None else order.trigger
    if level is None or (order.fired and order.price is None):
        return ZERO
    mark = kernel.market(order.terms.instrument).mark_price()
    return abs(level - mark) if mark is not None else ZERO
