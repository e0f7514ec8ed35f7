"""An exit always arrives: whatever the clock does, whatever the feed does."""

from __future__ import annotations

from engine.model import command as cmd
from engine.model.order import OrderStatus, TimeInForce
from tests.kit import BUY, MS, SECOND, Bench, D

HOUR = 3_600 * SECOND


def long_at(bench: Bench, size: str = "0.1", **fields: object) -> str:
    bench.market("60000")
    return bench.open(BUY, size, leverage=10, **fields).id


def test_a_close_arrives_though_the_clock_was_set_back() -> None:
    bench = Bench()
    bench.at(10 * HOUR)
    position = long_at(bench)
    bench.at(bench.now - HOUR)
    bench.market("60000")
    bench.ask(cmd.ClosePosition, position=position)
    bench.wait()
    assert not bench.state.positions


def test_what_was_on_its_way_when_the_clock_was_set_back_arrives_by_the_market_alone() -> None:
    bench = Bench()
    bench.at(10 * HOUR)
    position = long_at(bench)
    bench.ask(cmd.ClosePosition, position=position)
    bench.at(bench.now - HOUR)
    for _ in range(100):
        bench.quote("60000", "60000.1")
    assert not bench.state.positions


def test_a_stop_closes_though_the_clock_was_set_back() -> None:
    bench = Bench()
    bench.at(10 * HOUR)
    long_at(bench, stop_loss="59500")
    bench.at(bench.now - 5 * SECOND)
    bench.market("59400")
    bench.wait()
    assert not bench.state.positions


def test_a_restart_on_an_earlier_clock_still_lets_exits_arrive() -> None:
    bench = Bench()
    bench.at(10 * HOUR)
    position = long_at(bench)
    bench.at(bench.now - HOUR)
    bench.restart()
    bench.market("60000")
    bench.ask(cmd.ClosePosition, position=position)
    bench.wait()
    assert not bench.state.positions


def test_entries_are_taken_again_after_the_clock_was_set_back() -> None:
    bench = Bench()
    bench.at(10 * HOUR)
    bench.market("60000")
    bench.at(bench.now - HOUR)
    bench.market("60000")
    bench.place(BUY, "0.1", leverage=10)
    bench.wait()
    assert bench.size == D("0.1")


def test_recorded_time_never_goes_back() -> None:
    bench = Bench()
    bench.at(10 * HOUR)
    position = long_at(bench)
    bench.at(bench.now - HOUR)
    bench.market("60000")
    bench.ask(cmd.ClosePosition, position=position)
    bench.wait()
    times = [event.time_ns for event in bench.events]
    assert times == sorted(times)


def test_a_good_till_date_order_keeps_its_date_though_the_clock_was_set_back() -> None:
    bench = Bench()
    bench.at(10 * HOUR)
    bench.market("60000")
    expire = bench.now + SECOND
    order = bench.limit(BUY, "0.1", "59000", tif=TimeInForce.GTD, expire_ns=expire)
    bench.at(bench.now - HOUR)
    bench.market("60000")
    bench.wait(10 * SECOND)
    assert order.id in bench.state.orders
    bench.at(expire)
    bench.wait(MS)
    assert bench.state.ended[order.id].status is OrderStatus.EXPIRED
