"""The preview of an order: what it would meet, cost and leave behind; and the words other previews share."""

from __future__ import annotations

from decimal import Decimal

from engine.core.arming import trailed
from engine.core.kernel import Kernel
from engine.core.plan import Plan, plan_order, planned_position, sweep
from engine.model import command as cmd
from engine.model.account import Position
from engine.model.instrument import Instrument, MarginModel
from engine.model.money import ONE, ZERO, round_fee
from engine.model.order import OrderType
from engine.views import format as fmt
from engine.views.structs import Preview
from engine.views.tables import protection_of, stale

Rows = list[tuple[str, str]]


def place(kernel: Kernel, account: str, command: cmd.PlaceOrder, now_ns: int) -> Preview:
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
    rows.append(age_row(kernel, instrument, now_ns))
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
        begun = plan.trigger or kernel.market(instrument.id).price_of(command.source, command.side)
        if begun is not None:
            first = trailed(instrument, command.side, begun, command.trail_bps, command.trail_offset)
            rows.append(("first trigger", f"{fmt.price(instrument, first)}" + (" once active" if plan.trigger else "")))
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
    resting = _rests(command, plan)
    rate = instrument.maker_fee if resting else instrument.taker_fee
    fee = round_fee(plan.size * plan.expected * rate)
    rows.append(
        ("fee", f"{fee:.4f} {instrument.settle_asset}  ({'maker' if resting else 'taker'} {rate * 10_000:.1f} bps)")
    )
    return rows


def _rests(command: cmd.PlaceOrder, plan: Plan) -> bool:
    """Whether it would wait in the book: the market, or what sets it off, does not stand at its price or beyond."""
    if command.post_only or plan.price is None:
        return command.post_only
    meets = plan.trigger if command.type.waits else plan.best
    return meets is None or (plan.price - meets) * command.side.sign < 0


def _result_rows(
    kernel: Kernel, account: str, instrument: Instrument, command: cmd.PlaceOrder, plan: Plan, warnings: list[str]
) -> Rows:
    assert plan.expected is not None
    held = kernel.state.position_of(account, instrument.id)
    after = planned_position(kernel, account, instrument, command.side, plan, plan.expected)
    rows: Rows = [("position", f"{named(instrument, held)} -> {named(instrument, after)}")]
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
        rows.append(("liquidation", liquidation_text(instrument, after)))
        warnings.extend(_stop_too_late(kernel, instrument, held, after))
    for label, level in (("take profit", plan.take_profit), ("stop loss", plan.stop_loss)):
        if level is not None:
            # They close what the order opens, and that only.
            opens = after.sign == command.side.sign
            text = exit_text(instrument, after, level, plan.size) if opens else f"{fmt.price(instrument, level)}"
            rows.append((label, text))
    return rows


def _stop_too_late(kernel: Kernel, instrument: Instrument, held: Position | None, after: Position) -> list[str]:
    """More size or leverage brings the liquidation price nearer, a stop that stands stays where it is."""
    if held is None or after.liquidation is None or held.sign != after.sign:
        return []
    _, stop = protection_of(kernel, held)
    if stop is None or (stop - after.liquidation) * after.sign > ZERO:
        return []
    at = fmt.price(instrument, stop)
    return [f"liquidation would come before the stop loss at {at}: move that first, or use less leverage"]


def named(instrument: Instrument, position: Position | None) -> str:
    if position is None or not position.size:
        return "flat"
    word = "long" if position.size > 0 else "short"
    return f"{word} {fmt.size(instrument, position.size)} @ {fmt.price(instrument, position.entry)}"


def liquidation_text(instrument: Instrument, position: Position) -> str:
    """Its liquidation price, none where no price would liquidate it, a dash where its margin rules are not known."""
    known = instrument.is_spot or instrument.tiers or instrument.profile.margin_model is MarginModel.FRACTION
    return fmt.price(instrument, position.liquidation) or ("none" if known else "–")


def exit_text(instrument: Instrument, position: Position, level: Decimal, size: Decimal | None = None) -> str:
    """A level and what leaving there would bring, of all of a position or of a size of it."""
    pnl = position.unrealised(level)
    if size is not None:
        pnl *= min(size / abs(position.size), ONE)
    return f"{fmt.price(instrument, level)}  ({fmt.signed(pnl)} {instrument.settle_asset})"


def age_row(kernel: Kernel, instrument: Instrument, now_ns: int) -> tuple[str, str]:
    quote = kernel.market(instrument.id).quote
    if quote is None:
        return ("price age", "no price yet")
    seconds = max(0, now_ns - quote.time_ns) / 1e9
    return ("price age", f"{seconds:.1f} s" + ("  STALE" if stale(kernel, instrument.id, now_ns) else ""))
