"""Recordings play on recorded time, at any speed, with pause; captures give back what was captured, whatever happened.

Longer than most files: one format, written and read back.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from engine.clock import ManualClock
from engine.feeds.base import FeedError
from engine.feeds.capture import Recorder
from engine.feeds.factory import make_feed
from engine.feeds.lines import last_time_ns, split_line
from engine.feeds.recording import MAX_SPEED, RecordingFeed
from engine.feeds.simulated.market import SimulatedMarket
from engine.model.instrument import MarkSource
from engine.model.market import Depth, FeedStatus, Funding, Mark, MarketInput, Quote, StreamState, Trade, quote
from tests.feed_support import SPOT, USDM, PlainBook, needs_recordings, states

SECOND = 1_000_000_000
START = 1_767_225_600 * SECOND
D = Decimal


async def played(path: Path) -> tuple[RecordingFeed, list[MarketInput]]:
    feed = RecordingFeed(path, MAX_SPEED)
    inputs: list[MarketInput] = []
    await feed.run(inputs.append)
    return feed, inputs


def zipped(path: Path, data: bytes) -> Path:
    path.write_bytes(gzip.compress(data))
    return path


@needs_recordings
class TestRawBinance:
    @pytest.mark.parametrize(
        ("path", "offset_ms", "quotes", "diffs"), [(USDM, -1271, 24535, 2602), (SPOT, -1273, 11641, 1468)]
    )
    async def test_the_whole_recording_plays_without_a_gap(
        self, path: Path, offset_ms: int, quotes: int, diffs: int
    ) -> None:
        feed, inputs = await played(path)
        assert feed.stats() | {"received": 0} == dict.fromkeys(feed.stats(), 0) | {"resyncs": 1}
        assert sum(isinstance(i, Quote) for i in inputs) == quotes
        depths = [i for i in inputs if isinstance(i, Depth)]
        assert depths[0].snapshot
        assert len(depths) == 1 + diffs
        assert round(feed.clock_offset_ns / 1e6) == offset_ms
        assert states(inputs, "depth") == [StreamState.RESYNC, StreamState.LIVE]
        assert states(inputs, "feed") == [StreamState.ENDED]

    async def test_ages_are_small_once_the_offset_is_subtracted(self) -> None:
        feed, inputs = await played(USDM)
        ages = [i.time_ns - i.venue_ns - feed.clock_offset_ns for i in inputs if isinstance(i, Quote)]
        assert all(-20_000_000 < age < 2 * SECOND for age in ages)

    async def test_quotes_equal_the_book_of_the_same_update(self) -> None:
        book, compared = PlainBook(), 0
        quotes: dict[int, Quote] = {}
        for item in (await played(USDM))[1]:
            if isinstance(item, Quote):
                quotes[item.update_id] = item
            elif isinstance(item, Depth):
                book.apply(item)
                top = quotes.get(item.last_id)
                if top is not None and compared < 60:
                    compared += 1
                    assert book.best == (top.bid_price, top.bid_size, top.ask_price, top.ask_size)
        assert compared == 60

    async def test_the_instrument_is_inferred_from_the_data(self) -> None:
        perp, spot = [(await RecordingFeed(path).instruments())[0] for path in (USDM, SPOT)]
        assert (perp.id, perp.tick, perp.step, perp.min_notional) == (
            "binance.perp:BTCUSDT",
            D("0.1"),
            D("0.001"),
            D(5),
        )
        assert (spot.id, spot.tick, spot.step) == ("binance.spot:BTCUSDT", D("0.01"), D("0.00001"))
        assert perp.profile.mark_source is spot.profile.mark_source is MarkSource.MID

    async def test_recorded_time_never_goes_back_and_is_what_the_clock_tells(self) -> None:
        feed = RecordingFeed(USDM, MAX_SPEED)
        last = feed.clock.now_ns()
        assert last == 1723161255030314667

        def sink(item: MarketInput) -> None:
            nonlocal last
            assert last <= item.time_ns == feed.clock.now_ns()
            last = item.time_ns

        await feed.run(sink)
        assert last == 1723161391766538811

    async def test_identity_names_the_file_and_its_content(self, tmp_path: Path) -> None:
        name, short = RecordingFeed(USDM).identity.rsplit(":", 1)
        assert name == f"recording:{USDM.name}"
        other = zipped(tmp_path / USDM.name, gzip.decompress(USDM.read_bytes())[:100_000])
        assert RecordingFeed(other).identity.rsplit(":", 1) != [name, short]

    async def test_a_broken_line_is_counted_and_skipped(self, tmp_path: Path) -> None:
        lines = gzip.decompress(USDM.read_bytes()).splitlines(keepends=True)[:3000]
        lines[100] = b"no line at all\n"
        lines[200] = lines[200][:60] + b"\n"
        feed, inputs = await played(zipped(tmp_path / "x.gz", b"".join(lines)))
        assert feed.stats()["broken"] == 2
        assert feed.stats()["received"] == 3000
        assert sum(isinstance(i, Quote) for i in inputs) > 1000

    async def test_a_stamp_with_a_digit_too_many_is_a_broken_line(self, tmp_path: Path) -> None:
        lines = gzip.decompress(USDM.read_bytes()).splitlines(keepends=True)[:3000]
        last = split_line(lines[-1])[0]
        lines[100], lines[200] = b"9" + lines[100], b"-" + lines[200]
        path = zipped(tmp_path / "x.gz", b"".join(lines))
        feed, inputs = await played(path)
        assert feed.stats()["broken"] == 2
        assert inputs[-1].time_ns == last == last_time_ns(path, 2**63)

    async def test_a_skipped_diff_stops_the_book_and_says_so(self, tmp_path: Path) -> None:
        lines = gzip.decompress(USDM.read_bytes()).splitlines(keepends=True)[:3000]
        depth = [n for n, line in enumerate(lines) if b"@depth" in line[:60]]
        del lines[depth[100]]
        feed, inputs = await played(zipped(tmp_path / "x.gz", b"".join(lines)))
        assert feed.stats()["gaps"] == 1
        assert states(inputs, "depth") == [StreamState.RESYNC, StreamState.LIVE, StreamState.RESYNC]

    async def test_a_cut_file_plays_to_the_cut_and_says_so(self, tmp_path: Path) -> None:
        path = tmp_path / "cut.gz"
        path.write_bytes(USDM.read_bytes()[:300_000])
        _, inputs = await played(path)
        assert sum(isinstance(i, Quote) for i in inputs) > 1000
        last = inputs[-1]
        assert isinstance(last, FeedStatus)
        assert last.state is StreamState.ENDED
        assert "cut off" in last.detail

    async def test_speed_paces_recorded_time_by_the_wall(self) -> None:
        feed = RecordingFeed(USDM, speed=20.0)
        seen: list[MarketInput] = []
        started = asyncio.Event()

        def sink(item: MarketInput) -> None:
            seen.append(item)
            if len(seen) == 50:
                started.set()

        task = asyncio.create_task(feed.run(sink))
        await started.wait()
        feed.pause()
        for _ in range(300):
            await asyncio.sleep(0)
        held, at = len(seen), feed.clock.now_ns()
        for _ in range(300):
            await asyncio.sleep(0)
        assert (len(seen), feed.clock.now_ns()) == (held, at)
        assert held < 32_000
        feed.speed = MAX_SPEED
        feed.resume()
        await task
        assert len(seen) > 32_000 - 100


@pytest.fixture(scope="module")
def once() -> list[MarketInput]:
    """The recording as it plays for the first time."""
    return asyncio.run(played(USDM))[1]


FIRST, LAST, DAY = 1723161255030314667, 1723161391766538811, 86_400 * SECOND


@needs_recordings
class TestAgainInItsLedger:
    """A recording of 137 seconds; the ledger's time never goes back."""

    async def plays(self, since_ns: int, again: bool = False) -> tuple[RecordingFeed, list[MarketInput]]:
        feed = RecordingFeed(USDM, MAX_SPEED)
        feed.begin(since_ns, again)
        inputs: list[MarketInput] = []
        await feed.run(inputs.append)
        return feed, inputs

    async def test_a_ledger_from_before_it_changes_nothing(self, once: list[MarketInput]) -> None:
        assert (await self.plays(FIRST - DAY, again=True))[1] == once

    async def test_it_goes_on_where_the_ledger_ends(self, once: list[MarketInput]) -> None:
        since = FIRST + 60 * SECOND
        feed = RecordingFeed(USDM, MAX_SPEED)
        feed.begin(since, again=True)
        assert (feed.clock.now_ns(), feed.since_ns) == (since, since)
        inputs: list[MarketInput] = []
        told: list[int] = []

        def sink(item: MarketInput) -> None:
            inputs.append(item)
            told.append(feed.clock.now_ns())

        await feed.run(sink)
        assert inputs == once
        assert told == [max(i.time_ns, since) for i in inputs]

    async def test_what_was_played_is_not_waited_for(self) -> None:
        since = LAST - SECOND
        feed = RecordingFeed(USDM, speed=1.0)
        feed.begin(since, again=False)
        later = asyncio.Event()
        task = asyncio.create_task(feed.run(lambda item: later.set() if item.time_ns > since else None))
        await asyncio.wait_for(later.wait(), 20)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert since < feed.clock.now_ns() <= LAST

    async def test_played_to_its_end_it_starts_over_whole_days_later(self, once: list[MarketInput]) -> None:
        feed = RecordingFeed(USDM, MAX_SPEED)
        feed.begin(LAST + 5 * SECOND, again=True)
        assert feed.clock.now_ns() == FIRST + DAY
        inputs: list[MarketInput] = []
        await feed.run(inputs.append)
        assert [i.time_ns - DAY for i in inputs] == [i.time_ns for i in once]
        of_quotes = [[i.venue_ns for i in these if isinstance(i, Quote | Depth | Trade)] for these in (inputs, once)]
        assert [ns - DAY for ns in of_quotes[0]] == of_quotes[1]
        assert [type(i) for i in inputs] == [type(i) for i in once]
        assert states(inputs, "feed") == [StreamState.ENDED]
        assert feed.stats()["gaps"] + feed.stats()["dropped_absurd"] + feed.stats()["dropped_crossed"] == 0

    async def test_killed_while_it_is_played_for_the_third_time_it_goes_on_there(self, once: list[MarketInput]) -> None:
        since = FIRST + 2 * DAY + 60 * SECOND
        feed, inputs = await self.plays(since)
        assert feed.clock.now_ns() == LAST + 2 * DAY
        assert inputs[-1].detail == "end of the recording"  # type: ignore[union-attr]
        assert [i.time_ns - 2 * DAY for i in inputs] == [i.time_ns for i in once]

    async def test_a_flat_ledger_always_starts_over_at_the_first_line(self) -> None:
        feed = RecordingFeed(USDM)
        feed.begin(FIRST + 2 * DAY + 60 * SECOND, again=True)
        assert feed.clock.now_ns() == FIRST + 3 * DAY

    async def test_with_something_open_it_ends_with_the_last_book_and_says_what_to_do(
        self, once: list[MarketInput]
    ) -> None:
        since = LAST + 5 * SECOND
        feed, inputs = await self.plays(since)
        last = inputs[-1]
        assert isinstance(last, FeedStatus)
        assert (last.state, last.time_ns) == (StreamState.ENDED, since + 1)
        assert "played to its end in this ledger" in last.detail
        assert "--ledger FILE" in last.detail
        assert inputs[:-1] == once[:-1]
        assert feed.clock.now_ns() == since + 1

    async def test_a_captures_funding_and_marks_are_shifted_with_the_rest(self, tmp_path: Path) -> None:
        market, inputs = simulated()
        recorder = Recorder(tmp_path / "own.gz", "simulated", market.instruments, inputs[0].time_ns, print)
        for item in inputs:
            recorder.write(item)
        recorder.close()
        feed = RecordingFeed(tmp_path / "own.gz", MAX_SPEED)
        feed.begin(inputs[-1].time_ns, again=True)
        later: list[MarketInput] = []
        await feed.run(later.append)

        def times(these: list[MarketInput], shift: int) -> list[tuple[int, ...]]:
            names = ("time_ns", "venue_ns", "due_ns", "next_funding_ns")
            return [tuple(getattr(i, name) - shift for name in names if hasattr(i, name)) for i in these]

        assert times(later[: len(inputs)], DAY) == times(inputs, 0)
        assert {type(i) for i in later} >= {Funding, Mark, Trade}


class TestRefusals:
    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(FeedError, match=r"cannot read .*nothing\.gz: No such file"):
            RecordingFeed(tmp_path / "nothing.gz")

    @pytest.mark.parametrize("data", [b"", b"hello\nworld\n", b'5 {"topic":"orderbook"}\n', b'5 {"capture":1}\n'])
    def test_a_file_that_is_no_recording(self, tmp_path: Path, data: bytes) -> None:
        with pytest.raises(FeedError, match=r"recording: .*x\.gz"):
            RecordingFeed(zipped(tmp_path / "x.gz", data))

    def test_a_speed_of_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(FeedError, match="speed: 0"):
            RecordingFeed(tmp_path / "x", speed=0)


def simulated(seconds: int = 3) -> tuple[SimulatedMarket, list[MarketInput]]:
    start = START - 2 * SECOND  # a funding time lies inside
    market = SimulatedMarket(5, ("BTCUSDT", "SOLUSDT"), start, rate=200)
    return market, [i for n in range(seconds * 20) for i in market.step(start + n * SECOND // 20)]


class TestCapture:
    def complain(self, reason: str) -> None:
        self.reasons.append(reason)

    @pytest.fixture(autouse=True)
    def _reasons(self) -> None:
        self.reasons: list[str] = []

    async def test_a_replay_equals_what_was_captured(self, tmp_path: Path) -> None:
        market, inputs = simulated()
        inputs.append(FeedStatus("sim.perp:BTCUSDT", inputs[-1].time_ns, "quote", StreamState.LIVE, "it's fine"))
        assert {type(i) for i in inputs} == {Quote, Trade, Depth, Mark, Funding, FeedStatus}
        recorder = Recorder(tmp_path / "own.gz", "simulated", market.instruments, START, self.complain)
        for item in inputs:
            recorder.write(item)
        recorder.close()
        feed, again = await played(tmp_path / "own.gz")
        assert again[: len(inputs)] == inputs
        assert [type(i) for i in again[len(inputs) :]] == [FeedStatus, FeedStatus]
        assert await feed.instruments() == market.instruments
        assert (feed.stats()["broken"], self.reasons) == (0, [])

    def test_an_existing_file_is_never_overwritten(self, tmp_path: Path) -> None:
        path = tmp_path / "own.gz"
        path.write_bytes(b"precious")
        with pytest.raises(FeedError, match="exists; choose another name"):
            Recorder(path, "simulated", [], START, self.complain)
        assert path.read_bytes() == b"precious"

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(FeedError, match="cannot write"):
            Recorder(tmp_path / "no" / "own.gz", "simulated", [], START, self.complain)

    def test_after_kill_9_everything_flushed_is_readable(self, tmp_path: Path) -> None:
        path = tmp_path / "own.gz"
        program = """
import sys, pathlib
from engine.feeds.capture import Recorder
from engine.feeds.simulated.market import SimulatedMarket
from engine.model.market import quote
listed = SimulatedMarket(1, ["BTCUSDT"], 1).instruments
recorder = Recorder(pathlib.Path(sys.argv[1]), "simulated", listed, 1, print, flush_s=0.01)
for n in range(5000):
    recorder.write(quote("sim.perp:BTCUSDT", n + 2, "1", "1", "2", "1"))
while recorder.flushed < 5001:
    pass
print("flushed", flush=True)
sys.stdin.read()
"""
        child = subprocess.Popen(
            [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        assert child.stdin is not None
        with child.stdout, child.stdin:
            assert child.stdout.readline() == b"flushed\n"
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
        _, inputs = asyncio.run(played(path))
        assert [i.time_ns for i in inputs if isinstance(i, Quote)] == list(range(2, 5002))
        assert "cut off" in inputs[-1].detail  # type: ignore[union-attr]

    def test_a_full_disk_stops_the_recording_and_never_the_feed(self, tmp_path: Path, small_files: None) -> None:
        market, inputs = simulated(1)
        recorder = Recorder(tmp_path / "own.gz", "simulated", market.instruments, START, self.complain, flush_s=0.001)
        for _ in range(20_000):
            recorder.write(inputs[0])
        for item in inputs:
            recorder.write(item)
        recorder.close()
        assert self.reasons == ["recording to own.gz stopped: File too large"]

    async def test_a_capture_from_another_clock_tells_its_offset(self, tmp_path: Path) -> None:
        recorder = Recorder(tmp_path / "own.gz", "binance", [], 1, self.complain)
        recorder.write(quote("x", 1_000, "1", "1", "2", "1", venue_ns=1_400))
        recorder.write(quote("x", 2_000, "1", "1", "2", "1", venue_ns=2_500))
        recorder.close()
        assert RecordingFeed(tmp_path / "own.gz").clock_offset_ns == -500


@pytest.fixture
def small_files() -> Iterator[None]:
    """Files of this process may not grow: what a full disk looks like to a writer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class TestFactory:
    @pytest.mark.parametrize("spec", ["simulated", "binance", "backpack"])
    def test_feeds_by_name(self, spec: str) -> None:
        clock = ManualClock(START)
        feed = make_feed(spec, ("BTCUSDT",), clock=clock, seed=1)
        assert (feed.identity, feed.clock) == (spec, clock)

    @needs_recordings
    def test_a_recording_brings_its_own_clock(self) -> None:
        feed = make_feed(f"recording:{USDM}", ("ETHUSDT",), clock=ManualClock(START), speed=4)
        assert feed.clock.now_ns() == 1723161255030314667

    @pytest.mark.parametrize("spec", ["", "bynance", "recording:", "recording", "binance:x"])
    def test_an_unknown_feed_is_refused_with_the_list(self, spec: str) -> None:
        with pytest.raises(FeedError, match="simulated, recording:FILE, binance, backpack"):
            make_feed(spec, ("BTCUSDT",), clock=ManualClock(START))

    async def test_the_simulated_feed_delivers_pauses_and_goes_on(self) -> None:
        clock = ManualClock(START)
        feed = make_feed("simulated", ("BTCUSDT", "SOLUSDT"), clock=clock, seed=1, rate=1000)
        seen: list[MarketInput] = []
        task = asyncio.create_task(feed.run(seen.append))

        async def let_run(ns: int) -> None:
            before = len(seen)
            for _ in range(10):
                clock.advance(ns // 10)
                await asyncio.sleep(0.002)
            assert len(seen) >= before

        await let_run(SECOND // 2)
        assert sum(isinstance(i, Quote) for i in seen) > 200
        assert states(seen, "quote") == [StreamState.LIVE] * 2
        feed.pause()
        await let_run(SECOND // 2)
        held = len(seen)
        assert states(seen, "quote")[-1] is StreamState.DOWN
        await let_run(SECOND)
        assert len(seen) == held
        feed.resume()
        await let_run(SECOND // 2)
        assert states(seen, "quote")[-1] is StreamState.LIVE
        assert len(seen) > held + 100
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
