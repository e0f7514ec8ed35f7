"""On a feed that stands still paper exits fill on the last known book, and say so; entries do not fill."""

from __future__ import annotations

import pytest

from engine.model import command as cmd
from engine.model import event as ev
from engine.model.market import StreamState
from engine.model.order import OrderStatus
from tests.kit import BUY, SECOND, SELL, Bench, alarms, bodies


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.market("60000")
    return made


def test_a_close_on_an_old_price_fills_with_an_alarm(bench: Bench) -> None:
    position = bench.open(BUY, "0.1", leverage=10)
    bench.wait(600 * SECOND)
    events = bench.ask(cmd.ClosePosition, position=position.id) + bench.wait()
    assert not bench.state.positions
    assert alarms(events) == ["STALE_FILL"]
    (alarm,) = bodies(events, ev.AlarmRaised)
    assert "600 s old" in alarm.message


@pytest.mark.parametrize("state", [StreamState.SILENT, StreamState.DOWN, StreamState.ENDED])
@pytest.mark.parametrize("stream", ["quote", "depth", "feed"])
def test_a_close_on_a_dead_stream_fills_with_an_alarm(bench: Bench, stream: str, state: StreamState) -> None:
    position = bench.open(BUY, "0.1", leverage=10)
    bench.feed(stream, state)
    events = bench.ask(cmd.ClosePosition, position=position.id) + bench.wait()
    assert not bench.state.positions
    assert "STALE_FILL" in alarms(events)


def test_a_stream_that_fills_do_not_come_from_raises_none(bench: Bench) -> None:
    position = bench.open(BUY, "0.1", leverage=10)
    bench.feed("trade", StreamState.SILENT)
    events = bench.ask(cmd.ClosePosition, position=position.id) + bench.wait()
    assert not bench.state.positions
    assert not alarms(events)


def test_an_entry_on_its_way_to_a_dead_stream_is_cancelled_with_the_reason(bench: Bench) -> None:
    bench.place(BUY, "0.1", leverage=10)
    bench.feed("quote", StreamState.DOWN)
    events = bench.wait()
    (cancelled,) = bodies(events, ev.OrderCancelled)
    assert "quote of BTCUSDT is down" in cancelled.reason
    assert bench.last_order.status is OrderStatus.CANCELLED
    assert not bench.size


def test_a_live_market_raises_none(bench: Bench) -> None:
    bench.open(BUY, "0.1", leverage=10)
    bench.feed("quote", StreamState.LIVE)
    events = bench.place(SELL, "0.1", reduce_only=True) + bench.wait()
    assert not bench.state.positions
    assert not alarms(events)
