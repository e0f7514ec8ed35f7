"""The preview: everything that reaches a venue passes here. Enter sends what is shown, Esc goes back."""

from __future__ import annotations

from enum import StrEnum
from textwrap import wrap
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from engine.link.base import LinkLost
from engine.link.messages import Ack
from engine.model.command import DeclineSignal, SetKill
from engine.views import Preview
from hoox_tui.intents import Choice, EnterGuard
from hoox_tui.screens.modal import BACK, FramedModal
from hoox_tui.seat import SECOND, Seat

BEATS = 2
"""Beats between two questions to the engine: twice a second."""
OLD_NS = 5 * SECOND
"""A preview older than this is not sent for an entry; an exit is, with a warning."""
WIDTH = 66
"""Cells inside the frame, as the style sheet has it."""


_DONE: dict[type, str] = {DeclineSignal: "done", SetKill: "done"}
"""What is said of a command that was carried out where the venue need not accept anything."""


class Stage(StrEnum):
    """Where a preview is on its way."""

    ASKING = "asking"
    SHOWN = "shown"
    SENDING = "sending"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    DONE = "done"


class PreviewScreen(FramedModal[Ack | None]):
    """What a command would do, asked of the engine twice a second. With several choices, their keys switch between them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "send", "Send", id="preview.send", tooltip="Send exactly what is shown"),
        BACK,
        *(
            Binding(key, f"choose('{key}')", "Choose", id=f"preview.choose-{key}", tooltip="Switch to this choice")
            for key in ("1", "2", "3", "4", "l", "s", "a", "c", "f", "k")
        ),
        Binding("a", "app.toggle_arm", "Arm", id="preview.arm", tooltip="Arm entries from this keyboard"),
        Binding("H", "app.take_hand", "Take hand", id="preview.hand", tooltip="Take the trading hand"),
    ]

    def __init__(self, seat: Seat, choices: tuple[Choice, ...], *, chosen: int = 0) -> None:
        super().__init__(seat)
        self.choices = choices
        self.chosen = choices[chosen]
        self.stage = Stage.ASKING
        self.preview: Preview | None = None
        self._guard = EnterGuard()
        self._answered_ns = 0
        self._asking = False
        self._beats = 0
        self._trouble = ""
        self._ack: Ack | None = None
        self._parts = {
            part: Static("", id=f"preview-{part}", markup=False)
            for part in ("title", "choices", "rows", "warnings", "errors", "state")
        }

    def body(self) -> ComposeResult:
        """Title, choices, rows, warnings, errors, and what happens next."""
        yield from self._parts.values()

    def on_mount(self) -> None:
        """Ask at once."""
        super().on_mount()
        self._draw()
        self.refresh_preview()
        self.call_after_refresh(lambda: self._guard.paint(self.seat.mono()))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Choice keys exist where there are such choices; arm only in the way of an entry."""
        keys = [choice.key for choice in self.choices]
        if action == "choose":
            return len(keys) > 1 and parameters[0] in keys
        if action == "toggle_arm":
            return self.preview is not None and self.preview.entry
        return True

    # --- asking ---

    def beat(self) -> None:
        """Ages and the arm four times a second, a new answer twice."""
        super().beat()
        self._beats += 1
        if self._beats % BEATS == 0:
            self.refresh_preview()
        self._draw()

    def refresh_preview(self) -> None:
        """Ask again, unless an answer is awaited or the matter is out of hand."""
        if self.stage in (Stage.ASKING, Stage.SHOWN):
            if not self._asking:
                self._asking = True
                self.run_worker(self._ask(self.chosen), group="preview", exit_on_error=False)
            self._draw()

    async def _ask(self, choice: Choice) -> None:
        try:
            preview = await self.seat.link.preview(choice.command)
        except LinkLost as error:
            self._trouble = f"the engine did not answer: {error}"
        else:
            self._trouble = ""
            if choice is self.chosen:
                self.preview = preview
                self._answered_ns = self.seat.mono()
                if self.stage is Stage.ASKING:
                    self.stage = Stage.SHOWN
        finally:
            self._asking = False
        if choice is not self.chosen:
            self.refresh_preview()
        self._draw()

    def action_choose(self, key: str) -> None:
        """Switch to another choice; what was shown for the last one is gone."""
        if self.stage not in (Stage.ASKING, Stage.SHOWN):
            return
        self.chosen = next(choice for choice in self.choices if choice.key == key)
        self.preview = None
        self.stage = Stage.ASKING
        self.refresh_preview()

    # --- sending ---

    def objections(self) -> tuple[str, ...]:
        """Why Enter does nothing now."""
        if self.preview is None:
            return (self._trouble,) if self._trouble else ()
        found = list(self.seat.objections(self.preview))
        if self.preview.entry and self.age_ns > OLD_NS:
            found.append(f"these figures are {self.age_ns // SECOND} s old: entries need fresh ones")
        return tuple(found)

    @property
    def age_ns(self) -> int:
        """Age of the answer shown."""
        return self.seat.mono() - self._answered_ns

    def action_send(self) -> None:
        """Send what is shown; after a lost link, the same request again."""
        now = self.seat.mono()
        if not self._guard.allows(now):
            return
        if self.stage is Stage.UNKNOWN or (self.stage is Stage.SHOWN and not self.objections()):
            self.stage = Stage.SENDING
            self._draw()
            # The app owns the wait: leaving this screen must not lose the answer.
            self.app.run_worker(self._send(now), group="send", exit_on_error=False)

    async def _send(self, key_ns: int) -> None:
        try:
            ack = await self.seat.send(self.chosen.command, key_ns)
        except LinkLost as error:
            self.stage, self._trouble = Stage.UNKNOWN, str(error)
            if not self.is_attached:
                self.app.notify("Not known whether it arrived: see orders and log", severity="error")
        else:
            self._ack = ack
            self.stage = Stage.DONE if ack.ok else Stage.REFUSED
            title = self.preview.title if self.preview else self.chosen.label
            if ack.ok:
                self.app.notify(f"{title}: {_DONE.get(type(self.chosen.command), 'accepted')}")
            else:
                self.app.notify(f"{title}: {ack.code}", severity="error")
        self._finish()

    def on_screen_resume(self) -> None:
        """Another modal lay over this one, perhaps when the answer came."""
        self._guard.uncover(self.seat.mono())
        self._finish()

    def _finish(self) -> None:
        if not self.is_attached:
            return
        if self.stage is Stage.DONE and self.app.screen is self:
            self.dismiss(self._ack)
        else:
            self._draw()

    # --- drawing ---

    def _draw(self) -> None:
        preview = self.preview
        self._set("title", preview.title if preview else self.chosen.label)
        self._set("choices", self._choice_line())
        self._set("rows", _table(preview.rows) if preview else "")
        self._set("warnings", "\n".join(f"! {text}" for text in self._warnings()))
        self._set("errors", "\n".join(f"✗ {text}" for text in self._errors()))
        self._set("state", self._state_line())
        self.frame.set_class(bool(self._errors()), "-blocked")
        self.frame.set_class(self.stage in (Stage.REFUSED, Stage.UNKNOWN), "-trouble")

    def _set(self, part: str, text: str) -> None:
        widget = self._parts[part]
        widget.display = bool(text)
        if widget.content != text:
            widget.update(text)

    def _choice_line(self) -> str:
        if len(self.choices) < 2:
            return ""
        return "   ".join(
            f"▸{choice.key} {choice.label}◂" if choice is self.chosen else f" {choice.key} {choice.label} "
            for choice in self.choices
        )

    def _warnings(self) -> tuple[str, ...]:
        warnings = self.preview.warnings if self.preview else ()
        if self.preview and not self.preview.entry and self.age_ns > OLD_NS:
            warnings = (*warnings, f"STALE {self.age_ns // SECOND} s: the market may have moved")
        return warnings

    def _errors(self) -> tuple[str, ...]:
        if self.stage is Stage.REFUSED and self._ack is not None:
            return (f"{self._ack.code}: {self._ack.message}",)
        return self.objections() if self.stage in (Stage.ASKING, Stage.SHOWN) else ()

    def _state_line(self) -> str:
        if self.stage is Stage.SENDING:
            return "sending…"
        if self.stage is Stage.REFUSED:
            return "Refused, nothing was done.   Esc back"
        if self.stage is Stage.UNKNOWN:
            return f"Not known whether it arrived: Enter sends the same request again.   Esc back\n{self._trouble}"
        if self.preview is None:
            return "asking the engine…   Esc back"
        age = f"as of {self.age_ns / SECOND:.1f} s ago"
        return f"Esc back   ({age})" if self.objections() else f"Enter sends   Esc back   ({age})"


def _table(rows: tuple[tuple[str, str], ...]) -> str:
    """Labels, and the values in a column beside them, where long ones wrap."""
    indent = max((len(label) for label, _ in rows), default=0) + 3
    values = (wrap(value, WIDTH - indent) or [""] for _, value in rows)
    return "\n".join(
        f"{label:<{indent}}" + f"\n{'':<{indent}}".join(lines) for (label, _), lines in zip(rows, values, strict=True)
    )
