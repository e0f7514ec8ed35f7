"""The fake exchange's memory: a file of what changed, so that the exchange outlives the process it runs in.

One line a change, written before anybody hears of it: an order, and what its symbol and the account were then. The last
line about each is what is true. Written, not synced: it outlives a killed process, not a power cut. On a full disk the
lines wait for room.
"""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import msgspec
from msgspec import Struct

from engine.sim.booking import Booked
from engine.sim.exchange import Exchange
from engine.sim.protocol import FillRow


class Change(Struct, frozen=True):
    """An order after it changed; the rest as the exchange keeps it."""

    order: Booked
    position: Decimal
    cost: Decimal
    leverage: int
    wallet: Decimal


_encode = msgspec.json.Encoder(decimal_format="string").encode
_decode = msgspec.json.Decoder(Change).decode


class Memory:
    """Between an exchange and whoever it tells of its changes."""

    def __init__(self, exchange: Exchange, path: Path) -> None:
        """Restore what the file holds, and keep every change from now on. Raises OSError, or ValueError on a foreign file."""
        self._exchange = exchange
        changes = read(path)
        exchange.restore(sorted((change.order for change in changes), key=lambda order: order.order_id))
        for change in changes:
            listed = exchange.listed.get(change.order.symbol)
            if listed is not None:
                listed.position, listed.cost, listed.leverage = change.position, change.cost, change.leverage
            exchange.wallet = change.wallet
        shorter = path.with_name(path.name + ".new")
        shorter.touch(mode=0o600)
        shorter.write_bytes(b"".join(_line(change) for change in changes))
        shorter.replace(path)
        self._file = path.open("ab", buffering=0)
        self._unwritten = b""
        self._told = exchange.tell
        exchange.tell = self._tell

    def close(self) -> None:
        """Nothing more is kept, and nobody is told."""
        self._write()
        self._exchange.tell = lambda order, fill: None
        self._file.close()

    def _tell(self, order: Booked, fill: FillRow | None) -> None:
        exchange = self._exchange
        true = exchange.orders[order.order_id - 1]  # what is told may be an earlier picture of it
        listed = exchange.listed[order.symbol]
        self._unwritten += _line(Change(true, listed.position, listed.cost, listed.leverage, exchange.wallet))
        self._write()
        self._told(order, fill)

    def _write(self) -> None:
        # A full disk keeps no exit from leaving: the rest, of half a line too, goes with the next.
        with suppress(OSError):
            self._unwritten = self._unwritten[self._file.write(self._unwritten) :]


def _line(change: Change) -> bytes:
    return _encode(change) + b"\n"


def read(path: Path) -> list[Change]:
    """The last change of every order, in the order they were made; a last line that a kill cut off did not happen."""
    newest: dict[int, Change] = {}
    data = path.read_bytes() if path.exists() else b""
    for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), start=1):
        try:
            change = _decode(line)
        except msgspec.DecodeError as error:
            raise ValueError(f"{path.name}, line {number} is not the exchange's: {error}; move the file away") from None
        newest.pop(change.order.order_id, None)
        newest[change.order.order_id] = change
    return list(newest.values())
