"""Sizes from money, semantics 7."""
# ruff: noqa: N802 - tests are named for the numbered cases

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.sizing import margin_size, risk_size
from engine.model.instrument import Instrument

D = Decimal
BTC = Instrument(
    "test.perp:BTCUSDT", "test", "perp", "BTCUSDT", "BTC", "USDT",
    D("0.1"), D("0.001"), D("0.001"), D(5), D("0.0002"), D("0.0005"), (), 100,
)  # fmt: skip


def test_Z1_size_by_margin_and_leverage() -> None:
    assert margin_size(BTC, D(100), 10, D("68425.5")) == D("0.014")


def test_Z2_size_by_what_the_stop_may_cost() -> None:
    assert risk_size(BTC, D(50), D(60000), D(59100), D("0.0005")) == D("0.052")
    assert risk_size(BTC, D(50), D(60000), D(59100), D(0)) == D("0.055")


def test_a_stop_at_the_entry_is_refused() -> None:
    with pytest.raises(ValueError, match="stop: 60000 risks nothing"):
        risk_size(BTC, D(50), D(60000), D(60000), D(0))


def test_a_price_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="price: 0 gives no size"):
        margin_size(BTC, D(100), 10, D(0))
