"""Alarms that strangers can raise: told, and not so often that they bury everything else."""

from __future__ import annotations

from engine.clock import ManualClock
from engine.intake.alarms import AGAIN_NS, MOST_AN_HOUR, Alarms
from tests.intake_kit import NOON_NS, SmallIntake


def test_many_addresses_cannot_fill_the_ledger_with_alarms() -> None:
    told = SmallIntake(ManualClock(NOON_NS))
    alarms = Alarms(told)
    for number in range(10 * MOST_AN_HOUR):
        alarms.tell("KEY_GUESSING", f"address 2001:db8:0:{number:x}::/64", NOON_NS + number)
    assert len(told.alarms) == MOST_AN_HOUR
    assert ["not told" in message for _, message in told.alarms] == [False] * (MOST_AN_HOUR - 1) + [True]
    alarms.tell("KEY_REUSED", "another matter", NOON_NS + 1_000)
    alarms.tell("KEY_GUESSING", "address 192.0.2.1", NOON_NS + AGAIN_NS)
    assert [code for code, _ in told.alarms[MOST_AN_HOUR:]] == ["KEY_REUSED", "KEY_GUESSING"]
