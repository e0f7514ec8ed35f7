"""A seat at the desk: what every screen needs to know of the engine, and the one way an intent leaves. Knows no Textual."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

import msgspec

from engine.link.base import EngineLink, LinkLost, LinkState
from engine.link.messages import Ack
from engine.model.command import AnyCommand
from engine.views import (
    REHEARSAL,
    BookView,
    ChartView,
    InstrumentView,
    LogLine,
    LogView,
    Mode,
    PositionsView,
    Preview,
    StatusView,
    View,
)
from hoox_tui.intents import RequestIds
from hoox_tui.loglines import MergedLog

SILENT_NS = 5_000_000_000
"""A connected engine that says nothing this long is shown as silent."""
SECOND = 1_000_000_000

Level = Literal["info", "good", "warn", "error"]


class Seat:
    """One screen's view of its engine. `mono` gives monotonic ns; all ages come from it."""

    def __init__(
        self,
        link: EngineLink,
        ids: RequestIds,
        mono: Callable[[], int],
        *,
        symbol: str = "",
        env: str = "",
        ledger_flag: str | None = None,
    ) -> None:
        """`env` is what the engine was asked for; what it says of itself counts once it is heard.

        `ledger_flag`: what a command must be told to mean the same ledger; None where that is not known.
        """
        self._ledger_flag = ledger_flag
        self._asked_env = env
        self.link = link
        self.ids = ids
        self.mono = mono
        self.instrument_id = ""
        self.paused_since: int | None = None
        self.log = MergedLog()
        self.undrawn: list[str] = []
        """Orders accepted whose result has not been drawn yet."""
        self._wanted = symbol.upper()
        self._anchor: tuple[StatusView | None, int, int] = (None, 0, 0)

    # --- the engine as seen from here ---

    @property
    def status(self) -> StatusView | None:
        """The latest status; None before the first."""
        view = self.link.views.get("status")
        return view if isinstance(view, StatusView) else None

    @property
    def env(self) -> str:
        """The environment, empty before it is known."""
        status, welcome = self.status, self.link.welcome
        return status.env if status else welcome.env if welcome else self._asked_env

    @property
    def ledger_flag(self) -> str:
        """What a command must be told to mean the same ledger, as far as is known."""
        if self._ledger_flag is not None:
            return self._ledger_flag
        return f"--env {self.env}" if self.env not in ("", "sim") else ""

    @property
    def frame_title(self) -> str:
        """What every frame says: environment and, where they are not real, what the prices are."""
        status = self.status
        if status is None:
            return self.env.upper()
        return " · ".join(part for part in (self.env.upper(), REHEARSAL * status.rehearsal, status.prices) if part)

    @property
    def lost(self) -> bool:
        """The engine does not answer: everything drawn is old."""
        return self.link.state is not LinkState.CONNECTED

    @property
    def heartbeat_age_ns(self) -> int:
        """Since anything last came from the engine."""
        return max(0, self.mono() - self.link.last_frame_ns) if self.link.last_frame_ns else 0

    @property
    def old(self) -> bool:
        """Nothing came for so long, or the engine is lost: what is drawn is of another time."""
        return self.lost or self.heartbeat_age_ns > SILENT_NS

    @property
    def has_hand(self) -> bool:
        """This screen holds the trading hand."""
        status, welcome = self.status, self.link.welcome
        return bool(status and welcome and status.hand and status.hand == welcome.screen)

    @property
    def armed(self) -> bool:
        """Entries from this keyboard are allowed."""
        return self.has_hand and self.status is not None and self.status.armed

    @property
    def at_risk(self) -> bool:
        """Positions or orders are open, as far as is known."""
        return bool(self.status and (self.status.open_positions or self.status.open_orders))

    def now_ns(self) -> int:
        """The engine's time: its last status, carried on by this screen's clock."""
        status, (seen, engine, mono) = self.status, self._anchor
        if status is not None and status is not seen:
            seen, engine, mono = self._anchor = (status, status.time_ns, self.mono())
        return engine + self.mono() - mono if seen is not None else 0

    # --- instruments ---

    @property
    def instruments(self) -> tuple[InstrumentView, ...]:
        """What can be traded."""
        return self.status.instruments if self.status else ()

    @property
    def instrument(self) -> InstrumentView | None:
        """The one on screen: the chosen one, else the one asked for at the start, else the first."""
        every = self.instruments
        wanted = (
            [one for one in every if one.id == self.instrument_id]
            or [one for one in every if self._wanted and self._wanted in (one.symbol.upper(), one.id.upper())]
            or list(every)
        )
        return wanted[0] if wanted else None

    def find(self, instrument_id: str) -> InstrumentView | None:
        """An instrument by id."""
        return next((one for one in self.instruments if one.id == instrument_id), None)

    # --- what the screens say ---

    def banner(self) -> tuple[str, Level] | None:
        """The line across every screen while something is not as it should be, worst first."""
        age = self.heartbeat_age_ns
        if self.link.state is LinkState.LOST:
            return f"ENGINE LOST {age // SECOND} s: reconnecting. {self.link.detail}".rstrip(), "error"
        if self.link.state is LinkState.CONNECTING:
            return f"CONNECTING to the engine. {self.link.detail}".rstrip(), "warn"
        if self.old:
            return f"ENGINE SILENT {age // SECOND} s: what you see is old", "error"
        status = self.status
        if status is not None and status.mode is not Mode.OK:
            return f"{status.mode.replace('_', ' ').upper()}: {status.mode_reason}", "error"
        if self.paused_since is not None:
            seconds = (self.mono() - self.paused_since) // SECOND
            return f"DISPLAY PAUSED {seconds} s: the engine goes on; p resumes", "warn"
        if status is not None and status.ended_ns:
            at = datetime.fromtimestamp(status.ended_ns // SECOND, UTC)
            return f"RECORDING ENDED at {at:%H:%M:%S} UTC: no new prices; closes still work", "warn"
        return None

    def convert(self, view: View) -> View:
        """A view as it may be drawn: marked where it is old; the log with this screen's own lines."""
        if isinstance(view, LogView):
            return self.log.merge(view)
        return stale(view) if self.old else view

    def note(self, level: Level, code: str, text: str) -> None:
        """A row in the log from this screen."""
        self.log.note(LogLine(0, self.now_ns(), level, code, text))

    # --- intents ---

    def objections(self, preview: Preview) -> tuple[str, ...]:
        """Why this may not be sent now: the engine's errors, and for entries the hand and the arm."""
        errors = list(preview.errors)
        said = " ".join(errors).lower()
        if self.link.state is LinkState.LOST:
            errors.append("the engine is lost: nothing can be sent until it is back")
        elif preview.entry and not self.has_hand and "hand" not in said:
            errors.append("this screen does not hold the trading hand: press H to take it")
        elif preview.entry and not self.armed and "arm" not in said:
            errors.append("entries are disarmed: press a to arm")
        return tuple(errors)

    async def send(self, command: AnyCommand, key_ns: int) -> Ack:
        """Submit an intent and log its outcome; raises LinkLost when that is not known."""
        try:
            ack = await self.link.submit(command, key_ns)
        except LinkLost as error:
            self.note("error", "UNKNOWN", f"{command.request_id}: not known whether it arrived ({error})")
            raise
        if ack.ok:
            self.undrawn.extend(ack.orders)
        else:
            self.note("error", ack.code, f"{command.request_id}: {ack.message}")
        return ack


def stale(view: View) -> View:
    """The same view, marked old."""
    if isinstance(view, BookView | ChartView):
        return msgspec.structs.replace(view, stale=True)
    if isinstance(view, PositionsView):
        return msgspec.structs.replace(view, rows=tuple(msgspec.structs.replace(row, stale=True) for row in view.rows))
    return view
