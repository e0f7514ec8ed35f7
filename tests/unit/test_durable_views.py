"""What may be seen of a desk that runs ahead of its disk: nothing that is not durable, and nothing of long ago."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from msgspec.structs import replace

from engine.runtime import durable_views
from engine.runtime.durable_views import AGO_NS, PATIENCE_NS, DurableViews
from engine.runtime.keeper import Keeper
from engine.views import BookView, LogView, View

BOOK = BookView(0, "BTC", "BTC", (), (), None, None, None, None, None, 0, None, None, None, False)
SHORT = PATIENCE_NS // 5
LONG = 2 * PATIENCE_NS


class Disk:
    """A desk and how far it is durable; every view is of the moment it is built at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time_ns = 10 * AGO_NS
        self.state = SimpleNamespace(seq=0)
        keeper = SimpleNamespace(desk=SimpleNamespace(state=self.state), durable_seq=0, waits_for=str)
        self.keeper = keeper
        self.views = DurableViews(cast("Keeper", keeper), self._build)
        monkeypatch.setattr(durable_views, "mono_ns", lambda: self.time_ns)

    def _build(self, topic: str) -> View:
        if topic == "book":
            return replace(BOOK, time_ns=self.time_ns, last=str(self.time_ns))
        return LogView(self.time_ns, (str(self.state.seq),))  # type: ignore[arg-type]

    def pass_(self, ns: int, *, decided: int = 0, durable: int = 0) -> None:
        self.time_ns += ns
        self.state.seq += decided
        self.keeper.durable_seq += durable

    def shown(self, topic: str) -> View | None:
        return self.views.now(topic)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_what_was_looked_at_long_ago_is_not_shown_again_during_a_commit(disk: Disk) -> None:
    assert disk.shown("log") is not None
    disk.pass_(2 * AGO_NS, decided=10, durable=9)
    assert disk.shown("log") is None
    disk.pass_(SHORT, durable=1)
    shown = disk.shown("log")
    assert isinstance(shown, LogView)
    assert shown.lines == ("10",)


def test_what_is_looked_at_is_shown_for_as_long_as_a_commit_takes(disk: Disk) -> None:
    before = disk.shown("log")
    disk.pass_(SHORT, decided=1)
    for _ in range(50):
        assert disk.shown("log") is before
        disk.pass_(AGO_NS // 4)


def test_prices_never_go_back_after_a_commit_that_took_long(disk: Disk) -> None:
    times = []
    for _ in range(4):
        disk.pass_(SHORT, decided=1)
        for _ in range(10):
            book = disk.shown("book")
            times.append(0 if book is None else book.time_ns)
            disk.pass_(SHORT)
        disk.pass_(0, decided=1, durable=1)
    assert times == sorted(times)
    assert disk.time_ns - times[-1] < LONG


def test_what_nobody_looks_at_any_more_is_not_kept(disk: Disk) -> None:
    for number in range(1_000):
        disk.shown(f"signal:{number}")
        disk.pass_(AGO_NS // 10)
    assert len(disk.views._shown) < 50
