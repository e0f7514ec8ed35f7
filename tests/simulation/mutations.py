"""Deliberately broken copies of the product's rules, one or more for each row: the simulation must notice every one of them.

Longer than most files: one broken rule after the other, and the list of them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from decimal import Decimal
from itertools import count
from math import inf
from typing import Any, NamedTuple

import msgspec
import pytest

from engine.core import (
    arming,
    book,
    brackets,
    closing,
    doubts,
    fills,
    firing,
    fold,
    foreign,
    hearing,
    leaving,
    lifecycle,
    margin,
    outbox,
    positions,
    reconcile,
    risk,
    scope,
    signals,
    translate,
    turns,
)
from engine.core.inputs import Doubt
from engine.core.state import decode_state, encode_state
from engine.execution import sorting
from engine.execution.carrier import Carrier
from engine.feeds.sanity import PriceGate, Verdict
from engine.intake import identity
from engine.ledger import replay
from engine.ledger.store import Ledger
from engine.model import event as ev
from engine.model.market import Side
from engine.model.money import ZERO
from engine.runtime.keeper import Keeper
from engine.sim.client import SimVenue
from engine.venues.errors import Ambiguous, Unreachable, VenueError

Patch = pytest.MonkeyPatch
PAPER, VENUE = "paper", "venue"


class Mutation(NamedTuple):
    """A broken rule, the rows that may notice it, and the world it lives in."""

    name: str
    rows: frozenset[int]
    world: str
    break_it: Callable[[Patch], None]
    near: int = 0
    """A seed that told once: looked at first, so that a rare story does not take long."""


def everywhere(patch: Patch, original: Any, broken: Any) -> None:
    """Put a broken function wherever a module of the engine holds the original."""
    for name, module in list(sys.modules.items()):
        if name.startswith("engine."):
            for attribute, value in list(vars(module).items()):
                if value is original:
                    patch.setattr(module, attribute, broken)


def after_fold(patch: Patch, kind: type, more: Callable[[Any, Any, Any], None]) -> None:
    """Fold an event as ever, then do something wrong to the state."""
    original = fold._HANDLERS[kind]

    def broken(state: Any, event: Any, body: Any) -> None:
        original(state, event, body)
        more(state, event, body)

    patch.setitem(fold._HANDLERS, kind, broken)


def _nothing(*args: Any, **options: Any) -> None:
    return None


# --- Money ------------------------------------------------------------------------------------------------


def rounded_average(patch: Patch) -> None:
    """1: a partial close realises against an average price rounded to the tick."""
    original = positions.apply_fill

    def broken(position: Any, signed: Decimal, price: Decimal, *rest: Any) -> Any:
        after, realised = original(position, signed, price, *rest)
        if realised and after.size:
            entry = (position.cost / position.size).quantize(Decimal("0.1"))
            realised = -signed * (price - entry)
            after = msgspec.structs.replace(after, realised=position.realised + realised)
        return after, realised

    everywhere(patch, original, broken)


def unpaid_fees(patch: Patch) -> None:
    """7: fees are shown and not paid."""
    after_fold(patch, ev.OrderFilled, lambda state, event, body: fold._add(
        state.accounts[event.account].balances, "USDT", body.fee))  # fmt: skip


def kept_reserve(patch: Patch) -> None:
    """7: what an order set aside is not given back when it ends."""
    original = fold._set_reserve
    patch.setattr(fold, "_set_reserve", lambda state, order, aside: original(state, order, aside) if aside else None)


def margin_of_the_entry(patch: Patch) -> None:
    """12: added margin and funding do not move the liquidation price."""
    original = margin.liquidation_price

    def broken(instrument: Any, position: Any) -> Any:
        first = abs(position.cost) / position.leverage
        return original(instrument, msgspec.structs.replace(position, margin=first))

    everywhere(patch, original, broken)


def forgotten_fee_reserve(patch: Patch) -> None:
    """12: the venue's fee reserve is left out of the equation."""
    original = margin._solve

    def broken(instrument: Any, *rest: Any) -> Any:
        profile = msgspec.structs.replace(instrument.profile, fee_reserve=ZERO)
        return original(msgspec.structs.replace(instrument, profile=profile), *rest)

    patch.setattr(margin, "_solve", broken)


# --- Events and their replay ------------------------------------------------------------------------------


def thin_snapshot(patch: Patch) -> None:
    """2: a snapshot misses a field."""
    original = Ledger.write_snapshot

    def broken(self: Ledger, seq: int, data: bytes) -> None:
        original(self, seq, encode_state(msgspec.structs.replace(decode_state(data), requests={})))

    patch.setattr(Ledger, "write_snapshot", broken)


def silent_decision(patch: Patch) -> None:
    """2: a decision changes the state without an event."""
    original = lifecycle.send

    def broken(kernel: Any, order: Any) -> None:
        original(kernel, order)
        kernel.state.kill_reason = order.id

    everywhere(patch, original, broken)


def order_by_time(patch: Patch) -> None:
    """2: events are read back by their time."""
    patch.setattr(replay, "_PAGE", replay._PAGE.replace("ORDER BY seq", "ORDER BY time_ns, type"))


def forgotten_requests(patch: Patch) -> None:
    """3: request ids are not kept."""
    patch.setitem(fold._HANDLERS, ev.IntentCreated, _nothing)


def forgotten_funding(patch: Patch) -> None:
    """3: funding times are not kept."""
    after_fold(patch, ev.FundingPaid, lambda state, event, body: state.funded.clear())


def forgotten_fills(patch: Patch) -> None:
    """3: fill ids are not kept, so a fill that is told twice is booked twice."""
    after_fold(patch, ev.OrderFilled, lambda state, event, body: fold._live(state, body.order).applied.clear())


# --- Orders -----------------------------------------------------------------------------------------------


def lost_clip(patch: Patch) -> None:
    """4, 5, 6: an order that was clipped goes on whole."""
    patch.setitem(fold._HANDLERS, ev.OrderResized, _nothing)


def unclipped_exits(patch: Patch) -> None:
    """5: reduce-only is not clipped to the position."""
    everywhere(patch, positions.clip_reduce_only, lambda position, side, size: size)


def uncapped_exits(patch: Patch) -> None:
    """5: exits are not cut down when their position shrinks."""
    everywhere(patch, brackets.cap_reduce_only, _nothing)


def unprotected_entries(patch: Patch) -> None:
    """6: the stop of an entry does not follow its fills."""
    everywhere(patch, brackets.follow_entry, _nothing)


def both_legs(patch: Patch) -> None:
    """5, 6: a fill on one leg leaves the other as it was."""
    everywhere(patch, brackets.update_alternatives, _nothing)
    everywhere(patch, brackets.cap_reduce_only, _nothing)


def queued_entry_under_the_kill_switch(patch: Patch) -> None:
    """8: the kill switch is not asked when a waiting entry fires."""
    patch.setattr(firing, "may_enter", _nothing)


def retried_entry_under_the_kill_switch(patch: Patch) -> None:
    """8: the kill switch is not asked when an entry is tried again at its venue."""
    patch.setattr(outbox, "_entries_wait", _nothing)


def shared_client_ids(patch: Patch) -> None:
    """9: a client id names the request, not the order."""
    everywhere(patch, brackets.client_id, lambda order_id, request_id: f"c-{request_id}"[:36])


def loosening_trail(patch: Patch) -> None:
    """11: a trailing stop follows the price both ways."""

    def broken(kernel: Any, market: Any, order: Any, price: Decimal) -> None:
        level = arming.trail_level(market, order, price)
        if level != order.trigger:
            kernel.journal.emit_order(order, ev.TriggerMoved(order.id, level, price))
        arming.arm_order(kernel, order)

    patch.setattr(firing, "_tighten", broken)
    patch.setattr(arming, "_tightens_at", lambda market, order: -inf if order.terms.side is Side.SELL else inf)


# --- The market -------------------------------------------------------------------------------------------


def endless_liquidity(patch: Patch) -> None:
    """14: what we took is offered again before its level updates."""
    patch.setattr(book.Book, "consume", _nothing)


def believed_prices(patch: Patch) -> None:
    """0: an absurd price passes the gate."""
    patch.setattr(PriceGate, "_judge", lambda *args: Verdict.GOOD)


def failing_rule(patch: Patch) -> None:
    """0: a rule divides by zero."""
    everywhere(patch, brackets.update_alternatives, lambda kernel, leg, filled: filled / (filled - filled))


# --- Disk and venue -----------------------------------------------------------------------------------------


def told_before_durable(patch: Patch) -> None:
    """10: an answer does not wait for the disk."""

    async def broken(self: Keeper, seq: int) -> None:
        return None

    patch.setattr(Keeper, "durable", broken)


def sent_before_durable(patch: Patch) -> None:
    """10: an order leaves before its OrderSent is on the disk."""
    original = Carrier.tell

    def broken(self: Carrier, events: Any) -> None:
        original(self, events)
        self.committed(events[-1].seq, 0)

    patch.setattr(Carrier, "tell", broken)


def sent_again_blind(patch: Patch) -> None:
    """10: a submit without an answer is taken as one that never left."""
    everywhere(patch, sorting.never_left, lambda error: isinstance(error, Unreachable | Ambiguous))


def margin_of_the_wallet(patch: Patch) -> None:
    """0: an entry leaves although its margin could not be isolated."""

    async def taken_as_done(self: SimVenue, instrument: str) -> None:
        with suppress(VenueError):
            await isolate(self, instrument)

    isolate = SimVenue.isolate_margin
    patch.setattr(SimVenue, "isolate_margin", taken_as_done)


def silence_is_a_rejection(patch: Patch) -> None:
    """10: an unknown outcome is taken as a rejection."""

    def broken(kernel: Any, given: Any) -> None:
        order = kernel.state.orders.get(given.order)
        if order is not None and order.status == "SENT":
            kernel.journal.emit_order(order, ev.OrderRejected(order.id, "TIMEOUT", given.evidence))

    patch.setitem(hearing.VENUE_RULES, Doubt, broken)


def undoubted_at_a_start(patch: Patch) -> None:
    """10: after a start an order that was on its way is taken as on its way."""
    everywhere(patch, doubts.lose_what_was_sent, _nothing)


def not_listed_is_gone(patch: Patch) -> None:
    """10: an order that a list of open orders lacks is taken as cancelled."""

    def broken(kernel: Any, order: Any, evidence: str) -> None:
        kernel.journal.emit_order(order, ev.OrderCancelled(order.id, evidence))

    patch.setattr(reconcile, "lose", broken)


def no_grace(patch: Patch) -> None:
    """10: "no such order" is believed while the order may still arrive."""
    original = sorting.query_failed
    everywhere(patch, original, lambda error, order, now_ns, late: original(error, order, now_ns, late=True))


def entries_beside_the_unknown(patch: Patch) -> None:
    """10: an unknown outcome does not block entries."""
    everywhere(patch, risk.outcomes_known, _nothing)


def unheard_strangers(patch: Patch) -> None:
    """10: what others do at the venue is not adopted, and a difference is not either."""
    everywhere(patch, foreign.adopt, _nothing)
    patch.setattr(reconcile, "_adjust", _nothing)


def fills_without_alarm(patch: Patch) -> None:
    """4: what a venue fills too much is booked without a word."""
    original = fills.apply_report

    def broken(kernel: Any, order: Any, *rest: Any, **options: Any) -> Decimal:
        emit = kernel.journal.emit_order
        quiet = lambda of, body: 0 if isinstance(body, ev.AlarmRaised) else emit(of, body)  # noqa: E731
        kernel = _With(kernel, journal=_With(kernel.journal, emit_order=quiet))
        return original(kernel, order, *rest, **options)

    everywhere(patch, original, broken)


# --- Signals ------------------------------------------------------------------------------------------------


def forgotten_keys(patch: Patch) -> None:
    """3: keys of signals are not kept, and ids do not follow from them: what is sent again is another signal."""
    numbers = count()
    after_fold(patch, ev.SignalReceived, lambda state, event, body: state.signal_keys.clear())
    everywhere(patch, identity.signal_id, lambda source, key: f"s{next(numbers)}")


def forgotten_verdicts(patch: Patch) -> None:
    """3: a signal that ended is taken up again."""

    def again(state: Any, event: Any, body: Any) -> None:
        state.signals[body.signal] = msgspec.structs.replace(state.signals_ended.pop(body.signal), verdict=None)

    after_fold(patch, ev.SignalEnded, again)


def closes_what_the_signal_says(patch: Patch) -> None:
    """10: a CLOSE is sized by the signal's quantity, not by what is open."""
    original = closing.close_at_market

    def broken(kernel: Any, position: Any, size: Decimal, role: Any, owner: str, request_id: str) -> None:
        said = kernel.state.signals[request_id].signal.quantity
        original(kernel, position, min(size, said or size), role, owner, request_id)

    patch.setattr(turns, "close_at_market", broken)


def unasked_signals(patch: Patch) -> None:
    """10: what waits for a person trades without one."""
    patch.setattr(signals, "_ask", turns.advance)


def any_leverage(patch: Patch) -> None:
    """10: a signal's leverage becomes that of whatever is open."""
    everywhere(patch, scope.leverage_of, lambda kernel, record: record.signal.leverage)


def closes_that_are_nobody_s(patch: Patch) -> None:
    """10: a CLOSE is left to another that is not there."""
    nothing = translate.Nothing("CLOSING", "another closes that already")
    closes = lambda kernel, record: nothing if record.signal.action in translate.LEAVES else None  # noqa: E731
    everywhere(patch, leaving.closing_already, closes)


class _With:
    """Something with other attributes in front."""

    def __init__(self, whole: Any, **other: Any) -> None:
        self.__dict__["whole"] = whole
        self.__dict__.update(other)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.whole, name, value)


def _rows(*rows: int) -> frozenset[int]:
    return frozenset(rows)


MUTATIONS: Iterable[Mutation] = (
    Mutation("a rule that fails", _rows(0), PAPER, failing_rule),
    Mutation("an absurd price is believed", _rows(0), PAPER, believed_prices),
    Mutation("an average price is rounded", _rows(1, 7), PAPER, rounded_average),
    Mutation("a snapshot misses a field", _rows(2), PAPER, thin_snapshot),
    Mutation("a decision without an event", _rows(2), PAPER, silent_decision),
    Mutation("events in order of time", _rows(0, 2), PAPER, order_by_time),
    Mutation("requests are forgotten", _rows(3, 10), PAPER, forgotten_requests),
    Mutation("funding times are forgotten", _rows(3), PAPER, forgotten_funding),
    Mutation("fill ids are forgotten", _rows(3, 10), VENUE, forgotten_fills),
    Mutation("a clip is lost", _rows(4, 5, 6, 7), PAPER, lost_clip),
    Mutation("an overfill without an alarm", _rows(4, 5), VENUE, fills_without_alarm, near=49),
    Mutation("reduce-only is not clipped", _rows(5), PAPER, unclipped_exits),
    Mutation("exits outgrow their position", _rows(5, 6), PAPER, uncapped_exits),
    Mutation("entries without their stops", _rows(6), PAPER, unprotected_entries),
    Mutation("both legs of a bracket fill", _rows(5, 6), PAPER, both_legs),
    Mutation("fees are not paid", _rows(7), PAPER, unpaid_fees),
    Mutation("a reserve is not given back", _rows(7), PAPER, kept_reserve),
    Mutation("an entry fires under the kill switch", _rows(8), PAPER, queued_entry_under_the_kill_switch),
    Mutation("an entry is retried under the kill switch", _rows(8), VENUE, retried_entry_under_the_kill_switch),
    Mutation("orders share a client id", _rows(9), PAPER, shared_client_ids),
    Mutation("told before it is durable", _rows(10), PAPER, told_before_durable),
    Mutation("sent before it is durable", _rows(10), VENUE, sent_before_durable),
    Mutation("sent again after an ambiguous answer", _rows(10), VENUE, sent_again_blind),
    Mutation("a margin mode that failed is taken as set", _rows(0), VENUE, margin_of_the_wallet),
    Mutation("silence is a rejection", _rows(0, 4, 10), VENUE, silence_is_a_rejection),
    Mutation("a start does not doubt what was on its way", _rows(10), VENUE, undoubted_at_a_start),
    Mutation("not listed is cancelled", _rows(4, 10), VENUE, not_listed_is_gone, near=103),
    Mutation("no grace for an order on its way", _rows(0, 4, 10), VENUE, no_grace, near=81),
    Mutation("entries beside an unknown outcome", _rows(10), VENUE, entries_beside_the_unknown),
    Mutation("strangers are not heard", _rows(10), VENUE, unheard_strangers),
    Mutation("a trailing stop loosens", _rows(11), PAPER, loosening_trail),
    Mutation("added margin does not move the liquidation", _rows(12), PAPER, margin_of_the_entry),
    Mutation("the fee reserve is left out", _rows(12), PAPER, forgotten_fee_reserve),
    Mutation("keys of signals are forgotten", _rows(3, 10), PAPER, forgotten_keys),
    Mutation("verdicts of signals are forgotten", _rows(3, 10), PAPER, forgotten_verdicts),
    Mutation("a signal says how much is closed", _rows(10), VENUE, closes_what_the_signal_says, near=49),
    Mutation("a signal trades that nobody approved", _rows(10), PAPER, unasked_signals),
    Mutation("a CLOSE is left to nobody", _rows(10), PAPER, closes_that_are_nobody_s),
    Mutation("a signal changes another's leverage", _rows(10), VENUE, any_leverage, near=107),
    Mutation("liquidity is taken twice", _rows(14), PAPER, endless_liquidity),
)
