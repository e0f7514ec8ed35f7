"""What the keys do here: made from the live bindings, the focused pane first."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Static

from hoox_tui.screens.modal import BACK, FramedModal
from hoox_tui.seat import Seat

_LAST = {"this screen": 1, "everywhere": 2}


def help_text(screen: Screen[object]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Sections of (keys, what they do), nearest to the focus first; keys that do the same share a line."""
    sections: dict[str, dict[str, list[str]]] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        what = binding.tooltip or binding.description
        if not what or not binding.id:
            continue
        node = active.node
        if node is screen.focused:
            heading = str(getattr(node, "border_title", "") or type(node).__name__)
        else:
            heading = "this screen" if node is screen else "everywhere" if node is screen.app else ""
        if heading:
            sections.setdefault(heading, {}).setdefault(what, []).append(screen.app.get_key_display(binding))
    order = sorted(sections, key=lambda heading: _LAST.get(heading, 0))
    return [(heading, [(" ".join(keys), what) for what, keys in sections[heading].items()]) for heading in order]


class HelpScreen(FramedModal[None]):
    """Keys and what they do."""

    AUTO_FOCUS = "VerticalScroll"
    TITLE_TEXT = "keys"
    BINDINGS: ClassVar[list[BindingType]] = [
        BACK,
        Binding("question_mark,enter,f1", "go_back", "Close", id="help.close", tooltip="Close the help"),
    ]

    def __init__(self, seat: Seat, sections: list[tuple[str, list[tuple[str, str]]]]) -> None:
        super().__init__(seat)
        self._sections = sections

    def body(self) -> ComposeResult:
        """A heading and a table for each section."""
        with VerticalScroll():
            for heading, rows in self._sections:
                yield Static(heading, classes="title", markup=False)
                yield Static("\n".join(f"{keys:>17}  {what}" for keys, what in rows), markup=False)
        yield Static("Esc closes   arrows scroll", classes="state", markup=False)
