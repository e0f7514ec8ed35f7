"""Whether a signal may do what it asks: its source's mode, scope and limits, and an instrument that it can mean (DESIGN 7)."""

from __future__ import annotations

from bisect import bisect_right
from decimal import Decimal
from functools import partial
from itertools import islice

from engine.core.inbox import owner_of
from engine.core.journal import text
from engine.core.kernel import Kernel
from engine.core.lifecycle import live_entries
from engine.core.plan import sweep
from engine.core.risk import not_carried
from engine.core.rounding import Refusal
from engine.core.state import SignalRecord, State, pair_key
from engine.core.translate import CONTRADICTS, ENTERS, LEAVES, Enter
from engine.core.unknown import NAMED
from engine.model.instrument import Instrument, InstrumentId
from engine.model.market import Side
from engine.model.money import ZERO
from engine.model.order import OrderType
from engine.model.signal import Signal, SourceMode, WaitsFor

LIVE = "live"
MOST_ASKED = 50
"""Entries of a source that wait for a person at once, and as many that close."""
HOUR_NS = 3_600_000_000_000
_SEPARATORS = str.maketrans("", "", "/-_")


def meant(kernel: Kernel, account: str, signal: Signal) -> Instrument | Refusal:
    """The instrument of a signal's symbol: carried before known, of the exchange named before others, perp before spot.

    A CLOSE means the first of them in which there is something to close, or an own entry to take away. Without real money
    any exchange may be named, and stands for its profile; a live account's venue goes by its own name.
    """
    state = kernel.state
    known = state.accounts[account]
    real = state.env == LIVE
    if real and signal.exchange != known.venue:
        return Refusal(
            "EXCHANGE",
            f"exchange: {signal.exchange!r} is not where {account} trades; name {known.venue}, nothing else is there",
        )
    live = {name for name, market in kernel.markets.items() if market.carried}
    tradable = [i for i in state.instruments.values() if not real or i.venue == known.venue]
    found = [i for i in tradable if signal.symbol in (i.base + i.quote, i.symbol.upper().translate(_SEPARATORS))]
    if not found:
        names = ", ".join(islice(dict.fromkeys(i.base + i.quote for i in tradable if i.id in live), NAMED)) or "none"
        return Refusal("UNKNOWN_SYMBOL", f"symbol: {signal.symbol!r} is not carried; there are: {names}")
    ranks = {i.id: (i.id not in live, i.venue != signal.exchange, i.product != "perp") for i in found}
    found.sort(key=lambda i: (ranks[i.id], i.id))
    if signal.action not in LEAVES:
        return found[0]
    account_has = partial(_concerns, kernel, account, signal)
    concerned = [i for i in found if account_has(i.id)] or found
    best = [i for i in concerned if ranks[i.id] == ranks[concerned[0].id]]
    exposed = [i for i in best if _exposed(kernel, account, i.id, LEAVES[signal.action])]
    return _ambiguous(signal, [i.id for i in exposed]) if len(exposed) > 1 else (exposed or best)[0]


def _concerns(kernel: Kernel, account: str, signal: Signal, instrument: InstrumentId) -> bool:
    """A CLOSE has something to do there: close, withdraw an entry of its source's own, or end one that waits."""
    return (
        _exposed(kernel, account, instrument, LEAVES[signal.action])
        or _works(kernel, account, instrument, signal)
        or _waits(kernel, account, instrument, signal)
    )


def _exposed(kernel: Kernel, account: str, instrument: InstrumentId, sides: frozenset[Side]) -> bool:
    """Something is open that one of these sides opened, by the ledger or by the venue."""
    position = kernel.state.position_of(account, instrument)
    differs = kernel.state.differs.get(pair_key(account, instrument))
    held = (position.size if position is not None else ZERO, differs.theirs if differs is not None else ZERO)
    return any(size and (Side.BUY if size > ZERO else Side.SELL) in sides for size in held)


def _works(kernel: Kernel, account: str, instrument: InstrumentId, signal: Signal) -> bool:
    """The source has an entry working that the signal would withdraw."""
    entries = live_entries(kernel, account, instrument, LEAVES[signal.action])
    return any(order.terms.owner == owner_of(signal.source) for order in entries)


def _waits(kernel: Kernel, account: str, instrument: InstrumentId, signal: Signal) -> bool:
    """The source has an entry waiting that the signal would end."""
    line = kernel.lines.get((account, instrument))
    found = map(kernel.state.signals.get, line.among(CONTRADICTS[signal.action])) if line is not None else ()
    return any(other is not None and other.signal.source == signal.source for other in found)


def _ambiguous(signal: Signal, where: list[InstrumentId]) -> Refusal:
    return Refusal(
        "AMBIGUOUS",
        f"symbol: {signal.symbol} is open in {' and in '.join(where)}; name the exchange of one, or close one by hand",
    )


def inadmissible(kernel: Kernel, record: SignalRecord) -> Refusal | None:
    """Why a signal cannot be taken up, whatever the position is; None when it can."""
    signal, policy = record.signal, record.policy
    if policy.mode is SourceMode.OFF:
        return Refusal("SOURCE_OFF", f"source: {signal.source} is off; `hoox source` sets its mode")
    if refusal := elsewhere(kernel, record):
        return refusal
    if refusal := not_carried(kernel, record.account, kernel.market(record.instrument)):
        return refusal
    if policy.symbols and signal.symbol not in policy.symbols:
        allowed = ", ".join(policy.symbols[:NAMED])
        return Refusal("SCOPE", f"symbol: {signal.source} may trade {allowed}, not {signal.symbol}")
    if policy.actions and signal.action not in policy.actions:
        return Refusal("SCOPE", f"action: {signal.source} may send {', '.join(policy.actions)}, not {signal.action}")
    return None


def elsewhere(kernel: Kernel, record: SignalRecord) -> Refusal | None:
    """It means no instrument; or it is a CLOSE, and what is open is in another one by now than when it came."""
    signal, account, instrument = record.signal, record.account, record.instrument
    sides = LEAVES.get(signal.action)
    if instrument and (sides is None or _exposed(kernel, account, instrument, sides)):
        return None
    found = meant(kernel, account, signal)
    if isinstance(found, Refusal):
        return found
    if instrument and (found.id == instrument or not _exposed(kernel, account, found.id, sides or frozenset())):
        return None
    before = instrument or "not known"
    return Refusal(
        "AMBIGUOUS", f"symbol: {signal.symbol} was {before} when it came, and is {found.id} now; send it again"
    )


def too_many_asked(state: State, record: SignalRecord) -> Refusal | None:
    """A person can answer so many of a source; a crowd of entries does not keep its CLOSE from being asked."""
    source, entry = record.signal.source, record.signal.action in ENTERS
    asked = (other.signal for other in state.signals.values() if other.waits is WaitsFor.APPROVAL)
    count = sum(signal.source == source and (signal.action in ENTERS) is entry for signal in asked)
    if count < MOST_ASKED:
        return None
    return Refusal(
        "APPROVALS",
        f"{count} signals of {source} wait for approval, the most that may; answer some in the inbox, and send it again",
    )


def leverage_of(kernel: Kernel, record: SignalRecord) -> int | Refusal | None:
    """The leverage that an entry sets first; None leaves the instrument's, which counts for all that is open or works there.

    A signal changes what is its source's own alone, and without a leverage it never enters at what somebody left behind.
    """
    signal, account, instrument = record.signal, record.account, record.instrument
    now = kernel.leverage(account, instrument)
    position = kernel.state.position_of(account, instrument)
    if signal.leverage == now:
        return now
    if signal.leverage is None:
        return None if position is not None or any(live_entries(kernel, account, instrument)) else 1
    others = (
        order for order in live_entries(kernel, account, instrument) if order.terms.owner != owner_of(signal.source)
    )
    if position is None and not any(others):
        return signal.leverage
    there, before = ("works", "cancel that") if position is None else ("is open", "send CLOSE")
    return Refusal(
        "LEVERAGE",
        f"leverage: {signal.leverage}x would change the {now}x of what {there} in {signal.symbol}, which no signal does; "
        f"send {now} or none, or {before} before",
    )


def over_limits(kernel: Kernel, record: SignalRecord, step: Enter) -> Refusal | None:
    """The source's own limits on an entry, with the numbers; risk limits come after, the same as for a hand."""
    policy, source = record.policy, record.signal.source
    if policy.max_notional is not None:
        notional = step.size * _worst(kernel, record, step)
        if notional > policy.max_notional:
            return Refusal(
                "MAX_NOTIONAL",
                f"quantity: worth up to {text(notional)}, above the {text(policy.max_notional)} that {source} may put into "
                "one order",
            )
    if policy.orders_per_hour is None or record.counted:
        return None
    times = kernel.state.signal_orders.get(source, [])
    sent = len(times) - bisect_right(times, kernel.clock - HOUR_NS)
    if sent >= policy.orders_per_hour:
        return Refusal(
            "ORDERS_PER_HOUR",
            f"{source} sent {sent} orders within the last hour, its limit is {policy.orders_per_hour}",
        )
    return None


def _worst(kernel: Kernel, record: SignalRecord, step: Enter) -> Decimal:
    """The price that is reserved for: the last one that a market order of this size takes, or what a limit is valued at."""
    if record.signal.type is not OrderType.MARKET:
        return step.price
    _, _, worst = sweep(kernel.market(record.instrument).book, step.side, step.size)
    return max(step.price, worst) if worst is not None else step.price
