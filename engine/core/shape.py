"""The shape of an order command: the fields that its type needs or cannot have, before any market is looked at."""

from __future__ import annotations

from decimal import Decimal

from engine.core.rounding import Refusal
from engine.model.command import PlaceOrder
from engine.model.money import ZERO
from engine.model.order import OrderType, TimeInForce

LIMIT, GTD, IOC, FOK = OrderType.LIMIT, TimeInForce.GTD, TimeInForce.IOC, TimeInForce.FOK


def misshapen(command: PlaceOrder, now_ns: int) -> Refusal | None:
    """Why an order command makes no sense at `now_ns`, whatever the market does; None when it does."""
    kind, price, trigger = command.type, command.price, command.trigger
    if command.size <= ZERO:
        return Refusal("SIZE", f"size: {command.size} is not above 0; say how much to {command.side.lower()}")
    if kind.has_price and price is None:
        return Refusal("PRICE", f"price: a {kind} order needs one; type the limit price")
    if not kind.has_price and price is not None:
        return Refusal("PRICE", f"price: a {kind} order takes none; choose LIMIT to set {price}")
    if refusal := _levels_above_zero(command):
        return refusal
    if kind.waits and not kind.trails and trigger is None:
        return Refusal("TRIGGER", f"trigger: a {kind} order needs one; type the price that sets it off")
    if not kind.waits and trigger is not None:
        return Refusal("TRIGGER", f"trigger: a {kind} order takes none; choose STOP or TAKE_PROFIT to set {trigger}")
    if kind.trails and (command.trail_bps is None) is (command.trail_offset is None):
        return Refusal("TRAIL", "trail: a trailing stop needs a distance, either in bps or as a price offset")
    if command.trail_bps is not None and not ZERO < command.trail_bps < 10_000:
        return Refusal("TRAIL", f"trail: {command.trail_bps} bps is not between 0 and 10000; 50 is half a percent")
    if command.trail_offset is not None and command.trail_offset <= ZERO:
        return Refusal("TRAIL", f"trail: an offset of {command.trail_offset} is not above 0; type a distance in price")
    if command.post_only and (kind is not LIMIT or command.tif in (IOC, FOK)):
        return Refusal("POST_ONLY", "post-only: only a resting LIMIT order can be; choose LIMIT with GTC or GTD")
    if kind.waits and command.reduce_only and (command.tif is FOK or (command.tif is IOC and kind.has_price)):
        return Refusal(
            "TIME_IN_FORCE",
            f"time in force: {command.tif} would leave what a thin book cannot take unprotected; choose GTC",
        )
    if (command.tif is GTD) is (command.expire_ns is None):
        return Refusal("EXPIRY", "time in force: GTD needs an expiry time, and only GTD takes one")
    if command.expire_ns is not None and command.expire_ns <= now_ns:
        return Refusal("EXPIRY", f"expiry: {command.expire_ns} ns is not after now, {now_ns} ns; choose a later time")
    return None


def _levels_above_zero(command: PlaceOrder) -> Refusal | None:
    if command.price is not None and command.price <= ZERO:
        return _not_above_zero("price", command.price)
    if command.trigger is not None and command.trigger <= ZERO:
        return _not_above_zero("trigger", command.trigger)
    if command.take_profit is not None and command.take_profit <= ZERO:
        return _not_above_zero("take profit", command.take_profit)
    if command.stop_loss is not None and command.stop_loss <= ZERO:
        return _not_above_zero("stop loss", command.stop_loss)
    return None


def _not_above_zero(field: str, asked: Decimal) -> Refusal:
    return Refusal("PRICE", f"{field}: {asked} is not above 0; type a price")
