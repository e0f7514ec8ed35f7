"""A canvas of braille dots, 2 x 4 a cell. Pure: floats and ints in, texts out."""

from __future__ import annotations

from collections.abc import Sequence

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
BLANK_CELL = "\u2800"


class Canvas:
    """`width` x `height` cells; dot (0, 0) is top left. Dots outside are ignored."""

    __slots__ = ("_cells", "height", "width")

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._cells = bytearray(width * height)

    def dot(self, x: int, y: int) -> None:
        """Set one dot."""
        if 0 <= x < self.width * 2 and 0 <= y < self.height * 4:
            self._cells[(y >> 2) * self.width + (x >> 1)] |= _DOTS[y & 3][x & 1]

    def column(self, x: int, top: int, bottom: int) -> None:
        """Set the dots of a column from top to bottom, both included."""
        for y in range(max(top, 0), min(bottom, self.height * 4 - 1) + 1):
            self.dot(x, y)

    def is_blank(self, y: int) -> bool:
        """Whether a row of cells has no dot."""
        return not any(self._cells[y * self.width : (y + 1) * self.width])

    def cell(self, x: int, y: int) -> str:
        """The character of a cell; a space where nothing is set."""
        bits = self._cells[y * self.width + x]
        return chr(0x2800 + bits) if bits else " "

    def row(self, y: int) -> str:
        """A row of cells."""
        return "".join(self.cell(x, y) for x in range(self.width))


def scale(value: float, low: float, high: float, dots: int) -> int:
    """The dot row of a value, 0 at the top; a flat range lies in the middle."""
    if high <= low:
        return dots // 2
    return round((high - value) / (high - low) * (dots - 1))


def sparkline(values: Sequence[float], width: int, height: int) -> list[str]:
    """A line through the values, the newest at the right edge; rows from top to bottom."""
    canvas = Canvas(width, height)
    dots = width * 2
    if len(values) > dots:
        step = (len(values) - 1) / (dots - 1)
        values = [values[round(i * step)] for i in range(dots)]
    if values:
        low, high = min(values), max(values)
        before = None
        for x, value in enumerate(values, start=dots - len(values)):
            y = scale(value, low, high, height * 4)
            start = y if before is None else before
            canvas.column(x, min(y, start), max(y, start))
            before = y
    return [canvas.row(y) for y in range(height)]
