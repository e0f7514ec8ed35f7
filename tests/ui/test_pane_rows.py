"""Positions, orders, closed trades and the log: what their rows say, what a change costs, what the keys ask for.

Longer than most files: four panes that are one kind of table.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engine.views import LogLine, LogView, OrderRow, OrdersView, PositionsView
from tests.ui import seeds
from tests.ui.desk_host import SIZES, desk
from tests.ui.fake_link import FakeLink, full_views
from tests.ui.hosts import Host, colour, count_lines, drawn
from widgets.log import LINES, LogPane
from widgets.orders import OrdersPane
from widgets.pane import Tone
from widgets.positions import PositionsPane
from widgets.trades import TradesPane

WIDE = (170, 14)


# --- positions ---


async def test_no_position_says_which_keys_open_one() -> None:
    pane = PositionsPane()
    async with Host(pane).run_test(size=WIDE):
        pane.show(seeds.positions(0))
        assert drawn(pane)[0] == " no open positions: b buys, s sells"


async def test_a_position_shows_all_its_figures() -> None:
    pane = PositionsPane()
    async with Host(pane).run_test(size=WIDE):
        pane.show(seeds.positions(1), seeds.NOW)
        header, row = drawn(pane)[:2]
    assert header.split() == [
        *("symbol", "size", "entry", "mark", "uPnL", "%", "lev", "left", "liq"),
        *("TP", "SL", "notional", "margin", "realised", "age"),
    ]
    assert row.split() == [
        *("▸BTCUSDT", "L", "0.010", "60940.0", "61000.2", "+0.60", "+0.99%", "10x", "96.2%", "55120.4"),
        *("61500.0", "none", "610.00", "60.94", "0.00", "12m"),
    ]


async def test_no_liquidation_price_is_none_and_an_unknown_one_a_dash() -> None:
    pane = PositionsPane()
    async with Host(pane).run_test(size=WIDE):
        pane.show(
            PositionsView(
                seeds.NOW, (seeds.position(liquidation=None), seeds.position(2, liquidation=None, margin_left=None))
            )
        )
        rows = drawn(pane)[1:3]
    assert [row.split()[9] for row in rows] == ["none", "–"]


async def test_a_loss_carries_its_minus_and_a_short_its_letter() -> None:
    pane = PositionsPane()
    async with Host(pane).run_test(size=WIDE):
        pane.show(seeds.positions(2), seeds.NOW)
        row = drawn(pane)[2]
    assert row.split()[:7] == ["BTCUSDT", "S", "0.010", "60940.0", "61000.2", "-12.35", "-20.26%"]


async def test_unknown_figures_of_a_position_are_dashes() -> None:
    unknown = seeds.position(
        mark=None, upnl=None, upnl_sign=0, upnl_pct=None, liquidation=None, margin_left=None, notional=None
    )
    pane = PositionsPane()
    async with Host(pane).run_test(size=WIDE):
        pane.show(PositionsView(seeds.NOW, (unknown,)))
        row = drawn(pane)[1]
    assert row.split()[4:11] == ["–", "–", "–", "10x", "–", "–", "61500.0"]
    assert row.split()[-1] == "–"


async def test_a_stale_position_is_faded_and_its_mark_marked() -> None:
    pane = PositionsPane()
    async with Host(pane).run_test(size=WIDE):
        pane.show(PositionsView(seeds.NOW, (seeds.position(stale=True),)))
        assert "~61000.2" in drawn(pane)[1]
        stale = colour(pane, Tone.STALE)
        assert {segment.style.color for segment in pane.render_line(1) if segment.text.strip()} == {stale}


async def test_a_tick_draws_only_the_rows_it_moved() -> None:
    pane, view = PositionsPane(), seeds.positions(6)
    async with Host(pane).run_test(size=WIDE) as pilot:
        pane.show(view, seeds.NOW)
        await pilot.pause()
        rows = count_lines(pane)
        pane.show(view, seeds.NOW)
        pane.show(replace(view, time_ns=seeds.NOW + 1), seeds.NOW)
        await pilot.pause()
        assert rows == []
        moved = replace(view.rows[3], upnl="-12.40")
        pane.show(replace(view, rows=(*view.rows[:3], moved, *view.rows[4:])), seeds.NOW)
        await pilot.pause()
        assert rows == [4]


async def test_the_cursor_stays_with_its_position() -> None:
    pane, view = PositionsPane(), seeds.positions(4)
    async with Host(pane).run_test(size=WIDE) as pilot:
        pane.show(view)
        await pilot.press("j", "j")
        pane.show(replace(view, rows=view.rows[1:]))
        assert pane.selected is not None
        assert pane.selected.id == "P3"
        pane.show(replace(view, rows=(view.rows[0],)))
        assert pane.selected.id == "P1"
        pane.show(replace(view, rows=()))
        assert pane.selected is None


async def test_keys_ask_for_close_protection_break_even_and_market() -> None:
    pane = PositionsPane()
    app = Host(pane)
    async with app.run_test(size=WIDE, message_hook=app.hook) as pilot:
        pane.show(seeds.positions(2))
        await pilot.press("down", "x", "e", "m", "enter")
        await pilot.pause()
    assert app.posted == [
        PositionsPane.CloseRequested("P2"),
        PositionsPane.ProtectRequested("P2"),
        PositionsPane.BreakEvenRequested("P2"),
        PositionsPane.PositionSelected("P2", seeds.BTC),
    ]


async def test_keys_on_no_position_ask_for_nothing() -> None:
    pane = PositionsPane()
    app = Host(pane)
    async with app.run_test(size=WIDE, message_hook=app.hook) as pilot:
        pane.show(seeds.positions(0))
        await pilot.press("j", "k", "x", "e", "m", "enter", "G", "pagedown")
        await pilot.pause()
    assert app.posted == []


async def test_a_long_list_scrolls_with_the_cursor() -> None:
    pane = PositionsPane()
    async with Host(pane).run_test(size=(100, 8)) as pilot:
        pane.show(seeds.positions(40))
        await pilot.press("G")
        assert pane.selected is not None
        assert pane.selected.id == "P40"
        assert "▸" in drawn(pane)[-1]
        await pilot.press("pageup", "g")
        assert "▸" in drawn(pane)[1]


@pytest.mark.parametrize("width", [30, 40, 60, 78, 100, 120, 160])
async def test_narrow_panes_drop_whole_columns_least_important_first(width: int) -> None:
    pane = PositionsPane()
    async with Host(pane).run_test(size=(width, 10)):
        pane.show(seeds.positions(3), seeds.NOW)
        rows = drawn(pane)
    assert all(len(row) <= width - 2 for row in rows)
    assert all("BTCUSDT" in row and "…" not in row for row in rows[1:4])
    assert "+0.60" in rows[1]
    assert ("age" in rows[0]) == (width >= 100)


async def test_columns_do_not_jump_when_a_figure_gets_shorter() -> None:
    pane = PositionsPane()
    async with Host(pane).run_test(size=WIDE):
        pane.show(PositionsView(seeds.NOW, (seeds.position(upnl="-123456.78", upnl_sign=-1),)))
        wide = drawn(pane)[0]
        assert "-123456.78" in drawn(pane)[1]
        pane.show(PositionsView(seeds.NOW, (seeds.position(),)))
        assert drawn(pane)[0] == wide


# --- orders ---


async def test_no_order_says_so() -> None:
    pane = OrdersPane()
    async with Host(pane).run_test(size=WIDE):
        pane.show(seeds.orders(0))
        assert drawn(pane)[0] == " no working orders"


async def test_states_are_in_words_and_an_unknown_one_is_inverted() -> None:
    pane = OrdersPane()
    async with Host(pane).run_test(size=WIDE):
        pane.show(seeds.orders(5), seeds.NOW)
        rows = drawn(pane)
        words = [next(w for w in ("working", "held", "part", "UNKNOWN ?", "sending") if w in row) for row in rows[1:6]]
        assert words == ["working", "held", "part", "UNKNOWN ?", "sending"]
        unknown = next(segment for segment in pane.render_line(4) if "UNKNOWN" in segment.text)
        assert unknown.text == "UNKNOWN ?"
        assert unknown.style is not None
        assert unknown.style.reverse


async def test_a_held_reduce_only_stop_names_its_trigger_and_place() -> None:
    pane = OrdersPane()
    async with Host(pane).run_test(size=WIDE):
        pane.show(seeds.orders(2), seeds.NOW)
        row = drawn(pane)[2]
    assert row.split() == [
        *("BTCUSDT", "SELL", "stop", "0.010", "0.000", "–", "60100.0", "-0.82%", "held"),
        *("GTC", "RO", "local", "1m", "hand"),
    ]


async def test_more_orders_than_shown_are_counted() -> None:
    pane = OrdersPane()
    async with Host(pane).run_test(size=WIDE):
        pane.show(replace(seeds.orders(3), total=1_200))
        assert pane.border_subtitle == "nearest 3 of 1200"


async def test_keys_ask_for_cancel_and_edit() -> None:
    pane = OrdersPane()
    app = Host(pane)
    async with app.run_test(size=WIDE, message_hook=app.hook) as pilot:
        pane.show(seeds.orders(3))
        await pilot.press("j", "c", "e")
        await pilot.pause()
    assert app.posted == [OrdersPane.CancelRequested("O2"), OrdersPane.EditRequested("O2")]


# --- closed trades ---


async def test_a_closed_trade_says_what_it_earned_and_why_it_ended() -> None:
    pane = TradesPane()
    async with Host(pane).run_test(size=WIDE):
        pane.show(seeds.trades(2), seeds.NOW)
        rows = drawn(pane)
    assert rows[1].split() == [
        *("▸08:53:20", "0s", "BTCUSDT", "S", "0.010", "60940.0", "61010.0", "+0.21", "+0.34%"),
        *("take", "profit", "0.49", "0.00", "6m"),
    ]
    assert "-1.89" in rows[2]
    assert "stop loss" in rows[2]


async def test_no_trade_says_so() -> None:
    pane = TradesPane()
    async with Host(pane).run_test(size=WIDE):
        pane.show(seeds.trades(0))
        assert drawn(pane)[0] == " no closed trades yet"


# --- log ---


async def test_the_log_follows_the_newest_line() -> None:
    pane = LogPane()
    async with Host(pane).run_test(size=(90, 10)):
        pane.show(seeds.log(30))
        assert drawn(pane)[-1].endswith(" 30")
        pane.show(seeds.log(12, first=21))
        assert drawn(pane)[-1].endswith(" 32")
        assert [row.split()[-1] for row in drawn(pane)] == [str(seq) for seq in range(25, 33)]


async def test_scrolling_back_stays_until_the_end_is_reached() -> None:
    pane = LogPane()
    async with Host(pane).run_test(size=(90, 10)) as pilot:
        pane.show(seeds.log(30))
        await pilot.press("pageup", "pageup")
        before = drawn(pane)
        pane.show(seeds.log(31))
        assert drawn(pane) == before
        assert not pane.following
        await pilot.press("f")
        assert drawn(pane)[-1].endswith(" 31")


async def test_lines_outside_the_ledger_are_kept_once() -> None:
    pane = LogPane()
    line = LogLine(0, seeds.NOW, "warn", "LINK", "the engine was lost")
    async with Host(pane).run_test(size=(90, 10)):
        pane.show(LogView(seeds.NOW, (line,)))
        pane.show(LogView(seeds.NOW + 1, (line,)))
        assert len(pane.rows()) == 1


async def test_after_a_reconnect_only_what_is_new_is_added() -> None:
    pane = LogPane()
    lost = LogLine(0, seeds.NOW + 99 * seeds.SECOND, "warn", "LINK", "the engine was lost")
    async with Host(pane).run_test(size=(90, 10)):
        pane.show(LogView(seeds.NOW, (*seeds.log(5).lines, lost)))
        pane.show(seeds.log(7))
        assert [row.seq for row in pane.rows()] == [1, 2, 3, 4, 5, 0, 6, 7]


async def test_the_log_keeps_a_ring() -> None:
    pane = LogPane()
    async with Host(pane).run_test(size=(90, 10)):
        for first in range(1, LINES + 1_001, 200):
            pane.show(seeds.log(200, first=first))
        assert len(pane.rows()) == LINES
        assert pane.rows()[0].seq == 1_001


async def test_levels_have_signs_and_escape_sequences_are_harmless() -> None:
    pane = LogPane()
    line = LogLine(1, seeds.NOW, "error", "REJECTED", "symbol \x1b[31mRED\x1b[0m\n")
    async with Host(pane).run_test(size=(90, 10)):
        pane.show(LogView(seeds.NOW, (line,)))
        row = drawn(pane)[0]
    assert "✗ REJECTED" in row
    assert row.isprintable()


@pytest.mark.parametrize("width", [30, 60, 100, 160])
async def test_log_lines_never_wrap(width: int) -> None:
    pane = LogPane()
    async with Host(pane).run_test(size=(width, 10)):
        pane.show(seeds.log(8))
        rows = drawn(pane)
    assert all(row.split()[0] != "…" and len(row) <= width - 2 for row in rows)
    assert "bought" in rows[0]


# --- what is not known ---

TRAIL = "asked 4x, silent since 12:03:10 UTC, worst case +0.500, last: HTTP 502"


async def test_the_evidence_of_an_unknown_order_stands_under_the_orders_also_at_80_columns() -> None:
    unknown = seeds.order(2, status="UNKNOWN", evidence=TRAIL)
    pane = OrdersPane()
    async with Host(pane).run_test(size=(80, 10)):
        pane.show(OrdersView(seeds.NOW, (seeds.order(1), unknown), 2))
        rows = drawn(pane)
    assert " ".join(row.strip() for row in rows[3:5]) == f"O2 UNKNOWN: {TRAIL}"
    assert "UNKNOWN ?" in rows[2]


async def test_of_several_unknown_orders_the_selected_one_is_told() -> None:
    rows = tuple(seeds.order(n, status="UNKNOWN", evidence=f"asked {n}x") for n in (1, 2, 3))
    pane = OrdersPane()
    async with Host(pane).run_test(size=WIDE) as pilot:
        pane.show(OrdersView(seeds.NOW, rows, 3))
        await pilot.press("down")
        assert drawn(pane)[4] == " O2 UNKNOWN: asked 2x (+2 more)"


async def test_without_an_unknown_order_the_rows_have_all_the_room() -> None:
    pane = OrdersPane()
    async with Host(pane).run_test(size=(80, 6)):
        pane.show(OrdersView(seeds.NOW, tuple(seeds.order(n) for n in range(1, 9)), 8))
        assert "BTCUSDT" in drawn(pane)[-1]


async def test_a_position_the_venue_states_otherwise_says_so() -> None:
    pane = PositionsPane()
    async with Host(pane).run_test(size=(80, 8)):
        pane.show(PositionsView(seeds.NOW, (seeds.position(differs="venue says +0.007, ledger +0.010"),)))
        rows = drawn(pane)
    assert "≠0.010" in rows[1]
    assert rows[2] == " BTCUSDT DIFFERS: venue says +0.007, ledger +0.010"


def listed(*orders: OrderRow) -> OrdersView:
    return OrdersView(seeds.NOW, orders, len(orders))


STOP = seeds.order(1, type="STOP", price=None, trigger="60100.0", status="HELD", where="local", reduce_only=True)
TARGET = seeds.order(2, type="TAKE PROFIT", price=None, trigger="61500.0", status="HELD", reduce_only=True)
TRAILING = seeds.order(3, type="TRAIL 120.5 bps", price=None, trigger="60250.5", status="HELD", reduce_only=True)


async def test_the_small_desk_tells_a_stop_from_a_target_and_says_where_it_fires() -> None:
    link = FakeLink({**full_views(), "orders": listed(STOP, TARGET, TRAILING, seeds.order(4))})
    async with desk(link, size=SIZES["80x24"]) as at:
        await at.press("5")
        rows = [row for row in at.text().splitlines() if "BTCUSDT" in row and ("held" in row or "working" in row)]
        for row, words in zip(rows, ("stop 60100.0", "tp 61500.0", "trail 60250.5", "limit 60500.0"), strict=True):
            assert all(word in row for word in words.split()), row
            assert "0.010" in row


async def test_a_trailing_stop_does_not_push_the_reduce_only_mark_away() -> None:
    link = FakeLink({**full_views(), "orders": listed(STOP, TRAILING)})
    async with desk(link, size=SIZES["120x40"]) as at:
        await at.press("5")
        rows = [row for row in at.text().splitlines() if "held" in row]
        assert len(rows) == 2
        assert all("RO" in row for row in rows)


async def test_a_wide_pane_says_the_distance_of_a_trailing_stop() -> None:
    pane = OrdersPane()
    async with Host(pane).run_test(size=WIDE):
        pane.show(listed(TRAILING), seeds.NOW)
        assert "120.5 bps" in drawn(pane)[1]


async def test_maximized_positions_of_the_small_desk_show_target_and_stop() -> None:
    view = PositionsView(seeds.NOW, (seeds.position(stop_loss="60100.5", take_profit="61500.0"),))
    async with desk(FakeLink({**full_views(), "positions": view}), size=SIZES["80x24"]) as at:
        await at.press("4", "z")
        assert "61500.0" in at.text()
        assert "60100.5" in at.text()
