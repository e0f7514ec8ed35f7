"""The bottom line of the frame: panes by number, and the keys of the focused pane as far as they fit."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich.cells import cell_len
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from widgets.text import SHORT

ALWAYS = (
    *("trade.buy", "trade.sell", "trade.arm", "trade.panic", "view.maximize"),
    *("travel.leave", "travel.on", "travel.minute_on", "travel.go", "travel.kind"),
    *("signals.approve", "signals.decline", "signals.search", "signals.why", "signals.replay", "signals.leave"),
    *("help.keys", "help.quit"),
)
WIDE = 120
"""Columns from which panes go by their whole name."""


class Footline(Static):
    """One line in the environment's colour."""

    COMPONENT_CLASSES = {"footline--here", "footline--shown", "footline--hidden"}

    def __init__(self) -> None:
        super().__init__("", id="footline", markup=False)
        self._asked: tuple[Screen[None], Sequence[str], str, Collection[str]] | None = None
        self._covered = 0
        """Column up to which something is being said over this line."""

    def show(self, screen: Screen[None], panes: Sequence[str], focused: str, shown: Collection[str]) -> None:
        """Name the panes (empty: a number without one), the focused one marked, and what its keys do."""
        self._asked = (screen, panes, focused, shown)
        self._draw()

    def make_room(self) -> None:
        """Show only what is not behind what is being said: half a key names another one."""
        covered = max((toast.region.right for toast in self.app.screen.query("Toast")), default=0)
        if covered != self._covered:
            self._covered = covered
            self._draw()

    def _draw(self) -> None:
        if self._asked is None:
            return
        screen, panes, focused, shown = self._asked
        width = self.size.width or screen.size.width
        covered = max(self._covered - self.region.x, 0)
        parts: list[tuple[str, str]] = []
        used = 0
        for number, name in enumerate(panes, 1):
            if not name:
                continue
            style = "here" if name == focused else "shown" if name in shown else "hidden"
            text = f" {number} {name} " if width >= WIDE else f" {number}{SHORT.get(name, name)}"
            # Behind what is being said half a name would be left.
            parts.append((" " * cell_len(text) if used < covered else text, style if used >= covered else "hidden"))
            used += cell_len(text)
        named = used
        used = max(used, covered)
        # Whatever does not fit, the way to the help does.
        texts = [f"  {key} {label}" for key, label in self._hints(screen)]
        last = next((text for text in texts if text.endswith(" help")), "")
        used += cell_len(last)
        hints = []
        for text in texts:
            if text != last and used + cell_len(text) < width:
                hints.append(text)
                used += cell_len(text)
        hints.append(last)
        gap = " " * max(0, width - named - sum(map(cell_len, hints)) - 1)
        self.update(
            Content.assemble(
                *((text, self.get_visual_style(f"footline--{style}")) for text, style in parts), gap, *hints
            ),
            layout=False,
        )

    def _hints(self, screen: Screen[None]) -> list[tuple[str, str]]:
        active = list(screen.active_bindings.values())
        own = [one.binding for one in active if one.node is screen.focused and one.binding.show]
        common = [one.binding for one in active if one.binding.id in ALWAYS]
        common.sort(key=lambda binding: ALWAYS.index(binding.id or ""))
        found: dict[str, str] = {}
        for binding in (*own, *common):
            if binding.description and binding.description not in found:
                found[binding.description] = screen.app.get_key_display(binding)
        return [(key, label.lower()) for label, key in found.items()]
