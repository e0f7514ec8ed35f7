"""EngineLink: how a screen sees its engine, whichever way it is reached (socket, in-process, recording)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Protocol

from engine.link.messages import Ack, Welcome
from engine.model.command import AnyCommand
from engine.views import Preview, View


class LinkState(StrEnum):
    """Whether the engine answers."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    LOST = "lost"
    CLOSED = "closed"


class LinkLost(ConnectionError):
    """The engine did not answer; the intent's outcome is not known, send the same request id again."""


class EngineLink(Protocol):
    """Views in, intents out. Everything runs on the caller's asyncio loop."""

    state: LinkState
    detail: str
    """Why it is lost or what it waits for."""
    welcome: Welcome | None
    views: dict[str, View]
    """Latest view by topic; replaced, never mutated. A frame compares identity to see what is new."""
    last_frame_ns: int
    """When anything last arrived from the engine (mono ns): its heartbeat."""

    async def start(self) -> None:
        """Connect; keeps reconnecting after a loss until closed."""

    async def close(self) -> None:
        """Leave; the engine goes on."""

    def subscribe(self, topics: tuple[str, ...]) -> None:
        """Want these topics from now on; kept across reconnects."""

    async def submit(self, command: AnyCommand, key_ns: int = 0) -> Ack:
        """Send an intent, wait until its outcome is durable; raises LinkLost."""

    async def preview(self, command: AnyCommand) -> Preview:
        """Ask what a command would do; raises LinkLost."""

    async def query(self, name: str) -> Any:
        """A named read for commands; raises LinkLost, or RuntimeError with the engine's error."""

    def take_hand(self) -> None:
        """Take the trading hand."""

    def set_armed(self, on: bool) -> None:
        """Arm or disarm keyboard entries."""

    def control_feed(self, action: str, value: float = 0.0) -> None:
        """Pause, resume or speed up a recording or the simulated market."""

    def painted(self, order: str, time_ns: int) -> None:
        """Tell when an order's result was drawn."""

    def stop_engine(self, reason: str) -> None:
        """Stop the engine cleanly."""
