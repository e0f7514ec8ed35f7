"""A signal counts once, however it is delivered (semantics 9), over real sockets."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.intake import enroll
from engine.intake.identity import signal_id
from engine.intake.keys import signature
from engine.intake.pipeline import Pipeline
from engine.intake.port import Outcome
from engine.intake.sources import Registry
from tests.intake_kit import NOON_NS, SECOND, Desk, body, code


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_w1_the_same_alert_four_times_with_the_first_answer_lost_is_one_order(desk: Desk) -> None:
    key = desk.source().api_key
    alert = json.dumps(body(key, time="2026-01-31T12:00:00Z")).encode()
    async with desk.listening() as client:
        host, port = client.base_url.host, client.base_url.port
        desk.engine.gate.clear()
        _, writer = await asyncio.open_connection(host, port)
        head = f"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: {len(alert)}\r\n\r\n"
        writer.write(head.encode() + alert)
        await desk.engine.arrived.wait()
        writer.close()
        await writer.wait_closed()
        desk.engine.gate.set()
        answers = []
        for _ in range(3):
            desk.clock.advance(5 * SECOND)
            answers.append(await client.post("/webhook", content=alert, headers={"Content-Type": "text/plain"}))
    assert len(desk.engine.orders) == 1
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.json()["result"]["signalId"] for answer in answers}) == 1
    assert answers[0].json()["result"]["orderId"] == desk.engine.orders[0]


async def test_w2_the_same_body_with_a_new_bar_time_is_two_orders(desk: Desk) -> None:
    key = desk.source().api_key
    async with desk.listening() as client:
        for minute in (0, 1):
            answer = await client.post("/webhook", json=body(key, time=f"2026-01-31T12:0{minute}:00Z"))
            assert code(answer) == (200, None)
    assert len(desk.engine.orders) == 2


async def test_w3_an_alert_and_its_resend_over_a_full_hour_is_one_order(desk: Desk) -> None:
    key = desk.source(weak_dedup=True).api_key
    desk.clock.advance(3598 * SECOND)
    async with desk.listening() as client:
        first = await client.post("/webhook", json=body(key))
        desk.clock.advance(5 * SECOND)
        again = await client.post("/webhook", json=body(key))
    assert (code(first), code(again)) == ((200, None), (200, None))
    assert len(desk.engine.orders) == 1


async def test_w4_a_key_used_again_for_another_quantity_is_a_conflict_an_alarm_and_no_order(desk: Desk) -> None:
    key = desk.source().api_key
    async with desk.listening() as client:
        await client.post("/webhook", json=body(key, idempotencyKey="bar-1"))
        answer = await client.post("/webhook", json=body(key, idempotencyKey="bar-1", quantity="0.02"))
        assert code(answer) == (409, "KEY_REUSED")
        await client.post("/webhook", json=body(key, idempotencyKey="bar-1", quantity="0.02"))
    assert len(desk.engine.orders) == 1
    assert [alarm for alarm, _ in desk.engine.alarms] == ["KEY_REUSED"]


async def test_two_honest_equal_alerts_fifty_seconds_apart_both_count(desk: Desk) -> None:
    key = desk.source(weak_dedup=True).api_key
    async with desk.listening() as client:
        await client.post("/webhook", json=body(key))
        desk.clock.advance(50 * SECOND)
        await client.post("/webhook", json=body(key))
    assert len(desk.engine.orders) == 2


async def test_weak_dedup_counts_from_the_last_delivery(desk: Desk) -> None:
    key = desk.source(weak_dedup=True).api_key
    async with desk.listening() as client:
        for _ in range(5):
            await client.post("/webhook", json=body(key))
            desk.clock.advance(20 * SECOND)
    assert len(desk.engine.orders) == 1


async def test_weak_dedup_outlives_a_restart(desk: Desk, tmp_path: Path) -> None:
    key = desk.source(weak_dedup=True).api_key
    async with desk.listening() as client:
        await client.post("/webhook", json=body(key))
    after = Desk(tmp_path)
    after.clock.advance(5 * SECOND)
    after.engine.recorded = desk.engine.recorded
    async with after.listening() as client:
        answer = await client.post("/webhook", json=body(key))
    assert code(answer) == (200, None)
    assert after.engine.orders == []


async def test_a_trading_source_without_key_or_time_is_refused_with_the_remedy(desk: Desk) -> None:
    key = desk.source().api_key
    async with desk.listening() as client:
        answer = await client.post("/webhook", json=body(key))
    assert code(answer) == (400, "NOT_UNIQUE")
    assert "{{timenow}}" in answer.json()["error"]
    assert "weak_dedup" in answer.json()["error"]
    assert desk.engine.arrivals == []


async def test_the_key_may_be_a_header(desk: Desk) -> None:
    key = desk.source().api_key
    async with desk.listening() as client:
        for _ in range(2):
            answer = await client.post("/webhook", json=body(key), headers={"Idempotency-Key": "bar-1"})
            assert code(answer) == (200, None)
        answer = await client.post("/webhook", json=body(key, idempotencyKey="b"), headers={"Idempotency-Key": "a"})
        assert code(answer) == (400, "BAD_FIELD")
    assert [arrival.signal.key for arrival in desk.engine.arrivals] == ["bar-1"]


@pytest.mark.parametrize("more", [{}, {"time": NOON_NS // 1_000_000}])
@pytest.mark.parametrize("path", ["/webhook", "/process"])
async def test_a_signed_request_cannot_be_sent_again_under_another_key(
    desk: Desk, path: str, more: dict[str, Any]
) -> None:
    key = desk.source().api_key
    secret = enroll.let_sign(desk.home, "tv")
    said = body(key, **more) if path == "/webhook" else {"requestId": "r", "payload": body(apiKey=None, **more)}
    signed, stamp = json.dumps(said).encode(), str(NOON_NS // SECOND)
    headers = {"X-Hoox-Timestamp": stamp, "X-Hoox-Signature": signature(secret, stamp, signed)}
    headers |= {"Content-Type": "application/json", "X-Internal-Auth-Key": key}
    async with desk.listening() as client:
        for other in ("a", "b", "c"):
            answer = await client.post(path, content=signed, headers=headers | {"Idempotency-Key": other})
            assert code(answer) == (400, "BAD_FIELD")
            assert "in the body" in answer.json()["error"]
    assert desk.engine.orders == []


async def test_equal_bodies_are_equal_however_their_numbers_and_spaces_are_written(desk: Desk) -> None:
    key = desk.source().api_key
    async with desk.listening() as client:
        for quantity in (5, 5.0, "5", "5.000", "5e0"):
            answer = await client.post("/webhook", json=body(key, quantity=quantity, idempotencyKey="k"))
            assert code(answer) == (200, None)
    assert len(desk.engine.orders) == 1


async def test_two_deliveries_at_once_share_one_commit_and_both_wait_for_it(desk: Desk) -> None:
    key = desk.source().api_key
    desk.engine.gate.clear()
    async with desk.listening() as client:
        deliveries = [
            asyncio.create_task(client.post("/webhook", json=body(key, idempotencyKey="k"))) for _ in range(8)
        ]
        await asyncio.sleep(0.1)
        assert not any(task.done() for task in deliveries), "answered before it was durable"
        desk.engine.gate.set()
        answers = await asyncio.gather(*deliveries)
    assert {code(answer) for answer in answers} == {(200, None)}
    assert len(desk.engine.orders) == 1


async def test_sources_do_not_share_keys(desk: Desk) -> None:
    keys = [desk.source(name).api_key for name in ("one", "two")]
    async with desk.listening() as client:
        for key in keys:
            assert code(await client.post("/webhook", json=body(key, idempotencyKey="k"))) == (200, None)
    assert len(desk.engine.orders) == 2
    assert len({arrival.signal.id for arrival in desk.engine.arrivals}) == 2


@pytest.mark.parametrize("path", ["find", "take"])
async def test_a_ledger_that_cannot_answer_refuses_and_records_nothing(desk: Desk, path: str) -> None:
    key = desk.source().api_key
    async with desk.listening() as client:
        desk.engine.broken = OSError(28, f"no space left, {key}")
        answer = await client.post("/webhook", json=body(key, idempotencyKey="k"))
        assert code(answer) == (503, "NOT_RECORDED")
        assert key not in answer.text
        assert answer.headers["retry-after"]
        desk.engine.broken = None
        assert code(await client.post("/webhook", json=body(key, idempotencyKey="k"))) == (200, None)
    assert len(desk.engine.orders) == 1


async def test_fifty_signals_at_once_are_fifty_answers_and_fifty_orders(desk: Desk) -> None:
    key = desk.source().api_key
    async with desk.listening() as client:
        answers = await asyncio.gather(
            *(client.post("/webhook", json=body(key, idempotencyKey=f"k{i}")) for i in range(50))
        )
    assert {code(answer) for answer in answers} == {(200, None)}
    assert len(set(desk.engine.orders)) == len(desk.engine.orders) == 50


async def test_a_stale_alert_is_refused_but_a_late_resend_gets_its_first_answer(desk: Desk) -> None:
    key = desk.source().api_key
    async with desk.listening() as client:
        alert = body(key, time=NOON_NS // 1_000_000)
        first = await client.post("/webhook", json=alert)
        desk.clock.advance(3600 * SECOND)
        again = await client.post("/webhook", json=alert)
        assert again.json()["result"] == first.json()["result"]
        stale = await client.post("/webhook", json=alert | {"quantity": "0.02"})
        assert code(stale) == (400, "STALE")
        ahead = await client.post("/webhook", json=alert | {"time": "2026-01-31T14:00:00Z"})
        assert code(ahead) == (400, "STALE")
    assert len(desk.engine.orders) == 1


async def test_the_age_of_an_alert_goes_by_the_system_s_clock_where_that_was_set_back(desk: Desk) -> None:
    source = desk.source()
    secret = enroll.let_sign(desk.home, "tv")
    wall_ns = NOON_NS - 3_600 * SECOND
    desk.pipeline = Pipeline(desk.engine, Registry(desk.home), clock=desk.clock, wall=lambda: wall_ns)
    async with desk.listening() as client:

        async def sent(at_ns: int) -> tuple[int, str | None]:
            said = json.dumps(body(source.api_key, action="CLOSE", time=at_ns // 1_000_000)).encode()
            stamp = str(wall_ns // SECOND)
            headers = {"X-Hoox-Timestamp": stamp, "X-Hoox-Signature": signature(secret, stamp, said)}
            headers["Content-Type"] = "application/json"
            return code(await client.post("/webhook", content=said, headers=headers))

        assert await sent(wall_ns - SECOND) == (200, None)
        assert await sent(NOON_NS) == (400, "STALE")
    assert len(desk.engine.orders) == 1


async def test_the_kill_switch_refuses_entries_after_they_are_recorded_and_lets_closes_pass(desk: Desk) -> None:
    key = desk.source().api_key
    desk.engine.kill = "the kill switch is on"
    async with desk.listening() as client:
        entry = await client.post("/webhook", json=body(key, idempotencyKey="in"))
        assert code(entry) == (503, "KILL_SWITCH")
        assert entry.json()["result"]["status"] == "refused"
        close = await client.post("/webhook", json=body(key, action="CLOSE", quantity=None, idempotencyKey="out"))
        assert code(close) == (200, None)
        desk.engine.kill = ""
        again = await client.post("/webhook", json=body(key, idempotencyKey="in"))
        assert (again.status_code, again.json()["result"]["status"]) == (200, "refused")
        stranger = await client.post("/webhook", json=body("hx_00000000_" + "0" * 64, idempotencyKey="x"))
        assert code(stranger) == (403, "BAD_KEY")
    assert len(desk.engine.orders) == 1


async def test_an_entry_that_left_before_the_kill_switch_is_not_answered_as_refused(desk: Desk) -> None:
    key = desk.source().api_key
    async with desk.listening() as client:
        desk.engine.gate.clear()
        sent = asyncio.create_task(client.post("/webhook", json=body(key, idempotencyKey="k")))
        await desk.engine.arrived.wait()
        desk.engine.kill = "panic"
        desk.engine.gate.set()
        answer = await sent
    assert code(answer) == (200, None)
    assert answer.json()["result"]["status"] == "accepted"
    assert desk.engine.orders == [answer.json()["result"]["orderId"]]


async def test_what_is_recorded_holds_the_body_without_its_secret_the_checks_and_the_stages(desk: Desk) -> None:
    key = desk.source().api_key
    escaped = "\\u0068" + key[1:]
    async with desk.listening() as client:
        await client.post("/webhook", json=body(key, idempotencyKey="a"))
        raw = json.dumps(body("KEY", idempotencyKey="b")).replace("KEY", escaped)
        answer = await client.post("/webhook", content=raw, headers={"Content-Type": "application/json"})
        assert code(answer) == (200, None)
    plain, hidden = desk.engine.arrivals
    assert '"apiKey":"hx_' in plain.body.replace(" ", "")
    for arrival in (plain, hidden):
        assert key[12:] not in arrival.body
        assert arrival.checks == (
            "address", "address_rate", "size", "json", "secret", "source_rate", "schema", "freshness", "dedup",
        )  # fmt: skip
        assert set(arrival.stages) == {"receive", "authenticate", "validate", "dedup"}
        assert min(arrival.stages.values()) >= 0


@pytest.mark.parametrize("secret", ["an older password", "", {"key": "an older password"}])
async def test_what_stands_as_a_key_in_a_payload_is_not_recorded_whatever_it_looks_like(
    desk: Desk, secret: object
) -> None:
    key = desk.source().api_key
    said = {"requestId": "r", "payload": body(apiKey=secret)}
    async with desk.listening() as client:
        assert code(await client.post("/process", json=said, headers={"X-Internal-Auth-Key": key})) == (202, None)
    (arrival,) = desk.engine.arrivals
    assert "password" not in arrival.body
    assert "BTCUSDT" in arrival.body


async def test_a_probe_measures_the_path_and_records_nothing(desk: Desk) -> None:
    key = desk.source().api_key
    async with desk.listening() as client:
        answer = await client.post("/webhook", json=body(key, idempotencyKey="k"), headers={"X-Hoox-Probe": "1"})
        assert code(answer) == (200, None)
        assert {"receive", "authenticate", "validate", "dedup"} <= set(answer.json()["result"]["stages"])
        wrong = await client.post("/webhook", json=body(key + "0"), headers={"X-Hoox-Probe": "1"})
        assert code(wrong) == (403, "BAD_KEY")
    assert desk.engine.arrivals == []
    assert [source for source, _ in desk.engine.probes] == ["tv"]


async def test_process_waits_for_the_verdict(desk: Desk) -> None:
    key = desk.source().api_key
    signal = body(None, idempotencyKey="k")
    async with desk.listening() as client:
        head = {"X-Internal-Auth-Key": key}
        pending = await client.post("/process", json={"requestId": "r1", "payload": body(None)}, headers=head)
        assert code(pending) == (202, None)
        assert pending.json()["requestId"] == "r1"
        name = signal_id("tv", "k")
        desk.engine.final[name] = Outcome(name, "executed", order="o1", price=Decimal("61000.50"))
        done = await client.post("/process", json={"requestId": "r2", "payload": signal}, headers=head)
        assert code(done) == (200, None)
        assert done.json()["result"] == {"status": "executed", "signalId": name, "orderId": "o1", "price": 61000.5}
        without = await client.post("/process", json={"requestId": "r3", "payload": signal | {"apiKey": key}})
        assert code(without) == (403, "BAD_KEY")
        extra = await client.post("/process", json={"requestId": "r4", "payload": signal, "x": 1}, headers=head)
        assert code(extra) == (400, "UNKNOWN_FIELD")
    assert [arrival.signal.path for arrival in desk.engine.arrivals] == ["process", "process"]


async def test_a_sender_that_gives_up_on_a_slow_disk_is_told_to_send_again_and_counts_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.intake.recorder.TAKE_S", 0.05)
    key = desk.source().api_key
    desk.engine.gate.clear()
    async with desk.listening() as client:
        answer: httpx.Response = await client.post("/webhook", json=body(key, idempotencyKey="k"))
        assert code(answer) == (503, "NOT_RECORDED")
        desk.engine.gate.set()
        answer = await client.post("/webhook", json=body(key, idempotencyKey="k"))
        assert code(answer) == (200, None)
    assert len(desk.engine.orders) == 1


async def test_a_mail_and_a_webhook_of_one_source_are_one_signal(desk: Desk) -> None:
    key = desk.source().api_key
    fields = {name: value for name, value in body(idempotencyKey="k").items() if name != "apiKey"}
    async with desk.listening() as client:
        assert code(await client.post("/webhook", json=body(key, idempotencyKey="k"))) == (200, None)
        answer = await desk.pipeline.deliver("tv", dict(fields), raw=f"by mail {key}", path="mail")
        assert (answer.status, answer.success) == (200, True)
        named = await desk.pipeline.deliver("tv", fields | {"quantity": "1"}, raw=f"by mail {key}", path="mail")
        assert (named.status, named.code) == (409, "KEY_REUSED")
        del fields["idempotencyKey"]
        await desk.pipeline.deliver("tv", dict(fields), raw=f"by mail {key}", path="mail", key="message-1")
        stranger = await desk.pipeline.deliver("nobody", fields, raw="", path="mail")
        assert (stranger.status, stranger.code) == (403, "BAD_KEY")
    assert [(arrival.signal.key, arrival.signal.path) for arrival in desk.engine.arrivals] == [
        ("k", "webhook"),
        ("message-1", "mail"),
    ]
    assert key[12:] not in desk.engine.arrivals[1].body
