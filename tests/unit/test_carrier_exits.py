"""An exit that cannot leave says so to a person, and no rate limit keeps it back for longer than a minute."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from engine.model import command as cmd
from engine.model.market import Side
from engine.model.order import Order, OrderStatus
from engine.venues.errors import RateLimited, Unreachable, VenueError
from tests.carried import Carried, carried

BUY, SELL = Side.BUY, Side.SELL
D = Decimal


async def long(desk: Carried, size: str = "0.1") -> None:
    entry = desk.place(BUY, size)
    await asyncio.sleep(1)
    await desk.venue.stream.put(desk.venue.fill(entry.terms.client_id, size))
    await asyncio.sleep(1)


def close(desk: Carried) -> Order:
    (position,) = desk.state.positions
    desk.ask(cmd.ClosePosition, position=position)
    return desk.state.orders[f"O{desk.state.orders_made}"]


def waits(desk: Carried) -> list[str]:
    return [message for _, code, message in desk.state.alarms if code == "EXIT_WAITS"]


@pytest.mark.parametrize("error", [RateLimited("HTTP 418: banned", 7_200.0), Unreachable("no route to told")])
def test_an_exit_that_does_not_leave_is_told_to_a_person_once_and_again_when_it_is_long(
    error: VenueError, tmp_path: object
) -> None:
    @carried()
    async def story(desk: Carried) -> None:
        await long(desk)
        desk.venue.fails("submit", *[error] * 500)
        order = close(desk)
        await asyncio.sleep(9)
        assert waits(desk) == []
        await asyncio.sleep(2)
        (message,) = waits(desk)
        assert message.startswith(f"exit {order.id}, sell 0.1 BTCUSDT, has not left for 10 s: {error}; ")
        assert message.endswith("; close it at the venue yourself if it cannot wait")
        await asyncio.sleep(300)
        assert len(waits(desk)) == 1
        await asyncio.sleep(400)
        assert [message.partition("for ")[2][:5] for message in waits(desk)] == ["10 s:", "610 s"]

    story(tmp_path)  # type: ignore[arg-type]


@carried()
async def test_an_exit_behind_somebody_else_s_rate_limit_says_so_too(desk: Carried) -> None:
    await long(desk)
    desk.venue.fails("submit", RateLimited("HTTP 429", 40.0))
    desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(1)
    close(desk)
    await asyncio.sleep(11)
    (message,) = waits(desk)
    assert "has not left for 10 s: told takes no requests" in message


@carried()
async def test_an_exit_that_left_says_nothing(desk: Carried) -> None:
    await long(desk)
    desk.venue.slow("submit", 25.0)
    close(desk)
    await asyncio.sleep(100)
    assert waits(desk) == []


@carried()
async def test_whatever_wait_was_told_exits_are_tried_every_minute_one_for_all(desk: Carried) -> None:
    await long(desk)
    desk.venue.fails("submit", *[RateLimited("HTTP 418: banned", 7_200.0)] * 3)
    exits = [close(desk)]
    entry = desk.place(BUY, "0.01", "59000")
    await asyncio.sleep(1)
    begun = len(desk.venue.times("submit"))
    exits += [desk.place(SELL, "0.1", price, reduce_only=True) for price in ("61000", "62000", "63000")]
    await asyncio.sleep(58)
    assert len(desk.venue.times("submit")) == begun
    await asyncio.sleep(65)
    assert len(desk.venue.times("submit")) == begun + 2
    await asyncio.sleep(60)
    assert {desk.status(order) for order in exits} == {OrderStatus.ACCEPTED}
    assert desk.status(entry) is OrderStatus.REJECTED


@carried()
async def test_a_shorter_wait_is_kept_to(desk: Carried) -> None:
    await long(desk)
    desk.venue.fails("submit", RateLimited("HTTP 429", 20.0))
    order = close(desk)
    await asyncio.sleep(19)
    assert len(desk.venue.times("submit")) == 2
    await asyncio.sleep(2)
    assert desk.status(order) is OrderStatus.ACCEPTED
