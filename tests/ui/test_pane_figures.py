"""Balance, latency, chart and candle study."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.views import ChartLine
from tests.ui import seeds
from tests.ui.hosts import Host, RecordingDriver, count_lines, drawn
from widgets.balance import BalancePane
from widgets.braille import Canvas, scale, sparkline
from widgets.chart import ChartPane
from widgets.latency import LatencyPane
from widgets.plot import plot
from widgets.study import CandleStudy

# --- balance ---


async def test_each_asset_has_a_row_and_unknown_is_a_dash() -> None:
    pane = BalancePane()
    async with Host(pane).run_test(size=(90, 12)):
        pane.show(seeds.balance(2))
        rows = drawn(pane)
    assert rows[0].split() == ["asset", "equity", "free", "uPnL", "margin", "reserved", "wallet"]
    assert rows[1].split() == ["USDT", "10013.00", "9352.06", "+0.60", "60.94", "600.00", "10012.40"]
    assert rows[2].split()[:4] == ["USDC", "–", "500.00", "–"]
    assert rows[3].startswith(" day +12.40")
    assert any(0x2800 < ord(char) < 0x2900 for row in rows[4:] for char in row)


async def test_no_balance_says_so() -> None:
    pane = BalancePane()
    async with Host(pane).run_test(size=(60, 8)):
        pane.show(replace(seeds.balance(), rows=()))
        assert drawn(pane)[0] == " no balance yet"


async def test_equity_is_flat_until_there_are_points_for_a_line() -> None:
    pane = BalancePane()
    async with Host(pane).run_test(size=(40, 12)):
        pane.show(replace(seeds.balance(), equity_line=(10_000.0, 9_985.0, 9_999.0)))
        assert len([row for row in drawn(pane) if any(0x2800 < ord(char) < 0x2900 for char in row)]) == 1


@pytest.mark.parametrize("width", range(14, 60, 3))
async def test_a_figure_of_the_day_is_whole_or_not_there(width: int) -> None:
    pane = BalancePane()
    async with Host(pane).run_test(size=(width, 6)):
        pane.show(replace(seeds.balance(), equity_line=(10_000.0, 9_985.25, 9_999.0)))
        day = drawn(pane)[2]
    assert day.split() in (
        ["day", "+12.40"],
        ["day", "+12.40", "low", "9,985.25"],
        ["day", "+12.40", "low", "9,985.25", "high", "10,000.00"],
    )


@pytest.mark.parametrize("width", [30, 45, 60, 160])
async def test_balance_keeps_equity_at_every_width(width: int) -> None:
    pane = BalancePane()
    async with Host(pane).run_test(size=(width, 6)):
        pane.show(seeds.balance())
        rows = drawn(pane)
    assert "10013.00" in rows[1]
    assert all(len(row) <= width - 2 for row in rows)


# --- latency ---


async def test_stages_are_a_waterfall_with_their_percentiles() -> None:
    pane = LatencyPane()
    async with Host(pane).run_test(size=(90, 12)):
        pane.show(seeds.latency())
        rows = drawn(pane)
    assert rows[1].split()[:5] == ["intent", "42µs", "38µs", "76µs", "126µs"]
    assert rows[4].split() == ["fill", "–", "–", "–", "–"]
    assert (pane.border_title, pane.border_subtitle) == ("latency 9.0ms O17", "12 orders")
    begins = [next(x for x, char in enumerate(row) if char in "█▏▎▍▌▋▊▉") for row in (rows[1], rows[5], rows[6])]
    assert begins == sorted(begins)


async def test_without_an_order_nothing_is_measured() -> None:
    pane = LatencyPane()
    async with Host(pane).run_test(size=(50, 12)):
        pane.show(replace(seeds.latency(), rows=()))
        assert drawn(pane)[0] == " no order measured yet"


@pytest.mark.parametrize("width", [30, 45, 160])
async def test_latency_keeps_the_last_figure_at_every_width(width: int) -> None:
    pane = LatencyPane()
    async with Host(pane).run_test(size=(width, 12)):
        pane.show(seeds.latency())
        rows = drawn(pane)
    assert "42µs" in rows[1]
    assert all(len(row) <= width - 2 for row in rows)


# --- chart ---


async def test_the_chart_draws_candles_lines_and_both_axes() -> None:
    pane = ChartPane()
    async with Host(pane).run_test(size=(100, 24)):
        pane.expect("BTCUSDT", 60)
        pane.show(seeds.chart())
        rows = drawn(pane)
    assert pane.border_title == "chart BTCUSDT 1m"
    assert rows[0].split()[0] == f"{seeds.chart().candles[-1].close:.1f}"
    text = "\n".join(rows)
    assert all(label in text for label in (" entry ", " TP ", " SL ", " liq "))
    assert "↓" in next(row for row in rows if " liq " in row)
    assert ":" in rows[-1]
    assert sum(0x2800 < ord(char) < 0x2900 for char in text) > 100


async def test_without_candles_the_chart_says_what_it_waits_for() -> None:
    pane = ChartPane()
    async with Host(pane).run_test(size=(60, 12)):
        pane.show(replace(seeds.chart(), candles=()))
        assert "waiting for trades" in drawn(pane)[0]


async def test_one_flat_candle_is_drawn() -> None:
    flat = replace(seeds.chart(1, lines=False).candles[0], open=5.0, high=5.0, low=5.0, close=5.0)
    lines = plot(replace(seeds.chart(1, lines=False), candles=(flat,), mark=None), 60, 12)
    assert any(0x2800 < ord(char) < 0x2900 for line in lines for char in line.text)


async def test_a_stale_chart_says_so() -> None:
    pane = ChartPane()
    async with Host(pane).run_test(size=(60, 20)):
        pane.show(seeds.chart(stale=True))
        assert "STALE" in drawn(pane)[0]


async def test_the_same_picture_is_not_drawn_again() -> None:
    pane, view = ChartPane(), seeds.chart()
    async with Host(pane).run_test(size=(100, 24)) as pilot:
        pane.show(view)
        await pilot.pause()
        rows = count_lines(pane)
        pane.show(replace(view, time_ns=view.time_ns + 250_000_000))
        await pilot.pause()
        assert rows == []
        last = replace(view.candles[-1], volume=99.0)
        pane.show(replace(view, candles=(*view.candles[:-1], last)))
        await pilot.pause()
        assert rows == [0]


async def test_a_move_of_the_last_candle_costs_little_and_the_same_picture_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    pane, view = ChartPane(), seeds.chart()
    app = Host(pane, driver_class=RecordingDriver)
    async with app.run_test(size=(110, 30), headless=False) as pilot:
        pane.show(view)
        await pilot.pause()
        driver = app._driver
        assert isinstance(driver, RecordingDriver)
        driver.taken()
        pane.show(replace(view, time_ns=view.time_ns + 1))
        await pilot.pause()
        assert driver.taken() == 0
        last = replace(view.candles[-1], close=view.candles[-1].close - 5)
        pane.show(replace(view, candles=(*view.candles[:-1], last)))
        await pilot.pause()
        assert 0 < driver.taken() <= 5_000


def test_candles_stand_still_while_four_are_added() -> None:
    view = seeds.chart(lines=False)
    # Fixed range: the first candle reaches over all the others, so that only time moves.
    tall = [replace(candle, high=62_000.0, low=60_000.0) for candle in view.candles]
    firsts = []
    for count in range(192, 200):
        lines = plot(replace(view, candles=tuple(tall[:count]), mark=None), 60, 16)
        firsts.append(lines[5].text[:20])
    assert len(set(firsts)) <= 3


async def test_candles_of_another_market_do_not_stand_under_its_name() -> None:
    pane = ChartPane()
    async with Host(pane).run_test(size=(80, 20)):
        pane.show(seeds.chart())
        pane.expect("ETHUSDT", 60)
        assert pane.border_title == "chart ETHUSDT 1m"
        assert drawn(pane)[0] == " no candles yet: waiting for trades"


async def test_brackets_step_through_the_timeframes() -> None:
    pane = ChartPane()
    app = Host(pane)
    async with app.run_test(size=(80, 20), message_hook=app.hook) as pilot:
        pane.expect("BTCUSDT", 60)
        pane.show(seeds.chart())
        await pilot.press("right_square_bracket", "right_square_bracket", "left_square_bracket")
        await pilot.pause()
        seconds = [message.seconds for message in app.posted if isinstance(message, ChartPane.TimeframeChanged)]
        assert seconds[:2] == [300, 900]
        app.posted.clear()
        await pilot.press(*["left_square_bracket"] * 6)
        await pilot.pause()
        assert app.posted[-1] == ChartPane.TimeframeChanged(1)


@pytest.mark.parametrize(("width", "height"), [(30, 6), (40, 12), (80, 24), (160, 45)])
async def test_the_chart_fills_every_size(width: int, height: int) -> None:
    lines = plot(seeds.chart(), width, height)
    assert len(lines) == height
    assert all(len(line.text) <= width for line in lines)


def test_where_two_lines_share_a_row_the_more_urgent_is_shown() -> None:
    view = seeds.chart(lines=False)
    price = view.candles[-1].close
    both = (ChartLine("order", price + 40, "order"), ChartLine("liq", price + 40, "liq"))
    text = "\n".join(line.text for line in plot(replace(view, lines=both), 80, 24))
    assert " liq " in text
    assert " order " not in text


@given(st.lists(st.floats(-1e9, 1e9), max_size=300), st.integers(1, 80), st.integers(1, 10))
def test_a_sparkline_always_has_its_size(values: list[float], width: int, height: int) -> None:
    rows = sparkline(values, width, height)
    assert [len(row) for row in rows] == [width] * height
    assert (not values) == all(row.isspace() for row in rows)


@given(st.floats(1, 1e6), st.floats(1, 1e6), st.floats(1, 1e6))
def test_the_scale_stays_on_the_canvas_and_keeps_order(a: float, b: float, value: float) -> None:
    low, high = min(a, b), max(a, b)
    held = min(max(value, low), high)
    assert 0 <= scale(held, low, high, 40) <= 39
    assert scale(high, low, high, 40) <= scale(held, low, high, 40) <= scale(low, low, high, 40)


def test_dots_outside_the_canvas_are_ignored() -> None:
    canvas = Canvas(2, 1)
    canvas.dot(-1, 0)
    canvas.dot(4, 0)
    canvas.column(0, -5, 50)
    assert canvas.row(0) == "⡇ "


# --- study ---


@pytest.mark.parametrize("theme", ["textual-light", "ansi-dark"])
async def test_the_study_can_be_drawn_in_every_kind_of_theme(theme: str) -> None:
    study = CandleStudy()
    async with Host(study, theme=theme).run_test(size=(120, 40)) as pilot:
        study.show(seeds.chart())
        await pilot.pause()
        assert "BTCUSDT" in str(study.query_one("#study-price").render())


async def test_the_study_is_drawn_again_at_most_once_a_second() -> None:
    study = CandleStudy()
    async with Host(study).run_test(size=(120, 40)) as pilot:
        view = seeds.chart()
        study.show(view)
        await pilot.pause()
        text = str(study.query_one("#study-price").render())
        assert "BTCUSDT 60 s" in text
        entry = next(line.price for line in view.lines if line.kind == "entry")
        assert f"entry {entry:.1f}" in text
        soon = replace(view, symbol="SOON", time_ns=view.time_ns + seeds.SECOND - 1)
        study.show(soon)
        await pilot.pause()
        assert "SOON" not in str(study.query_one("#study-price").render())
        study.show(replace(soon, time_ns=view.time_ns + seeds.SECOND))
        await pilot.pause()
        assert "SOON" in str(study.query_one("#study-price").render())


def test_the_panes_do_not_load_plotext() -> None:
    code = (
        "import sys, widgets.study, widgets.book, widgets.chart, widgets.ticket, widgets.positions, widgets.orders,"
        "widgets.trades, widgets.log, widgets.balance, widgets.latency, widgets.header;"
        "sys.exit(any(name.startswith(('plotext', 'textual_plotext')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
