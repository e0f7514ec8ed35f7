"""The latency pane over the whole screen: any of the last waterfalls, beside the percentiles of any venue and source."""

from __future__ import annotations

from engine.views import LatencyView
from engine.views.latency import PROBE, SIGNAL, Key, LatencyBook
from tests.ui.hosts import Host, drawn
from widgets.latency import LatencyPane


def measured() -> LatencyView:
    book = LatencyBook()
    signal = {"receive": 100_000, "authenticate": 30_000, "validate": 50_000, "commit": 900_000, "venue": 2_000_000}
    for number, source in enumerate(("tv", "tv", "mail")):
        took = {stage: ns * (number + 1) for stage, ns in signal.items()}
        book.count(f"s{number}", Key(SIGNAL, "paper", source), {**took, "total": sum(took.values())})
    book.count("probe-1", Key(PROBE, "", "tv"), {"receive": 7_000, "validate": 41_000, "total": 48_000})
    book.begin("O1", {"key": 0, "intent": 400_000}, venue="paper")
    book.mark("O1", "fill", 3_400_000)
    book.finish("O1")
    return book.view(1)


async def test_the_last_one_is_followed_until_another_is_chosen() -> None:
    pane = LatencyPane()
    async with Host(pane).run_test(size=(80, 22)) as pilot:
        pane.focus()
        pane.show(measured())
        assert "O1" in str(pane.border_title)
        assert any(line.startswith(" fill") and "3.0ms" in line for line in drawn(pane))
        await pilot.press("down", "down")
        assert str(pane.border_title) == "latency 9.2ms s2"
        assert any("commit" in line and "2.7ms" in line for line in drawn(pane))
        await pilot.press("up", "up", "up")
        assert "O1" in str(pane.border_title)


async def test_percentiles_of_each_venue_and_source_can_be_chosen() -> None:
    pane = LatencyPane()
    async with Host(pane).run_test(size=(80, 22)) as pilot:
        pane.focus()
        pane.show(measured())
        seen = []
        for _ in measured().groups:
            await pilot.press("right")
            seen.append(drawn(pane)[0].split("  ")[0].strip())
        assert set(seen) == {"orders", "signals", "probes", "signals · paper · tv", "signals · paper · mail"}


async def test_a_small_pane_shows_the_stages_only() -> None:
    pane = LatencyPane()
    async with Host(pane).run_test(size=(50, 9)):
        pane.show(measured())
        lines = drawn(pane)
        assert lines[0].split()[0] == "stage"
        assert not any("▸" in line for line in lines)


async def test_what_was_never_measured_is_a_dash() -> None:
    pane = LatencyPane()
    async with Host(pane).run_test(size=(80, 22)) as pilot:
        pane.focus()
        pane.show(measured())
        await pilot.press("down", "down")
        sign = next(line for line in drawn(pane) if "sign " in line)
        assert sign.count("–") == 4


async def test_a_heading_that_does_not_fit_loses_figures_not_half_a_word() -> None:
    for width in (49, 60, 78):
        pane = LatencyPane()
        async with Host(pane).run_test(size=(width, 22)) as pilot:
            pane.focus()
            pane.show(measured())
            await pilot.press("right", "right", "right")
            heading = drawn(pane)[0]
        assert len(heading) <= width
        assert "total p50" in heading
        assert heading.rstrip().endswith(("choose from", "←→ 5")), heading


async def test_one_order_is_counted_as_one() -> None:
    pane = LatencyPane()
    async with Host(pane).run_test(size=(80, 22)):
        pane.show(measured())
        assert str(pane.border_subtitle) == "1 order"
