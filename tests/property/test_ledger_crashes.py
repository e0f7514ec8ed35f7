"""Whatever is appended, and wherever it crashes: the next open finds what was acknowledged, no less and no more."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.core.fold import fold
from engine.core.state import State, encode_state
from engine.ledger.store import Ledger
from engine.ledger.verify import verify
from tests.ledger_events import START_NS, Story

SUFFIXES = ("", "-wal", ".head")
"""What a killed process leaves on the disk; the lock dies with it, shared memory is rebuilt."""


class CrashingLedger(RuleBasedStateMachine):
    """Appends, snapshots, clean restarts and crashes in any order; `right` is the fold of what was acknowledged."""

    @initialize(seed=st.integers(0, 1_000))
    def start(self, seed: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ledger-"))
        self.story = Story(seed)
        self.right = State()
        self.lives = 0
        self.ledger = self.open(self.folder / "0.sqlite")
        self.acknowledge(self.story.opening())

    def open(self, path: Path) -> Ledger:
        return Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)

    def acknowledge(self, events: list) -> None:  # type: ignore[type-arg]
        self.ledger.append(events)
        for event in events:
            fold(self.right, event)

    @rule()
    def append(self) -> None:
        self.acknowledge(self.story.anything())

    @rule()
    def snapshot(self) -> None:
        self.ledger.snapshot(self.right)

    @rule()
    def restart(self) -> None:
        self.ledger.close()
        self.ledger = self.open(self.ledger.path)

    @rule(torn=st.integers(0, 3_000))
    def crash(self, torn: int) -> None:
        """Go on from a copy of the files as they lie there, behind them the beginning of a commit that never ended."""
        self.lives += 1
        copy = self.folder / f"{self.lives}.sqlite"
        for suffix in SUFFIXES:
            source = self.ledger.path.with_name(self.ledger.path.name + suffix)
            if source.exists():
                shutil.copyfile(source, copy.with_name(copy.name + suffix))
        with copy.with_name(copy.name + "-wal").open("ab") as log:
            log.write(b"\x07" * torn)
        self.ledger.close()
        self.ledger = self.open(copy)

    @invariant()
    def nothing_is_lost_and_nothing_invented(self) -> None:
        if hasattr(self, "ledger"):
            loaded = self.ledger.load()
            assert loaded.warnings == ()
            assert encode_state(loaded.state) == encode_state(self.right)

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.ledger.close()
            report = verify(self.ledger.path)
            shutil.rmtree(self.folder)
            assert report.ok, report.lines


TestCrashingLedger = CrashingLedger.TestCase
TestCrashingLedger.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
