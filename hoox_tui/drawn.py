"""Makes a terminal's SVG independent of fonts: braille, blocks and frames become shapes that fill their cells."""

from __future__ import annotations

import re
from html import unescape

CELL, LINE, ASCENT = 12.2, 24.4, 18.5
"""Width and height of a cell in Rich's SVG, and its baseline below the cell's top, in its units."""

_TEXT = re.compile(r'<text class="([^"]*)" x="([\d.]+)" y="([\d.]+)" textLength="[\d.]+"[^>]*>([^<]*)</text>')
_FONT_FACES = re.compile(r"@font-face\s*{[^}]*}")
_MIDDLE, _CENTRE, _STROKE = CELL / 2, LINE / 2, 1.4
# Which arms a box character has: up, right, down, left.
_BOX = {
    **dict.fromkeys("─╌┄┈╶╴━", "rl"),
    **dict.fromkeys("│╎┆┊┃", "ud"),
    **dict.fromkeys("╭┌┏", "rd"),
    **dict.fromkeys("╮┐┓", "dl"),
    **dict.fromkeys("╰└┗", "ur"),
    **dict.fromkeys("╯┘┛", "ul"),
}
_BROKEN = frozenset("╌┄┈╎┆┊")
_HEAVY = frozenset("━┃┏┓┗┛")


def drawn(svg: str) -> str:
    """The same picture with shapes for the characters few fonts have, or have with gaps; web fonts left out."""
    return _TEXT.sub(_redraw, _FONT_FACES.sub("", svg))


def _redraw(match: re.Match[str]) -> str:
    css_class, x, y, text = match[1], float(match[2]), float(match[3]), unescape(match[4])
    shapes = [_shape(char, x + i * CELL, y - ASCENT) for i, char in enumerate(text)]
    if not any(shapes):
        return match[0]
    path = f'<path class="{css_class}" d="{"".join(shapes)}"/>'
    rest = "".join("\u00a0" if shape else char for char, shape in zip(text, shapes, strict=True))
    if not rest.strip("\u00a0 "):
        return path
    rest = rest.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\u00a0", "&#160;")
    return path + match[0].replace(match[4], rest, 1)


def _shape(char: str, x: float, y: float) -> str:
    code = ord(char)
    if 0x2800 < code <= 0x28FF:
        return "".join(_dots(code - 0x2800, x, y))
    if 0x2588 <= code <= 0x258F:  # full block and left eighths
        return _rect(x, y, CELL * (0x2590 - code) / 8, LINE)
    if 0x2581 <= code < 0x2588:  # lower eighths
        height = LINE * (code - 0x2580) / 8
        return _rect(x, y + LINE - height, CELL, height)
    if char in ("▐", "▀"):
        return _rect(x + _MIDDLE, y, _MIDDLE, LINE) if char == "▐" else _rect(x, y, CELL, _CENTRE)
    return _box(char, x, y)


def _dots(bits: int, x: float, y: float) -> list[str]:
    # Unicode numbers the dots 1-3 and 7 down the left, 4-6 and 8 down the right.
    places = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
    side = 4.2
    return [
        _rect(x + (column + 0.5) * CELL / 2 - side / 2, y + (row + 0.5) * LINE / 4 - side / 2, side, side)
        for bit, (column, row) in enumerate(places)
        if bits >> bit & 1
    ]


def _box(char: str, x: float, y: float) -> str:
    arms = _BOX.get(char, "")
    stroke = _STROKE * 2.5 if char in _HEAVY else _STROKE
    half = stroke / 2
    cut = 0.3 if char in _BROKEN else 0.0
    parts = []
    if "l" in arms or "r" in arms:
        left = x + (CELL * cut / 2 if "l" in arms else _MIDDLE - half)
        right = x + (CELL * (1 - cut / 2) if "r" in arms else _MIDDLE + half)
        parts.append(_rect(left, y + _CENTRE - half, right - left, stroke))
    if "u" in arms or "d" in arms:
        top = y + (LINE * cut / 2 if "u" in arms else _CENTRE - half)
        bottom = y + (LINE * (1 - cut / 2) if "d" in arms else _CENTRE + half)
        parts.append(_rect(x + _MIDDLE - half, top, stroke, bottom - top))
    return "".join(parts)


def _rect(x: float, y: float, width: float, height: float) -> str:
    return f"M{x:.1f} {y:.1f}h{width:.1f}v{height:.1f}h{-width:.1f}z"
