"""The header: what must be on every screen, at every width."""

from __future__ import annotations

import pytest

from engine.views import Mode, StatusView, StreamView
from tests.ui import seeds
from tests.ui.hosts import Host, drawn
from widgets.header import HeaderBar


async def header(
    status: StatusView | None, width: int = 160, state: str = "connected", age_ms: int | None = 40, hand: bool = True
) -> list[str]:
    """Both lines as drawn."""
    bar = HeaderBar()
    async with Host(bar).run_test(size=(width, 4)):
        bar.show(
            status,
            symbol="BTCUSDT",
            pane="positions",
            heartbeat_age_ms=age_ms,
            link_state=state,
            link_detail="retrying in 2 s",
            has_hand=hand,
        )
        return drawn(bar)


@pytest.mark.parametrize("width", [60, 80, 100, 160])
async def test_environment_prices_kill_and_arm_are_always_there(width: int) -> None:
    calm = await header(seeds.status(), width)
    assert all(word in calm[0] for word in ("SIM", "SIMULATED PRICES", "kill off", "○ disarmed"))
    hot = await header(seeds.status(env="live", prices="BINANCE PRICES", kill=True, armed=True), width)
    assert all(word in hot[0] for word in ("LIVE", "BINANCE PRICES", "KILL ON", "● ARMED"))


async def test_at_80_columns_place_equity_and_day_are_there_too() -> None:
    first, second = await header(seeds.status(), 80)
    assert "BTCUSDT › positions" in first
    assert "equity 10013.00 USDT" in second
    assert "day +12.40" in second


async def test_unknown_equity_is_a_dash() -> None:
    _, second = await header(seeds.status(equity=None, day_pnl=None, day_pnl_sign=0))
    assert "equity – USDT" in second
    assert "day –" in second


async def test_what_the_engine_will_still_do_is_said_with_its_reason() -> None:
    _, second = await header(seeds.status(mode=Mode.EXITS_ONLY, mode_reason="the disk is full"), 80)
    assert "EXITS ONLY" in second
    assert "the disk is full" in second
    _, second = await header(seeds.status(mode=Mode.READ_ONLY, mode_reason="chain broken at 812"), 80)
    assert "READ ONLY" in second


async def test_a_silent_engine_and_a_lost_link_are_said_before_anything_else() -> None:
    _, second = await header(seeds.status(), 80, age_ms=4_200)
    assert "engine silent 4 s" in second
    _, second = await header(seeds.status(), 80, state="lost")
    assert "LOST" in second
    assert "retrying in 2 s" in second


@pytest.mark.parametrize(("state", "age_ms"), [("connected", 4_200), ("lost", 40)])
async def test_an_engine_that_is_not_heard_vouches_for_no_stream(state: str, age_ms: int) -> None:
    _, second = await header(seeds.status(), 80, state=state, age_ms=age_ms)
    assert "streams" not in second
    assert "/s" not in second
    assert "pos 1 ord 2" in second


async def test_before_the_first_status_there_is_no_engine() -> None:
    first, _ = await header(None, 80, state="connecting")
    assert "NO ENGINE" in first


async def test_the_hand_is_named() -> None:
    assert "hand: you" in (await header(seeds.status()))[0]
    assert "watching, hand: screen-1" in (await header(seeds.status(), hand=False))[0]
    assert "watching, hand: nobody" in (await header(seeds.status(hand=""), hand=False))[0]


@pytest.mark.parametrize("width", [60, 78, 118, 158])
@pytest.mark.parametrize("more", [{}, {"kill": True}, {"approvals": 2, "unknown": ("O4 ...",)}])
async def test_a_screen_without_the_hand_never_reads_as_armed(width: int, more: dict[str, object]) -> None:
    first, _ = await header(seeds.status(armed=True, hand="pts/3#2", **more), width, hand=False)
    assert "ARMED" not in first
    assert "armed" not in first
    assert "hand: pts/3#2" in first


async def test_at_80_columns_a_screen_without_the_hand_names_who_has_it() -> None:
    first, _ = await header(seeds.status(armed=True, hand="pts/3#2"), 78, hand=False)
    assert "watching, hand: pts/3#2" in first
    assert "BTCUSDT › pos" in first


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"env": "paper", "prices": "BACKPACK PRICES, PAPER FILLS"},
        {"kill": True},
        {"rehearsal": True},
        {"rehearsal": True, "kill": True},
        {"unknown": ("O4 ...",)},
        {"armed": True},
    ],
)
async def test_at_80_columns_symbol_and_pane_stay_while_a_signal_waits(more: dict[str, object]) -> None:
    first, _ = await header(seeds.status(approvals=1, **more), 78)
    assert "BTCUSDT › pos" in first
    assert "F4" in first
    assert "ARMED" in first or "disarmed" in first


@pytest.mark.parametrize(
    ("width", "said"), [(78, "REHEARSAL"), (118, "REHEARSAL, BAD LINE"), (158, "REHEARSAL, BAD LINE")]
)
async def test_a_rehearsal_says_so_beside_the_environment(width: int, said: str) -> None:
    first, _ = await header(seeds.status(rehearsal=True), width)
    assert f" SIM   {said}" in first


ALL_ALARMS = {
    "rehearsal": True,
    "kill": True,
    "approvals": 12,
    "unknown": ("O4 ...",) * 11,
    "differs": ("ETHUSDT venue says +1",) * 10,
    "armed": True,
}


async def test_at_80_columns_every_alarm_at_once_leaves_what_may_trade_and_each_alarm_on_the_line() -> None:
    first, _ = await header(seeds.status(**ALL_ALARMS), 78)
    for words in (" SIM ", "REHEARSAL", "SIM PRICES", " KILL ", " UNK 11 ", " DIF 10 ", " F4: 12 ", "● ARMED"):
        assert words in first


async def test_no_crowd_of_alarms_takes_environment_kill_and_arm_off_a_narrow_line() -> None:
    first, _ = await header(seeds.status(**ALL_ALARMS), 60)
    for words in (" SIM ", " KILL ", "● ARMED"):
        assert words in first


async def test_streams_carry_a_tick_only_when_all_are_live() -> None:
    live, ended = StreamView(seeds.BTC, "quotes", "live", 1), StreamView(seeds.BTC, "feed", "ended", None)
    _, second = await header(seeds.status(streams=(live, ended)), 78)
    assert "feed ended (1/2 live)" in second
    assert "✓" not in second.replace("engine ✓", "")
    _, second = await header(seeds.status(streams=(live, live)), 78)
    assert "streams 2/2 ✓" in second


async def test_a_stream_that_is_not_live_is_named() -> None:
    streams = (StreamView(seeds.BTC, "quotes", "live", 1), StreamView(seeds.BTC, "depth", "resync", None))
    _, second = await header(seeds.status(streams=streams), 80)
    assert "depth resync (1/2 live)" in second


async def test_unknown_outcomes_and_positions_that_differ_are_counted_and_the_first_is_told_at_80_columns() -> None:
    trail = "O4 BTCUSDT asked 4x, silent since 12:03:10 UTC, worst case +0.500"
    first, second = await header(seeds.status(unknown=(trail, "O5 ..."), differs=("ETHUSDT venue says +1",)), 80)
    assert " UNKNOWN 2 " in first
    assert " DIFFERS 1 " in first
    assert trail in second


async def test_a_position_that_differs_is_told_where_nothing_else_is_unknown() -> None:
    said = "BTCUSDT venue says +0.7, ledger +1, since 12:03:10 UTC"
    first, second = await header(seeds.status(differs=(said,)), 80)
    assert "UNKNOWN" not in first
    assert said in second
