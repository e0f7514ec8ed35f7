"""What a preview says of a command: in numbers, in words that hold for one and for many, also where it is refused."""

from __future__ import annotations

from decimal import Decimal

from engine.model import command as cmd
from engine.model.order import OrderType
from engine.views import Preview
from engine.views.preview import preview
from tests.kit import BUY, Bench

D = Decimal


def bench(**options: object) -> Bench:
    made = Bench(**options)  # type: ignore[arg-type]
    made.market("61000")
    return made


def asked(at: Bench, command: cmd.AnyCommand) -> Preview:
    return preview(at.desk, command, at.now)


def buy(at: Bench, **fields: object) -> cmd.PlaceOrder:
    wanted = {"type": OrderType.MARKET, "size": D("0.01"), **fields}
    return cmd.PlaceOrder(request_id="p", instrument=at.instruments[0].id, side=BUY, **wanted)  # type: ignore[arg-type]


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
