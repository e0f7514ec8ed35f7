"""What a tick costs: raw frame -> decoded -> book -> triggers, and on to a created order. Side by side with a plain scan."""

from __future__ import annotations

import gc
import statistics
import tempfile
from contextlib import closing
from decimal import Decimal
from pathlib import Path

from engine.clock import mono_ns
from engine.core.brackets import client_id
from engine.core.desk import Desk
from engine.core.inputs import Intent, Start
from engine.core.lifecycle import create, hold
from engine.core.state import State
from engine.feeds.binance.frames import FrameDecoder
from engine.ledger.store import Ledger
from engine.ledger.writer import Writer
from engine.model.account import RiskLimits
from engine.model.command import PlaceOrder
from engine.model.event import Event
from engine.model.instrument import Instrument, tiers_from
from engine.model.market import Quote, Side
from engine.model.order import OrderTerms, OrderType, Role, TriggerSource

Figures = dict[str, float]
BUY, LIMIT = Side.BUY, OrderType.LIMIT
SYMBOL = "binance.perp:BTCUSDT"
START_NS = 1_700_000_000_000_000_000
ARMED = (10, 1_000, 100_000, 1_000_000)
FRAMES = 20_000
SCAN_TO = 100_000
"""A scan over more would take minutes."""


def instrument() -> Instrument:
    """BTCUSDT as the venue lists it, roughly."""
    tiers = tiers_from([(Decimal(0), None, Decimal("0.004"), 125)])
    return Instrument(
        SYMBOL, "binance", "perp", "BTCUSDT", "BTC", "USDT", Decimal("0.1"), Decimal("0.001"), Decimal("0.001"),
        Decimal(5), Decimal("0.0002"), Decimal("0.0005"), tiers, 125,
    )  # fmt: skip


def frames(count: int) -> list[bytes]:
    """bookTicker frames that wander within a band of 20 around 60000."""
    made: list[bytes] = []
    for number in range(count):
        bid = 60_000 + (number * 7919 % 200) / 10
        made.append(
            b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":%d,"s":"BTCUSDT","b":"%.2f","B":"2.507",'
            b'"a":"%.2f","A":"2.510","T":1723161256313,"E":1723161256313}}' % (1_000 + number, bid, bid + 0.1)
        )
    return made


def desk() -> tuple[Desk, list[Event]]:
    """A desk with money and no price yet, and the events of its start."""
    made = Desk(State())
    start = Start(
        START_NS, 1, "sim", "bench", "0", 1, "", "main", "paper", "USDT", Decimal(10**12), (instrument(),),
        RiskLimits(max_order_notional=None, max_position_notional=None, max_open_orders=10**9),
    )  # fmt: skip
    return made, made.handle(start)


def arm(made: Desk, count: int) -> None:
    """Hold `count` stop entries that none of the frames reaches, half above and half below."""
    kernel = made.kernel
    kernel.journal.now = START_NS
    for number in range(len(made.state.orders), count):
        up = number % 2 == 0
        order_id = f"O{made.state.orders_made + 1}"
        distance = Decimal(number % 50_000) / 10
        terms = OrderTerms(
            order_id, client_id(order_id, "bench"), "main", SYMBOL, Side.BUY if up else Side.SELL, OrderType.STOP,
            Decimal("0.001"), Role.ENTRY, trigger=61_000 + distance if up else 59_000 - distance,
            source=TriggerSource.BID_ASK,
        )  # fmt: skip
        hold(kernel, create(kernel, terms))
        kernel.journal.take()


def _spread(taken: list[int]) -> Figures:
    cuts = statistics.quantiles(taken, n=100)
    return {"p50_us": cuts[49] / 1_000, "p95_us": cuts[94] / 1_000, "p99_us": cuts[98] / 1_000}


def _run(made: Desk, raw: list[bytes], time_ns: int) -> Figures:
    """Time every frame alone; then all of them in one go for the flooded rate."""
    decode = FrameDecoder({"btcusdt": SYMBOL}).decode_frame
    handle = made.handle
    taken: list[int] = []
    for frame in raw:
        start = mono_ns()
        item = decode(frame, time_ns)
        handle(item)  # type: ignore[arg-type]
        taken.append(mono_ns() - start)
    begin = mono_ns()
    for frame in raw:
        handle(decode(frame, time_ns))  # type: ignore[arg-type]
    return {**_spread(taken), "flooded_per_s": len(raw) / (mono_ns() - begin) * 1e9}


def _scan(made: Desk, raw: list[bytes], time_ns: int) -> Figures:
    """The same frames against a plain scan over the same orders."""
    decode = FrameDecoder({"btcusdt": SYMBOL}).decode_frame
    watched = [(float(o.trigger or 0), o.terms.side is Side.BUY) for o in made.state.orders.values()]
    taken: list[int] = []
    for frame in raw:
        start = mono_ns()
        item = decode(frame, time_ns)
        assert isinstance(item, Quote)
        bid, ask = item.bid, item.ask
        for level, up in watched:
            if ask >= level if up else bid <= level:
                raise AssertionError("nothing should fire")
        taken.append(mono_ns() - start)
    return _spread(taken)


def armed(counts: tuple[int, ...] = ARMED) -> dict[str, Figures]:
    """(a) us a frame that fires nothing, by armed orders, with its ratio to the smallest count; and a scan's."""
    figures: dict[str, Figures] = {}
    made, _ = desk()
    raw = frames(FRAMES)
    for count in counts:
        gc.disable()
        arm(made, count)
        gc.collect()
        gc.freeze()
        _run(made, raw[:2_000], START_NS)
        figures[str(count)] = _run(made, raw, START_NS)
        if count <= SCAN_TO:
            rounds = max(20, min(len(raw), 2_000_000 // count))
            figures[str(count)]["scan_p50_us"] = _scan(made, raw[:rounds], START_NS)["p50_us"]
        gc.enable()
    first = figures[str(counts[0])]["p50_us"]
    for row in figures.values():
        row["ratio"] = row["p50_us"] / first
    gc.unfreeze()
    return figures


def tick_to_order(rounds: int = 5_000) -> Figures:
    """(b) us from a raw frame to the return of handle with an order created and on its way, the ledger on disk behind it."""
    made, opening = desk()
    decode = FrameDecoder({"btcusdt": SYMBOL}).decode_frame
    raw = frames(rounds)
    handle = made.handle
    taken: list[int] = []
    with tempfile.TemporaryDirectory(prefix="hoox-bench-") as folder:
        path = Path(folder) / "bench.sqlite"
        with (
            closing(Ledger.open(path, env="sim", feed="bench", now_ns=START_NS)) as ledger,
            closing(Writer(ledger, lambda *_: None, _raise)) as writer,
        ):
            writer.submit(opening)
            handle(decode(raw[0], START_NS))  # type: ignore[arg-type]
            gc.collect()
            gc.freeze()
            for number, frame in enumerate(raw):
                price = Decimal("59000.0")
                request = f"b{number}"
                start = mono_ns()
                quote = decode(frame, START_NS)
                handle(quote)  # type: ignore[arg-type]
                if quote.bid > 0:  # type: ignore[union-attr]
                    order = PlaceOrder(
                        SYMBOL, BUY, LIMIT, Decimal("0.001"), price, request_id=request, owner="strategy:bench"
                    )
                    events = handle(Intent(START_NS, order))
                taken.append(mono_ns() - start)
                writer.submit(events)
    gc.unfreeze()
    return _spread(taken)


def tick_to_trigger(rounds: int = 5_000, others: int = 100_000) -> Figures:
    """(b) us from a raw frame that meets a held entry to the return of handle with the order on its way, others armed."""
    made, _ = desk()
    decode = FrameDecoder({"btcusdt": SYMBOL}).decode_frame
    raw = frames(rounds)
    handle, kernel = made.handle, made.kernel
    taken: list[int] = []
    arm(made, others)
    handle(decode(raw[0], START_NS))  # type: ignore[arg-type]
    gc.collect()
    gc.freeze()
    for number, frame in enumerate(raw):
        terms = OrderTerms(
            f"T{number}", f"T{number}", "main", SYMBOL, Side.BUY, OrderType.STOP, Decimal("0.001"), Role.ENTRY,
            trigger=Decimal("60000.0"), source=TriggerSource.BID_ASK,
        )  # fmt: skip
        hold(kernel, create(kernel, terms))
        kernel.journal.take()
        start = mono_ns()
        events = handle(decode(frame, START_NS))  # type: ignore[arg-type]
        taken.append(mono_ns() - start)
        assert len(events) == 2
    gc.unfreeze()
    return _spread(taken)


def _raise(error: Exception) -> None:
    raise error
