"""Position maths for any sequence of fills: semantics 1.4, 2 and the invariants 1 and 12."""

from __future__ import annotations

from decimal import Decimal
from itertools import accumulate

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from engine.core.margin import bankruptcy_price, liquidation_price, maintenance
from engine.core.positions import apply_fill, split_fill
from engine.model.account import Position
from engine.model.instrument import Instrument, Tier, VenueProfile, tiers_from
from engine.model.market import Side
from engine.model.money import ZERO, round_cost

D = Decimal
BTC = Instrument(
    "test.perp:BTCUSDT", "test", "perp", "BTCUSDT", "BTC", "USDT",
    D("0.1"), D("0.001"), D("0.001"), D(5), D("0.0002"), D("0.0005"),
    tiers_from([
        (D(0), D(50_000), D("0.004"), 125), (D(50_000), D(250_000), D("0.005"), 100),
        (D(250_000), D(1_000_000), D("0.01"), 50), (D(1_000_000), None, D("0.025"), 20),
    ]), 125,
)  # fmt: skip

sides = st.sampled_from(Side)
sizes = st.integers(1, 20_000).map(lambda n: D(n).scaleb(-3))
prices = st.integers(1, 2_000_000).map(lambda n: D(n).scaleb(-1))
fees = st.integers(-1000, 100_000).map(lambda n: D(n).scaleb(-4))


def tier_table(steps: list[tuple[int, int]]) -> tuple[Tier, ...]:
    """A table of tiers so wide, each asking for so much more than the one before, in hundredths of a percent."""
    caps = list(accumulate(D(width) for width, _ in steps))
    rates = accumulate(D(more).scaleb(-4) for _, more in steps)
    return tiers_from(
        [(floor, cap, rate, 100) for floor, cap, rate in zip([ZERO, *caps], [*caps[:-1], None], rates, strict=False)]
    )


tables = st.one_of(
    st.just(BTC.tiers),
    st.lists(st.tuples(st.integers(1, 900_000), st.integers(0, 300)), min_size=1, max_size=6).map(tier_table),
)
fills = st.lists(st.tuples(sides, sizes, prices, fees), min_size=1, max_size=30)


@given(fills, prices, st.integers(1, 125))
def test_money_is_conserved_after_every_fill(
    sequence: list[tuple[Side, Decimal, Decimal, Decimal]], mark: Decimal, leverage: int
) -> None:
    lot = Position("p0", "a", BTC.id, leverage=leverage)
    realised = paid = charged = fees_booked = ZERO
    for number, (side, size, price, fee) in enumerate(sequence, 1):
        for part in split_fill(lot, side, size, fee):
            if not lot.size:
                lot = Position(f"p{number}", "a", BTC.id, leverage=leverage)
            lot, gain = apply_fill(lot, side.sign * part.size, price, part.fee)
            realised += gain
            fees_booked += part.fee
            assert lot.margin >= 0
            assert lot.entered - lot.exited == abs(lot.size)
        paid += side.sign * size * price
        charged += fee
        assert realised + lot.unrealised(mark) == lot.size * mark - paid
        assert fees_booked == charged


@given(sides, sizes, prices, st.integers(1, 100), st.sampled_from(["0", "0.00055"]))
def test_liquidation_solves_its_equation_and_lies_between_bankruptcy_and_entry(
    side: Side, size: Decimal, entry: Decimal, leverage: int, fee: str
) -> None:
    margin = round_cost(size * entry / leverage)
    signed = side.sign * size
    position = Position("p", "a", BTC.id, size=signed, cost=signed * entry, margin=margin, leverage=leverage)
    instrument = msgspec.structs.replace(BTC, profile=VenueProfile(fee_reserve=D(fee)))
    price = liquidation_price(instrument, position)
    bankruptcy = bankruptcy_price(position)
    assert bankruptcy is not None
    if price is None:
        assert side is Side.BUY
        assert margin >= position.cost
        return
    needed = maintenance(instrument, size * price) + size * price * D(fee)
    assert abs(margin + position.unrealised(price) - needed) < D("1e-6")
    if margin <= maintenance(instrument, size * entry) + size * entry * D(fee):
        return
    assert side.sign * bankruptcy < side.sign * price < side.sign * entry


@given(tables, st.integers(1, 1000).map(lambda n: D(n).scaleb(-9)))
def test_maintenance_has_no_step_at_a_tier_boundary(table: tuple[Tier, ...], nudge: Decimal) -> None:
    instrument = msgspec.structs.replace(BTC, tiers=table)
    for tier in table[:-1]:
        assert tier.cap is not None
        assert 0 <= maintenance(instrument, tier.cap + nudge) - maintenance(instrument, tier.cap) <= nudge


@given(tables, st.integers(1, 4_000_000).map(D))
def test_maintenance_is_what_each_tier_asks_for_its_own_part(table: tuple[Tier, ...], notional: Decimal) -> None:
    parts = [max(ZERO, min(notional, t.cap or notional) - t.floor) * t.mmr for t in table]
    assert maintenance(msgspec.structs.replace(BTC, tiers=table), notional) == sum(parts)
