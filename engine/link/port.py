"""EnginePort: what the link needs of an engine. The runtime implements it; screens never see it.

How the parts hang together, all on the engine's asyncio loop:

    hub = Hub(port)                      # engine.link.hub: who is attached, the hand, arm, what each may do
    server = LinkServer(path, hub)       # engine.link.server: the Unix socket; await server.start() / await server.stop(reason)
    link = InProcessLink(begin)          # engine.link.local: an EngineLink without a socket; `await begin()` gives the hub
"""

from __future__ import annotations

from typing import Any, Protocol

from msgspec import Struct

from engine.link.messages import Ack, Welcome
from engine.model.command import AnyCommand
from engine.views import Preview, View


class Permit(Struct, frozen=True):
    """Whether the asker may add exposure now; when not, `code` (NOT_HAND, DISARMED, NOT_A_SCREEN) and `message` go into the Ack."""

    allowed: bool
    code: str = ""
    message: str = ""


GRANTED = Permit(True)


class EnginePort(Protocol):
    """The engine as its screens may use it. Nothing here may block: every call but `submit` returns at once."""

    def welcome(self, screen: str) -> Welcome:
        """First answer to a screen that was given the id `screen`."""
        ...

    def view(self, topic: str) -> View | None:
        """Newest view of a topic that shows nothing newer than what is durable; None when the topic is unknown.

        Asked at most `rate` times a second. The same object as before means nothing is new and nothing is sent.
        """
        ...

    def rate(self, topic: str) -> float:
        """How often a topic may be sent, Hz; the link caps it at 20."""
        ...

    def durable_seq(self) -> int:
        """The last event that is on the disk: when it moves, what is recorded may look different."""
        ...

    def known(self, request_id: str) -> bool:
        """Whether this request id was taken in before, in flight or done: a repeat skips the check of hand and arm."""
        ...

    async def submit(self, command: AnyCommand, *, entry: Permit, key_ns: int, received_ns: int) -> Ack:
        """Take an intent in; returns when its outcome is durable, and never raises for what the asker did wrong.

        A known request id is answered with its first outcome before anything else is checked. A command that adds
        exposure while `entry.allowed` is False is answered `Ack(request_id, False, entry.code, entry.message)`.
        `key_ns` (0 when unknown) and `received_ns` are mono ns (engine.clock.mono_ns). Not cancelled when the screen
        goes away.
        """
        ...

    def preview(self, command: AnyCommand, *, entry: Permit) -> Preview:
        """What the command would do now; a missing permit is an error of the preview when it adds exposure."""
        ...

    async def query(self, name: str) -> Any:
        """A named read as plain data for JSON, with all that was decided before it was asked for.

        Raises KeyError when the name is unknown, or a slow disk lets nothing be said yet.

        status, positions, orders, trades, balance, latency and log answer `msgspec.to_builtins` of that topic's view.
        """
        ...

    async def why(self, name: str) -> Any:
        """The chain behind a row as plain data (engine.views.why.Answer), read beside the loop; raises KeyError when nothing
        is called that, or the ledger cannot be read."""
        ...

    def control_feed(self, action: str, value: float) -> None:
        """Pause | resume | speed of a recording or the simulated market; raises ValueError when it cannot."""
        ...

    def painted(self, order: str, time_ns: int) -> None:
        """An order's result was drawn at `time_ns` (mono ns)."""
        ...

    def request_stop(self, reason: str) -> None:
        """Begin a clean stop; the runtime calls LinkServer.stop when it is done."""
        ...

    def session_changed(self, hand: str, armed: bool, screens: int) -> None:
        """The hand (screen id, empty for nobody), arm, or the number of screens changed: StatusView shows them."""
        ...
