"""Who is attached to the engine, who holds the trading hand, whether it is armed, and what each may do (DESIGN 9)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from engine.clock import mono_ns
from engine.link.messages import Ack, HandChanged, Welcome
from engine.link.port import GRANTED, EnginePort, Permit
from engine.model.command import AnyCommand, CancelAll, CancelOrder, ClosePosition, FlattenAll, PlaceOrder, SetKill
from engine.views import Preview

log = logging.getLogger(__name__)


class Kind(StrEnum):
    """A screen may hold the hand; a command asks and goes."""

    SCREEN = "screen"
    COMMAND = "command"


@dataclass(slots=True, eq=False)
class Session:
    """One attached screen or command. `tell` must not block."""

    id: str
    kind: Kind
    tell: Callable[[HandChanged], None]


_NOT_HAND = Permit(False, "NOT_HAND", "another screen holds the trading hand; H takes it")
_DISARMED = Permit(False, "DISARMED", "entries are disarmed; press a to arm")
_NOT_A_SCREEN = Permit(False, "NOT_A_SCREEN", "entries are placed at a screen; open one with: hoox attach")


def is_exit(command: AnyCommand) -> bool:
    """Commands that only take risk off: any screen may send them, armed or not."""
    match command:
        case ClosePosition() | FlattenAll() | CancelOrder() | CancelAll():
            return True
        case SetKill(on=on):
            return on
        case PlaceOrder(reduce_only=reduce_only):
            return reduce_only
        case _:
            return False


class Hub:
    """The screens of one engine. The first that comes gets the hand; whoever takes or gives it up leaves it disarmed."""

    def __init__(self, port: EnginePort) -> None:
        self.port = port
        self._screens: dict[str, Session] = {}
        self._hand = ""
        self._armed = False
        self._joined = 0

    def join(self, kind: Kind, name: str, tell: Callable[[HandChanged], None]) -> tuple[Session, Welcome]:
        """Attach a screen or a command; `name` is for people, the id is unique for this engine start.

        The newcomer is not told who holds the hand; read `holder` after the Welcome went out.
        """
        self._joined += 1
        label = "".join(c for c in name if c.isprintable() and not c.isspace())[:32] or kind
        session = Session(f"{label}#{self._joined}", kind, tell)
        if kind is Kind.SCREEN:
            self._pass_hand(self._hand or session.id)
            self._screens[session.id] = session
            self._publish()
        return session, self.port.welcome(session.id)

    @property
    def holder(self) -> str:
        """Screen that holds the hand, empty for nobody."""
        return self._hand

    def leave(self, session: Session) -> None:
        """Detach; a hand it held is free again."""
        if self._screens.pop(session.id, None) is not None:
            self._pass_hand("" if self._hand == session.id else self._hand)
            self._publish()

    def take_hand(self, session: Session) -> None:
        """Give the hand to a screen and tell all; a command cannot hold it."""
        if session.id in self._screens:
            self._pass_hand(session.id)
            self._publish()

    def set_armed(self, session: Session, on: bool) -> None:
        """Arm or disarm keyboard entries. Only the hand arms; any screen may disarm."""
        if session.id == self._hand or not on:
            self._armed = on
            self._publish()

    def entry_permit(self, session: Session) -> Permit:
        """Whether a session may add exposure now, and what to do when not."""
        if session.kind is Kind.COMMAND:
            return _NOT_A_SCREEN
        if session.id != self._hand:
            return _NOT_HAND
        return GRANTED if self._armed else _DISARMED

    async def submit(self, session: Session, command: AnyCommand, key_ns: int) -> Ack:
        """Pass an intent to the engine; returns when its outcome is durable."""
        received_ns = mono_ns()
        if self._watches(session, command) and not self.port.known(command.request_id):
            return Ack(command.request_id, False, _NOT_HAND.code, _NOT_HAND.message)
        permit = self.entry_permit(session)
        return await self.port.submit(command, entry=permit, key_ns=key_ns, received_ns=received_ns)

    def preview(self, session: Session, command: AnyCommand) -> Preview:
        """What the command would do if this session sent it now."""
        return self.port.preview(command, entry=self.entry_permit(session))

    async def query(self, name: str) -> tuple[Any, str]:
        """(data, error) of a named read; `why:NAME` asks the ledger, the rest what the engine knows."""
        kind, _, rest = name.partition(":")
        try:
            return await (self.port.why(rest) if kind == "why" else self.port.query(name)), ""
        except KeyError as error:
            return None, str(error.args[0])
        except Exception as error:  # one question that fails is no reason to leave the asker without an answer
            log.exception("query %.100r failed in the engine", name)
            return None, f"the engine could not answer {name[:100]!r} ({type(error).__name__}); its log says where"

    def control_feed(self, session: Session, action: str, value: float) -> None:
        """Pause, resume or speed up; ignored for a watcher, and when the feed cannot (its screen shows the state)."""
        if session.kind is Kind.COMMAND or session.id == self._hand:
            try:
                self.port.control_feed(action, value)
            except ValueError:
                return

    def stop_engine(self, session: Session, reason: str) -> None:
        """Stop the engine; ignored for a watcher, whose own quit only detaches it."""
        if session.kind is Kind.COMMAND or session.id == self._hand:
            self.port.request_stop(reason)

    def _watches(self, session: Session, command: AnyCommand) -> bool:
        return session.kind is Kind.SCREEN and session.id != self._hand and not is_exit(command)

    def _pass_hand(self, holder: str) -> None:
        if holder != self._hand:
            self._hand = holder
            self._armed = False
            for session in self._screens.values():
                session.tell(HandChanged(holder))

    def _publish(self) -> None:
        self.port.session_changed(self._hand, self._armed, len(self._screens))
