"""What durability costs: one order, a flood of orders, and reading everything back. Files are made where tempfile puts them."""

from __future__ import annotations

import queue
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

from engine.clock import mono_ns
from engine.core.fold import fold
from engine.core.state import State
from engine.ledger.chain import GENESIS, event_of, link
from engine.ledger.replay import connect_readonly
from engine.ledger.replay import replay as replay_ledger
from engine.ledger.store import Ledger
from engine.ledger.writer import Writer
from engine.model.event import Event
from tests.ledger_events import START_NS, Story

_CHUNK = 5_000
Figures = dict[str, float]


@contextmanager
def _fresh_ledger() -> Iterator[Ledger]:
    with tempfile.TemporaryDirectory(prefix="hoox-bench-") as folder:
        path = Path(folder) / "bench.sqlite"
        with closing(Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)) as ledger:
            yield ledger


def _stream(story: Story) -> Iterator[Event]:
    yield from story.opening()
    while True:
        yield from story.round_trip()


def durable_single(rounds: int = 300) -> Figures:
    """us from handing over the 6 events of one filled order until they are told durable; one at a time."""
    told: queue.SimpleQueue[int] = queue.SimpleQueue()
    taken: list[float] = []
    with _fresh_ledger() as ledger:
        events = _stream(Story())
        ledger.append(list(islice(events, 4)))
        with closing(Writer(ledger, lambda seq, _: told.put(seq), _raise)) as writer:
            for _ in range(rounds):
                batch = list(islice(events, 6))
                start = mono_ns()
                writer.submit(batch)
                told.get()
                taken.append((mono_ns() - start) / 1_000)
    cuts = statistics.quantiles(taken, n=100)
    return {"p50_us": cuts[49], "p95_us": cuts[94], "p99_us": cuts[98]}


def durable_grouped(n: int = 100_000) -> Figures:
    """Events a second through the writer, projections included, when they arrive faster than they can be written."""
    with _fresh_ledger() as ledger:
        events = list(islice(_stream(Story()), n))
        start = mono_ns()
        with closing(Writer(ledger, lambda *_: None, _raise)) as writer:
            for at in range(0, n, 6):
                writer.submit(events[at : at + 6])
        return {"events_per_s": n / (mono_ns() - start) * 1e9}


def replay(n: int = 1_000_000) -> Figures:
    """Events a second from the first event on with every hash verified; and us an event for each stage, taken apart."""
    with _fresh_ledger() as ledger:
        events = _stream(Story())
        for at in range(0, n, _CHUNK):
            ledger.append(list(islice(events, min(_CHUNK, n - at))))
        start = mono_ns()
        replay_ledger(ledger.path)
        whole = mono_ns() - start
        return {"events_per_s": n / whole * 1e9, **_stages(ledger.path, n)}


def _stages(path: Path, n: int) -> Figures:
    marks = [0, 0, 0, 0]
    state, previous = State(), GENESIS
    with closing(connect_readonly(path)) as db:
        rows = db.execute("SELECT * FROM events ORDER BY seq")
        while True:
            times = [mono_ns()]
            chunk = rows.fetchmany(_CHUNK)
            times.append(mono_ns())
            for row in chunk:
                previous = link(previous, row[:12])
            times.append(mono_ns())
            events = [event_of(row[:12]) for row in chunk]
            times.append(mono_ns())
            for event in events:
                fold(state, event)
            times.append(mono_ns())
            if not chunk:
                break
            marks = [mark + after - before for mark, before, after in zip(marks, times, times[1:], strict=False)]
    names = ("read_us", "hash_us", "decode_us", "fold_us")
    return {name: mark / n / 1_000 for name, mark in zip(names, marks, strict=True)}


def _raise(error: Exception) -> None:
    raise error
