"""What an order ticket asks for, and how its texts become an order. Pure; rounding and risk stay with the engine."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

from engine.model.command import PlaceOrder
from engine.model.market import Side
from engine.model.money import ZERO, BadNumber, ceil_to, floor_to, to_decimal
from engine.model.order import OrderType, TimeInForce
from engine.views import InstrumentView


class Field(StrEnum):
    """The ticket's fields, by the names drafts and errors use."""

    SIDE = "side"
    TYPE = "type"
    SIZE = "size"
    PRICE = "price"
    TRIGGER = "trigger"
    TRAIL = "trail"
    LEVERAGE = "leverage"
    TAKE_PROFIT = "take profit"
    STOP_LOSS = "stop loss"
    TIF = "tif"
    POST_ONLY = "post-only"
    REDUCE_ONLY = "reduce-only"


Draft = Mapping[Field, str]

YES, NO = "yes", "no"
CHOICES: dict[Field, tuple[str, ...]] = {
    Field.SIDE: (Side.BUY, Side.SELL),
    Field.TYPE: tuple(OrderType),
    Field.TIF: (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK),
    Field.POST_ONLY: (NO, YES),
    Field.REDUCE_ONLY: (NO, YES),
}
"""Fields with a fixed set of values. GTD is left out: a ticket has no field for its end."""
PRICES = frozenset({Field.PRICE, Field.TRIGGER, Field.TAKE_PROFIT, Field.STOP_LOSS})
EXTRA_KEYS: dict[Field, str] = {Field.SIZE: "u", Field.TRAIL: "%"}
"""Characters a number field takes besides digits and the point."""


class TicketError(ValueError):
    """A field cannot be used: its name, what was typed, and what to type instead."""

    def __init__(self, field: Field, value: str, remedy: str) -> None:
        super().__init__(f"{field}: {value or 'empty'}: {remedy}")
        self.field = field
        self.value = value
        self.remedy = remedy


def fields_for(draft: Draft) -> tuple[Field, ...]:
    """The fields that matter for this type, in the order they are shown."""
    kind = OrderType(draft[Field.TYPE])
    fields = [Field.SIDE, Field.TYPE, Field.SIZE]
    if kind.has_price:
        fields.append(Field.PRICE)
    if kind.waits:
        fields.append(Field.TRIGGER)
    if kind.trails:
        fields.append(Field.TRAIL)
    if draft[Field.REDUCE_ONLY] == NO:
        fields += [Field.LEVERAGE, Field.TAKE_PROFIT, Field.STOP_LOSS]
    if kind.has_price:
        fields.append(Field.TIF)
        if kind is OrderType.LIMIT and draft[Field.TIF] == TimeInForce.GTC:
            fields.append(Field.POST_ONLY)
    fields.append(Field.REDUCE_ONLY)
    return tuple(fields)


def order(draft: Draft, instrument: InstrumentView, quote: str | None, request_id: str) -> PlaceOrder:
    """The order a draft asks for; `quote` is the price a market order would meet, for sizes in money.

    Raises TicketError at the first field that cannot be used.
    """
    asked = {field: draft[field].strip() for field in fields_for(draft)}
    kind = OrderType(asked[Field.TYPE])
    price = _price(asked, Field.PRICE, required=True)
    trigger = _price(asked, Field.TRIGGER, required=not kind.trails)
    trail_bps, trail_offset = _trail(asked)
    return PlaceOrder(
        request_id=request_id,
        instrument=instrument.id,
        side=Side(asked[Field.SIDE]),
        type=kind,
        size=_size(asked[Field.SIZE], instrument, price or trigger or (Decimal(quote) if quote else None)),
        price=price,
        trigger=trigger,
        trail_bps=trail_bps,
        trail_offset=trail_offset,
        tif=TimeInForce(asked.get(Field.TIF, TimeInForce.GTC)),
        post_only=asked.get(Field.POST_ONLY) == YES,
        reduce_only=asked[Field.REDUCE_ONLY] == YES,
        leverage=_leverage(asked, instrument),
        take_profit=_price(asked, Field.TAKE_PROFIT, required=False),
        stop_loss=_price(asked, Field.STOP_LOSS, required=False),
    )


def least_size(instrument: InstrumentView, quote: str | None) -> str:
    """The smallest order there is at a price: of the least size, and worth the least notional."""
    least = Decimal(instrument.min_size)
    if quote:
        least = max(least, ceil_to(Decimal(instrument.min_notional or 0) / Decimal(quote), Decimal(instrument.step)))
    return f"{least:f}"


def nudged(field: Field, text: str, by: int, instrument: InstrumentView, quote: str | None) -> str:
    """A number one tick, step or unit up or down; an empty price starts at the quote. Unreadable texts stay."""
    if field is Field.LEVERAGE:
        step, start = Decimal(1), str(instrument.leverage)
    elif field in PRICES:
        step, start = Decimal(instrument.tick), quote or ""
    elif field is Field.SIZE:
        step, start = Decimal(instrument.step), instrument.min_size
    else:
        return text
    try:
        value = to_decimal(field, text or start)
    except BadNumber:
        return text
    moved = value + step * by if text else value
    return f"{moved:f}" if moved > 0 else text


def _number(field: Field, text: str, example: str) -> Decimal:
    try:
        number = to_decimal(field, text)
    except BadNumber:
        raise TicketError(field, text, f"type a number like {example}") from None
    if number <= 0:
        raise TicketError(field, text, f"type a number above zero, like {example}")
    return number


def _price(asked: Draft, field: Field, *, required: bool) -> Decimal | None:
    if field not in asked:
        return None
    if not asked[field]:
        if required:
            raise TicketError(field, "", f"type a {field}")
        return None
    return _number(field, asked[field], "61000.5")


def _size(text: str, instrument: InstrumentView, price: Decimal | None) -> Decimal:
    example = f"{instrument.min_size}, or 500u for {instrument.quote}"
    if not text:
        raise TicketError(Field.SIZE, "", f"type {example}")
    if text.endswith("u"):
        money = _number(Field.SIZE, text[:-1], "500u")
        if price is None:
            raise TicketError(Field.SIZE, text, f"no price to convert with: type the size in {instrument.base}")
        size = floor_to(money / price, Decimal(instrument.step))
    else:
        size = _number(Field.SIZE, text, example)
    if size <= ZERO or size < Decimal(instrument.min_size):
        raise TicketError(Field.SIZE, text, f"the least is {instrument.min_size} {instrument.base}")
    return size


def _trail(asked: Draft) -> tuple[Decimal | None, Decimal | None]:
    """(basis points, offset in price): `0.5%` or `120`."""
    if Field.TRAIL not in asked:
        return None, None
    text = asked[Field.TRAIL]
    if text.endswith("%"):
        return _number(Field.TRAIL, text[:-1], "0.5%") * 100, None
    return None, _number(Field.TRAIL, text, "120, or 0.5%")


def _leverage(asked: Draft, instrument: InstrumentView) -> int | None:
    """Sent as shown, so that what was previewed is what happens; empty keeps what is set."""
    text = asked.get(Field.LEVERAGE, "")
    if not text:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= instrument.max_leverage:
        raise TicketError(Field.LEVERAGE, text, f"type a whole number from 1 to {instrument.max_leverage}")
    return int(text)
