"""A moment of the past as a person writes it."""

from __future__ import annotations

import pytest

from hoox_tui.moments import BadMoment, Until, parse, utc

LAST = 1_795_203_993_121_000_000
"""2026-11-20 19:46:33.121 UTC."""


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("2026-11-20T19:05", "2026-11-20 19:05:00"),
        ("2026-11-20 19:05:12", "2026-11-20 19:05:12"),
        ("2026-11-20T19:05+02:00", "2026-11-20 17:05:00"),
        ("2026-11-20T19:05Z", "2026-11-20 19:05:00"),
        ("2026-11-20", "2026-11-20 00:00:00"),
        ("19:05", "2026-11-20 19:05:00"),
        (" 9:05:30 ", "2026-11-20 09:05:30"),
        ("-5m", "2026-11-20 19:41:33"),
        ("-2h", "2026-11-20 17:46:33"),
        ("-1.5d", "2026-11-19 07:46:33"),
    ],
)
def test_a_time_without_a_zone_is_utc_and_without_a_day_of_the_last_one(text: str, means: str) -> None:
    until = parse(text, LAST)
    assert until.seq is None
    assert utc(until.time_ns or 0) == means
    assert until.text == f"{means} UTC"


def test_a_number_is_an_event() -> None:
    assert parse("123", LAST) == Until(seq=123)
    assert parse("123", LAST).text == "event 123"


@pytest.mark.parametrize("text", ["", "0", "yesterday", "25:00", "2026-13-01", "-5", "5m", "-5y", "١٢", "1e9"])
def test_anything_else_is_refused_with_the_ways_to_write_it(text: str) -> None:
    with pytest.raises(BadMoment, match=r"is none; write an event's number, 2026-11-20T19:05, 19:05:30, or -5m"):
        parse(text, LAST)
