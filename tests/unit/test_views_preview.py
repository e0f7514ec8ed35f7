"""What a preview says of a command: in numbers, in words that hold for one and for many, also where it is refused."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.inputs import Intent
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.market import Side
from engine.model.order import OrderType, Role
from engine.views import Preview
from engine.views.preview import preview
from tests.kit import BUY, SELL, Bench, instrument

D = Decimal


def bench(**options: object) -> Bench:
    made = Bench(**options)  # type: ignore[arg-type]
    made.market("61000")
    return made


def asked(at: Bench, command: cmd.AnyCommand) -> Preview:
    return preview(at.desk, command, at.now)


def buy(at: Bench, **fields: object) -> cmd.PlaceOrder:
    wanted = {"type": OrderType.MARKET, "side": BUY, "size": D("0.01"), **fields}
    return cmd.PlaceOrder(request_id="p", instrument=at.instruments[0].id, **wanted)  # type: ignore[arg-type]


def test_a_refused_order_shows_what_was_asked_for() -> None:
    at = bench()
    at.ask(cmd.SetKill, on=True, reason="test")
    shown = asked(at, buy(at, type=OrderType.LIMIT, price=D("60500.5"), stop_loss=D("60000")))
    assert shown.errors
    assert shown.title == "BUY 0.01 BTCUSDT  LIMIT"
    assert ("limit", "60500.5") in shown.rows
    assert ("stop loss", "60000") in shown.rows


def test_a_size_below_the_step_is_shown_as_asked() -> None:
    at = bench()
    shown = asked(at, buy(at, size=D("0.0004")))
    assert shown.errors
    assert "BUY 0.0004 BTCUSDT" in shown.title


def test_a_number_beyond_all_bounds_is_refused_in_words() -> None:
    at = bench()
    shown = asked(at, buy(at, type=OrderType.LIMIT, price=D(10) ** 22))
    assert shown.title == "PLACE ORDER"
    assert shown.errors == ("price: 10000000000000000000000 is beyond 1000000000000; check for a typing slip",)


def test_a_cancel_of_stops_says_what_stays_open_for_one_and_for_many() -> None:
    at = bench()
    at.open(BUY, "0.01", stop_loss="60000")
    stop = next(o for o in at.desk.state.orders.values() if o.terms.role is Role.STOP_LOSS)
    alone = asked(at, cmd.CancelOrder(request_id="c", order=stop.id))
    assert alone.warnings == ("this is a stop loss order: its position stays open without it",)
    at.limit(BUY, "0.01", "50000")
    among = asked(at, cmd.CancelAll(request_id="c"))
    assert among.warnings == ("1 stop loss order among these: the position it guards stays open without a stop loss",)


def test_one_is_not_many() -> None:
    at = bench()
    at.open(BUY, "0.01", stop_loss="60000")
    assert asked(at, cmd.CancelAll(request_id="c")).title.endswith(": 1 order")
    flat = asked(at, cmd.FlattenAll(request_id="f"))
    assert flat.title == "FLATTEN ALL: 1 position"
    assert ("cancel", "1 working order") in flat.rows


def test_a_trailing_stop_says_where_it_stands_first_and_what_that_brings() -> None:
    at = bench()
    position = at.open(BUY, "0.01")
    shown = asked(at, cmd.SetProtection(request_id="t", position=position.id, trail_bps=D(100)))
    assert ("first trigger", "60390.0  (-6.10 USDT)") in shown.rows
    at.ask(cmd.SetProtection, position=position.id, trail_bps=D(100))
    at.mark("61000")
    stop = next(o for o in at.desk.state.orders.values() if o.terms.role is Role.TRAILING)
    assert stop.trigger == D("60390")


def test_a_trail_too_close_is_refused_before_it_is_sent() -> None:
    at = bench()
    position = at.open(BUY, "0.01")
    assert asked(at, cmd.SetProtection(request_id="t", position=position.id, trail_bps=D("0.001"))).errors


def test_an_order_that_trails_says_where_it_stands_first() -> None:
    at = bench()
    at.open(BUY, "0.01")
    order = cmd.PlaceOrder(
        request_id="p", instrument=at.instruments[0].id, side=SELL, type=OrderType.TRAILING_STOP, size=D("0.01"),
        trail_bps=D(100), reduce_only=True,
    )  # fmt: skip
    assert ("first trigger", "60390.0") in asked(at, order).rows


def test_an_amended_stop_says_what_it_brings() -> None:
    at = bench()
    at.open(BUY, "0.02", stop_loss="60000")
    stop = next(o for o in at.desk.state.orders.values() if o.terms.role is Role.STOP_LOSS)
    shown = dict(asked(at, cmd.AmendOrder(request_id="a", order=stop.id, trigger=D("60500"))).rows)
    assert shown["closes at"] == "60500.0  (-10.00 USDT)"


def test_what_an_amend_brings_is_of_what_is_left_and_at_the_level_it_gets() -> None:
    at = bench()
    position = at.open(BUY, "0.1")
    assert position.entry is not None
    at.place(SELL, "0.08", OrderType.LIMIT, price="61500", reduce_only=True)
    limit = at.last_order
    at.report(limit.id, "f1", "61500", "0.06")
    amend = cmd.AmendOrder(request_id="a", order=limit.id, price=D("61600.04"), size=D("0.081"))
    level, won = dict(asked(at, amend).rows)["closes at"].split("  ")
    assert level == "61600.1"
    assert won == f"({(D('61600.1') - position.entry) * D('0.021'):+,.2f} USDT)"


def test_an_order_that_brings_the_liquidation_before_a_stop_that_stands_warns_of_it() -> None:
    at = bench()
    at.open(BUY, "0.02", leverage=5, stop_loss="52000")
    assert asked(at, buy(at, leverage=5)).warnings == ()
    warning = asked(at, buy(at, leverage=50)).warnings[0]
    assert warning.startswith("liquidation would come before the stop loss at 52000.0")
    assert asked(at, buy(at, side=SELL, reduce_only=True)).warnings == ()


def test_an_amend_that_the_engine_would_refuse_is_refused_in_its_preview() -> None:
    at = bench()
    at.open(BUY, "0.02", stop_loss="60000")
    stop = next(o for o in at.desk.state.orders.values() if o.terms.role is Role.STOP_LOSS)
    for field, value in (("trigger", D("62000")), ("size", D("5")), ("price", D("60000"))):
        shown = asked(at, cmd.AmendOrder(request_id="a", order=stop.id, **{field: value}))
        done = at.ask(cmd.AmendOrder, order=stop.id, **{field: value})
        (refused,) = [event.body.message for event in done if isinstance(event.body, ev.IntentRefused)]
        assert shown.errors == (refused,), field
        assert [label for label, _ in shown.rows] == [field]


def test_an_amended_entry_says_what_it_sets_aside_and_is_refused_beyond_what_is_free() -> None:
    at = bench()
    order = at.limit(BUY, "0.01", "60000")
    shown = asked(at, cmd.AmendOrder(request_id="a", order=order.id, size=D("0.02")))
    assert shown.entry
    assert not shown.errors
    assert any(label == "margin and fees set aside" for label, _ in shown.rows)
    assert asked(at, cmd.AmendOrder(request_id="b", order=order.id, size=D("900"))).errors


def test_a_stop_at_the_entry_says_that_fees_are_not_covered() -> None:
    at = Bench(instrument())
    at.quote("60999.9", "61000")
    at.mark("61000")
    position = at.open(BUY, "0.01")
    assert position.entry == D(61000)
    at.market("61500")
    stop = cmd.SetProtection(request_id="s", position=position.id, stop_loss=D(61000))
    (warning,) = asked(at, stop).warnings
    assert warning == "this stop does not cover the fees of both ways: break-even with taker fees is 61061.1"
    covered = cmd.SetProtection(request_id="s", position=position.id, stop_loss=D("61061.1"))
    assert asked(at, covered).warnings == ()
    loss = cmd.SetProtection(request_id="s", position=position.id, stop_loss=D(60000))
    assert asked(at, loss).warnings == ()


def test_no_liquidation_price_is_none_and_unknown_margin_rules_are_a_dash() -> None:
    for tiers, word in ((instrument().tiers, "none"), ((), "–")):
        at = Bench(instrument(tiers=tiers))
        at.market("61000")
        assert dict(asked(at, buy(at, leverage=1)).rows)["liquidation"] == word


@pytest.mark.parametrize("side", [BUY, SELL])
def test_the_liquidation_after_an_order_that_changes_leverage_is_that_of_the_re_margined_whole(side: Side) -> None:
    at = bench(balance="1000000")
    at.open(side, "1", leverage=10)
    order = buy(at, side=side, size=D(1), leverage=5)
    shown = dict(asked(at, order).rows)
    at.open(side, "1", leverage=5)
    assert at.position.liquidation is not None
    assert shown["liquidation"] == f"{at.position.liquidation:.1f}"


@pytest.mark.parametrize("side", [BUY, SELL])
def test_the_exits_of_an_order_that_adds_bring_what_closing_its_own_lot_brings(side: Side) -> None:
    """Long 1 at 60000, 1 more at 55000: the stop at 53000 closes 1 of 2, entered at 57500 on average."""
    at = bench(balance="1000000")
    at.quote("60000", "60000")
    at.open(side, "1", leverage=5)
    price = 60_000 - 5_000 * side.sign
    at.quote(str(price), str(price))
    at.mark(str(price))
    stop, target = D(price - 2_000 * side.sign), D(price + 8_500 * side.sign)
    order = buy(at, side=side, size=D(1), stop_loss=stop, take_profit=target)
    shown = dict(asked(at, order).rows)
    assert shown["stop loss"] == f"{stop}.0  (-4,500.00 USDT)"
    assert shown["take profit"] == f"{target}.0  (+6,000.00 USDT)"
    at.open(side, "1", stop_loss=stop, take_profit=target)
    at.quote(str(stop), str(stop))
    at.mark(str(stop))
    at.wait()
    assert (abs(at.position.size), at.position.realised) == (1, -4_500)


@pytest.mark.parametrize("held", ["0.01", "0.02"])
def test_the_exits_of_an_order_that_opens_nothing_bring_nothing(held: str) -> None:
    at = bench()
    at.open(SELL, held, leverage=5)
    shown = dict(asked(at, buy(at, stop_loss=D(60000), take_profit=D(62000))).rows)
    assert (shown["stop loss"], shown["take profit"]) == ("60000.0", "62000.0")


def test_a_close_beyond_bankruptcy_says_what_insurance_pays() -> None:
    at = bench()
    position = at.open(BUY, "0.1", leverage=100)
    at.quote("50000", "50000.1")
    shown = dict(asked(at, cmd.ClosePosition(request_id="c", position=position.id)).rows)
    before = at.account.balances["USDT"]
    at.ask(cmd.ClosePosition, position=position.id)
    at.wait()
    (closed,) = at.state.closed.values()
    assert before - at.account.balances["USDT"] == position.margin
    assert shown["insurance"].startswith(f"{closed.insurance:+,.2f} USDT")


def test_what_names_an_order_is_previewed_in_the_account_of_that_order() -> None:
    """As the engine takes it."""
    at = bench()
    at.start("other", "10000")
    at.start("main")
    at.market("61000")
    order = at.limit(BUY, "0.01", "60000", account="other", leverage=10)
    change = cmd.AmendOrder(request_id="a", order=order.id, price=D(59900))
    assert asked(at, change).errors == ()
    at.ask(cmd.AmendOrder, order=order.id, price=D(59900))
    assert order.price == D(59900)


@pytest.mark.parametrize(
    ("side", "fields", "pays"),
    [
        (BUY, {"price": D("61000.1")}, "taker"),
        (BUY, {"price": D("61000.2")}, "taker"),
        (BUY, {"price": D("61000")}, "maker"),
        (BUY, {"price": D("61000"), "post_only": True}, "maker"),
        (SELL, {"price": D("61000")}, "taker"),
        (SELL, {"price": D("61000.1")}, "maker"),
        (BUY, {"price": D("61600"), "trigger": D("61500"), "type": OrderType.STOP_LIMIT}, "taker"),
        (BUY, {"price": D("61400"), "trigger": D("61500"), "type": OrderType.STOP_LIMIT}, "maker"),
        (BUY, {"trigger": D("61500"), "type": OrderType.STOP}, "taker"),
    ],
)
def test_a_limit_at_the_price_of_the_other_side_takes_and_pays_for_it(
    side: Side, fields: dict[str, object], pays: str
) -> None:
    at = bench()
    order = buy(at, **{"type": OrderType.LIMIT, "side": side, **fields})
    shown = dict(asked(at, order).rows)
    assert f"({pays} " in shown["fee"]
    at.handle(Intent(at.now, order))
    at.wait()
    if order.trigger is None:
        assert bool(at.state.positions) is (pays == "taker")
