"""hoox why, over a seeded day of random trading and beside an engine that writes: every row reaches its origin."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from engine.ledger.store import Ledger
from engine.ledger.why import why
from engine.ledger.why.gather import Found, order_of
from engine.ledger.why.names import find
from engine.ledger.why.reader import EventReader
from engine.model import event as ev
from engine.model.event import Event
from engine.views.why import Answer, OriginKind, lines
from hoox_tui.cli.root import app
from tests.engine_process import config_for, events_of, long_position, running, until
from tests.ledger_events import START_NS
from tests.property.test_desk_state_machine import Trader
from tests.property.test_venue_convergence import World

SEEDS = (0, 3)
STEPS = 350
VENUE_SEEDS = (3, 8)
ORIGINS = {OriginKind.PERSON, OriginKind.SOURCE, OriginKind.STRATEGY, OriginKind.VENUE, OriginKind.MARKET}
FIRST = ("IntentCreated", "OrderCreated", "AlarmRaised")
"""What a chain begins with: somebody asked, or a stranger's order was found, mostly with an alarm."""
ROWS = (("orders", "id"), ("fills", "fill_id"), ("trades", "id"), ("positions", "id"))


@pytest.fixture(scope="module", params=SEEDS)
def day(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day of everything a person may ask and a market may do, in a ledger file."""
    trader = Trader(request.param)
    for _ in range(STEPS):
        trader.step()
    return written(tmp_path_factory.mktemp("day") / "sim.sqlite", trader.bench.events)


@pytest.fixture(scope="module", params=VENUE_SEEDS)
def venue_day(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day at a venue that others trade at too, over a line that loses what is said."""
    world = World(request.param)
    world.run()
    return written(tmp_path_factory.mktemp("venue") / "sim.sqlite", world.bench.events)


def written(path: Path, events: Sequence[Event]) -> Path:
    ledger = Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)
    ledger.append(events)
    ledger.close()
    return path


def keys(path: Path, table: str, column: str) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return [row[0] for row in db.execute(f"SELECT DISTINCT {column} FROM {table}")]


def dangling(found: Found) -> list[str]:
    """What the chain mentions without saying where it comes from."""
    there = {event.seq for event in found.events}
    made = {event.body.terms.id for event in found.events if isinstance(event.body, ev.OrderCreated)}
    loose = []
    for event in found.events:
        order = order_of(event)
        other = isinstance(event.body, ev.OrderFilled | ev.TriggerFired) and order not in made
        if other and (found.orders[order]["request_id"] or found.orders[order]["owner"] == "venue"):
            continue  # another order that moved the position, or cancelled this one, is told with who asked for it
        if order and order not in made:
            loose.append(f"{event.seq} {event.type} of {order}, which nobody made")
        if event.causation and event.causation not in there and not isinstance(event.body, ev.TriggerFired):
            loose.append(f"{event.seq} {event.type} was caused by {event.causation}, which is not told")
    return loose


def explained(path: Path, table: str, column: str) -> Counter[OriginKind]:
    """Ask why of every row; fails where a chain does not reach its origin. How many began where."""
    origins: Counter[OriginKind] = Counter()
    for name in keys(path, table, column):
        answer = why(path, name)
        assert answer.origin.kind in ORIGINS, f"{name}: {answer.origin}"
        assert all(len(line.text) <= 80 for line in lines(answer)), name
        with closing(EventReader(path)) as reader:
            found = find(reader, name)
        assert found.root in found.events, name
        assert found.events[0].type in FIRST, f"{name} begins with {found.events[0].type}"
        assert dangling(found) == [], name
        origins[answer.origin.kind] += 1
    return origins


@pytest.mark.parametrize(("table", "column"), ROWS)
def test_every_row_of_a_day_reaches_its_origin_with_no_dangling_step(day: Path, table: str, column: str) -> None:
    assert explained(day, table, column)[OriginKind.PERSON]


@pytest.mark.parametrize(("table", "column"), ROWS)
def test_every_row_of_a_day_at_a_venue_reaches_its_origin(venue_day: Path, table: str, column: str) -> None:
    assert explained(venue_day, table, column).total()


def test_every_event_of_a_day_has_an_answer(day: Path) -> None:
    with closing(EventReader(day)) as reader:
        for seq in range(1, reader.last + 1):
            found = find(reader, f"seq:{seq}")
            assert seq in {event.seq for event in found.events}, f"{seq} is not in its own chain"


def test_what_the_market_did_is_said_of_liquidations(day: Path) -> None:
    with closing(sqlite3.connect(day)) as db:
        liquidated = [row[0] for row in db.execute("SELECT id FROM orders WHERE role = 'liquidation'")]
        fired = [row[0] for row in db.execute("SELECT id FROM orders WHERE role = 'stop_loss' AND status = 'FILLED'")]
    assert all(why(day, order).origin.kind is OriginKind.MARKET for order in liquidated)
    assert all("The market set it off" in why(day, order).origin.text for order in fired)
    assert liquidated or fired


def hoox(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


class TestTheCommand:
    def test_prints_a_step_a_line_within_80_columns(self, day: Path) -> None:
        order = keys(day, "fills", "order_id")[0]
        result = hoox("why", order, "--ledger", str(day))
        assert result.exit_code == 0
        assert result.stdout.startswith(f"Order {order}: ")
        assert max(map(len, result.stdout.splitlines())) <= 80
        assert " filled " in result.stdout

    def test_json_is_the_same_answer(self, day: Path) -> None:
        order = keys(day, "fills", "order_id")[0]
        result = hoox("why", order, "--ledger", str(day), "--json")
        assert msgspec.convert(json.loads(result.stdout), Answer) == why(day, order)

    def test_an_unknown_id_fails_and_names_the_kinds_and_the_nearest(self, day: Path) -> None:
        result = hoox("why", "O999999", "--ledger", str(day))
        assert (result.exit_code, result.stdout) == (1, "")
        assert "nothing here is called 'O999999'; the nearest: O" in result.stderr
        assert "ids there are: an order (O12), a fill (O12.1)" in result.stderr

    @pytest.mark.parametrize("more", [(), ("--json",)])
    def test_a_changed_event_is_printed_as_damaged_and_fails(
        self, day: Path, tmp_path: Path, more: tuple[str, ...]
    ) -> None:
        copy = tmp_path / "copy.sqlite"
        with closing(sqlite3.connect(day)) as db, closing(sqlite3.connect(copy)) as changed:
            db.backup(changed)
            changed.execute("DROP TRIGGER events_are_never_updated")
            order, seq = changed.execute("SELECT order_id, seq FROM fills LIMIT 1").fetchone()
            changed.execute("UPDATE events SET owner = 'me' WHERE seq = ?", (seq,))
            changed.commit()
        result = hoox("why", order, "--ledger", str(copy), *more)
        assert result.exit_code == 1
        assert "DAMAGED, not all of this is what was written" in result.stdout
        assert hoox("why", order, "--ledger", str(day), *more).exit_code == 0

    def test_without_a_ledger_it_says_so(self, tmp_path: Path) -> None:
        result = hoox("why", "O1", "--ledger", str(tmp_path / "none.sqlite"))
        assert result.exit_code == 1
        assert "there is no ledger at" in result.stderr


class TestBesideAnEngine:
    async def test_every_row_is_explained_over_the_link_and_from_the_file_it_writes(self, tmp_path: Path) -> None:
        config = config_for(tmp_path)
        async with running(config) as (_, link):
            position = await long_position(link)
            asked: dict[str, Answer] = {}
            for name in ("O1", "O1.1", "O2", "O3", position, "open", "seq:1"):
                asked[name] = msgspec.convert(await link.query(f"why:{name}"), Answer)
            assert why(config.ledger, "O1.1").title == asked["O1.1"].title
            assert asked[position].title == f"Position {position}: BTCUSDT, long 0.01, open"
            with pytest.raises(RuntimeError, match="nothing here is called 'O99'"):
                await link.query("why:O99")
            await until(lambda: any(event.type == "LatencyMeasured" for event in events_of(config.ledger)))
            timed = why(config.ledger, "O1").steps[-1]
            assert timed.type == "LatencyMeasured"
            assert "fill " in dict(timed.facts)["from the first"]
