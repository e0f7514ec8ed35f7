"""Pictures of the panes with seeded views. A mismatch is read, not regenerated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from textual.pilot import Pilot

from engine.model.market import Side
from engine.views import Mode, PositionsView, Preview
from tests.ui import seeds
from tests.ui.hosts import Host
from widgets.balance import BalancePane
from widgets.book import BookPane
from widgets.chart import ChartPane
from widgets.header import HeaderBar
from widgets.latency import LatencyPane
from widgets.orders import OrdersPane
from widgets.positions import PositionsPane
from widgets.ticket import TicketPane

Snap = Callable[..., bool]
Step = Callable[[Pilot[Any]], Awaitable[None]]


def showing(draw: Callable[[], object], *keys: str) -> Step:
    """Draw, then press keys."""

    async def step(pilot: Pilot[Any]) -> None:
        await pilot.pause()
        draw()
        await pilot.press(*keys)
        await pilot.pause()

    return step


def test_book_with_cursor_and_own_orders(snap_compare: Snap) -> None:
    pane = BookPane()
    step = showing(lambda: pane.show(seeds.book(), seeds.NOW), "j", "j", "j")
    assert snap_compare(Host(pane), terminal_size=(60, 25), run_before=step)


def test_book_gone_stale_and_narrow(snap_compare: Snap) -> None:
    pane = BookPane()
    step = showing(lambda: pane.show(seeds.book(stale=True, age_ns=7 * seeds.SECOND), seeds.NOW))
    assert snap_compare(Host(pane), terminal_size=(34, 19), run_before=step)


def test_chart_with_lines(snap_compare: Snap) -> None:
    pane = ChartPane()
    step = showing(lambda: (pane.expect("BTCUSDT", 60), pane.show(seeds.chart())))
    assert snap_compare(Host(pane), terminal_size=(100, 26), run_before=step)


def test_positions_many_one_stale(snap_compare: Snap) -> None:
    pane = PositionsPane()
    rows = (
        seeds.position(1),
        seeds.position(2),
        seeds.position(3, stale=True),
        seeds.position(4, upnl=None, upnl_sign=0),
    )
    step = showing(lambda: pane.show(PositionsView(seeds.NOW, rows), seeds.NOW), "j")
    assert snap_compare(Host(pane), terminal_size=(120, 8), run_before=step)


def test_orders_with_an_unknown_one(snap_compare: Snap) -> None:
    pane = OrdersPane()
    step = showing(lambda: pane.show(seeds.orders(5), seeds.NOW))
    assert snap_compare(Host(pane), terminal_size=(120, 9), run_before=step)


def test_ticket_with_an_error_and_its_last_preview(snap_compare: Snap) -> None:
    pane = TicketPane()
    preview = Preview(
        title="buy 0.010 BTCUSDT limit 61000.5",
        rows=(("notional", "610.00 USDT"), ("fee", "0.31 USDT"), ("liquidation", "55120.4"), ("environment", "SIM")),
        warnings=("no stop loss: all of the margin is at risk",),
        entry=True,
    )

    def draw() -> None:
        pane.open(Side.BUY, seeds.INSTRUMENT, "61000.5")
        pane.show_preview(preview)

    step = showing(draw, "0", ".", "0", "0", "0", "1", "enter")
    assert snap_compare(Host(pane), terminal_size=(80, 20), run_before=step)


def test_header_of_a_live_desk_in_trouble(snap_compare: Snap) -> None:
    bar = HeaderBar()
    status = seeds.status(
        env="live",
        prices="BINANCE PRICES",
        kill=True,
        mode=Mode.EXITS_ONLY,
        mode_reason="the disk is full",
        day_pnl="-250.10",
        day_pnl_sign=-1,
    )
    step = showing(
        lambda: bar.show(
            status, symbol="BTCUSDT", pane="book", heartbeat_age_ms=40, link_state="connected", has_hand=False
        )
    )
    assert snap_compare(Host(bar), terminal_size=(80, 4), run_before=step)


def test_balance_with_its_equity_line(snap_compare: Snap) -> None:
    pane = BalancePane()
    assert snap_compare(Host(pane), terminal_size=(60, 12), run_before=showing(lambda: pane.show(seeds.balance(2))))


def test_latency_waterfall(snap_compare: Snap) -> None:
    pane = LatencyPane()
    assert snap_compare(Host(pane), terminal_size=(80, 12), run_before=showing(lambda: pane.show(seeds.latency())))
