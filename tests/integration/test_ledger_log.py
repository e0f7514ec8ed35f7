"""A log made long beforehand holds what it held, and a crash finds it so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.core.state import encode_state
from engine.ledger.log import LOG_BYTES, lengthen
from engine.ledger.store import Ledger
from engine.ledger.verify import verify
from tests.ledger_events import Story


def open_ledger(path: Path) -> Ledger:
    return Ledger.open(path, env="sim", feed="simulated", now_ns=1, reserve_bytes=0)


def log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def test_events_before_and_after_are_there_after_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "sim.sqlite"
    ledger, story = open_ledger(path), Story()
    ledger.append(story.opening())
    assert lengthen(path)
    assert log_of(path).stat().st_size == LOG_BYTES
    for _ in range(20):
        ledger.append(story.round_trip())
    expected = encode_state(ledger.load().state)
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for name in (path.name, f"{path.name}-wal", f"{path.name}.head"):
        shutil.copy(tmp_path / name, crashed / name)
    ledger.close()
    found = open_ledger(crashed / path.name)
    assert encode_state(found.load().state) == expected
    found.close()
    assert verify(crashed / path.name).ok


def test_a_log_is_left_as_it_is_where_room_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sim.sqlite"
    ledger = open_ledger(path)
    ledger.append(Story().opening())
    before = log_of(path).stat().st_size
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=LOG_BYTES))
    assert not lengthen(path)
    assert log_of(path).stat().st_size == before
    ledger.close()


def test_a_file_without_a_log_is_no_matter(tmp_path: Path) -> None:
    assert not lengthen(tmp_path / "none.sqlite")
