"""A person answers for an order of unknown outcome: from u to the preview, and nowhere without a size and a reason."""

from __future__ import annotations

from decimal import Decimal

from engine.model.command import AttestOrder
from engine.views import OrdersView
from hoox_tui.screens.attest import AttestScreen
from hoox_tui.screens.preview import PreviewScreen
from tests.ui import seeds
from tests.ui.desk_host import SIZES, desk
from tests.ui.fake_link import FakeLink, full_views

TRAIL = "asked 4x, silent since 12:03:10 UTC, worst case +0.010, last: HTTP 502"


def views() -> FakeLink:
    """A desk with one working order and one of unknown outcome."""
    found = full_views(unknown=(f"O7 BTCUSDT {TRAIL}",))
    unknown = seeds.order(7, status="UNKNOWN", evidence=TRAIL)
    return FakeLink({**found, "orders": OrdersView(seeds.NOW, (seeds.order(1), unknown), 2)})


async def test_u_asks_about_the_unknown_order_and_shows_its_evidence() -> None:
    async with desk(views(), size=SIZES["80x24"]) as at:
        await at.press("u")
        assert isinstance(at.app.screen, AttestScreen)
        said = at.said()
        assert "What became of O7: BUY 0.010 BTCUSDT" in said
        assert TRAIL in said


async def test_a_size_a_price_and_a_reason_lead_to_a_preview_and_only_enter_sends() -> None:
    async with desk(views()) as at:
        await at.press("u", *"0.004", "tab", *"60500", "tab", *"seen", "enter")
        command = at.preview.chosen.command
        assert isinstance(command, AttestOrder)
        assert (command.order, command.filled, command.price, command.reason) == (
            "O7",
            Decimal("0.004"),
            Decimal(60500),
            "seen",
        )
        assert at.link.sent == []
        await at.press("enter")
        assert at.link.sent == [command]


async def test_it_needs_neither_hand_nor_arm() -> None:
    link = views()
    link.change_status(hand="screen-2")
    async with desk(link) as at:
        await at.press("u", "0", "tab", "tab", *"seen", "enter", "enter")
        (command,) = at.link.sent
        assert isinstance(command, AttestOrder)
        assert (command.filled, command.price) == (0, None)


async def test_what_is_missing_is_named_with_the_remedy_and_nothing_is_assumed() -> None:
    async with desk(views()) as at:
        await at.press("u")
        for keys, says in (
            (("enter",), "Filled size: type how much more was filled; 0 when it never arrived"),
            ((*"0.004", "enter"), "Price: empty; type the average price of the 0.004"),
            (("tab", *"abc", "enter"), "Price: 'abc' is not a number"),
            (("backspace", "backspace", "backspace", *"60500", "enter"), "Reason: empty; say how you know"),
        ):
            await at.press(*keys)
            assert isinstance(at.app.screen, AttestScreen)
            assert says in at.said()
        assert (at.link.sent, at.link.asked) == ([], [])


async def test_without_an_unknown_order_there_is_nothing_to_attest() -> None:
    async with desk() as at:
        at.link.views["orders"] = seeds.orders(3)
        await at.press("u")
        assert not isinstance(at.app.screen, AttestScreen | PreviewScreen)
        assert "nothing to attest" in [note.message for note in at.app._notifications][-1]
