"""Equity, the day's PnL and the daily loss are measured for each account and asset by itself."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.inputs import Tick
from engine.core.state import money_key
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.account import RiskLimits
from engine.model.instrument import Instrument
from engine.model.order import OrderStatus, OrderType
from engine.views.tables import balance_view
from tests.kit import BUY, SECOND, SELL, Bench, Replayed, bodies, instrument, refusal

D = Decimal
DAY = 86_400 * SECOND
ETH = instrument("ETHUSDT")


def in_usdc() -> Instrument:
    return instrument("BTCUSDC", base="BTC", quote="USDC")


def two_assets(limits: RiskLimits | None = None) -> Bench:
    """10000 USDT and 500 USDC."""
    bench = Bench(instrument(), in_usdc(), limits=limits)
    bench.market("60000")
    bench.quote("60000", "60000.1", of=bench.instruments[1])
    bench.mark("60000", of=bench.instruments[1])
    bench.ask(cmd.Deposit, asset="USDC", amount=D(500))
    return bench


def test_a_deposit_in_another_asset_moves_no_other_assets_day() -> None:
    bench = two_assets()
    assert bench.state.day_equity == {money_key("main", "USDT"): D(10_000), money_key("main", "USDC"): D(500)}


def test_each_asset_of_each_account_has_its_own_line_and_day() -> None:
    bench = two_assets()
    bench.start("other", "700")
    bench.start("main")
    bench.wait(61 * SECOND)
    bench.at(bench.now + DAY)
    bench.wait()
    wanted = {("main", "USDT"): D(10_000), ("main", "USDC"): D(500), ("other", "USDT"): D(700)}
    assert bench.state.day_equity == {money_key(*key): amount for key, amount in wanted.items()}
    for key, amount in wanted.items():
        assert {D(sample) for _, sample in bench.state.equity[money_key(*key)]} == {amount}
    shown = balance_view(bench.desk, bench.now)
    assert shown.day_pnl_sign == 0
    assert set(shown.equity_line) == {10_000.0}
    replayed = Replayed()
    replayed.read(bench.events)
    assert replayed.equals(bench.state)


def test_a_loss_in_one_asset_does_not_stop_entries_in_another() -> None:
    bench = two_assets(RiskLimits(daily_loss=D(100)))
    usdc = bench.instruments[1]
    bench.place(BUY, "0.04", instrument=usdc.id, leverage=10)
    bench.wait()
    bench.quote("57000", "57000.1", of=usdc)
    bench.mark("57000", of=usdc)
    assert refusal(bench.place(BUY, "0.001", instrument=usdc.id))[0] == "DAILY_LOSS"
    bench.place(BUY, "0.001", leverage=10)
    bench.wait()
    assert len(bench.state.positions) == 2


def test_a_day_begins_with_the_first_tick_after_midnight_with_what_is_open() -> None:
    """The loss of the day before, made on a position that is still open, neither shows nor blocks any more."""
    bench = Bench(limits=RiskLimits(daily_loss=D(100)))
    bench.at(DAY - 5 * SECOND)
    bench.market("60000")
    position = bench.open(BUY, "0.5", leverage=10)
    bench.market("59790")
    bench.at(DAY - SECOND)
    bench.handle(Tick(bench.now))
    assert refusal(bench.place(BUY, "0.001"))[0] == "DAILY_LOSS"
    assert balance_view(bench.desk, bench.now).day_pnl == "-120.05"
    bench.at(DAY)
    events = bench.handle(Tick(bench.now)) + bench.handle(Tick(bench.now + SECOND))
    (sample,) = bodies(events, ev.EquitySampled)
    assert sample.wallet + sample.unrealised == bench.state.day_equity[money_key("main", "USDT")] == D("9879.949975")
    assert balance_view(bench.desk, bench.now).day_pnl == "+0.00"
    bench.at(DAY + SECOND)
    bench.market("59790")
    bench.place(BUY, "0.001", leverage=10)
    bench.wait()
    assert bench.size == position.size + D("0.001")
    bench.market("59580")
    assert refusal(bench.place(BUY, "0.001"))[0] == "DAILY_LOSS"


def test_a_clock_set_back_over_midnight_begins_no_day_anew() -> None:
    bench = Bench()
    bench.market("60000")
    bench.at(DAY)
    bench.handle(Tick(bench.now))
    bench.at(DAY - SECOND)
    assert not bodies(bench.handle(Tick(bench.now)), ev.EquitySampled)


@pytest.mark.parametrize("limit", [D(100), None])
def test_a_loss_that_cannot_be_known_refuses_an_entry_where_there_is_a_limit(limit: Decimal | None) -> None:
    """After a restart one position has no price yet, so equity is not known."""
    bench = Bench(instrument(), ETH, limits=RiskLimits(daily_loss=limit))
    bench.market("60000")
    bench.quote("3000", "3000.1", of=ETH)
    bench.mark("3000", of=ETH)
    bench.place(BUY, "1", instrument=ETH.id, leverage=10)
    bench.wait()
    bench.restart()
    bench.market("60000")
    events = bench.place(BUY, "0.001")
    if limit is None:
        assert bench.last_order.reason == ""
        return
    code, message = refusal(events)
    assert code == "NO_PRICE"
    assert "ETHUSDT" in message


def test_a_day_s_loss_stops_an_entry_that_was_held_for_its_trigger() -> None:
    """The exits beside it leave all the same."""
    bench = Bench(limits=RiskLimits(daily_loss=D(100)))
    bench.market("60000")
    bench.open(BUY, "0.5", leverage=10, stop_loss="59700")
    bench.place(SELL, "0.6", OrderType.STOP, trigger="59750")
    entry = bench.last_order
    bench.mark("59750")
    assert entry.status is OrderStatus.CANCELLED
    assert entry.reason == "triggered, but 140.05 was lost today, the limit is 100; entries resume tomorrow"
    bench.mark("59700")
    bench.wait()
    assert not bench.state.positions
    assert not bench.state.orders
