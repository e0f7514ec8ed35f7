"""The application: themes, screens, the seat at the desk, the frame clock, signals. Nothing of trading is decided here."""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import signal
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.app import SystemCommand
from textual.binding import BindingType
from textual.screen import Screen

from engine.clock import mono_ns
from engine.link.base import EngineLink
from engine.link.messages import Ack
from hoox_tui import themes
from hoox_tui.backlog import output_backlogged
from hoox_tui.frame import CLOCK, NORMAL, TICK, FrameClock
from hoox_tui.hangup import leave_anyway, watch_terminal
from hoox_tui.intents import RequestIds, panic_choices
from hoox_tui.keys import ACTIONS, PALETTE_HIDDEN, TRAVEL, Action, Scope, bindings
from hoox_tui.screens.desk import DeskScreen
from hoox_tui.screens.help import HelpScreen, help_text
from hoox_tui.screens.modal import Beats, Follows
from hoox_tui.screens.panic import PanicScreen
from hoox_tui.screens.preview import PreviewScreen
from hoox_tui.screens.quit import Leaving, QuitScreen, without_asking
from hoox_tui.seat import Seat
from hoox_tui.themed import ENVIRONMENTS, ThemedApp

PANIC = ("cancel", "flatten", "kill")
"""Names of the panic sheet's choices, in its order."""
RESULTS = frozenset({"orders", "positions", "trades"})
"""Topics in which an order's outcome shows."""
FOLLOW = 2
"""Ticks between two looks at what a screen follows: 10 Hz."""
IN_TRAVEL = "nothing trades in time travel: Esc goes to the live desk"


class DeskApp(ThemedApp[Leaving], inherit_bindings=False):
    """The screen over an engine. `owns_engine` says whether this screen started it: no other screen stops it unasked."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.EVERYWHERE, Scope.APP)]

    def __init__(
        self,
        link: EngineLink,
        *,
        symbol: str = "",
        screen: str = "desk",
        owns_engine: Callable[[], bool] = lambda: False,
        theme: str = themes.DEFAULT_THEME,
        env: str = "",
        ledger: Path | None = None,
        ledger_flag: str | None = None,
        before: Callable[[], None] | None = None,
        mono: Callable[[], int] = mono_ns,
    ) -> None:
        """`ledger` is the engine's file, for time travel, `ledger_flag` what a command is told to mean it.

        `before` is waited for, in a thread, while the desk is painted; what it raises ends the desk as `refused`.
        """
        if screen != "desk":
            raise ValueError(f"screen: {screen!r} is not there; use 'desk'")
        self._styled_env = ""
        self.seat = Seat(link, RequestIds(secrets.token_hex(4)), mono, symbol=symbol, env=env, ledger_flag=ledger_flag)
        super().__init__(theme)
        self.link = link
        self.ledger = ledger
        self.owns_engine = owns_engine
        self.refused: Exception | None = None
        self._before = before
        self._variables: dict[str, str] = self.get_css_variables()
        self.stylesheet.set_variables(self._variables)
        self.desk = DeskScreen(self.seat)
        self._env = self.seat.env
        if self._env:
            self.add_class(f"-{self._env}")
        self.clock = FrameClock(self.seat.convert, self.desk.slots())
        self._beat = 0
        self._lost = self._old = True
        self._status: object = None
        self._blurred = False
        self._greeted = False
        self._had_hand = False
        self._hung_up = False
        self._epoch = 0
        """Which start of the engine was last noticed."""

    def get_default_screen(self) -> Screen[None]:
        """The desk is what there is, laid out for this terminal at once."""
        self.desk.fit(self.size)
        return self.desk

    @property
    def environment(self) -> str:
        """The engine's."""
        return self.seat.env

    def get_css_variables(self) -> dict[str, str]:
        """Remembers whose colour they hold."""
        self._styled_env = self.seat.env
        return super().get_css_variables()

    # --- life ---

    def on_mount(self) -> None:
        """Connect, start the clock, listen to the signals of a lost line."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.exit, Leaving.DETACH)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        self.link.subscribe(self.desk.topics())
        self.run_worker(self._connect(), group="link")
        self.set_interval(TICK, self.tick)
        if not self.is_headless:
            self.call_after_refresh(freeze)
            watch_terminal(partial(loop.call_soon_threadsafe, self._hang_up))

    async def _connect(self) -> None:
        if self._before is not None:
            try:
                await asyncio.to_thread(self._before)
            except Exception as error:  # noqa: BLE001  whatever it is, who opened the desk must be told
                self.refused = error
                self.exit(Leaving.DETACH)
                return
        await self.link.start()

    def _hang_up(self) -> None:
        """The terminal is gone: leave the engine watching, and do not wait for what cannot be written."""
        if not self._hung_up:
            self._hung_up = True
            if not self.is_headless:  # without a terminal the process is somebody else's
                leave_anyway()
            self.exit(Leaving.DETACH)

    async def on_unmount(self) -> None:
        """Leave the engine alone."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        await self.link.close()

    def on_app_blur(self, _event: events.AppBlur) -> None:
        """Fewer frames while nobody looks."""
        self._blurred = True

    def on_app_focus(self, _event: events.AppFocus) -> None:
        """Somebody looks."""
        self._blurred = False

    # --- frames ---

    def tick(self) -> None:
        """One tick of the only clock; nothing is drawn while the terminal is behind."""
        if output_backlogged(self) or not self.desk.is_attached:
            return
        self._beat += 1
        seat = self.seat
        now = seat.now_ns()
        self._notice_changes()
        if self._beat % NORMAL == 0:
            for screen in self.screen_stack:
                if isinstance(screen, Beats):
                    screen.beat()
        if self._beat % FOLLOW == 0 and isinstance(self.screen, Follows):
            self.screen.follow()
        if self._beat % CLOCK == 0 or seat.status is not self._status:
            self._status = seat.status
            self.desk.draw_header()
        if seat.paused_since is not None and seat.undrawn:
            self.action_toggle_pause()  # what was just ordered must show
        if seat.paused_since is not None:
            return
        # Under a modal every change is blended anew, 20 ms a frame: there the blurred pace is enough.
        behind = self._blurred or len(self.screen_stack) > 1
        if seat.undrawn:
            self.clock.hurry(RESULTS)
        drawn = self.clock.tick(self.link.views, now, blurred=behind)
        if seat.undrawn and not RESULTS.isdisjoint(drawn):
            self.call_after_refresh(partial(self._report_painted, tuple(seat.undrawn)))
            seat.undrawn.clear()

    def _report_painted(self, orders: tuple[str, ...]) -> None:
        now = self.seat.mono()
        for order in orders:
            self.link.painted(order, now)

    def _notice_changes(self) -> None:
        """What must show at once: environment, loss and return of the engine, the instruments."""
        seat = self.seat
        if seat.env != self._env:
            self._env = seat.env
            for env in ENVIRONMENTS:
                self.set_class(env == self._env, f"-{env}")
            if self._styled_env != self._env:
                self.refresh_css(animate=False)
        if seat.lost != self._lost:
            self._lost = seat.lost
            if self._lost:
                seat.note("error", "LOST", f"engine lost: {self.link.detail or 'no answer'}")
            elif self._greeted:
                seat.note("good", "LINK", "engine is back")
        if seat.old != self._old:
            self._old = seat.old
            self.clock.renew()
            self.desk.draw_header()
        if self._had_hand and not seat.has_hand and not seat.lost:
            self.notify("Another screen took the trading hand: H takes it back", severity="warning")
            seat.note("warn", "HAND", "another screen took the trading hand")
        self._had_hand = seat.has_hand
        if self.desk.follow_instrument():
            self.link.subscribe(self.desk.topics())
        if not self._greeted and seat.status is not None:
            self._greeted = True
            if not seat.status.hand:
                self.link.take_hand()
        if seat.status is not None and seat.status.epoch != self._epoch:
            self._epoch = seat.status.epoch
            if seat.status.recovery:
                # Which snapshot it began from is told by the header and the log; here it would hide rows.
                self.notify(seat.status.recovery.partition(" (snapshot")[0], timeout=10)

    # --- actions ---

    @property
    def travel(self) -> Screen[None] | None:
        """The screen of time travel, while it lies over the desk."""
        return next((screen for screen in self.screen_stack if screen.has_class("-travel")), None)

    def action_open_travel(self) -> None:
        """The desk as it was, over the live one, which goes on."""
        # Reading a ledger brings the whole core along: only who looks back pays for it.
        from engine.link.recorded import RecordedLink
        from hoox_tui.screens.travel import TravelScreen

        if self.ledger is None:
            self.notify("Which file the ledger is, is not known here: hoox ledger travel", severity="warning")
        elif self.travel is None:
            seat = self.seat
            self.push_screen(TravelScreen(RecordedLink(self.ledger), seat.mono, self.action_show_desk, live=seat))

    def action_open_signals(self) -> None:
        """The signal inbox, over the desk, which goes on."""
        # Only who has signals pays for the import.
        from hoox_tui.screens.signals import SignalsScreen

        if not isinstance(self.screen, SignalsScreen):
            self.push_screen(SignalsScreen(self.seat, self.watch_also, self.action_show_desk))

    def watch_also(self, topics: tuple[str, ...]) -> None:
        """Ask the engine for these topics beside the desk's."""
        self.desk.also = topics
        self.link.subscribe(self.desk.topics())

    def action_toggle_arm(self) -> None:
        """Arm or disarm entries; only the screen that holds the hand may."""
        if self.travel is not None:
            self.notify(f"Arm: {IN_TRAVEL}", severity="warning")
        elif self.seat.lost:
            self.notify("The engine is lost: entries stay blocked", severity="warning")
        elif not self.seat.has_hand:
            self.notify("Another screen holds the trading hand: press H to take it", severity="warning")
        else:
            self.link.set_armed(not self.seat.armed)

    def action_take_hand(self) -> None:
        """Take the trading hand; the screen that held it is told."""
        if not self.seat.has_hand:
            self.link.take_hand()

    def action_open_panic(self, which: str) -> None:
        """The panic sheet on cancel, flatten or kill; where it is open already, it switches."""
        top = self.screen
        if self.travel is not None:
            self.notify(f"Panic: {IN_TRAVEL}", severity="warning")
        elif isinstance(top, PanicScreen):
            top.action_choose(which[0])
        else:
            killed = self.seat.status is not None and self.seat.status.kill
            choices = panic_choices(killed, self.seat.ids)
            self.push_screen(PanicScreen(self.seat, choices, chosen=PANIC.index(which)), self._after_panic)

    def _after_panic(self, ack: Ack | None) -> None:
        """What was drafted was meant before the panic: no further Enter sends it."""
        if ack is not None and ack.ok:
            self.call_later(self._end_drafts)

    def _end_drafts(self) -> None:
        self.desk.ticket.end_draft()
        while isinstance(self.screen, PreviewScreen):
            self.pop_screen()

    def action_toggle_pause(self) -> None:
        """Stop drawing, or go on; the engine never notices."""
        seat = self.seat
        seat.paused_since = seat.mono() if seat.paused_since is None else None
        self.clock.renew()

    def action_show_desk(self) -> None:
        """Close what lies over the desk; nothing is sent."""
        while len(self.screen_stack) > 1:
            self.pop_screen()

    def action_open_help(self) -> None:
        """What the keys do here."""
        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.seat, help_text(self.screen)))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """On the screen of time travel its own keys come first: they say that nothing trades there."""
        if action in ("open_panic", "toggle_pause", "open_travel", "open_signals") and self.screen is self.travel:
            return False
        return super().check_action(action, parameters)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: every action of the registry, and the themes."""
        for action in ACTIONS if self.travel is None else TRAVEL:
            if action.id not in PALETTE_HIDDEN:
                yield SystemCommand(f"{action.group}: {action.label}", action.help, partial(self._run, action))
        for name in themes.NAMES:
            yield SystemCommand(f"view: Theme {name}", "Change colours", partial(setattr, self, "theme", name))
        yield SystemCommand(
            "help: Stop the engine", "Quit, and choose what becomes of the engine", self.action_ask_leave
        )

    async def _run(self, action: Action) -> None:
        place = {Scope.DESK: self.desk, Scope.TRAVEL: self.travel}.get(action.scope)
        await self.run_action(action.action, place or self)

    def action_ask_quit(self) -> None:
        """Leave at once where nobody need be asked what becomes of the engine."""
        how = without_asking(self.seat, owner=self.owns_engine())
        if how is not None:
            self.leave(how)
        elif not isinstance(self.screen, QuitScreen):
            self.action_ask_leave()

    def action_ask_leave(self) -> None:
        """Ask what becomes of the engine, whoever started it."""
        self.push_screen(QuitScreen(self.seat), self.leave)

    def leave(self, how: Leaving | None) -> None:
        """Leave this way; None stays."""
        if how is Leaving.STOP and self.seat.lost:
            self.notify("The engine is lost and cannot be told to stop: detach, or wait for it", severity="error")
            return
        if how is Leaving.STOP:
            self.link.stop_engine("quit")
        if how is not None:
            self.exit(how)


def freeze() -> None:
    """What is alive now stays alive: later collections need not look at it. Nor does a start: it leaves next to no garbage."""
    gc.freeze()
    gc.enable()


def run_desk(
    link: EngineLink,
    *,
    symbol: str = "",
    screen: str = "desk",
    owns_engine: Callable[[], bool] = lambda: False,
    theme: str = "",
    env: str = "",
    ledger: Path | None = None,
    ledger_flag: str | None = None,
    before: Callable[[], None] | None = None,
) -> str:
    """Open the desk over a link until the person leaves; returns "stop" (already asked of the engine) or "detach".

    `before` runs while the desk is painted, and what it raises is raised here.
    """
    app = DeskApp(
        link,
        symbol=symbol,
        screen=screen,
        owns_engine=owns_engine,
        theme=theme or themes.DEFAULT_THEME,
        env=env,
        ledger=ledger,
        ledger_flag=ledger_flag,
        before=before,
    )
    # Over SSH a mouse costs 13 % CPU while it moves, and a lost line leaves the terminal printing its codes.
    remote = bool(os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY"))
    how = str(app.run(mouse=not remote) or Leaving.DETACH)
    if app.refused is not None:
        raise app.refused
    return how
