"""Whose order a venue speaks of: ours by its client id, or another's, which is then adopted."""

from __future__ import annotations

from itertools import chain

from engine.core.alarm import raise_once
from engine.core.brackets import next_order_id
from engine.core.kernel import KEEP_HEARD, Kernel
from engine.core.lifecycle import create, send
from engine.core.margin import reserve
from engine.core.state import KEEP_ENDED, State, pair_key
from engine.model.money import ZERO
from engine.model.order import AT_VENUE, Order, OrderStatus, OrderTerms, OrderType, Role
from engine.model.report import VenueOrder

OWNER = "venue"
"""Who owns what others did in the account."""
RECONCILED = "reconciled-"
"""How the name of an order begins by which a position was taken over."""
SETTLE_NS = 5_000_000_000
"""For so long a position must differ before it is taken over: a venue's own positions and lists lag behind its fills."""


def find(kernel: Kernel, account: str, said: VenueOrder) -> Order | None:
    """The order that a statement is about: one we made, or one adopted before.

    One that was taken as never arrived may have been adopted since, under the same id.
    """
    state = kernel.state
    ours = state.find_order(said.client_id.partition("-")[0])
    if ours is not None and (ours.terms.client_id != said.client_id or ours.terms.account != account):
        ours = None
    if ours is not None and ours.status is not OrderStatus.REJECTED:
        return ours
    return state.find_order(kernel.adopted.get((account, _name(said)), "")) or ours


def remember(kernel: Kernel) -> None:
    """Know the strangers of the recorded state again; of one name the live one, else the latest, is meant."""
    for order in chain(kernel.state.ended.values(), kernel.state.orders.values()):
        terms = order.terms
        if terms.owner == OWNER:
            kernel.adopted[terms.account, terms.client_id] = order.id
            if terms.client_id.startswith(RECONCILED):
                took_over(kernel, terms)


def took_over(kernel: Kernel, terms: OrderTerms) -> None:
    """A position was taken over by an order of these terms: what explains it happened before it was first seen."""
    kernel.taken_over[pair_key(terms.account, terms.instrument)] = terms.created_ns - SETTLE_NS


def adopt(kernel: Kernel, account: str, said: VenueOrder) -> Order | None:
    """Make a stranger's order one of the account's; None where it concerns nothing the ledger keeps."""
    state = kernel.state
    live = said.status in AT_VENUE
    if not live and not said.filled and not said.fills:
        return None
    taken_ns = kernel.taken_over.get(pair_key(account, said.instrument), 0)
    known_ns = max(state.accounts[account].opened_ns, taken_ns, _forgotten_ns(state))
    if not live and _before(said, known_ns):
        return None
    name = _name(said)
    if said.instrument not in state.instruments:
        message = f"order {name} of {account} is in {said.instrument}, which is not known here; look at the venue"
        raise_once(kernel, account, "", "FOREIGN_INSTRUMENT", message)
        return None
    if _made_here(kernel, said.client_id):
        # Ended and let go of long ago: what it filled is booked, and must not be booked again.
        if live:
            message = (
                f"order {name} ended here long ago, and {account}'s venue says it is {said.status}; cancel it there"
            )
            raise_once(kernel, account, said.instrument, "ENDED_HERE", message)
        return None
    code, role, what = "FOREIGN_ORDER", Role.EXTERNAL, "was not sent from here; it is counted in, and can be cancelled"
    if said.liquidation:
        code, role, what = "LIQUIDATED_AT_VENUE", Role.LIQUIDATION, "is the venue's own: it liquidates the position"
    message = f"order {name}, {said.side.lower()} {said.size} {said.instrument}, {what}"
    raise_once(kernel, account, said.instrument, code, message)
    instrument = kernel.instrument(said.instrument)
    leverage = kernel.leverage(account, said.instrument)
    reduces = said.reduce_only or said.liquidation
    terms = OrderTerms(
        id=next_order_id(kernel),
        client_id=name,
        account=account,
        instrument=said.instrument,
        side=said.side,
        type=OrderType.MARKET if said.price is None else OrderType.LIMIT,
        size=said.size,
        role=role,
        owner=OWNER,
        created_ns=kernel.now,
        price=said.price,
        reduce_only=reduces,
        leverage=leverage,
    )
    aside = ZERO
    if live and not reduces and said.price is not None:
        aside = reserve(instrument, said.size, said.price, leverage)
    order = create(kernel, terms, aside, kernel.top(said.instrument))
    if len(kernel.adopted) > KEEP_HEARD:
        kernel.adopted = {name: known for name, known in kernel.adopted.items() if state.find_order(known)}
    kernel.adopted[account, name] = order.id
    send(kernel, order)
    return order


def _before(said: VenueOrder, known_ns: int) -> bool:
    """All of it is that old: it is in what was found when the account came here or its position was taken over, or was booked."""
    return bool(said.fills) and all(0 < fill.time_ns < known_ns for fill in said.fills)


def _forgotten_ns(state: State) -> int:
    """What ended before this may have been booked and let go of; what was missed of it shows in the position."""
    if len(state.ended) < KEEP_ENDED:
        return 0
    return next(iter(state.ended.values())).updated_ns


def _name(said: VenueOrder) -> str:
    """What a stranger's order is known by; a person's often has no client id."""
    return said.client_id or said.venue_order_id


def _made_here(kernel: Kernel, client_id: str) -> bool:
    """The id has the form of an order made here that the state no longer holds."""
    order_id = client_id.partition("-")[0]
    number = order_id[1:]
    return (
        order_id[:1] == "O"
        and number.isdecimal()
        and int(number) <= kernel.state.orders_made
        and kernel.state.find_order(order_id) is None
    )
