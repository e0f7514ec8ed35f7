"""A moment of the past as a person writes it: an event's number, a time in UTC, or so long before the last event."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from msgspec import Struct

HOW = "write an event's number, 2026-11-20T19:05, 19:05:30, or -5m"
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_BACK = re.compile(r"-(\d+(?:\.\d+)?)\s*([smhd])")
_OF_DAY = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_SECONDS = re.compile(r"((?:.*[T ])?\d{1,2}:\d{2}:\d{2})(?:[.,](\d{1,9}))?(.*)", re.ASCII)
"""A time to the second, its fraction, and its zone."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000_000
_LONGEST = 18
"""Digits of an event's number."""


class BadMoment(ValueError):
    """A text that names no moment; says which and how to write one."""

    def __init__(self, text: str) -> None:
        super().__init__(f"moment: {text!r} is none; {HOW}")


class Until(Struct, frozen=True):
    """An event's number, or a time (ns UTC): one of them."""

    seq: int | None = None
    time_ns: int | None = None

    @property
    def text(self) -> str:
        """In words."""
        return f"event {self.seq}" if self.seq is not None else f"{utc(self.time_ns or 0)} UTC"


def parse(text: str, last_ns: int) -> Until:
    """The moment a text means; a time without a zone is UTC, one without a day is of the day of `last_ns`.

    Raises BadMoment.
    """
    return _parse(text, last_ns)[0]


def parse_until(text: str, last_ns: int) -> Until:
    """The same, with all of its last digit: what is shown as 19:05:30.121 happened within that millisecond."""
    until, span = _parse(text, last_ns)
    return until if until.time_ns is None else Until(time_ns=until.time_ns + span - 1)


def _parse(text: str, last_ns: int) -> tuple[Until, int]:
    """The moment, and how many ns its last digit spans; a day or a minute means its beginning."""
    plain = text.strip()
    if plain.isascii() and plain.isdecimal():
        if len(plain) > _LONGEST or int(plain) < 1:
            raise BadMoment(text)
        return Until(seq=int(plain)), 1
    try:
        if match := _BACK.fullmatch(plain):
            time_ns, span = last_ns - round(float(match[1]) * _UNITS[match[2]] * _SECOND), 1
        else:
            time_ns, span = _time(plain, last_ns)
        utc(time_ns)  # what cannot be shown is no moment
    except (ValueError, OverflowError):
        raise BadMoment(text) from None
    return Until(time_ns=time_ns), span


def _time(plain: str, last_ns: int) -> tuple[int, int]:
    fraction, span = 0, 1
    if match := _SECONDS.fullmatch(plain):
        plain, digits = match[1] + match[3], match[2] or ""
        span = int(10 ** (9 - len(digits)))
        fraction = int(digits or "0") * span
    if match := _OF_DAY.fullmatch(plain):
        day = _EPOCH + timedelta(microseconds=last_ns // 1_000)
        hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
        return _ns(day.replace(hour=hour, minute=minute, second=second, microsecond=0)) + fraction, span
    moment = datetime.fromisoformat(plain)
    return _ns(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)) + fraction, span


def utc(time_ns: int, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A moment as UTC date and time."""
    return (_EPOCH + timedelta(microseconds=time_ns // 1_000)).strftime(form)


def _ns(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1_000
