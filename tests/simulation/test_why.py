"""hoox why explains any row of a day of simulated trading: every order, fill, trade, position and signal, with nothing of it left out."""

from __future__ import annotations

import json
import logging
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from engine.ledger.why import why
from engine.ledger.why.names import find
from engine.ledger.why.reader import EventReader
from engine.sim.loop import run
from engine.views.why import lines
from tests.simulation.invariants import Broken
from tests.simulation.plan import make_plan
from tests.simulation.world import World

BLOCKS = 3
SEEDS = 8
SIGNAL = ("SignalReceived", "SignalWaits", "SignalApproved", "SignalDeclined", "SignalEnded")
_ORDER = re.compile(r"\bO\d+\b")


class Row(NamedTuple):
    """An event as it is stored, and the orders that it names."""

    seq: int
    type: str
    request_id: str
    causation: int
    orders: frozenset[str]


class Day:
    """The ledger of one seed, read without anything of ours."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.db = sqlite3.connect(path)
        self.db.row_factory = sqlite3.Row
        self.events = [self._event(row) for row in self.db.execute("SELECT * FROM events ORDER BY seq")]
        self.signals = {row["request_id"] for row in self.db.execute("SELECT request_id FROM signals")}

    def _event(self, row: sqlite3.Row) -> Row:
        body: dict[str, Any] = json.loads(row["payload"])
        names = {body.get("order", ""), body.get("terms", {}).get("id", "")}
        if row["type"] == "AlarmRaised":
            names |= set(_ORDER.findall(body["message"]))
        return Row(row["seq"], row["type"], row["request_id"], row["causation"], frozenset(names - {""}))

    def rows(self, sql: str) -> list[sqlite3.Row]:
        return list(self.db.execute(sql))

    def of_order(self, order: str) -> set[int]:
        """What must be told of an order: its own events and those of its request that are about no other; all of its signal."""
        (request,) = self.db.execute("SELECT request_id FROM orders WHERE id = ?", (order,)).fetchone()
        signal = request.partition("/")[0]
        if signal in self.signals:
            return self.of_signal(signal)
        about = {event.seq for event in self.events if order in event.orders}
        return about | {e.seq for e in self.events if request and e.request_id == request and e.orders <= {order}}

    def of_signal(self, signal: str) -> set[int]:
        """All under its id and those of its later tries, and what a person asked about it."""
        own = [e for e in self.events if e.request_id == signal or e.request_id.startswith(f"{signal}/")]
        asked = {e.causation for e in own if e.type in ("SignalApproved", "SignalDeclined")}
        return {event.seq for event in own} | asked

    def of_position(self, position: str) -> set[int]:
        """What changed it, and how the signal that opened it came and ended."""
        text = f'"id":"{position}"'
        found = {
            row["seq"]
            for row in self.db.execute(
                "SELECT seq FROM events WHERE type <> 'FundingDue' AND instr(payload, ?)", (text,)
            )
        }
        (first,) = self.db.execute(
            "SELECT order_id FROM fills WHERE position = ? ORDER BY seq LIMIT 1", (position,)
        ).fetchone()
        (request,) = self.db.execute("SELECT request_id FROM orders WHERE id = ?", (first,)).fetchone()
        signal = request.partition("/")[0]
        if signal in self.signals:
            told = {e.seq for e in self.events if e.type in SIGNAL}
            found |= told & self.of_signal(signal)
        return found


@pytest.fixture(scope="module", params=range(BLOCKS))
def days(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Day]]:
    logging.disable(logging.CRITICAL)
    found = []
    try:
        for seed in range(request.param * SEEDS, (request.param + 1) * SEEDS):
            folder = tmp_path_factory.mktemp(f"seed-{seed}")
            with suppress(Broken):
                run(World(make_plan(seed), folder).play())
            found.append(Day(next(folder.glob("*.sqlite"))))
        yield found
    finally:
        logging.disable(logging.NOTSET)
        for day in found:
            day.db.close()


def told(day: Day, name: str) -> set[int]:
    answer = why(day.path, name)
    assert answer.steps
    assert all(len(line.text) <= 80 for line in lines(answer)), name
    with closing(EventReader(day.path)) as reader:
        return {event.seq for event in find(reader, name).events}


def left_out(day: Day, name: str, wanted: set[int]) -> list[str]:
    """What belongs to a row and is not in its chain."""
    missing = wanted - told(day, name)
    return [f"{day.path.parent.name} {name}: {event}" for event in day.events if event.seq in missing]


def test_every_row_is_explained_and_nothing_of_it_is_left_out(days: list[Day]) -> None:
    asked: Counter[str] = Counter()
    for day in days:
        for row in day.rows("SELECT id FROM orders"):
            assert left_out(day, row["id"], day.of_order(row["id"])) == []
            asked["order"] += 1
        for row in day.rows("SELECT id, order_id FROM trades"):
            assert left_out(day, f"trade:{row['id']}", day.of_order(row["order_id"])) == []
            asked["trade"] += 1
        for row in day.rows("SELECT DISTINCT order_id, fill_id FROM fills"):
            assert left_out(day, f"fill:{row['order_id']}/{row['fill_id']}", day.of_order(row["order_id"])) == []
            asked["fill"] += 1
        for row in day.rows("SELECT id FROM positions"):
            assert left_out(day, row["id"], day.of_position(row["id"])) == []
            asked["position"] += 1
        for row in day.rows("SELECT request_id, source, key FROM signals"):
            wanted = day.of_signal(row["request_id"])
            for name in (row["request_id"], f"{row['source']}/{row['key']}", f"signal:{row['key']}"):
                assert left_out(day, name, wanted) == []
            asked["signal"] += 1
    assert min(asked[kind] for kind in ("order", "trade", "fill", "position", "signal")) > 5, asked
