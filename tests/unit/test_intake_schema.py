"""What a signal's body may say, and what it means (DESIGN 7, semantics 9)."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.intake.answers import CODES
from engine.intake.schema import FIELDS, Draft, read_draft
from engine.intake.text import Problem, read_object
from engine.model.order import OrderType
from engine.model.signal import QuantityUnit, SignalAction

NOON = 1_769_860_800_000_000_000
LONG = {"exchange": "paper", "action": "LONG", "symbol": "BTCUSDT", "quantity": 1}


def draft(**fields: Any) -> Draft:
    said = {name: value for name, value in (LONG | fields).items() if value is not ...}
    return read_draft(read_object(json.dumps(said).encode())[0])


def problem(raw: bytes) -> Problem:
    with pytest.raises(Problem) as caught:
        read_draft(read_object(raw)[0])
    return caught.value


def refused(**fields: Any) -> Problem:
    said = {name: value for name, value in (LONG | fields).items() if value is not ...}
    return problem(json.dumps(said).encode())


def test_a_whole_signal() -> None:
    whole = draft(
        symbol="BINANCE:BTCUSDT.P", quantity="100", quantityUnit="quote", leverage=5, orderType="LIMIT", price="61000.50",
        takeProfit=62000, stopLoss=60000.5, test=True, time="2026-01-31T12:00:00Z", idempotencyKey="bar-1",
    )  # fmt: skip
    assert whole == Draft.model_construct(
        exchange="paper", action=SignalAction.LONG, symbol="BTCUSDT", quantity=Decimal(100),
        quantity_unit=QuantityUnit.QUOTE, leverage=5, order_type=OrderType.LIMIT, price=Decimal("61000.5"),
        take_profit=Decimal(62000), stop_loss=Decimal("60000.5"), test=True, time=NOON, idempotency_key="bar-1",
    )  # fmt: skip
    assert type(whole.action) is SignalAction
    assert type(whole.order_type) is OrderType


def test_what_is_not_given_has_its_default() -> None:
    bare = draft()
    assert (bare.quantity_unit, bare.order_type, bare.leverage) == (QuantityUnit.BASE, OrderType.MARKET, None)
    assert (bare.price, bare.test, bare.time, bare.idempotency_key) == (None, False, None, None)
    assert draft(price=None, takeProfit=None, leverage=None) == bare


@pytest.mark.parametrize(
    "text",
    ["BTC-USDT", "BTC_USDT", "btc/usdt", "BINANCE:BTCUSDT.P", "BTCUSDT-PERP", "BTC_USDT_PERP", "binance:btcusdt"],
)
def test_symbols_are_one_however_they_are_written(text: str) -> None:
    assert draft(symbol=text).symbol == "BTCUSDT"


@pytest.mark.parametrize(
    "text", ["", "B", "BTC USDT", "BTC/USDT:USDT", "A:B:C", "ＢＴＣＵＳＤＴ", "ſſ", "B" * 65, 5, None, True]
)
def test_what_could_be_another_symbol_is_refused(text: object) -> None:
    assert refused(symbol=text).field == "symbol"


@pytest.mark.parametrize(
    ("raw", "exact"),
    [
        ("5", "5"), ("5.0", "5"), ('"5"', "5"), ('"5.00"', "5"), ("0.1", "0.1"), ("1e3", "1000"), ('"1E+3"', "1000"),
        ("1e-05", "0.00001"), ("0.10000000000000001", "0.10000000000000001"), ("999999999999.999999999999999999",) * 2,
        ("1000000000000", "1000000000000"), ("0.000000000000000001",) * 2, ("5e0", "5"), ("10", "10"),
    ],
)  # fmt: skip
def test_numbers_are_exact_from_their_text(raw: str, exact: str) -> None:
    read = read_draft(read_object(json.dumps(LONG).replace(": 1", f": {raw}").encode())[0])
    assert f"{read.quantity:f}" == exact


@pytest.mark.parametrize(
    "raw",
    ['"NaN"', '"Infinity"', '"-Infinity"', '"1_000"', '"1,5"', '" 5"', '"+5"', '".5"', '"5."', '""', '"0x10"', '"１"', '"5 "',
     "0", "-1", "0.0", "-0", "1e999", "1e13", "1000000000000.1", "1e-19", "0e999", "1e-999", "9" * 400, "true", "[5]", "{}",
     '"{{close}}"', '"5\\n"'],
)  # fmt: skip
def test_what_is_no_amount_is_refused_with_the_field_and_the_value(raw: str) -> None:
    found = problem(json.dumps(LONG).replace(": 1", f": {raw}").encode())
    assert (found.code, found.field) == ("BAD_FIELD", "quantity")
    assert len(str(found)) < 250


@pytest.mark.parametrize(
    "raw", [b"NaN", b"Infinity", b"-Infinity", b"nan", b"01", b"0x1", b"1.", b"+1", b"{{close}}", b"'1'"]
)
def test_what_json_does_not_know_is_refused(raw: bytes) -> None:
    assert problem(json.dumps(LONG).encode().replace(b": 1", b": " + raw)).code == "BAD_JSON"


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_json_does_not_know_is_refused_with_the_field_s_name(text: str) -> None:
    found = problem(json.dumps(LONG).replace(": 1", f": {text}").encode())
    assert (found.code, found.field) == ("BAD_JSON", "quantity")
    assert text in str(found)
    found = problem(f'{{"requestId": "r", "payload": {{"price": {text}}}}}'.encode())
    assert (found.code, found.field) == ("BAD_JSON", "price")
    found = problem(json.dumps(LONG).replace(": 1", f": [{text}]").encode())
    assert (found.code, found.field) == ("BAD_FIELD", "quantity")
    assert problem(text.encode()).code == problem(f"[{text}]".encode()).code == "BAD_JSON"


@pytest.mark.parametrize("deep", ["[" * 4000, '{"a":' * 1500])
@pytest.mark.parametrize("around", ['{"symbol": "BTCUSDT", "price" : ', '{"requestId": "r", "payload": {"price":'])
def test_a_body_nested_too_deeply_is_refused_with_the_field_s_name(around: str, deep: str) -> None:
    found = problem((around + deep).encode())
    assert (found.code, found.field) == ("BAD_JSON", "price")


@pytest.mark.parametrize(
    "raw",
    [b"", b"null", b"5", b'"a"', b"[]", b"[{}]", b"{}{}", b"{", b"\xff\xfe", b"{'a':1}", b'{"a":1,}', b"[" * 8000, b'{"a":' * 1600,
     b'{"a":"\x00"}', b"action=LONG&symbol=BTCUSDT"],
)  # fmt: skip
def test_what_is_not_one_json_object_is_refused(raw: bytes) -> None:
    assert problem(raw).code == "BAD_JSON"


def test_a_byte_order_mark_is_no_reason() -> None:
    assert read_draft(read_object(b"\xef\xbb\xbf" + json.dumps(LONG).encode())[0]).symbol == "BTCUSDT"


def test_a_field_given_twice_is_refused_by_name_also_where_it_is_escaped_or_nested() -> None:
    for raw in (
        b'{"action":"LONG","action":"SHORT"}',
        b'{"action":"LONG","\\u0061ction":"SHORT"}',
        b'{"a":{"action":1,"action":1}}',
    ):
        found = problem(raw)
        assert (found.code, found.field) == ("DUPLICATE_FIELD", "action")


def test_unknown_fields_are_refused_and_the_nearest_is_named() -> None:
    found = refused(quantitty=1)
    assert (found.code, found.field) == ("UNKNOWN_FIELD", "quantitty")
    assert "did you mean quantity?" in str(found)
    assert "known are apiKey, exchange" in str(refused(zzz=1))
    assert refused(take_profit=1).code == "UNKNOWN_FIELD"
    assert refused(**{"\ud800": 1}).code in ("BAD_JSON", "UNKNOWN_FIELD")


def test_a_misspelt_field_is_named_together_with_the_one_that_is_missing() -> None:
    found = refused(symbol=..., symbl="BTCUSDT")
    assert (found.code, found.field) == ("MISSING_FIELD", "symbol")
    assert str(found) == "symbol: missing; it is required; unknown field symbl, did you mean symbol?"
    assert str(refused(symbol=..., action=..., symbl="BTCUSDT")).endswith("did you mean symbol? (and 1 more)")


@pytest.mark.parametrize("name", ["exchange", "action", "symbol", "quantity"])
def test_missing_fields_are_named(name: str) -> None:
    found = refused(**{name: ...})
    assert (found.code, found.field) == ("MISSING_FIELD", name)


@pytest.mark.parametrize(
    ("fields", "field", "remedy"),
    [
        ({"action": "long"}, "action", "did you mean LONG?"),
        ({"action": "BUY"}, "action", "CLOSE_SHORT"),
        ({"action": "FLAT"}, "action", "CLOSE"),
        ({"exchange": "kraken"}, "exchange", "paper"),
        ({"exchange": "Binance"}, "exchange", "one of binance"),
        ({"quantityUnit": "usd"}, "quantityUnit", "quote"),
        ({"orderType": "STOP"}, "orderType", "MARKET, LIMIT"),
        ({"leverage": 0}, "leverage", "from 1"),
        ({"leverage": 2.5}, "leverage", "whole"),
        ({"leverage": 1001}, "leverage", "1000"),
        ({"leverage": "5x"}, "leverage", "whole"),
        ({"leverage": True}, "leverage", "whole"),
        ({"test": "true"}, "test", "without quotes"),
        ({"test": 1}, "test", "without quotes"),
        ({"orderType": "LIMIT"}, "price", "needs one"),
        ({"price": 5}, "price", "orderType to LIMIT"),
        ({"action": "CLOSE", "orderType": "LIMIT", "price": 5}, "orderType", "leave it out"),
        ({"action": "CLOSE", "takeProfit": 5}, "takeProfit", "leave it out"),
        ({"action": "CLOSE", "quantity": 0}, "quantity", "above 0"),
        ({"idempotencyKey": ""}, "idempotencyKey", "1 to 128"),
        ({"idempotencyKey": "a b"}, "idempotencyKey", "without spaces"),
        ({"idempotencyKey": "a" * 129}, "idempotencyKey", "1 to 128"),
        ({"idempotencyKey": "~once"}, "idempotencyKey", "beginning with ~"),
        ({"idempotencyKey": 5}, "idempotencyKey", "printable"),
        ({"idempotencyKey": "é"}, "idempotencyKey", "ASCII"),
    ],
)
def test_values_that_cannot_be_meant_are_refused_with_field_and_remedy(
    fields: dict[str, Any], field: str, remedy: str
) -> None:
    found = refused(**fields)
    assert found.field == field
    assert remedy in str(found)


@pytest.mark.parametrize("action", ["CLOSE", "CLOSE_LONG", "CLOSE_SHORT"])
def test_a_close_needs_no_quantity(action: str) -> None:
    assert draft(action=action, quantity=...).quantity is None
    assert draft(action=action, leverage=5).action == action


@pytest.mark.parametrize(
    "time",
    ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00", "2026-01-31 12:00", "2026-01-31T13:00:00+01:00", "2026-01-31T07:00:00-0500",
     1769860800000, "1769860800000", "2026-01-31T12:00:00.000Z"],
)  # fmt: skip
def test_one_time_in_all_its_spellings(time: object) -> None:
    assert draft(time=time).time == NOON


def test_a_time_keeps_its_nanoseconds() -> None:
    assert draft(time="2026-01-31T12:00:00.123456789Z").time == NOON + 123_456_789


@pytest.mark.parametrize(
    "time",
    [1769860800, "1769860800", 0, -5, 1e15, "now", "2026-01-31", "2026-02-30T12:00:00Z", "2026-01-31T25:00:00Z", "1999-01-01T00:00:00Z",
     "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2026-W05-6T12:00", True, "{{timenow}}", [], ""],
)  # fmt: skip
def test_what_is_no_time_is_refused(time: object) -> None:
    assert refused(time=time).field == "time"


def test_a_digest_is_a_good_key_and_an_api_key_is_none() -> None:
    assert draft(idempotencyKey="ab" * 32).idempotency_key == "ab" * 32
    assert "choose another" in str(refused(idempotencyKey="hx_00112233_" + "ab" * 32))


def test_seconds_are_recognised_and_a_placeholder_is_too() -> None:
    assert "looks like seconds" in str(refused(time=1769860800))
    assert "TradingView did not replace the placeholder" in str(refused(time="{{timenow}}"))
    assert "TradingView did not replace the placeholder" in str(refused(quantity="{{close}}"))


def test_bodies_that_mean_the_same_have_one_hash_and_others_another() -> None:
    first = draft().body_hash()
    assert (
        first
        == draft(quantity="1.0", idempotencyKey="k", price=None).body_hash()
        == draft(symbol="btc-usdt").body_hash()
    )
    others = [
        draft(quantity=2),
        draft(action="SHORT"),
        draft(symbol="ETHUSDT"),
        draft(time=1769860800000),
        draft(leverage=2),
    ]
    assert len({first, *(other.body_hash() for other in others)}) == 6


def test_a_default_that_is_said_means_the_same_as_one_that_is_not() -> None:
    said = {"test": False, "quantityUnit": "base", "orderType": "MARKET", "leverage": None, "stopLoss": None}
    for name, value in said.items():
        assert draft(**{name: value}).body_hash() == draft().body_hash(), name
    assert draft(**said).body_hash() == draft().body_hash()
    assert draft(leverage=1).body_hash() != draft().body_hash()


@pytest.mark.parametrize(
    ("fields", "digest"),
    [
        ({}, "9ddb90c26679dbea70850b7487b6375a995d1215a259ab0c25a08ea5aa91baed"),
        ({"action": "CLOSE", "quantity": ...}, "333b33ffad7a6ea6edabadb03be8419a984c3af11d7d057c84d6abe1acbd22b3"),
        (
            {"orderType": "LIMIT", "price": 61000, "time": NOON // 1_000_000, "leverage": 1, "quantityUnit": "quote", "test": True},
            "86268598cad8198244d906d0666de6815aafee0dae2d402f5527b35f49e686d7",
        ),
    ],
)  # fmt: skip
def test_a_bodys_hash_is_the_same_for_ever_for_ledgers_hold_it(fields: dict[str, Any], digest: str) -> None:
    assert draft(**fields).body_hash() == digest


def test_the_page_for_users_names_every_field_and_every_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "signals.md").read_text()
    assert all(f"`{name}`" in page for name in FIELDS)
    for name, (status, meaning) in CODES.items():
        assert f"| {int(status)} | `{name}` | {meaning} |" in page
