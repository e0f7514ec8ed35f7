"""Pre-trade risk: every rule in one list, each comparing numbers that go into the record. Exits skip what guards entries."""

from __future__ import annotations

from decimal import Decimal

from engine.core.journal import clock_text, text
from engine.core.kernel import Kernel
from engine.core.margin import max_leverage
from engine.core.market import Market
from engine.core.rounding import Refusal
from engine.core.state import money_key, pair_key
from engine.model.account import Execution
from engine.model.event import Check
from engine.model.instrument import Instrument, InstrumentId
from engine.model.market import Side
from engine.model.money import ONE, ZERO

BUY = Side.BUY


def may_enter(kernel: Kernel, market: Market) -> Refusal | None:
    """What blocks every entry: kill switch, a halted engine, a market that is not live or not fresh."""
    if killed := not_killed(kernel):
        return killed
    if kernel.halted:
        return Refusal("HALTED", f"entries are halted: {kernel.halted}; closes still work")
    quote, symbol = market.quote, market.instrument.symbol
    if market.instrument.halted:
        return Refusal(
            "SYMBOL_HALTED", f"{symbol} is halted at its venue; entries wait until it trades, closes are tried"
        )
    if quote is None:
        return Refusal("NO_PRICE", f"no price of {symbol} has arrived yet; wait for the feed")
    if market.broken:
        return Refusal("FEED_DOWN", f"a stream of {symbol} is not live; wait for it, closes still work")
    age = kernel.clock - quote.time_ns
    if age > kernel.state.limits.max_data_age_ns:
        return Refusal("STALE", f"the price of {symbol} is {age // 1_000_000_000} s old; entries wait for a fresh one")
    return None


def not_killed(kernel: Kernel) -> Refusal | None:
    """The kill switch, which is told before anything else."""
    if not kernel.state.kill:
        return None
    return Refusal("KILL_SWITCH", "the kill switch is on; closes still work, `hoox kill off` lifts it")


def not_carried(kernel: Kernel, account: str, market: Market, *, held: bool = False) -> Refusal | None:
    """An exit of an instrument without prices would wait for ever: on paper, and where it is held here for a trigger."""
    if market.carried or (not held and kernel.state.accounts[account].execution is Execution.VENUE):
        return None
    symbol = market.instrument.symbol
    return Refusal("NOT_CARRIED", f"no prices of {symbol} come in; start with --symbols that include {symbol}")


def not_flattening(kernel: Kernel, account: str) -> Refusal | None:
    """Nothing new opens while an account is being flattened."""
    if account in kernel.state.flattening:
        return Refusal("FLATTENING", f"everything of {account} is being closed; entries wait until it is flat")
    return None


def outcomes_known(kernel: Kernel, account: str, instrument: InstrumentId, checks: list[Check]) -> Refusal | None:
    """Nothing is added to an instrument while an order's outcome is not known, or the venue states another position (W6)."""
    state = kernel.state
    if not state.unknown and not state.differs:
        return None
    for order_id, evidence in state.unknown.items():
        order = state.orders[order_id]
        terms = order.terms
        if terms.account == account and terms.instrument == instrument:
            checks.append(("size of unknown outcome", order.at_worst, ZERO))
            since, word = clock_text(evidence.since_ns), terms.side.lower()
            return Refusal(
                "UNKNOWN_OUTCOME",
                f"what became of {order_id} ({word} {text(order.at_worst)}) is not known since {since}; entries wait "
                "until the venue states it or you attest it, closes still work",
            )
    differs = state.differs.get(pair_key(account, instrument))
    if differs is None:
        return None
    checks.append(("position", differs.ours, differs.theirs))
    return Refusal(
        "POSITION_DIFFERS",
        f"the venue states a position of {text(differs.theirs)}, the ledger {text(differs.ours)}, since "
        f"{clock_text(differs.since_ns)}; entries wait until they agree, closes still work",
    )


def check_entry(
    kernel: Kernel,
    account: str,
    instrument: Instrument,
    side: Side,
    limit: Decimal | None,
    size: Decimal,
    working: Decimal,
    price: Decimal,
    best: Decimal | None,
    leverage: int,
    reserve: Decimal,
    free: Decimal,
    checks: list[Check],
) -> Refusal | None:
    """The rules on one entry, in order; the first that fails refuses it.

    `limit` is the price of a limit order, `working` the size of the other entries of its side, `price` what it is valued
    at, `best` the best a taker would get, `reserve` the money it would set aside of the `free`.
    """
    limits = kernel.state.limits
    notional = size * price
    # What works may fill first, and nearer to the market than this one.
    dear = price if best is None or best < price else best
    total = size + working
    exposure = after = total * dear
    position = kernel.state.position_of(account, instrument.id)
    if position is not None:
        after = abs(position.size + side.sign * total) * dear
        exposure = max(exposure, after)
    most = max_leverage(instrument, exposure)
    checks.append(("leverage", leverage, most))
    if not 1 <= leverage <= most:
        return Refusal(
            "LEVERAGE",
            f"leverage: {leverage}x is not within 1x to {most}x for {text(exposure)}; choose less or a smaller size",
        )
    if limits.max_order_notional is not None:
        checks.append(("order notional", notional, limits.max_order_notional))
        if notional > limits.max_order_notional:
            return Refusal(
                "ORDER_NOTIONAL",
                f"size: worth {text(notional)}, above the limit {text(limits.max_order_notional)} an order; choose less",
            )
    if limits.max_position_notional is not None:
        checks.append(("position notional", after, limits.max_position_notional))
        if after > limits.max_position_notional:
            return Refusal(
                "POSITION_NOTIONAL",
                f"size: the position would be worth {text(after)} with what works for it, above the limit "
                f"{text(limits.max_position_notional)}; choose less",
            )
    if limits.price_band is not None and best is not None and limit is not None:
        refusal = _check_band(side, limit, best, limits.price_band, checks)
        if refusal is not None:
            return refusal
    checks.append(("free margin", reserve, free))
    if reserve > free:
        return Refusal(
            "MARGIN",
            f"size: needs {reserve:.2f} {instrument.settle_asset} of margin and fees, {free:.2f} is free; "
            "choose a smaller size, a higher leverage, or reduce-only to close",
        )
    return within_daily_loss(kernel, account, instrument, checks)


def _check_band(side: Side, price: Decimal, best: Decimal, band: Decimal, checks: list[Check]) -> Refusal | None:
    buys = side is BUY
    worst = best * (ONE + band if buys else ONE - band)
    checks.append(("price band", price, worst))
    if price > worst if buys else price < worst:
        return Refusal(
            "PRICE_BAND",
            f"price: {text(price)} is more than {band:.0%} beyond the market at {text(best)}; check for a typing slip",
        )
    return None


def within_daily_loss(kernel: Kernel, account: str, instrument: Instrument, checks: list[Check]) -> Refusal | None:
    """Nothing is entered any more on a day that lost what its limit says."""
    limit = kernel.state.limits.daily_loss
    if limit is None:
        return None
    asset = instrument.settle_asset
    start = kernel.state.day_equity.get(money_key(account, asset), ZERO)
    equity = kernel.equity(account, asset)
    if equity is None:
        missing = ", ".join(kernel.unpriced(account, asset))
        return Refusal(
            "NO_PRICE", f"loss today: not known without a price of {missing}; wait for it, or close what is open in it"
        )
    checks.append(("loss today", start - equity, limit))
    if start - equity >= limit:
        return Refusal(
            "DAILY_LOSS", f"{start - equity:.2f} was lost today, the limit is {text(limit)}; entries resume tomorrow"
        )
    return None
