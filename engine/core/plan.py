"""What an order command would become: rounded, checked, priced. The preview shows a plan, the intent carries it out."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec import Struct

from engine.core.book import Book
from engine.core.journal import text
from engine.core.kernel import Kernel
from engine.core.leverage import Remargin, plan_leverage
from engine.core.margin import after_fill, liquidation_price, reserve
from engine.core.market import Market
from engine.core.positions import clip_reduce_only
from engine.core.risk import check_entry, may_enter, not_carried, not_flattening, outcomes_known
from engine.core.rounding import (
    Refusal,
    check_size,
    round_limit,
    round_size,
    round_stop,
    round_stop_entry,
    round_take_profit,
)
from engine.core.shape import misshapen
from engine.model.account import Position
from engine.model.command import PlaceOrder
from engine.model.event import Check
from engine.model.instrument import Instrument, ReduceOnlyPolicy
from engine.model.market import Side
from engine.model.money import ZERO, floor_to
from engine.model.order import OrderType, TriggerSource

STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})
# Reading a member off its enum costs as much as multiplying two decimals, so the rules of every order hold their own.
MARKET, LIMIT, BUY, SELL = OrderType.MARKET, OrderType.LIMIT, Side.BUY, Side.SELL


class Plan(Struct, gc=False):
    """An order ready to be made, or the refusal. `expected` is the price it would meet now; `worst` what is reserved for.

    `best` is the best price that a taker of its side would get.
    """

    size: Decimal = ZERO
    price: Decimal | None = None
    trigger: Decimal | None = None
    activate_above: bool = True
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    reduce_only: bool = False
    leverage: int = 1
    remargin: Remargin | None = None
    """The change of leverage that comes first, where the command asks for one."""
    reserve: Decimal = ZERO
    best: Decimal | None = None
    expected: Decimal | None = None
    worst: Decimal | None = None
    refusal: Refusal | None = None
    checks: list[Check] = []


def plan_order(kernel: Kernel, account: str, command: PlaceOrder) -> Plan:
    """Plan an order by the state and the market of this moment; changes nothing."""
    market = kernel.markets[command.instrument]
    instrument = market.instrument
    if instrument.is_spot and command.side is Side.SELL and not command.reduce_only:
        # Only what is held can be sold, whatever is left of it when the order gets there.
        command = msgspec.structs.replace(command, reduce_only=True)
    plan = Plan(leverage=kernel.leverage(account, command.instrument), reduce_only=command.reduce_only)
    plan.refusal = (
        misshapen(command, kernel.clock)
        or (
            not_carried(kernel, account, market, held=command.type.waits)
            if command.reduce_only
            else _may_enter(kernel, account, market, plan)
        )
        or _leverage(kernel, account, instrument, command, plan)
        or _round(market, command, plan)
        or _size(kernel, account, instrument, command, plan)
        or _trigger_side(kernel, account, instrument, command, plan)
        or _bracket(kernel, account, market, command, plan)
        or (None if command.reduce_only else _entry(kernel, account, market, command, plan))
    )
    return plan


def _may_enter(kernel: Kernel, account: str, market: Market, plan: Plan) -> Refusal | None:
    return (
        not_flattening(kernel, account)
        or may_enter(kernel, market)
        or outcomes_known(kernel, account, market.instrument.id, plan.checks)
    )


def _leverage(kernel: Kernel, account: str, instrument: Instrument, command: PlaceOrder, plan: Plan) -> Refusal | None:
    if command.leverage is None or command.reduce_only:
        return None
    change = plan_leverage(kernel, account, instrument, command.leverage)
    if isinstance(change, Refusal):
        return change
    plan.leverage = command.leverage
    plan.remargin = change
    return None


def _round(market: Market, command: PlaceOrder, plan: Plan) -> Refusal | None:
    """Every number on its grid, and the prices the order would meet."""
    instrument, side, kind = market.instrument, command.side, command.type
    plan.size = size = round_size(instrument, command.size)
    price = command.price
    if price is not None:
        plan.price = price = round_limit(instrument, side, price)
        if price <= ZERO:
            return _below_tick("price", instrument)
    if kind.waits and (refusal := _round_trigger(market, command, plan)):
        return refusal
    if (command.take_profit or command.stop_loss) and (refusal := _round_bracket(market, command, plan)):
        return refusal
    best = plan.best = market.taker_price(side)
    plan.expected = plan.worst = price if price is not None else plan.trigger or best
    if side is SELL and price is not None and not command.post_only:
        # It fills above its price where the market, or what sets it off, stands there.
        meets = plan.trigger if kind.waits else best
        plan.worst = price if meets is None or meets < price else meets
    if kind is MARKET and best is not None:
        taken, value, worst = sweep(market.book, side, size)
        if taken:
            plan.expected = value / taken
            plan.worst = worst
    elif kind is LIMIT and price is not None and best is not None and not command.post_only:
        crosses = price > best if side is BUY else price < best
        plan.expected = best if crosses else price
    return None


def _round_trigger(market: Market, command: PlaceOrder, plan: Plan) -> Refusal | None:
    instrument, side = market.instrument, command.side
    now = market.price_of(command.source, side)
    if command.trigger is not None:
        trigger = round_trigger(instrument, side, command.type, command.trigger, reduce_only=command.reduce_only)
        plan.trigger = trigger
        if trigger <= ZERO:
            return _below_tick("trigger", instrument)
        plan.activate_above = now is None or now < trigger
        if command.type.trails and trigger == now:
            plan.trigger = None  # met already: it tracks from the next price on, as without an activation
    if not command.type.trails:
        return None
    return trail_distance(instrument, command.trigger or now, command.trail_bps, command.trail_offset)


def _round_bracket(market: Market, command: PlaceOrder, plan: Plan) -> Refusal | None:
    take_profit, stop_loss = command.take_profit, command.stop_loss
    if command.reduce_only:
        return Refusal("BRACKET", "take profit, stop loss: a reduce-only order protects nothing; leave them empty")
    instrument, closing = market.instrument, command.side.opposite
    if take_profit is not None:
        plan.take_profit = round_take_profit(instrument, closing, take_profit)
        if plan.take_profit <= ZERO:
            return _below_tick("take profit", instrument)
    if stop_loss is not None:
        plan.stop_loss = round_stop(instrument, closing, stop_loss)
        if plan.stop_loss <= ZERO:
            return _below_tick("stop loss", instrument)
    return None


def _below_tick(field: str, instrument: Instrument) -> Refusal:
    return Refusal("PRICE", f"{field}: below one tick of {instrument.tick}; type a price of at least that")


def round_trigger(
    instrument: Instrument, side: Side, order_type: OrderType, trigger: Decimal, *, reduce_only: bool
) -> Decimal:
    """A trigger on the tick, rounded the way its order's kind is (R3)."""
    if order_type not in STOPS:
        return round_take_profit(instrument, side, trigger)
    return (round_stop if reduce_only else round_stop_entry)(instrument, side, trigger)


def trail_distance(
    instrument: Instrument, reference: Decimal | None, bps: Decimal | None, offset: Decimal | None = None
) -> Refusal | None:
    """A distance under one tick would fire on the next price; an offset beyond the price never."""
    if offset is None and reference is not None and bps is not None:
        offset = reference * bps / 10_000
    if offset is not None and offset < instrument.tick:
        return Refusal("TRAIL", f"trail: a distance of {text(offset)} is below one tick of {instrument.tick}; widen it")
    if offset is not None and reference is not None and offset >= reference:
        return Refusal("TRAIL", f"trail: a distance of {text(offset)} reaches to a price of 0; choose a closer one")
    return None


def sweep(
    book: Book, side: Side, size: Decimal, limit: Decimal | None = None
) -> tuple[Decimal, Decimal, Decimal | None]:
    """What a taker would get of the visible book now, within a limit: (size, value, worst price); nothing is consumed."""
    taken = value = ZERO
    worst = None
    for price, offered in book.available(side.opposite, limit):
        part = min(offered, size - taken)
        taken += part
        value += part * price
        worst = price
        if taken >= size:
            break
    return taken, value, worst


def _size(kernel: Kernel, account: str, instrument: Instrument, command: PlaceOrder, plan: Plan) -> Refusal | None:
    whole = False
    if not plan.size:
        # Said of what was asked for, of which nothing is left.
        return check_size(instrument, command.size, None, False, False)
    if command.reduce_only:
        position = kernel.state.position_of(account, instrument.id)
        most = clip_reduce_only(position, command.side, plan.size)
        if most < plan.size and instrument.is_spot and command.side is Side.SELL:
            return Refusal(
                "SPOT", f"size: {plan.size} is larger than the {most} {instrument.base} held; sell at most that"
            )
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


def _bracket(kernel: Kernel, account: str, market: Market, command: PlaceOrder, plan: Plan) -> Refusal | None:
    if plan.take_profit is None and plan.stop_loss is None:
        return None
    instrument, reference = market.instrument, plan.expected
    if reference is None:
        return Refusal("NO_PRICE", f"take profit, stop loss: no price of {instrument.symbol} to check them against yet")
    now = market.price_of(command.bracket_source, command.side.opposite)
    if now is None:
        return Refusal(
            "NO_PRICE",
            f"take profit, stop loss: no {command.bracket_source} price of {instrument.symbol} has arrived yet; "
            "wait or choose another source",
        )
    if command.type is OrderType.MARKET:
        reference = now
    price = plan.expected or reference
    after = planned_position(kernel, account, instrument, command.side, plan, price)
    if after.sign != command.side.sign:
        # It opens nothing as things stand: what it might open later has no position before it.
        after = after_fill(instrument, account, None, command.side, plan.size, price, plan.leverage)
    return check_protection(instrument, after, reference, plan.take_profit, plan.stop_loss)


def planned_position(
    kernel: Kernel, account: str, instrument: Instrument, side: Side, plan: Plan, price: Decimal
) -> Position:
    """What a fill of all at a price would make of the position, the change of leverage that comes first included."""
    held = plan.remargin.position if plan.remargin is not None else None
    if held is None:
        held = kernel.state.position_of(account, instrument.id)
    return after_fill(instrument, account, held, side, plan.size, price, plan.leverage)


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


def _entry(kernel: Kernel, account: str, market: Market, command: PlaceOrder, plan: Plan) -> Refusal | None:
    """The limits on what opens or adds, and the money it takes."""
    state, instrument = kernel.state, market.instrument
    most = state.limits.max_open_orders
    if len(state.orders) >= most:
        return Refusal("OPEN_ORDERS", f"open orders: {most} are open, the limit; cancel some first")
    price = plan.worst
    if price is None:
        return Refusal("NO_PRICE", f"no price of {instrument.symbol} has arrived yet; wait for the feed")
    # Whole, even where it would close a position: that may be gone when it fills, and its margin used twice.
    plan.reserve = reserve(instrument, plan.size, price, plan.leverage)
    known = state.accounts[account]
    free = known.free(instrument.settle_asset)
    if plan.remargin is not None:
        free -= plan.remargin.more
    return check_entry(
        kernel,
        account,
        instrument,
        command.side,
        plan.price if command.type is LIMIT else None,
        plan.size,
        known.working(instrument.id, command.side),
        price,
        plan.best,
        plan.leverage,
        plan.reserve,
        free,
        plan.checks,
    )
