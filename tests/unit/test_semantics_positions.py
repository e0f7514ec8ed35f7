"""Position maths, semantics 1 and the reduce-only clip of 5."""
# ruff: noqa: N802 - tests are named for the numbered cases

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.positions import (
    apply_fill,
    break_even,
    clip_reduce_only,
    even_stop,
    harmonic_entry,
    inverse_pnl,
    is_dust,
    split_fill,
    spot_holding,
)
from engine.model.account import Position
from engine.model.instrument import Instrument
from engine.model.market import Side
from engine.model.money import ZERO
from tests.kit import instrument as perpetual

D = Decimal
BUY, SELL = Side.BUY, Side.SELL


class Book:
    """Netting as the desk does it: a flip closes one lot and opens the next."""

    def __init__(self, leverage: int = 1) -> None:
        self.leverage = leverage
        self.lots = [self._new()]

    def _new(self) -> Position:
        return Position(f"p{len(getattr(self, 'lots', []))}", "a", "test.perp:BTCUSDT", leverage=self.leverage)

    def fill(self, side: Side, size: str, price: str, fee: str = "0") -> Position:
        for part in split_fill(self.lots[-1], side, D(size), D(fee)):
            if not part.closing and self.lots[-1].closed_ns:
                self.lots.append(self._new())
            self.lots[-1], _ = apply_fill(
                self.lots[-1], side.sign * part.size, D(price), part.fee, time_ns=7, reason="close"
            )
        return self.lots[-1]

    @property
    def realised(self) -> Decimal:
        return sum((lot.realised for lot in self.lots), ZERO)

    @property
    def fees(self) -> Decimal:
        return sum((lot.fees for lot in self.lots), ZERO)


def test_P1_a_partial_close_realises_its_share() -> None:
    book = Book()
    book.fill(BUY, "0.1", "50000", "5")
    lot = book.fill(SELL, "0.05", "60000", "2.5")
    assert (lot.realised, lot.fees, lot.net) == (500, D("7.5"), D("492.5"))
    assert (lot.size, lot.entry) == (D("0.05"), 50000)
    assert lot.unrealised(D(60000)) == 500


def test_P2_a_flip_closes_one_lot_and_opens_another() -> None:
    book = Book()
    book.fill(SELL, "0.1", "50000", "5")
    book.fill(BUY, "0.2", "40000", "10")
    old, new = book.lots
    assert (old.realised, old.fees, old.net, old.size) == (1000, 10, 990, 0)
    assert (new.size, new.entry, new.net) == (D("0.1"), 40000, -5)
    assert old.net + new.net == 985


def test_P3_long_to_short_to_flat() -> None:
    book = Book()
    book.fill(BUY, "100", "50")
    lot = book.fill(SELL, "150", "55")
    assert (book.realised, lot.size, lot.entry) == (500, -50, 55)
    lot = book.fill(BUY, "50", "52")
    assert (book.realised, lot.size, lot.entry) == (650, 0, None)


def test_P4_six_fills_and_a_flip() -> None:
    fills = [
        (BUY, "0.30", "61000", "0.30", "61000", "0", "9.15"),
        (BUY, "0.20", "60500.5", "0.50", "60800.2", "0", "15.20005"),
        (SELL, "0.10", "61800", "0.40", "60800.2", "99.98", "18.29005"),
        (BUY, "0.15", "59999.9", "0.55", "60581.93636364", "99.98", "22.7900425"),
        (SELL, "0.40", "62010.1", "0.15", "60581.93636367", "671.24545455", "35.1920625"),
        (SELL, "0.25", "61500", "-0.10", "61500", "808.95500000", "42.8795625"),
    ]
    book = Book()
    for side, size, price, expected_size, entry, realised, fees in fills:
        lot = book.fill(side, size, price, str(D(size) * D(price) * D("0.0005")))
        assert lot.size == D(expected_size)
        assert lot.entry is not None
        assert round(lot.entry, 8) == D(entry)
        assert (book.realised, book.fees) == (D(realised), D(fees))
    unrealised = lot.unrealised(D(61750))
    assert unrealised == -25
    assert book.realised - book.fees + unrealised == D("741.0754375")


def test_P4_the_fee_of_the_flip_splits_by_size() -> None:
    lot = Position("p", "a", "i", size=D("0.15"), cost=D("9087.29"))
    parts = split_fill(lot, SELL, D("0.25"), D("7.6875"))
    assert [(part.size, part.fee, part.closing) for part in parts] == [
        (D("0.15"), D("4.6125"), True),
        (D("0.10"), D("3.075"), False),
    ]


def test_P5_inverse_pnl_is_in_coin() -> None:
    assert round(inverse_pnl(1, D(60000), D(50000), D(52000)), 10) == D("0.0461538462")
    assert round(inverse_pnl(-1, D(60000), D(50000), D(52000)), 10) == D("-0.0461538462")


def test_P6_inverse_entry_is_harmonic() -> None:
    entry = harmonic_entry([(D(10000), D(50000)), (D(20000), D(40000))])
    assert entry is not None
    assert round(entry, 6) == D("42857.142857")
    assert harmonic_entry([]) is None


def test_P7_a_base_fee_changes_the_holding_and_dust_is_not_flat(instrument: Instrument) -> None:
    holding = spot_holding(ZERO, BUY, D("1.0"), D("0.001"))
    assert holding == D("0.999")
    assert not is_dust(instrument, holding)
    holding = spot_holding(holding, SELL, D("0.999"), D("0.000999"))
    assert holding == D("-0.000999")
    assert is_dust(instrument, holding)
    assert not is_dust(instrument, ZERO)


@pytest.fixture
def instrument() -> Instrument:
    return Instrument(
        "test.spot:BTCUSDT", "test", "spot", "BTCUSDT", "BTC", "USDT",
        D("0.01"), D("0.001"), D("0.001"), D(5), D("0.001"), D("0.001"), (), 1,
    )  # fmt: skip


@pytest.mark.parametrize(("size", "stop"), [("0.1", "61061.1"), ("-0.1", "60939.0")])
def test_P8_a_stop_at_break_even_stands_on_the_tick_that_does_not_lose(size: str, stop: str) -> None:
    btc = perpetual()
    assert even_stop(btc, Position("P1", "main", btc.id, size=D(size), cost=D(size) * 61000)) == D(stop)
    assert even_stop(btc, Position("P1", "main", btc.id)) is None


def test_P8_break_even_pays_both_fees() -> None:
    fee = D("0.0005")
    assert round(break_even(1, D(61000), fee, fee), 10) == D("61061.0305152576")
    assert round(break_even(-1, D(61000), fee, fee), 10) == D("60939.0304847576")


def test_margin_is_added_with_a_lot_and_released_with_what_is_closed() -> None:
    book = Book(leverage=10)
    assert book.fill(BUY, "0.3", "60000").margin == 1800
    assert book.fill(BUY, "0.1", "61000").margin == 2410
    assert book.fill(SELL, "0.1", "65000").margin == D("1807.5")
    assert book.fill(SELL, "0.3", "65000").margin == 0


def test_a_lot_remembers_what_went_in_and_out_and_when() -> None:
    book = Book()
    book.fill(BUY, "0.3", "60000")
    lot = book.fill(BUY, "0.1", "61000")
    assert (lot.entered, lot.entered_value, lot.opened_ns, lot.closed_ns) == (D("0.4"), 24100, 7, 0)
    lot = book.fill(SELL, "0.4", "62000")
    assert (lot.exited, lot.exited_value, lot.closed_ns, lot.exit_reason) == (D("0.4"), 24800, 7, "close")


def test_a_lot_opens_once() -> None:
    lot, _ = apply_fill(Position("p", "a", "i"), D(1), D(100), time_ns=7)
    lot, _ = apply_fill(lot, D(1), D(100), time_ns=8)
    assert lot.opened_ns == 7
    lot, _ = apply_fill(lot, D(-1), D(100), time_ns=9, reason="close")
    assert (lot.opened_ns, lot.closed_ns, lot.exit_reason) == (7, 0, "")


def test_nothing_is_left_of_a_lot_closed_in_uneven_parts() -> None:
    book = Book(leverage=3)
    book.fill(SELL, "0.7", "60000.1")
    for _ in range(7):
        lot = book.fill(BUY, "0.1", "59999.3")
    assert (lot.size, lot.cost, lot.margin) == (0, 0, 0)
    assert lot.realised == D("0.56")


def test_a_fill_that_flips_must_be_split() -> None:
    lot = Position("p", "a", "i", size=D(1), cost=D(100))
    with pytest.raises(ValueError, match="split it first"):
        apply_fill(lot, D(-2), D(100))


def test_B4_reduce_only_is_clipped_to_the_position() -> None:
    long = Position("p", "a", "i", size=D("1.0"), cost=D(100))
    assert clip_reduce_only(long, SELL, D("1.5")) == D("1.0")
    assert clip_reduce_only(long, SELL, D("0.4")) == D("0.4")
    assert clip_reduce_only(long, BUY, D("0.4")) == 0
    assert clip_reduce_only(None, SELL, D("0.4")) == 0
