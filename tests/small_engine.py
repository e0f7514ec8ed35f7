"""A small engine behind a real link: what the tests of the link and of the command line attach to."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from engine.link.messages import PROTOCOL, Ack, Welcome
from engine.link.port import Permit
from engine.model.command import AnyCommand, PlaceOrder
from engine.views import LogLine, LogView, Preview, TradesView, View


class SmallEngine:
    """Carries out everything at once and remembers it; shows what it is told to show."""

    def __init__(self) -> None:
        self.shown: dict[str, View] = {"log": LogView(0, ()), "status": TradesView(0, ())}
        self.taken: dict[str, Ack] = {}
        self.carried_out: list[AnyCommand] = []
        self.sessions: list[tuple[str, bool, int]] = []
        self.stopped = ""
        self.refusals: tuple[str, ...] = ()
        self.answers: dict[str, Any] = {}
        self.seq = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.arrived = asyncio.Event()

    def welcome(self, screen: str) -> Welcome:
        return Welcome(PROTOCOL, screen, "ledger", 7, "sim", "simulated", os.getpid())

    def view(self, topic: str) -> View | None:
        return self.shown.get(topic)

    def rate(self, topic: str) -> float:
        return 20.0

    def durable_seq(self) -> int:
        return self.seq

    def known(self, request_id: str) -> bool:
        return request_id in self.taken

    async def submit(self, command: AnyCommand, *, entry: Permit, key_ns: int, received_ns: int) -> Ack:
        if command.request_id in self.taken:
            return self.taken[command.request_id]
        if isinstance(command, PlaceOrder) and not entry.allowed:
            return Ack(command.request_id, False, entry.code, entry.message)
        ack = self.taken[command.request_id] = Ack(command.request_id, True, orders=("o1",))
        self.carried_out.append(command)
        self.arrived.set()
        await self.gate.wait()
        return ack

    def preview(self, command: AnyCommand, *, entry: Permit) -> Preview:
        opens = isinstance(command, PlaceOrder)
        errors = (entry.message,) if opens and not entry.allowed else self.refusals
        return Preview(type(command).__name__, (("size", "0.1"), ("gives", "6100 USDT")), errors=errors, entry=opens)

    async def query(self, name: str) -> Any:
        if name not in self.answers:
            raise KeyError(f"the engine knows no query {name!r}")
        return self.answers[name]

    async def why(self, name: str) -> Any:
        return await self.query(f"why:{name}")

    def control_feed(self, action: str, value: float) -> None:
        raise ValueError("a live market does not pause")

    def painted(self, order: str, time_ns: int) -> None:
        pass

    def request_stop(self, reason: str) -> None:
        self.stopped = reason

    def session_changed(self, hand: str, armed: bool, screens: int) -> None:
        self.sessions.append((hand, armed, screens))

    def show(self, text: str) -> None:
        self.shown["log"] = LogView(0, (LogLine(1, 0, "info", "X", text),))
