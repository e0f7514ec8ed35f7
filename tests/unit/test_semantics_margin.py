"""Margin and liquidation, semantics 2."""
# ruff: noqa: N802 - tests are named for the numbered cases

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from engine.core.margin import (
    bankruptcy_price,
    cross_liquidation_price,
    liquidation_price,
    maintenance,
    max_leverage,
    required,
    reserve,
    tier_of,
    with_liquidation,
)
from engine.model.account import Position
from engine.model.instrument import Instrument, MaintenanceBasis, MarginModel, VenueProfile, tiers_from

D = Decimal
TIERS = tiers_from(
    [
        (D(0), D(50_000), D("0.004"), 125),
        (D(50_000), D(250_000), D("0.005"), 100),
        (D(250_000), D(1_000_000), D("0.01"), 50),
        (D(1_000_000), D(10_000_000), D("0.025"), 20),
        (D(10_000_000), D(20_000_000), D("0.05"), 10),
    ]
)
BTC = Instrument(
    id="test.perp:BTCUSDT",
    venue="test",
    product="perp",
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick=D("0.1"),
    step=D("0.001"),
    min_size=D("0.001"),
    min_notional=D(5),
    maker_fee=D("0.0002"),
    taker_fee=D("0.0005"),
    tiers=TIERS,
    max_leverage=125,
)


def of(profile: VenueProfile) -> Instrument:
    return msgspec.structs.replace(BTC, profile=profile)


def lot(sign: int, size: str, entry: str, margin: str, leverage: int = 10) -> Position:
    signed = sign * D(size)
    return Position("p", "a", BTC.id, size=signed, cost=signed * D(entry), margin=D(margin), leverage=leverage)


def rounded(price: Decimal | None) -> Decimal:
    assert price is not None
    return round(price, 6)


def test_tiers_are_continuous_and_their_upper_bound_inclusive() -> None:
    assert [tier.cum for tier in TIERS] == [0, 50, 1300, 16300, 266300]
    assert maintenance(BTC, D(50_000)) == D(200) == 50_000 * D("0.005") - 50
    assert max_leverage(BTC, D(50_000)) == 125
    assert max_leverage(BTC, D("50000.01")) == 100
    assert max_leverage(BTC, D(30_000_000)) == 10


@pytest.mark.parametrize(
    ("position", "fee", "expected"),
    [
        pytest.param(lot(1, "1", "20000", "2000"), "0", "18072.289157", id="L1"),
        pytest.param(lot(-1, "1", "20000", "2000"), "0", "21912.350598", id="L2"),
        pytest.param(lot(1, "1", "20000", "400"), "0", "19678.714859", id="L3"),
        pytest.param(lot(1, "1", "20000", "2000"), "0.00055", "18082.274348", id="L4"),
        pytest.param(lot(-1, "1", "20000", "2000"), "0.00055", "21900.353392", id="L5"),
        pytest.param(lot(1, "3", "60000", "18000"), "0", "54254.606365", id="L6"),
        pytest.param(lot(1, "4.3", "60000", "25800"), "0", "54259.670445", id="L7"),
        pytest.param(lot(-1, "4.1", "60000", "24600"), "0", "65660.468486", id="L8"),
        pytest.param(lot(1, "30", "60000", "90000"), "0", "57904.273504", id="L9"),
        pytest.param(lot(1, "1", "20000", "2500"), "0", "17570.281124", id="L10"),
        pytest.param(lot(1, "1", "20000", "1988"), "0", "18084.337349", id="L11"),
    ],
)
def test_L1_to_L11_liquidation_price(position: Position, fee: str, expected: str) -> None:
    assert rounded(liquidation_price(of(VenueProfile(fee_reserve=D(fee))), position)) == D(expected)


def test_L1_equity_is_maintenance_at_the_liquidation_price() -> None:
    position = lot(1, "1", "20000", "2000")
    price = liquidation_price(BTC, position)
    assert price is not None
    assert round(position.margin + position.unrealised(price), 6) == D("72.289157")
    assert round(maintenance(BTC, price), 6) == D("72.289157")
    assert bankruptcy_price(position) == 18000


def test_L2_equity_is_maintenance_and_bankruptcy_of_a_short_lies_above() -> None:
    position = lot(-1, "1", "20000", "2000")
    price = liquidation_price(BTC, position)
    assert price is not None
    assert rounded(position.margin + position.unrealised(price)) == rounded(maintenance(BTC, price)) == D("87.649402")
    assert bankruptcy_price(position) == 22000


def test_L4_equity_is_maintenance_and_the_fee_at_the_liquidation_price() -> None:
    position, fee = lot(1, "1", "20000", "2000"), D("0.00055")
    price = liquidation_price(of(VenueProfile(fee_reserve=fee)), position)
    assert price is not None
    assert rounded(position.margin + position.unrealised(price)) == D("82.274348")
    assert (rounded(maintenance(BTC, price)), rounded(price * fee)) == (D("72.329097"), D("9.945251"))
    assert rounded(required(of(VenueProfile(fee_reserve=fee)), position, price)) == D("82.274348")


@pytest.mark.parametrize(
    ("position", "entry_tier", "wrong", "tier", "notional"),
    [
        pytest.param(lot(1, "3", "60000", "18000"), 2, None, 2, "162763.8191", id="L6"),
        pytest.param(lot(1, "4.3", "60000", "25800"), 3, "54240.075170", 2, "233316.5829", id="L7"),
        pytest.param(lot(-1, "4.1", "60000", "24600"), 2, "65683.776241", 3, "269207.9208", id="L8"),
        pytest.param(lot(1, "30", "60000", "90000"), 4, None, 4, "1737128.2051", id="L9"),
    ],
)
def test_L6_to_L9_the_tier_is_that_of_the_notional_at_the_liquidation_price(
    position: Position, entry_tier: int, wrong: str | None, tier: int, notional: str
) -> None:
    price = liquidation_price(BTC, position)
    assert price is not None
    met = abs(position.size) * price
    assert round(met, 4) == D(notional)
    assert (tier_of(BTC, abs(position.cost)), tier_of(BTC, met)) == (TIERS[entry_tier - 1], TIERS[tier - 1])
    if wrong is not None:
        at_entry = tiers_from([(D(0), None, D(0), 1)])[0]
        at_entry = msgspec.structs.replace(at_entry, mmr=TIERS[entry_tier - 1].mmr, cum=TIERS[entry_tier - 1].cum)
        naive = liquidation_price(msgspec.structs.replace(BTC, tiers=(at_entry,)), position)
        assert rounded(naive) == D(wrong)


def test_L9_the_tier_of_the_collateral_would_be_too_late() -> None:
    position = lot(1, "30", "60000", "90000")
    second = msgspec.structs.replace(TIERS[1], floor=D(0), cap=None)
    late = liquidation_price(msgspec.structs.replace(BTC, tiers=(second,)), position)
    right = liquidation_price(BTC, position)
    assert rounded(late) == D("57284.757119")
    assert right is not None
    assert late is not None
    assert round(right - late) == 620


def test_L3_maintenance_at_entry_value() -> None:
    half_percent = tiers_from([(D(0), None, D("0.005"), 100)])
    old_page = msgspec.structs.replace(BTC, tiers=half_percent, profile=VenueProfile(mm_basis=MaintenanceBasis.ENTRY))
    assert liquidation_price(old_page, lot(1, "1", "20000", "400")) == 19700


def test_L12_an_overmargined_long_has_no_liquidation_price() -> None:
    assert liquidation_price(BTC, lot(1, "0.1", "20000", "2500")) is None
    assert bankruptcy_price(lot(1, "0.1", "20000", "2500")) == 0


@pytest.mark.parametrize(
    ("leverage", "long", "short"),
    [(10, "90.50", "109.50"), (20, "95.25", "104.75"), (50, "98.10", "101.90"), (100, "99.05", "100.95")],
)
def test_L13_fraction_of_the_initial_margin(leverage: int, long: str, short: str) -> None:
    simple = of(VenueProfile(margin_model=MarginModel.FRACTION))
    margin = str(D(100) / leverage)
    assert liquidation_price(simple, lot(1, "1", "100", margin, leverage)) == D(long)
    assert liquidation_price(simple, lot(-1, "1", "100", margin, leverage)) == D(short)


def test_C1_cross_margin_counts_the_loss_of_other_positions() -> None:
    position = lot(1, "1", "20000", "0")
    other = lot(-1, "10", "3000", "0")
    needed = 31000 * D("0.004")
    lost = other.unrealised(D(3100))
    assert (needed, lost) == (124, -1000)
    assert rounded(cross_liquidation_price(BTC, position, D(5000), needed, lost)) == D("16188.755020")
    assert rounded(cross_liquidation_price(BTC, position, D(5000), needed, -lost)) == D("14180.722892")


def test_a_flat_or_tierless_position_has_no_liquidation_price() -> None:
    spot = msgspec.structs.replace(BTC, tiers=())
    assert liquidation_price(BTC, lot(1, "0", "20000", "0")) is None
    assert bankruptcy_price(lot(1, "0", "20000", "0")) is None
    assert liquidation_price(spot, lot(1, "1", "20000", "2000")) is None


def test_the_position_carries_its_liquidation_price_unrounded() -> None:
    position = with_liquidation(BTC, lot(1, "1", "20000", "2000"))
    assert rounded(position.liquidation) == D("18072.289157")


def test_a_working_entry_reserves_its_margin_and_taker_fee() -> None:
    assert reserve(BTC, D("0.5"), D(60000), 10) == 3000 + 15
