"""Seeded views for the pane tests: what an engine would send, without an engine."""

from __future__ import annotations

import random

from engine.views import (
    BalanceRow,
    BalanceView,
    BookRow,
    BookView,
    Candle,
    ChartLine,
    ChartView,
    InstrumentView,
    LatencyRow,
    LatencyView,
    LogLine,
    LogView,
    Mode,
    OrderRow,
    OrdersView,
    PositionRow,
    PositionsView,
    StatusView,
    StreamView,
    TradeRow,
    TradesView,
)

SECOND = 1_000_000_000
NOW = 1_760_000_000 * SECOND
BTC = "binance.perp:BTCUSDT"

INSTRUMENT = InstrumentView(
    id=BTC,
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick="0.1",
    step="0.001",
    min_size="0.001",
    min_notional="5",
    max_leverage=100,
    leverage=10,
    price_places=1,
    size_places=3,
)


def book(
    levels: int = 20, seed: int = 1, share: float = 1.0, stale: bool = False, age_ns: int | None = 120_000_000
) -> BookView:
    """A book whose sizes come from `seed`; only the outer `share` of its levels differ from seed 1 (totals add up outwards)."""
    steady, moving = random.Random(1), random.Random(seed)

    def side(sign: int) -> tuple[BookRow, ...]:
        total, rows = 0.0, []
        for i in range(levels):
            calm, wild = steady.uniform(0.02, 4), moving.uniform(0.02, 4)
            size = wild if i >= levels * (1 - share) else calm
            total += size
            price = f"{61_000 + sign * (0.5 + i * 0.1):.1f}"
            rows.append(BookRow(price, f"{size:.3f}", f"{i + 1 + total:.3f}", size / 4, "0.010" if i == 4 else ""))
        return tuple(rows)

    return BookView(
        time_ns=NOW,
        instrument=BTC,
        symbol="BTCUSDT",
        bids=side(-1),
        asks=side(1),
        spread="1.0",
        spread_bps="0.16",
        mark="61000.2",
        index="60998.7",
        last="61000.5",
        last_side=1,
        funding="+0.0100%",
        next_funding_ns=None,
        age_ns=age_ns,
        stale=stale,
    )


def chart(count: int = 200, seed: int = 3, lines: bool = True, stale: bool = False) -> ChartView:
    """A random walk in one-minute candles."""
    rng, price, candles = random.Random(seed), 61_000.0, []
    for i in range(count):
        opened = price
        path = [opened]
        for _ in range(8):
            path.append(path[-1] + rng.gauss(0, 9))
        price = path[-1]
        time_ns = NOW - NOW % (60 * SECOND) + (i - count) * 60 * SECOND
        candles.append(Candle(time_ns, opened, max(path), min(path), price, rng.uniform(1, 20)))
    marks = (
        ChartLine("entry", price - 60, "entry"),
        ChartLine("tp", price + 130, "TP"),
        ChartLine("sl", price - 150, "SL"),
        ChartLine("liq", price - 2_000, "liq"),
    )
    return ChartView(NOW, BTC, "BTCUSDT", 60, 1, tuple(candles), marks if lines else (), price + 3.2, stale)


def position(number: int = 1, **changes: object) -> PositionRow:
    """An open long with everything known."""
    fields: dict[str, object] = {
        "id": f"P{number}",
        "instrument": BTC,
        "symbol": "BTCUSDT",
        "side": "L" if number % 2 else "S",
        "size": "0.010",
        "notional": "610.00",
        "entry": "60940.0",
        "mark": "61000.2",
        "upnl": "0.60" if number % 2 else "-12.35",
        "upnl_sign": 1 if number % 2 else -1,
        "upnl_pct": "0.99" if number % 2 else "-20.26",
        "leverage": 10,
        "margin": "60.94",
        "margin_left": "96.2",
        "liquidation": "55120.4",
        "take_profit": "61500.0",
        "stop_loss": None,
        "opened_ns": NOW - 754 * SECOND,
        "realised": "0.00",
        "stale": False,
        "break_even": "61001.0" if number % 2 else "60879.0",
    }
    return PositionRow(**{**fields, **changes})  # type: ignore[arg-type]


def positions(count: int) -> PositionsView:
    """So many positions, long and short in turn."""
    return PositionsView(NOW, tuple(position(i + 1) for i in range(count)))


def order(number: int = 1, **changes: object) -> OrderRow:
    """A working limit buy."""
    fields: dict[str, object] = {
        "id": f"O{number}",
        "instrument": BTC,
        "symbol": "BTCUSDT",
        "side": "BUY" if number % 2 else "SELL",
        "type": "LIMIT",
        "role": "entry",
        "size": "0.010",
        "filled": "0.000",
        "price": "60500.0",
        "trigger": None,
        "distance": "-0.82",
        "status": "ACCEPTED",
        "tif": "GTC",
        "reduce_only": False,
        "where": "venue",
        "created_ns": NOW - 65 * SECOND,
        "owner": "hand",
        "reason": "",
    }
    return OrderRow(**{**fields, **changes})  # type: ignore[arg-type]


def orders(count: int) -> OrdersView:
    """So many orders: working, held, part-filled and unknown in turn."""
    kinds: tuple[dict[str, object], ...] = (
        {},
        {"type": "STOP", "status": "HELD", "price": None, "trigger": "60100.0", "where": "local", "reduce_only": True},
        {"status": "PARTIAL", "filled": "0.004"},
        {"status": "UNKNOWN", "reason": "no answer from the venue"},
        {"status": "SENT"},
    )
    rows = tuple(order(i + 1, **kinds[i % len(kinds)]) for i in range(count))
    return OrdersView(NOW, rows, count)


def trades(count: int) -> TradesView:
    """So many closed trades, won and lost in turn."""
    reasons = ("take_profit", "stop_loss", "close", "liquidation")
    rows = tuple(
        TradeRow(
            id=f"P{i}",
            instrument=BTC,
            symbol="BTCUSDT",
            side="L" if i % 3 else "S",
            size="0.010",
            entry="60940.0",
            exit="61010.0" if i % 2 == 0 else "60800.0",
            net="0.21" if i % 2 == 0 else "-1.89",
            net_sign=1 if i % 2 == 0 else -1,
            net_pct="0.34" if i % 2 == 0 else "-3.10",
            fees="0.49",
            funding="0.00",
            reason=reasons[i % 4],
            opened_ns=NOW - (i * 600 + 400) * SECOND,
            closed_ns=NOW - i * 600 * SECOND,
        )
        for i in range(count)
    )
    return TradesView(NOW, rows)


def balance(assets: int = 1) -> BalanceView:
    """An account that made a little money."""
    rows = (
        BalanceRow("USDT", "10012.40", "10013.00", "9352.06", "60.94", "600.00", "0.60"),
        BalanceRow("USDC", "500.00", None, "500.00", "0.00", "0.00", None),
    )
    rng, line = random.Random(5), [10_000.0]
    for _ in range(240):
        line.append(line[-1] + rng.gauss(0.06, 0.9))
    return BalanceView(NOW, rows[:assets], "12.40", 1, tuple(line))


def latency() -> LatencyView:
    """One order's stages, one of them not measured."""
    stages = (
        ("intent", 42.0),
        ("risk", 6.4),
        ("order", 11.8),
        ("fill", None),
        ("durable", 520.0),
        ("screen", 8_400.0),
        ("total", 8_980.2),
    )
    rows = tuple(
        LatencyRow(stage, last, last and last * 0.9, last and last * 1.8, last and last * 3) for stage, last in stages
    )
    return LatencyView(NOW, "O17", rows, 12)


def log(count: int, first: int = 1) -> LogView:
    """Consecutive ledger events of all levels."""
    kinds = (
        ("info", "INTENT", "buy 0.010 BTCUSDT market asked for"),
        ("good", "FILLED", "bought 0.010 BTCUSDT at 61000.5, fee 0.24 USDT"),
        ("warn", "STALE", "no quotes of BTCUSDT for 6 s: entries blocked"),
        ("error", "REJECTED", "sell 2.000 ETHUSDT: free 12.40 USDT is below the margin 340.00 USDT"),
    )
    lines = []
    for seq in range(first, first + count):
        level, code, text = kinds[seq % 4]
        lines.append(LogLine(seq, NOW + seq * SECOND, level, code, text))
    return LogView(NOW, tuple(lines))


def status(**changes: object) -> StatusView:
    """A healthy simulated desk."""
    fields: dict[str, object] = {
        "time_ns": NOW,
        "env": "sim",
        "feed": "simulated",
        "prices": "SIMULATED PRICES",
        "mode": Mode.OK,
        "mode_reason": "",
        "kill": False,
        "kill_reason": "",
        "seq": 120,
        "durable_seq": 120,
        "epoch": 1,
        "account": "main",
        "asset": "USDT",
        "equity": "10013.00",
        "day_pnl": "12.40",
        "day_pnl_sign": 1,
        "hand": "screen-1",
        "armed": False,
        "screens": 1,
        "ticks_per_second": 240,
        "dropped": 0,
        "ledger": "sim.sqlite",
        "recovery": "",
        "recording": "",
        "paused": False,
        "open_positions": 1,
        "open_orders": 2,
        "instruments": (INSTRUMENT,),
        "streams": (StreamView(BTC, "quotes", "live", 1), StreamView(BTC, "depth", "live", 1)),
    }
    return StatusView(**{**fields, **changes})  # type: ignore[arg-type]
