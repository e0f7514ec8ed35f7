"""A signal's way to a venue and back, over the real keeper, ledger and carrier, with a line that fails."""

from __future__ import annotations

import asyncio
from typing import Any

from engine.core.inputs import SignalIn
from engine.core.state import SignalRecord
from engine.model import event as ev
from engine.venues.errors import Refused, Unreachable
from tests.carried import BTC, Carried, carried
from tests.signal_kit import TRADES, signal


def send(desk: Carried, action: str, size: str = "0.01", key: str = "k1", **fields: Any) -> SignalRecord:
    """A signal as the intake hands it over."""
    sent = signal(action, size, key, exchange=BTC.venue, symbol=BTC.base + BTC.quote, **fields)
    desk.keeper.decide(SignalIn(desk.keeper.now_ns(), sent, TRADES, "{}"))
    record = desk.state.find_signal(sent.id)
    assert record is not None
    return record


async def later(desk: Carried, seconds: int) -> None:
    """Time passes, and prices are fresh."""
    for _ in range(seconds):
        desk.quote()
        await asyncio.sleep(1)
    desk.quote()


@carried()
async def test_a_signal_whose_venue_is_away_is_sent_once_it_is_back(desk: Carried) -> None:
    await later(desk, 1)
    desk.venue.fails("submit", *[Unreachable("no route")] * 100)
    record = send(desk, "LONG", type="LIMIT", price="59000")
    await later(desk, 15)
    assert (record.waits, record.attempt) == ("retry", 1)
    desk.venue.next["submit"].clear()
    await later(desk, 45)
    first, second = (desk.state.find_order(order) for order in record.orders)
    assert first is not None
    assert second is not None
    assert (first.code, second.status) == ("UNREACHABLE", "ACCEPTED")
    assert list(desk.venue.orders) == [second.terms.client_id]


@carried()
async def test_a_signal_that_the_venue_refuses_is_sent_once_and_never_again(desk: Carried) -> None:
    await later(desk, 1)
    desk.venue.fails("submit", Refused("-2019", "margin is insufficient"))
    record = send(desk, "LONG", type="LIMIT", price="59000")
    await later(desk, 120)
    assert (record.verdict, record.code) == ("refused", "REJECTED")
    assert len(desk.venue.times("submit")) == 1
    assert len(desk.told(ev.SignalEnded)) == 1
