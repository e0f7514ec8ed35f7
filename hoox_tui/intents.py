"""Request ids, the guard on Enter, and the commands behind a key."""

from __future__ import annotations

from decimal import Decimal
from itertools import count

from msgspec import Struct

from engine.model.command import AnyCommand, CancelAll, ClosePosition, FlattenAll, SetKill

FIRST_PAINT_NS = 200_000_000
"""Enter does nothing this long after a preview was first painted: it was meant for what was there before."""
REPEAT_NS = 80_000_000
"""Two Enters closer than this come from a held key."""

FRACTIONS: dict[str, Decimal] = {
    "1": Decimal("0.25"),
    "2": Decimal("0.5"),
    "3": Decimal("0.75"),
    "4": Decimal(1),
}


class RequestIds:
    """Ids of this screen's intents: a prefix of its own and a counter."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._count = count(1)

    def next(self) -> str:
        """A new id."""
        return f"{self._prefix}-{next(self._count)}"


class EnterGuard:
    """Lets an Enter through only when a person can have meant it. Times are monotonic ns."""

    def __init__(self) -> None:
        self._painted: int | None = None
        self._last: int | None = None

    def paint(self, now_ns: int) -> None:
        """The preview was painted; only the first time counts."""
        if self._painted is None:
            self._painted = now_ns

    def uncover(self, now_ns: int) -> None:
        """What lay over it is gone: as if it were painted for the first time, an Enter was meant for the other."""
        if self._painted is not None:
            self._painted = now_ns

    def allows(self, now_ns: int) -> bool:
        """Record an Enter and say whether it counts."""
        last, self._last = self._last, now_ns
        held = last is not None and now_ns - last < REPEAT_NS
        return self._painted is not None and now_ns - self._painted >= FIRST_PAINT_NS and not held


class Choice(Struct, frozen=True):
    """One thing a preview can send; `key` switches to it where there are several."""

    label: str
    command: AnyCommand
    key: str = ""


def close_choices(position: str, ids: RequestIds) -> tuple[Choice, ...]:
    """25, 50, 75 and 100 % of a position."""
    return tuple(
        Choice(f"{fraction:.0%}", ClosePosition(request_id=ids.next(), position=position, fraction=fraction), key)
        for key, fraction in FRACTIONS.items()
    )


def cancel_choices(instrument: str, ids: RequestIds) -> tuple[Choice, ...]:
    """Limits, stops or all orders of an instrument: cancelling only limits would leave stops alive, so the scope is named."""
    return tuple(
        Choice(scope, CancelAll(request_id=ids.next(), instrument=instrument, scope=scope), scope[0])
        for scope in ("limits", "stops", "all")
    )


def panic_choices(killed: bool, ids: RequestIds) -> tuple[Choice, ...]:
    """Cancel all, flatten all, and the kill switch the other way round."""
    return (
        Choice("cancel all", CancelAll(request_id=ids.next()), "c"),
        Choice("flatten all", FlattenAll(request_id=ids.next()), "f"),
        Choice(
            "kill switch off" if killed else "kill switch on",
            SetKill(request_id=ids.next(), on=not killed, reason="" if killed else "panic key"),
            "k",
        ),
    )
