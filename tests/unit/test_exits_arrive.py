"""An exit always arrives: whatever the clock does, whatever the feed does."""

from __future__ import annotations

import pytest

from engine.model import command as cmd
from engine.model.order import OrderStatus, OrderType, TimeInForce
from tests.kit import BUY, MS, SECOND, SELL, Bench, D, refusal

HOUR = 3_600 * SECOND
IOC, FOK = TimeInForce.IOC, TimeInForce.FOK


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


@pytest.mark.parametrize(
    ("kind", "tif"), [(k, FOK) for k in OrderType if k.waits] + [(k, IOC) for k in OrderType if k.waits and k.has_price]
)
def test_an_exit_that_a_thin_book_would_end_is_refused(kind: OrderType, tif: TimeInForce) -> None:
    bench = Bench()
    long_at(bench)
    fields = {
        "price": "58900" if kind.has_price else None,
        "trigger": None if kind.trails else "61000" if "PROFIT" in kind else "59000",
        "trail_bps": "50" if kind.trails else None,
    }
    code, message = refusal(bench.place(SELL, "0.1", kind, tif=tif, reduce_only=True, **fields))
    assert code == "TIME_IN_FORCE"
    assert "GTC" in message
    bench.place(SELL, "0.1", kind, reduce_only=True, **fields)
    assert bench.live(kind)


def test_an_immediate_stop_stands_again_for_what_the_book_could_not_take() -> None:
    bench = Bench()
    long_at(bench, "1")
    bench.place(SELL, "1", OrderType.STOP, trigger="59000", tif=IOC, reduce_only=True)
    bench.depth((("58900", "0.4"),), (("58901", "50"),))
    bench.quote("58900", "58901", "0.4", "50")
    bench.mark("58900")
    bench.wait()
    assert bench.sizes(OrderType.STOP) == [bench.size] == [D("0.6")]
