"""The signal inbox as screens see it: what came, what waits, what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from heapq import nlargest, nsmallest

from msgspec import Struct

from engine.core.state import SignalRecord, State
from engine.core.translate import ENTERS
from engine.model.event import SignalReceived
from engine.model.signal import Policy, QuantityUnit, Signal, Verdict, WaitsFor
from engine.views import format as fmt
from engine.views.inbox import SignalDetailView, SignalRow, SignalsView, SourceRow
from engine.views.stages import LatencyTrace

ROWS = 200
MINUTE_NS = 60_000_000_000
WAITING, ACCEPTED = "waiting", "accepted"
REASONS = 3


class Heard(Struct, frozen=True):
    """What the intake knows of a source: when it was last heard, what it refused by code, for how long it does not listen."""

    last_ns: int = 0
    refused: Mapping[str, int] = {}
    quarantined_s: float = 0.0


def signals_view(state: State, now_ns: int, took: Mapping[str, float], heard: Mapping[str, Heard]) -> SignalsView:
    """The inbox. `took`: microseconds by signal. `heard`: by source."""
    total = len(state.signals) + len(state.signals_ended)
    newest = nlargest(ROWS, _records(state), key=lambda record: record.seq)
    rows = {record.signal.id: signal_row(state, record, took.get(record.signal.id)) for record in newest}
    # What waits for a person is among them however much came since: as many again, those that expire first.
    asked = list(_asked(state))
    for record in nsmallest(ROWS, asked, key=lambda record: record.until_ns):
        if record.signal.id not in rows:
            rows[record.signal.id] = signal_row(state, record, took.get(record.signal.id))
    return SignalsView(now_ns, tuple(rows.values()), total, len(asked), _sources(state, now_ns, heard))


def approvals(state: State) -> int:
    """How many signals wait for a person."""
    return sum(1 for _ in _asked(state))


def _asked(state: State) -> Iterator[SignalRecord]:
    return (record for record in state.signals.values() if record.waits is WaitsFor.APPROVAL)


def signal_row(state: State, record: SignalRecord, took: float | None) -> SignalRow:
    """One signal."""
    signal = record.signal
    return SignalRow(
        id=signal.id,
        received_ns=record.received_ns,
        source=signal.source,
        mode=str(record.policy.mode),
        path=signal.path,
        action=str(signal.action),
        symbol=signal.symbol,
        quantity=_quantity(state, record),
        status=str(record.verdict) if record.verdict else WAITING if record.waits else ACCEPTED,
        waits=str(record.waits or ""),
        until_ns=record.until_ns if record.waits else 0,
        attempt=record.attempt,
        code=record.code,
        message=record.message,
        took=took,
        orders=record.orders,
        entry=signal.action in ENTERS,
        test=signal.test,
    )


def detail_view(
    state: State,
    now_ns: int,
    record: SignalRecord,
    received: SignalReceived,
    trace: LatencyTrace | None,
    no_replay: str,
) -> SignalDetailView:
    """One signal. `received` is its event; `no_replay` says why it cannot be replayed."""
    return SignalDetailView(
        time_ns=now_ns,
        row=signal_row(state, record, sum(span.took for span in trace.spans) if trace is not None else None),
        key=record.signal.key,
        exchange=record.signal.exchange,
        terms=(*_terms(record.signal), *_policy(record.policy)),
        body=received.body,
        checks=received.checks,
        trace=trace,
        orders=tuple(_order(state, order) for order in record.orders),
        no_replay=no_replay,
    )


def _records(state: State) -> Iterable[SignalRecord]:
    yield from state.signals.values()
    yield from state.signals_ended.values()


def _quantity(state: State, record: SignalRecord) -> str:
    signal, instrument = record.signal, state.instruments.get(record.instrument)
    asset = instrument.settle_asset if instrument is not None else ""
    return quantity_text(signal.action, str(signal.quantity), signal.unit, asset)


def quantity_text(action: str, quantity: str, unit: str, asset: str) -> str:
    """A quantity with what it counts; empty of a CLOSE."""
    if action not in ENTERS:
        return ""
    text = f"{Decimal(quantity).normalize():f}"
    match unit:
        case QuantityUnit.BASE:
            return text
        case QuantityUnit.CONTRACTS:
            return f"{text} ct"
        case _:
            return f"{text} {asset or 'quote'}"


def _terms(signal: Signal) -> tuple[tuple[str, str], ...]:
    price = "" if signal.price is None else f" {signal.price:f}"
    leverage = "" if signal.leverage is None else f", {signal.leverage}x"
    exits = (("TP", signal.take_profit), ("SL", signal.stop_loss))
    named = ", ".join(f"{name} {level:f}" for name, level in exits if level is not None)
    return (
        ("order", f"{signal.type.replace('_', ' ').lower()}{price}{leverage}"),
        *((("exits", named),) if named else ()),
    )


def _policy(policy: Policy) -> tuple[tuple[str, str], ...]:
    limits = (
        ("same side", str(policy.same_side)),
        ("opposite", str(policy.opposite)),
        ("most a trade", f"{policy.max_notional:f}" if policy.max_notional is not None else ""),
        ("orders an hour", str(policy.orders_per_hour or "")),
    )
    return (("mode", str(policy.mode)), ("policy", ", ".join(f"{name} {value}" for name, value in limits if value)))


def _order(state: State, order_id: str) -> str:
    order = state.find_order(order_id)
    if order is None:
        return f"{order_id}  ended long ago: the ledger has it"
    terms, instrument = order.terms, state.instruments[order.terms.instrument]
    level = order.price if order.price is not None else order.trigger
    at = f" {fmt.price(instrument, level)}" if level is not None else ""
    filled = (
        f", {fmt.size(instrument, order.filled)} filled @ {fmt.price(instrument, order.average)}"
        if order.filled
        else ""
    )
    why = f": {order.reason}" if order.reason else ""
    kind = terms.type.replace("_", " ").lower()
    size = fmt.size(instrument, order.size)
    return f"{order_id}  {terms.side.lower()} {size} {instrument.symbol} {kind}{at}, {order.status}{filled}{why}"


def _sources(state: State, now_ns: int, heard: Mapping[str, Heard]) -> tuple[SourceRow, ...]:
    by_source: dict[str, list[SignalRecord]] = {name: [] for name in heard if name}
    for record in _records(state):
        by_source.setdefault(record.signal.source, []).append(record)
    return tuple(_source(name, by_source[name], now_ns, heard.get(name, Heard())) for name in sorted(by_source))


def _source(name: str, records: list[SignalRecord], now_ns: int, heard: Heard) -> SourceRow:
    codes = dict(heard.refused)
    for record in records:
        if record.verdict is Verdict.REFUSED:
            codes[record.code] = codes.get(record.code, 0) + 1
    worst = nlargest(REASONS, codes.items(), key=lambda item: item[1])
    return SourceRow(
        name=name,
        last_ns=max([heard.last_ns, *(record.received_ns for record in records)]),
        per_minute=sum(now_ns - record.received_ns < MINUTE_NS for record in records),
        accepted=sum(record.verdict is not Verdict.REFUSED for record in records),
        refused=sum(codes.values()),
        quarantined_s=heard.quarantined_s,
        refusals=", ".join(f"{code} {count}" for code, count in worst),
    )
