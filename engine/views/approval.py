"""What approving or declining a signal would do, in numbers: the preview of the order that it would become now."""

from __future__ import annotations

from collections.abc import Callable

from engine.core.kernel import Kernel
from engine.core.leaving import closing_already, unclosed
from engine.core.rounding import Refusal
from engine.core.scope import inadmissible
from engine.core.state import KEEP_SIGNALS, SignalRecord
from engine.core.translate import ENTERS, Enter, Leave, Nothing
from engine.core.turns import due_step, entry_command, foresee
from engine.model import command as cmd
from engine.model.signal import WaitsFor
from engine.views.structs import Preview

Tell = Callable[[Kernel, str, cmd.AnyCommand, int], Preview]
"""The preview of another command."""


def approve(kernel: Kernel, command: cmd.ApproveSignal, now_ns: int, tell: Tell) -> Preview:
    """The order that the signal becomes; an entry needs the hand and the arm, a CLOSE only the hand."""
    record = kernel.state.signals.get(command.signal)
    title = f"APPROVE {_named(record)}" if record is not None else "APPROVE"
    if record is None or record.waits is not WaitsFor.APPROVAL:
        return Preview(title, (), (f"signal {command.signal} does not wait for approval (any more)",))
    step = inadmissible(kernel, record) or closing_already(kernel, record) or due_step(kernel, record)
    rows: tuple[tuple[str, str], ...] = (
        ("asked by", f"{record.signal.source}, {_ago(now_ns - record.received_ns)} ago"),
    )
    match step:
        case Refusal(message=message):
            return Preview(title, rows, (f"it would be refused: {message}",), entry=True)
        case Nothing(message=message):
            return Preview(title, (*rows, ("becomes", "no order")), (), (f"it would do nothing: {message}",))
        case Enter():
            made = tell(kernel, record.account, entry_command(record, step), now_ns)
            return Preview(title, (*rows, ("becomes", made.title), *made.rows), made.errors, made.warnings, entry=True)
        case Leave():
            return _leaving(kernel, record, step, title, rows, now_ns, tell)


def _leaving(
    kernel: Kernel,
    record: SignalRecord,
    step: Leave,
    title: str,
    rows: tuple[tuple[str, str], ...],
    now_ns: int,
    tell: Tell,
) -> Preview:
    position, _ = unclosed(kernel, record, step.sides)
    then = (("then", f"enter {_named(record)}, once that is closed"),) if step.reverses else ()
    if position is None:
        withdrawn = ("becomes", f"no close: working entries of {record.signal.source} are cancelled")
        return Preview(title, (*rows, withdrawn, *then), entry=step.reverses)
    close = cmd.ClosePosition(request_id=record.signal.id, position=position.id)
    made = tell(kernel, record.account, close, now_ns)
    shown = (*rows, ("becomes", made.title), *made.rows, *then)
    return Preview(title, shown, made.errors, made.warnings, entry=step.reverses)


def decline(kernel: Kernel, command: cmd.DeclineSignal, now_ns: int) -> Preview:
    """Nothing becomes of it; orders that it made already stay."""
    record = kernel.state.signals.get(command.signal)
    if record is None or record.waits is None:
        return Preview("DECLINE", (), (f"signal {command.signal} waits for nothing (any more)",))
    rows = [
        ("asked by", f"{record.signal.source}, {_ago(now_ns - record.received_ns)} ago"),
        ("waits for", str(record.waits)),
        ("becomes", "no order; it ends as declined, and cannot be brought back"),
    ]
    if record.orders:
        rows.append(("its orders", f"{', '.join(record.orders)} stay as they are"))
    if command.reason:
        rows.append(("reason", command.reason))
    return Preview(f"DECLINE {_named(record)}", tuple(rows))


def replay(kernel: Kernel, command: cmd.ReplaySignal) -> Preview:
    """What the signal would do if it came now; as it is read anew, so are its source's limits and mode of then."""
    record = kernel.state.find_signal(command.signal)
    if record is None:
        return Preview("REPLAY", (), (f"signal {command.signal} is not among the last {KEEP_SIGNALS} (any more)",))
    title, entry = f"REPLAY {_named(record)}", record.signal.action in ENTERS
    seen = inadmissible(kernel, record) or foresee(kernel, record)
    rows = [("as", f"a new signal of {record.signal.source}, mode {record.policy.mode}")]
    if isinstance(seen, Refusal):
        return Preview(title, (*rows, ("now", f"would be refused: {seen.message}")), entry=entry)
    return Preview(title, (*rows, ("now", seen)), entry=entry)


def _named(record: SignalRecord) -> str:
    signal = record.signal
    return f"{signal.action} {signal.symbol}"


def _ago(ns: int) -> str:
    seconds = max(ns, 0) // 1_000_000_000
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
