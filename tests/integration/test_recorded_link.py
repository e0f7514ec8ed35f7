"""A link over a ledger file: the desk as it was at a moment, and nothing in it trades."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from decimal import Decimal
from itertools import chain
from pathlib import Path

import pytest

from engine.core.desk import Desk
from engine.core.state import encode_state
from engine.ledger.replay import replay
from engine.ledger.store import Ledger
from engine.link.base import EngineLink, LinkLost, LinkState
from engine.link.recorded import RecordedLink
from engine.model import event as ev
from engine.model.command import FlattenAll
from engine.views import BalanceView, PositionsView, PricesView, TravelView, tables
from tests.ledger_events import BTC, START_NS, Story, history

MS = 1_000_000
MINUTE = 60_000 * MS


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Forty things that happened."""
    path = tmp_path / "sim.sqlite"
    with closing(Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)) as opened:
        opened.append(list(chain.from_iterable(history(40, seed=2))))
    return path


@pytest.fixture
async def link(ledger: Path) -> AsyncIterator[RecordedLink]:
    link = RecordedLink(ledger)
    await link.start()
    yield link
    await link.close()


def shown(link: RecordedLink) -> TravelView:
    view = link.views["travel"]
    assert isinstance(view, TravelView)
    return view


async def test_it_is_an_engine_link_and_shows_the_last_event_first(link: RecordedLink, ledger: Path) -> None:
    filled: EngineLink = link
    assert filled.state is LinkState.CONNECTED
    assert shown(link).seq == shown(link).last_seq == replay(ledger).seq
    assert filled.welcome is not None
    assert filled.welcome.env == "sim"


async def test_what_is_recorded_looks_at_any_event_as_the_live_desk_looked_then(
    link: RecordedLink, ledger: Path
) -> None:
    for seq in (shown(link).last_seq, 40, 12, 77, 4):
        await link.to_seq(seq)
        desk = Desk(replay(ledger, until_seq=seq))
        now = shown(link).time_ns
        assert link.views["orders"] == tables.orders_view(desk, now)
        assert link.views["trades"] == tables.trades_view(desk, now)
        positions = link.views["positions"]
        assert isinstance(positions, PositionsView)
        kept = ("id", "side", "size", "entry", "margin", "liquidation", "realised", "opened_ns")
        assert [[getattr(row, name) for name in kept] for row in positions.rows] == [
            [getattr(row, name) for name in kept] for row in tables.positions_view(desk, now).rows
        ]
        wallet = [row.wallet for row in tables.balance_view(desk, now).rows]
        balance = link.views["balance"]
        assert isinstance(balance, BalanceView)
        assert [row.wallet for row in balance.rows] == wallet


async def test_steps_times_and_kinds_lead_to_their_events(link: RecordedLink) -> None:
    last = shown(link).last_seq
    await link.to_first()
    assert shown(link).seq == 1
    await link.step(-5)
    assert shown(link).seq == 1
    await link.step(6)
    assert (shown(link).seq, shown(link).time_ns) == (7, START_NS + 7 * MS)
    await link.by(3 * MS)
    assert shown(link).seq == 10
    await link.by(-MINUTE)
    assert shown(link).seq == 1
    assert await link.to_next("fill") == ""
    assert shown(link).event.startswith("OrderFilled")
    assert await link.to_next("start") == "there is none"
    await link.to_time(START_NS + 20 * MS + 1)
    assert (shown(link).seq, shown(link).event_ns) == (20, START_NS + 20 * MS)
    await link.to_last()
    assert shown(link).seq == last


async def test_keys_held_down_add_up(link: RecordedLink) -> None:
    last = shown(link).last_seq
    await asyncio.gather(*(link.step(-1) for _ in range(30)))
    assert shown(link).seq == last - 30


async def test_nothing_in_it_trades(link: RecordedLink, ledger: Path) -> None:
    before = encode_state(replay(ledger))
    command = FlattenAll(request_id="r")
    ack = await link.submit(command)
    assert (ack.ok, ack.code) == (False, "TIME_TRAVEL")
    assert "nothing here trades" in ack.message
    assert "nothing here trades" in (await link.preview(command)).errors[0]
    link.take_hand()
    link.set_armed(True)
    link.stop_engine("quit")
    assert encode_state(replay(ledger)) == before


async def test_named_reads_answer_from_then(link: RecordedLink) -> None:
    await link.to_seq(4)
    assert not (await link.query("positions"))["rows"]
    with pytest.raises(RuntimeError, match="nothing is recorded of 'latency'"):
        await link.query("latency")


async def test_an_engine_may_hold_the_ledger_and_end_takes_in_what_it_wrote(ledger: Path) -> None:
    with closing(Ledger.open(ledger, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)) as held:
        link = RecordedLink(ledger)
        await link.start()
        last = shown(link).last_seq
        held.append(
            [ev.Event(last + 1, START_NS + MINUTE, "main", "binance", BTC, "hand", "", 0, 1, ev.EngineStopped())]
        )
        await link.to_last()
        assert shown(link).seq == last + 1
        await link.close()


async def test_fills_and_starts_lie_on_the_bar_where_their_events_do(link: RecordedLink) -> None:
    await link.to_next("fill", False)
    view = shown(link)
    assert view.fills[-1] == pytest.approx((view.seq - 1) / (view.last_seq - 1), abs=0.001)
    assert view.starts == (0.0,)


async def test_a_damaged_ledger_is_shown_up_to_its_last_good_event(ledger: Path) -> None:
    with closing(sqlite3.connect(ledger)) as db:
        db.execute("DROP TRIGGER events_are_never_updated")
        db.execute("UPDATE events SET owner = 'me' WHERE seq = 30")
        db.commit()
    link = RecordedLink(ledger)
    await link.start()
    assert (shown(link).seq, shown(link).last_seq) == (29, 29)
    assert "event 30 was changed" in shown(link).damage
    await link.close()


async def test_where_there_is_no_ledger_it_says_so(tmp_path: Path) -> None:
    link = RecordedLink(tmp_path / "none.sqlite")
    await link.start()
    assert link.state is LinkState.LOST
    assert "there is no ledger at" in link.detail
    with pytest.raises(LinkLost):
        await link.query("positions")
    await link.close()


async def test_it_can_be_left_while_it_opens(ledger: Path) -> None:
    link = RecordedLink(ledger)
    opening = asyncio.create_task(link.start())
    await asyncio.sleep(0)
    await link.close()
    await opening
    assert link.state is LinkState.CLOSED
    assert link.views == {}
    await link.close()


@pytest.mark.parametrize(
    ("move", "arrives"),
    [
        (lambda link, last: link.step(1), 1),
        (lambda link, last: link.by(3 * MS), 3),
        (lambda link, last: link.to_time(START_NS + (last + 4) * MS), 4),
        (lambda link, last: link.to_seq(last + 2), 2),
        (lambda link, last: link.to_next("start"), 6),
        (lambda link, last: link.to_last(), 6),
    ],
)
async def test_every_way_forward_from_the_end_takes_in_what_an_engine_wrote_meanwhile(
    tmp_path: Path, move: Callable[[RecordedLink, int], Awaitable[str]], arrives: int
) -> None:
    story, path = Story(), tmp_path / "live.sqlite"
    with closing(Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)) as opened:
        opened.append([*story.opening(), *story.create()])
        link = RecordedLink(path)
        await link.start()
        last = shown(link).seq
        assert await link.to_next("start") == "there is none"
        opened.append(
            [
                *(story.event(ev.FundsMoved("USDT", Decimal(1))) for _ in range(5)),
                story.event(ev.EngineStarted("sim", "simulated", "0")),
            ]
        )
        assert await move(link, last) == ""
        assert shown(link).seq - last == arrives
        assert shown(link).last_seq == last + 6
        await link.close()


class TestWhatIsKnownOfPrices:
    """Equity and marks are those that events recorded; what is not known is a dash."""

    @pytest.fixture
    async def story(self, tmp_path: Path) -> AsyncIterator[RecordedLink]:
        """A position bought at 61000.1 (event 10), marks noted (11), equity sampled (12), then ten silent seconds."""
        story, path = Story(), tmp_path / "prices.sqlite"
        events = [
            *story.opening(),
            *story.create(size="1"),
            *story.send(),
            *story.fill("1"),
            story.event(ev.MarksNoted({BTC: Decimal(61_200)})),
            story.event(ev.EquitySampled("USDT", Decimal("9969.5"), Decimal(250))),
        ]
        late = story.event(ev.EngineStopped())
        events.append(ev.Event(late.seq, late.time_ns + 10_000 * MS, "", "", "", "", "", 0, 1, late.body))
        with closing(Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)) as opened:
            opened.append(events)
        link = RecordedLink(path)
        await link.start()
        yield link
        await link.close()

    def money(self, link: RecordedLink) -> tuple[str | None, str | None]:
        view = link.views["balance"]
        assert isinstance(view, BalanceView)
        return view.rows[0].equity, view.rows[0].upnl

    async def test_before_any_price_there_is_none(self, story: RecordedLink) -> None:
        await story.to_seq(4)
        view = story.views["prices"]
        assert isinstance(view, PricesView)
        assert (view.rows[0].mark, view.rows[0].bid, view.rows[0].age_ns) == (None, None, None)
        assert self.money(story) == ("10,000.00", "+0.00")

    async def test_equity_is_valued_with_the_last_price_recorded(self, story: RecordedLink) -> None:
        await story.to_seq(11)
        assert self.money(story)[1] == "+199.90"
        assert shown(story).valued_ns == START_NS + 11 * MS

    async def test_a_sample_taken_after_the_last_price_is_the_equity_of_then(self, story: RecordedLink) -> None:
        await story.to_seq(12)
        equity, _ = self.money(story)
        assert equity == "10,219.50"
        assert shown(story).valued_ns == START_NS + 12 * MS
        balance = story.views["balance"]
        assert isinstance(balance, BalanceView)
        assert balance.equity_line == (10_219.5,)

    async def test_an_old_price_is_marked_as_one(self, story: RecordedLink) -> None:
        await story.to_seq(11)
        positions = story.views["positions"]
        assert isinstance(positions, PositionsView)
        assert not positions.rows[0].stale
        await story.to_last()
        positions = story.views["positions"]
        assert isinstance(positions, PositionsView)
        assert positions.rows[0].stale


@pytest.mark.parametrize("hole", [2, 20, 64, 100])
async def test_a_missing_event_is_said_and_what_stands_before_it_is_shown(ledger: Path, hole: int) -> None:
    with closing(sqlite3.connect(ledger)) as db:
        db.execute("DROP TRIGGER events_are_never_deleted")
        db.execute("DELETE FROM events WHERE seq = ?", (hole,))
        db.commit()
    link = RecordedLink(ledger)
    await link.start()
    try:
        for move in (
            link.to_last(),
            link.by(-5 * MS),
            link.to_time(START_NS + hole * MS),
            link.to_seq(hole),
            link.step(1),
        ):
            await move
            assert link.state is LinkState.CONNECTED
            assert shown(link).seq < hole
        assert f"event {hole} is missing" in shown(link).damage
    finally:
        await link.close()
