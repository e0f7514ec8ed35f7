"""What travels between a screen and the engine: length-prefixed msgpack, views out, intents in (DESIGN 9)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from engine.model.command import AnyCommand
from engine.views import Preview, View

PROTOCOL = 1
MAX_FRAME = 1 << 20
"""Bytes; a longer frame ends the connection."""


class ToEngine(Struct, frozen=True, tag=True, omit_defaults=True):
    """From a screen or a command."""


class Hello(ToEngine, frozen=True):
    """First frame. `kind` is screen (may hold the hand) or command (asks and goes)."""

    protocol: int
    name: str
    kind: str = "screen"


class Subscribe(ToEngine, frozen=True):
    """The whole set of topics wanted from now on; see engine.views for their names."""

    topics: tuple[str, ...]


class Submit(ToEngine, frozen=True):
    """An intent; answered by Ack with the command's request id once it is durable. `key_ns` is when the key was pressed."""

    command: AnyCommand
    key_ns: int = 0


class AskPreview(ToEngine, frozen=True):
    """What would this command do? Answered by PreviewReply."""

    id: int
    command: AnyCommand


class Query(ToEngine, frozen=True):
    """A named read: status, positions, orders, trades, balance, latency, log, why:ID. Answered by QueryReply."""

    id: int
    name: str


class TakeHand(ToEngine, frozen=True):
    """Take the trading hand; the screen that held it is told."""


class SetArmed(ToEngine, frozen=True):
    """Arm or disarm keyboard entries; only the hand may."""

    on: bool


class FeedControl(ToEngine, frozen=True):
    """Recordings and the simulated market: pause | resume | speed (factor)."""

    action: str
    value: float = 0.0


class Painted(ToEngine, frozen=True):
    """An order's result was drawn at `time_ns`: the last stage of its latency."""

    order: str
    time_ns: int


class StopEngine(ToEngine, frozen=True):
    """Stop the engine cleanly; positions and orders stay in the ledger."""

    reason: str = ""


class ToScreen(Struct, frozen=True, tag=True, omit_defaults=True):
    """From the engine."""


class Welcome(ToScreen, frozen=True):
    """First answer."""

    protocol: int
    screen: str
    """The id the engine gave this screen; StatusView.hand names the holder by it."""
    ledger: str
    epoch: int
    env: str
    feed: str
    pid: int


class Refused(ToScreen, frozen=True):
    """The connection ends; `message` says why and what to do."""

    code: str
    message: str


class Push(ToScreen, frozen=True):
    """The latest view of a topic; older ones not yet sent were dropped."""

    topic: str
    view: View


class Ack(ToScreen, frozen=True):
    """An intent's outcome, durable. `code` is empty when it was accepted; `orders` are the ids it made."""

    request_id: str
    ok: bool
    code: str = ""
    message: str = ""
    orders: tuple[str, ...] = ()


class PreviewReply(ToScreen, frozen=True):
    """Answer to AskPreview."""

    id: int
    preview: Preview


class QueryReply(ToScreen, frozen=True):
    """Answer to Query: plain data for JSON, or an error."""

    id: int
    data: Any = None
    error: str = ""


class HandChanged(ToScreen, frozen=True):
    """Who holds the trading hand now; empty for nobody."""

    holder: str


class Stopping(ToScreen, frozen=True):
    """The engine is going down."""

    reason: str


EngineMessage = (
    Hello | Subscribe | Submit | AskPreview | Query | TakeHand | SetArmed | FeedControl | Painted | StopEngine
)
ScreenMessage = Welcome | Refused | Push | Ack | PreviewReply | QueryReply | HandChanged | Stopping

encode = msgspec.msgpack.Encoder(decimal_format="string").encode
decode_for_engine = msgspec.msgpack.Decoder(EngineMessage).decode
decode_for_screen = msgspec.msgpack.Decoder(ScreenMessage).decode
