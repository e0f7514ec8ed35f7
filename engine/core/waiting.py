"""How signals wait and end: every wait is recorded with its reason and countdown, every signal ends once."""

from __future__ import annotations

from engine.core.inbox import owner_of
from engine.core.kernel import Due, Kernel
from engine.core.rounding import Refusal
from engine.core.state import SignalRecord
from engine.core.unknown import unknown
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.signal import Verdict, WaitsFor

SECOND_NS = 1_000_000_000


def tell(kernel: Kernel, record: SignalRecord, body: ev.AnyBody) -> int:
    """Record a fact about a signal, under its source and its id."""
    signal = record.signal
    owner = owner_of(signal.source)
    return kernel.journal.emit_account(record.account, body, record.instrument, owner, signal.id)


def wait(kernel: Kernel, record: SignalRecord, reason: WaitsFor, until_ns: int, attempt: int) -> None:
    """From now on it waits for this; said once."""
    if record.waits is reason and record.until_ns == until_ns and record.attempt == attempt:
        return
    tell(kernel, record, ev.SignalWaits(record.signal.id, reason, until_ns, attempt))
    if until_ns:
        kernel.at(until_ns, Due.SIGNAL, record.signal.id)


def end(kernel: Kernel, record: SignalRecord, verdict: Verdict, code: str, message: str) -> None:
    """Its one final verdict."""
    tell(kernel, record, ev.SignalEnded(record.signal.id, verdict, code, message))


def expire(kernel: Kernel, record: SignalRecord, code: str, message: str) -> None:
    """It came to nothing, which a person must know."""
    end(kernel, record, Verdict.EXPIRED, code, message)
    alarm(kernel, record, "SIGNAL_EXPIRED", f"expired: {message}")


def alarm(kernel: Kernel, record: SignalRecord, code: str, message: str) -> None:
    """Tell a person about a signal."""
    signal = record.signal
    what = f"{signal.action} {signal.symbol} of {signal.source} {message}"
    tell(kernel, record, ev.AlarmRaised(code, what))


def refuse(kernel: Kernel, record: SignalRecord, refusal: Refusal) -> None:
    """It ends refused."""
    end(kernel, record, Verdict.REFUSED, refusal.code, refusal.message)


def approve(kernel: Kernel, account: str, command: cmd.ApproveSignal) -> Refusal | None:
    """A person lets a signal trade; what becomes of it is decided by the same checks as before (signals.follow)."""
    record = kernel.state.signals.get(command.signal)
    if record is None:
        return unknown("signal", command.signal, kernel.state.signals)
    if record.waits is not WaitsFor.APPROVAL:
        return Refusal("NOT_WAITING", f"signal: {command.signal} does not wait for approval (any more)")
    body = ev.SignalApproved(command.signal, kernel.top(record.instrument))
    kernel.journal.emit_account(record.account, body, record.instrument, command.owner, command.signal)
    return None


def decline(kernel: Kernel, account: str, command: cmd.DeclineSignal) -> Refusal | None:
    """A person ends a signal that waits; the orders that it became already stay."""
    record = kernel.state.signals.get(command.signal)
    if record is None:
        return unknown("signal", command.signal, kernel.state.signals)
    if record.waits is None:
        return Refusal("NOT_WAITING", f"signal: {command.signal} waits for nothing; cancel its orders instead")
    body = ev.SignalDeclined(command.signal, command.reason)
    kernel.journal.emit_account(record.account, body, record.instrument, command.owner, command.signal)
    end(kernel, record, Verdict.DECLINED, "DECLINED", command.reason or "declined by a person")
    return None
