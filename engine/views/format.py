"""How numbers are written on a screen: to the instrument's tick and step, money to two places. Unknown stays None.

What rounds to nothing is no loss: it has no minus.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from engine.model.instrument import Instrument

SEPARATED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?%?")


def clean(text: str) -> str:
    """Text from outside without control characters: an escape sequence in a signal must not reach the terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "·" for c in text)


def places(step: Decimal) -> int:
    """Decimal places of a tick or step: 0.10 -> 1."""
    exponent = step.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def price(instrument: Instrument, value: Decimal | None) -> str | None:
    """A price with the tick's places; no thousands separators, so that it can be typed and read back."""
    return None if value is None else f"{value:.{places(instrument.tick)}f}"


def size(instrument: Instrument, value: Decimal) -> str:
    """A size, unsigned, with the step's places."""
    return f"{abs(value):.{places(instrument.step)}f}"


def money(value: Decimal | None) -> str | None:
    """Money with two places and thousands apart."""
    return None if value is None else f"{value:z,.2f}"


def signed(value: Decimal | None) -> str | None:
    """Money with its sign."""
    return None if value is None else f"{value:+z,.2f}"


def percent(value: Decimal | None, digits: int = 2) -> str | None:
    """A fraction as a signed percentage."""
    return None if value is None else f"{value * 100:+z,.{digits}f}%"


def sign(value: Decimal | None) -> int:
    """-1, 0 or +1 as it will be shown: a loss below a cent is not red."""
    if value is None:
        return 0
    cents = value.quantize(Decimal("0.01"), ROUND_HALF_EVEN)
    return (cents > 0) - (cents < 0)


def ratio(value: Decimal, whole: Decimal) -> Decimal | None:
    """value / whole; None without a whole."""
    return value / whole if whole else None


def count(number: int, noun: str) -> str:
    """`1 position`, `2 positions`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def without_separators(data: Any) -> Any:
    """View data for programs: 10,000.00 -> 10000.00."""
    if isinstance(data, dict):
        return {key: without_separators(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [without_separators(value) for value in data]
    return data.replace(",", "") if isinstance(data, str) and SEPARATED.fullmatch(data) else data
