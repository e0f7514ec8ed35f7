"""What the ledger knows when no engine runs: the engine's own views of the state after the last event, without prices."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from hoox_tui.cli.problems import Problem, note

Row = dict[str, Any]


def view(ledger: Path, name: str, *, say: bool = True) -> Row:
    """What the engine would answer to `status`, `positions`, `orders`, `trades` or `balance`, with None for what takes a price.

    `say`: on stderr, that it comes from the file. Raises Problem where its events end early, LedgerError.
    """
    from msgspec import to_builtins

    from engine.ledger.history import History
    from engine.views import recorded, tables
    from engine.views.format import without_separators

    with closing(History(existing(ledger), spacing=0)) as history:
        folded = history.folded(history.last.seq)
        damage, now = history.damage, history.last.time_ns
    # The last prices recorded are of another time: without an engine none counts.
    desk = recorded.desk_at(folded.state, {})
    if say:
        note(f"no engine is running: read from {ledger}, without prices")
    if damage:
        # A table would read as flat to whoever looks only at it.
        raise Problem(
            f"{damage}; hoox ledger replay --until {folded.state.seq} shows what was before, hoox ledger verify says more"
        )
    if name == "status":
        built: Any = recorded.status_view(desk, {}, now, ledger.name)
    else:
        built = getattr(tables, f"{name}_view")(desk, now)
    shown: Row = without_separators(to_builtins(built))
    return shown


def query(ledger: Path, sql: str) -> list[Row]:
    """The rows that a ledger gives, by column. Raises Problem."""
    from engine.ledger.query import read_rows

    return read_rows(existing(ledger), sql)


def existing(ledger: Path) -> Path:
    """A ledger's file; raises Problem where there is none."""
    if not ledger.exists():
        raise Problem(f"there is no ledger at {ledger} yet; hoox starts one")
    return ledger
