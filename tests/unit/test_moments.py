"""A moment of the past as a person writes it."""

from __future__ import annotations

import pytest

from hoox_tui.moments import BadMoment, Until, parse, parse_until, utc

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


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-11-20 19:46:33.121", "33.121000000", "33.121999999"),
        ("2026-11-20T19:46:33.121045Z", "33.121045000", "33.121045999"),
        ("2026-11-20 19:46:33,121045678", "33.121045678", "33.121045678"),
        ("2026-11-20T21:46:33.1+02:00", "33.100000000", "33.199999999"),
        ("19:46:33.121", "33.121000000", "33.121999999"),
        ("19:46:33", "33.000000000", "33.999999999"),
        ("2026-11-20T19:46:33", "33.000000000", "33.999999999"),
    ],
)
def test_until_a_time_copied_from_a_screen_is_all_of_its_last_digit(text: str, first: str, last: str) -> None:
    minute = LAST // (60 * 10**9) * 60 * 10**9
    at, until = parse(text, LAST).time_ns, parse_until(text, LAST).time_ns
    assert at is not None
    assert until is not None
    assert f"{(at - minute) / 10**9:012.9f}" == first
    assert f"{(until - minute) / 10**9:012.9f}" == last


@pytest.mark.parametrize("text", ["19:46", "2026-11-20", "2026-11-20T19:46+00:00", "-5m", "12"])
def test_until_a_day_or_a_minute_is_until_its_beginning(text: str) -> None:
    assert parse_until(text, LAST) == parse(text, LAST)


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00+14:00",
        "9999-12-31T23:59-14:00",
        "-99999999999d",
        f"-{'9' * 400}s",
        "9" * 5_000,
        "19:46:33.1234567890",
    ],
)
def test_what_no_calendar_holds_is_refused_like_any_other_text(text: str) -> None:
    with pytest.raises(BadMoment, match="is none; write an event's number"):
        parse_until(text, LAST)


@pytest.mark.parametrize("text", ["", "0", "yesterday", "25:00", "2026-13-01", "-5", "5m", "-5y", "١٢", "1e9"])
def test_anything_else_is_refused_with_the_ways_to_write_it(text: str) -> None:
    with pytest.raises(BadMoment, match=r"is none; write an event's number, 2026-11-20T19:05, 19:05:30, or -5m"):
        parse(text, LAST)
