"""What is said of how long orders and signals took: the last one as a waterfall, all as percentiles, by venue and source."""

from __future__ import annotations

import pytest

from engine.views import LatencyRow
from engine.views.latency import GROUPS, ORDER, OTHERS, PROBE, SIGNAL, TRACES, Key, LatencyBook

INTAKE = {"began": 0, "receive": 1_000, "authenticate": 3_000, "validate": 6_000, "dedup": 10_000}


def rows(book: LatencyBook, path: str, venue: str = "", source: str = "") -> dict[str, LatencyRow]:
    groups = {(group.path, group.venue, group.source): group for group in book.view(0).groups}
    return {row.stage: row for row in groups[path, venue, source].rows}


def test_an_order_counted_twice_keeps_its_stages() -> None:
    book = LatencyBook()
    book.begin("O1", {"key": 1_000, "intent": 3_000})
    book.mark("O1", "screen", 9_000)
    assert book.finish("O1") == {"intent": 2_000, "screen": 6_000, "total": 8_000}
    assert book.finish("O1") == {}
    last = {row.stage: row.last for row in book.view(0).rows}
    assert (last["intent"], last["screen"], last["total"]) == (2.0, 6.0, 8.0)


def test_the_stages_of_a_signal_are_a_waterfall_without_gaps() -> None:
    book = LatencyBook()
    book.begin("tv-1", INTAKE, SIGNAL, "paper", "tv")
    book.mark("tv-1", "risk", 14_000)
    book.mark("tv-1", "venue", 30_000)
    book.mark("tv-1", "commit", 20_000)
    assert book.finish("tv-1")["total"] == 30_000
    (trace,) = book.view(0).traces
    assert (trace.id, trace.path, trace.venue, trace.source) == ("tv-1", SIGNAL, "paper", "tv")
    assert [(s.stage, s.begun, s.took) for s in trace.spans] == [
        ("receive", 0, 1),
        ("authenticate", 1, 2),
        ("validate", 3, 3),
        ("dedup", 6, 4),
        ("risk", 10, 4),
        ("commit", 14, 6),
        ("venue", 20, 10),
    ]


def test_what_was_not_measured_is_not_known() -> None:
    book = LatencyBook()
    book.begin("tv-1", INTAKE, SIGNAL, "paper", "tv")
    book.finish("tv-1")
    sign = rows(book, SIGNAL)["sign"]
    assert (sign.last, sign.p50, sign.p95, sign.p99) == (None, None, None, None)


def test_venues_and_sources_are_kept_apart_and_counted_together() -> None:
    book = LatencyBook()
    for source, ns in (("tv", 1_000), ("tv", 1_000), ("mail", 50_000)):
        book.count("s", Key(SIGNAL, "paper", source), {"receive": ns, "total": ns})
    assert rows(book, SIGNAL, "paper", "tv")["receive"].p99 == pytest.approx(1, rel=0.02)
    assert rows(book, SIGNAL, "paper", "mail")["receive"].p50 == pytest.approx(50, rel=0.02)
    assert rows(book, SIGNAL)["receive"].p50 == pytest.approx(1, rel=0.02)
    assert rows(book, SIGNAL)["receive"].p99 == pytest.approx(50, rel=0.02)


def test_probes_are_counted_apart_from_trades() -> None:
    book = LatencyBook()
    book.count("s", Key(SIGNAL, "paper", "tv"), {"validate": 40_000, "total": 40_000})
    book.count("", Key(PROBE, "", "tv"), {"validate": 2_000_000, "total": 2_000_000})
    assert rows(book, SIGNAL)["validate"].p99 == pytest.approx(40, rel=0.02)
    assert rows(book, PROBE)["validate"].p50 == pytest.approx(2_000, rel=0.02)


def test_one_venue_and_source_is_not_said_twice() -> None:
    book = LatencyBook()
    book.count("O1", Key(ORDER, "paper", "hand"), {"risk": 1_000, "total": 1_000})
    assert [(g.venue, g.source) for g in book.view(0).groups] == [("", "")]


def test_the_view_follows_what_is_counted_later() -> None:
    book = LatencyBook()
    key = Key(ORDER, "paper", "hand")
    book.count("O1", key, {"risk": 1_000, "total": 1_000})
    assert book.view(0).samples == 1
    book.count("O2", key, {"risk": 9_000, "total": 9_000})
    assert book.view(0).samples == 2
    assert rows(book, ORDER)["risk"].p99 == pytest.approx(9, rel=0.02)


def test_memory_is_bounded_whoever_sends() -> None:
    book = LatencyBook()
    for n in range(GROUPS + 20):
        book.count(f"s{n}", Key(SIGNAL, "paper", f"source-{n}"), {"receive": 1_000, "total": 1_000})
    view = book.view(0)
    assert len(view.groups) <= GROUPS + 2
    assert any(group.source == OTHERS and group.samples == 20 for group in view.groups)
    assert view.groups[0].samples == GROUPS + 20
    assert len(view.traces) == TRACES


def test_a_stage_that_nobody_knows_is_left_out() -> None:
    book = LatencyBook()
    book.begin("O1", {"key": 0, "lunch": 5, "intent": 1_000})
    assert book.finish("O1") == {"intent": 1_000, "total": 1_000}


def test_the_time_that_a_person_took_to_approve_is_nobodys_latency() -> None:
    book = LatencyBook()
    book.begin("tv-1", {**INTAKE, "commit": 15_000}, SIGNAL, "paper", "tv")
    minute = 60_000_000_000
    for stage, at in (("queue", 0), ("translate", 1_000), ("risk", 3_000)):
        book.mark("tv-1", stage, minute + at)
    book.resume("tv-1", minute + 9_000)
    book.mark("tv-1", "commit", minute + 10_000)
    book.mark("tv-1", "venue", minute + 12_000)
    took = book.finish("tv-1")
    assert (took["dedup"], took["queue"], took["risk"], took["commit"], took["venue"]) == (
        4_000,
        0,
        2_000,
        7_000,
        2_000,
    )
    assert took["total"] == 22_000
