"""What a carrier begins and what goes first, however much of it there is."""

from __future__ import annotations

import asyncio

import pytest

from engine.execution import carrier
from engine.model import command as cmd
from engine.model.market import Side
from engine.model.order import OrderStatus
from engine.venues.errors import RateLimited
from tests.carried import Carried, carried

BUY = Side.BUY


@carried()
async def test_a_close_does_not_queue_behind_the_cancels_of_a_flattening(desk: Carried) -> None:
    long = desk.place(BUY, "0.1")
    await asyncio.sleep(1)
    desk.venue.stream.put_nowait(desk.venue.fill(long.terms.client_id, "0.1"))
    for _ in range(5):
        desk.place(BUY, "0.001", "50000")
    await asyncio.sleep(2)
    desk.venue.fails("cancel", *[RateLimited("429", 3.0)] * 5)
    desk.venue.fails("submit", RateLimited("429", 3.0))
    desk.ask(cmd.FlattenAll)
    await asyncio.sleep(1)
    begun = len(desk.venue.calls)
    await asyncio.sleep(5)
    assert [method for _, method, _ in desk.venue.calls[begun:] if method != "standing"] == ["submit"] + ["cancel"] * 5


@carried()
async def test_a_commit_begins_what_it_asked_for_without_looking_at_all_orders(desk: Carried) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(carrier, "outbox", lambda state: ())
        order = desk.place(BUY, "0.1", "59000")
        await asyncio.sleep(1)
        assert desk.status(order) is OrderStatus.ACCEPTED
        desk.ask(cmd.CancelOrder, order=order.id)
        await asyncio.sleep(1)
        assert desk.status(order) is OrderStatus.CANCELLED
