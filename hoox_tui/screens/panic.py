"""The panic sheet, reached from everywhere."""

from __future__ import annotations

from hoox_tui.screens.preview import PreviewScreen


class PanicScreen(PreviewScreen):
    """Cancel all, flatten all, kill switch: the sheet is their preview."""

    TITLE_TEXT = "panic"
