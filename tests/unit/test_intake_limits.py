"""Rates, guesses, addresses and identities: pure rules, with the time as an argument."""

from __future__ import annotations

import pytest

from engine.clock import ManualClock
from engine.intake.addresses import TRADINGVIEW, AddressList, BadAddress, caller, counted_as
from engine.intake.alarms import Alarms
from engine.intake.identity import Recent, signal_id
from engine.intake.limits import Buckets, Guesses, Patience, Quarantine, Rate
from engine.intake.port import Known, Outcome
from tests.intake_kit import SmallIntake

S = 1_000_000_000


def test_a_bucket_gives_its_burst_at_once_and_then_its_rate() -> None:
    buckets = Buckets()
    rate = Rate(2, 3)
    assert [buckets.take("a", rate, 0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b", rate, 0) == 0
    assert buckets.take("a", rate, S // 2) == 0
    assert buckets.take("a", rate, S // 2) == 0.5
    assert [buckets.take("a", rate, 100 * S) for _ in range(4)] == [0, 0, 0, 0.5]


def test_over_a_long_time_a_caller_gets_no_more_than_its_rate() -> None:
    buckets = Buckets()
    passed = sum(not buckets.take("a", Rate(5, 10), tick * S // 100) for tick in range(100 * 60))
    assert passed == 10 + 5 * 60 - 1


def test_a_raised_rate_counts_at_once() -> None:
    buckets = Buckets()
    for _ in range(200):
        buckets.take("tv", Rate(0.001, 200), 0)
    assert buckets.take("tv", Rate(0.001, 200), 0) == 1_000
    assert buckets.take("tv", Rate(20, 10), 0) == 0.05
    assert buckets.take("tv", Rate(20, 10), S // 20) == 0


def test_the_slowest_rate_and_the_smallest_burst_still_hear_whoever_is_new() -> None:
    buckets = Buckets()
    for rate in (Rate(1e-300, 1), Rate(5e-324, 1), Rate(1, 0)):
        assert buckets.take(f"{rate}", rate, 1_769_860_800 * S) == 0
        assert buckets.take(f"{rate}", rate, 1_769_860_800 * S) > 0


def test_a_flood_of_addresses_takes_bounded_memory_and_frees_nobody_who_floods() -> None:
    buckets = Buckets(most=100)
    rate = Rate(1, 1)
    assert buckets.take("flooder", rate, 0) == 0
    for number in range(10_000):
        buckets.take(f"caller {number}", rate, 0)
        if number % 50 == 0:
            assert buckets.take("flooder", rate, 0) > 0
    assert len(buckets) <= 100
    quarantine = Quarantine(Patience(3, 60, 60), most=100)
    for number in range(10_000):
        quarantine.wrong(f"caller {number}", f"source {number}", 0)
    guesses = Guesses(Patience(), most=10)
    for number in range(100):
        guesses.wrong(str(number), 0)
    assert len(guesses) == 10


def test_guesses_shut_out_for_a_while_and_again() -> None:
    guesses = Guesses(Patience(guesses=3, window_s=60, quarantine_s=100))
    assert [guesses.wrong("a", 0) for _ in range(3)] == [False, False, True]
    assert guesses.wait_s("a", 40 * S) == 60
    assert guesses.wait_s("a", 100 * S) == 0
    assert guesses.wait_s("b", 0) == 0
    assert [guesses.wrong("a", 101 * S) for _ in range(3)] == [False, False, True]


def test_a_few_wrong_keys_a_day_shut_nobody_out() -> None:
    guesses = Guesses(Patience(guesses=3, window_s=60, quarantine_s=100))
    assert not any(guesses.wrong("a", day * 86_400 * S) for day in range(100))


def test_many_addresses_that_guess_at_one_source_find_it_shut() -> None:
    quarantine = Quarantine(Patience(guesses=3, window_s=60, quarantine_s=100))
    shut = [quarantine.wrong(f"address {number}", "tv", 0) for number in range(3)]
    assert shut == [(), (), ("source tv",)]
    assert quarantine.wait_s("new", "tv", 0) == 100
    assert quarantine.wait_s("new", "other", 0) == 0


def test_tradingviews_addresses_are_ready_by_name() -> None:
    listed = AddressList(["tradingview"])
    assert all(address in listed for address in TRADINGVIEW)
    assert "52.89.214.239" not in listed
    assert "::ffff:52.89.214.238" in listed


@pytest.mark.parametrize("text", ["tradingvew", "1.2.3", "10.0.0.1/8", "example.com", ""])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadAddress, match="tradingview"):
        AddressList([text])


@pytest.mark.parametrize(
    ("peer", "forwarded", "who"),
    [
        ("9.9.9.9", ["1.1.1.1"], "9.9.9.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["1.1.1.1"], "1.1.1.1"),
        ("10.0.0.1", ["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
        ("10.0.0.1", ["6.6.6.6", "1.1.1.1, 10.0.0.2"], "1.1.1.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["1.1.1.1, what"], "10.0.0.1"),
        ("10.0.0.1", ["1.1.1.1:4711"], "1.1.1.1"),
        ("10.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("::ffff:10.0.0.1", ["1.1.1.1"], "1.1.1.1"),
        ("10.0.0.1", [", ".join(["1.1.1.1"] + ["10.0.0.2"] * 100)], "10.0.0.2"),
        ("", ["1.1.1.1"], ""),
    ],
)
def test_who_called_is_the_rightmost_hop_that_is_no_proxy(peer: str, forwarded: list[str], who: str) -> None:
    assert caller(peer, forwarded, AddressList(["10.0.0.0/8"])) == who


def test_a_sender_with_a_whole_ipv6_network_is_one_sender() -> None:
    assert counted_as("2001:db8:1:2::1") == counted_as("2001:db8:1:2:ffff::9") != counted_as("2001:db8:1:3::1")
    assert counted_as("::ffff:1.2.3.4") == "1.2.3.4"
    assert counted_as("nonsense") == "nonsense"


def test_a_signals_id_is_the_same_for_ever_and_parts_source_and_key() -> None:
    assert signal_id("tv", "bar-1") == "sf829f323fbc429a763fa"
    assert len({signal_id("a", "bc"), signal_id("ab", "c"), signal_id("a", "b")}) == 3


def test_recent_bodies_take_bounded_memory_and_remember_the_last_delivery() -> None:
    recent = Recent(most=10)
    for number in range(100):
        recent.key("tv", f"body {number}", 0, lambda: None)
    assert len(recent) == 10
    first = recent.key("tv", "body", 0, lambda: None)
    assert recent.key("tv", "body", 30 * S, lambda: None) == first
    assert recent.key("tv", "body", 60 * S, lambda: None) == first
    assert recent.key("tv", "body", 91 * S, lambda: None) != first


def test_what_an_earlier_run_recorded_counts_unless_it_had_a_key_of_its_own() -> None:
    known = Known("s1", "~weak:5:hash", "hash", 5 * S, Outcome("s1", "accepted"))
    assert Recent().key("tv", "hash", 20 * S, lambda: known) == known.key
    assert Recent().key("tv", "hash", 50 * S, lambda: known) != known.key
    own = Known("s1", "bar-1", "hash", 5 * S, Outcome("s1", "accepted"))
    assert Recent().key("tv", "hash", 20 * S, lambda: own) != own.key


def test_an_alarm_is_told_once_an_hour_and_a_port_that_fails_is_no_reason_to_fail() -> None:
    engine = SmallIntake(ManualClock())
    alarms = Alarms(engine)
    for minute in range(0, 121, 10):
        alarms.tell("KEY_REUSED", "again", minute * 60 * S)
    assert len(engine.alarms) == 3
    engine.alarm = lambda code, message: 1 / 0  # type: ignore[assignment, return-value]
    alarms.tell("SOURCES", "broken", 0)
