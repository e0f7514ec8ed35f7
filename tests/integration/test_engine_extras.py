"""What an engine does beside guarding what is open - recording, taking signals - never keeps it from that."""

from __future__ import annotations

import re
import socket as sockets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.runtime import EngineConfig, StartError
from engine.runtime.config import IntakeConfig
from tests.engine_process import config_for, long_position, priced, running, until


@pytest.fixture
def taken() -> Iterator[str]:
    """An address at which somebody listens already."""
    with closing(sockets.create_server(("127.0.0.1", 0))) as other:
        yield f"127.0.0.1:{other.getsockname()[1]}"


@pytest.fixture(params=["record", "webhook", "mail"])
def hindered(request: pytest.FixtureRequest, tmp_path: Path, taken: str) -> tuple[EngineConfig, str]:
    """An engine that cannot do one of these, and what it says of it."""
    (tmp_path / "day.gz").write_bytes(b"of yesterday")
    changes: dict[str, tuple[dict[str, Any], str]] = {
        "record": ({"record": tmp_path / "day.gz"}, "record: .*day.gz exists"),
        "webhook": ({"intake": IntakeConfig(home=tmp_path, webhook=taken)}, f"webhook: cannot listen at {taken}"),
        "mail": (
            {"intake": IntakeConfig(home=tmp_path, mail="imaps://me@mail.example")},
            "mail_password_file: missing",
        ),
    }
    change, told = changes[request.param]
    return config_for(tmp_path, volatility=0.1, **change), told


async def test_it_refuses_to_start_while_nothing_is_open(hindered: tuple[EngineConfig, str]) -> None:
    config, told = hindered
    with pytest.raises(StartError, match=told):
        async with running(config):
            pass


async def test_it_starts_without_while_something_is_open_and_alarms(
    hindered: tuple[EngineConfig, str], tmp_path: Path
) -> None:
    config, refusal = hindered
    async with running(config_for(tmp_path, volatility=0.1)) as (_, link):
        await priced(link)
        await long_position(link)
    async with running(config) as (_, link):
        await priced(link)
        assert link.views["positions"].rows
        told = f"NOT_STARTED: {refusal}.*the engine runs without it"
        await until(lambda: [line for line in link.views["log"].lines if re.search(told, line.text)])
