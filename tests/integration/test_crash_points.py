"""Every write and every sync of a session with entries, partial fills, brackets and a trailing stop is a place to die at.

The power goes at each of them, and what was not synced is lost, kept, or torn; or the call fails and the session goes on.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

from engine.core.desk import Desk
from engine.core.fold import fold
from engine.core.inputs import Input
from engine.core.state import State, encode_state
from engine.ledger.errors import LedgerBroken, LedgerError
from engine.ledger.head import head_path
from engine.ledger.store import Ledger
from engine.ledger.verify import verify
from engine.model import command as cmd
from engine.model.event import Event
from engine.model.order import OrderType
from tests.kit import BUY, SECOND, SELL, Bench
from tests.vfs import FULL, IOERR_WRITE, Operation, WatchedFiles, watched_files

D = Decimal
SECTOR = 512
BLOCKS = 8
"""The points are shared out over this many tests, so that every core has some."""


class LedgerBench(Bench):
    """A desk whose every decision is written to a real ledger before the next input."""

    def __init__(self, ledger: Ledger, operations: Callable[[], int] = lambda: 0) -> None:
        self.ledger = ledger
        self.operations = operations
        self.boundaries = [0]
        """Seqs at which a decision was whole."""
        self.acknowledged: list[tuple[int, int]] = []
        """(operations so far, last durable seq) after each append."""
        super().__init__()

    def handle(self, given: Input) -> list[Event]:
        events = super().handle(given)
        if events:
            self.boundaries.append(events[-1].seq)
            self.write(events)
        return events

    def write(self, events: list[Event]) -> None:
        self.ledger.append(events)
        self.acknowledged.append((self.operations(), events[-1].seq))


def session(bench: Bench) -> None:
    """A bracketed entry in two fills, a trailing stop that tightens and fires, a second position closed by hand."""
    bench.market("60000")
    entry = bench.limit(BUY, "0.3", "59990", leverage=10, take_profit="63000", stop_loss="58000")
    bench.trade("59989", "80", SELL)
    bench.trade("59989", "0.1", SELL)
    bench.trade("59989", "0.5", SELL)
    assert entry.filled > 0
    bench.ask(cmd.SetProtection, position=bench.position.id, stop_loss=D(58500), trail_bps=D(50))
    for price in ("60100", "60400", "60700"):
        bench.market(price)
    bench.market("60350")
    bench.wait()
    bench.open(SELL, "0.2", leverage=20, stop_loss="61500")
    bench.place(BUY, "0.1", OrderType.LIMIT, price="59000", reduce_only=True)
    bench.wait()
    bench.ask(cmd.ClosePosition, position=bench.position.id, fraction=D("0.5"))
    bench.wait()


class Recording(NamedTuple):
    """A session that was written in peace: its files before, what reached the file layer, and what it meant."""

    folder: Path
    log: list[Operation]
    heads: list[bytes]
    """HEAD's bytes before each operation."""
    events: list[Event]
    boundaries: frozenset[int]
    acknowledged: list[tuple[int, int]]


class _HeadWatcher(list[Operation]):
    """The log, which keeps what HEAD said at each operation."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = head_path(path)
        self.heads: list[bytes] = []

    def append(self, operation: Operation) -> None:
        self.heads.append(self._path.read_bytes() if self._path.exists() else b"")
        super().append(operation)


def open_ledger(path: Path) -> Ledger:
    return Ledger.open(path, env="sim", feed="simulated", now_ns=SECOND, reserve_bytes=0)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Memory, where there is some: a tenth of the time, and what a power cut keeps is decided here anyway."""
    memory = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(prefix="hoox-crash-", dir=memory if memory.is_dir() else None))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def recording(folder: Path) -> Recording:
    """The session, with a checkpoint and a snapshot in its middle, up to a clean close."""
    try:
        return record(folder / "recorded")
    except OSError as error:
        pytest.skip(str(error))


def record(folder: Path, synchronous: str = "FULL") -> Recording:
    folder.mkdir()
    path = folder / "sim.sqlite"
    with watched_files() as files:
        ledger = open_ledger(path)
        ledger._db.execute(f"PRAGMA synchronous = {synchronous}")
        log = files.log = _HeadWatcher(path)
        before = folder / "before"
        before.mkdir()
        for name in (path.name, f"{path.name}-wal"):
            shutil.copy(folder / name, before / name)
        bench = LedgerBench(ledger, lambda: len(log))
        session(bench)
        ledger.snapshot(bench.state)
        ledger._db.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        bench.market("60200")
        session_end(bench)
        ledger.close()
    return Recording(before, list(log), log.heads, bench.events, frozenset(bench.boundaries), bench.acknowledged)


def session_end(bench: Bench) -> None:
    bench.ask(cmd.FlattenAll)
    bench.wait(SECOND)


# --- The power goes ------------------------------------------------------------------------------------


def image(recorded: Recording, at: int, folder: Path, keep: Callable[[Operation], bytes | None]) -> Path:
    """The files after a power cut just before operation `at`: what was synced, and of the rest what `keep` lets through."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(recorded.folder, folder)
    contents = {name.name: bytearray(name.read_bytes()) for name in folder.iterdir()}
    log = recorded.log[:at]
    synced = {
        name: max((i for i, o in enumerate(log) if o.file == name and o.kind == "sync"), default=-1)
        for name in contents
    }
    for number, operation in enumerate(log):
        content = contents.setdefault(operation.file, bytearray())
        data = operation.data if number < synced.get(operation.file, -1) else keep(operation)
        if operation.kind == "truncate" and (data is not None):
            del content[operation.offset :]
        elif operation.kind == "write" and data:
            content.extend(bytes(max(0, operation.offset - len(content))))
            content[operation.offset : operation.offset + len(data)] = data
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    path = folder / "sim.sqlite"
    if head := recorded.heads[min(at, len(recorded.heads) - 1)]:
        head_path(path).write_bytes(head)
    return path


def lost(_: Operation) -> None:
    """Nothing that was not synced survives."""


def kept(operation: Operation) -> bytes:
    """Everything reached the disk although nobody waited for it."""
    return operation.data


def torn(seed: int) -> Callable[[Operation], bytes | None]:
    """Some of it, some of that only in part, to a whole sector, in no order."""
    dice = random.Random(seed)

    def keep(operation: Operation) -> bytes | None:
        if dice.random() < 0.4:
            return None
        sectors = len(operation.data) // SECTOR
        return (
            operation.data[: dice.randint(0, sectors) * SECTOR] if sectors and dice.random() < 0.5 else operation.data
        )

    return keep


def states(recorded: Recording) -> dict[int, bytes]:
    """The recorded state after each whole decision."""
    state = State()
    found = {0: encode_state(state)}
    for event in recorded.events:
        fold(state, event)
        if event.seq in recorded.boundaries:
            found[event.seq] = encode_state(state)
    return found


@pytest.mark.parametrize("block", range(BLOCKS))
def test_a_power_cut_at_any_write_loses_nothing_that_was_acknowledged(
    recording: Recording, folder: Path, block: int
) -> None:
    expected = states(recording)
    for at in range(block, len(recording.log) + 1, BLOCKS):
        told = max((seq for count, seq in recording.acknowledged if count <= at), default=0)
        for name, keep in (("lost", lost), ("kept", kept) if at % 2 else ("torn", torn(at))):
            path = image(recording, at, folder / f"cut-{block}", keep)
            where = f"power cut before operation {at} of {len(recording.log)}, unsynced data {name}"
            ledger = open_ledger(path)
            state = ledger.load().state
            assert state.seq >= told, f"{where}: {told} was acknowledged, {state.seq} is there"
            assert state.seq in expected, f"{where}: half a decision, up to {state.seq}"
            assert encode_state(state) == expected[state.seq], where
            ledger.close()
            assert verify(path).lines[1:] == [], where


def test_the_session_dies_in_many_places(recording: Recording) -> None:
    """What the other tests walk over is worth walking: writes of both files, syncs, a checkpoint."""
    kinds = {(o.kind, o.file.removeprefix("sim.sqlite")) for o in recording.log}
    assert {("write", "-wal"), ("sync", "-wal"), ("write", ""), ("sync", "")} <= kinds
    assert sum(o.kind == "sync" for o in recording.log) > 15


# --- A call fails ---------------------------------------------------------------------------------------


class FailingBench(LedgerBench):
    """Goes on as the engine does when a commit fails: forget what was not written, and take up the rest."""

    failures = 0

    def write(self, events: list[Event]) -> None:
        try:
            super().write(events)
        except LedgerError:
            self.failures += 1
            self.desk = self.desk.on(self.ledger.load().state)
            self.desk.resume()


def go_wrong(files: WatchedFiles, path: Path, at: int, write_code: int) -> tuple[bytes, int, State]:
    """The session with operation `at` failing: the state at its end, how many commits failed, the state in the file."""
    ledger = open_ledger(path)
    files.clear()
    files.failure["write"] = files.failure["truncate"] = write_code
    files.fail_at = at
    bench = FailingBench(ledger)
    with suppress(AssertionError, ValueError, IndexError):
        session(bench)  # what a test of the whole session expects of it need not be there now
    with suppress(AssertionError, ValueError):
        session_end(bench)
    files.fail_at = None
    at_end = encode_state(bench.state)
    ledger.close()
    again = open_ledger(path)
    found = again.load().state
    again.close()
    return at_end, bench.failures, found


@pytest.mark.parametrize("block", range(BLOCKS))
def test_a_write_or_sync_that_fails_is_all_there_or_not_there(recording: Recording, folder: Path, block: int) -> None:
    """In turn the disk is full and does not answer; a sync has one way to fail."""
    with watched_files() as files:
        for number, at in enumerate(range(block, len(recording.log), BLOCKS)):
            code = FULL if number % 2 else IOERR_WRITE
            made = folder / f"failing-{block}"
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
            at_end, failures, found = go_wrong(files, made / "sim.sqlite", at, code)
            where = f"operation {at} failed, {failures} commits with it"
            assert encode_state(found) == at_end, where
            assert verify(made / "sim.sqlite").lines[1:] == [], where


class RestartedBench(LedgerBench):
    """An engine that starts on what a crash left."""

    def __init__(self, ledger: Ledger) -> None:
        self._found = ledger.load().state
        super().__init__(ledger)

    def start(self, account: str = "main", balance: str = "10000") -> list[Event]:
        self.desk = Desk(self._found)
        self.at(self._found.time_ns + SECOND)
        return super().start(account, balance)


def test_after_a_crash_at_any_commit_what_a_stop_protects_is_still_protected(
    recording: Recording, folder: Path
) -> None:
    protected = 0
    for number, (count, _) in enumerate(recording.acknowledged):
        ledger = open_ledger(image(recording, count, folder / "restart", lost))
        bench = RestartedBench(ledger)
        stops = [o for o in bench.live(OrderType.STOP) if o.terms.reduce_only]
        for stop in stops:
            assert stop.trigger is not None
            bench.market(str(stop.trigger + 100 * stop.terms.side.sign))
            bench.wait(SECOND)
            assert bench.size == 0, f"after commit {number} the stop did not close the position"
        protected += len(stops)
        ledger.close()
    assert protected > 10


def test_a_ledger_that_did_not_wait_for_the_disk_would_be_found_out(folder: Path) -> None:
    """The power cuts above are real ones: without syncs they lose what was acknowledged."""
    careless = record(folder / "careless", "OFF")
    with pytest.raises(LedgerBroken, match="are missing: HEAD says"):
        open_ledger(image(careless, len(careless.log), folder / "careless-cut", lost))
