"""An engine that is not there: serves seeded views, records what is asked of it, answers when told to."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from engine.link.base import LinkLost, LinkState
from engine.link.messages import Ack, Welcome
from engine.model.command import AnyCommand, PlaceOrder
from engine.views import Preview, StatusView, View
from tests.ui import seeds

SCREEN = "screen-1"

ROWS = (
    ("side", "BUY BTCUSDT"),
    ("size", "0.010 BTC"),
    ("notional", "610.01 USDT"),
    ("expected price", "61000.5"),
    ("slippage", "0.8 bp"),
    ("fee", "0.24 USDT"),
    ("position after", "L 0.020 @ 60970.2"),
    ("reduce-only", "no"),
    ("data age", "0.1 s"),
)


class FakeLink:
    """An EngineLink over a dict of views. `mono` is its clock: it beats whenever somebody looks, until it is lost."""

    def __init__(self, views: dict[str, View] | None = None, *, screen: str = SCREEN) -> None:
        self.state = LinkState.CONNECTED
        self.detail = ""
        self.views: dict[str, View] = dict(views or {})
        env = self.views["status"].env if "status" in self.views else "sim"  # type: ignore[union-attr]
        self.welcome: Welcome | None = Welcome(1, screen, f"{env}.sqlite", 1, env, "simulated", 4711)
        self.last_frame_ns = 0
        self.topics: tuple[str, ...] = ()
        self.sent: list[AnyCommand] = []
        """Intents that arrived."""
        self.asked: list[AnyCommand] = []
        """Commands previewed."""
        self.drawn: list[str] = []
        self.stopped: list[str] = []
        self.started = self.closed = False
        self.errors: tuple[str, ...] = ()
        self.warnings: tuple[str, ...] = ()
        self.refuse: tuple[str, str] | None = None
        self.lose_next = 0
        self.hold: asyncio.Event | None = None
        """When set, submits wait for it."""

    async def start(self) -> None:
        self.started = True

    async def close(self) -> None:
        self.closed = True

    def subscribe(self, topics: tuple[str, ...]) -> None:
        self.topics = topics

    async def submit(self, command: AnyCommand, key_ns: int = 0) -> Ack:
        del key_ns
        if self.hold is not None:
            await self.hold.wait()
        self.sent.append(command)
        if self.lose_next:
            self.lose_next -= 1
            raise LinkLost("no answer within 2 s")
        if self.refuse:
            return Ack(command.request_id, False, *self.refuse)
        return Ack(command.request_id, True, orders=("O9",))

    async def preview(self, command: AnyCommand) -> Preview:
        self.asked.append(command)
        name = type(command).__name__
        entry = isinstance(command, PlaceOrder) and not command.reduce_only
        return Preview(name, (("request", name), *ROWS), self.errors, self.warnings, entry)

    async def query(self, name: str) -> Any:
        return {"name": name}

    def take_hand(self) -> None:
        self.change_status(hand=SCREEN)

    def set_armed(self, on: bool) -> None:
        self.change_status(armed=on)

    def control_feed(self, action: str, value: float = 0.0) -> None:
        raise AssertionError(f"the desk does not control feeds: {action} {value}")

    def painted(self, order: str, time_ns: int) -> None:
        del time_ns
        self.drawn.append(order)

    def stop_engine(self, reason: str) -> None:
        self.stopped.append(reason)

    # --- what a test says ---

    def change_status(self, **changes: object) -> None:
        """The engine pushes a status with some fields changed."""
        view = self.views["status"]
        assert isinstance(view, StatusView)
        self.views["status"] = msgspec.structs.replace(view, **changes)

    def lose(self) -> None:
        """The engine is gone."""
        self.state, self.detail = LinkState.LOST, ""


def full_views(**status: object) -> dict[str, View]:
    """A desk with something in every pane."""
    return {
        "status": seeds.status(**{"open_positions": 2, "open_orders": 4, **status}),
        f"book:{seeds.BTC}": seeds.book(),
        f"chart:{seeds.BTC}:5": seeds.chart(),
        "positions": seeds.positions(2),
        "orders": seeds.orders(4),
        "trades": seeds.trades(6),
        "balance": seeds.balance(),
        "latency": seeds.latency(),
        "log": seeds.log(12),
    }


def empty_views() -> dict[str, View]:
    """A desk before the first quote."""
    return {
        "status": seeds.status(open_positions=0, open_orders=0, streams=()),
        "positions": seeds.positions(0),
        "orders": seeds.orders(0),
        "trades": seeds.trades(0),
        "log": seeds.log(0),
    }
