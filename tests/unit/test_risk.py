"""What guards the money before an order exists: each rule says what it compared, and what to do about it.

Longer than most files: every rule that guards the money, each beside its refusal.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from engine.core.desk import Desk
from engine.core.inputs import Intent
from engine.core.state import State
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.account import RiskLimits
from engine.model.market import StreamState
from engine.model.order import OrderStatus, OrderType, TimeInForce
from tests.kit import BUY, MS, SECOND, SELL, Bench, Replayed, bodies, instrument, refusal

D = Decimal
LIMIT, MARKET, STOP = OrderType.LIMIT, OrderType.MARKET, OrderType.STOP


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.market("60000")
    return bench


def limited(**limits: Any) -> Bench:
    bench = Bench(limits=RiskLimits(**limits), balance="1000000")
    bench.market("60000")
    return bench


# --- What blocks every entry ----------------------------------------------------------------------


def block(bench: Bench, how: str) -> None:
    if how == "KILL_SWITCH":
        bench.ask(cmd.SetKill, on=True, reason="enough")
    elif how == "HALTED":
        bench.halt("the disk is full")
    elif how == "FEED_DOWN":
        bench.feed("depth", StreamState.RESYNC)
    else:
        bench.at(bench.now + 6 * SECOND)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("KILL_SWITCH", "`hoox kill off` lifts it"),
        ("HALTED", "the disk is full; closes still work"),
        ("FEED_DOWN", "BTCUSDT is not live; wait for it"),
        ("STALE", "the price of BTCUSDT is 6 s old"),
    ],
)
def test_entries_are_blocked_and_exits_are_not(bench: Bench, code: str, words: str) -> None:
    position = bench.open(BUY, "0.1", leverage=10)
    resting = bench.limit(BUY, "0.01", "59000")
    block(bench, code)
    for kind, fields in ((MARKET, {}), (LIMIT, {"price": "59000"}), (STOP, {"trigger": "61000"})):
        found, message = refusal(bench.place(BUY, "0.01", kind, **fields))
        assert found == code
        assert words in message
    assert refusal(bench.ask(cmd.AmendOrder, order=resting.id, size=D("0.02")))[0] == code
    assert not refused(bench.ask(cmd.AmendOrder, order=resting.id, size=D("0.005")))
    assert not refused(bench.place(SELL, "0.01", LIMIT, price="61000", reduce_only=True))
    assert not refused(bench.ask(cmd.SetProtection, position=position.id, stop_loss=D(59000)))
    assert not refused(bench.ask(cmd.ClosePosition, position=position.id, fraction=D("0.5")))
    assert not refused(bench.ask(cmd.FlattenAll))
    bench.wait()
    assert not bench.state.positions
    assert not bench.state.orders


def refused(events: list[ev.Event]) -> bool:
    return any(isinstance(e.body, ev.RiskRejected | ev.IntentRefused) for e in events)


def test_no_entry_before_the_first_price() -> None:
    bench = Bench()
    code, message = refusal(bench.place(BUY, "0.1"))
    assert code == "NO_PRICE"
    assert "wait for the feed" in message


def test_a_lifted_block_lets_entries_through(bench: Bench) -> None:
    for code in ("KILL_SWITCH", "HALTED"):
        block(bench, code)
        bench.ask(cmd.SetKill, on=False)
        bench.halt("")
        assert not refused(bench.place(BUY, "0.01", leverage=10))


# --- Limits ---------------------------------------------------------------------------------------


def test_the_reserve_must_be_free(bench: Bench) -> None:
    code, message = refusal(bench.place(BUY, "2", leverage=10))
    assert code == "MARGIN"
    assert message == (
        "size: needs 12060.02 USDT of margin and fees, 10000.00 is free; "
        "choose a smaller size, a higher leverage, or reduce-only to close"
    )
    assert bench.last_order.status is OrderStatus.DENIED
    assert bench.account.reserves.get("USDT", D(0)) == 0


def test_the_same_money_is_never_set_aside_twice(bench: Bench) -> None:
    bench.place(BUY, "1", LIMIT, price="59000", leverage=10)
    assert bench.free == D(10000) - D(5900) - D("29.5")
    assert refusal(bench.place(BUY, "1", LIMIT, price="58000"))[0] == "MARGIN"
    bench.ask(cmd.CancelAll)
    bench.wait()
    assert bench.free == 10000


def test_orders_against_a_position_cannot_share_its_margin(bench: Bench) -> None:
    """Two sells of the size of a long: the second would open a short that nobody paid for."""
    bench.open(BUY, "0.8", leverage=10)
    bench.place(SELL, "0.8", LIMIT, price="61000")
    assert refusal(bench.place(SELL, "0.8", LIMIT, price="61001"))[0] == "MARGIN"


def test_a_market_that_ran_away_meanwhile_is_not_paid_with_money_that_is_not_there(bench: Bench) -> None:
    bench.place(BUY, "1.6", STOP, trigger="60500", leverage=10)
    order = bench.last_order
    bench.mark("60500")
    bench.quote("66000", "66000.1")
    bench.wait()
    assert order.status is OrderStatus.REJECTED
    assert bench.free == 10000


def test_leverage_is_limited_by_the_tier_of_what_would_be_held() -> None:
    bench = limited()
    code, message = refusal(bench.place(BUY, "1", leverage=125))
    assert code == "LEVERAGE"
    assert "125x is not within 1x to 100x" in message
    bench.open(BUY, "4", leverage=100)
    code, message = refusal(bench.place(BUY, "1", leverage=100))
    assert code == "LEVERAGE"
    assert "100x is not within 1x to 50x" in message


@pytest.mark.parametrize("leverage", [0, -5, 126, 10**12])
def test_leverage_outside_the_instrument_s_is_refused(bench: Bench, leverage: int) -> None:
    for events in (
        bench.place(BUY, "0.01", leverage=leverage),
        bench.ask(cmd.SetLeverage, instrument=bench.instruments[0].id, leverage=leverage),
    ):
        code, message = refusal(events)
        assert code == "LEVERAGE"
        assert f"{leverage}x is not within 1x and 125x" in message


def test_order_and_position_notional() -> None:
    bench = limited(max_order_notional=D(100_000), max_position_notional=D(150_000))
    code, message = refusal(bench.place(BUY, "2"))
    assert code == "ORDER_NOTIONAL"
    assert "above the limit 100000 an order; choose less" in message
    bench.open(BUY, "1.5", leverage=10)
    code, message = refusal(bench.place(BUY, "1.5"))
    assert code == "POSITION_NOTIONAL"
    assert "above the limit 150000; choose less" in message
    order = bench.limit(BUY, "0.1", "59000")
    assert refusal(bench.ask(cmd.AmendOrder, order=order.id, size=D(3)))[0] == "ORDER_NOTIONAL"


@pytest.mark.parametrize(("side", "price"), [(BUY, "72001"), (SELL, "47999")])
def test_a_limit_far_beyond_the_market_is_a_typing_slip(bench: Bench, side: Any, price: str) -> None:
    code, message = refusal(bench.place(side, "0.01", LIMIT, price=price))
    assert code == "PRICE_BAND"
    assert f"price: {price} is more than 20% beyond the market" in message
    assert not refused(bench.place(side, "0.01", LIMIT, price="60000" if side is SELL else "60000.1"))


def test_a_limit_far_on_the_safe_side_is_fine(bench: Bench) -> None:
    assert not refused(bench.place(BUY, "0.01", LIMIT, price="30000"))


def test_the_number_of_open_orders() -> None:
    bench = limited(max_open_orders=2)
    for _ in range(2):
        assert not refused(bench.place(BUY, "0.01", LIMIT, price="59000"))
    code, message = refusal(bench.place(BUY, "0.01", LIMIT, price="59000"))
    assert code == "OPEN_ORDERS"
    assert "2 are open, the limit; cancel some first" in message


def test_a_day_s_loss_stops_entries_until_tomorrow() -> None:
    bench = limited(daily_loss=D(100))
    bench.open(BUY, "0.5", leverage=10)
    bench.mark("59790")
    code, message = refusal(bench.place(BUY, "0.01"))
    assert code == "DAILY_LOSS"
    assert "the limit is 100; entries resume tomorrow" in message
    bench.ask(cmd.Deposit, asset="USDT", amount=D(1000))
    assert refusal(bench.place(BUY, "0.01"))[0] == "DAILY_LOSS"
    bench.at(86_400 * SECOND + bench.now)
    bench.wait(MS)
    bench.market("59790")
    assert not refused(bench.place(BUY, "0.01"))


def test_an_approval_records_what_was_compared(bench: Bench) -> None:
    (approved,) = bodies(bench.place(BUY, "0.01", LIMIT, price="59000", leverage=10), ev.RiskApproved)
    checks = {rule: (value, limit) for rule, value, limit in approved.checks}
    assert checks["leverage"] == (10, 125)
    assert checks["free margin"][0] == D("59.295")
    assert set(checks) == {"leverage", "order notional", "position notional", "price band", "free margin"}
    assert approved.top is not None


# --- Leverage and margin of what is open ----------------------------------------------------------


def test_a_refused_order_leaves_the_leverage_as_it_was(bench: Bench) -> None:
    position = bench.open(BUY, "0.5", leverage=10)
    bench.ask(cmd.SetKill, on=True)
    bench.place(BUY, "0.1", leverage=50)
    assert bench.position == position
    bench.ask(cmd.SetKill, on=False)
    assert refusal(bench.place(BUY, "0.1", leverage=2))[0] == "MARGIN"
    assert bench.position == position


def test_an_order_may_use_the_margin_its_own_leverage_frees(bench: Bench) -> None:
    bench.open(BUY, "1.6", leverage=10)
    assert refusal(bench.place(BUY, "0.1"))[0] == "MARGIN"
    assert not refused(bench.place(BUY, "0.1", leverage=50))


def test_a_change_of_leverage_re_margins_what_is_open_and_what_works(bench: Bench) -> None:
    bench.open(BUY, "0.5", leverage=10)
    order = bench.limit(BUY, "0.5", "59000")
    asset, name = "USDT", bench.instruments[0].id
    before = order.reserve
    bench.ask(cmd.SetLeverage, instrument=name, leverage=20)
    assert bench.position.margin == D("1500.0025")
    assert order.reserve == D(1475) + D("14.75")
    assert before == D(2950) + D("14.75")
    code, message = refusal(bench.ask(cmd.SetLeverage, instrument=name, leverage=5))
    assert code == "MARGIN"
    assert "what is open and working" in message
    assert bench.account.reserves[asset] == order.reserve
    bench.trade("58999", "0.5", SELL)
    assert bench.free >= 0


def test_leverage_that_would_liquidate_at_once_is_refused(bench: Bench) -> None:
    bench.open(BUY, "0.2", leverage=2)
    bench.mark("59500")
    code, _ = refusal(bench.ask(cmd.SetLeverage, instrument=bench.instruments[0].id, leverage=100))
    assert code == "LIQUIDATION"


def test_margin_can_be_added_and_only_the_added_taken_out(bench: Bench) -> None:
    position = bench.open(BUY, "0.5", leverage=10)
    bench.ask(cmd.AdjustMargin, position=position.id, amount=D(500))
    assert bench.position.margin == position.margin + 500
    assert bench.position.liquidation is not None
    assert position.liquidation is not None
    assert bench.position.liquidation < position.liquidation
    for amount, code in (("-500.01", "MARGIN"), ("7000", "MARGIN"), ("0", "AMOUNT"), ("0.000000001", "AMOUNT")):
        assert refusal(bench.ask(cmd.AdjustMargin, position=position.id, amount=D(amount)))[0] == code
    bench.ask(cmd.AdjustMargin, position=position.id, amount=D(-500))
    assert bench.position == position


def test_money_in_and_out(bench: Bench) -> None:
    bench.open(BUY, "0.5", leverage=10)
    bench.ask(cmd.Deposit, asset="USDT", amount=D(100))
    code, message = refusal(bench.ask(cmd.Deposit, asset="USDT", amount=D(-9000)))
    assert code == "AMOUNT"
    assert "take less" in message
    bench.ask(cmd.Deposit, asset="USDT", amount=-bench.free)
    assert bench.free == 0
    for asset, amount, code in (("USDT", "0", "AMOUNT"), ("USDTT", "5", "UNKNOWN"), ("USDT", "1E-9", "AMOUNT")):
        assert refusal(bench.ask(cmd.Deposit, asset=asset, amount=D(amount)))[0] == code


def test_a_reset_needs_a_flat_account(bench: Bench) -> None:
    order = bench.limit(BUY, "0.01", "59000", leverage=10)
    assert refusal(bench.ask(cmd.ResetAccount, asset="USDT", balance=D(5000)))[0] == "NOT_FLAT"
    bench.ask(cmd.CancelOrder, order=order.id)
    bench.wait()
    assert refusal(bench.ask(cmd.ResetAccount, asset="USDT", balance=D(-1)))[0] == "BALANCE"
    bench.ask(cmd.ResetAccount, asset="USDT", balance=D(5000))
    assert bench.free == 5000


def test_real_money_is_not_moved_from_here() -> None:
    bench = Bench(env="live")
    assert refusal(bench.ask(cmd.Deposit, asset="USDT", amount=D(5)))[0] == "LIVE"
    assert refusal(bench.ask(cmd.ResetAccount, asset="USDT", balance=D(5)))[0] == "LIVE"


# --- Whatever a client sends ----------------------------------------------------------------------

STRANGE = [
    D(text) for text in ("NaN", "sNaN", "Infinity", "-Infinity", "1E+30", "-1E+30", "1E-30", "-1E-30", "0", "-1")
]


@pytest.mark.parametrize("number", STRANGE, ids=str)
def test_no_number_can_break_the_desk(bench: Bench, number: Decimal) -> None:
    position = bench.open(BUY, "0.1", leverage=10)
    order = bench.limit(BUY, "0.01", "59000")
    bench.place(BUY, "0.01", STOP, trigger="61000")
    stop = bench.last_order
    before = bench.free
    kinds = [(MARKET, {}), (LIMIT, {"price": D(59000)}), (STOP, {"trigger": D(61000)})]
    for kind, rest in kinds:
        for side in (BUY, SELL):
            common = {"instrument": bench.instruments[0].id, "side": side, "type": kind}
            assert refused(bench.ask(cmd.PlaceOrder, **common, **rest, size=number))
            for field in (*rest, "take_profit", "stop_loss"):
                if (str(number), field, side) == ("1E-30", "take_profit", SELL):
                    continue  # rounds up to a tick: far, but a level
                fields = common | rest | {"size": D("0.01"), field: number}
                assert refused(bench.ask(cmd.PlaceOrder, **fields))
    for field in ("trail_bps", "trail_offset"):
        trailing = {"instrument": bench.instruments[0].id, "side": SELL, "type": OrderType.TRAILING_STOP}
        assert refused(bench.ask(cmd.PlaceOrder, **trailing, size=D("0.01"), **{field: number}))
    assert refused(bench.ask(cmd.ClosePosition, position=position.id, fraction=number))
    assert refused(bench.ask(cmd.AdjustMargin, position=position.id, amount=number))
    assert str(number) == "-1" or refused(bench.ask(cmd.Deposit, asset="USDT", amount=number))
    assert refused(bench.ask(cmd.ResetAccount, asset="USDT", balance=number))
    for field in ("take_profit", "stop_loss", "trail_bps"):
        bench.ask(cmd.SetProtection, position=position.id, **{field: number})
        assert all(o.trigger is None or o.trigger > 0 for o in bench.live())
    for field in ("price", "size"):
        assert refused(bench.ask(cmd.AmendOrder, order=order.id, **{field: number}))
    assert refused(bench.ask(cmd.AmendOrder, order=stop.id, trigger=number))
    assert bench.free == before
    assert bench.position == position
    replayed = Replayed()
    replayed.read(bench.events)
    assert replayed.equals(bench.state)


def test_names_that_are_not_there_are_refused_with_those_that_are(bench: Bench) -> None:
    name = bench.instruments[0].id
    asked = [
        (cmd.PlaceOrder, {"instrument": "sim.perp:NOPE", "side": BUY, "type": MARKET, "size": D(1)}, name),
        (cmd.SetLeverage, {"instrument": "", "leverage": 5}, name),
        (cmd.CancelAll, {"instrument": "sim.perp:NOPE"}, name),
        (cmd.ClosePosition, {"position": "P9"}, "none"),
        (cmd.SetProtection, {"position": "P9"}, "none"),
        (cmd.AdjustMargin, {"position": "", "amount": D(1)}, "none"),
        (cmd.CancelOrder, {"order": "O9"}, "none"),
        (cmd.AmendOrder, {"order": "O9", "size": D(1)}, "none"),
        (cmd.FlattenAll, {"account": "nobody"}, "main"),
        (cmd.PlaceOrder, {"instrument": name, "side": BUY, "type": MARKET, "size": D(1), "account": "nobody"}, "main"),
    ]
    for make, fields, there in asked:
        code, message = refusal(bench.ask(make, **fields))
        assert code == "UNKNOWN"
        assert there in message
    assert refusal(bench.ask(cmd.CancelAll, scope="everything"))[0] == "SCOPE"


def test_a_desk_without_an_account_refuses() -> None:
    events = Desk(State()).handle(Intent(1, cmd.FlattenAll(request_id="r1")))
    assert refusal(events)[0] == "UNKNOWN"


def test_a_repeated_request_is_one_intent(bench: Bench) -> None:
    for _ in range(3):
        bench.place(BUY, "0.1", request_id="same", leverage=10)
    bench.wait()
    bench.restart()
    bench.market("60000")
    assert not bench.place(BUY, "0.1", request_id="same")
    assert bench.size == D("0.1")


@pytest.mark.parametrize("request_id", ["", "x" * 201])
def test_an_intent_without_an_id_of_its_own_is_refused(bench: Bench, request_id: str) -> None:
    for _ in range(2):
        assert refusal(bench.place(BUY, "0.1", request_id=request_id))[0] == "REQUEST_ID"


def test_what_names_a_position_or_order_means_its_account(bench: Bench) -> None:
    bench.start("other")
    bench.start("main")
    bench.market("60000")
    bench.place(BUY, "0.1", account="other", leverage=10)
    bench.wait()
    position = bench.position
    assert refusal(bench.ask(cmd.ClosePosition, position=position.id, account="main"))[0] == "UNKNOWN"
    bench.ask(cmd.AdjustMargin, position=position.id, amount=D(5))
    assert bench.position.margin == position.margin + 5
    assert bench.state.accounts["other"].margins["USDT"] == bench.position.margin
    bench.ask(cmd.ClosePosition, position=position.id)
    bench.wait()
    assert not bench.state.positions


@pytest.mark.parametrize(
    ("kind", "fields", "code"),
    [
        (LIMIT, {}, "PRICE"),
        (MARKET, {"price": "60000"}, "PRICE"),
        (STOP, {}, "TRIGGER"),
        (MARKET, {"trigger": "60000"}, "TRIGGER"),
        (MARKET, {"post_only": True}, "POST_ONLY"),
        (LIMIT, {"price": "59000", "post_only": True, "tif": TimeInForce.IOC}, "POST_ONLY"),
        (LIMIT, {"price": "59000", "tif": TimeInForce.GTD}, "EXPIRY"),
        (LIMIT, {"price": "59000", "expire_ns": 10**18}, "EXPIRY"),
        (LIMIT, {"price": "59000", "tif": TimeInForce.GTD, "expire_ns": 5}, "EXPIRY"),
        (MARKET, {"reduce_only": True}, "REDUCE_ONLY"),
        (LIMIT, {"price": "0.05"}, "PRICE"),
    ],
)
def test_fields_that_do_not_belong_together_are_refused(
    bench: Bench, kind: OrderType, fields: dict[str, Any], code: str
) -> None:
    assert refusal(bench.place(BUY, "0.01", kind, **fields))[0] == code
    assert not bench.state.orders


def test_sizes_below_the_filters_are_refused(bench: Bench) -> None:
    assert refusal(bench.place(BUY, "0.0009"))[0] == "BELOW_STEP"
    small = Bench(instrument(min_notional=D(100)))
    small.market("60000")
    assert refusal(small.place(BUY, "0.001"))[0] == "BELOW_MIN_NOTIONAL"


# --- Amending, expiring, restarting ---------------------------------------------------------------


def test_an_amend_that_crosses_takes(bench: Bench) -> None:
    order = bench.limit(BUY, "0.1", "59000", leverage=10)
    bench.ask(cmd.AmendOrder, order=order.id, price=D(60001))
    assert order.status is OrderStatus.FILLED
    assert order.average == D("60000.1")
    assert bench.account.reserves["USDT"] == 0


def test_an_amend_that_crosses_ends_a_post_only_order(bench: Bench) -> None:
    order = bench.limit(BUY, "0.1", "59000", leverage=10, post_only=True)
    bench.ask(cmd.AmendOrder, order=order.id, price=D(60001))
    assert order.status is OrderStatus.CANCELLED
    assert bench.account.reserves["USDT"] == 0


def test_an_amend_sets_aside_what_it_costs(bench: Bench) -> None:
    order = bench.limit(BUY, "0.1", "50000", leverage=10)
    bench.ask(cmd.AmendOrder, order=order.id, price=D(55000), size=D("0.2"))
    assert order.reserve == D(1100) + D("5.5")
    assert refusal(bench.ask(cmd.AmendOrder, order=order.id, size=D(5)))[0] == "MARGIN"
    bench.place(BUY, "0.1", STOP, trigger="61000")
    stop = bench.last_order
    bench.ask(cmd.AmendOrder, order=stop.id, trigger=D(62000))
    assert stop.reserve == D(620) + D("3.1")
    assert refusal(bench.ask(cmd.AmendOrder, order=stop.id, trigger=D(59000)))[0] == "TRIGGER"


@pytest.mark.parametrize("reduce_only", [False, True])
def test_a_size_below_a_step_is_named_as_it_was_asked_for(bench: Bench, reduce_only: bool) -> None:
    bench.open(BUY, "0.1", leverage=10)
    code, message = refusal(bench.place(SELL, "0.0000001", reduce_only=reduce_only, leverage=10))
    assert code == "BELOW_STEP"
    assert message.startswith("size: 0.0000001 is below the step")


def test_an_amend_says_what_it_cannot_change(bench: Bench) -> None:
    bench.place(BUY, "0.1", LIMIT, price="59000", leverage=10)
    order = bench.last_order
    assert refusal(bench.ask(cmd.AmendOrder, order=order.id, size=D("0.2")))[0] == "IN_FLIGHT"
    bench.wait()
    assert refusal(bench.ask(cmd.AmendOrder, order=order.id))[0] == "NOTHING"
    assert refusal(bench.ask(cmd.AmendOrder, order=order.id, trigger=D(1)))[0] == "TRIGGER"
    bench.report(order.id, "v1", "59000", "0.05")
    assert refusal(bench.ask(cmd.AmendOrder, order=order.id, size=D("0.05")))[0] == "SIZE"
    bench.place(SELL, "0.05", STOP, trigger="59500", reduce_only=True)
    stop = bench.last_order
    assert refusal(bench.ask(cmd.AmendOrder, order=stop.id, price=D(59000)))[0] == "PRICE"
    assert refusal(bench.ask(cmd.AmendOrder, order=stop.id, size=D("0.06")))[0] == "REDUCE_ONLY"


def test_an_order_expires_before_the_match_of_the_same_instant(bench: Bench) -> None:
    at = bench.now + 500 * MS
    order = bench.limit(BUY, "0.1", "59000", leverage=10, tif=TimeInForce.GTD, expire_ns=at)
    bench.at(at - MS)
    bench.trade("58999", "1", SELL)
    assert order.status is OrderStatus.EXPIRED
    assert not bench.state.positions
    assert bench.account.reserves["USDT"] == 0


def test_a_restart_goes_on_with_what_was_on_its_way(bench: Bench) -> None:
    bench.open(BUY, "0.1", stop_loss="59000", leverage=10)
    resting = bench.limit(BUY, "0.05", "59500")
    bench.ask(cmd.CancelOrder, order=resting.id)
    bench.place(BUY, "0.02", LIMIT, price="59400", tif=TimeInForce.GTD, expire_ns=bench.now + SECOND)
    bench.place(BUY, "0.03")
    bench.restart()
    bench.market("60000")
    bench.wait()
    assert bench.size == D("0.13")
    assert [o.price for o in bench.live(LIMIT)] == [D(59400)]
    bench.wait(SECOND)
    assert not bench.live(LIMIT)
    replayed = Replayed()
    replayed.read(bench.events)
    assert replayed.equals(bench.state)
