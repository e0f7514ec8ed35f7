"""The ladder: what it shows, what it costs, which price it hands over."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from tests.ui import seeds
from tests.ui.hosts import Host, RecordingDriver, colour, count_lines, drawn
from widgets.book import BookPane
from widgets.pane import Tone


async def test_asks_stand_above_bids_around_the_spread() -> None:
    pane = BookPane()
    async with Host(pane).run_test(size=(70, 23)):
        pane.show(seeds.book())
        rows = drawn(pane)
    assert rows[0].split() == ["own", "price", "size", "total"]
    middle = next(y for y, row in enumerate(rows) if "spread" in row)
    assert "61000.5 ▲" in rows[middle]
    assert "spread 1.0  mark 61000.2  0.16bp" in rows[middle]
    assert "61000.5" in rows[middle - 1]
    assert "60999.5" in rows[middle + 1]
    assert middle == 11


async def test_cumulative_and_own_size_and_a_bar_are_on_a_level() -> None:
    pane = BookPane()
    async with Host(pane).run_test(size=(70, 23)):
        pane.show(seeds.book())
        row = next(row for row in drawn(pane) if "61000.9" in row)
    assert row.split()[:5] == ["◆", "0.010", "61000.9", "0.882", "13.473"]
    assert "█" in row


async def test_unknown_figures_are_dashes() -> None:
    pane = BookPane()
    async with Host(pane).run_test(size=(90, 23)):
        pane.show(replace(seeds.book(), last=None, last_side=0, mark=None, index=None, funding=None, spread=None))
        row = next(row for row in drawn(pane) if "spread" in row)
    assert "spread –" in row
    assert "mark –" in row
    assert "0.0" not in row


async def test_without_a_book_it_says_what_it_waits_for() -> None:
    pane = BookPane()
    async with Host(pane).run_test(size=(40, 12)):
        pane.show(None)
        pane.redraw()
        assert "waiting for the feed" in drawn(pane)[0]


async def test_a_side_without_levels_keeps_the_spread_in_the_middle() -> None:
    pane = BookPane()
    async with Host(pane).run_test(size=(60, 23)):
        pane.show(replace(seeds.book(), asks=()))
        rows = drawn(pane)
    assert "spread" in rows[11]
    assert rows[10] == ""


async def test_old_prices_are_faded_and_say_how_old() -> None:
    pane = BookPane()
    async with Host(pane).run_test(size=(60, 23)):
        pane.show(seeds.book(stale=True, age_ns=7 * seeds.SECOND))
        assert any("STALE 7 s" in row for row in drawn(pane))
        faded = colour(pane, Tone.STALE)
        level = list(pane.render_line(1))
        assert {segment.style.color for segment in level if segment.text.strip()} == {faded}


async def test_the_same_book_grows_old_while_nothing_comes() -> None:
    pane, book = BookPane(), seeds.book()
    async with Host(pane).run_test(size=(90, 23)):
        pane.show(book, seeds.NOW)
        assert not any("old" in row for row in drawn(pane))
        pane.show(book, seeds.NOW + 3 * seeds.SECOND)
        assert any("3 s old" in row for row in drawn(pane))
        pane.show(book, seeds.NOW + 9 * seeds.SECOND)
        assert any("STALE 9 s" in row for row in drawn(pane))


async def test_enter_hands_over_the_price_under_the_cursor() -> None:
    pane = BookPane()
    app = Host(pane)
    async with app.run_test(size=(60, 23), message_hook=app.hook) as pilot:
        pane.show(seeds.book())
        await pilot.press("enter")
        assert app.posted == []
        await pilot.press("j", "j", "enter", "k", "up", "enter")
        await pilot.pause()
    assert app.posted == [BookPane.PriceChosen("60999.4"), BookPane.PriceChosen("61000.5")]


async def test_the_cursor_stays_on_its_price_also_when_nothing_rests_there() -> None:
    pane = BookPane()
    app = Host(pane)
    async with app.run_test(size=(60, 23), message_hook=app.hook) as pilot:
        pane.show(seeds.book())
        await pilot.press("j", "j")
        moved = replace(seeds.book(), bids=seeds.book().bids[1:])
        pane.show(moved)
        assert next(row for row in drawn(pane) if "▸" in row).split()[1] == "60999.4"
        for view in (replace(moved, bids=moved.bids[1:]), replace(moved, bids=(moved.bids[1], *moved.bids[2:]))):
            pane.show(view)
            rows = drawn(pane)
            at = next(y for y, row in enumerate(rows) if "▸" in row)
            assert rows[at].split() == ["▸", "60999.4", "–"]
            assert rows[at + 1].split()[0] == view.bids[0].price
            assert "mark" in rows[at - 1]
        await pilot.press("enter")
        await pilot.pause()
    assert app.posted == [BookPane.PriceChosen("60999.4")]


async def test_a_kept_price_stands_where_it_belongs_as_the_market_moves_through_it() -> None:
    pane = BookPane()
    async with Host(pane).run_test(size=(60, 23)) as pilot:
        pane.show(seeds.book())
        await pilot.press("j", "j")
        book = seeds.book()
        for bids, asks in ((book.bids[4:], book.asks), (book.bids[:1], book.asks), (book.bids[6:], book.bids[5:3:-1])):
            pane.show(replace(book, bids=bids, asks=asks))
            rows = [row for row in drawn(pane)[1:] if row.strip() and "mark" not in row]
            prices = [float(re.search(r"6\d{4}\.\d", row)[0]) for row in rows]  # type: ignore[index]
            assert 60999.4 in prices
            assert prices == sorted(prices, reverse=True)


async def test_space_returns_to_the_spread_from_deep_levels() -> None:
    pane = BookPane()
    async with Host(pane).run_test(size=(60, 9)) as pilot:
        pane.show(seeds.book())
        await pilot.press(*["j"] * 8)
        assert not any("spread" in row for row in drawn(pane))
        await pilot.press("space")
        assert any("spread" in row for row in drawn(pane))


async def test_a_click_on_a_level_hands_over_its_price() -> None:
    pane = BookPane()
    app = Host(pane)
    async with app.run_test(size=(60, 23), message_hook=app.hook) as pilot:
        pane.show(seeds.book())
        await pilot.pause()
        y = next(y for y, row in enumerate(drawn(pane)) if "60999.3" in row)
        await pilot.click(pane, offset=(20, y + 1))
        await pilot.pause()
    assert app.posted == [BookPane.PriceChosen("60999.3")]


async def test_only_changed_rows_are_drawn_again() -> None:
    pane, book = BookPane(), seeds.book()
    async with Host(pane).run_test(size=(60, 23)) as pilot:
        pane.show(book)
        await pilot.pause()
        rows = count_lines(pane)
        pane.show(book)
        pane.show(replace(book, time_ns=book.time_ns + 1))
        await pilot.pause()
        assert rows == []
        pane.show(replace(book, bids=(replace(book.bids[0], size="9.999"), *book.bids[1:])))
        await pilot.pause()
        assert len(rows) == 1


@pytest.mark.parametrize(("width", "height"), [(30, 5), (30, 24), (44, 10), (60, 24), (100, 40), (160, 45)])
async def test_price_and_size_survive_every_size(width: int, height: int) -> None:
    pane = BookPane()
    async with Host(pane).run_test(size=(width, height)):
        pane.show(seeds.book())
        rows = drawn(pane)
    assert len(rows) == height - 2
    assert all(len(row) <= width - 2 for row in rows)
    assert any("60999.5    0.555" in row for row in rows)


@pytest.mark.parametrize(
    ("theme", "share", "budget"),
    [
        ("textual-dark", 1.0, 4_700),
        ("textual-dark", 0.3, 1_500),
        ("ansi-dark", 1.0, 2_700),
        ("ansi-dark", 0.3, 850),
    ],
)
async def test_a_frame_of_twenty_levels_stays_within_its_bytes(
    theme: str, share: float, budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    pane = BookPane()
    app = Host(pane, theme=theme, driver_class=RecordingDriver)
    frames = 10
    async with app.run_test(size=(60, 24), headless=False) as pilot:
        pane.show(seeds.book(levels=10))
        await pilot.pause()
        driver = app._driver
        assert isinstance(driver, RecordingDriver)
        driver.taken()
        for seed in range(2, 2 + frames):
            pane.show(seeds.book(levels=10, seed=seed, share=share))
            await pilot.pause()
        spent = driver.taken() / frames
    assert 0 < spent <= budget, f"{spent:.0f} bytes a frame"
