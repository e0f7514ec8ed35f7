"""w on a row opens the chain behind it; it reads on, is copied, and says when nobody can answer."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from engine.link.base import LinkLost
from engine.model.market import Top
from engine.views import LatencySpan, LatencyTrace
from engine.views.why import Answer, Compared, Origin, OriginKind, Step
from hoox_tui.screens.desk import PANES, DeskScreen
from hoox_tui.screens.why import WhyScreen
from tests.ui import seeds
from tests.ui.desk_host import SIZES, Desk, desk
from tests.ui.fake_link import FakeLink, full_views

ANSWER = Answer(
    kind="order",
    id="O2",
    title="Order O2: sell 0.1 BTCUSDT stop, FILLED, 0.1 filled @ 59890",
    origin=Origin(OriginKind.PERSON, "hand", "A person asked for it, request r1. The market set it off."),
    steps=(
        Step(
            812, seeds.NOW, "IntentCreated", "a person asks (r1): buy 0.1 BTCUSDT market", top=Top("1", "2", "3", "4")
        ),
        Step(
            813,
            seeds.NOW,
            "RiskRejected",
            "risk refuses, MARGIN: too much",
            checks=(Compared("free margin", "600", "<=", "500", False, "100"),),
        ),
        *(Step(814 + n, seeds.NOW + n, "OrderFilled", f"O2 filled {n} [bold]", after_ns=1) for n in range(60)),
    ),
)


class WhyLink(FakeLink):
    """Answers what it is asked, or is lost."""

    def __init__(self) -> None:
        super().__init__(full_views())
        self.names: list[str] = []
        self.fails: Exception | None = None
        self.answers: asyncio.Event | None = None
        """When set, answers wait for it."""

    async def query(self, name: str) -> Any:
        self.names.append(name)
        if self.answers is not None:
            await self.answers.wait()
        if self.fails is not None:
            raise self.fails
        return msgspec.to_builtins(ANSWER)


async def open_on(at: Desk, pane: str) -> None:
    await at.press(str(PANES.index(pane) + 1), "w")
    await at.app.workers.wait_for_complete()
    await at.frames(6)


@pytest.mark.parametrize("pane", ["positions", "orders", "trades", "log"])
async def test_w_asks_why_of_the_selected_row(pane: str) -> None:
    link = WhyLink()
    async with desk(link) as at:
        selected: Any = at.app.desk.panes[pane]
        await open_on(at, pane)
        row = selected.selected
        assert link.names == [f"why:seq:{row.seq}" if pane == "log" else f"why:{row.id}"]
        assert isinstance(at.app.screen, WhyScreen)
        assert link.sent == []


async def test_the_chain_is_drawn_with_what_failed() -> None:
    async with desk(WhyLink(), size=SIZES["120x40"]) as at:
        await open_on(at, "orders")
        text = at.text()
        assert "A person asked for it, request r1." in text
        assert "600 <= 500, FAILED by 100" in text
        assert "O2 filled 3 [bold]" in text


async def test_it_fits_80_by_24_and_scrolls_to_its_end() -> None:
    async with desk(WhyLink(), size=SIZES["80x24"]) as at:
        await open_on(at, "orders")
        assert "O2 filled 59" not in at.text()
        await at.press("G")
        assert "O2 filled 59" in at.text()


async def test_y_copies_the_whole_chain() -> None:
    async with desk(WhyLink()) as at:
        await open_on(at, "orders")
        await at.press("y")
        copied = at.app.clipboard
        assert copied.startswith("Order O2: sell 0.1 BTCUSDT stop")
        assert "O2 filled 59" in copied


@pytest.mark.parametrize("key", ["escape", "w", "enter"])
async def test_it_closes_and_the_focus_is_where_it_was(key: str) -> None:
    async with desk(WhyLink()) as at:
        await open_on(at, "orders")
        await at.press(key)
        assert isinstance(at.app.screen, DeskScreen)
        assert at.app.focused is at.app.desk.orders


async def test_a_lost_engine_leaves_the_command_that_needs_none() -> None:
    link = WhyLink()
    link.fails = LinkLost("the socket is gone")
    async with desk(link) as at:
        await open_on(at, "positions")
        assert "hoox why P1 reads the ledger without it" in at.said()
        await at.press("y")
        assert at.app.clipboard == ""


async def test_what_is_asked_of_an_engine_that_is_gone_says_so_at_once() -> None:
    link = WhyLink()
    async with desk(link) as at:
        link.lose()
        link.answers = asyncio.Event()
        await at.press("4", "w")
        assert "answers when it is back: hoox why P1 reads the ledger without it" in at.said()
        link.answers.set()
        await at.app.workers.wait_for_complete()
        assert "Esc closes" in at.said()


async def test_the_command_that_needs_no_engine_names_the_ledger_where_it_is_not_the_usual_one() -> None:
    link = WhyLink()
    link.fails = LinkLost("the socket is gone")
    async with desk(link, ledger_flag="--ledger '/tmp/my day.sqlite'") as at:
        await open_on(at, "positions")
        assert "hoox why P1 --ledger '/tmp/my day.sqlite' reads the ledger without it" in at.said()


async def test_what_the_engine_refuses_is_shown() -> None:
    link = WhyLink()
    link.fails = RuntimeError("why: nothing here is called 'P1'")
    async with desk(link) as at:
        await open_on(at, "positions")
        assert "nothing here is called 'P1'" in at.said()


async def test_without_a_row_it_says_where_to_look() -> None:
    link = WhyLink()
    async with desk(link) as at:
        await at.press("1", "w")
        assert isinstance(at.app.screen, DeskScreen)
        assert link.names == []


def _trace(name: str, path: str) -> LatencyTrace:
    return LatencyTrace(name, path, "paper", "hand", (LatencySpan("intent", 0.0, 40.0), LatencySpan("risk", 40.0, 6.0)))


async def test_on_the_latency_pane_it_explains_the_order_or_signal_on_show() -> None:
    link = WhyLink()
    link.views["latency"] = msgspec.structs.replace(
        seeds.latency(), traces=(_trace("O17", "order"), _trace("s-tv-k1", "signal"), _trace("probe-1", "probe"))
    )
    async with desk(link) as at:
        await at.press("8", "w")
        assert isinstance(at.app.screen, WhyScreen)
        await at.press("escape", "down", "w", "escape")
        assert link.names == ["why:O17", "why:s-tv-k1"]
        await at.press("down", "w")
        assert isinstance(at.app.screen, DeskScreen)
        assert "ledger knows nothing" in [note.message for note in at.app._notifications][-1]


async def test_on_a_latency_pane_with_nothing_measured_it_says_so() -> None:
    link = WhyLink()
    del link.views["latency"]
    async with desk(link) as at:
        await at.press("8", "w")
        assert link.names == []
        assert "measured yet" in [note.message for note in at.app._notifications][-1]
