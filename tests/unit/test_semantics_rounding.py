"""Rounding at the edge and the size filters, semantics 0."""
# ruff: noqa: N802 - tests are named for the numbered cases

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.rounding import (
    check_size,
    round_limit,
    round_size,
    round_stop,
    round_stop_entry,
    round_take_profit,
)
from engine.model.instrument import Instrument, VenueProfile
from engine.model.market import Side

D = Decimal


def make(
    tick: str = "0.5",
    step: str = "0.001",
    min_size: str = "0",
    min_notional: str = "0",
    max_size: str | None = None,
    exempt: bool = True,
) -> Instrument:
    return Instrument(
        id="test.perp:BTCUSDT",
        venue="test",
        product="perp",
        symbol="BTCUSDT",
        base="BTC",
        quote="USDT",
        tick=D(tick),
        step=D(step),
        min_size=D(min_size),
        min_notional=D(min_notional),
        maker_fee=D("0.0002"),
        taker_fee=D("0.0005"),
        tiers=(),
        max_leverage=100,
        max_size=D(max_size) if max_size else None,
        profile=VenueProfile(reduce_only_exempt_from_min_notional=exempt),
    )


def test_R1_size_rounds_down_to_the_step() -> None:
    assert round_size(make(), D("0.0146144")) == D("0.014")


def test_R2_a_limit_is_never_worse_than_asked() -> None:
    assert round_limit(make(), Side.BUY, D("60000.74")) == D("60000.5")
    assert round_limit(make(), Side.SELL, D("60000.74")) == D("60001.0")


def test_R3_a_stop_never_risks_more_than_asked() -> None:
    assert round_stop(make(), Side.SELL, D("59100.3")) == D("59100.5")
    assert round_stop(make(), Side.BUY, D("60899.7")) == D("60899.5")


def test_R3b_a_stop_that_locks_profit_never_locks_less() -> None:
    assert round_stop(make(), Side.SELL, D("61000.3")) == D("61000.5")


def test_a_stop_entry_rounds_away_from_the_market() -> None:
    assert round_stop_entry(make(), Side.BUY, D("61000.3")) == D("61000.5")
    assert round_stop_entry(make(), Side.SELL, D("59000.3")) == D("59000.0")


def test_a_take_profit_rounds_towards_the_market() -> None:
    assert round_take_profit(make(), Side.SELL, D("61000.3")) == D("61000.0")
    assert round_take_profit(make(), Side.BUY, D("59000.3")) == D("59000.5")


def test_R4_a_size_below_the_step_is_refused() -> None:
    refusal = check_size(make(step="0.01"), D("0.009"), D(60000), False, False)
    assert refusal is not None
    assert refusal.code == "BELOW_STEP"
    assert "0.009" in refusal.message
    assert "0.01" in refusal.message


def test_R5_a_notional_below_the_minimum_is_refused() -> None:
    refusal = check_size(make(min_notional="5"), D("0.001"), D(4000), False, False)
    assert refusal is not None
    assert refusal.code == "BELOW_MIN_NOTIONAL"
    assert refusal.message == ("size: 0.001 at 4000 is worth 4, below the minimum notional 5; ask for 0.002 or more")


def test_R5_a_whole_close_is_exempt_where_the_venue_exempts_it() -> None:
    strict = make(min_notional="5", exempt=False)
    assert check_size(make(min_notional="5"), D("0.001"), D(4000), True, True) is None
    assert check_size(make(min_notional="5"), D("0.001"), D(4000), True, False) is not None
    assert check_size(strict, D("0.001"), D(4000), True, True) is not None


@pytest.mark.parametrize(("size", "code"), [("0.004", "BELOW_MIN_SIZE"), ("10.001", "ABOVE_MAX_SIZE")])
def test_sizes_outside_the_venue_limits_are_refused(size: str, code: str) -> None:
    refusal = check_size(make(min_size="0.005", max_size="10"), D(size), None, False, False)
    assert refusal is not None
    assert refusal.code == code
    assert refusal.message.startswith(f"size: {size} ")


def test_a_rest_below_the_minimum_size_can_always_be_closed() -> None:
    assert check_size(make(min_size="0.005"), D("0.004"), D(60000), True, True) is None


def test_a_size_is_checked_after_rounding() -> None:
    assert check_size(make(max_size="1"), D("1.0009"), D(60000), False, False) is None
