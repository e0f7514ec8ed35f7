"""The fake exchange's adapter keeps the contract of every venue: what it returns, what it raises, what it streams."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path

import pytest

from engine.model.market import Side
from engine.model.order import OrderStatus, TimeInForce
from engine.model.report import VenueOrder
from engine.sim.client import GRACE_S, SILENCE_S, TIMEOUT_S
from engine.sim.endpoint import HIDDEN_S
from engine.sim.faults import USUAL, Fault, weather
from engine.sim.loop import START_NS
from engine.sim.network import LATE_S
from engine.sim.protocol import Place
from engine.venues.base import Venue as VenueProtocol
from engine.venues.errors import Ambiguous, NotFound, RateLimited, Refused, Unreachable, VenueError
from tests.sim_kit import BTC, Venue, dec, order, play

ROOT = Path(__file__).parents[2]
SIZE = dec("0.1")


def test_it_is_a_venue() -> None:
    async def story(venue: Venue) -> None:
        adapter: VenueProtocol = venue.client
        assert (await adapter.standing()).orders == ()

    play(story)


def test_its_grace_covers_the_latest_arrival_and_the_longest_hiding() -> None:
    assert max(TIMEOUT_S, LATE_S) + HIDDEN_S < GRACE_S


class TestCalls:
    def test_a_resting_order_is_accepted_found_listed_and_cancelled(self) -> None:
        async def story(venue: Venue) -> None:
            placed = await venue.client.submit(order("a"), SIZE, dec("59000.0"))
            assert (placed.client_id, placed.status, placed.instrument) == ("a", OrderStatus.ACCEPTED, BTC.id)
            assert (placed.side, placed.size, placed.price) == (Side.BUY, SIZE, dec("59000.0"))
            assert await venue.client.order("a", BTC.id) == placed
            assert (await venue.client.standing()).orders == (placed,)
            cancelled = await venue.client.cancel(order("a"))
            assert cancelled.status is OrderStatus.CANCELLED
            assert (await venue.client.standing()).orders == ()

        play(story)

    def test_a_client_id_in_use_says_that_an_earlier_try_arrived_and_refuses_nothing(self) -> None:
        async def story(venue: Venue) -> None:
            await venue.client.submit(order("a"), SIZE, dec("59000.0"))
            with pytest.raises(Ambiguous):
                await venue.client.submit(order("a"), SIZE, dec("59000.0"))

        play(story)

    def test_a_market_order_is_filled_and_a_query_gives_all_its_fills(self) -> None:
        async def story(venue: Venue) -> None:
            for number in range(4):
                placed = await venue.client.submit(order(f"a{number}"), SIZE, None)
                assert (placed.status, placed.filled) == (OrderStatus.FILLED, SIZE)
                asked = await venue.client.order(f"a{number}", BTC.id)
                assert sum(fill.size for fill in asked.fills) == SIZE
                assert all(fill.fee > 0 and not fill.maker for fill in asked.fills)
            (position,) = (await venue.client.standing()).positions
            assert (position.instrument, position.size, position.leverage) == (BTC.id, 4 * SIZE, 10)

        play(story)

    def test_submit_states_fills_sometimes_in_its_answer_and_sometimes_only_on_the_stream(self) -> None:
        async def story(venue: Venue) -> None:
            answers = [await venue.client.submit(order(f"a{n}"), SIZE, None) for n in range(4)]
            assert {bool(answer.fills) for answer in answers} == {True, False}

        play(story)

    def test_terms_reach_the_venue(self) -> None:
        async def story(venue: Venue) -> None:
            await venue.client.submit(order("a"), SIZE, None)
            exit_ = await venue.client.submit(order("b", Side.SELL, reduce_only=True), SIZE, dec("61000.0"))
            maker = await venue.client.submit(order("c", post_only=True), SIZE, dec("60000.1"))
            now_or_never = await venue.client.submit(order("d", tif=TimeInForce.IOC), SIZE, dec("59000.0"))
            assert exit_.reduce_only
            assert (maker.status, now_or_never.status) == (OrderStatus.EXPIRED, OrderStatus.EXPIRED)

        play(story)

    def test_an_amend_changes_price_and_size(self) -> None:
        async def story(venue: Venue) -> None:
            await venue.client.submit(order("a"), SIZE, dec("59000.0"))
            amended = await venue.client.amend(order("a"), dec("59100.0"), None)
            assert (amended.price, amended.size) == (dec("59100.0"), SIZE)

        play(story)

    def test_orders_since_hold_what_filled_or_ended_after_it_by_whomever(self) -> None:
        async def story(venue: Venue) -> None:
            await venue.client.submit(order("early"), SIZE, None)
            await asyncio.sleep(10)
            await venue.client.submit(order("late"), SIZE, None)
            await venue.client.submit(order("rests"), SIZE, dec("59000.0"))
            venue.exchange.act("web-1", "BTCUSDT", -SIZE)
            since = await venue.client.orders_since(START_NS + 5_000_000_000)
            assert [o.client_id for o in since] == ["late", "web-1"]
            assert all(o.fills for o in since)

        play(story)

    def test_margin_mode_leverage_and_instruments_are_told(self) -> None:
        async def story(venue: Venue) -> None:
            assert not venue.exchange.listed["BTCUSDT"].isolated
            await venue.client.isolate_margin(BTC.id)
            assert venue.exchange.listed["BTCUSDT"].isolated
            await venue.client.set_leverage(BTC.id, 7)
            assert venue.exchange.listed["BTCUSDT"].leverage == 7
            venue.exchange.listed["BTCUSDT"].tick = dec("0.5")
            ticks = {i.id: i.tick for i in await venue.client.instruments()}
            assert ticks[BTC.id] == dec("0.5")

        play(story)


WRITE_KINDS: dict[Fault, type[VenueError]] = {
    Fault.CONNECT_REFUSED: Unreachable,
    Fault.DNS_FAILURE: Unreachable,
    Fault.HANG_BEFORE_SEND: Unreachable,
    Fault.OUTAGE: Unreachable,
    Fault.REQUEST_LOST: Ambiguous,
    Fault.RESET_BEFORE_DELIVERY: Ambiguous,
    Fault.LATE_DELIVERY: Ambiguous,
    Fault.HANG_AFTER_SEND: Ambiguous,
    Fault.ACCEPTED_NO_ANSWER: Ambiguous,
    Fault.ANSWER_AFTER_TIMEOUT: Ambiguous,
    Fault.TRUNCATED_JSON: Ambiguous,
    Fault.GARBAGE_ANSWER: Ambiguous,
    Fault.HTTP_5XX_BEFORE: Ambiguous,
    Fault.HTTP_5XX_AFTER: Ambiguous,
    Fault.HTTP_403_PAGE: Ambiguous,
    Fault.HTTP_429: RateLimited,
    Fault.HTTP_429_NO_WAIT: RateLimited,
    Fault.HTTP_418: RateLimited,
}


def failure(call: str, fault: Fault) -> VenueError:
    """What a call raises while one fault befalls every request."""

    async def story(venue: Venue) -> VenueError:
        venue.exchange.place(Place("a", "BTCUSDT", "BUY", SIZE, dec("59000.0")))
        calls: dict[str, Coroutine[object, object, object]] = {
            "submit": venue.client.submit(order("new"), SIZE, None),
            "cancel": venue.client.cancel(order("a")),
            "amend": venue.client.amend(order("a"), dec("59100.0"), None),
            "order": venue.client.order("a", BTC.id),
            "standing": venue.client.standing(),
            "orders_since": venue.client.orders_since(0),
            "isolate_margin": venue.client.isolate_margin(BTC.id),
            "set_leverage": venue.client.set_leverage(BTC.id, 3),
        }
        asked = calls.pop(call)
        for other in calls.values():
            other.close()
        with pytest.raises(VenueError) as error:
            await asked
        return error.value

    return play(story, {fault: 1.0})


@pytest.mark.parametrize("fault", WRITE_KINDS)
@pytest.mark.parametrize(
    "call", ["submit", "cancel", "amend", "order", "standing", "orders_since", "isolate_margin", "set_leverage"]
)
def test_each_network_fault_is_sorted_by_what_it_proves(call: str, fault: Fault) -> None:
    assert type(failure(call, fault)) is WRITE_KINDS[fault]


def test_a_wait_is_passed_on_where_the_venue_named_one() -> None:
    limited, unsaid = failure("submit", Fault.HTTP_429), failure("submit", Fault.HTTP_429_NO_WAIT)
    assert isinstance(limited, RateLimited)
    assert isinstance(unsaid, RateLimited)
    assert limited.wait_s is not None
    assert 1 <= limited.wait_s <= 6
    assert unsaid.wait_s is None


class TestRefusals:
    def test_a_rule_that_is_broken_is_refused_with_the_venues_code(self) -> None:
        async def story(venue: Venue) -> str:
            with pytest.raises(Refused) as refused:
                await venue.client.submit(order("a"), dec("0.0001"), None)
            assert type(refused.value) is Refused
            return refused.value.code

        assert play(story) == "BAD_STEP"

    def test_a_direct_query_for_nothing_is_not_found(self) -> None:
        async def story(venue: Venue) -> None:
            with pytest.raises(NotFound):
                await venue.client.order("nobody", BTC.id)
            with pytest.raises(NotFound):
                await venue.client.cancel(order("nobody"))

        play(story)

    def test_in_its_grace_an_order_is_not_found_although_it_is_there(self) -> None:
        async def story(venue: Venue) -> None:
            await venue.client.submit(order("a"), SIZE, dec("59000.0"))
            with pytest.raises(NotFound):
                await venue.client.order("a", BTC.id)
            assert (await venue.client.standing()).orders == ()
            await asyncio.sleep(HIDDEN_S)
            assert (await venue.client.order("a", BTC.id)).status is OrderStatus.ACCEPTED

        play(story, {Fault.NOT_FOUND_IN_GRACE: 1.0})

    def test_the_open_list_may_miss_an_order_that_a_query_finds(self) -> None:
        async def story(venue: Venue) -> None:
            await venue.client.submit(order("a"), SIZE, dec("59000.0"))
            assert (await venue.client.standing()).orders == ()
            assert (await venue.client.order("a", BTC.id)).status is OrderStatus.ACCEPTED

        play(story, {Fault.MISSING_FROM_OPEN: 1.0})


class TestReports:
    def test_the_stream_says_first_that_it_is_connected_then_every_move(self) -> None:
        async def story(venue: Venue) -> None:
            await venue.listen()
            await venue.client.submit(order("a"), SIZE, dec("59000.0"))
            await venue.client.cancel(order("a"))
            await asyncio.sleep(1)
            assert venue.said[0] is None
            assert [r.status for r in venue.reports] == [OrderStatus.ACCEPTED, OrderStatus.CANCELLED]

        play(story)

    def test_a_fill_comes_with_its_report_and_the_sum_so_far(self) -> None:
        async def story(venue: Venue) -> None:
            await venue.listen()
            for number in range(10):
                venue.said.clear()
                await venue.client.submit(order(f"a{number}"), SIZE, None)
                await asyncio.sleep(1)
                fills = [r for r in venue.reports if r.fills]
                assert all(len(r.fills) == 1 for r in fills)
                sums = [sum(f.size for r in fills[: n + 1] for f in r.fills) for n in range(len(fills))]
                assert [r.filled for r in fills] == sums
                assert fills[-1].status is OrderStatus.FILLED

        play(story)

    def test_the_answer_may_come_long_after_the_fills_report(self) -> None:
        async def story(venue: Venue) -> None:
            await venue.listen()
            task = asyncio.create_task(venue.client.submit(order("a"), SIZE, None))
            await asyncio.sleep(0.2)
            assert any(r.fills for r in venue.reports)
            assert not task.done()
            await task

        play(story, {Fault.FILL_BEFORE_ACK: 1.0}, seed=3)

    def test_after_a_loss_it_reconnects_and_says_so(self) -> None:
        async def story(venue: Venue) -> None:
            await venue.listen()
            venue.network.outage(60)
            await asyncio.sleep(59)
            assert venue.said == [None]
            await asyncio.sleep(20)
            assert venue.said == [None, None]

        play(story)

    def test_a_silent_stream_is_left_for_a_new_one(self) -> None:
        async def story(venue: Venue) -> None:
            await venue.listen()
            await asyncio.sleep(6)
            venue.faults.stop()
            await asyncio.sleep(SILENCE_S + 2)
            assert venue.said == [None, None]
            await venue.client.submit(order("a"), SIZE, dec("59000.0"))
            await asyncio.sleep(1)
            assert venue.said[-1] is not None

        play(story, {Fault.STREAM_SILENT: 1.0})

    def test_a_report_that_cannot_be_read_costs_the_connection(self) -> None:
        async def story(venue: Venue) -> None:
            await venue.listen()
            venue.network.push(b'{"orderId":')
            await asyncio.sleep(5)
            assert venue.said == [None, None]

        play(story)


async def _standing(venue: Venue) -> object:
    try:
        return await venue.client.standing()
    except VenueError as error:
        return error


async def _day(venue: Venue) -> str:
    """A stretch of trading under faults; a digest of all that was heard and of what is true."""
    dice = random.Random(4)
    heard: list[object] = []
    venue.mischief.start()
    await venue.listen()
    for number in range(40):
        terms = order(f"c{number}", dice.choice((Side.BUY, Side.SELL)))
        calls = [
            venue.client.submit(terms, dec("0.01"), dice.choice((None, dec("60000.0")))),
            venue.client.order(terms.client_id, BTC.id),
            venue.client.cancel(terms),
        ]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(answer, (VenueOrder, VenueError)) for answer in answers)
        heard += map(repr, answers)
        if number % 10 == 0:
            heard.append(repr(await _standing(venue)))
        await asyncio.sleep(0.7)
    venue.faults.stop()
    await asyncio.sleep(30)
    heard += [await venue.client.standing(), venue.said, venue.exchange.orders, venue.faults.counts]
    return hashlib.blake2b(repr(heard).encode()).hexdigest()


@pytest.mark.parametrize("seed", range(4))
def test_the_same_seed_gives_the_same_bytes(seed: int) -> None:
    assert play(_day, weather(seed), seed) == play(_day, weather(seed), seed)
    assert play(_day, USUAL, seed) != play(_day, USUAL, seed + 100)


def test_a_seed_means_the_same_in_another_process() -> None:
    program = "from tests.unit.test_sim_client import _day, play, USUAL; print(play(_day, USUAL, 5))"

    def digest(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    assert digest("1") == digest("2") == play(_day, USUAL, 5)


def test_every_fault_of_network_and_venue_is_reached() -> None:
    async def story(venue: Venue) -> set[Fault]:
        await _day(venue)
        return set(venue.faults.counts)

    elsewhere = {kind for kind in Fault if kind.startswith(("market", "price", "clock"))}
    elsewhere |= {Fault.KILL, Fault.SLOW_FSYNC, Fault.FULL_DISK, Fault.SUSPEND}
    reached: set[Fault] = set()
    for seed in range(40):
        reached |= play(story, {kind: min(0.3, 4 * rate) for kind, rate in USUAL.items()}, seed)
        if reached | elsewhere == set(Fault):
            return
    assert set(Fault) - reached - elsewhere == set()
