"""The whole engine on its markets: a liquidation, a real recording, the desk's own capture."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from engine.ledger.replay import replay
from engine.ledger.verify import verify
from engine.model import event as ev
from engine.model.command import ClosePosition, FlattenAll, PlaceOrder
from engine.model.instrument import InstrumentId
from engine.model.market import Depth, FeedStatus, MarketInput, Quote, Side, StreamState
from engine.model.order import OrderType
from engine.runtime import Engine, EngineConfig
from engine.runtime.keeper import Keeper
from tests.engine_process import BTC, buy, config_for, events_of, loaded, priced, running, until
from tests.feed_support import USDM, needs_recordings

USDM_BTC = "binance.perp:BTCUSDT"
CHECKPOINTS = {
    400: (5123109550566, "61809.5", "5.514", "61809.6", "1.458", 1624, 1410),
    800: (5123111110555, "61815.6", "2.751", "61815.7", "2.457", 2100, 1938),
    1200: (5123113450595, "61806.7", "6.485", "61806.8", "0.067", 2316, 2152),
}


async def test_a_100x_long_without_a_stop_is_liquidated_and_loses_no_more_than_its_margin(tmp_path: Path) -> None:
    config = config_for(tmp_path, seed=29, rate=500.0)
    async with running(config) as (_, link):
        await priced(link)
        assert (await link.submit(buy("open", "0.5", leverage=100))).ok
        await until(lambda: link.views["positions"].rows)
        await until(lambda: not link.views["positions"].rows, 30)
    events = events_of(config.ledger)
    (opened,) = [e.body.position for e in events if isinstance(e.body, ev.OrderFilled) and not e.body.closing][-1:]
    (liquidated,) = [event for event in events if isinstance(event.body, ev.Liquidated)]
    tier = replay(config.ledger).instruments[BTC].tiers[0]
    size, cost, margin = opened.size, opened.cost, opened.margin
    assert margin == cost / 100
    # Semantics 2: LP = (s*q*EP - m - cum) / (q*(s - mmr)), BP = EP - s*m/q.
    assert liquidated.body.level == (cost - margin - tier.cum) / (size * (1 - tier.mmr))
    assert abs(liquidated.body.bankruptcy - (cost - margin) / size) < Decimal("0.00000001")
    assert liquidated.body.mark <= liquidated.body.level
    before = replay(config.ledger, until_seq=liquidated.seq - 1)
    assert before.positions[opened.id].liquidation == liquidated.body.level
    state = replay(config.ledger)
    lot = state.closed[opened.id]
    assert lot.exit_reason == "liquidation"
    lost = 10_000 - state.accounts["main"].balances["USDT"]
    assert Decimal(0) < lost <= margin + lot.fees - lot.funding
    assert verify(config.ledger).ok


class Counted:
    """What the engine's book is after so many diffs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, instrument: InstrumentId) -> None:
        self.books: dict[int, tuple[object, ...]] = {}
        self.depths = -1
        self.inputs: list[MarketInput] = []
        real = Keeper.market

        def market(keeper: Keeper, item: MarketInput) -> None:
            real(keeper, item)
            self.inputs.append(item)
            if isinstance(item, Depth):
                self.depths += 1
                if self.depths in CHECKPOINTS:
                    book = keeper.desk.kernel.markets[instrument].book
                    (bid, bid_size), (ask, ask_size) = book.levels(Side.BUY, 1)[0], book.levels(Side.SELL, 1)[0]
                    self.books[self.depths] = (
                        book.depth_id,
                        *(f"{number.normalize():f}" for number in (bid, bid_size, ask, ask_size)),
                        book.count(Side.BUY),
                        book.count(Side.SELL),
                    )

        monkeypatch.setattr(Keeper, "market", market)


def recorded(folder: Path, path: Path, **changes: object) -> EngineConfig:
    return config_for(folder, env="paper", feed=f"recording:{path}", symbols=(), speed=0.0, **changes)


def ended(engine: Engine) -> bool:
    assert engine.keeper is not None
    return any(StreamState.ENDED in market.streams.values() for market in engine.keeper.desk.kernel.markets.values())


@needs_recordings
async def test_the_book_on_a_real_recording_equals_its_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(monkeypatch, USDM_BTC)
    async with running(recorded(tmp_path, USDM)) as (engine, link):
        await until(lambda: ended(engine), 60)
        assert link.views["status"].prices == "RECORDED PRICES"
    assert counted.books == CHECKPOINTS


@pytest.fixture
async def capture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[MarketInput]]:
    """What a user made with --record, and the inputs the engine had then."""
    path = tmp_path / "mine.capture"
    with monkeypatch.context() as patch:
        counted = Counted(patch, BTC)
        async with running(config_for(tmp_path, record=path, volatility=1.0)) as (engine, link):
            await until(lambda: engine.port.status.ticks > 300)
            assert link.views["status"].recording == path.name
    return path, counted.inputs


async def test_a_capture_gives_the_engine_the_same_market_again(
    tmp_path: Path, capture: tuple[Path, list[MarketInput]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, inputs = capture
    counted = Counted(monkeypatch, BTC)
    async with running(recorded(tmp_path, path, ledger=tmp_path / "paper.sqlite")) as (engine, link):
        await until(lambda: ended(engine))
        assert engine.keeper is not None
        await until(lambda: link.views["status"].ended_ns >= inputs[-1].time_ns)
        last = engine.keeper.desk.kernel.markets[BTC].quote
    assert counted.inputs[: len(inputs)] == inputs
    assert {type(item) for item in counted.inputs[len(inputs) :]} == {FeedStatus}
    assert last == [item for item in inputs if isinstance(item, Quote)][-1]


async def test_at_the_end_of_a_recording_entries_are_refused_and_closes_work(
    tmp_path: Path, capture: tuple[Path, list[MarketInput]]
) -> None:
    config = recorded(tmp_path, capture[0], ledger=tmp_path / "paper.sqlite")
    async with running(msgspec.structs.replace(config, speed=1.0)) as (engine, link):
        price = await priced(link)
        assert (await link.submit(buy("open", leverage=5))).ok
        far = PlaceOrder(
            request_id="far",
            instrument=BTC,
            side=Side.BUY,
            type=OrderType.LIMIT,
            size=Decimal("0.01"),
            price=(price * Decimal("0.9")).quantize(Decimal("0.1")),
        )
        assert (await link.submit(far)).ok
        await until(lambda: link.views["positions"].rows and len(link.views["orders"].rows) == 1)
        link.control_feed("speed", 0)
        await until(lambda: ended(engine))
        refused = await link.submit(buy("more"))
        assert (refused.ok, refused.code) == (False, "FEED_DOWN")
        position = link.views["positions"].rows[0].id
        assert (await link.submit(ClosePosition(request_id="half", position=position, fraction=Decimal("0.5")))).ok
        await until(lambda: link.views["positions"].rows[0].size == "0.005")
        assert (await link.submit(FlattenAll(request_id="flat"))).ok
        await until(lambda: not link.views["positions"].rows and not link.views["orders"].rows)
    loaded(config)
    assert verify(config.ledger).ok


async def test_a_recording_started_again_goes_on_where_its_ledger_stands_and_closes_arrive(
    tmp_path: Path, capture: tuple[Path, list[MarketInput]]
) -> None:
    """Time before what is recorded would keep every order on its way."""
    config = msgspec.structs.replace(recorded(tmp_path, capture[0], ledger=tmp_path / "paper.sqlite"), speed=1.0)
    async with running(config) as (engine, link):
        await priced(link)
        assert (await link.submit(buy("open", leverage=5))).ok
        await until(lambda: link.views["positions"].rows)
    stood = replay(config.ledger).time_ns
    async with running(config) as (engine, link):
        assert engine.keeper is not None
        assert engine.keeper.now_ns() >= stood
        position = next(iter(engine.keeper.desk.state.positions))
        assert (await link.submit(ClosePosition(request_id="close", position=position))).ok
        await until(lambda: engine.keeper is not None and not engine.keeper.desk.state.positions)
    assert verify(config.ledger).ok
