"""Funding through the desk: each position pays once for each funding time, on what it held just before it (semantics 3)."""

from __future__ import annotations

from decimal import Decimal

from engine.core.arming import arm_position
from engine.core.funding import apply_funding, payment
from engine.core.kernel import Due, Kernel
from engine.core.margin import with_liquidation
from engine.core.market import Market
from engine.core.state import State, pair_key
from engine.model import event as ev
from engine.model.account import Execution, Position
from engine.model.market import Funding, Mark


def expect(kernel: Kernel, market: Market, mark: Mark) -> None:
    """Ring at the funding time that a mark names, once for each."""
    due_ns = mark.next_funding_ns
    if due_ns is not None and due_ns != market.funding_ns and due_ns > kernel.clock:
        market.funding_ns = due_ns
        kernel.at(due_ns, Due.FUNDING, mark.instrument)


def note_sizes(kernel: Kernel, instrument: str) -> None:
    """The funding time has come, its settlement is told only later: record what is held now."""
    due_ns = kernel.market(instrument).funding_ns
    if due_ns is None or due_ns > kernel.clock:
        return
    state = kernel.state
    sizes = {p.id: p.size for p in state.positions.values() if p.instrument == instrument and _settles(state, p)}
    if sizes:
        kernel.journal.emit(ev.FundingDue(due_ns, sizes), instrument=instrument)


def note_rest(kernel: Kernel) -> None:
    """No input came for a while, or no engine ran: what is held now was held at every funding time in between."""
    kernel.rested = (kernel.clock, {p.id: p.size for p in kernel.state.positions.values()})


def settle(kernel: Kernel, funding: Funding) -> None:
    """Book a settlement, also on what was closed since; once per (account, instrument, due time) (F5, F6)."""
    state = kernel.state
    for position, size in _held(kernel, funding):
        instrument = kernel.instrument(position.instrument)
        amount = payment(size, funding.mark, funding.rate)
        free = state.accounts[position.account].free(instrument.settle_asset)
        after = with_liquidation(instrument, apply_funding(position, amount, free))
        body = ev.FundingPaid(funding.due_ns, funding.rate, funding.mark, amount, after)
        kernel.journal.emit_account(position.account, body, position.instrument, "venue")
        arm_position(kernel, after)


def _held(kernel: Kernel, funding: Funding) -> list[tuple[Position, Decimal]]:
    """What has not paid yet and was held at the funding time, be it closed since."""
    state, due_ns = kernel.state, funding.due_ns
    sizes = _sizes(kernel, funding)
    found = [state.positions.get(name) or state.closed.get(name) for name in sizes]
    return [
        (p, sizes[p.id])
        for p in found
        if p is not None
        and p.instrument == funding.instrument
        and p.opened_ns < due_ns
        and _settles(state, p)
        and state.funded.get(pair_key(p.account, p.instrument), 0) < due_ns
    ]


def _sizes(kernel: Kernel, funding: Funding) -> dict[str, Decimal]:
    """What is known of the moment nearest after it: noted at a funding time, held through a rest, else what is open now."""
    noted = kernel.state.funding_due.get(funding.instrument, (0, {}))
    after = [known for known in (noted, kernel.rested) if known[0] >= funding.due_ns]
    if after:
        return min(after, key=lambda known: known[0])[1]
    return {p.id: p.size for p in kernel.state.positions.values()}


def _settles(state: State, position: Position) -> bool:
    """A venue books the funding of its own positions."""
    return state.accounts[position.account].execution is Execution.PAPER
