"""The table of LONG, SHORT and CLOSE against what is open (DESIGN 7, semantics 7 and 9), without a desk."""
# ruff: noqa: N802 - tests are named for the numbered cases

from __future__ import annotations

from decimal import Decimal
from itertools import product

import msgspec
import pytest

from engine.core.rounding import Refusal
from engine.core.translate import Enter, Leave, Nothing, Step, translate
from engine.model.market import Side
from engine.model.signal import Opposite, SameSide, SignalAction
from tests.kit import BUY, SELL, instrument
from tests.signal_kit import policy, signal

D = Decimal
HELD = {"flat": D(0), "long": D(1), "short": D(-1)}
NONE: frozenset[Side] = frozenset()


def means(
    action: str, held: Decimal, same: str = "add", opposite: str = "reverse", working: frozenset[Side] = NONE
) -> Step:
    rules = policy(same_side=SameSide(same), opposite=Opposite(opposite))
    return translate(signal(action, "0.5"), rules, instrument(), held, working, D(60_000))


def word(step: Step) -> str:
    match step:
        case Enter(side=side):
            return f"enter {side.lower()}"
        case Leave(sides=sides, reverses=reverses):
            return f"leave {'+'.join(sorted(side.lower() for side in sides))}" + (" then enter" if reverses else "")
        case Nothing(code=code):
            return f"nothing {code}"
        case Refusal(code=code):
            return f"refuse {code}"


CLOSES = [
    ("CLOSE", "flat", "nothing FLAT"),
    ("CLOSE", "long", "leave buy+sell"),
    ("CLOSE", "short", "leave buy+sell"),
    ("CLOSE_LONG", "flat", "nothing FLAT"),
    ("CLOSE_LONG", "long", "leave buy"),
    ("CLOSE_LONG", "short", "nothing OTHER_SIDE"),
    ("CLOSE_SHORT", "flat", "nothing FLAT"),
    ("CLOSE_SHORT", "long", "nothing OTHER_SIDE"),
    ("CLOSE_SHORT", "short", "leave sell"),
]


@pytest.mark.parametrize(("action", "held", "expected"), CLOSES)
@pytest.mark.parametrize(("same", "opposite"), product(SameSide, Opposite))
def test_a_close_does_the_same_whatever_the_source_says_of_entries(
    action: str, held: str, expected: str, same: SameSide, opposite: Opposite
) -> None:
    assert word(means(action, HELD[held], same, opposite)) == expected


ENTRIES = {
    # action, held: by sameSide or opposite
    ("LONG", "flat"): dict.fromkeys((*SameSide, *Opposite), "enter buy"),
    ("SHORT", "flat"): dict.fromkeys((*SameSide, *Opposite), "enter sell"),
    ("LONG", "long"): {"add": "enter buy", "ignore": "nothing SAME_SIDE", "reject": "refuse SAME_SIDE"},
    ("SHORT", "short"): {"add": "enter sell", "ignore": "nothing SAME_SIDE", "reject": "refuse SAME_SIDE"},
    ("LONG", "short"): {"reverse": "leave sell then enter", "net": "enter buy", "reject": "refuse OPPOSITE"},
    ("SHORT", "long"): {"reverse": "leave buy then enter", "net": "enter sell", "reject": "refuse OPPOSITE"},
}


@pytest.mark.parametrize(("action", "held"), ENTRIES)
@pytest.mark.parametrize(("same", "opposite"), product(SameSide, Opposite))
def test_an_entry_goes_by_what_is_open_and_by_the_policy_of_its_side(
    action: str, held: str, same: SameSide, opposite: Opposite
) -> None:
    own_side = (action, held) in (("LONG", "long"), ("SHORT", "short"))
    expected = ENTRIES[action, held][same if own_side else opposite]
    assert word(means(action, HELD[held], same, opposite)) == expected


def test_a_refusal_names_what_is_open_the_rule_and_the_remedy() -> None:
    for step, words in (
        (means("LONG", D(1), same="reject"), ("long 1 BTCUSDT", "sameSide is reject", "add")),
        (means("LONG", D(-1), opposite="reject"), ("short 1 BTCUSDT", "opposite is reject", "CLOSE")),
    ):
        assert isinstance(step, Refusal)
        assert all(word in step.message for word in words), step.message


@pytest.mark.parametrize(
    ("action", "working", "expected"),
    [
        ("CLOSE", {BUY}, "leave buy+sell"),
        ("CLOSE_LONG", {BUY}, "leave buy"),
        ("CLOSE_LONG", {SELL}, "nothing FLAT"),
        ("SHORT", {BUY}, "leave buy then enter"),
        ("SHORT", {SELL}, "enter sell"),
    ],
)
def test_what_the_source_has_working_goes_with_what_is_open(action: str, working: set[Side], expected: str) -> None:
    assert word(means(action, D(0), working=frozenset(working))) == expected


WORKING = {
    # own working side, by sameSide and opposite: what a LONG means then
    (BUY, "add", "reverse"): "enter buy",
    (BUY, "ignore", "reverse"): "nothing SAME_SIDE",
    (BUY, "reject", "net"): "refuse SAME_SIDE",
    (SELL, "add", "reverse"): "leave sell then enter",
    (SELL, "add", "net"): "enter buy",
    (SELL, "add", "reject"): "refuse OPPOSITE",
}


@pytest.mark.parametrize(("side", "same", "opposite"), WORKING)
def test_the_source_s_own_working_entries_count_as_open(side: Side, same: str, opposite: str) -> None:
    assert word(means("LONG", D(0), same, opposite, frozenset({side}))) == WORKING[side, same, opposite]


@pytest.mark.parametrize("same", ["ignore", "reject"])
@pytest.mark.parametrize(("held", "working"), [("long", {SELL}), ("short", {BUY}), ("flat", {BUY, SELL})])
def test_a_reversal_that_would_not_enter_does_not_leave(same: str, held: str, working: set[Side]) -> None:
    step = means("LONG", HELD[held], same, "reverse", frozenset(working))
    assert word(step) == {"ignore": "nothing SAME_SIDE", "reject": "refuse SAME_SIDE"}[same]


def test_a_refusal_for_a_working_order_says_so_and_that_close_cancels_it() -> None:
    for step, words in (
        (
            means("LONG", D(0), "reject", working=frozenset({BUY})),
            ("working order of tv", "buy BTCUSDT", "CLOSE", "add"),
        ),
        (
            means("LONG", D(0), opposite="reject", working=frozenset({SELL})),
            ("working order of tv", "sell BTCUSDT", "cancels"),
        ),
    ):
        assert isinstance(step, Refusal)
        assert all(word in step.message for word in words), step.message


# --- Spot -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "held", "opposite", "expected"),
    [
        ("LONG", "flat", "reverse", "enter buy"),
        ("SHORT", "flat", "reverse", "refuse SPOT"),
        ("SHORT", "long", "reverse", "refuse SPOT"),
        ("SHORT", "long", "reject", "refuse SPOT"),
        ("SHORT", "long", "net", "enter sell"),
        ("CLOSE", "long", "reject", "leave buy+sell"),
    ],
)
def test_spot_can_be_sold_but_never_be_short(action: str, held: str, opposite: str, expected: str) -> None:
    spot = instrument(product="spot")
    rules = policy(opposite=Opposite(opposite))
    assert word(translate(signal(action), rules, spot, HELD[held], NONE, D(60_000))) == expected


# --- Sizes ----------------------------------------------------------------------------------------------


def size_of(best: str | None = "68425.5", **fields: str | int) -> Step:
    quantity = str(fields.pop("quantity"))
    return translate(
        signal("LONG", quantity, **fields), policy(), instrument(), D(0), NONE, None if best is None else D(best)
    )  # fmt: skip


def test_Z1_money_is_margin_times_leverage_rounded_down() -> None:
    assert size_of(quantity="100", unit="quote", leverage=10) == Enter(BUY, D("0.014"), D("68425.5"))


def test_money_without_a_leverage_counts_once() -> None:
    assert size_of(quantity="1000", unit="quote") == Enter(BUY, D("0.014"), D("68425.5"))


def test_a_limit_order_is_sized_by_its_own_price() -> None:
    step = size_of(quantity="100", unit="quote", leverage=10, type="LIMIT", price="50000")
    assert step == Enter(BUY, D("0.020"), D(50_000))


def test_base_units_are_taken_as_they_are() -> None:
    assert size_of(quantity="0.25") == Enter(BUY, D("0.25"), D("68425.5"))


@pytest.mark.parametrize(("contract", "size"), [("1", "3"), ("0.001", "0.003")])
def test_contracts_are_base_units_of_one_contract(contract: str, size: str) -> None:
    listed = msgspec.structs.replace(instrument(), contract_size=D(contract))
    step = translate(signal("SHORT", "3", unit="contracts"), policy(), listed, D(0), NONE, D(60_000))
    assert step == Enter(SELL, D(size), D(60_000))


def test_money_below_one_step_is_refused_with_the_numbers() -> None:
    step = size_of(quantity="5", unit="quote", leverage=2)
    assert isinstance(step, Refusal)
    assert step.code == "BELOW_STEP"
    assert "5 USDT at 2x and 68425.5" in step.message
    assert "0.001" in step.message


def test_without_a_price_nothing_can_be_sized() -> None:
    step = size_of(best=None, quantity="1")
    assert isinstance(step, Refusal)
    assert step.code == "NO_PRICE"


def test_every_action_is_in_the_table() -> None:
    assert {action for action, _, _ in CLOSES} | {action for action, _ in ENTRIES} == set(SignalAction)
