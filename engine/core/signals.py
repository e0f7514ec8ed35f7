"""A signal's way: received, checked, perhaps approved, its turn in the queue, its one verdict (DESIGN 7).

One queue per (account, instrument), in the order in which signals were let go. An entry waits for those before it until
their orders rest in the book or have ended. A CLOSE waits for no entry: it ends those that wait and runs at once.
All of it follows from recorded state, so a restart goes on where it was.
"""

from __future__ import annotations

from engine.core.inbox import owner_of, signal_of
from engine.core.inputs import SignalIn
from engine.core.kernel import Due, Kernel
from engine.core.rounding import Refusal
from engine.core.scope import inadmissible, meant
from engine.core.state import SignalRecord, signal_key
from engine.core.translate import ENTERS, LEAVES
from engine.core.turns import advance, expires_ns, foresee, give_up, on_its_way, translated
from engine.core.waiting import SECOND_NS, end, expire, refuse, wait
from engine.model import event as ev
from engine.model.instrument import Instrument, InstrumentId
from engine.model.signal import SourceMode, Verdict, WaitsFor

Pair = tuple[str, InstrumentId]


def receive(kernel: Kernel, given: SignalIn, account: str) -> None:
    """Take a signal in, once: one whose key or id is known does nothing."""
    state, signal = kernel.state, given.signal
    if signal_key(signal.source, signal.key) in state.signal_keys or state.find_signal(signal.id) is not None:
        return
    found = meant(kernel, account, signal)
    instrument = found.id if isinstance(found, Instrument) else ""
    body = ev.SignalReceived(signal, given.policy, given.body, given.checks, given.stages, kernel.top(instrument))
    kernel.journal.emit_account(account, body, instrument, owner_of(signal.source), signal.id)
    _begin(kernel, state.signals[signal.id])


def follow(kernel: Kernel) -> None:
    """Bring on the signals that what just happened concerns; called once an input is dealt with."""
    signals = kernel.state.signals
    pairs: dict[Pair, None] = {}
    for event in list(kernel.journal.events):
        if type(event.body) is ev.SignalApproved:
            _begin(kernel, signals[event.body.signal])
        pair = (event.account, event.instrument)
        if pair in kernel.queues:
            pairs[pair] = None
        record = signals.get(signal_of(event.request_id)) if event.owner.startswith("source:") else None
        if record is not None and record.entry and not _queued(kernel, record):
            advance(kernel, record)
    for pair in pairs:
        _run(kernel, pair)


def ring(kernel: Kernel, signal: str) -> None:
    """The time came that a signal waited for."""
    record = kernel.state.signals.get(signal)
    if record is None:
        return
    if record.waits is not WaitsFor.APPROVAL:
        _run(kernel, (record.account, record.instrument))
    elif kernel.clock >= record.until_ns:
        expire(kernel, record, "NOT_APPROVED", f"nobody approved it within {record.policy.approve_s} s")


def resume(kernel: Kernel) -> None:
    """Put the signals that wait, or whose orders are on their way, back into their queues."""
    for record in kernel.state.signals.values():
        until_ns = record.until_ns
        if record.waits is not WaitsFor.APPROVAL and (not record.entry or on_its_way(kernel, record)):
            _queue(kernel, record)
            kernel.after(0, Due.SIGNAL, record.signal.id)
        if until_ns:
            kernel.at(until_ns, Due.SIGNAL, record.signal.id)


# --- The checks before its turn -------------------------------------------------------------------------


def _begin(kernel: Kernel, record: SignalRecord) -> None:
    """What was just received or approved goes as far as it can."""
    kernel.journal.cause = record.seq
    refusal = inadmissible(kernel, record)
    mode = record.policy.mode
    if mode is SourceMode.LOG or (record.signal.test and refusal is None):
        _only_say(kernel, record, refusal)
    elif refusal is not None:
        refuse(kernel, record, refusal)
    elif mode is SourceMode.APPROVE and not record.approved:
        _ask(kernel, record)
    else:
        _supersede(kernel, record)
        _queue(kernel, record)
        _run(kernel, (record.account, record.instrument))


def _only_say(kernel: Kernel, record: SignalRecord, refusal: Refusal | None) -> None:
    """Go as far as the plan, and end with what would have been done."""
    seen = refusal or foresee(kernel, record)
    test = record.signal.test
    if not isinstance(seen, Refusal):
        end(kernel, record, Verdict.LOGGED, "TEST" if test else "LOGGED", seen)
    elif test and record.policy.mode is not SourceMode.LOG:
        refuse(kernel, record, seen)
    else:
        end(kernel, record, Verdict.LOGGED, seen.code, f"would be refused: {seen.message}")


def _ask(kernel: Kernel, record: SignalRecord) -> None:
    """Wait for a person; what would be refused now is not asked for."""
    seen = foresee(kernel, record)
    if isinstance(seen, Refusal):
        refuse(kernel, record, seen)
    else:
        until_ns = kernel.clock + record.policy.approve_s * SECOND_NS
        wait(kernel, record, WaitsFor.APPROVAL, until_ns, 0)


def _supersede(kernel: Kernel, record: SignalRecord) -> None:
    """Earlier entries of the instrument that wait, and that this one contradicts, are given up.

    A CLOSE contradicts those of the side it closes, an entry those of the other side, unless it is refused as things stand.
    """
    action = record.signal.action
    side = ENTERS.get(action)
    against = LEAVES[action] if side is None else frozenset({side.opposite})
    earlier = [
        other
        for other in kernel.state.signals.values()
        if other.waits is not None
        and other.seq < record.seq
        and (other.account, other.instrument) == (record.account, record.instrument)
        and ENTERS.get(other.signal.action) in against
    ]
    if not earlier or isinstance(translated(kernel, record), Refusal):
        return
    for other in earlier:
        give_up(kernel, other, "SUPERSEDED", f"{action} of {record.signal.source} came before it could be placed")
        kernel.journal.cause = record.seq


# --- The queues -----------------------------------------------------------------------------------------


def _pair(record: SignalRecord) -> Pair:
    return record.account, record.instrument


def _queue(kernel: Kernel, record: SignalRecord) -> None:
    kernel.queues.setdefault(_pair(record), {})[record.signal.id] = None


def _queued(kernel: Kernel, record: SignalRecord) -> bool:
    return record.signal.id in kernel.queues.get(_pair(record), ())


def _run(kernel: Kernel, pair: Pair) -> None:
    """Each signal of a queue takes its step, in order; those behind one that is not through wait, except a CLOSE for entries."""
    queue = kernel.queues.get(pair, {})
    entering = closing = False
    for signal in list(queue):
        record = kernel.state.signals.get(signal)
        if record is not None:
            closes = record.signal.action in LEAVES
            if closing or (entering and not closes):
                _stand_in_line(kernel, record)
            else:
                advance(kernel, record)
        if signal not in kernel.state.signals or (record and record.entry and not on_its_way(kernel, record)):
            del queue[signal]
        elif closes:
            closing = True
        else:
            entering = True
    if not queue:
        kernel.queues.pop(pair, None)


def _stand_in_line(kernel: Kernel, record: SignalRecord) -> None:
    until_ns = expires_ns(record)
    if until_ns and kernel.clock >= until_ns:
        give_up(kernel, record, "PATIENCE", f"its turn did not come within {record.policy.entry_patience_s} s")
    elif record.waits is None:
        wait(kernel, record, WaitsFor.QUEUE, until_ns, record.attempt)
