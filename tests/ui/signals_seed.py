"""An inbox with every verdict and every way to wait."""

from __future__ import annotations

from engine.views import LatencySpan, LatencyTrace, SignalDetailView, SignalRow, SignalsView, SourceRow
from tests.ui import seeds

SECOND = 1_000_000_000
APPROVAL = SignalRow(
    "s01",
    seeds.NOW - 28 * SECOND,
    "tv",
    "approve",
    "webhook",
    "LONG",
    "BTCUSDT",
    "0.05",
    "waiting",
    "approval",
    seeds.NOW + 272 * SECOND,
    entry=True,
    took=412.0,
)


def _row(number: int, action: str, symbol: str, quantity: str, status: str, *rest: object, **more: object) -> SignalRow:
    return SignalRow(
        f"s{number:02}",
        seeds.NOW - number * 31 * SECOND,
        "grid-bot" if number % 2 else "mail",
        "trade",
        "webhook",
        action,
        symbol,
        quantity,
        status,
        *rest,  # type: ignore[arg-type]
        **more,  # type: ignore[arg-type]
    )


ROWS = (
    APPROVAL,
    _row(2, "SHORT", "ETHUSDT", "1.5", "waiting", "retry", seeds.NOW + 12 * SECOND, 2, took=900.0, entry=True),
    _row(3, "CLOSE", "BTCUSDT", "", "waiting", "flat"),
    _row(
        4,
        "LONG",
        "BTCUSDT",
        "100 USDT",
        "executed",
        took=4_120.0,
        orders=("O7",),
        message="LONG 0.0016 BTCUSDT at 60010",
    ),
    _row(5, "LONG", "DOGEUSDT", "900", "refused", code="UNKNOWN_SYMBOL", message="symbol: 'DOGEUSDT' is not carried"),
    _row(6, "SHORT", "BTCUSDT", "0.2", "expired", code="PATIENCE", message="it could not be placed within 60 s"),
    _row(7, "LONG", "SOLUSDT", "12", "ignored", code="SAME_SIDE", message="long 12 is open already"),
    _row(8, "CLOSE_LONG", "ETHUSDT", "", "logged", code="LOGGED", message="would close 1.5 ETHUSDT long"),
    _row(9, "LONG", "BTCUSDT", "3 ct", "declined", code="DECLINED", message="declined by a person\x1b[31m"),
)
SOURCES = (
    SourceRow("grid-bot", seeds.NOW - 62 * SECOND, 3, 134, 7, 840.0, "BAD_KEY 6, STALE 1"),
    SourceRow("mail", 0, 0, 0, 0),
    SourceRow("tv", seeds.NOW - 28 * SECOND, 1, 12, 0),
)
TRACE = LatencyTrace(
    "s04",
    "signal",
    "paper",
    "mail",
    (
        LatencySpan("receive", 0.0, 120.0),
        LatencySpan("authenticate", 120.0, 31.0),
        LatencySpan("validate", 151.0, 48.0),
        LatencySpan("dedup", 199.0, 22.0),
        LatencySpan("queue", 221.0, 35.0),
        LatencySpan("translate", 256.0, 18.0),
        LatencySpan("risk", 274.0, 140.0),
        LatencySpan("commit", 414.0, 1_306.0),
        LatencySpan("venue", 1_720.0, 2_400.0),
    ),
)


def signals(rows: tuple[SignalRow, ...] = ROWS) -> SignalsView:
    """The inbox."""
    approvals = sum(row.waits == "approval" for row in rows)
    return SignalsView(seeds.NOW, rows, len(rows), approvals, SOURCES if rows else ())


def detail(row: SignalRow, no_replay: str = "") -> SignalDetailView:
    """One of them."""
    return SignalDetailView(
        seeds.NOW,
        row,
        "bar-4711",
        "binance",
        (("order", "market, 5x"), ("exits", "TP 61000, SL 59500"), ("mode", row.mode), ("policy", "same side reject")),
        '{"apiKey":"***","action":"LONG","symbol":"BTCUSDT",\n"quantity":"100","quantityUnit":"quote"}',
        ("address", "address_rate", "size", "json", "key", "source_rate", "schema", "freshness", "dedup"),
        TRACE,
        ("O7  buy 0.0016 BTCUSDT market, FILLED, 0.0016 filled @ 60010.0",) if row.orders else (),
        no_replay,
    )
