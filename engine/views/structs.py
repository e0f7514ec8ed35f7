"""The shapes of the views. Times are ns UTC on the engine's clock; texts are ready to draw, unaligned."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from engine.model.account import RiskLimits
from engine.views.base import ViewBase
from engine.views.inbox import SignalDetailView, SignalsView
from engine.views.stages import LatencyView


class Mode(StrEnum):
    """What the engine will still do."""

    OK = "ok"
    EXITS_ONLY = "exits_only"
    READ_ONLY = "read_only"


REHEARSAL = "REHEARSAL, BAD LINE"
"""What every screen says beside the environment while orders go over a bad line to a simulated exchange."""


class StreamView(Struct, frozen=True):
    """One feed stream: state is one of engine.model.market.StreamState; `age_ns` None before the first message."""

    instrument: str
    stream: str
    state: str
    age_ns: int | None
    detail: str = ""


class InstrumentView(Struct, frozen=True):
    """What a ticket needs to know of an instrument."""

    id: str
    symbol: str
    base: str
    quote: str
    tick: str
    step: str
    min_size: str
    min_notional: str
    max_leverage: int
    leverage: int
    price_places: int
    size_places: int


class StatusView(ViewBase, frozen=True):
    """Topic `status`: what every screen's header says."""

    env: str
    feed: str
    prices: str
    """What the prices are, e.g. "SIMULATED PRICES"."""
    mode: Mode
    mode_reason: str
    kill: bool
    kill_reason: str
    seq: int
    durable_seq: int
    epoch: int
    account: str
    asset: str
    equity: str | None
    day_pnl: str | None
    day_pnl_sign: int
    hand: str
    """Screen that holds the trading hand, empty when nobody does."""
    armed: bool
    screens: int
    ticks_per_second: int
    dropped: int
    ledger: str
    recovery: str
    """The recovery line of this start, empty when there was nothing to recover."""
    recording: str
    paused: bool
    open_positions: int
    open_orders: int
    instruments: tuple[InstrumentView, ...]
    streams: tuple[StreamView, ...]
    unknown: tuple[str, ...] = ()
    """Orders of unknown outcome, oldest first: id, evidence trail, worst case."""
    differs: tuple[str, ...] = ()
    """Positions that the venue states otherwise."""
    approvals: int = 0
    """Signals that wait for a person."""
    webhook: str = ""
    """Where signals are taken, e.g. 127.0.0.1:8787; empty where they are not."""
    mailbox: bool = False
    """Signals are read from a mailbox."""
    waiting: int = 0
    """Signals that are not done: they wait for a person, a flat position, their turn or the next try."""
    rehearsal: bool = False
    """Orders go over a bad line to a simulated exchange."""
    ended_ns: int = 0
    """When the recording that is played came to its end; 0 before, and where none is."""


class BookRow(Struct, frozen=True):
    """A level: texts for the numbers, `bar` = its size as a fraction of the largest shown, `own` = our size resting there."""

    price: str
    size: str
    total: str
    bar: float
    own: str = ""


class BookView(ViewBase, frozen=True):
    """Topic `book:<instrument>`: best first on both sides."""

    instrument: str
    symbol: str
    bids: tuple[BookRow, ...]
    asks: tuple[BookRow, ...]
    spread: str | None
    spread_bps: str | None
    mark: str | None
    index: str | None
    last: str | None
    last_side: int
    """+1 the last trade lifted the ask, -1 it hit the bid, 0 unknown."""
    funding: str | None
    next_funding_ns: int | None
    age_ns: int | None
    stale: bool
    stale_from_ns: int = RiskLimits().max_data_age_ns
    """Age from which it is stale, for when no newer view comes."""


class Candle(Struct, frozen=True, array_like=True):
    """Open time (ns), open, high, low, close, volume (base units)."""

    time_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class ChartLine(Struct, frozen=True):
    """A price drawn across the chart; kind is entry | tp | sl | liq | order."""

    kind: str
    price: float
    label: str


class ChartView(ViewBase, frozen=True):
    """Topic `chart:<instrument>:<seconds>`: oldest candle first, the last one still forming."""

    instrument: str
    symbol: str
    seconds: int
    price_places: int
    candles: tuple[Candle, ...]
    lines: tuple[ChartLine, ...]
    mark: float | None
    stale: bool


class PositionRow(Struct, frozen=True):
    """One open position; `exit` is what the opposite side of the book would give for all of it."""

    id: str
    instrument: str
    symbol: str
    side: str
    """L or S."""
    size: str
    notional: str | None
    entry: str
    mark: str | None
    upnl: str | None
    upnl_sign: int
    upnl_pct: str | None
    leverage: int
    margin: str
    margin_left: str | None
    """What is left of its margin above what liquidates it, percent of margin."""
    liquidation: str | None
    take_profit: str | None
    stop_loss: str | None
    opened_ns: int
    realised: str
    stale: bool
    differs: str = ""
    """What the venue states where that is another size; empty where they agree."""
    break_even: str | None = None
    """Where a stop loses nothing, taker fees of both ways counted."""


class PositionsView(ViewBase, frozen=True):
    """Topic `positions`."""

    rows: tuple[PositionRow, ...]


class OrderRow(Struct, frozen=True):
    """One working order; `where` is local (held here) or venue."""

    id: str
    instrument: str
    symbol: str
    side: str
    type: str
    role: str
    size: str
    filled: str
    price: str | None
    trigger: str | None
    distance: str | None
    """From the market to its price or trigger, percent."""
    status: str
    tif: str
    reduce_only: bool
    where: str
    created_ns: int
    owner: str
    reason: str
    evidence: str = ""
    """Of an unknown outcome: how often it was asked for, since when there is silence, the worst case."""


class OrdersView(ViewBase, frozen=True):
    """Topic `orders`: at most the 500 nearest to the market, `total` counts all."""

    rows: tuple[OrderRow, ...]
    total: int


class TradeRow(Struct, frozen=True):
    """One closed position."""

    id: str
    instrument: str
    symbol: str
    side: str
    size: str
    entry: str
    exit: str
    net: str
    net_sign: int
    net_pct: str | None
    """Net PnL as a percentage of the margin it used."""
    fees: str
    funding: str
    reason: str
    opened_ns: int
    closed_ns: int


class TradesView(ViewBase, frozen=True):
    """Topic `trades`: closed positions, newest first, at most 200."""

    rows: tuple[TradeRow, ...]


class BalanceRow(Struct, frozen=True):
    """Money of one asset."""

    asset: str
    wallet: str
    equity: str | None
    free: str
    margin: str
    reserved: str
    upnl: str | None


class BalanceView(ViewBase, frozen=True):
    """Topic `balance`: `equity_line` oldest first."""

    rows: tuple[BalanceRow, ...]
    day_pnl: str | None
    day_pnl_sign: int
    equity_line: tuple[float, ...]


class LogLine(Struct, frozen=True):
    """One event in words; level is info | good | warn | error; seq 0 for what is not in the ledger."""

    seq: int
    time_ns: int
    level: str
    code: str
    text: str


class LogView(ViewBase, frozen=True):
    """Topic `log`: the last lines, oldest first."""

    lines: tuple[LogLine, ...]


class PriceRow(Struct, frozen=True):
    """What an event recorded of a market; `seq` 0 where no event did, `age_ns` None where its age is not known."""

    instrument: str
    symbol: str
    bid: str | None
    ask: str | None
    mark: str | None
    age_ns: int | None
    seq: int


class PricesView(ViewBase, frozen=True):
    """Topic `prices` of a recorded desk: the last recorded price of each instrument."""

    rows: tuple[PriceRow, ...]


class TravelView(ViewBase, frozen=True):
    """Topic `travel` of a recorded desk: which moment is shown, of what. `time_ns` is the moment itself."""

    seq: int
    event_ns: int
    """When event `seq` happened; the moment may be later."""
    event: str
    """It in words."""
    epoch: int
    first_ns: int
    last_seq: int
    last_ns: int
    valued_ns: int | None = None
    """Of when the prices are that positions and equity are valued with: None with nothing open, 0 where not known."""
    fills: tuple[float, ...] = ()
    """Where fills lie between the first event (0.0) and the last (1.0)."""
    starts: tuple[float, ...] = ()
    """Where engines started."""
    verified: int = 0
    """Events verified from the first on so far."""
    damage: str = ""
    """Why history ends at `last_seq`; empty where the ledger is whole as far as it was read."""


class Preview(Struct, frozen=True):
    """What a command would do, in numbers. Sending is allowed only while `errors` is empty."""

    title: str
    rows: tuple[tuple[str, str], ...]
    """(label, value) in reading order."""
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    entry: bool = False
    """Adds exposure: needs the hand, arm, fresh prices and no kill switch."""


View = (
    StatusView
    | BookView
    | ChartView
    | PositionsView
    | OrdersView
    | TradesView
    | BalanceView
    | LatencyView
    | LogView
    | PricesView
    | TravelView
    | SignalsView
    | SignalDetailView
)
