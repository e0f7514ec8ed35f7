"""A signal's body (DESIGN 7, semantics 9): what its fields may be, and what they mean once normalised.

Numbers are exact, from their text: 5, 5.0 and "5" are the same. An exponent is read too (1e-05 is how many programs write
0.00001), within the same bounds. What is not in the table is refused, with the field, the value and the remedy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches
from functools import lru_cache
from hashlib import sha256
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from engine.core.sanity import MOST
from engine.intake.keys import holds_key
from engine.intake.text import Problem, canonical, named, shown
from engine.model.money import ONE, ZERO
from engine.model.order import OrderType
from engine.model.signal import QuantityUnit, SignalAction

EXCHANGES = ("binance", "bybit", "mexc", "backpack", "hyperliquid", "paper")
ORDER_TYPES = (OrderType.MARKET, OrderType.LIMIT)
MOST_LEVERAGE = 1_000
MOST_PLACES = 18
"""Decimal places: more are finer than any venue's step, and with MOST in front they fit the 34 digits of money."""
LONGEST_KEY = 128
LONGEST_SYMBOL = 64
DERIVED = "~"
"""Keys that begin so are made here; a sender's own may not."""

CLOSES = frozenset({SignalAction.CLOSE, SignalAction.CLOSE_LONG, SignalAction.CLOSE_SHORT})

_NUMBER = re.compile(r"-?\d{1,40}(\.\d{1,40})?([eE][+-]?\d{1,3})?", re.ASCII)
_WHOLE = re.compile(r"\d{1,20}", re.ASCII)
_SYMBOL = re.compile(r"[A-Z0-9]{2,30}", re.ASCII)
_VENUE = re.compile(r"\A[A-Z0-9]+:", re.ASCII)
_PERPETUAL = re.compile(r"(\.P|[-_/]PERP)\Z", re.ASCII)
_SEPARATORS = str.maketrans("", "", "/-_")
_SENDERS_KEY = re.compile(rf"[\x21-\x7d][\x21-\x7e]{{0,{LONGEST_KEY - 1}}}", re.ASCII)
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d)?(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)?", re.ASCII)
_FINEST = Decimal(1).scaleb(-MOST_PLACES)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MS, _LAST_MS = 946_684_800_000, 4_102_444_800_000


def _wrong(said: str) -> PydanticCustomError:
    return PydanticCustomError("field", "{said}", {"said": said})


def _not_filled_in(value: object) -> str:
    return "; TradingView did not replace the placeholder" if isinstance(value, str) and "{{" in value else ""


def _amount(value: object) -> Decimal:
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        raise _wrong(f"{shown(value)} is not a number; write it like 0.25 or 61000.5{_not_filled_in(value)}")
    number = Decimal(value)
    if number <= ZERO:
        raise _wrong(f"{shown(value)} is not above 0")
    if number > MOST:
        raise _wrong(f"{shown(value)} is beyond {MOST}; check for a typing slip")
    # Only now: an exponent is small enough to be written out.
    number = number.normalize()
    if number != number.quantize(_FINEST):
        raise _wrong(f"{shown(value)} has more than {MOST_PLACES} decimal places; round it")
    return number.quantize(ONE) if number == number.to_integral_value() else number


def _leverage(value: object) -> int:
    whole = value.removesuffix(".0") if isinstance(value, str) else ""
    if _WHOLE.fullmatch(whole) and 1 <= int(whole) <= MOST_LEVERAGE:
        return int(whole)
    raise _wrong(f"{shown(value)} is not a leverage; write a whole number from 1 to {MOST_LEVERAGE}")


def _one_of(choices: Iterable[str]) -> PlainValidator:
    known = {str(choice): choice for choice in choices}
    names = ", ".join(known)

    def read(value: object) -> str:
        if type(value) is str and value in known:
            return known[value]
        near = value.strip().upper() if type(value) is str else ""
        meant = next((f"; did you mean {name}?" for name in known if name.upper() == near), "")
        raise _wrong(f"{shown(value)} is not one of {names}{meant}")

    return PlainValidator(read)


def symbol_of(value: object) -> str:
    """`BTC-USDT`, `BTC_USDT`, `btc/usdt`, `BINANCE:BTCUSDT.P` -> `BTCUSDT` (semantics 9)."""
    name = _normalised(value) if type(value) is str and len(value) <= LONGEST_SYMBOL else ""
    if not name:
        raise _wrong(f"{shown(value)} is not a symbol; write it like BTCUSDT{_not_filled_in(value)}")
    return name


@lru_cache(maxsize=1024)
def _normalised(text: str) -> str:
    name = _PERPETUAL.sub("", _VENUE.sub("", text.upper())).translate(_SEPARATORS)
    return name if text.isascii() and _SYMBOL.fullmatch(name) else ""


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong(f"{shown(value)} is neither true nor false; write it without quotes")
    return value


def _time_ns(value: object) -> int:
    """ISO 8601 (UTC where it names no zone) or epoch milliseconds, as ns UTC."""
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        ms = int(value)
        if _FIRST_MS <= ms <= _LAST_MS:
            return ms * 1_000_000
        seconds = "; it looks like seconds" if _FIRST_MS <= ms * 1_000 <= _LAST_MS else ""
        raise _wrong(f"{shown(value)} is not a time in milliseconds since 1970{seconds}")
    found = _ISO.fullmatch(value) if type(value) is str else None
    if found:
        day, minute, second, fraction, zone = found.groups()
        try:
            moment = datetime.fromisoformat(f"{day}T{minute}{second or ':00'}{zone or 'Z'}") - _EPOCH
        except (ValueError, OverflowError):
            moment = timedelta(0)
        ns = (moment.days * 86_400 + moment.seconds) * 1_000_000_000 + int((fraction or "").ljust(9, "0"))
        if _FIRST_MS * 1_000_000 <= ns <= _LAST_MS * 1_000_000:
            return ns
    raise _wrong(
        f"{shown(value)} is not a time; write it like 2026-01-31T12:00:00Z or 1769860800000{_not_filled_in(value)}"
    )


def _key(value: object) -> str:
    if type(value) is not str or not _SENDERS_KEY.fullmatch(value):
        raise _wrong(
            f"{shown(value)} is not a key; write 1 to {LONGEST_KEY} printable ASCII characters without spaces, "
            f"not beginning with {DERIVED}"
        )
    if holds_key(value):
        raise _wrong("looks like an API key or another secret; keys of signals are recorded, choose another")
    return value


def _text_or_number(**more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": ["number", "string"], **more})


def _text(**more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **more})


Amount = Annotated[
    Decimal,
    PlainValidator(_amount),
    _text_or_number(exclusiveMinimum=0, maximum=int(MOST), pattern=r"^[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"),
]
Exchange = Annotated[str, _one_of(EXCHANGES), _text(enum=EXCHANGES)]
Action = Annotated[SignalAction, _one_of(SignalAction), _text(enum=tuple(SignalAction))]
Unit = Annotated[QuantityUnit, _one_of(QuantityUnit), _text(enum=tuple(QuantityUnit))]
Type = Annotated[OrderType, _one_of(ORDER_TYPES), _text(enum=ORDER_TYPES)]
Symbol = Annotated[
    str,
    PlainValidator(symbol_of),
    _text(pattern=r"^([A-Za-z0-9]+:)?[A-Za-z0-9][A-Za-z0-9/_-]{0,28}[A-Za-z0-9](\.[Pp])?$", maxLength=LONGEST_SYMBOL),
]
Leverage = Annotated[
    int, PlainValidator(_leverage), _text_or_number(minimum=1, maximum=MOST_LEVERAGE, pattern=r"^[0-9]+(\.0)?$")
]
Truth = Annotated[bool, PlainValidator(_truth), WithJsonSchema({"type": "boolean"})]
Time = Annotated[
    int,
    PlainValidator(_time_ns),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {"type": "integer", "minimum": _FIRST_MS, "maximum": _LAST_MS},
            ]
        }
    ),
]
Key = Annotated[str, PlainValidator(_key), _text(pattern=f"^[!-}}][!-~]{{0,{LONGEST_KEY - 1}}}$")]


class Draft(BaseModel):
    """A signal as it stands in a body, without what authenticates it; its values are normalised. null means not given."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, hide_input_in_errors=True, title="Signal"
    )

    exchange: Exchange = Field(description="Venue whose profile applies; in sim and paper, paper matching fills.")
    action: Action
    symbol: Symbol = Field(description="BTCUSDT; also BTC-USDT, BTC_USDT, btc/usdt or BINANCE:BTCUSDT.P")
    quantity: Amount | None = Field(None, description="Above 0. May be left out of a CLOSE, which closes all there is.")
    quantity_unit: Unit = QuantityUnit.BASE
    leverage: Leverage | None = None
    order_type: Type = OrderType.MARKET
    price: Amount | None = Field(None, description="With orderType LIMIT, and only then.")
    take_profit: Amount | None = None
    stop_loss: Amount | None = None
    test: Truth = Field(False, description="Goes all the way to the plan; no order is made.")
    time: Time | None = Field(
        None, description="The alert's own time: ISO 8601 (UTC where it names no zone) or epoch milliseconds."
    )
    idempotency_key: Key | None = Field(None, description="Also as header Idempotency-Key. Counts once, for ever.")

    def body_hash(self) -> str:
        """sha256 of the canonical body: equal for bodies that mean the same. The idempotency key is no part of it."""
        # What has its default is left out, said or not: ledgers hold hashes of bodies that did not say it.
        said = {name: str(value) for name, default in _HASHED.items() if (value := getattr(self, name)) != default}
        return sha256(canonical(said).encode()).hexdigest()


_HASHED = {name: field.default for name, field in Draft.model_fields.items() if name != "idempotency_key"}
"""Field: its default."""
FIELDS = tuple(to_camel(name) for name in Draft.model_fields)


def read_draft(fields: dict[str, Any]) -> Draft:
    """A body's fields, without its apiKey, normalised; raises Problem."""
    try:
        draft = Draft.model_validate(fields)
    except ValidationError as error:
        raise _problem(error) from None
    _check_together(draft)
    return draft


def read_key(value: object, field: str = "Idempotency-Key") -> str:
    """An idempotency key that stands elsewhere than in the signal; raises Problem."""
    try:
        return _key(value)
    except PydanticCustomError as error:
        raise Problem("BAD_FIELD", field, error.message()) from None


def _check_together(draft: Draft) -> None:
    limit = draft.order_type is OrderType.LIMIT
    if draft.action in CLOSES:
        for name, given in (
            ("orderType", limit),
            ("price", draft.price),
            ("takeProfit", draft.take_profit),
            ("stopLoss", draft.stop_loss),
        ):
            if given:
                raise Problem(
                    "BAD_FIELD", name, f"does not go with {draft.action}, which closes at market; leave it out"
                )
    elif draft.quantity is None:
        raise Problem("MISSING_FIELD", "quantity", f"missing; a {draft.action} needs one above 0")
    if limit and draft.price is None:
        raise Problem("MISSING_FIELD", "price", "missing; orderType LIMIT needs one")
    if draft.price is not None and not limit:
        raise Problem(
            "BAD_FIELD", "price", f"{draft.price:f} given with a MARKET order; set orderType to LIMIT, or leave it out"
        )


def _problem(error: ValidationError) -> Problem:
    """The first thing that is wrong, and how many more there are."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    first = errors[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    more = _and_more(len(errors) - 1)
    if first["type"] == "missing":
        # What is missing was often written, only otherwise.
        extra = next((str(one["loc"][0]) for one in errors if one["type"] == "extra_forbidden"), None)
        if extra is None:
            return Problem("MISSING_FIELD", name, f"missing; it is required{more}")
        unknown = f"unknown field {named(extra)}, {_meant(extra)}"
        return Problem("MISSING_FIELD", name, f"missing; it is required; {unknown}{_and_more(len(errors) - 2)}")
    if first["type"] == "extra_forbidden":
        return Problem("UNKNOWN_FIELD", named(name), f"is not a field; {_meant(name)}{more}")
    if first["type"] != "field":
        return Problem("BAD_JSON", "", f"a field's name is not text{more}")
    return Problem("BAD_FIELD", name, first["msg"] + more)


def _meant(name: str) -> str:
    near = get_close_matches(name, FIELDS, n=1)
    return f"did you mean {near[0]}?" if near else f"known are apiKey, {', '.join(FIELDS)}"


def _and_more(count: int) -> str:
    return f" (and {count} more)" if count > 0 else ""
