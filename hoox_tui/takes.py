"""How the values of settings are read: from text, as flags and variables give them, and from what TOML knows."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

MOST = 10**12
"""Whole numbers and money go no further: what is computed from them must fit."""


class Takes(NamedTuple):
    """How a setting's value is read (raises when it cannot be), and what a person is told it takes."""

    read: Callable[[Any], Any]
    text: str


def text(value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        raise ValueError
    return value


def some_text(value: Any) -> str:
    """A text that is not empty."""
    if not value:
        raise ValueError
    return text(value)


def listed(value: Any) -> tuple[str, ...]:
    """Words with commas between, or a list of them."""
    words = value.split(",") if isinstance(value, str) else [text(word) for word in value]
    return tuple(word.strip() for word in words if word.strip())


def words(value: Any) -> tuple[str, ...]:
    """The same in capitals."""
    return tuple(word.upper() for word in listed(value))


def one_of(*choices: str) -> Callable[[Any], str]:
    """One of these words."""

    def read(value: Any) -> str:
        if value not in choices:
            raise ValueError
        return str(value)

    return read


def whole(least: int) -> Callable[[Any], int]:
    """A whole number."""

    def read(value: Any) -> int:
        number = int(digits(value))
        if not least <= number <= MOST:
            raise ValueError
        return number

    return read


def number(least: float, most: float = inf) -> Callable[[Any], float]:
    """A number within its bounds."""

    def read(value: Any) -> float:
        number = float(digits(value))
        if not least <= number <= most or number == inf:
            raise ValueError
        return number

    return read


def speed(value: Any) -> float:
    """A pace; 0, or max, is as fast as it goes."""
    return 0.0 if isinstance(value, str) and value.strip().lower() == "max" else number(0)(value)


def money(value: Any) -> Decimal:
    """An amount above 0."""
    amount = Decimal(digits(value))
    if not (amount.is_finite() and 0 < amount <= MOST):
        raise ValueError
    return amount


def balance(value: Any) -> Decimal:
    """Money of an account, which has 8 places."""
    amount = money(value)
    if amount != round(amount, 8):
        raise ValueError
    return amount


def limit(value: Any) -> Decimal | None:
    """An amount above 0, or off."""
    return None if isinstance(value, str) and value.strip().lower() == "off" else money(value)


def yes_or_no(value: Any) -> bool:
    """A truth, in words or digits."""
    if isinstance(value, bool):
        return value
    word = text(value).strip().lower()
    if word not in ("yes", "true", "1", "no", "false", "0"):
        raise ValueError
    return word in ("yes", "true", "1")


def digits(value: Any) -> str:
    """The text of a number; of a float the shortest that means it, and a truth is no number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise ValueError
    return str(value)


def folder(value: Any) -> Path:
    """A path, made absolute."""
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError
    return Path(value).expanduser().absolute()


def address(value: Any) -> str:
    """HOST:PORT; empty when it is off."""
    where = "" if value is False else text(value).strip().lower()
    if where in ("", "off"):
        return ""
    host, colon, port = where.rpartition(":")
    if not (host and colon and port.isdecimal()):
        raise ValueError
    return where


def file(value: Any) -> Path | None:
    """A path, or none."""
    return None if value == "" else folder(value)
