"""What a start tells about what it found."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from engine.core.state import State
from engine.ledger.query import Reader
from engine.ledger.store import Loaded
from engine.ledger.upcast import body_of
from engine.model.account import Execution
from engine.model.event import Event
from engine.model.order import Order, OrderStatus
from engine.views import LogLine
from engine.views.format import count
from engine.views.log import log_line

OLD_LINES = 100
_RESTING = frozenset({OrderStatus.ACCEPTED, OrderStatus.PARTIAL})
_LOST = frozenset({OrderStatus.SENT, OrderStatus.UNKNOWN})


def recovery_line(found: Loaded, path: Path) -> str:
    """One line about what a start found; empty at a first start or after a clean stop with nothing open."""
    state = found.state
    clean = state.seq == 0 or _stopped_cleanly(path)
    if state.seq == 0 or (clean and not state.positions and not state.orders):
        return ""
    on_paper = [order.status for order in state.orders.values() if _execution(state, order) is Execution.PAPER]
    at_venue = [order.status for order in state.orders.values() if _execution(state, order) is Execution.VENUE]
    resting, lost = sum(s in _RESTING for s in on_paper), sum(s in _LOST for s in at_venue)
    said = [f"{resting} resting at the back of their queues"] if resting else []
    said += [f"{lost} of unknown outcome, being asked for"] if lost else []
    back = f" ({', '.join(said)})" if said else ""
    how = "resumed" if clean else "recovered after a crash"
    return (
        f"{how}: {count(len(state.positions), 'position')}, {count(len(state.orders), 'order')}{back}, "
        f"{state.seq} events (snapshot at {found.snapshot_seq}, {found.tail_events} after it)"
    )


def _execution(state: State, order: Order) -> Execution:
    return state.accounts[order.terms.account].execution


def old_lines(state: State, path: Path) -> list[LogLine]:
    """The log's last lines from an earlier engine."""
    with Reader(path) as reader:
        rows = reader.events_before(None, OLD_LINES)
    lines: list[LogLine] = []
    for row in reversed(rows):
        columns = {name: row[name] for name in Event.__struct_fields__ if name != "body"}
        event = Event(**columns, body=body_of(row["type"], row["version"], row["payload"]))
        with suppress(KeyError):
            line = log_line(state, event)
            if line is not None:
                lines.append(line)
    return lines


def _stopped_cleanly(path: Path) -> bool:
    with Reader(path) as reader:
        rows = reader.events_before(None, 1)
    return bool(rows) and rows[0]["type"] == "EngineStopped"
