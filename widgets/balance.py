"""Money: one row an asset, the day's result, and the line of equity."""

from __future__ import annotations

from engine.views import BalanceRow, BalanceView
from widgets.braille import sparkline
from widgets.pane import Line, Pane, Part, Run, Tone, merged, packed
from widgets.positions import gain_tone
from widgets.text import DASH, known, left, right, signed

_COLUMNS = ("equity", "free", "uPnL", "margin", "reserved", "wallet")
"""Most important first; the last are dropped when the pane is narrow."""

_LINE_FROM = 8
"""Points from which equity is drawn with its ups and downs."""


def _cells(row: BalanceRow) -> tuple[str, ...]:
    return known(row.equity), row.free, known(row.upnl), row.margin, row.reserved, row.wallet


class BalancePane(Pane[BalanceView]):
    """What the account holds, what of it is free, and how it got there."""

    TITLE = "balance"

    def draw(self, width: int, height: int) -> list[Line]:
        """Header, assets, the day, then equity in what height is left."""
        view = self._view
        if view is None or not view.rows:
            return [Line(((Tone.DIM, " no balance yet"),))]
        cells = [_cells(row) for row in view.rows]
        widths = [max(9, len(title), *(len(row[i]) for row in cells)) for i, title in enumerate(_COLUMNS)]
        count = max(n for n in range(1, len(widths) + 1) if n == 1 or 6 + sum(widths[:n]) + n <= width)
        titles = "".join(" " + right(_COLUMNS[i], widths[i]) for i in range(count))
        lines = [Line(((Tone.HEAD, " " + left("asset", 5) + titles),))]
        for row, texts in zip(view.rows, cells, strict=True):
            lines.append(_asset(row.asset, texts[:count], widths))
        rest = height - len(lines)
        if rest < 1:
            return lines
        lines.append(_day(view, width))
        if rest >= 2 and view.equity_line:
            lines += _drawn_equity(view.equity_line, max(width - 2, 1), rest - 1)
        return lines


def _asset(asset: str, texts: tuple[str, ...], widths: list[int]) -> Line:
    runs: list[Run] = [(Tone.PLAIN, " " + left(asset, 5))]
    for title, text, width in zip(_COLUMNS, texts, widths, strict=False):
        gain = title == "uPnL" and text != DASH and text.strip("+-0.") != ""
        sign = 0 if not gain else -1 if text.startswith("-") else 1
        runs.append((gain_tone(sign), " " + right(signed(text, sign), width)))
    return merged(runs)


def _drawn_equity(values: tuple[float, ...], width: int, height: int) -> list[Line]:
    """The line of equity; flat until it has points enough to be more than a stroke."""
    if len(values) < _LINE_FROM:
        values, tone = (values[-1],) * len(values), Tone.DIM
    else:
        tone = Tone.UP if values[-1] >= values[0] else Tone.DOWN
    return [Line(((tone, " " + text),)) for text in sparkline(values, width, height)]


def _day(view: BalanceView, width: int) -> Line:
    """The day's result, and between what equity moved; a figure that does not fit is left out, cut it would be another one."""
    line = view.equity_line
    gain = signed(view.day_pnl, view.day_pnl_sign)
    extremes = (f" low {min(line):,.2f}", f"high {max(line):,.2f}") if line else ()
    parts = (
        Part(0, Tone.HEAD, " day"),
        Part(0, gain_tone(view.day_pnl_sign), gain),
        *(Part(rank, Tone.DIM, text) for rank, text in enumerate(extremes, 1)),
    )
    return packed(parts, width, gap=" ")
