"""A position whose instrument the feed does not carry is said to be blind at the start, and cannot be closed in silence."""

from __future__ import annotations

import pytest

from engine.model import command as cmd
from engine.model import event as ev
from engine.model.order import OrderType
from engine.views.preview import preview
from tests.kit import BUY, SECOND, SELL, Bench, D, alarms, bodies, instrument, refusal

ETH = instrument("ETHUSDT")


@pytest.fixture
def bench() -> Bench:
    """Holds ETHUSDT, and was started again without it."""
    made = Bench(instrument(), ETH)
    made.market("60000")
    made.quote("3000", "3000.1", of=ETH)
    made.mark("3000", of=ETH)
    made.open(BUY, "1", instrument=ETH.id, leverage=10, stop_loss="2900")
    made.instruments = made.instruments[:1]
    made.events.clear()
    made.restart()
    return made


def test_the_start_says_that_nothing_watches_it_and_what_to_do(bench: Bench) -> None:
    assert alarms(bench.events) == ["EXITS_BLIND"]
    (alarm,) = bodies(bench.events, ev.AlarmRaised)
    assert "ETHUSDT" in alarm.message
    assert "--symbols" in alarm.message


def test_closing_it_is_refused_with_the_remedy(bench: Bench) -> None:
    for events in (
        bench.ask(cmd.ClosePosition, position=bench.position.id),
        bench.place(SELL, "1", instrument=ETH.id, reduce_only=True),
        bench.place(SELL, "1", OrderType.LIMIT, instrument=ETH.id, price="3100", reduce_only=True),
    ):
        code, message = refusal(events)
        assert code == "NOT_CARRIED"
        assert "--symbols" in message


def test_the_preview_of_its_close_says_so_too(bench: Bench) -> None:
    shown = preview(bench.desk, cmd.ClosePosition(request_id="c", position=bench.position.id), bench.now)
    assert "--symbols" in shown.errors[0]


def test_flattening_says_that_it_waits(bench: Bench) -> None:
    events = bench.ask(cmd.FlattenAll) + bench.wait(SECOND)
    assert alarms(events) == ["FLATTEN_WAITS"]
    assert bench.size == D(1)


def test_a_start_with_it_closes_what_was_being_flattened(bench: Bench) -> None:
    bench.ask(cmd.FlattenAll)
    bench.instruments = (*bench.instruments, ETH)
    bench.events.clear()
    bench.restart()
    assert not alarms(bench.events)
    bench.quote("3000", "3000.1", of=ETH)
    bench.wait(SECOND)
    assert not bench.state.positions
