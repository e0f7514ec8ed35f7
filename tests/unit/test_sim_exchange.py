"""The fake exchange keeps the truth: its own matching, its own positions and money, and refusals like a real one's."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal

import pytest

from engine.model.money import ZERO
from engine.sim import protocol as wire
from engine.sim.exchange import Refusal
from engine.sim.faults import USUAL, Fault
from engine.sim.protocol import CANCELED, EXPIRED, FILLED, NEW, PARTIAL, REJECTED, Change, Place, Remove
from tests.sim_kit import Venue, dec, play


def buy(client_id: str, size: str = "0.1", price: str | None = None, **more: object) -> Place:
    return Place(client_id, "BTCUSDT", "BUY", dec(size), price and dec(price), **more)  # type: ignore[arg-type]


def sell(client_id: str, size: str = "0.1", price: str | None = None, **more: object) -> Place:
    return Place(client_id, "BTCUSDT", "SELL", dec(size), price and dec(price), **more)  # type: ignore[arg-type]


class TestMatching:
    def test_a_market_order_fills_whole_at_the_top_or_a_tick_worse(self) -> None:
        async def story(venue: Venue) -> None:
            for number in range(20):
                order = venue.exchange.place(buy(f"b{number}"))
                assert order.status == FILLED
                assert sum((fill.size for fill in order.fills), ZERO) == dec("0.1")
                assert {fill.price for fill in order.fills} <= {dec("60000.1"), dec("60000.2")}
                venue.exchange.place(sell(f"s{number}"))
            assert {len(order.fills) for order in venue.exchange.orders} == {1, 2}

        play(story)

    def test_a_limit_order_that_does_not_cross_rests_until_the_market_trades_through(self) -> None:
        async def story(venue: Venue) -> None:
            order = venue.exchange.place(buy("b", price="59990.0"))
            venue.top("59995.0", "59995.1")
            assert order.status == NEW
            while order.live:
                venue.top("59989.0", "59989.1")
            assert order.status == FILLED
            assert {(fill.price, fill.maker) for fill in order.fills} == {(dec("59990.0"), True)}

        play(story)

    def test_how_much_fills_at_once_is_drawn_by_the_seed(self) -> None:
        async def story(venue: Venue) -> list[str]:
            for number in range(30):
                venue.exchange.place(buy(f"b{number}", "0.01", "60000.1"))
            return [order.status for order in venue.exchange.orders]

        assert play(story, seed=1) == play(story, seed=1)
        assert play(story, seed=1) != play(story, seed=2)
        assert set(play(story)) == {PARTIAL, FILLED}

    @pytest.mark.parametrize("tif", ["IOC", "FOK"])
    def test_what_may_not_rest_ends_at_once(self, tif: str) -> None:
        async def story(venue: Venue) -> None:
            away = venue.exchange.place(buy("away", price="59000.0", time_in_force=tif))
            assert (away.status, away.filled) == (EXPIRED, ZERO)
            for number in range(10):
                order = venue.exchange.place(buy(f"b{number}", "0.01", "60000.1", time_in_force=tif))
                assert order.status == FILLED or (tif == "IOC" and order.status == EXPIRED)

        play(story)

    def test_a_post_only_order_never_takes(self) -> None:
        async def story(venue: Venue) -> None:
            order = venue.exchange.place(buy("b", price="60000.1", post_only=True))
            assert (order.status, order.filled) == (EXPIRED, ZERO)
            assert venue.exchange.place(buy("c", price="60000.0", post_only=True)).status == NEW

        play(story)

    def test_a_reduce_only_order_never_turns_a_position(self) -> None:
        async def story(venue: Venue) -> None:
            venue.exchange.place(buy("b", "0.05"))
            order = venue.exchange.place(sell("s", "0.2", reduce_only=True))
            assert venue.exchange.position("BTCUSDT") == 0
            assert (order.filled, order.status) == (dec("0.05"), EXPIRED)

        play(story)


class TestRefusals:
    @pytest.mark.parametrize(
        ("asked", "code"),
        [
            (Place("x", "NOPE", "BUY", dec("1")), wire.BAD_SYMBOL),
            (Place("x", "BTCUSDT", "UP", dec("1")), wire.BAD_REQUEST),
            (buy("x", "0.0005"), wire.BAD_STEP),
            (buy("x", "0.1005"), wire.BAD_STEP),
            (buy("x", "-0.1"), wire.BAD_STEP),
            (buy("x", "0.1", "59999.95"), wire.BAD_TICK),
            (buy("x", "0.1", "0"), wire.BAD_TICK),
            (buy("x", "0.001"), wire.MIN_NOTIONAL),
            (buy("x", "1000"), wire.MARGIN),
            (sell("x", "0.1", reduce_only=True), wire.REDUCE_ONLY),
            (Place("x", "ETHUSDT", "BUY", dec("1")), wire.NO_MARKET),
        ],
    )
    def test_an_order_that_breaks_a_rule_is_refused_by_name(self, asked: Place, code: str) -> None:
        async def story(venue: Venue) -> None:
            with pytest.raises(Refusal) as refusal:
                venue.exchange.place(asked)
            assert refusal.value.code == code
            assert venue.exchange.orders == []

        play(story)

    def test_a_client_id_in_use_is_refused_and_one_that_ended_is_taken_again(self) -> None:
        async def story(venue: Venue) -> None:
            venue.exchange.place(buy("b", price="59000.0"))
            with pytest.raises(Refusal, match=wire.DUPLICATE_ID):
                venue.exchange.place(buy("b"))
            venue.exchange.cancel(Remove("b", "BTCUSDT"))
            venue.exchange.place(buy("b"))
            assert [order.status for order in venue.exchange.named("b")] == [CANCELED, FILLED]

        play(story)

    def test_a_halted_symbol_takes_no_orders_and_fills_none(self) -> None:
        async def story(venue: Venue) -> None:
            resting = venue.exchange.place(buy("b", price="59000.0"))
            venue.exchange.listed["BTCUSDT"].halted = True
            with pytest.raises(Refusal, match=wire.HALTED):
                venue.exchange.place(buy("c"))
            venue.top("58000.0", "58000.1")
            assert resting.filled == 0
            venue.exchange.listed["BTCUSDT"].halted = False
            venue.top("58000.0", "58000.1")
            assert resting.filled > 0

        play(story)

    def test_what_is_not_live_can_be_neither_cancelled_nor_amended(self) -> None:
        async def story(venue: Venue) -> None:
            venue.exchange.place(buy("b"))
            with pytest.raises(Refusal, match=wire.UNKNOWN_ORDER):
                venue.exchange.cancel(Remove("b", "BTCUSDT"))
            with pytest.raises(Refusal, match=wire.UNKNOWN_ORDER):
                venue.exchange.amend(Change("nobody", "BTCUSDT", dec("59000")))

        play(story)

    def test_an_amend_changes_price_and_size_within_the_rules(self) -> None:
        async def story(venue: Venue) -> None:
            order = venue.exchange.place(buy("b", price="59000.0"))
            venue.exchange.amend(Change("b", "BTCUSDT", dec("59500.0"), dec("0.2")))
            assert (order.price, order.size, order.status) == (dec("59500.0"), dec("0.2"), NEW)
            with pytest.raises(Refusal, match=wire.BAD_TICK):
                venue.exchange.amend(Change("b", "BTCUSDT", dec("59500.05")))
            with pytest.raises(Refusal, match=wire.BAD_SIZE):
                venue.exchange.amend(Change("b", "BTCUSDT", size=dec("0")))

        play(story)

    @pytest.mark.parametrize("leverage", [0, 1000])
    def test_leverage_has_its_bounds(self, leverage: int) -> None:
        async def story(venue: Venue) -> None:
            with pytest.raises(Refusal, match=wire.BAD_LEVERAGE):
                venue.exchange.set_leverage("BTCUSDT", leverage)

        play(story)


class TestFaults:
    """One rate at 1, and what then becomes true."""

    def test_ack_after_fill(self) -> None:
        async def story(venue: Venue) -> None:
            await venue.listen()
            venue.exchange.place(buy("b", "0.002"))
            await asyncio.sleep(2)
            assert [bool(report.fills) for report in venue.reports][-1] is False
            assert venue.reports[-1].status == "ACCEPTED"
            assert venue.reports[0].fills

        play(story, {Fault.ACK_AFTER_FILL: 1.0})

    def test_duplicate_fill(self) -> None:
        async def story(venue: Venue) -> None:
            await venue.listen()
            venue.exchange.place(buy("b", "0.002"))
            await asyncio.sleep(10)
            told = [fill.fill_id for report in venue.reports for fill in report.fills]
            assert len(told) == 2 * len(set(told)) > 0
            assert venue.exchange.position("BTCUSDT") == dec("0.002")

        play(story, {Fault.DUPLICATE_FILL: 1.0})

    def test_fill_after_cancel(self) -> None:
        async def story(venue: Venue) -> None:
            venue.exchange.place(buy("b", price="59000.0"))
            order = venue.exchange.cancel(Remove("b", "BTCUSDT"))
            assert (order.status, order.filled) == (CANCELED, ZERO)
            await asyncio.sleep(3)
            assert order.filled > 0
            assert venue.exchange.position("BTCUSDT") == order.filled

        play(story, {Fault.FILL_AFTER_CANCEL: 1.0})

    def test_cancel_unknown_though_filled(self) -> None:
        async def story(venue: Venue) -> None:
            order = venue.exchange.place(buy("b", price="59000.0"))
            with pytest.raises(Refusal, match=wire.UNKNOWN_ORDER):
                venue.exchange.cancel(Remove("b", "BTCUSDT"))
            assert order.status == FILLED
            assert venue.exchange.position("BTCUSDT") == dec("0.1")

        play(story, {Fault.CANCEL_UNKNOWN_FILLED: 1.0})

    def test_overfill_by_a_lot_but_never_of_an_exit(self) -> None:
        async def story(venue: Venue) -> None:
            order = venue.exchange.place(buy("b"))
            assert order.filled >= 2 * order.size
            exit_ = venue.exchange.place(sell("s", reduce_only=True))
            assert exit_.filled == exit_.size

        play(story, {Fault.OVERFILL: 1.0})

    def test_late_reject(self) -> None:
        async def story(venue: Venue) -> None:
            order = venue.exchange.place(buy("b", price="59000.0"))
            assert order.status == NEW
            await asyncio.sleep(2)
            assert order.status == REJECTED

        play(story, {Fault.LATE_REJECT: 1.0})

    def test_expired_by_the_venue_and_cancelled_by_hand(self) -> None:
        async def story(venue: Venue) -> str:
            order = venue.exchange.place(buy("b", price="59000.0"))
            venue.mischief.start()
            await asyncio.sleep(1.5)
            return order.status

        assert play(story, {Fault.EXPIRED_BY_VENUE: 1.0}) == EXPIRED
        assert play(story, {Fault.CANCELLED_BY_HAND: 1.0}) == CANCELED

    def test_a_liquidation_nobody_sent_takes_the_orders_out_and_closes_the_position(self) -> None:
        async def story(venue: Venue) -> None:
            await venue.listen()
            venue.exchange.place(buy("b"))
            resting = venue.exchange.place(buy("r", price="59000.0"))
            venue.mischief.start()
            await asyncio.sleep(1.5)
            assert venue.exchange.position("BTCUSDT") == 0
            assert resting.status == CANCELED
            assert [r.client_id for r in venue.reports if r.liquidation and r.fills] == ["autoclose-1"]

        play(story, {Fault.LIQUIDATION: 1.0})

    def test_closed_by_hand_elsewhere(self) -> None:
        async def story(venue: Venue) -> None:
            venue.exchange.place(buy("b"))
            venue.mischief.start()
            await asyncio.sleep(1.5)
            assert venue.exchange.position("BTCUSDT") == 0
            assert venue.exchange.orders[-1].client_id == "web-1"

        play(story, {Fault.CLOSED_BY_HAND: 1.0})

    def test_orders_by_hand_take_the_market_or_rest(self) -> None:
        async def story(venue: Venue) -> None:
            venue.mischief.start()
            await asyncio.sleep(20)
            assert {order.status for order in venue.exchange.orders} >= {NEW, FILLED}
            assert all(order.client_id.startswith("web-") for order in venue.exchange.orders)

        play(story, {Fault.ORDER_BY_HAND: 1.0})

    def test_leverage_and_tick_change_elsewhere(self) -> None:
        async def story(venue: Venue) -> tuple[set[int], set[Decimal]]:
            venue.mischief.start()
            levers, ticks = set(), set()
            for _ in range(20):
                await asyncio.sleep(1)
                levers.add(venue.exchange.listed["BTCUSDT"].leverage)
                ticks.add(venue.exchange.listed["BTCUSDT"].tick)
            return levers, ticks

        levers, ticks = play(story, {Fault.LEVERAGE_ELSEWHERE: 1.0, Fault.TICK_CHANGED: 1.0})
        assert len(levers) > 3
        assert ticks == {dec("0.1"), dec("0.2"), dec("0.5"), dec("1.0")}

    def test_a_symbol_is_halted_and_resumed_and_trades_at_once_when_faults_stop(self) -> None:
        async def story(venue: Venue) -> None:
            listed = venue.exchange.listed["BTCUSDT"]
            venue.mischief.start()
            seen = []
            for _ in range(600):
                await asyncio.sleep(0.1)
                seen.append(listed.halted)
            assert set(seen) == {True, False}
            listed.halted = True
            venue.faults.stop()
            await asyncio.sleep(1.1)
            assert not listed.halted

        play(story, {Fault.SYMBOL_HALTED: 1.0})

    def test_mischief_ends_when_stopped(self) -> None:
        async def story(venue: Venue) -> int:
            venue.mischief.start()
            await asyncio.sleep(5.5)
            venue.mischief.stop()
            await asyncio.sleep(60)
            return len(venue.exchange.orders)

        assert play(story, {Fault.ORDER_BY_HAND: 1.0}) == 5


async def _trade(venue: Venue) -> None:
    """A hundred orders of all kinds in a market that moves."""
    dice = random.Random(11)
    venue.mischief.start()
    price = 600_000
    for number in range(100):
        price += dice.randint(-300, 300)
        venue.top(str(Decimal(price) / 10), str(Decimal(price + 1) / 10))
        size, limit = str(Decimal(dice.randint(2, 40)) / 1000), str(Decimal(price + dice.randint(-50, 50)) / 10)
        make = dice.choice((buy, sell))
        try:
            venue.exchange.place(make(f"c{number}", size, dice.choice((None, limit)), reduce_only=dice.random() < 0.2))
            if dice.random() < 0.3:
                venue.exchange.cancel(Remove(f"c{number - 1}", "BTCUSDT"))
        except Refusal:
            pass
        await asyncio.sleep(0.5)


@pytest.mark.parametrize("seed", range(10))
def test_the_position_is_the_sum_of_the_fills_and_the_wallet_what_they_left(seed: int) -> None:
    async def story(venue: Venue) -> None:
        await _trade(venue)
        signed = [(order.sign * fill.size, fill) for order in venue.exchange.orders for fill in order.fills]
        assert len(signed) > 30
        assert venue.exchange.position("BTCUSDT") == sum(size for size, _ in signed)
        # Conservation (semantics 1.4): what was paid is what is realised plus what the open lot cost.
        paid = sum((size * fill.price + fill.fee for size, fill in signed), ZERO)
        assert venue.exchange.wallet - dec("100000") == venue.exchange.listed["BTCUSDT"].cost - paid

    play(story, USUAL, seed)


def test_each_fill_has_an_id_of_its_own_and_orders_fill_no_more_than_asked() -> None:
    async def story(venue: Venue) -> None:
        await _trade(venue)
        ids = [fill.fill_id for order in venue.exchange.orders for fill in order.fills]
        assert len(ids) == len(set(ids)) > 30
        assert all(order.filled <= order.size for order in venue.exchange.orders)

    play(story)
