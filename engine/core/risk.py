"""Pre-trade risk: every rule in one list, each comparing numbers that go into the record. Exits skip what guards entries."""

from __future__ import annotations

from decimal import Decimal

from engine.core.journal import text
from engine.core.kernel import Kernel
from engine.core.margin import max_leverage
from engine.core.rounding import Refusal
from engine.model.instrument import Instrument
from engine.model.market import Side
from engine.model.money import ONE, ZERO
from engine.model.order import OrderType

Check = tuple[str, str, str]
"""(rule, value, limit) as compared."""


def may_enter(kernel: Kernel, instrument: Instrument) -> Refusal | None:
    """What blocks every entry: kill switch, a halted engine, a market that is not live or not fresh."""
    state = kernel.state
    if state.kill:
        return Refusal("KILL_SWITCH", "the kill switch is on; closes still work, `hoox kill off` lifts it")
    if kernel.halted:
        return Refusal("HALTED", f"entries are halted: {kernel.halted}; closes still work")
    market = kernel.market(instrument.id)
    if market.quote is None:
        return Refusal("NO_PRICE", f"no price of {instrument.symbol} has arrived yet; wait for the feed")
    if not market.live:
        return Refusal("FEED_DOWN", f"a stream of {instrument.symbol} is not live; wait for it, closes still work")
    age = kernel.now - market.quote.time_ns
    if age > state.limits.max_data_age_ns:
        seconds = age // 1_000_000_000
        return Refusal("STALE", f"the price of {instrument.symbol} is {seconds} s old; entries wait for a fresh one")
    return None


def check_entry(
    kernel: Kernel,
    account: str,
    instrument: Instrument,
    side: Side,
    order_type: OrderType,
    size: Decimal,
    price: Decimal,
    leverage: int,
    reserve: Decimal,
    free: Decimal,
    checks: list[Check],
) -> Refusal | None:
    """The rules on one entry, in order; the first that fails refuses it.

    `price` is its limit, level or worst price, `reserve` the money it would set aside of the `free`.
    """
    limits = kernel.state.limits
    notional = size * price
    position = kernel.state.position_of(account, instrument.id)
    held = position.size if position is not None else ZERO
    after = abs(held + side.sign * size) * price
    exposure = max(notional, after)
    most = min(instrument.max_leverage, max_leverage(instrument, exposure))
    checks.append(("leverage", str(leverage), str(most)))
    if not 1 <= leverage <= most:
        return Refusal(
            "LEVERAGE",
            f"leverage: {leverage}x is not within 1x to {most}x for {text(exposure)}; choose less or a smaller size",
        )
    if limits.max_order_notional is not None:
        checks.append(("order notional", text(notional), text(limits.max_order_notional)))
        if notional > limits.max_order_notional:
            return Refusal(
                "ORDER_NOTIONAL",
                f"size: worth {text(notional)}, above the limit {text(limits.max_order_notional)} an order; choose less",
            )
    if limits.max_position_notional is not None:
        checks.append(("position notional", text(after), text(limits.max_position_notional)))
        if after > limits.max_position_notional:
            return Refusal(
                "POSITION_NOTIONAL",
                f"size: the position would be worth {text(after)}, above the limit "
                f"{text(limits.max_position_notional)}; choose less",
            )
    if limits.price_band is not None and order_type is OrderType.LIMIT:
        refusal = _check_band(kernel, instrument, side, price, limits.price_band, checks)
        if refusal is not None:
            return refusal
    checks.append(("free margin", text(reserve), text(free)))
    if reserve > free:
        return Refusal(
            "MARGIN",
            f"size: needs {reserve:.2f} {instrument.settle_asset} of margin and fees, {free:.2f} is free; "
            "choose a smaller size, a higher leverage, or reduce-only to close",
        )
    return _check_daily_loss(kernel, account, instrument, checks)


def _check_band(
    kernel: Kernel, instrument: Instrument, side: Side, price: Decimal, band: Decimal, checks: list[Check]
) -> Refusal | None:
    market = kernel.market(instrument.id).taker_price(side)
    if market is None:
        return None
    worst = market * (ONE + side.sign * band)
    checks.append(("price band", text(price), text(worst)))
    if price > worst if side is Side.BUY else price < worst:
        return Refusal(
            "PRICE_BAND",
            f"price: {text(price)} is more than {band:.0%} beyond the market at {text(market)}; check for a typing slip",
        )
    return None


def _check_daily_loss(kernel: Kernel, account: str, instrument: Instrument, checks: list[Check]) -> Refusal | None:
    limit = kernel.state.limits.daily_loss
    start = kernel.state.day_equity
    if limit is None or start is None:
        return None
    equity = kernel.equity(account, instrument.settle_asset)
    if equity is None:
        return None
    checks.append(("loss today", text(start - equity), text(limit)))
    if start - equity >= limit:
        return Refusal(
            "DAILY_LOSS", f"{start - equity:.2f} was lost today, the limit is {text(limit)}; entries resume tomorrow"
        )
    return None
