"""Why is this row there? The chain of what led to it, from the ledger file alone, also while an engine writes it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from engine.ledger.why.names import find
from engine.ledger.why.reader import EventReader
from engine.ledger.why.tell import tell
from engine.views.why import Answer


def why(path: Path, name: str, until: int | None = None) -> Answer:
    """Explain an order, fill, trade, position, signal, request or event by its id; raises LedgerError (see names.py).

    `until`: as it was after this event, without anything that came later.
    """
    with closing(EventReader(path, until)) as reader:
        return tell(find(reader, name.strip()))
