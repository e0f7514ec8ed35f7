"""What tests of why stand on: events in a ledger of their own, and what is answered of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from engine.ledger.store import Ledger
from engine.ledger.why import why
from engine.model.event import Event
from engine.views.why import Answer, Step, lines
from tests.ledger_events import START_NS


class Asker:
    """Writes what happened into a ledger of its own, then asks it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "sim.sqlite"

    def write(self, events: Sequence[Event]) -> None:
        ledger = Ledger.open(self.path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)
        ledger.append(events)
        ledger.close()

    def __call__(self, events: Sequence[Event], name: str) -> Answer:
        self.write(events)
        return why(self.path, name)

    def change(self, sql: str) -> None:
        """What somebody who wants to change the past would do."""
        with closing(sqlite3.connect(self.path)) as db:
            db.execute("DROP TRIGGER IF EXISTS events_are_never_updated")
            db.execute("DROP TRIGGER IF EXISTS events_are_never_deleted")
            db.execute(sql)
            db.commit()


def types(answer: Answer) -> list[str]:
    return [step.type for step in answer.steps]


def step(answer: Answer, kind: str) -> Step:
    (found,) = (step for step in answer.steps if step.type == kind)
    return found


def said(answer: Answer) -> str:
    """All of it on one line."""
    return " ".join(" ".join(line.text for line in lines(answer, 500)).split())
