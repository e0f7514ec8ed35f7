"""While an amend is under way to a venue, the worst of before and after is set aside: money, and size for the limits."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.inputs import AmendRefused, Doubt
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.account import Execution, RiskLimits
from engine.model.order import Order, OrderStatus, OrderType
from tests.kit import BUY, SELL, Bench, D, Replayed, bodies, fill, refusal

S, LIMIT = OrderStatus, OrderType.LIMIT


@pytest.fixture
def bench() -> Bench:
    bench = Bench(balance="10000", execution=Execution.VENUE)
    bench.market("60000")
    return bench


def resting(bench: Bench, size: str, price: str = "59000") -> Order:
    bench.place(BUY, size, LIMIT, price=price, leverage=10)
    bench.said(bench.last_order, S.ACCEPTED)
    return bench.last_order


def working(bench: Bench) -> Decimal:
    return bench.account.working(bench.instruments[0].id, BUY)


def reserved(bench: Bench) -> Decimal:
    return bench.account.reserves["USDT"]


def amend(bench: Bench, order: Order, **changes: Decimal) -> None:
    assert bodies(bench.ask(cmd.AmendOrder, order=order.id, **changes), ev.AmendRequested)


def replayed(bench: Bench) -> bool:
    again = Replayed()
    again.read(bench.events)
    return again.equals(bench.state)


def test_what_an_amend_would_need_is_set_aside_before_the_venue_answers(bench: Bench) -> None:
    order = resting(bench, "0.1")
    amend(bench, order, size=D("1.5"))
    assert working(bench) == D("1.5")
    assert refusal(bench.place(BUY, "1.4", LIMIT, price="59000"))[0] == "MARGIN"
    aside = reserved(bench)
    bench.said(order, S.ACCEPTED, size=D("1.5"))
    assert (reserved(bench), order.reserve, working(bench)) == (aside, aside, D("1.5"))
    assert bench.free > 0
    assert replayed(bench)


def test_an_amend_under_way_counts_towards_the_position_limit() -> None:
    limits = RiskLimits(max_position_notional=D(100_000))
    bench = Bench(limits=limits, balance="1000000", execution=Execution.VENUE)
    bench.market("60000")
    order = resting(bench, "0.1")
    amend(bench, order, size=D("1.5"))
    assert refusal(bench.place(BUY, "1", LIMIT, price="59000"))[0] == "POSITION_NOTIONAL"


def test_an_amend_that_asks_for_less_keeps_what_the_order_may_still_need(bench: Bench) -> None:
    order = resting(bench, "1")
    before = reserved(bench)
    amend(bench, order, size=D("0.2"), price=D(50_000))
    assert (reserved(bench), working(bench)) == (before, D(1))
    bench.said(order, S.ACCEPTED, size=D("0.2"), price=D(50_000))
    assert working(bench) == D("0.2")
    assert reserved(bench) < before / 4
    assert replayed(bench)


@pytest.mark.parametrize(("size", "price"), [("1.5", None), ("0.05", None), (None, "59500"), ("0.5", "58000")])
def test_a_refused_amend_gives_back_what_it_set_aside(bench: Bench, size: str | None, price: str | None) -> None:
    order = resting(bench, "0.1")
    before = reserved(bench)
    changes = {"size": size, "price": price}
    amend(bench, order, **{field: D(value) for field, value in changes.items() if value is not None})
    assert reserved(bench) >= before
    bench.handle(AmendRefused(bench.now, order.id, "no"))
    assert (reserved(bench), working(bench)) == (before, D("0.1"))
    assert replayed(bench)


@pytest.mark.parametrize("status", [S.CANCELLED, S.EXPIRED, S.FILLED])
def test_an_order_that_ends_while_it_is_amended_leaves_nothing_aside(bench: Bench, status: OrderStatus) -> None:
    order = resting(bench, "0.1")
    amend(bench, order, size=D("1.5"))
    fills = [fill("f1", "59000", "0.1")] if status is S.FILLED else []
    bench.said(order, status, "0.1" if fills else "0", *fills)
    assert order.status is status
    assert (reserved(bench), working(bench)) == (D(0), D(0))
    assert replayed(bench)


@pytest.mark.parametrize("accepted", [True, False])
def test_what_fills_while_an_amend_is_under_way_is_no_longer_aside(bench: Bench, accepted: bool) -> None:
    order = resting(bench, "0.4")
    before = reserved(bench)
    amend(bench, order, size=D("0.8"))
    bench.said(order, S.PARTIAL, "0.1", fill("f1", "59000", "0.1"))
    assert working(bench) == D("0.7")
    assert reserved(bench) > before * D("1.7")
    if accepted:
        bench.said(order, S.PARTIAL, "0.1", size=D("0.8"))
        assert working(bench) == D("0.7")
        assert abs(reserved(bench) - before * D("1.75")) < D("0.001")
    else:
        bench.handle(AmendRefused(bench.now, order.id, "no"))
        assert working(bench) == D("0.3")
        assert abs(reserved(bench) - before * D("0.75")) < D("0.001")
    assert replayed(bench)


def test_a_lost_amend_stays_reserved_over_a_restart(bench: Bench) -> None:
    order = resting(bench, "0.1")
    amend(bench, order, size=D("1.5"))
    aside = reserved(bench)
    bench.handle(Doubt(bench.now, order.id, "no answer"))
    bench.restart()
    assert (reserved(bench), working(bench)) == (aside, D("1.5"))


def attest(bench: Bench, order: Order, filled: str) -> list[ev.Event]:
    return bench.ask(cmd.AttestOrder, order=order.id, reason="the venue's page", filled=D(filled), price=D(59_000))


def lost(bench: Bench, size: str, amended: str) -> Order:
    """An order that rested and may have been amended: nobody answered."""
    order = resting(bench, size)
    amend(bench, order, size=D(amended))
    bench.handle(Doubt(bench.now, order.id, "amend: no answer"))
    return order


def test_a_person_attests_what_only_a_lost_amend_made_room_for(bench: Bench) -> None:
    order = lost(bench, "0.1", "0.15")
    events = attest(bench, order, "0.15")
    assert [e.type for e in events][1:] == ["OrderAttested", "OrderAmended", "OrderFilled"]
    assert (order.status, order.size, bench.size) == (S.FILLED, D("0.15"), D("0.15"))
    assert (reserved(bench), working(bench)) == (D(0), D(0))
    assert replayed(bench)


def test_an_attestation_within_the_first_size_says_nothing_of_a_lost_amend(bench: Bench) -> None:
    order = lost(bench, "0.1", "0.15")
    assert not bodies(attest(bench, order, "0.1"), ev.OrderAmended)
    assert (order.size, bench.size, working(bench)) == (D("0.1"), D("0.1"), D(0))
    assert replayed(bench)


def test_more_than_a_lost_amend_asked_for_is_not_attested(bench: Bench) -> None:
    order = lost(bench, "0.1", "0.15")
    code, message = refusal(attest(bench, order, "0.16"))
    assert (code, message) == ("FILLED", "filled: 0.16 is not within 0 and the 0.15 that may have been filled")


def test_what_no_lost_amend_made_room_for_says_nothing_of_it_either(bench: Bench) -> None:
    """The venue spoke of more than the order was; the amend that nobody answered asked for another price only."""
    order = resting(bench, "0.1")
    amend(bench, order, price=D(58_000))
    bench.handle(Doubt(bench.now, order.id, "amend: no answer"))
    bench.said(order, S.CANCELLED, "0.2")
    events = attest(bench, order, "0.2")
    assert bodies(events, ev.OrderAmended) == []
    assert (order.price, bench.size) == (D(59_000), D("0.2"))


def test_an_exit_that_is_amended_sets_nothing_aside(bench: Bench) -> None:
    bench.said(resting(bench, "0.5"), S.FILLED, "0.5", fill("f1", "59000", "0.5"))
    bench.place(SELL, "0.2", LIMIT, price="61000", reduce_only=True)
    bench.said(bench.last_order, S.ACCEPTED)
    amend(bench, bench.last_order, size=D("0.4"))
    assert reserved(bench) == 0
    assert not bench.account.selling


def test_an_amend_below_what_is_filled_already_leaves_nothing_behind(bench: Bench) -> None:
    order = resting(bench, "0.4")
    amend(bench, order, size=D("0.2"))
    bench.said(order, S.PARTIAL, "0.3", fill("f1", "59000", "0.3"))
    bench.said(order, S.CANCELLED, "0.3", size=D("0.2"))
    assert order.id in bench.state.ended
    assert (reserved(bench), working(bench)) == (D(0), D(0))


def test_a_leverage_set_while_an_amend_is_under_way_holds_for_the_order_as_it_was_too(bench: Bench) -> None:
    order = resting(bench, "0.1")
    amend(bench, order, size=D("0.2"))
    bench.ask(cmd.SetLeverage, instrument=bench.instruments[0].id, leverage=5)
    bench.handle(AmendRefused(bench.now, order.id, "no"))
    # A fifth of the notional, and its taker fee.
    assert reserved(bench) == order.reserve == D("1182.95")
    assert replayed(bench)


def test_a_leverage_set_while_an_amend_is_under_way_holds_for_a_size_that_comes_about(bench: Bench) -> None:
    order = resting(bench, "0.1")
    amend(bench, order, size=D("0.2"))
    bench.ask(cmd.SetLeverage, instrument=bench.instruments[0].id, leverage=5)
    bench.said(order, S.ACCEPTED, size=D("0.2"))
    assert reserved(bench) == order.reserve == D("2365.9")
