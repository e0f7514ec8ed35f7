"""Alarms that would come again with every report of the same thing are raised once."""

from __future__ import annotations

from engine.core.kernel import Kernel
from engine.model import event as ev
from engine.model.instrument import InstrumentId


def raise_once(kernel: Kernel, account: str, instrument: InstrumentId, code: str, message: str) -> None:
    """Raise an alarm unless it is among the last ones, word for word."""
    if all((code, message) != (before, said) for _, before, said in kernel.state.alarms):
        kernel.journal.emit_account(account, ev.AlarmRaised(code, message), instrument)
