"""What a signal means for the position it meets: the table of LONG, SHORT and CLOSE (DESIGN 7, semantics 9, B8). Pure.

| action | flat | the same side is open | the other side is open |
|---|---|---|---|
| LONG, SHORT | enter | sameSide: add enters, ignore, reject | opposite: reverse leaves and then enters, net enters, reject |
| CLOSE | nothing to do | leave | leave |
| CLOSE_LONG, CLOSE_SHORT | nothing to do | leave | nothing to do |

The source's own entries that work for a side count as if that side were open, but for net, which trades through nothing
that is not open. Those of a hand or of another source count for nothing, and stay. To leave is to withdraw the source's
own for that side, and to close the whole open exposure, whoever opened it. What is left of a reversal once it is flat is
to enter; where sameSide lets it not enter then, it does not leave either.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from engine.core.journal import text
from engine.core.rounding import Refusal
from engine.core.sizing import margin_size
from engine.model.instrument import Instrument
from engine.model.market import Side
from engine.model.money import ZERO
from engine.model.signal import Opposite, Policy, QuantityUnit, SameSide, Signal, SignalAction

BUY, SELL = Side.BUY, Side.SELL
ENTERS: dict[SignalAction, Side] = {SignalAction.LONG: BUY, SignalAction.SHORT: SELL}
LEAVES: dict[SignalAction, frozenset[Side]] = {
    SignalAction.CLOSE: frozenset({BUY, SELL}),
    SignalAction.CLOSE_LONG: frozenset({BUY}),
    SignalAction.CLOSE_SHORT: frozenset({SELL}),
}
"""What each of them closes, by the side that opened it."""
CONTRADICTS: dict[SignalAction, frozenset[SignalAction]] = {
    **{
        action: frozenset(entry for entry, opens in ENTERS.items() if opens is not side)
        for action, side in ENTERS.items()
    },
    **{
        action: frozenset(entry for entry, opens in ENTERS.items() if opens in sides)
        for action, sides in LEAVES.items()
    },
}
"""Entries that mean nothing any more once this has come."""


class Enter(Struct, frozen=True):
    """Place an entry. `size` in base units, before the step; `price` is what it is valued at.

    `leverage` is set first; None leaves the instrument's.
    """

    side: Side
    size: Decimal
    price: Decimal
    leverage: int | None = None


class Leave(Struct, frozen=True):
    """Withdraw and close what was opened by these sides; a reversal enters afterwards."""

    sides: frozenset[Side]
    reverses: bool = False


class Nothing(Struct, frozen=True):
    """Accepted, and there is nothing to do."""

    code: str
    message: str


Step = Enter | Leave | Nothing | Refusal


def translate(
    signal: Signal,
    policy: Policy,
    instrument: Instrument,
    held: Decimal,
    working: frozenset[Side],
    best: Decimal | None,
) -> Step:
    """What is to be done for a signal now.

    `held`: the signed open exposure. `working`: the sides of the source's own entries that are live, as far as they
    matter (turns.translated). `best`: the best price that a taker of the signal's side would get (ask for a LONG, bid
    for a SHORT), None while there is none.
    """
    side = ENTERS.get(signal.action)
    if side is None:
        return _leave(signal, instrument, held, working)
    if instrument.is_spot and side is SELL and not (held > ZERO and policy.opposite is Opposite.NET):
        return Refusal(
            "SPOT", f"action: {instrument.symbol} is spot, which cannot be short; send CLOSE to sell what is held"
        )
    opposite = held * side.sign < ZERO
    against = opposite or side.opposite in working
    if against and policy.opposite is Opposite.REJECT:
        return _opposite(signal, instrument, held if opposite else ZERO, side.opposite)
    same = held * side.sign > ZERO
    if (same or side in working) and policy.same_side is not SameSide.ADD:
        return _same_side(signal, policy, instrument, held if same else ZERO, side)
    if against and policy.opposite is Opposite.REVERSE:
        return Leave(frozenset({side.opposite}), reverses=True)
    sized = _size(signal, instrument, best)
    if isinstance(sized, Refusal):
        return sized
    size, price = sized
    # A limit below the market sells at the market.
    return Enter(side, size, max(price, best) if side is SELL and best is not None else price)


def _leave(signal: Signal, instrument: Instrument, held: Decimal, working: frozenset[Side]) -> Step:
    sides = LEAVES[signal.action]
    if (held and (BUY if held > ZERO else SELL) in sides) or working & sides:
        return Leave(sides)
    if not held:
        return Nothing("FLAT", f"no position in {instrument.symbol} is open; nothing to close")
    return Nothing("OTHER_SIDE", f"{_shown(held)} {instrument.symbol} is open, which {signal.action} leaves alone")


def _opposite(signal: Signal, instrument: Instrument, held: Decimal, working: Side) -> Refusal:
    what, close = _meets(signal, instrument, held, working)
    return Refusal(
        "OPPOSITE", f"action: {what}, and the source's opposite is reject; set it to reverse or net, or {close}"
    )


def _same_side(signal: Signal, policy: Policy, instrument: Instrument, held: Decimal, working: Side) -> Step:
    what, close = _meets(signal, instrument, held, working)
    if policy.same_side is SameSide.IGNORE:
        return Nothing("SAME_SIDE", f"{what}, and the source's sameSide is ignore")
    return Refusal("SAME_SIDE", f"action: {what}, and the source's sameSide is reject; set it to add, or {close}")


def _meets(signal: Signal, instrument: Instrument, held: Decimal, working: Side) -> tuple[str, str]:
    """What an entry meets, what is held or else a working order, and what takes that away."""
    if held:
        return f"{signal.action} while {_shown(held)} {instrument.symbol} is open already", "send CLOSE before"
    order = f"a working order of {signal.source} would {working.lower()} {instrument.symbol}"
    return f"{signal.action} while {order}", "send CLOSE before, which cancels it"


def _size(signal: Signal, instrument: Instrument, best: Decimal | None) -> tuple[Decimal, Decimal] | Refusal:
    """Base units, and the price they were sized at. Without a leverage of its own a margin counts once (DESIGN 7)."""
    price = signal.price if signal.price is not None else best
    if price is None:
        return Refusal("NO_PRICE", f"no price of {instrument.symbol} has arrived yet; send it again once there is one")
    if price <= ZERO or signal.quantity <= ZERO:
        return Refusal("QUANTITY", f"quantity: {signal.quantity} at {price}; both must be above 0")
    if signal.unit is QuantityUnit.CONTRACTS:
        return signal.quantity * instrument.contract_size, price
    if signal.unit is QuantityUnit.BASE:
        return signal.quantity, price
    size = margin_size(instrument, signal.quantity, signal.leverage or 1, price)
    if not size:
        return Refusal(
            "BELOW_STEP",
            f"quantity: {text(signal.quantity)} {instrument.settle_asset} at {signal.leverage or 1}x and {text(price)} is less "
            f"than one step of {instrument.step} {instrument.base}; send more",
        )
    return size, price


def _shown(held: Decimal) -> str:
    return f"{'long' if held > ZERO else 'short'} {text(abs(held))}"
