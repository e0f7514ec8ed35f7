"""kill -9 and a full disk: what was acknowledged is there, and exits can still be written."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.ledger import errors
from engine.ledger.errors import LedgerError, LedgerFull, ledger_error
from engine.ledger.reserve import Reserve
from engine.ledger.store import Ledger
from engine.ledger.verify import verify
from engine.model.event import Event
from tests.ledger_events import START_NS, Story
from tests.vfs import watched_files

ROOT = Path(__file__).parents[2]
CHILD = """
import sys
import threading
from pathlib import Path
from engine.core.fold import fold
from engine.core.state import encode_state
from engine.ledger.store import Ledger
from engine.ledger.writer import Writer
from engine.model.event import FundsMoved
from tests.ledger_events import START_NS, Story

ledger = Ledger.open(Path(sys.argv[1]), env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)
state, story, room = ledger.load().state, Story(seq=ledger.seq), threading.Semaphore(20)

told = ledger.seq

def durable(seq, committed_ns):
    global told
    print(seq, flush=True)
    room.release(seq - told)
    told = seq

writer = Writer(ledger, durable, print)
batch = [] if ledger.seq else story.opening()
while True:
    room.acquire()
    batch.append(story.event(FundsMoved("USDT", story.seq % 7 + 1)))
    for event in batch:
        fold(state, event)
    writer.submit(batch)
    if state.seq % 50 == 0:
        writer.submit_snapshot(state.seq, encode_state(state))
    batch = []
"""


def test_kill_9_loses_no_acknowledged_event(tmp_path: Path) -> None:
    path = tmp_path / "sim.sqlite"
    draw = random.Random(9)
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert child.stdout is not None
        acknowledged = 0
        with child, child.stdout:
            for _ in range(draw.randint(5, 120)):
                acknowledged = int(child.stdout.readline())
            os.kill(child.pid, signal.SIGKILL)
            for line in child.stdout:
                if line.endswith("\n"):
                    acknowledged = int(line)
        ledger = Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)
        loaded = ledger.load()
        ledger.close()
        assert loaded.state.seq >= acknowledged
        assert loaded.warnings == ()
        assert verify(path).ok


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    mount, folder = shutil.which("mount"), tmp_path / "disk"
    folder.mkdir()
    made = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if not made or made.returncode != 0:
        pytest.skip("a small tmpfs cannot be mounted here (needs root)")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def append_until_refused(ledger: Ledger, story: Story) -> list[Event]:
    """The first batch for which there was no room."""
    while True:
        batch = [event for _ in range(20) for event in story.round_trip()]
        try:
            ledger.append(batch)
        except LedgerFull:
            return batch


def test_a_full_disk_writes_nothing_by_halves_and_the_reserve_lets_exits_through(small_disk: Path) -> None:
    path = small_disk / "sim.sqlite"
    ledger = Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=1024 * 1024)
    assert ledger.reserve_held
    story = Story()
    ledger.append(story.opening())
    refused = append_until_refused(ledger, story)
    before = refused[0].seq - 1
    assert ledger.seq == before
    assert ledger.load().state.seq == before
    ledger.free_reserve()
    ledger.append(refused)
    ledger.append(story.round_trip())
    assert ledger.load().state.seq == story.seq
    ledger.close()
    assert verify(path).ok


def test_a_commit_whose_sync_failed_is_not_there_after_a_kill_either(tmp_path: Path) -> None:
    """It was whole in the log, and answered as not done."""
    path, story = tmp_path / "sim.sqlite", Story()
    with watched_files() as files:
        ledger = Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)
        ledger.append(story.opening())
        files.clear()
        ledger.append(story.round_trip())
        assert files.log[-1].kind == "sync"
        last = len(files.log) - 1
        files.clear()
        files.fail_at = last
        with pytest.raises(LedgerError):
            ledger.append(story.round_trip())
        killed = tmp_path / "killed"
        killed.mkdir()
        for file in tmp_path.glob("sim.sqlite*"):
            shutil.copy(file, killed)
        seq = ledger.seq
        ledger.close()
    again = Ledger.open(killed / "sim.sqlite", env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)
    assert again.seq == seq
    again.close()
    assert verify(killed / "sim.sqlite").ok


@pytest.mark.parametrize(("refusal", "kind"), [(errno.EDQUOT, LedgerFull), (errno.EIO, LedgerError)])
def test_a_quota_that_is_used_up_is_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: int, kind: type[LedgerError]
) -> None:
    """SQLite tells both as a failed write."""

    def refuse(**_: object) -> None:
        raise OSError(refusal, "refused")

    monkeypatch.setattr(errors, "TemporaryFile", refuse)
    failed = sqlite3.OperationalError("disk I/O error")
    failed.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
    assert type(ledger_error(tmp_path / "sim.sqlite", failed)) is kind


def test_a_reserve_does_not_take_the_last_room_of_a_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the file system has free is not what its user may take."""

    def within_quota(descriptor: int, offset: int, size: int) -> None:
        if size > quota:
            raise OSError(errno.EDQUOT, "over quota")
        os.ftruncate(descriptor, size)

    monkeypatch.setattr(os, "posix_fallocate", within_quota, raising=False)
    quota = 100_000
    assert not Reserve(tmp_path / "sim.sqlite", 60_000).held
    quota = 200_000
    assert Reserve(tmp_path / "sim.sqlite", 60_000).held
    assert (tmp_path / "sim.sqlite.reserve").stat().st_size == 60_000


def test_an_engine_that_died_on_a_full_disk_starts_again_on_its_reserve(small_disk: Path) -> None:
    path = small_disk / "sim.sqlite"
    ledger = Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=1024 * 1024)
    story = Story()
    ledger.append(story.opening())
    ledger.close()
    with (small_disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(bytes(4096)):
            pass
    ledger = Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=1024 * 1024)
    assert not ledger.reserve_held
    assert ledger.load().warnings == ("the disk is full: the reserve was freed to open the ledger",)
    ledger.append(story.round_trip())
    ledger.close()
    assert verify(path).ok
