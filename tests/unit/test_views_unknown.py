"""What a person sees of an outcome that is not known: the evidence, the worst case, and what their word would do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from engine.core.inputs import Asked, Doubt, NoSuchOrder
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.account import Execution
from engine.model.order import Order, OrderStatus, OrderType
from engine.runtime.port import adds_exposure
from engine.views import Preview, tables
from engine.views.log import log_line
from engine.views.preview import preview
from tests.kit import BUY, SECOND, SELL, Bench, D, fill, instrument

BTC = instrument()
NOON = 43_390 * SECOND
"""12:03:10 UTC."""


@pytest.fixture
def bench() -> Bench:
    bench = Bench(BTC, balance="100000", execution=Execution.VENUE)
    bench.at(NOON - 2_000_000)
    bench.market("60000")
    return bench


def lost(bench: Bench, side: str = "BUY", size: str = "0.5", **fields: object) -> Order:
    """A limit order whose submit nobody answered."""
    wanted = BUY if side == "BUY" else SELL
    bench.place(wanted, size, OrderType.LIMIT, price="59000" if wanted is BUY else "61000", **fields)
    order = bench.last_order
    bench.handle(Doubt(bench.now, order.id, "submit: no answer in 5 s"))
    return order


def ask(bench: Bench, order: Order, times: int) -> None:
    for _ in range(times):
        bench.handle(Asked(bench.now + SECOND, order.id, "no answer in 5 s"))


def held(bench: Bench, size: str = "1") -> None:
    """A long position taken at 60000.1."""
    bench.place(BUY, size)
    bench.said(bench.last_order, OrderStatus.FILLED, size, fill("f1", "60000.1", size))


def test_an_unknown_order_carries_its_evidence_and_the_worst_it_may_have_done(bench: Bench) -> None:
    order = lost(bench)
    (row,) = tables.orders_view(bench.desk, bench.now).rows
    assert row.status == "UNKNOWN"
    assert row.evidence == "not asked yet, silent since 12:03:10 UTC, worst case +0.500 (submit: no answer in 5 s)"
    ask(bench, order, 4)
    (row,) = tables.orders_view(bench.desk, bench.now).rows
    assert row.evidence == "asked 4x, silent since 12:03:10 UTC, worst case +0.500, last: no answer in 5 s"
    short = f"{order.id} BTCUSDT asked 4x, silent since 12:03:10 UTC, worst case +0.500"
    assert tables.unknown_trails(bench.desk.kernel) == (short,)


def test_the_worst_case_is_signed_and_only_what_is_not_filled_for_certain(bench: Bench) -> None:
    bench.place(SELL, "0.5", OrderType.LIMIT, price="61000")
    order = bench.last_order
    bench.said(order, OrderStatus.PARTIAL, "0.5", fill("f1", "61000", "0.2"))
    bench.handle(Doubt(bench.now, order.id, "cancel: no answer"))
    assert "worst case -0.300" in tables.trail(bench.desk.kernel, order)


def test_the_worst_case_is_that_of_an_amend_that_may_have_arrived(bench: Bench) -> None:
    """What is shown, what blocks entries and what is set aside are one size."""
    bench.place(BUY, "0.5", OrderType.LIMIT, price="59000")
    order = bench.last_order
    bench.said(order, OrderStatus.ACCEPTED)
    bench.ask(cmd.AmendOrder, order=order.id, size=D("0.8"))
    bench.handle(Doubt(bench.now, order.id, "amend: no answer"))
    assert "worst case +0.800" in tables.trail(bench.desk.kernel, order)
    command = cmd.PlaceOrder(request_id="p", instrument=BTC.id, side=BUY, type=OrderType.MARKET, size=D("0.1"))
    (error,) = preview(bench.desk, command, bench.now).errors
    assert f"what became of {order.id} (buy 0.8) is not known" in error
    assert bench.account.working(BTC.id, BUY) == D("0.8")


def test_a_reduce_only_order_may_or_may_not_have_closed(bench: Bench) -> None:
    held(bench)
    order = lost(bench, "SELL", "0.4", reduce_only=True)
    assert "may or may not have closed 0.400" in tables.trail(bench.desk.kernel, order)


def test_of_more_orders_than_a_screen_is_given_the_unknown_ones_come_first(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for price in ("59990", "59980", "59970"):
        bench.place(BUY, "0.01", OrderType.LIMIT, price=price)
    order = lost(bench)
    monkeypatch.setattr(tables, "MAX_ORDERS", 1)
    (row,) = tables.orders_view(bench.desk, bench.now).rows
    assert row.id == order.id


def test_an_order_of_known_outcome_has_no_evidence(bench: Bench) -> None:
    bench.place(BUY, "0.5", OrderType.LIMIT, price="59000")
    (row,) = tables.orders_view(bench.desk, bench.now).rows
    assert (row.evidence, tables.unknown_trails(bench.desk.kernel)) == ("", ())


def test_the_preview_of_an_entry_names_the_order_it_waits_for(bench: Bench) -> None:
    order = lost(bench)
    command = cmd.PlaceOrder(request_id="p", instrument=BTC.id, side=BUY, type=OrderType.MARKET, size=D("0.1"))
    (error,) = preview(bench.desk, command, bench.now).errors
    assert f"what became of {order.id} (buy 0.5) is not known since 12:03:10 UTC" in error


class TestPositionThatDiffers:
    """The venue states another position."""

    @pytest.fixture
    def differing(self, bench: Bench) -> Bench:
        held(bench)
        bench.desk.kernel.journal.emit_account("main", ev.PositionDiffers(D(1), D("0.7")), BTC.id)
        return bench

    def test_is_said_on_its_row(self, differing: Bench) -> None:
        (row,) = tables.positions_view(differing.desk, differing.now).rows
        assert row.differs.startswith("venue says +0.7, ledger +1, since 12:03:10")
        assert tables.differing(differing.desk.kernel) == (f"BTCUSDT {row.differs}",)

    def test_is_said_where_the_ledger_holds_none(self, bench: Bench) -> None:
        bench.desk.kernel.journal.emit_account("main", ev.PositionDiffers(D(0), D("-2")), BTC.id)
        assert tables.positions_view(bench.desk, bench.now).rows == ()
        assert "BTCUSDT venue says -2, ledger +0" in tables.differing(bench.desk.kernel)[0]

    def test_is_over_when_they_agree(self, differing: Bench) -> None:
        differing.desk.kernel.journal.emit_account("main", ev.PositionAgreed(), BTC.id)
        (row,) = tables.positions_view(differing.desk, differing.now).rows
        assert (row.differs, tables.differing(differing.desk.kernel)) == ("", ())


class TestPreviewOfAnAttestation:
    """A person's word, in its consequences."""

    def look(
        self, bench: Bench, order: str, filled: str = "0", price: str | None = None, reason: str = "seen"
    ) -> Preview:
        at = None if price is None else D(price)
        command = cmd.AttestOrder(request_id="a", order=order, filled=D(filled), price=at, reason=reason)
        return preview(bench.desk, command, bench.now)

    def test_says_what_is_booked_and_the_position_after_it_as_the_engine_then_books_it(self, bench: Bench) -> None:
        order = lost(bench)
        shown = self.look(bench, order.id, "0.3", "59000", "seen on the website")
        rows = dict(shown.rows)
        assert shown.errors == ()
        assert rows["booked"] == "0.300 filled @ 59000.0, fee 8.8500 USDT (taker)"
        assert rows["position"] == "flat -> long 0.300 @ 59000.0"
        assert rows["reason"] == "seen on the website"
        bench.ask(cmd.AttestOrder, order=order.id, filled=D("0.3"), price=D(59000), reason="seen on the website")
        assert (bench.size, bench.position.entry, bench.position.fees) == (D("0.3"), D(59000), D("8.85"))

    def test_says_that_nothing_changes_and_what_comes_free_when_it_never_arrived(self, bench: Bench) -> None:
        order = lost(bench)
        rows = dict(self.look(bench, order.id).rows)
        assert rows["booked"] == "nothing: it never arrived"
        assert rows["position"] == "flat, unchanged"
        free = bench.free
        bench.ask(cmd.AttestOrder, order=order.id, reason="seen")
        assert rows["margin back"] == f"{bench.free - free:,.2f} USDT no longer set aside"

    def test_warns_where_it_contradicts_what_the_venue_says(self, bench: Bench) -> None:
        bench.place(BUY, "0.5", OrderType.LIMIT, price="59000")
        order = bench.last_order
        bench.said(order, OrderStatus.FILLED, "0.5")
        assert "the venue says FILLED, fills of 0.500 are missing" in tables.trail(bench.desk.kernel, order)
        assert "the venue itself says FILLED with 0.5 filled" in self.look(bench, order.id).warnings[0]
        assert len(self.look(bench, order.id, "0.5", "59000").warnings) == 1

    def test_is_no_entry_so_that_it_needs_no_arm(self, bench: Bench) -> None:
        assert not self.look(bench, lost(bench).id, "0.3", "59000").entry

    def test_refuses_what_the_engine_would_refuse(self, bench: Bench) -> None:
        order = lost(bench)
        for shown, says in (
            (self.look(bench, order.id, "0.6", "59000"), "filled: 0.6 is not within 0 and the 0.5"),
            (self.look(bench, order.id, "0.3"), "give the average price"),
            (self.look(bench, order.id, reason=" "), "say how you know"),
            (self.look(bench, "O99"), "'O99' is not there"),
        ):
            assert says in shown.errors[0]

    def test_of_an_order_that_is_known_is_refused(self, bench: Bench) -> None:
        bench.place(BUY, "0.5", OrderType.LIMIT, price="59000")
        assert "only one of unknown outcome can be attested" in self.look(bench, bench.last_order.id).errors[0]


def test_an_attestation_needs_neither_the_hand_nor_the_arm(bench: Bench) -> None:
    keeper: Any = SimpleNamespace(desk=bench.desk)
    assert not adds_exposure(keeper, cmd.AttestOrder(request_id="a", order="O1", reason="seen"))
    assert adds_exposure(
        keeper, cmd.PlaceOrder(request_id="p", instrument=BTC.id, side=BUY, type=OrderType.MARKET, size=D(1))
    )


class TestLog:
    """Events of unknown outcomes in a person's words."""

    def told(self, bench: Bench, body: ev.AnyBody) -> tuple[str, str]:
        event = ev.Event(1, bench.now, "main", "sim", BTC.id, "hand", "", 0, 1, body)
        line = log_line(bench.state, event)
        assert line is not None
        return line.level, line.text

    def test_of_an_order(self, bench: Bench) -> None:
        order = lost(bench)
        name = f"{order.id} buy 0.500 BTCUSDT limit 59000.0"
        for body, says in (
            (ev.OrderUnknown(order.id, "no answer"), ("error", f"UNKNOWN {name}: no answer")),
            (
                ev.OrderAsked(order.id, "HTTP 502"),
                ("warn", f"asked for {name}: HTTP 502; its outcome is still not known"),
            ),
            (
                ev.OrderAttested(order.id, "website", D("0.3"), D(59000)),
                ("warn", f"a person answers for {name}: 0.3 of it filled @ 59000.0; reason: website"),
            ),
            (
                ev.OrderAttested(order.id, "website"),
                ("warn", f"a person answers for {name}: nothing of it filled; reason: website"),
            ),
            (
                ev.FillCovered(order.id, "f7", D(59000), D("0.3")),
                ("info", f"fill f7 of {order.id}, 0.3 @ 59000, was booked by an attestation already"),
            ),
            (ev.AmendRequested(order.id, D(58000), D(1)), ("info", f"amending {name} to price 58000, size 1")),
            (ev.AmendRejected(order.id, "too late"), ("warn", f"not amended, it stands as it was: {name}: too late")),
        ):
            assert self.told(bench, body) == says

    def test_of_a_position(self, bench: Bench) -> None:
        said = "position of BTCUSDT DIFFERS: the venue says +0.7, the ledger +1; entries wait"
        assert self.told(bench, ev.PositionDiffers(D(1), D("0.7"))) == ("error", said)
        agreed = "position of BTCUSDT: the venue and the ledger agree again"
        assert self.told(bench, ev.PositionAgreed()) == ("good", agreed)


def test_an_order_that_never_arrived_is_no_longer_unknown_on_screen(bench: Bench) -> None:
    order = lost(bench)
    bench.handle(NoSuchOrder(bench.now, order.id, "order does not exist"))
    assert tables.orders_view(bench.desk, bench.now).rows == ()
    assert tables.unknown_trails(bench.desk.kernel) == ()
