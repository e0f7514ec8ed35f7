"""What durability costs, and what reading everything back does. Files are made where tempfile puts them."""

from __future__ import annotations

import asyncio
import queue
import random
import shutil
import sqlite3
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from time import thread_time_ns

import aiosqlite

from benchmarks.history import events, ledger_of, open_at, pages_of
from engine.clock import mono_ns
from engine.core.fold import fold
from engine.core.state import State
from engine.ledger.chain import GENESIS, columns_of, event_of, link
from engine.ledger.head import head_path
from engine.ledger.query import PAGED, Reader
from engine.ledger.replay import EVENTS_AFTER, connect_readonly
from engine.ledger.replay import replay as replay_ledger
from engine.ledger.schema import EVENTS
from engine.ledger.store import Ledger
from engine.ledger.writer import Writer

_CHUNK = 100
"""Events that go through a stage together: few enough to stay in the processor's caches, as one by one they do."""
_ROUNDS = 5
_WARM = 1_000
"""Commits before the clock starts: the log is then written over, as in an engine that has run a while, not made longer."""
Figures = dict[str, float]


@contextmanager
def _fresh_ledger() -> Iterator[Ledger]:
    with tempfile.TemporaryDirectory(prefix="hoox-bench-") as folder, closing(open_at(Path(folder) / "a.sqlite")) as it:
        yield it


def durable_single(rounds: int = 300) -> Figures:
    """us from handing over the 6 events of one filled order until they are told durable; one at a time."""
    told: queue.SimpleQueue[int] = queue.SimpleQueue()
    taken: list[float] = []
    with _fresh_ledger() as ledger:
        stream = events()
        ledger.append(list(islice(stream, 4)))
        with closing(Writer(ledger, lambda seq, _: told.put(seq), _raise)) as writer:
            for _ in range(rounds):
                batch = list(islice(stream, 6))
                start = mono_ns()
                writer.submit(batch)
                told.get()
                taken.append((mono_ns() - start) / 1_000)
    cuts = statistics.quantiles(taken, n=100)
    return {"p50_us": cuts[49], "p95_us": cuts[94], "p99_us": cuts[98]}


def durable() -> dict[str, Figures]:
    """Events a second made durable on this disk: one at a time and grouped, beside a plain table through aiosqlite with one
    commit an event. They take turns, so that a busy machine is busy for all of them."""
    rates: dict[str, list[float]] = {"one_at_a_time": [], "grouped": [], "aiosqlite_commit_an_event": []}
    for _ in range(_ROUNDS):
        rates["one_at_a_time"].append(_one_at_a_time(1_000))
        rates["grouped"].append(_grouped(60_000))
        rates["aiosqlite_commit_an_event"].append(asyncio.run(_aiosqlite(1_000)))
    plain = rates["aiosqlite_commit_an_event"]
    ratios = {
        f"{name}_against_aiosqlite": _spread([a / b for a, b in zip(rates[name], plain, strict=True)])
        for name in ("one_at_a_time", "grouped")
    }
    return {**{name: _spread(of) for name, of in rates.items()}, **ratios}


def _one_at_a_time(n: int) -> float:
    with _fresh_ledger() as ledger:
        batch = list(islice(events(), _WARM + n))
        for at, event in enumerate(batch):
            if at == _WARM:
                start = mono_ns()
            ledger.append([event])
        return n / (mono_ns() - start) * 1e9


def _grouped(n: int) -> float:
    """Through the writer, projections included, when they arrive faster than they can be written."""
    with _fresh_ledger() as ledger:
        batch = list(islice(events(), n))
        start = mono_ns()
        with closing(Writer(ledger, lambda *_: None, _raise)) as writer:
            for at in range(0, n, 6):
                writer.submit(batch[at : at + 6])
        return n / (mono_ns() - start) * 1e9


async def _aiosqlite(n: int) -> float:
    """The events' columns only: no projections, no chain."""
    rows = [(*columns_of(event), GENESIS) for event in islice(events(), _WARM + n)]
    with tempfile.TemporaryDirectory(prefix="hoox-bench-") as folder:
        async with aiosqlite.connect(Path(folder) / "plain.sqlite") as db:
            await db.execute("PRAGMA journal_mode = WAL")
            await db.execute("PRAGMA synchronous = FULL")
            await db.execute(EVENTS[0])
            for at, row in enumerate(rows):
                if at == _WARM:
                    start = mono_ns()
                await db.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
                await db.commit()
            return n / (mono_ns() - start) * 1e9


def restart(n: int = 1_000_000) -> dict[str, Figures]:
    """Seconds until a ledger of n events is open and its state is there: from a snapshot some thousand events old, and without."""
    whole = ledger_of(n)
    with tempfile.TemporaryDirectory(prefix="hoox-bench-") as folder:
        bare = Path(folder) / "bare.sqlite"
        shutil.copy(whole, bare)
        shutil.copy(head_path(whole), head_path(bare))
        with closing(sqlite3.connect(bare)) as db:
            db.execute("DELETE FROM snapshots")
            db.commit()
        with_snapshot = [_opened(whole) for _ in range(_ROUNDS)]
        return {"with_snapshot_s": _spread(with_snapshot), "without_s": _spread([_opened(bare) for _ in range(3)])}


def _opened(path: Path) -> float:
    start = mono_ns()
    with closing(open_at(path)) as ledger:
        ledger.load()
        return (mono_ns() - start) / 1e9


def replay(n: int = 1_000_000) -> dict[str, Figures]:
    """Events a second from the first event on with every hash verified; and us an event for each stage, taken apart."""
    path = ledger_of(n)
    rates: list[float] = []
    for _ in range(3):
        start = mono_ns()
        replay_ledger(path)
        rates.append(n / (mono_ns() - start) * 1e9)
    stages = [_stages(path, n) for _ in range(3)]
    return {
        "events_per_s": _spread(rates),
        **{name: _spread([stage[name] for stage in stages]) for name in stages[0]},
    }


def _stages(path: Path, n: int) -> Figures:
    marks = [0, 0, 0, 0]
    state, previous = State(), GENESIS
    with closing(connect_readonly(path)) as db:
        rows = db.execute(EVENTS_AFTER, (0,))
        while True:
            times = [mono_ns()]
            chunk = rows.fetchmany(_CHUNK)
            times.append(mono_ns())
            for row in chunk:
                previous = link(previous, row[:12])
            times.append(mono_ns())
            made = [event_of(row[:12]) for row in chunk]
            times.append(mono_ns())
            for event in made:
                fold(state, event)
            times.append(mono_ns())
            if not chunk:
                break
            marks = [mark + after - before for mark, before, after in zip(marks, times, times[1:], strict=False)]
    names = ("read_us", "hash_us", "decode_us", "fold_us")
    return {name: mark / n / 1_000 for name, mark in zip(names, marks, strict=True)}


def pages(n: int = 1_000_000) -> dict[str, Figures]:
    """us for a page of 100 rows from anywhere in a file of n events, forward and backward."""
    draw = random.Random(0)
    figures: dict[str, Figures] = {}
    with Reader(pages_of(n)) as reader:
        seqs = [draw.randrange(1, n) for _ in range(400)]
        figures["events_before_us"] = _page_times(seqs, reader.events_before)
        figures["events_after_us"] = _page_times(seqs, reader.events_after)
        requests = [reader.events_after(seq, 12)[0]["request_id"] for seq in seqs]
        figures["events_of_request_us"] = _page_times(
            [request for request in requests if request], lambda request: reader.events_before(request_id=request)
        )
        figures["events_of_type_us"] = _page_times(seqs, lambda seq: reader.events_before(seq, kind="OrderFilled"))
        orders = [row for seq in seqs for row in reader.after("orders", {"seq": seq}, 1)]
        trade = "SELECT * FROM trades WHERE id = ?"
        for table in PAGED:
            if table == "trades":
                rows = [dict(found) for row in orders if (found := reader._db.execute(trade, (row["id"],)).fetchone())]
            else:
                rows = [row for seq in seqs for row in reader.after(table, {"seq": seq}, 1)]
            if rows:
                figures[f"{table}_before_us"] = _page_times(rows, lambda row, of=table: reader.before(of, row))
                figures[f"{table}_after_us"] = _page_times(rows, lambda row, of=table: reader.after(of, row))
    return figures


def _page_times(keys: Sequence[object], page: Callable[..., object]) -> Figures:
    """On the clock, and on the processor: a machine that does other things is late on the first only."""
    taken: list[float] = []
    busy: list[float] = []
    for key in keys:
        start, begun = mono_ns(), thread_time_ns()
        page(key)
        busy.append((thread_time_ns() - begun) / 1_000)
        taken.append((mono_ns() - start) / 1_000)
    cuts, cpu = statistics.quantiles(taken, n=100), statistics.quantiles(busy, n=100)
    return {"p50": cuts[49], "p99": cuts[98], "cpu_p50": cpu[49], "cpu_p99": cpu[98]}


def _spread(figures: Sequence[float]) -> Figures:
    return {"low": min(figures), "median": statistics.median(figures), "high": max(figures)}


def _raise(error: Exception) -> None:
    raise error
