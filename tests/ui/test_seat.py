"""The parts of the desk that know no screen: ids, guard, log, frame clock, break-even, pictures."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.model.command import SetProtection
from engine.views import LogLine, LogView, PositionsView, Preview, View
from hoox_tui.drawn import drawn
from hoox_tui.frame import FrameClock, Slot
from hoox_tui.intents import RequestIds, cancel_choices, close_choices, panic_choices
from hoox_tui.loglines import MergedLog
from hoox_tui.screens.edit import break_even, number
from hoox_tui.screens.symbols import matches
from hoox_tui.seat import Seat, stale
from tests.ui import seeds
from tests.ui.fake_link import FakeLink, full_views


def seat(**status: object) -> Seat:
    link = FakeLink(full_views(**status))
    return Seat(link, RequestIds("t"), lambda: 5_000, symbol="")


def test_request_ids_never_repeat() -> None:
    ids = RequestIds("ab12")
    assert [ids.next() for _ in range(3)] == ["ab12-1", "ab12-2", "ab12-3"]


def test_every_choice_has_an_id_of_its_own() -> None:
    ids = RequestIds("x")
    choices = (*close_choices("P1", ids), *cancel_choices("i", ids), *panic_choices(False, ids))
    assert len({choice.command.request_id for choice in choices}) == len(choices)
    assert [choice.label for choice in close_choices("P1", ids)] == ["25%", "50%", "75%", "100%"]


def test_own_log_lines_keep_their_place_and_appear_once() -> None:
    log = MergedLog()
    first = seeds.log(3)
    assert log.merge(first) is first
    log.note(LogLine(0, 0, "error", "LOST", "engine lost"))
    assert [line.seq for line in log.merge(first).lines] == [1, 2, 3, 0]
    assert log.merge(first) is log.merge(first)
    assert [line.seq for line in log.merge(seeds.log(5)).lines] == [1, 2, 3, 0, 4, 5]


def test_a_log_that_forgot_its_beginning_is_taken_from_its_end() -> None:
    log = MergedLog()
    log.note(LogLine(0, 0, "info", "A", "a"))
    log.merge(seeds.log(3))
    assert [line.seq for line in log.merge(LogView(1, seeds.log(9).lines[2:])).lines] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_the_engines_errors_come_before_the_seats() -> None:
    entry = Preview("t", (), ("size: too small",), entry=True)
    assert seat().objections(entry) == ("size: too small", "entries are disarmed: press a to arm")
    assert seat(armed=True).objections(entry) == ("size: too small",)


def test_an_exit_is_never_refused_for_hand_or_arm() -> None:
    assert seat(hand="other").objections(Preview("t", ())) == ()


def test_what_the_engine_said_of_the_arm_is_not_said_twice() -> None:
    entry = Preview("t", (), ("DISARMED: press a to arm entries",), entry=True)
    assert len(seat().objections(entry)) == 1


def test_a_lost_engines_views_are_old() -> None:
    positions = stale(seeds.positions(2))
    assert isinstance(positions, PositionsView)
    assert all(row.stale for row in positions.rows)
    assert stale(seeds.book()).stale  # type: ignore[union-attr]


def test_break_even_is_where_the_engine_says_that_fees_are_paid() -> None:
    change = break_even(seat(), seeds.position(entry="60,940.0", break_even="61,001.0"))
    assert isinstance(change, SetProtection)
    assert (change.stop_loss, change.take_profit) == (Decimal("61001.0"), Decimal("61500.0"))


def test_break_even_that_is_not_known_is_nothing() -> None:
    assert break_even(seat(), seeds.position(break_even=None)) is None


@pytest.mark.parametrize(
    ("text", "plain"), [("61,000.5", "61000.5"), (None, ""), ("–", ""), ("trail 40", ""), ("NaN", "")]
)
def test_only_numbers_are_prefilled(text: str | None, plain: str) -> None:
    assert number(text) == plain


def test_symbols_that_begin_with_the_text_come_first() -> None:
    every = tuple(replace(seeds.INSTRUMENT, symbol=name, id=f"x:{name}") for name in ("WBTCUSDT", "BTCUSDT", "ETHUSDT"))
    assert [one.symbol for one in matches(every, "btc")] == ["BTCUSDT", "WBTCUSDT"]


def test_a_slot_is_drawn_when_due_new_and_seen() -> None:
    drawn_views: list[View] = []
    slot = Slot("log", 5, lambda view, _: drawn_views.append(view), lambda: True)
    clock = FrameClock(lambda view: view, [slot])
    for count in range(1, 11):
        clock.tick({"log": seeds.log(count)}, 0)
    assert len(drawn_views) == 2
    clock.hurry({"log"})
    assert clock.tick({"log": seeds.log(1)}, 0) == ["log"]


def test_what_was_just_recorded_is_drawn_before_its_turn_and_a_stream_of_it_at_half_speed() -> None:
    ticks: list[int] = []
    slot = Slot("log", 5, lambda _, now: ticks.append(now), lambda: True, prompt=True)
    clock = FrameClock(lambda view: view, [slot])
    quiet, one = {"log": seeds.log(1)}, {"log": seeds.log(2)}
    for tick in range(1, 5):
        clock.tick(quiet if tick < 3 else one, tick)
    assert ticks == [1, 3]
    ticks.clear()
    for tick in range(5, 45):
        clock.tick({"log": seeds.log(tick)}, tick)
    assert len(ticks) == 20


def test_a_hidden_slot_keeps_its_turn() -> None:
    seen = False
    drawn_views: list[View] = []
    slot = Slot("log", 20, lambda view, _: drawn_views.append(view), lambda: seen)
    clock = FrameClock(lambda view: view, [slot])
    views = {"log": seeds.log(1)}
    for _ in range(7):
        clock.tick(views, 0)
    seen = True
    clock.tick(views, 0)
    assert len(drawn_views) == 1


def test_braille_and_frames_become_shapes_and_letters_stay() -> None:
    svg = '<text class="a" x="10" y="20" textLength="36.6" clip-path="url(#x)">⠁a│</text>'
    out = drawn(svg)
    assert out.startswith('<path class="a" d="M')
    assert out.count("M") == 2
    assert ">&#160;a&#160;</text>" in out
    assert drawn("<text>plain</text>") == "<text>plain</text>"
