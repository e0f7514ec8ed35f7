"""What a command would do, in numbers a person can check before Enter: from the same plan the engine would carry out."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from engine.core.desk import Desk
from engine.core.doubts import not_attestable
from engine.core.intents import closing_size
from engine.core.kernel import Kernel
from engine.core.margin import with_liquidation
from engine.core.plan import Plan, hypothetical, plan_order, sweep
from engine.core.positions import apply_fill, split_fill
from engine.core.protecting import protection_refusal
from engine.core.risk import not_carried
from engine.core.rounding import round_stop, round_take_profit
from engine.core.sanity import malformed
from engine.core.unknown import live_order, unknown
from engine.core.working import in_scope
from engine.model import command as cmd
from engine.model.account import Position
from engine.model.instrument import Instrument
from engine.model.market import Side
from engine.model.money import ZERO, round_fee
from engine.model.order import Order, OrderType, Role
from engine.views import format as fmt
from engine.views.approval import approve, decline, replay
from engine.views.structs import Preview
from engine.views.tables import stale, trail

Rows = list[tuple[str, str]]


def preview(desk: Desk, command: cmd.AnyCommand, now_ns: int) -> Preview:
    """The consequences of a command at this moment; changes nothing."""
    account = command.account or desk.account
    if account not in desk.state.accounts:
        return Preview("refused", (), (f"account: {account!r} is not there",))
    refusal = malformed(command)
    if refusal is not None:
        return Preview(type(command).__name__, (), (refusal.message,))
    return _build(desk.kernel, account, command, now_ns)


def _build(kernel: Kernel, account: str, command: cmd.AnyCommand, now_ns: int) -> Preview:
    return _BUILDERS[type(command)](kernel, account, command, now_ns)


def _place(kernel: Kernel, account: str, command: cmd.PlaceOrder, now_ns: int) -> Preview:
    if command.instrument not in kernel.state.instruments:
        return Preview("order", (), (f"instrument: {command.instrument!r} is not known",))
    instrument = kernel.instrument(command.instrument)
    plan = plan_order(kernel, account, command)
    kind = command.type.replace("_", " ")
    only = "REDUCE-ONLY " if command.reduce_only else ""
    # Refused before it was rounded it has no size of its own: then what was asked for is shown.
    size = fmt.size(instrument, plan.size) if plan.size else f"{command.size:f}"
    title = f"{command.side} {size} {instrument.symbol}  {only}{kind}"
    rows: Rows = []
    warnings: list[str] = []
    if plan.expected is not None:
        rows.extend(_price_rows(kernel, instrument, command, plan, warnings))
        rows.extend(_result_rows(kernel, account, instrument, command, plan, warnings))
    else:
        rows.extend(_asked_rows(command))
    rows.append(_age_row(kernel, instrument, now_ns))
    if not command.reduce_only and plan.stop_loss is None and plan.leverage >= 20:
        warnings.append(
            f"{plan.leverage}x without a stop loss: a move of about {100 / plan.leverage:.1f}% liquidates it"
        )
    errors = () if plan.refusal is None else (plan.refusal.message,)
    return Preview(title, tuple(rows), errors, tuple(warnings), entry=not command.reduce_only)


def _asked_rows(command: cmd.PlaceOrder) -> Rows:
    """What was asked for, as it was typed: nothing could be reckoned from it."""
    asked = {
        "limit": command.price,
        "trigger": command.trigger,
        "trails by": command.trail_offset,
        "trails by, bps": command.trail_bps,
        "leverage": command.leverage,
        "take profit": command.take_profit,
        "stop loss": command.stop_loss,
    }
    return [
        (label, f"{value:f}" if isinstance(value, Decimal) else str(value)) for label, value in asked.items() if value
    ]


def _price_rows(
    kernel: Kernel, instrument: Instrument, command: cmd.PlaceOrder, plan: Plan, warnings: list[str]
) -> Rows:
    assert plan.expected is not None
    rows: Rows = []
    if plan.trigger is not None:
        word = "activates at" if command.type.trails else "triggers at"
        rows.append((word, f"{fmt.price(instrument, plan.trigger)} ({command.source})"))
    if command.type.trails:
        distance = f"{command.trail_bps} bps" if command.trail_bps is not None else f"{command.trail_offset}"
        rows.append(("trails by", distance))
    if plan.price is not None:
        rows.append(
            (
                "limit",
                f"{fmt.price(instrument, plan.price)} {command.tif}" + (" post-only" if command.post_only else ""),
            )
        )
    if command.type is OrderType.MARKET:
        market = kernel.market(instrument.id)
        best = market.taker_price(command.side)
        taken, _, _ = sweep(market.book, command.side, plan.size)
        slip = ZERO if not best else (plan.expected - best) * command.side.sign / best * 10_000
        rows.append(("expected", f"{fmt.price(instrument, plan.expected)}  ({slip:z.2f} bps from the best price)"))
        if taken < plan.size:
            warnings.append(f"the visible book holds {taken}; the rest would be cancelled")
    rows.append(("notional", f"{fmt.money(plan.size * plan.expected)} {instrument.quote}"))
    resting = command.post_only or (command.type.has_price and plan.expected == plan.price)
    rate = instrument.maker_fee if resting else instrument.taker_fee
    fee = round_fee(plan.size * plan.expected * rate)
    rows.append(
        ("fee", f"{fee:.4f} {instrument.settle_asset}  ({'maker' if resting else 'taker'} {rate * 10_000:.1f} bps)")
    )
    return rows


def _result_rows(
    kernel: Kernel, account: str, instrument: Instrument, command: cmd.PlaceOrder, plan: Plan, warnings: list[str]
) -> Rows:
    assert plan.expected is not None
    held = kernel.state.position_of(account, instrument.id)
    after = _after(instrument, account, held, command.side, plan.size, plan.expected, plan.leverage)
    rows: Rows = [("position", f"{_named(instrument, held)} -> {_named(instrument, after)}")]
    if held is not None and held.size * after.size < 0:
        warnings.append("this flips the position")
    wallet = kernel.state.accounts[account]
    asset = instrument.settle_asset
    if not command.reduce_only and plan.reserve:
        rows.append(
            (
                "margin",
                f"{fmt.money(plan.reserve)} {asset} reserved at {plan.leverage}x, {fmt.money(wallet.free(asset))} free",
            )
        )
    if after.size:
        rows.append(("liquidation", fmt.price(instrument, after.liquidation) or "none"))
    if plan.take_profit is not None:
        rows.append(("take profit", _exit_text(instrument, after, plan.take_profit)))
    if plan.stop_loss is not None:
        rows.append(("stop loss", _exit_text(instrument, after, plan.stop_loss)))
    return rows


def _after(
    instrument: Instrument,
    account: str,
    held: Position | None,
    side: Side,
    size: Decimal,
    price: Decimal,
    leverage: int,
) -> Position:
    """The position as it would be after a fill of all at a price."""
    position = held
    for part in split_fill(held, side, size, ZERO):
        if part.closing and position is not None:
            position, _ = apply_fill(position, part.size * side.sign, price)
        elif position is None or not position.size:
            position = hypothetical(instrument, account, side, part.size, price, leverage)
        else:
            position, _ = apply_fill(position, part.size * side.sign, price)
    return with_liquidation(instrument, position) if position is not None else Position("", account, instrument.id)


def _named(instrument: Instrument, position: Position | None) -> str:
    if position is None or not position.size:
        return "flat"
    word = "long" if position.size > 0 else "short"
    return f"{word} {fmt.size(instrument, position.size)} @ {fmt.price(instrument, position.entry)}"


def _exit_text(instrument: Instrument, position: Position, level: Decimal) -> str:
    pnl = position.unrealised(level)
    return f"{fmt.price(instrument, level)}  ({fmt.signed(pnl)} {instrument.settle_asset})"


def _age_row(kernel: Kernel, instrument: Instrument, now_ns: int) -> tuple[str, str]:
    quote = kernel.market(instrument.id).quote
    if quote is None:
        return ("price age", "no price yet")
    seconds = max(0, now_ns - quote.time_ns) / 1e9
    return ("price age", f"{seconds:.1f} s" + ("  STALE" if stale(kernel, instrument.id, now_ns) else ""))


def _close(kernel: Kernel, account: str, command: cmd.ClosePosition, now_ns: int) -> Preview:
    position = kernel.state.positions.get(command.position)
    if position is None:
        return Preview("close", (), (f"position {command.position} is not open (any more)",))
    instrument = kernel.instrument(position.instrument)
    size = closing_size(kernel, position, command.fraction)
    side = Side.SELL if position.size > 0 else Side.BUY
    title = f"CLOSE {command.fraction:.0%} of {_named(instrument, position)} {instrument.symbol}"
    if size <= ZERO:
        return Preview(title, (), (f"{command.fraction:.0%} of {position.size} is below the step {instrument.step}",))
    if refusal := not_carried(kernel, account, kernel.market(instrument.id)):
        return Preview(title, (), (refusal.message,))
    rows: Rows = [("order", f"{side} {fmt.size(instrument, size)} MARKET, reduce-only")]
    warnings: list[str] = []
    rows.extend(_closing_rows(kernel, instrument, position, size, warnings))
    rows.append(_age_row(kernel, instrument, now_ns))
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
        ("position", f"{_named(instrument, position)} -> {_named(instrument, after)}"),
        ("margin back", f"{fmt.money(position.margin - after.margin)} {instrument.settle_asset}"),
    ]
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
    rows: Rows = []
    if take is not None:
        take = round_take_profit(instrument, closing, take)
        rows.append(("take profit", _exit_text(instrument, position, take)))
    if stop is not None:
        stop = round_stop(instrument, closing, stop)
        rows.append(("stop loss", _exit_text(instrument, position, stop)))
    if command.trail_bps is not None:
        rows.append(("trailing stop", f"{command.trail_bps} bps behind the best {command.source}"))
    rows.append(("liquidation", fmt.price(instrument, position.liquidation) or "none"))
    rows.append(_age_row(kernel, instrument, now_ns))
    refusal = protection_refusal(kernel, position, command.source, take, stop)
    warnings: tuple[str, ...] = ()
    if stop is None and command.trail_bps is None:
        warnings = ("this leaves the position without a stop loss",)
    title = f"PROTECT {_named(instrument, position)} {instrument.symbol}"
    return Preview(title, tuple(rows), () if refusal is None else (refusal.message,), warnings)


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
    return (f"{fmt.count(stops, 'stop loss order')} among these: the positions stay open without",) if stops else ()


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
    title = f"CANCEL {command.scope} of {where}: {len(orders)} orders"
    errors = () if orders else ("there is nothing to cancel",)
    return Preview(title, tuple(_orders_rows(kernel, orders)), errors, _unprotected(orders))


def _flatten(kernel: Kernel, account: str, command: cmd.FlattenAll, now_ns: int) -> Preview:
    positions = [p for p in kernel.state.positions.values() if p.account == account]
    orders = [o for o in kernel.state.orders.values() if o.terms.account == account]
    rows: Rows = []
    warnings: list[str] = []
    for position in positions:
        instrument = kernel.instrument(position.instrument)
        rows.append((instrument.symbol, f"close {_named(instrument, position)} at market"))
        rows.extend(_closing_rows(kernel, instrument, position, abs(position.size), warnings)[:2])
        if stale(kernel, position.instrument, now_ns):
            warnings.append(f"the price of {instrument.symbol} is stale")
    rows.append(("cancel", f"{len(orders)} working orders"))
    errors = () if positions or orders else ("there is nothing open",)
    return Preview(f"FLATTEN ALL: {len(positions)} positions", tuple(rows), errors, tuple(warnings))


def _kill(kernel: Kernel, account: str, command: cmd.SetKill, now_ns: int) -> Preview:
    state = kernel.state
    entries = sum(not order.terms.reduce_only for order in state.orders.values())
    rows: Rows = [
        ("positions", f"{len(state.positions)} stay open"),
        ("exits", f"{len(state.orders) - entries} stops and targets go on working"),
        ("entries", f"{entries} working entries stay at the venue" if command.on else f"{entries} working"),
        ("new entries", "refused until it is lifted" if command.on else "allowed again"),
        ("closes", "always work"),
    ]
    errors = (f"the kill switch is {'on' if command.on else 'off'} already",) if state.kill == command.on else ()
    return Preview(f"KILL SWITCH {'ON' if command.on else 'OFF'}", tuple(rows), errors)


def _amend(kernel: Kernel, account: str, command: cmd.AmendOrder, now_ns: int) -> Preview:
    order = kernel.state.orders.get(command.order)
    if order is None:
        return Preview("amend", (), (f"order {command.order} is not working (any more)",))
    instrument = kernel.instrument(order.terms.instrument)
    rows: Rows = []
    for label, before, after in (
        ("price", order.price, command.price),
        ("trigger", order.trigger, command.trigger),
        ("size", order.size, command.size),
    ):
        if after is not None:
            rows.append((label, f"{before} -> {after}"))
    rows.append(_age_row(kernel, instrument, now_ns))
    title = f"AMEND {order.terms.id} {order.terms.side} {instrument.symbol} {order.terms.type.replace('_', ' ')}"
    errors = () if len(rows) > 1 else ("nothing is changed",)
    return Preview(title, tuple(rows), errors, entry=not order.terms.reduce_only)


def _attest(kernel: Kernel, account: str, command: cmd.AttestOrder, now_ns: int) -> Preview:
    order = live_order(kernel, account, command.order)
    if order is None:
        return Preview("attest", (), (unknown("order", command.order, kernel.state.orders).message,))
    instrument = kernel.instrument(order.terms.instrument)
    terms = order.terms
    title = f"ATTEST {order.id}: {terms.side} {fmt.size(instrument, order.remaining)} {instrument.symbol}"
    rows: Rows = [("known", trail(kernel, order) or order.status)]
    if refusal := not_attestable(order, command):
        return Preview(title, tuple(rows), (refusal.message,))
    asset = instrument.settle_asset
    held = kernel.state.position_of(account, instrument.id, terms.leg)
    if command.filled and command.price is not None:
        at, size = fmt.price(instrument, command.price), fmt.size(instrument, command.filled)
        fee = round_fee(command.price * command.filled * instrument.taker_fee)
        leverage = kernel.leverage(account, instrument.id)
        after = _after(instrument, account, held, terms.side, command.filled, command.price, leverage)
        rows.append(("booked", f"{size} filled @ {at}, fee {fee:.4f} {asset} (taker)"))
        rows.append(("position", f"{_named(instrument, held)} -> {_named(instrument, after)}"))
    else:
        rows.append(("booked", "nothing: it never arrived"))
        rows.append(("position", f"{_named(instrument, held)}, unchanged"))
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


def _plain(kernel: Kernel, account: str, command: Any, now_ns: int) -> Preview:
    """Commands whose fields say all there is."""
    rows = tuple(
        (name.replace("_", " "), str(value))
        for name, value in msgspec.structs.asdict(command).items()
        if name not in ("request_id", "owner", "account")
    )
    return Preview(type(command).__name__, rows, entry=isinstance(command, cmd.SetLeverage))


_BUILDERS: dict[type, Callable[[Kernel, str, Any, int], Preview]] = {
    cmd.PlaceOrder: _place,
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
