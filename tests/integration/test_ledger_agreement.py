"""The tables say what the recorded state says, after every event, whatever a venue reports late or twice."""

from __future__ import annotations

import json
import logging
import shutil
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.core.fold import fold
from engine.core.state import State
from engine.ledger import projections, schema
from engine.ledger.agreement import disagreement
from engine.ledger.rebuild import ProjectionTables
from engine.ledger.replay import connect_readonly, verified_events
from engine.ledger.store import Ledger
from engine.ledger.verify import rebuild_projections, verify
from engine.model import event as ev
from engine.model.account import Execution
from engine.model.event import Event
from engine.model.order import ENDED, Order, OrderStatus, OrderType
from engine.sim.loop import run
from hoox_tui.cli.root import app
from tests.kit import BUY, Bench
from tests.ledger_events import START_NS
from tests.simulation.plan import make_plan
from tests.simulation.world import World

SEEDS = range(0, 60, 3)
_SHM = Path("/dev/shm")


def ordered() -> tuple[Bench, Order]:
    """An order of 1 at a venue, which has not answered."""
    bench = Bench(balance="100000", execution=Execution.VENUE)
    bench.market("60000")
    bench.place(BUY, "1", OrderType.LIMIT, price="59000")
    return bench, bench.last_order


def written(path: Path, events: Sequence[Event]) -> Path:
    """An engine start for each event: nothing is in memory only."""
    for event in events:
        with closing(Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)) as ledger:
            ledger.append([event])
    return path


def ask(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def offline(path: Path) -> list[tuple[str, str]]:
    result = CliRunner().invoke(app, ["orders", "--json", "--ledger", str(path)])
    return [(row["id"], row["status"]) for row in json.loads(result.stdout)]


def test_an_order_whose_end_is_stated_is_unknown_until_its_last_fill_is_there(tmp_path: Path) -> None:
    bench, order = ordered()
    bench.said(order, OrderStatus.ACCEPTED)
    bench.said(order, OrderStatus.CANCELLED, "0.5")
    bench.report(order.id, "t1", "59000", "0.2")
    assert bench.state.orders[order.id].status is OrderStatus.UNKNOWN
    path = written(tmp_path / "sim.sqlite", bench.events)
    assert offline(path) == [(order.id, "UNKNOWN")]
    assert verify(path).ok, verify(path).lines


@pytest.mark.parametrize("end", [OrderStatus.REJECTED, OrderStatus.CANCELLED, OrderStatus.EXPIRED])
def test_a_late_part_of_an_ended_order_does_not_make_it_work_again(tmp_path: Path, end: OrderStatus) -> None:
    bench, order = ordered()
    if end is not OrderStatus.REJECTED:
        bench.said(order, OrderStatus.ACCEPTED)
    bench.said(order, end)
    bench.report(order.id, "t1", "59000", "0.3")
    bench.report(order.id, "t2", "58000", "0.1")
    assert not bench.state.orders
    path = written(tmp_path / "sim.sqlite", bench.events)
    assert offline(path) == []
    assert ask(path, "SELECT status, filled FROM orders") == [(str(end), "0.4")]
    assert ask(path, "SELECT id, quantity, price, status FROM trades") == [(order.id, 0.4, 58750.0, "Filled")]
    assert verify(path).ok, verify(path).lines


def test_a_rejected_order_that_fills_to_the_last_stays_rejected(tmp_path: Path) -> None:
    bench, order = ordered()
    bench.said(order, OrderStatus.REJECTED)
    bench.report(order.id, "t1", "59000", "1")
    assert bench.state.ended[order.id].status is OrderStatus.REJECTED
    path = written(tmp_path / "sim.sqlite", bench.events)
    assert ask(path, "SELECT status FROM orders") == [("REJECTED",)]


def test_a_cancelled_order_that_fills_to_the_last_is_filled(tmp_path: Path) -> None:
    bench, order = ordered()
    bench.said(order, OrderStatus.ACCEPTED)
    bench.said(order, OrderStatus.CANCELLED)
    bench.report(order.id, "t1", "59000", "1")
    path = written(tmp_path / "sim.sqlite", bench.events)
    assert ask(path, "SELECT status FROM orders") == [("FILLED",)]


def test_the_venues_id_is_kept_where_it_first_comes_with_the_trigger(tmp_path: Path) -> None:
    bench, order = ordered()
    bench.said(order, OrderStatus.TRIGGERED)
    path = written(tmp_path / "sim.sqlite", bench.events)
    assert ask(path, "SELECT status, venue_order_id FROM orders") == [("TRIGGERED", f"v{order.id}")]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (ev.OrderAccepted, "state: order O1: the table orders says SENT, the state ACCEPTED"),
        (ev.FundsMoved, "state: wallet main USDT: the table balances says nothing, the state 100000"),
        (ev.OrderFilled, "state: order O2: the table orders says SENT, the state nothing"),
    ],
)
def test_tables_that_are_made_wrongly_are_found_though_a_rebuild_would_make_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type, says: str
) -> None:
    bench, order = ordered()
    bench.said(order, OrderStatus.ACCEPTED)
    bench.place(BUY, "0.1")
    bench.report(bench.last_order.id, "t1", "60000", "0.1")
    monkeypatch.delitem(projections._HANDLERS, kind)
    path = written(tmp_path / "sim.sqlite", bench.events)
    for _ in range(2):
        report = verify(path)
        assert report.lines[1].startswith(says), report.lines
        assert not report.rebuildable
        assert report.whole, "exits go on"
        rebuild_projections(path)


def test_orders_that_an_earlier_program_left_working_are_named_and_put_right(tmp_path: Path) -> None:
    bench, order = ordered()
    bench.said(order, OrderStatus.REJECTED)
    bench.report(order.id, "t1", "59000", "0.3")
    path = written(tmp_path / "sim.sqlite", bench.events)
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE orders SET status = 'PARTIAL'")
        db.commit()
    report = verify(path)
    assert [finding.part for finding in report.findings] == ["orders"]
    assert report.rebuildable
    rebuild_projections(path)
    assert offline(path) == []


def lived(seed: int) -> list[Event]:
    """What a seed of the fault simulation left in its ledger, whose tables it checks too."""
    folder = Path(tempfile.mkdtemp(prefix="hoox-sim-", dir=_SHM if _SHM.is_dir() else None))
    logging.disable(logging.CRITICAL)
    try:
        world = World(make_plan(seed), folder, frozenset(), frozenset())
        run(world.play())
        path = folder / f"{world.lives}.sqlite"
        with closing(connect_readonly(path)) as db:
            events = [event for event, _ in verified_events(db)]
            state = State()
            for event in events:
                fold(state, event)
            assert disagreement(db, state) == "", seed
        return events
    finally:
        logging.disable(logging.NOTSET)
        shutil.rmtree(folder)


@pytest.mark.parametrize("seed", SEEDS)
def test_tables_and_state_agree_after_every_event_of_an_order(seed: int) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        schema.create(db, {})
        tables, state = ProjectionTables(db), State()
        for event in lived(seed):
            fold(state, event)
            tables.add(event)
            if event.seq % 50 == 0:
                tables.flush()
                assert disagreement(db, state) == "", event
            if not (name := getattr(event.body, "order", "")):
                continue
            tables.flush()
            sql = "SELECT status, filled, venue_order_id FROM orders WHERE id = ?"
            status, filled, venue_id = db.execute(sql, (name,)).fetchone()
            order = state.find_order(name)
            assert order is not None
            # A late part moves an ended order to PARTIAL in the state; in the table it says how it ended.
            right = "CANCELLED EXPIRED" if name in state.ended and order.status is OrderStatus.PARTIAL else order.status
            assert (status in right, status in ENDED, filled, venue_id) == (
                True,
                name in state.ended,
                str(order.filled),
                order.venue_order_id,
            ), event
