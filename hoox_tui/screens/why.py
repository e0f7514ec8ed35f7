"""Why is this row there? The chain behind it, read from the ledger by the engine."""

from __future__ import annotations

from shlex import quote
from typing import ClassVar

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from engine.link.base import LinkLost
from engine.views.why import Answer, lines
from hoox_tui.screens.modal import BACK, FramedModal
from hoox_tui.seat import Seat
from widgets.why import WhyPane


class WhyScreen(FramedModal[None]):
    """Asks once; the past does not change."""

    AUTO_FOCUS = "WhyPane"
    TITLE_TEXT = "why"
    BINDINGS: ClassVar[list[BindingType]] = [
        BACK,
        Binding("w,enter", "go_back", "Close", id="why.close", tooltip="Close the chain"),
        Binding("y", "copy_chain", "Copy", id="why.copy", tooltip="Copy the whole chain to the clipboard (OSC 52)"),
    ]

    def __init__(self, seat: Seat, name: str) -> None:
        """`name` is what `hoox why` takes."""
        super().__init__(seat)
        self.name_asked = name
        self.answer: Answer | None = None
        self.pane = WhyPane(id="why")
        self.state = Static("", classes="state", markup=False)

    def body(self) -> ComposeResult:
        """The chain, and what the keys do."""
        yield self.pane
        yield self.state

    def on_mount(self) -> None:
        """Ask at once."""
        super().on_mount()
        self.pane.border_title = f"why {self.name_asked}"
        if self.seat.lost:
            self._say(f"the engine is lost and answers when it is back: {self._without_it()}")
        else:
            self._say("asking the engine…   Esc back")
        self.run_worker(self._ask(), group="why", exit_on_error=False)

    async def _ask(self) -> None:
        try:
            data = await self.seat.link.query(f"why:{self.name_asked}")
            self.answer = msgspec.convert(data, Answer)
        except LinkLost as error:
            self._say(f"the engine did not answer ({error}): {self._without_it()}")
        except (RuntimeError, msgspec.ValidationError) as error:
            self._say(str(error))
        else:
            self.pane.show(self.answer)
            self._say("Esc closes   arrows scroll   y copies")

    def _without_it(self) -> str:
        words = ("hoox", "why", quote(self.name_asked), self.seat.ledger_flag)
        return f"{' '.join(word for word in words if word)} reads the ledger without it"

    def _say(self, text: str) -> None:
        self.state.update(text)

    def action_copy_chain(self) -> None:
        """The chain as it would be printed."""
        if self.answer is None:
            self.notify("Nothing to copy yet", severity="warning")
            return
        self.app.copy_to_clipboard("\n".join(line.text.rstrip() for line in lines(self.answer)))
        self.notify("Chain copied")
