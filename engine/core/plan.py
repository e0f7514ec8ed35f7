"""What an order command would become: rounded, checked, priced. The preview shows a plan, the intent carries it out."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from engine.core.book import Book
from engine.core.journal import text
from engine.core.kernel import Kernel
from engine.core.leverage import Remargin, plan_leverage
from engine.core.margin import liquidation_price, reserve
from engine.core.positions import clip_reduce_only
from engine.core.risk import Check, check_entry, may_enter
from engine.core.rounding import (
    Refusal,
    check_size,
    round_limit,
    round_size,
    round_stop,
    round_stop_entry,
    round_take_profit,
)
from engine.model.account import Position
from engine.model.command import PlaceOrder
from engine.model.instrument import Instrument, ReduceOnlyPolicy
from engine.model.market import Side
from engine.model.money import ZERO, floor_to
from engine.model.order import OrderType, TimeInForce, TriggerSource

STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})


class Plan(Struct):
    """An order ready to be made, or the refusal. `expected` is the price it would meet now; `worst` what is reserved for."""

    size: Decimal = ZERO
    price: Decimal | None = None
    trigger: Decimal | None = None
    activate_above: bool = True
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    leverage: int = 1
    remargin: Remargin | None = None
    """The change of leverage that comes first, where the command asks for one."""
    reserve: Decimal = ZERO
    expected: Decimal | None = None
    worst: Decimal | None = None
    refusal: Refusal | None = None
    checks: list[Check] = []


def plan_order(kernel: Kernel, account: str, command: PlaceOrder) -> Plan:
    """Plan an order by the state and the market of this moment; changes nothing."""
    instrument = kernel.instrument(command.instrument)
    plan = Plan(leverage=kernel.leverage(account, instrument.id))
    plan.refusal = (
        _shape(command)
        or _expiry(command, kernel.now)
        or (None if command.reduce_only else may_enter(kernel, instrument))
        or _leverage(kernel, account, instrument, command, plan)
        or _round(kernel, instrument, command, plan)
        or _size(kernel, account, instrument, command, plan)
        or _trigger_side(kernel, account, instrument, command, plan)
        or _bracket(kernel, account, instrument, command, plan)
    )
    if plan.refusal is None and not command.reduce_only:
        plan.refusal = _margin(kernel, account, instrument, command, plan)
    return plan


def _shape(command: PlaceOrder) -> Refusal | None:
    """Fields that the order's type needs or cannot have."""
    kind = command.type
    if command.size <= 0:
        return Refusal("SIZE", f"size: {command.size} is not above 0; say how much to {command.side.lower()}")
    if kind.has_price and command.price is None:
        return Refusal("PRICE", f"price: a {kind} order needs one; type the limit price")
    if not kind.has_price and command.price is not None:
        return Refusal("PRICE", f"price: a {kind} order takes none; choose LIMIT to set {command.price}")
    for field, value in (("price", command.price), ("trigger", command.trigger), ("take profit", command.take_profit), ("stop loss", command.stop_loss)):  # fmt: skip
        if value is not None and value <= 0:
            return Refusal("PRICE", f"{field}: {value} is not above 0; type a price")
    if kind.waits and not kind.trails and command.trigger is None:
        return Refusal("TRIGGER", f"trigger: a {kind} order needs one; type the price that sets it off")
    if not kind.waits and command.trigger is not None:
        return Refusal(
            "TRIGGER", f"trigger: a {kind} order takes none; choose STOP or TAKE_PROFIT to set {command.trigger}"
        )
    if kind.trails and (command.trail_bps is None) is (command.trail_offset is None):
        return Refusal("TRAIL", "trail: a trailing stop needs a distance, either in bps or as a price offset")
    if command.trail_bps is not None and not ZERO < command.trail_bps < 10_000:
        return Refusal("TRAIL", f"trail: {command.trail_bps} bps is not between 0 and 10000; 50 is half a percent")
    if command.trail_offset is not None and command.trail_offset <= 0:
        return Refusal("TRAIL", f"trail: an offset of {command.trail_offset} is not above 0; type a distance in price")
    if command.post_only and (kind is not OrderType.LIMIT or command.tif in (TimeInForce.IOC, TimeInForce.FOK)):
        return Refusal("POST_ONLY", "post-only: only a resting LIMIT order can be; choose LIMIT with GTC or GTD")
    if (command.tif is TimeInForce.GTD) is (command.expire_ns is None):
        return Refusal("EXPIRY", "time in force: GTD needs an expiry time, and only GTD takes one")
    return None


def _expiry(command: PlaceOrder, now_ns: int) -> Refusal | None:
    if command.expire_ns is not None and command.expire_ns <= now_ns:
        return Refusal("EXPIRY", f"expiry: {command.expire_ns} ns is not after now, {now_ns} ns; choose a later time")
    return None


def _leverage(kernel: Kernel, account: str, instrument: Instrument, command: PlaceOrder, plan: Plan) -> Refusal | None:
    if command.leverage is None or command.reduce_only:
        return None
    change = plan_leverage(kernel, account, instrument, command.leverage)
    if isinstance(change, Refusal):
        return change
    plan.leverage = command.leverage
    plan.remargin = change
    return None


def _round(kernel: Kernel, instrument: Instrument, command: PlaceOrder, plan: Plan) -> Refusal | None:
    side = command.side
    plan.size = round_size(instrument, command.size)
    if command.price is not None:
        plan.price = round_limit(instrument, side, command.price)
    market = kernel.market(instrument.id)
    now = market.price_of(command.source, side)
    if command.trigger is not None:
        plan.trigger = round_trigger(instrument, side, command.type, command.trigger, reduce_only=command.reduce_only)
        plan.activate_above = now is None or now < plan.trigger
    if command.type.trails:
        refusal = _trail_distance(instrument, command, now)
        if refusal is not None:
            return refusal
    if not command.reduce_only:
        if command.take_profit is not None:
            plan.take_profit = round_take_profit(instrument, side.opposite, command.take_profit)
        if command.stop_loss is not None:
            plan.stop_loss = round_stop(instrument, side.opposite, command.stop_loss)
    elif command.take_profit is not None or command.stop_loss is not None:
        return Refusal("BRACKET", "take profit, stop loss: a reduce-only order protects nothing; leave them empty")
    for field, rounded in (("price", plan.price), ("trigger", plan.trigger), ("take profit", plan.take_profit), ("stop loss", plan.stop_loss)):  # fmt: skip
        if rounded is not None and rounded <= 0:
            return Refusal("PRICE", f"{field}: below one tick of {instrument.tick}; type a price of at least that")
    plan.expected = plan.price if plan.price is not None else plan.trigger or market.taker_price(side)
    plan.worst = plan.expected
    if command.type is OrderType.MARKET and market.quote is not None:
        taken, value, worst = sweep(market.book, side, plan.size)
        if taken:
            plan.expected = value / taken
            plan.worst = worst
    elif command.type is OrderType.LIMIT and plan.price is not None and not command.post_only:
        best = market.taker_price(side)
        if best is not None and (plan.price - best) * side.sign > 0:
            plan.expected = best
    return None


def round_trigger(
    instrument: Instrument, side: Side, order_type: OrderType, trigger: Decimal, *, reduce_only: bool
) -> Decimal:
    """A trigger on the tick, rounded the way its order's kind is (R3)."""
    if order_type not in STOPS:
        return round_take_profit(instrument, side, trigger)
    return (round_stop if reduce_only else round_stop_entry)(instrument, side, trigger)


def _trail_distance(instrument: Instrument, command: PlaceOrder, now: Decimal | None) -> Refusal | None:
    """A distance under one tick would fire on the next price; an offset beyond the price never."""
    reference = command.trigger or now
    offset = command.trail_offset
    if offset is None and reference is not None and command.trail_bps is not None:
        offset = reference * command.trail_bps / 10_000
    if offset is not None and offset < instrument.tick:
        return Refusal("TRAIL", f"trail: a distance of {text(offset)} is below one tick of {instrument.tick}; widen it")
    if offset is not None and reference is not None and offset >= reference:
        return Refusal("TRAIL", f"trail: a distance of {text(offset)} reaches to a price of 0; choose a closer one")
    return None


def sweep(book: Book, side: Side, size: Decimal) -> tuple[Decimal, Decimal, Decimal | None]:
    """What a taker would get of the visible book now: (size, value, worst price); nothing is consumed."""
    taken = value = ZERO
    worst = None
    for price, offered in book.available(side.opposite, None):
        part = min(offered, size - taken)
        taken += part
        value += part * price
        worst = price
        if taken >= size:
            break
    return taken, value, worst


def _size(kernel: Kernel, account: str, instrument: Instrument, command: PlaceOrder, plan: Plan) -> Refusal | None:
    whole = False
    if command.reduce_only:
        position = kernel.state.position_of(account, instrument.id)
        most = clip_reduce_only(position, command.side, plan.size)
        if not most:
            return Refusal(
                "REDUCE_ONLY",
                f"reduce-only: there is no position in {instrument.symbol} that a {command.side.lower()} would reduce",
            )
        if most < plan.size and instrument.profile.reduce_only is ReduceOnlyPolicy.REJECT:
            return Refusal(
                "REDUCE_ONLY", f"size: {plan.size} is larger than the position of {most}; ask for at most that"
            )
        plan.size = most
        whole = position is not None and most == abs(position.size)
    return check_size(instrument, plan.size, plan.expected, command.reduce_only, whole)


def _trigger_side(
    kernel: Kernel, account: str, instrument: Instrument, command: PlaceOrder, plan: Plan
) -> Refusal | None:
    if plan.trigger is None or command.type.trails:
        return None
    position = kernel.state.position_of(account, instrument.id) if command.reduce_only else None
    return check_trigger(kernel, instrument, command.side, command.type, command.source, plan.trigger, position)


def check_trigger(
    kernel: Kernel,
    instrument: Instrument,
    side: Side,
    order_type: OrderType,
    source: TriggerSource,
    trigger: Decimal,
    closes: Position | None,
) -> Refusal | None:
    """A trigger needs a price to be compared with, must not be met already, and a stop must not lie behind liquidation."""
    now = kernel.market(instrument.id).price_of(source, side)
    if now is None:
        return Refusal(
            "NO_PRICE",
            f"trigger: no {source} price of {instrument.symbol} has arrived yet; wait or choose another source",
        )
    upward = (side is Side.BUY) is (order_type in STOPS)
    if now >= trigger if upward else now <= trigger:
        where = "above" if upward else "below"
        return Refusal(
            "TRIGGER", f"trigger: {trigger} would fire at once, {source} is {text(now)}; choose a level {where} it"
        )
    if closes is not None and order_type in STOPS:
        return _behind_liquidation(instrument, closes, "trigger", trigger)
    return None


def _bracket(kernel: Kernel, account: str, instrument: Instrument, command: PlaceOrder, plan: Plan) -> Refusal | None:
    if plan.take_profit is None and plan.stop_loss is None:
        return None
    reference = plan.expected
    if reference is None:
        return Refusal("NO_PRICE", f"take profit, stop loss: no price of {instrument.symbol} to check them against yet")
    now = kernel.market(instrument.id).price_of(command.bracket_source, command.side.opposite)
    if now is None:
        return Refusal(
            "NO_PRICE",
            f"take profit, stop loss: no {command.bracket_source} price of {instrument.symbol} has arrived yet; "
            "wait or choose another source",
        )
    if command.type is OrderType.MARKET:
        reference = now
    probe = hypothetical(instrument, account, command.side, plan.size, plan.expected or reference, plan.leverage)
    return check_protection(instrument, probe, reference, plan.take_profit, plan.stop_loss)


def hypothetical(
    instrument: Instrument, account: str, side: Side, size: Decimal, price: Decimal, leverage: int
) -> Position:
    """The position an entry alone would make, with its margin."""
    value = size * price
    return Position(
        "",
        account,
        instrument.id,
        size=size * side.sign,
        cost=value * side.sign,
        margin=value / leverage,
        leverage=leverage,
        long=side is Side.BUY,
    )


def check_protection(
    instrument: Instrument, position: Position, price: Decimal, take_profit: Decimal | None, stop_loss: Decimal | None
) -> Refusal | None:
    """TP on the profit side, SL on the loss side of the current trigger price and before liquidation (semantics 4)."""
    sign = position.sign
    word = "long" if sign > 0 else "short"
    if take_profit is not None and (take_profit - price) * sign <= 0:
        side = "above" if sign > 0 else "below"
        return Refusal(
            "TAKE_PROFIT",
            f"take profit: {take_profit} would trigger at once on a {word}; choose a level {side} {text(price)}",
        )
    if stop_loss is None:
        return None
    if (price - stop_loss) * sign <= 0:
        side = "below" if sign > 0 else "above"
        return Refusal(
            "STOP_LOSS",
            f"stop loss: {stop_loss} would trigger at once on a {word}; choose a level {side} {text(price)}",
        )
    return _behind_liquidation(instrument, position, "stop loss", stop_loss)


def _behind_liquidation(instrument: Instrument, position: Position, field: str, stop: Decimal) -> Refusal | None:
    level = position.liquidation if position.liquidation is not None else liquidation_price(instrument, position)
    if level is None or (stop - level) * position.sign > 0:
        return None
    return Refusal(
        "STOP_LOSS",
        f"{field}: {stop} lies behind liquidation at {text(floor_to(level, instrument.tick))}; "
        "choose a closer level or less leverage",
    )


def _margin(kernel: Kernel, account: str, instrument: Instrument, command: PlaceOrder, plan: Plan) -> Refusal | None:
    most = kernel.state.limits.max_open_orders
    if len(kernel.state.orders) >= most:
        return Refusal("OPEN_ORDERS", f"open orders: {most} are open, the limit; cancel some first")
    price = plan.worst
    if price is None:
        return Refusal("NO_PRICE", f"no price of {instrument.symbol} has arrived yet; wait for the feed")
    # Whole, even where it would close a position: that may be gone when it fills, and its margin used twice.
    plan.reserve = reserve(instrument, plan.size, price, plan.leverage)
    free = kernel.state.accounts[account].free(instrument.settle_asset)
    if plan.remargin is not None:
        free -= plan.remargin.more
    return check_entry(
        kernel,
        account,
        instrument,
        command.side,
        command.type,
        plan.size,
        price,
        plan.leverage,
        plan.reserve,
        free,
        plan.checks,
    )
