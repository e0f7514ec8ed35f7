"""Where decisions become facts: every event is made here, folded at once, and handed out with the outcome."""

from __future__ import annotations

from decimal import Decimal

from engine.core.fold import fold
from engine.core.state import State
from engine.model.event import AnyBody, Event
from engine.model.order import Order


class Journal:
    """Numbers events, folds them into the state, collects them until the outcome is taken."""

    __slots__ = ("cause", "epoch", "events", "now", "state")

    def __init__(self, state: State) -> None:
        self.state = state
        self.epoch = state.epoch
        self.now = state.time_ns
        self.cause = 0
        """Seq of the event that led to what is being decided."""
        self.events: list[Event] = []

    def emit(
        self,
        body: AnyBody,
        account: str = "",
        venue: str = "",
        instrument: str = "",
        owner: str = "",
        request_id: str = "",
    ) -> int:
        """Record a fact; returns its seq."""
        state = self.state
        seq = state.seq + 1
        event = Event(seq, self.now, account, venue, instrument, owner, request_id, self.cause, self.epoch, body)
        fold(state, event)
        self.events.append(event)
        return seq

    def emit_order(self, order: Order, body: AnyBody) -> int:
        """Record a fact about an order, under its owner and request."""
        terms = order.terms
        venue = self.state.accounts[terms.account].venue
        return self.emit(body, terms.account, venue, terms.instrument, terms.owner, terms.request_id)

    def emit_account(
        self, account: str, body: AnyBody, instrument: str = "", owner: str = "", request: str = ""
    ) -> int:
        """Record a fact about an account."""
        return self.emit(body, account, self.state.accounts[account].venue, instrument, owner, request)

    def take(self) -> list[Event]:
        """The events since the last take."""
        events = self.events
        self.events = []
        self.cause = 0
        return events


def clock_text(time_ns: int) -> str:
    """A time of day as a refusal shows it."""
    seconds = time_ns // 1_000_000_000 % 86_400
    return f"{seconds // 3_600:02}:{seconds // 60 % 60:02}:{seconds % 60:02} UTC"


def text(number: Decimal | int | None) -> str:
    """A number as a refusal shows it."""
    return "-" if number is None else format(number, "f") if isinstance(number, Decimal) else str(number)
