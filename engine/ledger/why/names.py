"""Whose id is it? Orders, fills, trades, positions, requests and events are all asked for by their own."""

from __future__ import annotations

import re
from collections.abc import Callable

from engine.ledger.errors import LedgerError
from engine.ledger.why.gather import Found, Gatherer
from engine.ledger.why.reader import EventReader
from engine.model import event as ev
from engine.model.event import Event

KINDS = """ids there are: an order (O12), a fill (O12.1), a trade (O12, O12/open, O12/close), a position (P3), a request id,
an event's seq (812). order:, fill:, trade:, position:, request: or seq: before it says which is meant"""
_COUNTED = re.compile(r"([OP])(\d+)")
_LONGEST = 200


class UnknownId(LedgerError):
    """Nothing in the ledger has this id; the message says what ids there are, and the nearest."""


def find(reader: EventReader, name: str) -> Found:
    """The chain of what has this id; raises UnknownId."""
    kind, _, rest = name.partition(":")
    said = rest and kind in _FINDERS
    finders, wanted = ([_FINDERS[kind]], rest) if said else ([*_FINDERS.values()], name)
    if not 0 < len(wanted) <= _LONGEST:
        raise UnknownId(f"why: {name[:_LONGEST]!r} is no id; {KINDS}")
    for finder in finders:
        found = finder(reader, wanted)
        if found is not None:
            return found
    nearest = _nearest(reader, wanted)
    there = f"; the nearest: {', '.join(nearest)}" if nearest else ""
    raise UnknownId(f"why: nothing here is called {name!r}{there}\n{KINDS}")


def _nearest(reader: EventReader, name: str) -> list[str]:
    counted = _COUNTED.match(name)
    if counted:
        table, letter = ("orders", "O") if counted[1] == "O" else ("positions", "P")
        last = reader.last_id(table)
        if last is None or not last[1:].isdecimal():
            return []
        return [f"{letter}{min(max(int(counted[2]), 1), int(last[1:]))}"]
    if name.isdecimal():
        return [f"seq {min(max(int(name), 1), reader.last)}"] if reader.last else []
    return reader.requests_near(name)


def _order(reader: EventReader, name: str) -> Found | None:
    row = reader.row("orders", name)
    if row is None:
        return None
    gatherer = Gatherer(reader)
    return gatherer.found("order", name, gatherer.order(row), frozenset(), row)


def _trade(reader: EventReader, name: str) -> Found | None:
    trade = reader.row("trades", name)
    row = reader.row("orders", trade["order_id"]) if trade is not None else None
    if trade is None or row is None:
        return None
    gatherer = Gatherer(reader)
    root = gatherer.order(row)
    found = gatherer.found("trade", name, root, frozenset(), trade)
    _, slash, part = name.rpartition("/")
    closing = None if not slash else part == "close"
    return _asking(found, lambda body: body.order == row["id"] and closing in (None, body.closing))


def _position(reader: EventReader, name: str) -> Found | None:
    row = reader.row("positions", name)
    if row is None:
        return None
    gatherer = Gatherer(reader)
    return gatherer.found("position", name, gatherer.position(row), frozenset(), row)


def _fill(reader: EventReader, name: str) -> Found | None:
    fill = reader.fill(name)
    row = reader.row("orders", fill["order_id"]) if fill is not None else None
    if row is None:
        return None
    gatherer = Gatherer(reader)
    found = gatherer.found("fill", name, gatherer.order(row), frozenset(), row)
    return _asking(found, lambda body: body.fill_id == name)


def _request(reader: EventReader, name: str) -> Found | None:
    intent = reader.intent(name)
    if intent is None:
        return None
    gatherer = Gatherer(reader)
    return gatherer.found("request", name, gatherer.request(intent), frozenset({intent.seq}))


def _seq(reader: EventReader, name: str) -> Found | None:
    seq = int(name) if name.isdecimal() and len(name) < 19 else 0
    event: Event | None = reader.event(seq)
    if event is None:
        return None
    gatherer = Gatherer(reader)
    return gatherer.found("event", name, gatherer.event(event), frozenset({seq}))


def _at_venue(reader: EventReader, name: str) -> Found | None:
    order = reader.order_known_as(name)
    return None if order is None else _order(reader, order)


def _asking(found: Found, about: Callable[[ev.OrderFilled], bool]) -> Found:
    asked = frozenset(e.seq for e in found.events if isinstance(e.body, ev.OrderFilled) and about(e.body))
    return Found(found.kind, found.id, found.events, found.root, asked, found.orders, found.row)


_FINDERS: dict[str, Callable[[EventReader, str], Found | None]] = {
    "order": _order,
    "trade": _trade,
    "position": _position,
    "fill": _fill,
    "request": _request,
    "seq": _seq,
    "venue": _at_venue,
}
