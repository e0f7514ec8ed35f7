"""Pictures of the signals screen and the latency pane. A mismatch is read, not regenerated."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.ui import signals_seed as seed
from tests.ui.fake_link import FakeLink
from tests.ui.test_desk_pictures import shot
from tests.ui.test_latency_pane import measured
from tests.ui.test_signals import inbox

Compare = Callable[..., bool]


@pytest.mark.parametrize("size", ["80x24", "120x40"])
def test_inbox(snap_compare: Compare, size: str) -> None:
    assert shot(snap_compare, inbox(), "f4", size=size)


def test_inbox_live_for_the_colour_blind(snap_compare: Compare) -> None:
    assert shot(snap_compare, inbox(env="live", prices="", armed=True), "f4", theme="hoox-cb")


def test_nothing_came_small(snap_compare: Compare) -> None:
    link = inbox(approvals=0)
    link.views["signals"] = seed.signals(())
    assert shot(snap_compare, link, "f4", size="80x24")


@pytest.mark.parametrize("size", ["80x24", "120x40"])
def test_one_signal(snap_compare: Compare, size: str) -> None:
    assert shot(snap_compare, inbox(), "f4", "down", "down", "down", "enter", size=size)


def test_approval_small(snap_compare: Compare) -> None:
    assert shot(snap_compare, inbox(), "f4", "A", size="80x24")


def test_latency_over_the_screen_small(snap_compare: Compare) -> None:
    link: FakeLink = inbox(approvals=0)
    link.views["latency"] = measured()
    assert shot(snap_compare, link, "8", "z", "down", size="80x24")
