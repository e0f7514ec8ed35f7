"""Texts of fixed width: cells, ages, clock times, bars. Pure; one character is one cell unless said otherwise."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.cells import cell_len, set_cell_size

DASH = "–"
"""What is not known; never 0."""
SHORT = {
    "ticket": "tick",
    "positions": "pos",
    "orders": "ord",
    "trades": "trd",
    "balance": "bal",
    "latency": "lat",
    "signals": "sig",
}
"""Names of panes where there is little room."""
SECOND = 1_000_000_000
_EIGHTHS = " ▏▎▍▌▋▊▉"


def known(text: str | None) -> str:
    """The text, or a dash for None and empty."""
    return text or DASH


def left(text: str, width: int) -> str:
    """Exactly `width` cells, aligned left; what does not fit ends in an ellipsis."""
    if text.isascii():
        return text.ljust(width) if len(text) <= width else text[: max(width - 1, 0)] + "…"[:width]
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, max(width - 1, 0)) + "…"[:width]


def right(text: str, width: int) -> str:
    """Exactly `width` cells, aligned right; a number that does not fit ends in an ellipsis, digits never vanish silently."""
    if len(text) <= width:
        return text.rjust(width)
    return text[: max(width - 1, 0)] + "…"[:width]


def signed(text: str | None, sign: int) -> str:
    """A gain carries its plus: the sign is the second cue beside the colour."""
    if not text:
        return DASH
    return f"+{text}" if sign > 0 and not text.startswith("+") else text


def age(ns: int) -> str:
    """A duration in at most four cells: 7s, 12m, 3h, 5d."""
    seconds = max(ns, 0) // SECOND
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3_600:
        return f"{seconds // 60}m"
    if seconds < 172_800:
        return f"{seconds // 3_600}h"
    return f"{seconds // 86_400}d"


def seconds(ns: int) -> str:
    """An age in words: `7 s`, for what should never be old."""
    return f"{max(ns, 0) // SECOND} s"


def since(then_ns: int, now_ns: int) -> str:
    """Age of a moment; a dash while the time is not known."""
    return age(now_ns - then_ns) if now_ns and then_ns else DASH


def clock(ns: int, form: str = "%H:%M:%S") -> str:
    """A moment as UTC time of day."""
    return datetime.fromtimestamp(ns / SECOND, UTC).strftime(form)


def micros(value: float | None) -> str:
    """Microseconds in at most six cells with a unit: 12µs, 1.2ms, 2.10s."""
    if value is None:
        return DASH
    if value < 10:
        return f"{value:.1f}µs"
    if value < 1_000:
        return f"{value:.0f}µs"
    if value < 100_000:
        return f"{value / 1_000:.1f}ms"
    if value < 1_000_000:
        return f"{value / 1_000:.0f}ms"
    return f"{value / 1_000_000:.2f}s"


def bar(fraction: float, width: int) -> str:
    """A bar of block characters in eighths of a cell, without padding; anything above zero shows."""
    eighths = round(min(max(fraction, 0.0), 1.0) * width * 8)
    if fraction > 0 and width > 0:
        eighths = max(eighths, 1)
    full, part = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[part] if part else "")
