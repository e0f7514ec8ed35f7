"""Pictures of the desk. A mismatch is read, not regenerated."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual.pilot import Pilot

from engine.clock import ManualClock
from engine.views import OrdersView, PositionsView
from hoox_tui.app import DeskApp
from tests.ui import seeds
from tests.ui.desk_host import SIZES, START_NS
from tests.ui.fake_link import FakeLink, empty_views, full_views

Compare = Callable[..., bool]


def shot(
    compare: Compare, link: FakeLink, *keys: str, size: str = "120x40", theme: str = "hoox-dark", lost: bool = False
) -> bool:
    """The desk after its first frames and some keys."""
    clock = ManualClock(START_NS)
    link.last_frame_ns = START_NS
    app = DeskApp(link, mono=clock.now_ns, theme=theme)

    async def drive(pilot: Pilot[object]) -> None:
        for _ in range(25):
            app.tick()
        if lost:
            link.lose()
            clock.advance(7_000_000_000)
        for key in keys:
            await pilot.press(key)
            for _ in range(10):
                app.tick()
        await pilot.pause()
        for _ in range(25):
            app.tick()
        await pilot.pause()

    return compare(app, run_before=drive, terminal_size=SIZES[size])


@pytest.mark.parametrize("size", SIZES)
def test_sim(snap_compare: Compare, size: str) -> None:
    assert shot(snap_compare, FakeLink(full_views()), size=size)


def test_paper(snap_compare: Compare) -> None:
    assert shot(snap_compare, FakeLink(full_views(env="paper", prices="", feed="binance")))


def test_live_armed(snap_compare: Compare) -> None:
    assert shot(snap_compare, FakeLink(full_views(env="live", prices="", feed="backpack", armed=True)))


def test_stale_prices(snap_compare: Compare) -> None:
    views = full_views()
    views[f"book:{seeds.BTC}"] = seeds.book(stale=True, age_ns=7_000_000_000)
    views[f"chart:{seeds.BTC}:5"] = seeds.chart(stale=True)
    assert shot(snap_compare, FakeLink(views))


def test_engine_lost(snap_compare: Compare) -> None:
    assert shot(snap_compare, FakeLink(full_views()), lost=True)


def test_empty_small(snap_compare: Compare) -> None:
    assert shot(snap_compare, FakeLink(empty_views()), size="80x24")


def test_unknown_order_in_front_small(snap_compare: Compare) -> None:
    assert shot(snap_compare, FakeLink(full_views()), "5", size="80x24")


@pytest.mark.parametrize("size", ["80x24", "120x40"])
def test_unknown_outcome_and_a_position_that_differs(snap_compare: Compare, size: str) -> None:
    trail = "asked 4x, silent since 12:03:10 UTC, worst case -0.010"
    difference = "venue says +0.007, ledger +0.010, since 12:03:10 UTC"
    views = full_views(env="live", prices="", unknown=(f"O2 BTCUSDT {trail}",), differs=(f"BTCUSDT {difference}",))
    unknown = seeds.order(2, status="UNKNOWN", evidence=f"{trail}, last: HTTP 502")
    views["orders"] = OrdersView(seeds.NOW, (seeds.order(1), unknown), 2)
    views["positions"] = PositionsView(seeds.NOW, (seeds.position(1, differs=difference), seeds.position(2)))
    assert shot(snap_compare, FakeLink(views), "5", size=size)


def test_colour_blind_theme(snap_compare: Compare) -> None:
    assert shot(snap_compare, FakeLink(full_views()), theme="hoox-cb")


def test_light_theme(snap_compare: Compare) -> None:
    assert shot(snap_compare, FakeLink(full_views()), theme="hoox-light", size="160x45")


def test_close_preview_live(snap_compare: Compare) -> None:
    link = FakeLink(full_views(env="live", prices=""))
    link.warnings = ("takes 3 levels of the book",)
    assert shot(snap_compare, link, "x", "2", size="80x24")


def test_ticket_refused_while_disarmed(snap_compare: Compare) -> None:
    assert shot(snap_compare, FakeLink(full_views()), "b", "2", "enter", size="80x24")


def test_help_small(snap_compare: Compare) -> None:
    assert shot(snap_compare, FakeLink(full_views()), "?", size="80x24")
