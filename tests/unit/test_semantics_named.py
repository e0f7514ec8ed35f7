"""Every row of semantics 10 (order states) and 11 (invariants) is named here with the tests that hold it; each of them is there."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from engine.model.order import OrderStatus
from tests.simulation.invariants import NOT_BUILT, ROWS

ROOT = Path(__file__).parents[2]
TABLE = "tests/unit/test_order_states.py"
REPORTS, UNKNOWN = "tests/unit/test_venue_reports.py", "tests/unit/test_venue_unknown.py"
TRIGGERS = "tests/unit/test_semantics_4_triggers.py"
MACHINE = "tests/property/test_desk_state_machine.py::test_the_invariants_hold_whatever_happens"
SEEDS = "tests/simulation/test_simulation.py::test_every_row_holds"

STATES = {
    "CREATED": (f"{TABLE}::test_sent_is_recorded_with_created_before_anything_can_leave",),
    "DENIED": (
        "tests/unit/test_risk.py::test_the_reserve_must_be_free",
        "tests/unit/test_semantics_1_fills.py::test_a_fill_of_a_refused_order_is_believed_and_its_state_stays",
    ),
    "HELD": (f"{TRIGGERS}::test_the_kill_switch_stops_a_held_entry_that_triggers",),
    "SENT": (f"{TABLE}::test_an_order_is_created_sent_accepted_part_filled_and_filled",),
    "ACCEPTED": (f"{REPORTS}::test_accepted_then_filled_in_parts",),
    "TRIGGERED": (f"{REPORTS}::test_a_trigger_met_at_the_venue_is_said_once",),
    "PARTIAL": (f"{REPORTS}::test_accepted_then_filled_in_parts",),
    "UNKNOWN": (
        f"{UNKNOWN}::test_what_the_venue_states_ends_the_not_knowing",
        f"{UNKNOWN}::test_w6_silence_for_ten_minutes_leaves_it_unknown_at_its_worst_case",
        f"{UNKNOWN}::test_a_person_attests_that_it_never_arrived",
    ),
    "CANCELLED": (f"{REPORTS}::test_a_fill_after_the_cancel_is_booked_with_an_alarm",),
    "EXPIRED": (f"{REPORTS}::test_what_the_venue_ends_gives_its_money_back",),
    "FILLED": (f"{REPORTS}::test_what_is_filled_rejected_or_denied_is_final",),
    "REJECTED": (f"{REPORTS}::test_what_is_filled_rejected_or_denied_is_final",),
}
"""Semantics 10, each state; its arrows are held by the table's own tests, below."""
ARROWS = (
    f"{TABLE}::test_an_arrow_of_the_table_is_allowed",
    f"{TABLE}::test_every_other_move_is_an_error_and_changes_nothing",
    f"{TABLE}::test_the_table_is_whole",
    f"{REPORTS}::test_every_arrow_that_a_venue_can_cause",
)
FLAGS = {
    "CancelRequested": (f"{UNKNOWN}::test_a_cancel_is_a_request_until_the_venue_answers",),
    "CancelRejected": (f"{UNKNOWN}::test_a_refused_cancel_leaves_the_order_working",),
    "AmendRequested": (f"{UNKNOWN}::test_an_amend_is_a_request_until_the_venue_states_the_new_terms",),
    "OrderAmended": (f"{UNKNOWN}::test_an_amend_is_a_request_until_the_venue_states_the_new_terms",),
    "AmendRejected": (f"{UNKNOWN}::test_a_refused_amend_leaves_the_order_as_it_was",),
}
"""Semantics 10: cancel and amend in flight are flags with events of their own."""
NOT_FOUND = (
    "tests/unit/test_carrier.py::test_no_such_order_counts_only_beyond_the_grace_of_the_venue",
    "tests/unit/test_carrier.py::test_a_cancel_of_an_order_the_venue_does_not_know_proves_nothing",
    "tests/unit/test_carrier.py::test_w6_silence_never_ends_an_unknown_order",
)
"""Semantics 10: neither a list that lacks an order nor a network error is "no such order"."""
INVARIANTS = {
    1: ("tests/property/test_positions.py::test_money_is_conserved_after_every_fill",),
    2: (
        "tests/property/test_exits.py::test_a_replay_from_any_snapshot_gives_the_state_byte_for_byte",
        f"{UNKNOWN}::test_what_was_lost_and_found_folds_to_the_same_bytes",
    ),
    3: (
        "tests/property/test_reports.py::test_reports_that_come_twice_and_in_any_order_leave_the_same_position",
        "tests/property/test_signal_order.py::test_each_key_has_one_receipt_and_at_most_one_verdict_and_no_order_too_many",
    ),
    4: (f"{REPORTS}::test_invariant_4_more_fills_than_size_are_an_alarm",),
    5: (
        f"{REPORTS}::test_invariant_5_a_reduce_only_order_that_opened_at_the_venue_is_an_alarm",
        "tests/property/test_exits.py::test_reduce_only_orders_never_sum_to_more_than_the_position",
    ),
    6: (
        "tests/property/test_exits.py::test_a_bracket_is_as_large_as_what_its_entry_has_filled",
        "tests/property/test_exits.py::test_what_filled_stays_protected_when_the_rest_is_cancelled",
    ),
    7: (MACHINE,),
    8: (f"{UNKNOWN}::test_invariant_8_what_waits_in_the_outbox_must_not_leave_any_more",),
    9: (f"{REPORTS}::test_invariant_9_no_two_live_orders_share_a_client_id",),
    10: (
        "tests/property/test_venue_convergence.py::test_invariant_10_the_ledger_converges_to_the_venue",
        "tests/integration/test_crash_points.py::test_a_power_cut_at_any_write_loses_nothing_that_was_acknowledged",
    ),
    11: (f"{TRIGGERS}::test_S6_a_trailing_stop_starts_at_its_activation_and_only_tightens",),
    12: ("tests/property/test_positions.py::test_liquidation_solves_its_equation_and_lies_between_bankruptcy_and_entry",),
    13: ("tests/simulation/test_simulation.py::test_row_13_waits_for_orders_that_have_children",),
    14: ("tests/property/test_matching.py::test_fills_never_exceed_what_was_displayed_or_traded",),
    15: ("tests/simulation/test_simulation.py::test_row_15_two_runs_of_a_seed_write_equal_ledgers",),
}  # fmt: skip
"""Semantics 11. All but 13 and 15 are judged on every event of the simulated world besides, and have a mutation that it notices."""
NAMED = sorted(
    {test for rows in (STATES, FLAGS, INVARIANTS) for tests in rows.values() for test in tests}
    | {*ARROWS, *NOT_FOUND, SEEDS}
)


@cache
def names_in(file: str) -> frozenset[str]:
    """The test functions of a file, those of a class as Class::test."""
    tree = ast.parse((ROOT / file).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    own = {node.name for node in tree.body if isinstance(node, functions)}
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return frozenset(own | {f"{c.name}::{f.name}" for c in classes for f in c.body if isinstance(f, functions)})


@pytest.mark.parametrize("test", NAMED)
def test_a_test_that_stands_for_a_row_is_there(test: str) -> None:
    file, _, name = test.partition("::")
    assert name in names_in(file), f"{file} has no {name}: name the test that holds the row now"
    assert name.rpartition("::")[2].startswith("test_")


def test_every_state_of_semantics_10_has_a_test() -> None:
    assert STATES.keys() == {str(status) for status in OrderStatus}
    assert all(STATES.values())


def test_every_flag_of_semantics_10_has_a_test() -> None:
    from engine.model import event as ev

    assert all(hasattr(ev, name) for name in FLAGS)
    assert {name for name in vars(ev) if name.startswith(("Cancel", "Amend")) or name == "OrderAmended"} == FLAGS.keys()


def test_every_row_of_semantics_11_has_a_test_and_is_judged_in_the_simulated_world() -> None:
    assert list(INVARIANTS) == list(range(1, 16))
    assert all(INVARIANTS.values())
    assert ROWS.keys() - {0} == INVARIANTS.keys()
    assert NOT_BUILT.keys() == {13}


def test_the_rows_are_those_that_the_semantics_write_down() -> None:
    written = ROOT.parent / "shared" / "trading-semantics.md"
    if not written.exists():
        pytest.skip("the trading semantics are not beside the project")
    text = written.read_text()
    ten = text.split("## 10. Order states")[1].split("## 11.")[0]
    assert all(name in ten for name in (*STATES, *FLAGS))
    eleven = text.split("## 11. Invariants")[1].split("\n## ")[0]
    assert all(f"{number}. " in eleven for number in INVARIANTS)
    assert f"{len(INVARIANTS) + 1}. " not in eleven
