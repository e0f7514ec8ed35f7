"""A signal's way: received, checked, perhaps approved, its turn in line, its one verdict (DESIGN 7).

One line per (account, instrument), in the order in which signals were let go. An entry waits for those before it until
their orders rest in the book or have ended, unless all of them are on their way to the same side and its source adds. A
CLOSE waits for nobody: it ends the entries that wait and runs at once, or ends where another does the same already. All of
it follows from recorded state, so a restart goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.core.inbox import SOURCE, owner_of, signal_of
from engine.core.inputs import SignalIn
from engine.core.kernel import Due, Kernel
from engine.core.leaving import closing_already
from engine.core.line import Line
from engine.core.rounding import Refusal
from engine.core.scope import inadmissible, meant, too_many_asked
from engine.core.state import SignalRecord, signal_key
from engine.core.translate import CONTRADICTS, ENTERS
from engine.core.turns import advance, expires_ns, foresee, give_up, on_its_way, placed, refused_now
from engine.core.waiting import SECOND_NS, end, expire, refuse, wait
from engine.model import event as ev
from engine.model.event import Event
from engine.model.instrument import Instrument, InstrumentId
from engine.model.market import Side
from engine.model.money import ZERO
from engine.model.signal import Opposite, SameSide, SourceMode, Verdict, WaitsFor

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
    happened = list(kernel.journal.events)
    for event in happened:
        if type(event.body) is ev.SignalApproved:
            _begin(kernel, signals[event.body.signal])
        elif type(event.body) is ev.FlattenBegun:
            _give_up_entries(kernel, event.account)
        elif event.owner.startswith(SOURCE):
            record = signals.get(signal_of(event.request_id))
            if record is not None and (placed(kernel, record) or (record.entry and not _in_line(kernel, record))):
                advance(kernel, record)
    for pair in _concerned(kernel, happened):
        _take_turns(kernel, pair)


def ring(kernel: Kernel, signal: str) -> None:
    """The time came that a signal waited for."""
    record = kernel.state.signals.get(signal)
    if record is None:
        return
    if record.waits is WaitsFor.QUEUE:
        _stand_in_line(kernel, record)
    elif record.waits is not WaitsFor.APPROVAL:
        _take_turns(kernel, _pair(record))
    elif kernel.clock >= record.until_ns:
        expire(kernel, record, "NOT_APPROVED", f"nobody approved it within {record.policy.approve_s} s")


def resume(kernel: Kernel) -> None:
    """Put the signals that wait, or whose orders are on their way, back into their lines."""
    for record in kernel.state.signals.values():
        signal = record.signal
        if record.waits is WaitsFor.APPROVAL:
            _line(kernel, record).ask(signal.id, signal.action)
        elif not record.entry or on_its_way(kernel, record):
            _line(kernel, record).join(signal.id, signal.action)
        if record.until_ns:
            kernel.at(record.until_ns, Due.SIGNAL, signal.id)
    for line in kernel.lines.values():
        if line.turns:
            kernel.after(0, Due.SIGNAL, next(iter(line.turns)))


# --- The checks before its turn -------------------------------------------------------------------------


def _begin(kernel: Kernel, record: SignalRecord) -> None:
    """What was just received or approved goes as far as it can."""
    kernel.journal.cause = record.seq
    _go_on(kernel, record)
    line = kernel.lines.get(_pair(record))
    if line is not None and record.verdict is not None:
        # One that ends when it is approved: nobody else looks for that any more.
        line.drop(record.signal.id)
        if not line:
            del kernel.lines[_pair(record)]


def _go_on(kernel: Kernel, record: SignalRecord) -> None:
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
        if done := closing_already(kernel, record):
            end(kernel, record, Verdict.IGNORED, done.code, done.message)
            return
        _line(kernel, record).join(record.signal.id, record.signal.action)
        _take_turns(kernel, _pair(record))
        if record.verdict is None and not record.orders and record.waits is None:
            _stand_in_line(kernel, record)


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
    seen = too_many_asked(kernel.state, record) or foresee(kernel, record)
    if isinstance(seen, Refusal):
        refuse(kernel, record, seen)
        return
    _line(kernel, record).ask(record.signal.id, record.signal.action)
    wait(kernel, record, WaitsFor.APPROVAL, kernel.clock + record.policy.approve_s * SECOND_NS, 0)


def _supersede(kernel: Kernel, record: SignalRecord) -> None:
    """Earlier entries of the instrument that wait, for approval too, and that this one contradicts, are given up.

    A CLOSE contradicts those of the side it closes, an entry those of the other side, unless it is refused itself.
    """
    action, line = record.signal.action, _line(kernel, record)
    against = CONTRADICTS[action]
    if not line.holds(against) or refused_now(kernel, record):
        return
    for signal in line.among(against):
        other = kernel.state.signals.get(signal)
        if other is not None and other.waits is not None and other.seq < record.seq:
            give_up(kernel, other, "SUPERSEDED", f"{action} of {record.signal.source} came before it could be placed")
            # Where this one was approved, too: nobody else looks for that any more.
            line.drop(signal)


def _give_up_entries(kernel: Kernel, account: str) -> None:
    """Everything is flattened: what waits to enter, and asks no person before, would open it again."""
    for pair, line in list(kernel.lines.items()):
        if pair[0] != account:
            continue
        for signal in [signal for signal, action in line.turns.items() if action in ENTERS]:
            record = kernel.state.signals.get(signal)
            if record is not None and record.waits is not None:
                give_up(kernel, record, "SUPERSEDED", "everything was flattened before it could be placed")
        _take_turns(kernel, pair)


# --- Lines ----------------------------------------------------------------------------------------------


def _pair(record: SignalRecord) -> Pair:
    return record.account, record.instrument


def _line(kernel: Kernel, record: SignalRecord) -> Line:
    return kernel.lines.setdefault(_pair(record), Line())


def _in_line(kernel: Kernel, record: SignalRecord) -> bool:
    line = kernel.lines.get(_pair(record))
    return line is not None and record.signal.id in line.turns


def _concerned(kernel: Kernel, happened: Iterable[Event]) -> dict[Pair, None]:
    """Where something happened that a line waits for; what ended leaves its line."""
    pairs: dict[Pair, None] = {}
    for event in happened:
        pair = (event.account, event.instrument)
        line = kernel.lines.get(pair)
        if line is not None:
            pairs[pair] = None
            if type(event.body) is ev.SignalEnded:
                line.drop(event.body.signal)
    return pairs


def _take_turns(kernel: Kernel, pair: Pair) -> None:
    """Each signal of a line takes its step, as far as those before it let it; what waits behind them is not looked at."""
    line = kernel.lines.get(pair, Line())
    through: list[str] = []
    ahead: set[Side] = set()
    held_up = False
    closes = len(line.closes)
    for signal, action in line.turns.items():
        record = kernel.state.signals.get(signal)
        side = ENTERS.get(action)
        closes -= side is None
        if record is not None:
            if side is not None and (held_up or ahead) and not _keeps_step(kernel, record, ahead, held_up):
                _stand_in_line(kernel, record)
                held_up = True
                if not closes:
                    break
                continue
            advance(kernel, record)
        if record is None or record.verdict is not None or (record.entry and not on_its_way(kernel, record)):
            through.append(signal)
        elif side is None:
            held_up = True
        else:
            ahead.add(side)
            held_up = held_up or record.waits is not None
    for signal in through:
        line.drop(signal)
    if not line:
        kernel.lines.pop(pair, None)


def _keeps_step(kernel: Kernel, record: SignalRecord, ahead: set[Side], held_up: bool) -> bool:
    """Whether an entry means the same whether those ahead of it fill or not, so that it need not wait for them."""
    side, policy = ENTERS[record.signal.action], record.policy
    if held_up or ahead != {side} or policy.same_side is not SameSide.ADD:
        return False
    position = kernel.state.position_of(record.account, record.instrument)
    return policy.opposite is Opposite.NET or position is None or position.size * side.sign >= ZERO


def _stand_in_line(kernel: Kernel, record: SignalRecord) -> None:
    if placed(kernel, record):
        return
    until_ns = expires_ns(record)
    if until_ns and kernel.clock >= until_ns:
        give_up(kernel, record, "PATIENCE", f"its turn did not come within {record.policy.entry_patience_s} s")
    elif record.waits is None:
        wait(kernel, record, WaitsFor.QUEUE, until_ns, record.attempt)
