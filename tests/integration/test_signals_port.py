"""What the engine answers its intake: found again however old, refused where nothing can be recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from engine.core import inbox
from engine.model.signal import Policy, SameSide, SourceMode
from engine.runtime import Engine, signals
from engine.views import Mode
from tests.engine_process import running, until
from tests.signal_engine import Answered, Sender, alert, enrolled, rows, taking


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with running(taking(tmp_path)) as (running_engine, _):
        yield running_engine


@pytest.fixture
async def sender(engine: Engine) -> AsyncIterator[Sender]:
    made = Sender(engine.port.status.webhook)
    yield made
    await made.close()


async def health(engine: Engine) -> Answered:
    async with httpx.AsyncClient(base_url=f"http://{engine.port.status.webhook}", trust_env=False) as client:
        answer = await client.get("/health")
    return Answered(answer.status_code, answer.json())


async def test_a_resend_is_known_when_the_state_has_long_forgotten_it(
    engine: Engine, sender: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in ((inbox, "KEEP_KEYS"), (inbox, "KEEP_SIGNALS"), (signals, "KEEP_KEYS")):
        monkeypatch.setattr(module, name, 2)
    key = enrolled(tmp_path).api_key
    state = engine.port._keeper.desk.state
    for number in range(4):
        await sender.post(alert(key, f"k{number}"))
    await until(lambda: not state.signals)
    assert "tv|k0" not in state.signal_keys
    assert len(state.signals_ended) == 2

    again = await sender.post(alert(key, "k0"))
    assert again.code == (200, None)
    result = again.body["result"]
    made = "SELECT id, fills.price FROM orders JOIN fills ON order_id = id WHERE request_id = ?"
    ((order, price),) = rows(engine.config.ledger, made, result["signalId"])
    assert (result["status"], result["orderId"], str(result["price"])) == ("executed", order, price)
    assert (await sender.post(alert(key, "k0", quantity="0.004"))).code == (409, "KEY_REUSED")
    assert rows(engine.config.ledger, "SELECT count(*) FROM signals") == [(4,)]
    assert state.orders_made == 4


async def test_who_asks_in_vain_what_became_of_a_signal_is_forgotten(
    engine: Engine, sender: Sender, tmp_path: Path
) -> None:
    key = enrolled(tmp_path).api_key
    (book,) = (market for market in engine.port._keeper.desk.kernel.markets.values() if market.instrument.base == "BTC")
    assert book.quote is not None
    far = str(round(book.quote.bid * 0.7))
    answer = await sender.post(alert(key, "k0", orderType="LIMIT", price=far, quantity="0.01"))
    signal = answer.body["result"]["signalId"]
    assert engine._intake is not None
    port = engine._intake._port
    for _ in range(20):
        told = await port.outcome(signal, 0.001)
        assert told.status == "accepted", told
    assert port._asking == {}


async def test_equal_bodies_count_as_one_across_a_restart_where_a_source_asks_for_it(tmp_path: Path) -> None:
    config = taking(tmp_path)
    key = enrolled(tmp_path, weak_dedup=True).api_key
    ids = []
    for _ in range(2):
        async with running(config) as (engine, _):
            sender = Sender(engine.port.status.webhook)
            answer = await sender.post(alert(key))
            ids.append(answer.body["result"]["signalId"])
            await sender.close()
    assert ids[0] == ids[1]
    assert rows(config.ledger, "SELECT count(*) FROM signals") == [(1,)]


async def test_where_nothing_is_decided_any_more_nothing_is_taken(
    engine: Engine, sender: Sender, tmp_path: Path
) -> None:
    key = enrolled(tmp_path).api_key
    assert engine.keeper is not None
    assert (await health(engine)).code == (200, None)
    engine.keeper.look_only("the ledger cannot be written")
    assert (await health(engine)).code == (503, "NOT_RECORDED")
    for _ in range(2):
        assert (await sender.post(alert(key, "k"))).code == (503, "NOT_RECORDED")
    assert rows(engine.config.ledger, "SELECT count(*) FROM signals") == [(0,)]


async def test_on_a_full_disk_a_close_is_taken_and_an_entry_is_not(
    engine: Engine, sender: Sender, tmp_path: Path
) -> None:
    key = enrolled(tmp_path).api_key
    assert engine.keeper is not None
    assert (await sender.post(alert(key, "in"))).code == (200, None)
    state = engine.keeper.desk.state
    await until(lambda: state.positions)
    engine.keeper.exits_only()
    assert (await health(engine)).code == (200, None)
    assert (await sender.post(alert(key, "more"))).code == (503, "NOT_RECORDED")
    assert (await sender.post(alert(key, "out", action="CLOSE"))).code == (200, None)
    await until(lambda: not state.positions)
    assert rows(engine.config.ledger, "SELECT key FROM signals ORDER BY seq") == [("in",), ("out",)]


async def test_the_answer_says_what_the_source_is_not_allowed_and_what_waits_for_a_person(
    engine: Engine, sender: Sender, tmp_path: Path
) -> None:
    asks = enrolled(tmp_path, "asks", Policy(SourceMode.APPROVE, SameSide.ADD)).api_key
    waiting = await sender.post(alert(asks, "a"))
    assert waiting.code == (200, None)
    assert waiting.body["result"] == {
        "status": "waiting", "signalId": waiting.body["result"]["signalId"], "message": "waits for approval",
    }  # fmt: skip
    careful = enrolled(tmp_path, "careful", Policy(SourceMode.TRADE)).api_key
    await sender.post(alert(careful, "a"))
    state = engine.port._keeper.desk.state
    await until(lambda: state.positions)
    again = await sender.post(alert(careful, "b"))
    assert (again.code, again.body["result"]["status"]) == ((200, "SAME_SIDE"), "refused")


async def test_a_signal_that_the_rules_fail_on_is_refused_and_the_engine_goes_on(
    engine: Engine, sender: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = enrolled(tmp_path).api_key
    assert engine.keeper is not None

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr("engine.core.signals.meant", broken)
        for _ in range(5):
            assert (await sender.post(alert(key, "k"))).code == (503, "NOT_RECORDED")
    assert engine.keeper.mode is Mode.OK
    assert (await sender.post(alert(key, "k"))).code == (200, None)
