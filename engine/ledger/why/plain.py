"""Numbers, names and who asked, as a person reads them in a chain."""

from __future__ import annotations

from decimal import Decimal

Facts = tuple[tuple[str, str], ...]
Said = tuple[str, Facts]
_PLACES = Decimal("1e-8")


def number(value: Decimal | int) -> str:
    """A number without trailing zeros; what was divided is rounded to 8 places."""
    if isinstance(value, int):
        return str(value)
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -8:
        value = value.quantize(_PLACES)
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def signed(value: Decimal) -> str:
    """A gain carries its plus."""
    text = number(value)
    return f"+{text}" if value > 0 and text != "0" else text


def symbol(instrument: str) -> str:
    """`sim.perp:BTCUSDT` -> `BTCUSDT`."""
    return instrument.partition(":")[2] or instrument


def asker(owner: str) -> str:
    """Who asked, as the subject of a sentence."""
    kind, _, name = owner.partition(":")
    return {"hand": "a person", "venue": "the venue"}.get(owner) or (
        f"{kind} {name}" if name else owner or "the engine"
    )
