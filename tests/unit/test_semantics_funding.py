"""Funding, semantics 3."""
# ruff: noqa: N802 - tests are named for the numbered cases

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.funding import apply_funding, compounded_apr, hourly, payment, predicted_rate, simple_apr
from engine.model.account import Position

D = Decimal


def lot(size: str, margin: str = "0") -> Position:
    return Position("p", "a", "i", size=D(size), cost=D(size) * 60000, margin=D(margin), leverage=10)


def test_F1_longs_pay_a_positive_rate() -> None:
    assert payment(D("1.5"), D(60000), D("0.0001")) == D("-9.00")


def test_F2_shorts_pay_a_negative_rate() -> None:
    assert payment(D("-1.5"), D(60000), D("-0.00025")) == D("-22.50")


@pytest.mark.parametrize(("premium", "rate"), [("0.0003", "0.0001"), ("-0.0009", "-0.0004"), ("0.0012", "0.0007")])
def test_F3_predicted_rate(premium: str, rate: str) -> None:
    assert predicted_rate(D(premium), D("0.0001")) == D(rate)


def test_F4_rates_of_other_spans() -> None:
    assert hourly(D("0.0001"), 8) == D("0.0000125")
    assert simple_apr(D("0.0001"), 8) == D("0.1095")
    assert round(compounded_apr(D("0.0001"), 8), 6) == D("0.115714")


@pytest.mark.parametrize(
    ("amount", "free", "margin"),
    [("-12", "100", "2000"), ("-12", "0", "1988"), ("-12", "5", "1993"), ("-12", "-3", "1988"), ("12", "0", "2000")],
)
def test_margin_pays_only_what_free_money_cannot(amount: str, free: str, margin: str) -> None:
    after = apply_funding(lot("1", "2000"), D(amount), D(free))
    assert (after.margin, after.funding) == (D(margin), D(amount))


def test_margin_never_goes_below_zero() -> None:
    assert apply_funding(lot("1", "5"), D(-12), D(0)).margin == 0
