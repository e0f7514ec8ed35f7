"""Whose id is it? Orders, fills, trades, positions, signals, requests and events are all asked for by their own."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from engine.ledger.errors import LedgerError
from engine.ledger.why.gather import Found, Gatherer
from engine.ledger.why.plain import symbol
from engine.ledger.why.reader import EventReader, Row
from engine.model import event as ev

KINDS = """ids there are: an order (O12), a fill (O12.1), a trade (O12, O12/open, O12/close), a position (P3), a signal (its id, its key,
SOURCE/KEY), a request id, an event's seq (812), what a venue calls an order. order:, fill:, trade:, position:, signal:,
request:, seq: or venue: before it says which is meant; of fills with one id, ORDER/FILL or INSTRUMENT/FILL"""
_COUNTED = re.compile(r"([OP])(\d+)")
_LONGEST = 200


class UnknownId(LedgerError):
    """Nothing in the ledger has this id; the message says what ids there are, and the nearest."""


class SeveralMeant(LedgerError):
    """Several things have this name; the message lists names that mean one."""


class Meant(NamedTuple):
    """Something that a name may mean."""

    spelled: str
    """What means it alone."""
    thing: str
    """In words; equal where two names lead to one thing."""
    find: Callable[[], Found]


Finder = Callable[[EventReader, str], list[Meant]]


def find(reader: EventReader, name: str) -> Found:
    """The chain of what has this id; raises UnknownId, SeveralMeant."""
    kind, _, rest = name.partition(":")
    said = rest and kind in _FINDERS
    wanted = rest if said else name
    if not 0 < len(wanted) <= _LONGEST:
        raise UnknownId(f"why: {name[:_LONGEST]!r} is no id; {KINDS}")
    if said:
        return _one(name, _FINDERS[kind](reader, wanted)) or _unknown(reader, name, wanted)
    for finder in _OURS:
        if own := finder(reader, wanted):
            return own[0].find()
    others = [meant for finder in _OTHERS for meant in finder(reader, wanted)]
    return _one(name, others) or _unknown(reader, name, wanted)


def _one(name: str, meant: list[Meant]) -> Found | None:
    """What is meant; an event's seq goes first, with what else has its number."""
    things = list({one.thing: one for one in reversed(meant)}.values())[::-1]
    if not things:
        return None
    first, *more = things
    also = tuple(f"{one.spelled} is {one.thing}" for one in more)
    if more and not first.spelled.startswith("seq:"):
        raise SeveralMeant(f"why: {name!r} is the name of several things; ask for one of them\n" + "\n".join(
            (f"{first.spelled} is {first.thing}", *also)
        ))  # fmt: skip
    return replace(first.find(), also=also)


def _unknown(reader: EventReader, name: str, wanted: str) -> Found:
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


# --- What is ours: counted up, or derived; unique for ever ----------------------------------------------


def _order(reader: EventReader, name: str) -> list[Meant]:
    row = reader.row("orders", name)
    return [] if row is None else [_meant_order(reader, f"order:{name}", row)]


def _meant_order(reader: EventReader, spelled: str, row: Row) -> Meant:
    def chain() -> Found:
        gatherer = Gatherer(reader)
        return gatherer.found("order", row["id"], gatherer.order(row), frozenset(), row)

    return Meant(spelled, _told(row), chain)


def _told(row: Row) -> str:
    return f"order {row['id']}: {row['side'].lower()} {row['size']} {symbol(row['instrument'])}, {row['status']}"


def _trade(reader: EventReader, name: str) -> list[Meant]:
    trade = reader.row("trades", name)
    row = reader.row("orders", trade["order_id"]) if trade is not None else None
    if trade is None or row is None:
        return []
    _, slash, part = name.rpartition("/")
    closing = None if not slash else part == "close"

    def chain() -> Found:
        gatherer = Gatherer(reader)
        found = gatherer.found("trade", name, gatherer.order(row), frozenset(), trade)
        return _asking(found, lambda body: body.order == row["id"] and closing in (None, body.closing))

    return [Meant(f"trade:{name}", f"trade {name}", chain)]


def _position(reader: EventReader, name: str) -> list[Meant]:
    row = reader.row("positions", name)
    if row is None:
        return []

    def chain() -> Found:
        gatherer = Gatherer(reader)
        return gatherer.found("position", name, gatherer.position(row), frozenset(), row)

    return [Meant(f"position:{name}", f"position {name}", chain)]


def _signal(reader: EventReader, name: str) -> list[Meant]:
    """By its own id, or by that of one of its tries."""
    received = reader.signal(name)
    if received is None:
        return []
    signal = received.request_id

    def chain() -> Found:
        gatherer = Gatherer(reader)
        root = gatherer.signal(received)
        return gatherer.found("signal", signal, root, frozenset({received.seq}))

    return [Meant(f"signal:{name}", f"signal {signal}", chain)]


def _request(reader: EventReader, name: str) -> list[Meant]:
    intent = reader.intent(name)
    if intent is None:
        return []

    def chain() -> Found:
        gatherer = Gatherer(reader)
        return gatherer.found("request", name, gatherer.request(intent), frozenset({intent.seq}))

    return [Meant(f"request:{name}", f"request {name}", chain)]


def _own_fill(reader: EventReader, name: str) -> list[Meant]:
    fill = reader.own_fill(name)
    return [] if fill is None else _fill_of(reader, f"fill:{name}", name, fill["order_id"])


# --- What others named, or what is only a number --------------------------------------------------------


def _seq(reader: EventReader, name: str) -> list[Meant]:
    seq = int(name) if name.isascii() and name.isdecimal() and len(name) < 19 else 0
    event = reader.event(seq)
    if event is None:
        return []

    def chain() -> Found:
        gatherer = Gatherer(reader)
        return gatherer.found("event", str(seq), gatherer.event(event), frozenset({seq}))

    return [Meant(f"seq:{seq}", f"event {seq}, {event.type}", chain)]


def _by_key(reader: EventReader, name: str) -> list[Meant]:
    """A signal by what made it unique within its source, which may be said too."""
    source, slash, key = name.partition("/")
    rows = [*reader.signals(name), *(reader.signals(key, source) if slash and source else ())]
    named = ((f"signal:{row['source']}/{row['key']}", row["request_id"]) for row in rows)
    return [meant._replace(spelled=spelled) for spelled, signal in named for meant in _signal(reader, signal)]


def _venues_fill(reader: EventReader, name: str) -> list[Meant]:
    """A fill by the id that its venue gave it; the order or the instrument may be said too."""
    where, slash, fill_id = name.partition("/")
    found = [(name, row) for row in reader.fills(name)]
    if slash:
        named = (
            row
            for row in reader.fills(fill_id)
            if where in (row["order_id"], row["instrument"], symbol(row["instrument"]))
        )
        found += [(fill_id, row) for row in named]
    return [
        meant
        for fill, row in found
        for meant in _fill_of(reader, f"fill:{row['order_id']}/{fill}", fill, row["order_id"])
    ]


def _fill_of(reader: EventReader, spelled: str, fill_id: str, order: str) -> list[Meant]:
    row = reader.row("orders", order)
    if row is None:
        return []

    def chain() -> Found:
        gatherer = Gatherer(reader)
        found = gatherer.found("fill", fill_id, gatherer.order(row), frozenset(), row)
        return _asking(found, lambda body: body.order == order and body.fill_id == fill_id)

    return [Meant(spelled, f"fill {fill_id} of {_told(row)}", chain)]


def _at_venue(reader: EventReader, name: str) -> list[Meant]:
    """An order by the number that its venue gave it, or by the client id that it was sent under."""
    rows = reader.orders_known_as(name)
    alone = len(rows) == 1
    return [_meant_order(reader, f"venue:{name}" if alone else f"order:{row['id']}", row) for row in rows]


def _asking(found: Found, about: Callable[[ev.OrderFilled], bool]) -> Found:
    asked = frozenset(e.seq for e in found.events if isinstance(e.body, ev.OrderFilled) and about(e.body))
    return replace(found, asked=asked)


def _any_of(*finders: Finder) -> Finder:
    """The first that finds something."""
    return lambda reader, name: next((found for finder in finders if (found := finder(reader, name))), [])


_OURS: tuple[Finder, ...] = (_order, _trade, _position, _own_fill, _signal, _request)
"""Whose names are theirs alone."""
_OTHERS: tuple[Finder, ...] = (_seq, _by_key, _venues_fill, _at_venue)
_FINDERS: dict[str, Finder] = {
    "order": _order,
    "trade": _trade,
    "position": _position,
    "fill": _any_of(_own_fill, _venues_fill),
    "signal": _any_of(_signal, _by_key),
    "request": _request,
    "seq": _seq,
    "venue": _at_venue,
}
