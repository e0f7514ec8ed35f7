"""A close in any parts is worth what one close is, and gives all of the margin back (semantics 1.2, 2)."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.margin import liquidation_price, required
from engine.core.positions import apply_fill
from engine.model.account import Position
from engine.model.instrument import MaintenanceBasis, MarginModel, VenueProfile
from engine.model.market import Side
from engine.model.money import ZERO, round_cost
from tests.kit import TIERS, instrument

D = Decimal
PROFILES = (
    VenueProfile(),
    VenueProfile(fee_reserve=D("0.00055")),
    VenueProfile(mm_basis=MaintenanceBasis.ENTRY),
    VenueProfile(margin_model=MarginModel.FRACTION),
)
sides = st.sampled_from(Side)
lots = st.lists(st.tuples(st.integers(1, 10**9), st.integers(1, 10**12)), min_size=1, max_size=5)
"""Sizes of 1e-8 to 10, prices of 0.001 to 1e9."""


def opened(side: Side, parts: list[tuple[int, int]], leverage: int) -> Position:
    lot = Position("p", "a", "i", leverage=leverage)
    for size, price in parts:
        lot, _ = apply_fill(lot, side.sign * D(size).scaleb(-8), D(price).scaleb(-3))
    return lot


@given(sides, lots, st.integers(1, 125), st.integers(1, 10**12), st.lists(st.integers(1, 99), max_size=8))
@settings(max_examples=300)
def test_a_close_in_any_parts_is_worth_one_close(
    side: Side, parts: list[tuple[int, int]], leverage: int, price: int, shares: list[int]
) -> None:
    lot = opened(side, parts, leverage)
    at = D(price).scaleb(-3)
    once, whole = apply_fill(lot, -lot.size, at)
    realised = ZERO
    for share in shares:
        part = (lot.size * share / 100).quantize(D("1E-8"))
        if part and part != lot.size:
            entry = lot.entry
            lot, made = apply_fill(lot, -part, at)
            realised += made
            assert entry is not None
            assert lot.entry is not None
            assert abs(lot.cost - lot.size * entry) <= D("1E-8"), "a reduction moved the average price"
    lot, made = apply_fill(lot, -lot.size, at)
    assert realised + made == whole == once.realised == lot.realised
    assert (lot.size, lot.cost, lot.margin) == (0, 0, 0)


@given(sides, st.sampled_from(TIERS[:-1]), st.integers(-3, 3), st.integers(1, 100), st.sampled_from(PROFILES))
@settings(max_examples=300)
def test_liquidation_solves_its_equation_at_the_bounds_of_every_tier(
    side: Side, tier: object, nudge: int, leverage: int, profile: VenueProfile
) -> None:
    """The notional AT the liquidation price lies on a bound, or a hair beside it: margin is chosen so."""
    perp = instrument(profile=profile)
    cap = tier.cap  # type: ignore[attr-defined]
    size, price = side.sign * D("2.5"), (cap + D(nudge).scaleb(-6)) / D("2.5")
    probe = Position(
        "p", "a", perp.id, size=size, cost=size * price * (1 + side.sign * D(1) / leverage), leverage=leverage
    )
    needed = required(perp, probe, price)
    assert needed is not None
    margin = round_cost(needed - probe.unrealised(price))
    if margin <= 0:
        return
    position = Position("p", "a", perp.id, size=size, cost=probe.cost, margin=margin, leverage=leverage)
    found = liquidation_price(perp, position)
    assert found is not None
    assert abs(found - price) < D("1E-6")
    for off, alive in ((D("1E-5"), True), (D("-1E-5"), False)):
        at = found + side.sign * off
        wanted = required(perp, position, at)
        assert wanted is not None
        assert (position.margin + position.unrealised(at) > wanted) is alive
