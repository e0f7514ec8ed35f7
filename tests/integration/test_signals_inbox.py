"""What a screen sees of signals and does about them, over a real engine: the inbox, approval, decline, replay, latencies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.link.local import InProcessLink
from engine.model.command import ApproveSignal, DeclineSignal, ReplaySignal
from engine.model.signal import Policy, SameSide, SourceMode
from engine.runtime import Engine
from engine.views import LatencyView, LogView, SignalDetailView, SignalRow, SignalsView
from tests.engine_process import running, until
from tests.signal_engine import Sender, alert, enrolled, rows, taking

ASKS = Policy(SourceMode.APPROVE, SameSide.ADD)


class Seen:
    """An engine, a screen on it, and somebody who sends."""

    def __init__(self, engine: Engine, link: InProcessLink, folder: Path) -> None:
        self.engine = engine
        self.link = link
        self.sender = Sender(engine.port.status.webhook)
        self.key = enrolled(folder).api_key
        self.asking = enrolled(folder, "asks", ASKS).api_key
        self._sent = 0

    async def send(self, key: str, **fields: str) -> str:
        """Send a signal; its id."""
        self._sent += 1
        answer = await self.sender.post(alert(key, f"k{self._sent}", **fields))
        assert answer.status == 200, answer
        return str(answer.body["result"]["signalId"])

    def row(self, signal: str) -> SignalRow | None:
        view = self.link.views.get("signals")
        assert view is None or isinstance(view, SignalsView)
        return next((row for row in view.rows if row.id == signal), None) if view is not None else None

    async def becomes(self, signal: str, status: str) -> SignalRow:
        await until(lambda: (row := self.row(signal)) is not None and row.status == status)
        row = self.row(signal)
        assert row is not None
        return row

    async def detail(self, signal: str) -> SignalDetailView:
        topic = f"signal:{signal}"
        self.link.subscribe(("status", "signals", topic))
        await until(lambda: topic in self.link.views)
        view = self.link.views[topic]
        assert isinstance(view, SignalDetailView)
        return view

    @property
    def approvals(self) -> int:
        return int(self.link.views["status"].approvals)  # type: ignore[union-attr]


@pytest.fixture
async def seen(tmp_path: Path) -> AsyncIterator[Seen]:
    async with running(taking(tmp_path)) as (engine, link):
        link.subscribe(("status", "signals", "latency", "log"))
        made = Seen(engine, link, tmp_path)
        yield made
        await made.sender.close()


async def test_a_signal_is_seen_with_its_verdict_its_way_and_the_order_it_became(seen: Seen) -> None:
    signal = await seen.send(seen.key)
    row = await seen.becomes(signal, "executed")
    assert (row.source, row.action, row.symbol, row.quantity) == ("tv", "LONG", "BTCUSDT", "0.002")
    detail = await seen.detail(signal)
    assert seen.key not in detail.body
    assert '"quantity": "0.002"' in detail.body
    assert "secret" in detail.checks
    assert detail.orders[0].startswith(f"{row.orders[0]}  buy 0.002 BTCUSDT market, FILLED")
    assert detail.trace is not None
    assert {"receive", "authenticate", "validate"} <= {span.stage for span in detail.trace.spans}


async def test_each_stage_of_a_signal_is_measured_and_stored(seen: Seen) -> None:
    signal = await seen.send(seen.key)
    measured = "SELECT stage FROM latency WHERE order_id = ?"
    await until(lambda: bool(rows(seen.engine.config.ledger, measured, signal)))
    stages = {stage for (stage,) in rows(seen.engine.config.ledger, measured, signal)}
    assert stages == {
        "receive", "authenticate", "validate", "dedup", "queue", "translate", "risk", "commit", "venue", "total",
    }  # fmt: skip

    def of_signal() -> bool:
        view = seen.link.views.get("latency")
        return isinstance(view, LatencyView) and any(trace.id == signal for trace in view.traces)

    await until(of_signal)
    view = seen.link.views["latency"]
    assert isinstance(view, LatencyView)
    assert [(group.path, group.samples) for group in view.groups] == [("signal", 1)]


async def test_a_probe_is_measured_apart_and_never_stored(seen: Seen) -> None:
    answer = await seen.sender.post(alert(seen.key, "p"), X_Hoox_Probe="1")
    assert answer.body["result"]["status"] == "probe"
    view = seen.engine.port.timing.book.view(0)
    assert [(group.path, group.source, group.samples) for group in view.groups] == [("probe", "", 1)]
    assert rows(seen.engine.config.ledger, "SELECT count(*) FROM latency") == [(0,)]
    assert rows(seen.engine.config.ledger, "SELECT count(*) FROM signals") == [(0,)]


async def test_what_waits_for_approval_is_counted_and_becomes_the_order_previewed(seen: Seen) -> None:
    signal = await seen.send(seen.asking)
    row = await seen.becomes(signal, "waiting")
    assert (row.waits, row.entry) == ("approval", True)
    assert row.until_ns > row.received_ns
    await until(lambda: seen.approvals == 1)
    approve = ApproveSignal(request_id="a1", signal=signal)
    preview = await seen.link.preview(approve)
    shown = dict(preview.rows)
    assert (preview.title, preview.entry, preview.errors) == ("APPROVE LONG BTCUSDT", True, ())
    assert shown["becomes"] == "BUY 0.002 BTCUSDT  MARKET"
    assert (await seen.link.submit(approve)).ok
    await seen.becomes(signal, "executed")
    await until(lambda: seen.approvals == 0)
    assert (await seen.link.preview(approve)).errors


async def test_approving_an_entry_needs_the_arm_and_a_close_does_not(seen: Seen) -> None:
    await seen.becomes(await seen.send(seen.key), "executed")
    entry, close = await seen.send(seen.asking), await seen.send(seen.asking, action="CLOSE")
    await seen.becomes(close, "waiting")
    seen.link.set_armed(False)
    await until(lambda: not seen.link.views["status"].armed)  # type: ignore[union-attr]
    refused = await seen.link.submit(ApproveSignal(request_id="a1", signal=entry))
    assert (refused.ok, refused.code) == (False, "DISARMED")
    shown = await seen.link.preview(ApproveSignal(request_id="a2", signal=close))
    assert (shown.entry, shown.errors) == (False, ())
    assert (await seen.link.submit(ApproveSignal(request_id="a2", signal=close))).ok
    await seen.becomes(close, "executed")


async def test_a_declined_signal_ends_without_an_order_and_the_log_says_so(seen: Seen) -> None:
    signal = await seen.send(seen.asking)
    await seen.becomes(signal, "waiting")
    seen.link.set_armed(False)
    assert (await seen.link.preview(DeclineSignal(request_id="d0", signal=signal))).errors == ()
    assert (await seen.link.submit(DeclineSignal(request_id="d1", signal=signal, reason="too late"))).ok
    row = await seen.becomes(signal, "declined")
    assert (row.orders, row.message) == ((), "too late")

    def said() -> list[str]:
        view = seen.link.views.get("log")
        return [line.text for line in view.lines] if isinstance(view, LogView) else []

    await until(lambda: "declined LONG BTCUSDT of asks: DECLINED: too late" in said())
    assert "APPROVE? LONG BTCUSDT of asks within 300 s: F4 shows it" in said()


async def test_a_replay_is_a_new_signal_once_for_each_request(seen: Seen) -> None:
    signal = await seen.send(seen.key)
    await seen.becomes(signal, "executed")
    replay = ReplaySignal(request_id="r1", signal=signal)
    assert "would buy 0.002 BTCUSDT" in dict((await seen.link.preview(replay)).rows)["now"]
    for _ in range(2):
        assert (await seen.link.submit(replay)).ok
    assert rows(seen.engine.config.ledger, "SELECT path, status FROM signals ORDER BY seq")[0][0] == "webhook"
    await until(
        lambda: (
            rows(seen.engine.config.ledger, "SELECT path, status FROM signals ORDER BY seq")
            == [("webhook", "executed"), ("replay", "executed")]
        )
    )


async def test_the_health_of_a_source_counts_what_was_refused_before_it_was_a_signal(seen: Seen) -> None:
    await seen.becomes(await seen.send(seen.key), "executed")
    assert (await seen.sender.post(alert(seen.key, "bad", quantity="-1"))).code == (400, "BAD_FIELD")
    (source,) = (
        one for one in seen.engine.port.inbox.view(seen.engine.port._keeper.now_ns()).sources if one.name == "tv"
    )
    assert (source.accepted, source.refused, source.refusals, source.per_minute) == (1, 1, "BAD_FIELD 1", 1)
    assert source.last_ns > 0


async def test_the_detail_of_a_signal_is_there_after_a_restart(tmp_path: Path) -> None:
    config = taking(tmp_path)
    async with running(config) as (engine, link):
        made = Seen(engine, link, tmp_path)
        link.subscribe(("status", "signals"))
        signal = await made.send(made.asking)
        await made.becomes(signal, "waiting")
        await made.sender.close()
    async with running(config) as (engine, link):
        link.subscribe(("status", "signals", f"signal:{signal}"))
        await until(lambda: f"signal:{signal}" in link.views)
        view = link.views[f"signal:{signal}"]
        assert isinstance(view, SignalDetailView)
        assert (view.row.status, view.row.waits) == ("waiting", "approval")
        assert "secret" in view.checks
        assert view.trace is not None
        assert "validate" in {span.stage for span in view.trace.spans}


async def test_what_a_signal_took_is_known_after_a_restart(tmp_path: Path) -> None:
    config = taking(tmp_path)
    async with running(config) as (engine, link):
        link.subscribe(("status", "signals", "latency"))
        seen = Seen(engine, link, tmp_path)
        signal = await seen.send(seen.key)
        await seen.becomes(signal, "executed")
        total = f"SELECT ns FROM latency WHERE order_id = '{signal}' AND stage = 'total'"
        await until(lambda: bool(rows(config.ledger, total)))
        await seen.sender.close()
    ((ns,),) = rows(config.ledger, total)
    async with running(config) as (_, link):
        (row,) = (await link.query("signals"))["rows"]
        assert (row["id"], row["took"]) == (signal, ns / 1_000)


async def test_a_source_that_was_never_heard_and_one_whose_keys_are_guessed_are_told(seen: Seen) -> None:
    for number in range(10):
        guess = seen.asking[:-1] + ("0" if seen.asking[-1] != "0" else "1")
        await seen.sender.post(alert(guess, f"g{number}"))
    sources = {one.name: one for one in seen.engine.port.inbox.view(0).sources}
    assert sources["asks"].quarantined_s > 0
    assert (sources["tv"].last_ns, sources["tv"].quarantined_s) == (0, 0.0)
