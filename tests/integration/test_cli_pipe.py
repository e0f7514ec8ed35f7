"""What a command does when nobody reads on: `hoox close --all --yes | head -1`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.model.command import ClosePosition
from tests.integration.test_cli import Cli, cli, engine
from tests.small_engine import SmallEngine

__all__ = ["cli", "engine"]
ROOT = Path(__file__).parents[2]


def hoox(*words: str) -> subprocess.CompletedProcess[str]:
    """The command, its output into a pipe whose reader is gone."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "hoox_tui", *words]
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    try:
        return subprocess.run(
            command,
            stdout=writer,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=environ,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)


def test_a_close_that_was_agreed_to_is_sent_though_nobody_reads_its_preview(cli: Cli, engine: SmallEngine) -> None:
    done = hoox("close", "--all", "--yes")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "done")
    assert [type(command) for command in engine.carried_out] == [ClosePosition]


@pytest.mark.parametrize("words", [["close", "--all"], ["cancel", "--all"]])
def test_what_nobody_agreed_to_is_not_sent_and_that_is_said(cli: Cli, engine: SmallEngine, words: list[str]) -> None:
    done = hoox(*words)
    assert done.returncode == 1
    assert "nothing was done: nobody reads what it would do; add --yes" in done.stderr
    assert engine.carried_out == []


def test_a_table_that_nobody_reads_on_ends_quietly(cli: Cli, engine: SmallEngine) -> None:
    done = hoox("positions")
    assert (done.returncode, done.stderr) == (0, "")
