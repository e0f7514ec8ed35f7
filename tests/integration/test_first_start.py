"""A first start that fails leaves nothing behind; a ledger that has events is left alone, whatever fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.ledger.store import Ledger
from engine.ledger.verify import verify
from engine.runtime import Engine, StartError
from tests.engine_process import config_for, running


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"symbols": ("NOSUCH",)}, "does not list 'NOSUCH'"),
        ({"env": "paper", "feed": "recording:/nowhere/day.ndjson"}, "cannot read /nowhere/day.ndjson"),
    ],
)
async def test_a_first_start_that_fails_leaves_no_ledger_and_no_reserve(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    config = config_for(tmp_path, **changes)
    with pytest.raises(StartError, match=said):
        await Engine(config).start()
    # The lock stays: removing it would race with an engine that waits for it.
    assert [path.name for path in tmp_path.iterdir()] == [f"{config.ledger.name}.lock"]  # noqa: ASYNC240
    async with running(config_for(tmp_path)):
        pass


async def test_a_later_start_that_fails_leaves_the_ledger_as_it_was(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    async with running(config):
        pass
    before = sorted(path.name for path in tmp_path.iterdir())  # noqa: ASYNC240
    with pytest.raises(StartError, match="does not list 'NOSUCH'"):
        await Engine(config_for(tmp_path, symbols=("NOSUCH",))).start()
    assert sorted(path.name for path in tmp_path.iterdir()) == before  # noqa: ASYNC240
    assert verify(config.ledger).ok


async def test_an_empty_ledger_that_was_there_before_stays(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    Ledger.open(config.ledger, env="sim", feed="simulated", now_ns=1).close()
    with pytest.raises(StartError, match="does not list 'NOSUCH'"):
        await Engine(config_for(tmp_path, symbols=("NOSUCH",))).start()
    assert config.ledger.exists()
