"""Decimals as venues write them."""

from __future__ import annotations

from decimal import Decimal


def plain(text: str) -> Decimal:
    """`0.10` -> 0.1 and `1E+1` -> 10: no trailing zeros, no exponent above 0; raises decimal.InvalidOperation."""
    number = Decimal(text).normalize()
    return number.quantize(Decimal(1)) if number == number.to_integral_value() else number
