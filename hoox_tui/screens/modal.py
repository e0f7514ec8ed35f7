"""The frame of every modal: the environment's colour and word, the banner, and a body."""

from __future__ import annotations

from typing import ClassVar, Protocol, TypeVar, runtime_checkable

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.renderables.background_screen import BackgroundScreen
from textual.screen import ModalScreen
from textual.visual import VisualType
from textual.widgets import Static

from hoox_tui.screens.backdrop import Backdrop
from hoox_tui.seat import Seat

ResultT = TypeVar("ResultT")

BACK = Binding("escape", "go_back", "Back", id="modal.back", tooltip="Back; nothing is sent")


class Banner(Static):
    """The line across a screen while something is not as it should be; hidden otherwise."""

    def __init__(self, seat: Seat) -> None:
        super().__init__("", markup=False)
        self._seat = seat
        self._shown: tuple[str, str] | None = None

    def on_mount(self) -> None:
        """A screen opened during a loss says so at once; a desk that starts waits for its first beat."""
        if self._seat.status is not None:
            self.renew()

    def renew(self) -> None:
        """Say what the seat says now."""
        wanted = self._seat.banner()
        if wanted == self._shown:
            return
        self._shown = wanted
        text, level = wanted or ("", "")
        self.update(text)
        self.set_class(bool(text), "-shown")
        self.set_class(level == "error", "-error")


@runtime_checkable
class Beats(Protocol):
    """A screen with something to renew at the app's slow pace."""

    def beat(self) -> None:
        """Renew it."""


@runtime_checkable
class Follows(Protocol):
    """A screen that shows what comes as soon as it comes."""

    def follow(self) -> None:
        """Draw what is new, ten times a second at most; nothing where nothing is."""


class FramedModal(ModalScreen[ResultT]):
    """A modal with the environment around it. Nothing in it has focus unless it asks for it: Enter means what it says."""

    AUTO_FOCUS = ""
    TITLE_TEXT = ""
    # A modal hides the app's own keys; of F8 and F9 this is the third, and a text field keeps it.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("!", "app.open_panic('cancel')", "Panic", id="modal.panic", tooltip="The panic sheet, from here")
    ]

    def __init__(self, seat: Seat) -> None:
        super().__init__()
        self.seat = seat
        self.banner = Banner(seat)
        self.frame = Vertical(classes="frame")

    def compose(self) -> ComposeResult:
        """Banner, then the frame around the body."""
        yield self.banner
        with self.frame:
            yield from self.body()

    def render(self) -> VisualType:  # type: ignore[override]  # a widget may render a Visual, says its base
        """The screen below, darkened."""
        below = super().render()
        return Backdrop(below.screen, below.color) if isinstance(below, BackgroundScreen) else below

    def body(self) -> ComposeResult:
        """What is inside the frame."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Name the environment in the frame."""
        self.frame.border_title = self.seat.frame_title
        self.frame.border_subtitle = self.TITLE_TEXT

    def beat(self) -> None:
        """Four times a second, from the app's clock."""
        self.banner.renew()

    def action_go_back(self) -> None:
        """Leave without doing anything."""
        self.dismiss(None)
