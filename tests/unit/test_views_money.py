"""What screens show of money: a long and a short, an open and a closed position, what fees and funding left of it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.model import command as cmd
from engine.model.instrument import MaintenanceBasis, MarginModel, VenueProfile
from engine.model.market import Side
from engine.model.money import ceil_to, floor_to
from engine.model.order import OrderType
from engine.views import format as fmt
from engine.views.market import chart_lines
from engine.views.tables import balance_view, positions_view, trades_view
from tests.kit import BUY, SELL, Bench, instrument

D = Decimal


@pytest.fixture
def bench() -> Bench:
    bench = Bench(instrument(maker_fee=D("0.001"), taker_fee=D("0.001")), balance="100000")
    bench.quote("60000", "60000")
    bench.mark("60000")
    return bench


def to(bench: Bench, price: str) -> None:
    bench.quote(price, price)
    bench.mark(price)


@pytest.mark.parametrize(
    ("side", "price", "upnl", "percent", "liquidation"),
    [
        (BUY, "63000", "+300.00", "+50.00%", "54216.9"),
        (BUY, "57000", "-300.00", "-50.00%", "54216.9"),
        (SELL, "63000", "-300.00", "-50.00%", "65737.1"),
        (SELL, "57000", "+300.00", "+50.00%", "65737.1"),
    ],
)
def test_an_open_position_is_judged_at_its_mark_by_its_side(
    bench: Bench, side: Side, price: str, upnl: str, percent: str, liquidation: str
) -> None:
    bench.open(side, "0.1", leverage=10)
    to(bench, price)
    (row,) = positions_view(bench.desk, bench.now).rows
    assert (row.side, row.size, row.entry) == ("L" if side is BUY else "S", "0.100", "60000.0")
    assert (row.upnl, row.upnl_pct, row.upnl_sign) == (upnl, percent, 1 if upnl[0] == "+" else -1)
    assert (row.margin, row.liquidation, row.realised) == ("600.00", liquidation, "-6.00")
    (money,) = balance_view(bench.desk, bench.now).rows
    assert (money.wallet, money.upnl, money.free) == ("99,994.00", upnl, "99,394.00")
    assert money.equity == f"{D('99994') + D(upnl):,.2f}"


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_closed_trade_is_net_of_fees_and_funding(bench: Bench, side: Side) -> None:
    """Price PnL 300 of margin 600; fees 6 and 5.7 or 6.3; funding 0.6 paid by the long, received by the short."""
    position = bench.open(side, "0.1", leverage=10)
    bench.funding(position.opened_ns + 1, "0.0001", "60000")
    to(bench, str(60_000 + 3_000 * side.sign))
    bench.ask(cmd.ClosePosition, position=position.id)
    bench.wait()
    (row,) = trades_view(bench.desk, bench.now).rows
    fees, net = ("12.30", "+287.10") if side is BUY else ("11.70", "+288.90")
    assert (row.fees, row.funding, row.net) == (fees, "-0.60" if side is BUY else "+0.60", net)
    assert row.net_pct == f"{D(net) / 6:+.2f}%"
    assert (row.entry, row.exit, row.size) == ("60000.0", "63000.0" if side is BUY else "57000.0", "0.100")
    shown = balance_view(bench.desk, bench.now)
    assert (shown.day_pnl, shown.rows[0].wallet) == (net, f"{100_000 + D(net):,.2f}")
    assert (shown.rows[0].margin, shown.rows[0].free) == ("0.00", shown.rows[0].wallet)


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize(
    "profile",
    [
        VenueProfile(),
        VenueProfile(fee_reserve=D("0.0005")),
        VenueProfile(mm_basis=MaintenanceBasis.ENTRY),
        VenueProfile(margin_model=MarginModel.FRACTION),
    ],
    ids=["tiers", "fee", "entry", "fraction"],
)
def test_nothing_is_left_of_the_margin_where_it_is_liquidated_and_something_before(
    side: Side, profile: VenueProfile
) -> None:
    bench = Bench(instrument(profile=profile))
    bench.market("60000")
    level = bench.open(side, "0.1", leverage=100).liquidation
    assert level is not None
    last = (floor_to if side is BUY else ceil_to)(level, D("0.1")) + D("0.1") * side.sign
    for distance, left in ((0, "0%"), (60, "10%")):
        bench.mark(str(last + distance * side.sign))
        (row,) = positions_view(bench.desk, bench.now).rows
        assert row.margin_left == left


@pytest.mark.parametrize("amount", ["0", "-0.004", "0.004", "-0.000001"])
def test_what_rounds_to_nothing_has_no_minus(amount: str) -> None:
    assert fmt.money(D(amount)) == "0.00"
    assert fmt.signed(D(amount)) == "+0.00"
    assert fmt.percent(D(amount) / 100) == "+0.00%"
    assert fmt.sign(D(amount)) == 0


def test_a_cent_is_shown_with_its_sign() -> None:
    assert (fmt.money(D("-0.01")), fmt.signed(D("-0.01")), fmt.percent(D("-0.0001"))) == ("-0.01", "-0.01", "-0.01%")
    assert (fmt.money(D("1234567.895")), fmt.signed(D("1234567.891"))) == ("1,234,567.90", "+1,234,567.89")


def test_the_chart_shows_what_rests_to_close_and_each_exit_once(bench: Bench) -> None:
    bench.open(BUY, "0.1", leverage=10, take_profit="66000", stop_loss="58000")
    bench.limit(SELL, "0.05", "61000", reduce_only=True)
    bench.limit(BUY, "0.02", "59000")
    bench.place(SELL, "0.03", OrderType.TAKE_PROFIT_LIMIT, trigger="62000", price="62100", reduce_only=True)
    bench.mark("62000")
    bench.wait()
    lines = chart_lines(bench.desk, bench.instruments[0].id)
    assert [(line.kind, line.price, line.label) for line in lines if line.kind != "liq"] == [
        ("entry", 60000.0, "long 0.100"), ("tp", 66000.0, "TP"), ("sl", 58000.0, "SL"),
        ("order", 61000.0, "sell 0.05"), ("order", 59000.0, "buy 0.02"), ("order", 62100.0, "sell 0.03"),
    ]  # fmt: skip


def test_the_chart_shows_the_positions_of_every_account(bench: Bench) -> None:
    bench.start("other", "5000")
    bench.start("main")
    to(bench, "60000")
    for account, side in (("main", BUY), ("other", SELL)):
        bench.place(side, "0.01", account=account, leverage=10)
        bench.wait()
        bench.place(side.opposite, "0.01", OrderType.LIMIT, price=str(60_000 + 500 * side.sign),
                    account=account, reduce_only=True)  # fmt: skip
        bench.wait()
    lines = chart_lines(bench.desk, bench.instruments[0].id)
    assert [line.label for line in lines if line.kind == "entry"] == ["long 0.010", "short 0.010"]
    assert [line.price for line in lines if line.kind == "order"] == [60500.0, 59500.0]
