"""A request's body as JSON, read strictly: one object, no field twice, numbers as the text they were sent in."""

from __future__ import annotations

import json
import re
from typing import Any

from engine.intake.keys import masked

LONGEST_SHOWN = 60


class Problem(ValueError):
    """Why a body is refused: the message names field, value and remedy, and holds no secret."""

    def __init__(self, code: str, field: str, said: str) -> None:
        super().__init__(f"{field}: {said}" if field else said)
        self.code = code
        self.field = field
        self.said = said


class Number(str):
    """A JSON number as its digits were sent: 0.10 stays 0.10, and 1e400 is no infinity."""

    __slots__ = ()


class _Constant(Number):
    """NaN, Infinity: what is a number to JavaScript, and none to JSON."""

    __slots__ = ()


class _TwiceError(ValueError):
    pass


class _NotANumberError(ValueError):
    pass


def shown(value: object) -> str:
    """A value for an error message: short, printable, without secrets."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    # Masked first: a cut secret would no longer look like one.
    text = masked(str(value))
    cut = text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"
    return ascii(cut).replace("\\u2026", "…") if not isinstance(value, Number) else cut


def read_object(body: bytes) -> tuple[dict[str, Any], str]:
    """The object and the text it was read from; raises Problem."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Problem("BAD_JSON", "", "the body is not UTF-8; send JSON encoded as UTF-8") from None
    try:
        value = _DECODER.decode(text)
    except _TwiceError as error:
        field = error.args[0]
        raise Problem("DUPLICATE_FIELD", named(field), "given twice; which one counts would be a guess") from None
    except _NotANumberError as error:
        field, constant = error.args
        said = f"{constant} is not a number; leave the field out, or give it a value"
        raise Problem("BAD_JSON", named(field), said) from None
    except RecursionError:
        found = _HOLDS_MORE.search(text)
        field = named(found[1]) if found else ""
        raise Problem("BAD_JSON", field, "the body is nested too deeply; send one flat object") from None
    except ValueError as error:
        raise Problem("BAD_JSON", "", f"the body is not JSON ({_where(error)}); send one object{_hint(text)}") from None
    if not isinstance(value, dict):
        raise Problem("BAD_JSON", "", f"the body is {_kind(value)}; send one JSON object")
    return value, text


def canonical(fields: dict[str, Any]) -> str:
    """JSON that is the same for the same fields."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))


def named(field: str) -> str:
    """A field's name, which the sender may have chosen freely."""
    return field if field.isascii() and field.isidentifier() and len(field) <= LONGEST_SHOWN else shown(field)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _TwiceError(name)
            seen.add(name)
    if _Constant in map(type, fields.values()):
        raise _NotANumberError(*next((name, value) for name, value in pairs if type(value) is _Constant))
    return fields


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_float=Number, parse_int=Number, parse_constant=_Constant)
_HOLDS_MORE = re.compile(r'"(?!payload")([^"\\]*)"\s*:\s*[\[{]')
"""A field whose value is not flat. No field of a signal is such a one."""


def _where(error: ValueError) -> str:
    return f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "a bad value"


def _hint(text: str) -> str:
    return "; it still holds {{…}}: put it in quotes" if "{{" in text else ""


def _kind(value: object) -> str:
    if isinstance(value, list):
        return "a list"
    return "a number" if isinstance(value, Number) else "a text" if isinstance(value, str) else shown(value)
