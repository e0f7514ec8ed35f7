"""Whatever is sent, the answer is one of the codes, and only what a second reading of DESIGN 7 allows becomes a signal."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import re
import sys
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.intake.answers import CODES
from engine.intake.keys import masked, new_key
from engine.intake.limits import Patience
from engine.intake.schema import EXCHANGES, FIELDS, Draft, read_draft
from engine.intake.text import Problem, read_object
from tests.intake_kit import NOON_NS, Desk

# --- a second reading of DESIGN 7, by other means ---------------------------------------------------------------------


class Digits(str):
    """A JSON number."""

    __slots__ = ()


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError
    return dict(pairs)


def _no_constants(_: str) -> None:
    raise ValueError


def _amount(value: object) -> bool:
    if not isinstance(value, str) or not re.fullmatch(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", value):
        return False
    number = Fraction(value)
    return 0 < number <= 10**12 and (number * 10**18).denominator == 1


def _symbol(value: object) -> bool:
    if type(value) is not str or not value.isascii() or len(value) > 64:
        return False
    name = re.sub(r"^[A-Za-z0-9]+:", "", value)
    name = re.sub(r"(\.p|[-_/]perp)$", "", name.lower()) if not name.endswith("\n") else name
    return re.fullmatch(r"[a-z0-9]{2,30}", re.sub("[-_/]", "", name)) is not None


def _time(value: object) -> bool:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,20}", value):
        return 946_684_800_000 <= int(value) <= 4_102_444_800_000
    if type(value) is not str:
        return False
    found = re.fullmatch(r"(.{10})[T ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:?[0-9]{2})?", value)
    if not found or not value.isascii():
        return False
    day, clock, seconds, _, zone = found.groups()
    try:
        moment = datetime.strptime(f"{day} {clock}{seconds or ':00'} {zone or 'Z'}", "%Y-%m-%d %H:%M:%S %z")
        return 946_684_800 <= moment.timestamp() <= 4_102_444_800
    except (ValueError, OverflowError):
        return False


_LIKE_A_KEY = re.compile(r"hx_[0-9A-Za-z]{1,16}_[^\s\"'\\,}]")


def _key(value: object) -> bool:
    return (
        type(value) is str and re.fullmatch(r"[!-}][!-~]{0,127}", value) is not None and not _LIKE_A_KEY.search(value)
    )


_ALLOWED: dict[str, Any] = {
    "exchange": lambda value: type(value) is str and value in EXCHANGES,
    "action": lambda value: type(value) is str and value in ("LONG", "SHORT", "CLOSE", "CLOSE_LONG", "CLOSE_SHORT"),
    "symbol": _symbol,
    "quantity": _amount,
    "quantityUnit": lambda value: type(value) is str and value in ("base", "quote", "contracts"),
    "leverage": lambda value: (
        isinstance(value, str)
        and re.fullmatch(r"[0-9]{1,20}(\.0)?", value) is not None
        and 1 <= Fraction(value) <= 1000
    ),
    "orderType": lambda value: type(value) is str and value in ("MARKET", "LIMIT"),
    "price": _amount,
    "takeProfit": _amount,
    "stopLoss": _amount,
    "test": lambda value: isinstance(value, bool),
    "time": _time,
    "idempotencyKey": _key,
}
_MAY_BE_NULL = ("quantity", "leverage", "price", "takeProfit", "stopLoss", "time", "idempotencyKey")


def allowed(body: bytes) -> bool:
    """Whether a body, its key aside, is a signal."""
    try:
        fields = json.loads(
            body.decode("utf-8-sig"),
            object_pairs_hook=_no_twins, parse_float=Digits, parse_int=Digits, parse_constant=_no_constants,
        )  # fmt: skip
    except (ValueError, RecursionError):
        return False
    if not isinstance(fields, dict):
        return False
    fields.pop("apiKey", None)
    given = {name: value for name, value in fields.items() if not (value is None and name in _MAY_BE_NULL)}
    if any(name not in _ALLOWED or not _ALLOWED[name](value) for name, value in given.items()):
        return False
    limit = given.get("orderType") == "LIMIT"
    if not {"exchange", "action", "symbol"} <= set(given) or limit != ("price" in given):
        return False
    if given["action"].startswith("CLOSE"):
        return not limit and not {"takeProfit", "stopLoss"} & set(given)
    return "quantity" in given


# --- what a fuzzer sends ----------------------------------------------------------------------------------------------

NASTY: list[Any] = [
    None, True, False, 0, -0.0, 1, -1, 0.1, 1e308, 10**400, "", " ", "0", "5", "5.0", "1e3", "1e999", "-5", "NaN", "Infinity",
    "LONG", "CLOSE", "LIMIT", "MARKET", "quote", "btc/usdt", "{{close}}", "null", [], {}, [[[[]]]], {"a": {"b": {}}}, "\ud800",
    "\x00", "é", "１", "A" * 70, "9" * 50, 1769860800000, "2026-01-31T12:00:00Z", "2026-02-30T12:00:00Z", 0.5, 1e-18, 1e-19, 5e-324,
]  # fmt: skip
TOKENS = [
    b"NaN",
    b"-Infinity",
    b"{",
    b"}",
    b"[" * 50,
    b'"',
    b"\\u0000",
    b"\\ud800",
    b"\xff",
    b"\x00",
    b",",
    b":",
    b"1e5",
    b"\\",
    b"//",
]


def mutant(chance: random.Random, key: str) -> bytes:
    """A valid body with a few things done to it."""
    fields: dict[str, Any] = {
        "apiKey": key,
        "exchange": chance.choice(EXCHANGES),
        "action": chance.choice(("LONG", "SHORT", "CLOSE")),
        "symbol": "BTCUSDT",
        "quantity": "0.01",
        "idempotencyKey": f"k{chance.randrange(10**9)}",
    }
    for _ in range(chance.choice((0, 1, 1, 2, 3))):
        what = chance.randrange(4)
        if what == 0:
            fields.pop(chance.choice(list(fields)), None)
        elif what == 1:
            fields[chance.choice(FIELDS)] = chance.choice(NASTY)
        elif what == 2:
            fields[chance.choice(FIELDS)] = fields.get(chance.choice(list(FIELDS)))
        else:
            fields[chance.choice(("x", "ACTION", "quantity ", "__proto__", "apikey"))] = chance.choice(NASTY)
    body = json.dumps(fields, ensure_ascii=chance.random() < 0.9).encode("utf-8", "surrogatepass")
    for _ in range(chance.choice((0, 0, 1, 2, 5))):
        at, other = sorted((chance.randrange(len(body) + 1), chance.randrange(len(body) + 1)))
        what = chance.randrange(5)
        if what == 0:
            body = body[:at] + chance.choice(TOKENS) + body[at:]
        elif what == 1:
            body = body[:at] + body[at + 1 :]
        elif what == 2:
            body = body[:at] + bytes([chance.randrange(256)]) + body[at + 1 :]
        elif what == 3:
            body = body[:other] + body[at:other] + body[other:]
        else:
            body = body[:at] + body[other:]
        body = body or b" "
    return body[:8000]


# --- the parser -------------------------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(NASTY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
bodies = st.dictionaries(st.sampled_from((*FIELDS, "x")), json_values).map(
    lambda fields: json.dumps(
        {"exchange": "paper", "action": "LONG", "symbol": "BTCUSDT", "quantity": 1} | fields
    ).encode()
)


def parsed(body: bytes) -> Draft | Problem:
    try:
        fields, _ = read_object(body)
        fields.pop("apiKey", None)
        return read_draft(fields)
    except Problem as problem:
        return problem


@given(st.binary(max_size=200) | bodies | st.integers().map(lambda seed: mutant(random.Random(seed), "k")))
@settings(max_examples=600, deadline=None)
def test_a_body_is_a_signal_or_a_problem_that_can_be_shown(body: bytes) -> None:
    found = parsed(body)
    assert isinstance(found, Draft) == allowed(body), found
    if isinstance(found, Problem):
        assert found.code in CODES
        assert str(found).isprintable()
        assert len(str(found)) < 400


@given(st.decimals(min_value="1e-12", max_value="1e12", places=12), st.sampled_from(("{}", "{:f}", "{:e}", "{:E}")))
@settings(max_examples=300, deadline=None)
def test_an_amount_loses_no_digit(number: Any, spelling: str) -> None:
    for text in (spelling.format(number), f'"{spelling.format(number)}"'):
        found = parsed(f'{{"exchange":"paper","action":"LONG","symbol":"BTCUSDT","quantity":{text}}}'.encode())
        assert isinstance(found, Draft)
        assert found.quantity == number


@given(st.text(max_size=30), st.text(max_size=30), st.integers(0, 63))
@settings(max_examples=300, deadline=None)
def test_a_key_is_masked_wherever_it_stands(before: str, after: str, cut: int) -> None:
    key = new_key(0).text
    assert key[12:28] not in masked(before + key + after)
    found = parsed(json.dumps({"symbol": before + key[: 13 + cut] + after, "exchange": key, key: 1}).encode())
    assert isinstance(found, Problem)
    assert key[12:28] not in str(found)


# --- the listener -----------------------------------------------------------------------------------------------------


async def fuzz(desk: Desk, count: int, seed: int) -> None:
    """Send mutants on a kept connection, and hold each answer against the second reading."""
    key = desk.source().api_key
    chance = random.Random(seed)
    async with desk.listening() as client:
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        taken = 0
        for number in range(count):
            body = mutant(chance, key)
            kind = b"text/plain" if number % 2 else b"application/json"
            writer.write(
                b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
                % (kind, len(body))
            )
            writer.write(body)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            assert length, head
            answer = json.loads(await reader.readexactly(int(length[1])))
            status = int(head.split()[1])
            assert status in (200, 400, 403, 409), (status, body)
            assert key[12:] not in json.dumps(answer)
            assert answer["success"] == (status == 200)
            assert status != 200 or allowed(body), body
            assert status == 200 or answer["code"] in CODES
            taken += status == 200
            assert len(desk.engine.arrivals) <= taken, body
            # Forgotten now and then: what grows must not be the test's own.
            if number % 1000 == 999:
                desk.engine.recorded.clear()
                desk.engine.arrivals.clear()
                desk.engine.orders.clear()
                desk.engine.alarms.clear()
                taken = 0
        writer.close()
        await writer.wait_closed()


def patient(home: Path) -> Desk:
    return Desk(home, patience=Patience(guesses=10**9))


async def test_mutated_bodies_never_fail_the_listener_nor_slip_through(tmp_path: Path) -> None:
    await fuzz(patient(tmp_path), 2_000, seed=NOON_NS)


@pytest.mark.soak
async def test_a_hundred_thousand_mutated_bodies_leave_memory_as_it_was(tmp_path: Path) -> None:
    desk = patient(tmp_path)
    await fuzz(desk, 25_000, seed=1)
    (desk.home / "sources.json").unlink()
    gc.collect()
    before = sys.getallocatedblocks()
    await fuzz(desk, 75_000, seed=2)
    gc.collect()
    assert sys.getallocatedblocks() - before < 10_000
