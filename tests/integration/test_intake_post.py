"""What becomes of a mail in the pipeline: whose signal it is, how old, and that strangers hold nothing up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.intake import mail, post
from engine.intake.post import Post
from engine.intake.sources import Registry
from tests.intake_kit import NOON_NS, SECOND, Desk

SERVER = "mx.desk.example"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
BODY = '{"action":"LONG","symbol":"BTCUSDT","quantity":"0.01","exchange":"paper"%s}'


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    made.source("post", mail=("bot@alerts.example",))
    return made


async def delivered(
    desk: Desk, number: int, text: str, arrived: datetime = NOON, domain: str = "alerts.example"
) -> bool:
    """Whether it is dealt with for good."""
    head = (
        f"Authentication-Results: {SERVER}; dkim=pass header.d={domain}\r\nFrom: bot@{domain}\r\n"
        f"Message-ID: <{number}@{domain}>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    )
    taken = Post(desk.pipeline, Registry(desk.home), SERVER)
    return await taken.take((head + text).encode(), arrived)


async def test_no_mail_is_read_on_the_engines_loop(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def off_the_loop(name: str, reader: Callable[..., Any]) -> Callable[..., Any]:
        def checked(*given: Any) -> Any:
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()
            read.append(name)
            return reader(*given)

        return checked

    monkeypatch.setattr(post, "read_envelope", off_the_loop("envelope", mail.read_envelope))
    monkeypatch.setattr(post, "read_letter", off_the_loop("letter", mail.read_letter))
    assert await delivered(desk, 1, BODY % "")
    assert read == ["envelope", "letter"]
    assert len(desk.engine.orders) == 1


async def test_the_text_of_a_stranger_is_not_read_at_all(desk: Desk) -> None:
    assert await delivered(desk, 1, "action: " + "x" * 9_000, domain="evil.example")
    assert desk.pipeline.health()[""].refused == {"ADDRESS": 1}
    assert await delivered(desk, 2, "action: " + "x" * 9_000)
    assert desk.pipeline.health()[""].refused == {"ADDRESS": 1, "TOO_LARGE": 1}


@pytest.mark.parametrize("time", ["", ',"time":null'])
async def test_a_mail_is_as_old_as_its_arrival_where_it_does_not_say(desk: Desk, time: str) -> None:
    assert await delivered(desk, 1, BODY % time, NOON - timedelta(days=3))
    assert desk.pipeline.health()["post"].refused == {"STALE": 1}
    assert await delivered(desk, 2, BODY % time, NOON - timedelta(minutes=4))
    (arrival,) = desk.engine.arrivals
    assert arrival.signal.alert_ns == NOON_NS - 240 * SECOND


async def test_a_mail_is_as_old_as_it_says_where_it_does(desk: Desk) -> None:
    assert await delivered(desk, 1, BODY % ',"time":"2026-01-31T11:00:00Z"')
    assert desk.pipeline.health()["post"].refused == {"STALE": 1}
    assert await delivered(desk, 2, BODY % ',"time":"2026-01-31T11:59:00Z"', NOON - timedelta(days=3))
    assert len(desk.engine.orders) == 1


async def test_a_mail_that_is_delivered_again_is_the_same_whenever_it_arrives(desk: Desk) -> None:
    for number, text in (
        (1, BODY % ',"idempotencyKey":"bar-1"'),
        (2, BODY % ',"idempotencyKey":"bar-1"'),
        (3, BODY % ""),
    ):
        for second in range(3):
            assert await delivered(desk, number, text, NOON + timedelta(seconds=second))
    assert len(desk.engine.orders) == 2
    assert desk.engine.alarms == []
    tally = desk.pipeline.health()["post"]
    assert (tally.taken, tally.repeated, tally.refused) == (2, 7, {})
