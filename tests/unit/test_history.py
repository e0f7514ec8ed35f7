"""A ledger at any of its events: the same state that folding from the first event gives, whichever way one came."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from functools import partial
from itertools import chain
from pathlib import Path

import pytest

from engine.core.state import encode_state
from engine.ledger import history as module
from engine.ledger.errors import LedgerBroken, LedgerError
from engine.ledger.head import Head, HeadFile
from engine.ledger.history import GivenUp, History, Point
from engine.ledger.replay import replay
from engine.ledger.store import Ledger
from engine.link.recorded import KINDS
from engine.model import event as ev
from engine.views.recorded import Price
from tests.ledger_events import BTC, START_NS, Story
from tests.ledger_events import history as story_of

MS = 1_000_000


def write(path: Path, *batches: list[ev.Event], snapshot_at: tuple[int, ...] = ()) -> None:
    """A ledger of these events, with snapshots after some of them."""
    with closing(Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)) as ledger:
        for batch in batches:
            ledger.append(batch)
            if ledger.seq in snapshot_at:
                ledger.snapshot(replay(path))


def change(path: Path, sql: str) -> None:
    """What somebody who wants to change the past would do."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TRIGGER IF EXISTS events_are_never_updated")
        db.execute(sql)
        db.commit()


def remove(path: Path, seq: int) -> None:
    """One event, cut out."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TRIGGER events_are_never_deleted")
        db.execute("DELETE FROM events WHERE seq = ?", (seq,))
        db.commit()


def found_missing(look: Callable[[], object]) -> int | None:
    """The event that is missing where one looks; None where one does not come to it."""
    try:
        look()
    except LedgerBroken as broken:
        return broken.seq
    return None


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Sixty things that happened, and a snapshot half way."""
    path = tmp_path / "sim.sqlite"
    events = list(chain.from_iterable(story_of(60, seed=4)))
    half = len(events) // 2
    write(path, events[:half], events[half:], snapshot_at=(half,))
    return path


@pytest.fixture
def opened(ledger: Path) -> Iterator[History]:
    """States kept every 16 events, so that there are some."""
    with closing(History(ledger, spacing=16)) as history:
        yield history


def test_a_state_is_the_one_its_events_give_whichever_way_one_came(opened: History, ledger: Path) -> None:
    rng = random.Random(1)
    last = opened.last.seq
    seqs = [last, last - 1, 1, 2, last, *(rng.randint(1, last) for _ in range(40))]
    for seq in seqs:
        assert encode_state(opened.folded(seq).state) == encode_state(replay(ledger, until_seq=seq)), seq


def test_it_is_still_that_one_after_everything_was_read_and_kept(opened: History, ledger: Path) -> None:
    while opened.go_on(10):
        pass
    assert opened.verified == opened.last.seq
    for seq in range(opened.last.seq, 0, -7):
        assert encode_state(opened.folded(seq).state) == encode_state(replay(ledger, until_seq=seq)), seq
        assert opened.folded(seq).since == 0, "nothing had to be trusted"


def test_a_moment_begins_with_the_newest_snapshot_before_it(opened: History) -> None:
    assert 0 < opened.folded(opened.last.seq).since < opened.last.seq


def test_a_damaged_snapshot_is_not_used(ledger: Path) -> None:
    change(ledger, "UPDATE snapshots SET bytes = zeroblob(50)")
    with closing(History(ledger)) as history:
        folded = history.folded(history.last.seq)
        assert folded.since == 0
        assert encode_state(folded.state) == encode_state(replay(ledger))


def test_more_states_than_are_kept_lie_further_apart(opened: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 4)
    opened._spacing = 4
    while opened.go_on(4):
        pass
    assert len(opened._kept) <= 4
    assert all(seq % opened._spacing == 0 for seq in opened._kept)


def test_large_states_are_kept_within_so_many_bytes(
    opened: History, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT_BYTES", 20_000)
    opened._spacing = 4
    while opened.go_on(4):
        assert sum(len(kept.state) for kept in opened._kept.values()) <= 20_000
    assert opened._kept
    for seq in (opened.last.seq // 2, opened.last.seq // 3):
        assert encode_state(opened.folded(seq).state) == encode_state(replay(ledger, until_seq=seq))


def test_a_long_way_can_be_broken_off_and_gone_on_with(ledger: Path) -> None:
    change(ledger, "DELETE FROM snapshots")
    with closing(History(ledger)) as history:
        history.give_up()
        with pytest.raises(GivenUp):
            history.folded(100)
        assert encode_state(history.folded(100).state) == encode_state(replay(ledger, until_seq=100))


def test_who_asks_once_keeps_nothing(ledger: Path) -> None:
    with closing(History(ledger, spacing=0)) as history:
        assert encode_state(history.folded(30).state) == encode_state(replay(ledger, until_seq=30))
        assert not history._kept


def test_a_time_is_the_last_event_not_after_it(opened: History) -> None:
    first, last = opened.first, opened.last
    assert opened.at_time(START_NS + 10 * MS) == Point(10, START_NS + 10 * MS)
    assert opened.at_time(START_NS + 10 * MS + 1) == Point(10, START_NS + 10 * MS + 1)
    assert opened.at_time(0) == first
    assert opened.at_time(2**62) == last
    assert opened.at_seq(0) == first
    assert opened.at_seq(10**9) == last


def test_the_next_event_of_a_kind_and_the_one_before(opened: History) -> None:
    fills = opened.fills()
    assert fills
    assert opened.next_of(("OrderFilled",), fills[2], True) == opened.at_seq(fills[3])
    assert opened.next_of(("OrderFilled",), fills[2], False) == opened.at_seq(fills[1])
    assert opened.next_of(("OrderFilled",), fills[-1], True) is None
    assert opened.next_of(("Liquidated",), 1, True) is None


def test_the_next_of_a_kind_is_found_without_looking_at_what_lies_between(opened: History) -> None:
    asked: list[str] = []
    opened._db.set_trace_callback(asked.append)
    for types in KINDS.values():
        opened.next_of(types, 1, True)
        opened.next_of(types, opened.last.seq, False)
    opened._db.set_trace_callback(None)
    assert asked
    for sql in asked:
        (plan,) = (row[3] for row in opened._db.execute(f"EXPLAIN QUERY PLAN {sql}"))
        assert plan.startswith(("SEARCH events USING INDEX events_rare (type=? AND rowid", "SEARCH fills")), sql


def test_a_ledger_whose_events_were_all_cut_off_is_not_called_new(tmp_path: Path) -> None:
    path = tmp_path / "sim.sqlite"
    Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0).close()
    with pytest.raises(LedgerError, match="holds no events yet"):
        History(path)
    with closing(HeadFile(path)) as head:
        head.write(Head(205, bytes(16)))
    with pytest.raises(
        LedgerBroken, match=r"events 1..205 are missing.*an older copy belongs here together with its own"
    ):
        History(path)


def test_every_engine_start_is_found(tmp_path: Path) -> None:
    story = Story()
    events = [*story.opening(), *(story.event(ev.FundsMoved("USDT", Decimal(1))) for _ in range(20))]
    epochs = [1] * 7 + [2] * 9 + [3] * 8
    path = tmp_path / "starts.sqlite"
    write(path, [ev.Event(*(getattr(e, f) for f in ev.Event.__struct_fields__[:8]), n, e.body)
                 for e, n in zip(events, epochs, strict=True)])  # fmt: skip
    with closing(History(path)) as history:
        assert history.starts() == [1, 8, 17]


def test_prices_are_those_that_events_recorded_by_then(tmp_path: Path) -> None:
    story = Story()
    path = tmp_path / "prices.sqlite"
    write(path, story.opening(), story.create(), [story.event(ev.MarksNoted({BTC: Decimal("61500")}))])
    with closing(History(path)) as history:
        assert history.folded(4).prices == {}
        top = history.folded(5).prices[BTC]
        assert (top.bid, top.ask, top.mark) == ("61000.0", "61000.1", "61000.05")
        assert top.time_ns == START_NS + 5 * MS - 1 * MS, "the top was a millisecond old"
        assert history.folded(8).prices[BTC] == Price(8, START_NS + 8 * MS, mark="61500")
        assert history.folded(7).prices[BTC].bid == "61000.0"


def test_prices_before_a_snapshot_are_found_too(tmp_path: Path) -> None:
    story = Story()
    path = tmp_path / "prices.sqlite"
    story.opening()
    events = [*Story().opening(), *story.create(), *(story.event(ev.FundsMoved("USDT", Decimal(1))) for _ in range(3))]
    write(path, events, snapshot_at=(story.seq,))
    with closing(History(path)) as history:
        folded = history.folded(history.last.seq)
        assert folded.since == history.last.seq
        assert folded.prices[BTC].bid == "61000.0"


class TestDamage:
    """History ends before the first event that is not what was written."""

    def test_found_where_one_goes(self, ledger: Path) -> None:
        change(ledger, "UPDATE events SET payload = payload || ' ' WHERE seq = 40")
        change(ledger, "DELETE FROM snapshots")
        with closing(History(ledger)) as history:
            state = history.folded(60).state
            assert state.seq == 39
            assert encode_state(state) == encode_state(replay(ledger, until_seq=39))
            assert history.last.seq == 39
            assert "event 40 was changed" in history.damage
            history.renew()
            assert history.last.seq == 39, "nothing after it is trusted later either"

    def test_found_while_reading_on_from_the_first_event(self, ledger: Path) -> None:
        change(ledger, "UPDATE events SET time_ns = time_ns + 1 WHERE seq = 40")
        with closing(History(ledger)) as history:
            assert history.folded(history.last.seq).state.seq > 40, "the snapshot lies after it"
            while history.go_on(8):
                pass
            assert history.last.seq == 39
            assert "event 40" in history.damage
            assert history.events(100, 5)[-1].seq == 39

    @pytest.mark.parametrize("hole", [2, 10, 40, 60])
    def test_a_missing_event_is_named_by_whatever_looks_for_it(self, ledger: Path, hole: int) -> None:
        remove(ledger, hole)
        with closing(History(ledger)) as history:
            with pytest.raises(LedgerBroken, match=f"event {hole} is missing"):
                history.at_seq(hole)
            looks = [history.starts, *(partial(history.at_time, START_NS + ns * MS) for ns in range(1, 80))]
            assert {found_missing(look) for look in looks} <= {hole, None}
            events = history.events(history.last.seq, 200)
            assert [e.seq for e in events] == list(range(1, hole))
            assert history.last.seq == hole - 1
            assert f"event {hole} is missing" in history.damage

    def test_a_missing_event_just_before_those_asked_for_is_found_too(self, ledger: Path) -> None:
        remove(ledger, 40)
        with closing(History(ledger)) as history:
            assert history.events(50, 10) == []
            assert history.last.seq == 39

    def test_of_the_first_event_leaves_nothing(self, ledger: Path) -> None:
        change(ledger, "UPDATE events SET owner = 'me' WHERE seq = 1")
        with pytest.raises(LedgerError, match=r"nothing of .* can be trusted: .*event 1 was changed"):
            History(ledger)

    def test_no_ledger_an_empty_one_and_another_file_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(LedgerError, match="there is no ledger at"):
            History(tmp_path / "none.sqlite")
        Ledger.open(tmp_path / "new.sqlite", env="sim", feed="simulated", now_ns=1, reserve_bytes=0).close()
        with pytest.raises(LedgerError, match="holds no events yet"):
            History(tmp_path / "new.sqlite")
        (tmp_path / "other.sqlite").write_text("not a database " * 100)
        with pytest.raises(LedgerError, match="cannot be read as a ledger"):
            History(tmp_path / "other.sqlite")


def test_a_ledger_in_a_folder_one_may_not_write_to_is_read_from_its_file_alone(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = set(ledger.parent.iterdir())
    monkeypatch.setattr("engine.ledger.replay.os.access", lambda *_: False)
    with closing(History(ledger)) as history:
        assert history.folded(history.last.seq).state.seq == history.last.seq
        assert set(ledger.parent.iterdir()) == there, "SQLite would have made a file beside it"


def test_what_an_engine_of_another_user_writes_meanwhile_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder one may not write to; it began when the file was open already."""
    path, story = tmp_path / "sim.sqlite", Story()
    write(path, story.opening())
    monkeypatch.setattr("engine.ledger.replay.os.access", lambda *_: False)
    with closing(History(path)) as history:
        for _ in range(2):
            write(path, story.round_trip())  # and stops again
            history.renew()
            assert (history.last.seq, history.damage) == (story.seq, "")
        with closing(Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)) as ledger:
            for _ in range(2):
                ledger.append(story.round_trip())
                history.renew()
                assert (history.last.seq, history.damage) == (story.seq, "")


def test_what_an_engine_writes_meanwhile_is_taken_in(tmp_path: Path) -> None:
    story = Story()
    path = tmp_path / "live.sqlite"
    with closing(Ledger.open(path, env="sim", feed="simulated", now_ns=START_NS, reserve_bytes=0)) as ledger:
        ledger.append(story.opening())
        with closing(History(path)) as history:
            assert history.last.seq == 4
            ledger.append(list(chain(story.create(), story.send())))
            assert history.folded(history.last.seq).state.seq == 4
            history.renew()
            assert history.folded(history.last.seq).state.seq == 9
