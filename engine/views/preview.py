"""What a command would do, in numbers a person can check before Enter: from the same plan the engine would carry out."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from engine.core.amending import plan_amend
from engine.core.arming import trailed
from engine.core.cancelling import in_scope
from engine.core.desk import Desk
from engine.core.doubts import not_attestable
from engine.core.intents import account_of, closing_size
from engine.core.kernel import Kernel
from engine.core.margin import after_fill
from engine.core.plan import sweep, trail_distance
from engine.core.positions import apply_fill, even_stop
from engine.core.protecting import protection_refusal
from engine.core.risk import not_carried
from engine.core.rounding import Refusal, round_stop, round_take_profit
from engine.core.sanity import malformed
from engine.core.unknown import live_order, unknown
from engine.model import command as cmd
from engine.model.account import Position
from engine.model.instrument import Instrument
from engine.model.market import Side
from engine.model.money import ZERO, round_fee
from engine.model.order import Order, Role
from engine.views import format as fmt
from engine.views.approval import approve, decline, replay
from engine.views.placing import Rows, age_row, exit_text, liquidation_text, named, place
from engine.views.structs import Preview
from engine.views.tables import stale, trail


def preview(desk: Desk, command: cmd.AnyCommand, now_ns: int) -> Preview:
    """The consequences of a command at this moment; changes nothing."""
    account = account_of(desk.kernel, command, desk.account)
    if account not in desk.state.accounts:
        return Preview("refused", (), (f"account: {account!r} is not there",))
    refusal = malformed(command)
    if refusal is not None:
        return Preview(_words(command), (), (refusal.message,))
    return _build(desk.kernel, account, command, now_ns)


def _build(kernel: Kernel, account: str, command: cmd.AnyCommand, now_ns: int) -> Preview:
    return _BUILDERS[type(command)](kernel, account, command, now_ns)


def _close(kernel: Kernel, account: str, command: cmd.ClosePosition, now_ns: int) -> Preview:
    position = kernel.state.positions.get(command.position)
    if position is None:
        return Preview("close", (), (f"position {command.position} is not open (any more)",))
    instrument = kernel.instrument(position.instrument)
    size = closing_size(kernel, position, command.fraction)
    side = Side.SELL if position.size > 0 else Side.BUY
    title = f"CLOSE {command.fraction:.0%} of {named(instrument, position)} {instrument.symbol}"
    if size <= ZERO:
        return Preview(title, (), (f"{command.fraction:.0%} of {position.size} is below the step {instrument.step}",))
    if refusal := not_carried(kernel, account, kernel.market(instrument.id)):
        return Preview(title, (), (refusal.message,))
    rows: Rows = [("order", f"{side} {fmt.size(instrument, size)} MARKET, reduce-only")]
    warnings: list[str] = []
    rows.extend(_closing_rows(kernel, instrument, position, size, warnings))
    rows.append(age_row(kernel, instrument, now_ns))
    if stale(kernel, position.instrument, now_ns):
        warnings.append("the price is stale: the fill may be far from what is shown")
    return Preview(title, tuple(rows), (), tuple(warnings))


def _closing_rows(
    kernel: Kernel, instrument: Instrument, position: Position, size: Decimal, warnings: list[str]
) -> Rows:
    side = Side.SELL if position.size > 0 else Side.BUY
    taken, value, worst = sweep(kernel.market(instrument.id).book, side, size)
    if not taken:
        warnings.append("no price yet: the order waits at the venue for one")
        return []
    average = value / taken
    fee = round_fee(value * instrument.taker_fee)
    after, realised = apply_fill(position, taken * side.sign, average)
    rows: Rows = [
        ("expected", f"{fmt.price(instrument, average)}, worst {fmt.price(instrument, worst)}"),
        (
            "PnL",
            f"{fmt.signed(realised)} {instrument.settle_asset}, {fmt.signed(realised - fee)} after the fee of {fee:.4f}",
        ),
        ("position", f"{named(instrument, position)} -> {named(instrument, after)}"),
        ("margin back", f"{fmt.money(position.margin - after.margin)} {instrument.settle_asset}"),
    ]
    insurance = fee - realised - (position.margin - after.margin)
    if insurance > ZERO:
        rows.append(
            ("insurance", f"{fmt.signed(insurance)} {instrument.settle_asset}, beyond the margin nothing is lost")
        )
    if taken < size:
        warnings.append(f"the visible book takes {taken}; the rest stays open")
    return rows


def _protect(kernel: Kernel, account: str, command: cmd.SetProtection, now_ns: int) -> Preview:
    position = kernel.state.positions.get(command.position)
    if position is None:
        return Preview("protect", (), (f"position {command.position} is not open (any more)",))
    instrument = kernel.instrument(position.instrument)
    closing = Side.SELL if position.size > 0 else Side.BUY
    take, stop = command.take_profit, command.stop_loss
    now = kernel.market(position.instrument).price_of(command.source, closing)
    rows: Rows = []
    if take is not None:
        take = round_take_profit(instrument, closing, take)
        rows.append(("take profit", exit_text(instrument, position, take)))
    if stop is not None:
        stop = round_stop(instrument, closing, stop)
        rows.append(("stop loss", exit_text(instrument, position, stop)))
    if command.trail_bps is not None:
        rows.append(("trailing stop", f"{command.trail_bps} bps behind the best {command.source}"))
        if now is not None:
            first = trailed(instrument, closing, now, command.trail_bps)
            rows.append(("first trigger", exit_text(instrument, position, first)))
    rows.append(("liquidation", liquidation_text(instrument, position)))
    rows.append(age_row(kernel, instrument, now_ns))
    refusal = trail_distance(instrument, now, command.trail_bps) or protection_refusal(
        kernel, position, command.source, take, stop
    )
    warnings: tuple[str, ...] = ()
    if stop is None and command.trail_bps is None:
        warnings = ("this leaves the position without a stop loss",)
    elif stop is not None:
        warnings = _short_of_fees(instrument, position, stop)
    title = f"PROTECT {named(instrument, position)} {instrument.symbol}"
    return Preview(title, tuple(rows), () if refusal is None else (refusal.message,), warnings)


def _short_of_fees(instrument: Instrument, position: Position, stop: Decimal) -> tuple[str, ...]:
    """A stop at the entry or a little better still loses the fees of both ways (P8)."""
    even = even_stop(instrument, position)
    if position.entry is None or even is None:
        return ()
    if not (position.entry - stop) * position.sign <= ZERO < (even - stop) * position.sign:
        return ()
    covered = fmt.price(instrument, even)
    return (f"this stop does not cover the fees of both ways: break-even with taker fees is {covered}",)


def _orders_rows(kernel: Kernel, orders: list[Order]) -> Rows:
    rows: Rows = []
    for order in orders[:8]:
        instrument = kernel.instrument(order.terms.instrument)
        level = order.price if order.price is not None else order.trigger
        at = fmt.price(instrument, level) or "market"
        size = fmt.size(instrument, order.remaining)
        rows.append((f"{order.terms.side} {instrument.symbol}", f"{size} {order.terms.type.replace('_', ' ')} {at}"))
    if len(orders) > 8:
        rows.append(("and", f"{len(orders) - 8} more"))
    return rows


def _unprotected(orders: list[Order]) -> tuple[str, ...]:
    stops = sum(order.terms.role in (Role.STOP_LOSS, Role.TRAILING) for order in orders)
    if not stops:
        return ()
    if len(orders) == 1:
        return ("this is a stop loss order: its position stays open without it",)
    whose = "the position it guards stays" if stops == 1 else "the positions they guard stay"
    return (f"{fmt.count(stops, 'stop loss order')} among these: {whose} open without a stop loss",)


def _cancel(kernel: Kernel, account: str, command: cmd.CancelOrder, now_ns: int) -> Preview:
    order = kernel.state.orders.get(command.order)
    if order is None:
        return Preview("cancel", (), (f"order {command.order} is not working (any more)",))
    return Preview(f"CANCEL {order.terms.id}", tuple(_orders_rows(kernel, [order])), (), _unprotected([order]))


def _cancel_all(kernel: Kernel, account: str, command: cmd.CancelAll, now_ns: int) -> Preview:
    orders = [o for o in kernel.state.orders.values() if in_scope(o, command, account)]
    where = (
        kernel.instrument(command.instrument).symbol
        if command.instrument in kernel.state.instruments
        else "all symbols"
    )
    title = f"CANCEL {command.scope} of {where}: {fmt.count(len(orders), 'order')}"
    errors = () if orders else ("there is nothing to cancel",)
    return Preview(title, tuple(_orders_rows(kernel, orders)), errors, _unprotected(orders))


def _flatten(kernel: Kernel, account: str, command: cmd.FlattenAll, now_ns: int) -> Preview:
    positions = [p for p in kernel.state.positions.values() if p.account == account]
    orders = [o for o in kernel.state.orders.values() if o.terms.account == account]
    rows: Rows = []
    warnings: list[str] = []
    for position in positions:
        instrument = kernel.instrument(position.instrument)
        rows.append((instrument.symbol, f"close {named(instrument, position)} at market"))
        rows.extend(_closing_rows(kernel, instrument, position, abs(position.size), warnings)[:2])
        if stale(kernel, position.instrument, now_ns):
            warnings.append(f"the price of {instrument.symbol} is stale")
    rows.append(("cancel", fmt.count(len(orders), "working order")))
    errors = () if positions or orders else ("there is nothing open",)
    return Preview(f"FLATTEN ALL: {fmt.count(len(positions), 'position')}", tuple(rows), errors, tuple(warnings))


def _kill(kernel: Kernel, account: str, command: cmd.SetKill, now_ns: int) -> Preview:
    state = kernel.state
    entries = sum(not order.terms.reduce_only for order in state.orders.values())
    rows: Rows = [
        ("positions", f"{len(state.positions)} open, nothing is closed"),
        ("exits", f"{len(state.orders) - entries}, stops and targets go on working"),
        ("entries", f"{entries} working" + (", left at the venue" if command.on else "")),
        ("new entries", "refused until it is lifted" if command.on else "allowed again"),
        ("closes", "always work"),
    ]
    errors = (f"the kill switch is {'on' if command.on else 'off'} already",) if state.kill == command.on else ()
    return Preview(f"KILL SWITCH {'ON' if command.on else 'OFF'}", tuple(rows), errors)


def _amend(kernel: Kernel, account: str, command: cmd.AmendOrder, now_ns: int) -> Preview:
    order = kernel.state.orders.get(command.order)
    if order is None:
        return Preview("amend", (), (f"order {command.order} is not working (any more)",))
    terms = order.terms
    instrument = kernel.instrument(terms.instrument)
    title = f"AMEND {terms.id} {terms.side} {instrument.symbol} {terms.type.replace('_', ' ')}"
    planned = plan_amend(kernel, account, command)
    if isinstance(planned, Refusal):
        asked = _changes(order, command.price, command.trigger, command.size)
        return Preview(title, tuple(asked), (planned.message,), entry=not terms.reduce_only)
    rows = _changes(order, planned.price, planned.trigger, planned.size)
    if planned.aside != order.reserve:
        before, after = fmt.money(order.reserve), fmt.money(planned.aside)
        rows.append(("margin and fees set aside", f"{before} -> {after} {instrument.settle_asset}"))
    rows.append(age_row(kernel, instrument, now_ns))
    held = kernel.state.position_of(account, instrument.id, terms.leg)
    level = planned.trigger or planned.price or order.trigger or order.price
    if terms.reduce_only and held is not None and held.size and level is not None:
        left = (planned.size or order.size) - order.filled
        rows.append(("closes at", exit_text(instrument, held, level, left)))
    return Preview(title, tuple(rows), entry=not terms.reduce_only)


def _changes(order: Order, price: Decimal | None, trigger: Decimal | None, size: Decimal | None) -> Rows:
    levels = (("price", order.price, price), ("trigger", order.trigger, trigger), ("size", order.size, size))
    return [(label, f"{before} -> {after}") for label, before, after in levels if after is not None]


def _attest(kernel: Kernel, account: str, command: cmd.AttestOrder, now_ns: int) -> Preview:
    order = live_order(kernel, account, command.order)
    if order is None:
        return Preview("attest", (), (unknown("order", command.order, kernel.state.orders).message,))
    instrument = kernel.instrument(order.terms.instrument)
    terms = order.terms
    title = f"ATTEST {order.id}: {terms.side} {fmt.size(instrument, order.at_worst)} {instrument.symbol}"
    rows: Rows = [("known", trail(kernel, order) or order.status)]
    if refusal := not_attestable(kernel, order, command):
        return Preview(title, tuple(rows), (refusal.message,))
    asset = instrument.settle_asset
    held = kernel.state.position_of(account, instrument.id, terms.leg)
    if command.filled and command.price is not None:
        at, size = fmt.price(instrument, command.price), fmt.size(instrument, command.filled)
        fee = round_fee(command.price * command.filled * instrument.taker_fee)
        leverage = kernel.leverage(account, instrument.id)
        after = after_fill(instrument, account, held, terms.side, command.filled, command.price, leverage)
        rows.append(("booked", f"{size} filled @ {at}, fee {fee:.4f} {asset} (taker)"))
        rows.append(("position", f"{named(instrument, held)} -> {named(instrument, after)}"))
    else:
        rows.append(("booked", "nothing: it never arrived"))
        rows.append(("position", f"{named(instrument, held)}, unchanged"))
    rows.append(("order", "ends; the venue is not asked about it any more"))
    if order.reserve:
        rows.append(("margin back", f"{fmt.money(order.reserve)} {asset} no longer set aside"))
    rows.append(("reason", command.reason))
    warnings = [
        "your word, not the venue's: recorded with the reason; of fills it reports later, only what is more is booked"
    ]
    evidence = kernel.state.unknown.get(order.id)
    if evidence is not None and evidence.ended is not None and order.filled + command.filled != evidence.filled:
        warnings.insert(
            0, f"the venue itself says {evidence.ended} with {evidence.filled:f} filled: this contradicts it"
        )
    return Preview(title, tuple(rows), (), tuple(warnings))


def _words(command: cmd.AnyCommand) -> str:
    """What a command is called: PlaceOrder is "PLACE ORDER"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(command).__name__).upper()


def _plain(kernel: Kernel, account: str, command: Any, now_ns: int) -> Preview:
    """Commands whose fields say all there is."""
    rows = tuple(
        (name.replace("_", " "), str(value))
        for name, value in msgspec.structs.asdict(command).items()
        if name not in ("request_id", "owner", "account")
    )
    return Preview(_words(command), rows, entry=isinstance(command, cmd.SetLeverage))


_BUILDERS: dict[type, Callable[[Kernel, str, Any, int], Preview]] = {
    cmd.PlaceOrder: place,
    cmd.ClosePosition: _close,
    cmd.SetProtection: _protect,
    cmd.CancelOrder: _cancel,
    cmd.CancelAll: _cancel_all,
    cmd.FlattenAll: _flatten,
    cmd.SetKill: _kill,
    cmd.AmendOrder: _amend,
    cmd.AttestOrder: _attest,
    cmd.ApproveSignal: lambda kernel, account, command, now_ns: approve(kernel, command, now_ns, _build),
    cmd.DeclineSignal: lambda kernel, account, command, now_ns: decline(kernel, command, now_ns),
    cmd.ReplaySignal: lambda kernel, account, command, now_ns: replay(kernel, command),
    cmd.SetLeverage: _plain,
    cmd.AdjustMargin: _plain,
    cmd.Deposit: _plain,
    cmd.ResetAccount: _plain,
}
