"""Finding the events of one thing without looking at all of them: by key, by time (recorded time never goes back), by range."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from engine.core.inbox import signal_of
from engine.core.state import ATTESTED
from engine.ledger.chain import GENESIS, event_of, link
from engine.ledger.errors import LedgerBroken, LedgerError, number_in
from engine.ledger.replay import connect_readonly
from engine.ledger.schema import INTENTS
from engine.model.event import Event, OrderFilled
from engine.model.order import ENDED

Row = dict[str, Any]

_EVENTS = """SELECT seq, time_ns, type, version, account, venue, instrument, owner, request_id, causation, epoch,
    payload, hash, (SELECT hash FROM events AS one WHERE one.seq = events.seq - 1) AS previous FROM events WHERE """
_COLUMNS = 12
MOST = 20
"""Things of one name that are listed."""
_LATENCY_NS = 30_000_000_000
"""How long after an order's fill its latency may be recorded."""


class EventReader:
    """One consistent look at a ledger, also while an engine writes it. Raises LedgerError where it cannot be read."""

    def __init__(self, path: Path, until: int | None = None) -> None:
        """`until`: events after this one are not told; rows of tables are as they are at the end all the same."""
        self._path = path
        self._db = connect_readonly(path)
        self._db.row_factory = sqlite3.Row
        self.damaged: dict[int, str] = {}
        """Events read so far that are not what was written, and how that shows."""
        try:
            self._db.execute("BEGIN")
            self.last: int = self._one("SELECT max(seq) FROM events") or 0
            self.until = until if until is not None and until < self.last else None
            """The moment that is shown; None for now."""
            self.last = self.until or self.last
        except LedgerError:
            self._db.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    # --- Rows by key --------------------------------------------------------------------------------

    def row(self, table: str, key: str) -> Row | None:
        """The row of `orders`, `positions` or `trades` with this id."""
        return next(self._rows(f"SELECT * FROM {table} WHERE id = ?", key), None)  # noqa: S608  ours

    def orders_known_as(self, name: str) -> list[Row]:
        """Orders that a venue knows under this client id or number of its own; numbers may be unique in a market only."""
        sql = f"SELECT * FROM orders WHERE client_id = ?1 OR venue_order_id = ?1 LIMIT {MOST}"  # noqa: S608  ours
        return list(self._rows(sql, name))

    def own_fill(self, fill_id: str) -> Row | None:
        """A fill of paper's, whose id names its order."""
        order, dot, _ = fill_id.rpartition(".")
        row = self.row("orders", order) if dot else None
        if row is None:
            return None
        sql = "SELECT * FROM fills WHERE seq BETWEEN ? AND ? AND fill_id = ? AND order_id = ?"
        return next(self._rows(sql, self.first_at(row["created_ns"]), row["seq"], fill_id, order), None)

    def fills(self, fill_id: str) -> list[Row]:
        """(order_id, instrument) of the fills with an id; a venue's ids may be unique in a market only."""
        sql = f"SELECT DISTINCT order_id, instrument FROM fills WHERE fill_id = ? LIMIT {MOST}"  # noqa: S608  ours
        return list(self._rows(sql, fill_id))

    def signals(self, key: str, source: str = "") -> list[Row]:
        """(request_id, source, key) of the signals under a key, of one source or of all."""
        if self._one("SELECT 1 FROM pragma_table_info('signals') WHERE name = 'key'") is None:
            return []  # a file from before signals
        found: list[Row] = []
        # One source after the other: keys have an index within their source.
        at = source or self._one("SELECT min(source) FROM signals")
        while at is not None and len(found) < MOST:
            found += self._rows("SELECT request_id, source, key FROM signals WHERE source = ? AND key = ?", at, key)
            at = None if source else self._one("SELECT min(source) FROM signals WHERE source > ?", at)
        return found

    def last_id(self, table: str) -> str | None:
        """The newest id of `orders` or `positions`, which count up."""
        found: str | None = self._one(f"SELECT id FROM {table} ORDER BY length(id) DESC, id DESC LIMIT 1")  # noqa: S608
        return found

    def requests_near(self, name: str) -> list[str]:
        """The request ids before and after this one in the alphabet, those of signals too."""
        near = []
        for compare, edge in (("<", "max"), (">", "min")):
            sql = f"SELECT {edge}(request_id) FROM events WHERE request_id <> '' AND request_id {compare} ?"  # noqa: S608
            near.append(self._one(sql, name))
        return [found for found in near if found]

    # --- Events -------------------------------------------------------------------------------------

    def event(self, seq: int) -> Event | None:
        """One event."""
        return next(self._events("seq = ?", seq), None)

    def cause_of(self, event: Event) -> Event | None:
        """What led to an event; always an earlier one."""
        return self.event(event.causation) if 0 < event.causation < event.seq else None

    def intent(self, request_id: str) -> Event | None:
        """The event that took a request in."""
        return next(self._events(f"{INTENTS} AND request_id = ?", request_id), None)

    def signal(self, request_id: str) -> Event | None:
        """The receipt of the signal that a request was made for."""
        where = "type = 'SignalReceived' AND request_id = ? AND request_id <> ''"
        return next(self._events(where, signal_of(request_id)), None) if request_id else None

    def of_signal(self, received: Event) -> list[Event]:
        """All that was done under a signal's id, and under those of its later tries (<id>/2 ...); how long it took."""
        signal = received.request_id
        found = list(self._events("request_id = ? AND request_id <> '' ORDER BY seq", signal))
        # What begins with "<id>/": "0" is the character after "/".
        where = "request_id >= ? AND request_id < ? AND request_id <> '' ORDER BY seq"
        found += self._events(where, f"{signal}/", f"{signal}0")
        told = max(found, key=lambda event: event.seq, default=received)
        return found + self._latency(signal, received.seq, told)

    def first_at(self, time_ns: int) -> int:
        """Seq of the first event at or after a time; one after the last where there is none.

        Raises LedgerBroken where an event is missing on the way.
        """
        low, high = 1, self.last + 1
        while low < high:
            middle = (low + high) // 2
            found = self._one("SELECT time_ns FROM events WHERE seq = ?", middle)
            if number_in(found, middle) < time_ns:
                low = middle + 1
            else:
                high = middle
        return low

    def created(self, order: Row) -> Event:
        """The OrderCreated of a row of `orders`; raises LedgerBroken without one."""
        first = self.first_at(order["created_ns"])
        text = f'"id":"{order["id"]}"'
        found = next(
            self._events(
                "seq BETWEEN ? AND ? AND type = 'OrderCreated' AND instr(payload, ?) ORDER BY seq LIMIT 1",
                first,
                order["seq"],
                text,
            ),
            None,
        )
        if found is None:
            raise LedgerBroken("orders", f"order {order['id']} has a row, but no event made it; hoox ledger rebuild")
        return found

    def of_order(self, order: Row, created: Event) -> list[Event]:
        """What happened to an order after it was made, with its alarms and its latency."""
        ended = order["status"] in ENDED
        last = order["seq"] if ended else self.last
        # Spelled out, so that the index of those that have one is used.
        request = "request_id = ? AND request_id <> ''" if created.request_id else "request_id = ?"
        where = f"""{request} AND seq > ? AND seq <= ? AND instrument = ?
            AND (instr(payload, ?) OR type = 'AlarmRaised' AND instr(payload, ?)) ORDER BY seq"""
        names = (created.instrument, f'"order":"{order["id"]}"', f"{order['id']} ")
        found = list(self._events(where, created.request_id, created.seq, last, *names))
        if ended and any(isinstance(e.body, OrderFilled) and e.body.fill_id == ATTESTED for e in found):
            # What a person answered for may still be reported.
            found += self._events(where, created.request_id, last, self.last, *names)
        fill = next((event for event in found if event.type == "OrderFilled"), None)
        return found + self._latency(order["id"], fill.seq, fill) if fill is not None else found

    def _latency(self, name: str, since: int, told: Event) -> list[Event]:
        until = self.first_at(told.time_ns + _LATENCY_NS)
        seq = self._one("SELECT seq FROM latency WHERE seq BETWEEN ? AND ? AND order_id = ?", since, until, name)
        found = self.event(seq) if seq else None
        return [found] if found is not None else []

    def of_position(self, position: Row) -> list[Event]:
        """What changed a position, from the fill that opened it."""
        text = f'"id":"{position["id"]}"'
        return list(
            self._events(
                """seq BETWEEN ? AND ? AND instrument = ? AND account = ? AND (instr(payload, ?)
                    AND type IN ('OrderFilled', 'FundingPaid', 'MarginChanged', 'LeverageChanged')
                    OR type = 'Liquidated' AND instr(payload, ?)) ORDER BY seq""",
                self.first_at(position["opened_ns"]),
                position["seq"],
                position["instrument"],
                position["account"],
                text,
                f'"position":"{position["id"]}"',
            )
        )

    def opening_fill(self, position: Row) -> Event | None:
        """The fill that opened a position."""
        where = """seq BETWEEN ? AND ? AND type = 'OrderFilled' AND instr(payload, ?) ORDER BY seq LIMIT 1"""
        text = f'"id":"{position["id"]}"'
        return next(self._events(where, self.first_at(position["opened_ns"]), position["seq"], text), None)

    def between(self, first: int, last: int, cause: int, types: tuple[str, ...]) -> list[Event]:
        """Events of some types that one event led to."""
        marks = ", ".join("?" * len(types))
        where = f"seq > ? AND seq < ? AND causation = ? AND type IN ({marks}) ORDER BY seq"
        return list(self._events(where, first, last, cause, *types))

    def led_to(self, cause: Event) -> list[Event]:
        """What was decided at once because of an event."""
        found = []
        for event in self._events("seq > ? ORDER BY seq", cause.seq):
            if event.causation != cause.seq:
                break
            found.append(event)
        return found

    # --- SQL ----------------------------------------------------------------------------------------

    def _events(self, where: str, *values: object) -> Iterator[Event]:
        for row in self._rows(_EVENTS + where, *values):
            if row["seq"] > self.last:
                continue
            columns: Any = tuple(row.values())[:_COLUMNS]
            previous = GENESIS if row["seq"] == 1 else row["previous"]
            if previous is None:
                self.damaged[row["seq"]] = f"event {row['seq'] - 1} before it is missing"
            elif link(previous, columns) != row["hash"]:
                self.damaged[row["seq"]] = "its hash does not match: it, or the event before it, was changed"
            try:
                for name in ("time_ns", "causation", "epoch"):
                    number_in(row[name], row["seq"])
                yield event_of(columns)
            except msgspec.MsgspecError as error:
                seq = row["seq"]
                raise LedgerBroken("events", f"event {seq} cannot be decoded: {error}", seq) from None

    def _rows(self, sql: str, *values: object) -> Iterator[Row]:
        try:
            for row in self._db.execute(sql, values):
                yield dict(row)
        except sqlite3.Error as error:
            raise LedgerError(f"{self._path} cannot be read: {error}; hoox ledger verify says more") from None

    def _one(self, sql: str, *values: object) -> Any:
        row = next(self._rows(sql, *values), None)
        return None if row is None else next(iter(row.values()))
